import { clientError, type TokenwireError } from "./errors.js";
import type { ServerFrame } from "./protocol.js";

const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 15_000;
const OPEN_WITHIN_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
/** After something was sent, so much silence is worth a `ping`. */
const QUIET_AFTER_SENDING_MS = 3_000;
const CHECK_EVERY_MS = 1_000;
/** A check that comes so late means that the machine or the page has slept. */
const SLEPT_MS = 10_000;
/** Close codes after which the next connection would end the same way, beside those from 4500. */
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010];
const OPEN = 1;

/**
 * How the connection is.
 *
 * - `idle`: not needed, so there is none.
 * - `connecting`: being opened.
 * - `open`: there.
 * - `waiting`: lost; the next attempt follows by itself.
 * - `closed`: `Tokenwire.close` was called.
 */
export type ConnectionStatus = "idle" | "connecting" | "open" | "waiting" | "closed";

/** A token, or who is asked for one before each connection. */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>);

/** What is used of a WebSocket, be it the browser's or that of a library. */
export interface WebSocketLike {
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  readonly readyState: number;
  send(data: string): void;
  close(): void;
}

/** A class like the browser's `WebSocket`. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

export interface ConnectionOptions {
  /** `wss://host/v1/stream`. */
  url: string;
  token: () => Promise<string | undefined>;
  /** Whether the token may be another one when it is asked for again. */
  isRenewable: boolean;
  WebSocket: WebSocketClass;
  idleMs: number;
  reconnectForMs: number;
}

/** Whom the connection serves. */
export interface ConnectionOwner {
  /** The server is there: everything unfinished is to be sent. */
  opened(): void;
  received(frame: ServerFrame, size: number): void;
  /** Reconnecting would not help: everything unfinished ends with this. */
  failed(error: TokenwireError): void;
  /** Whether something waits for the server. */
  isBusy(): boolean;
  /** Whether the server refuses the token; a browser does not tell why an upgrade failed. */
  isDenied(token: string | undefined): Promise<boolean>;
  statusChanged(): void;
}

/** One WebSocket at a time: opened when it is needed, watched, and opened again when it is lost. */
export interface Connection {
  status(): ConnectionStatus;
  /**
   * Sends a frame if the connection is open, and opens it if there is none. Says whether the frame was sent; what was
   * not is the owner's to send again.
   *
   * @throws TokenwireError `frame_too_large`
   */
  send(frame: object): boolean;
  /** Whether the server has said that it will close this connection. */
  isLeaving(): boolean;
  /** Leaves it, for another when the server wants it. */
  leave(): void;
  close(): void;
}

export function createConnection(options: ConnectionOptions, owner: ConnectionOwner): Connection {
  let status: ConnectionStatus = "idle";
  let socket: WebSocketLike | undefined;
  /** Which attempt is under way: what belongs to an earlier one is ignored. */
  let attempt = 0;
  /** Attempts since something was heard that shows a working connection. */
  let failures = 0;
  let denials = 0;
  let lostAt = 0;
  /** What `going_away` asked for. */
  let leaveMs: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let checks: ReturnType<typeof setInterval> | undefined;
  let checkedAt = 0;
  let heartbeatMs = 25_000;
  let maxFrameBytes = Infinity;
  let sentAt = 0;
  let heardAt = 0;
  let pingedAt = 0;
  let busyAt = 0;

  listen("addEventListener");
  return {
    status: () => status,
    isLeaving: () => leaveMs !== undefined && status === "open",
    leave: lose,
    send(frame) {
      busyAt = Date.now();
      if (status === "idle") void connect();
      if (status !== "open" || socket?.readyState !== OPEN) return false;
      const text = JSON.stringify(frame);
      // A UTF-16 unit is at most three bytes of UTF-8.
      if (text.length * 3 > maxFrameBytes && new TextEncoder().encode(text).length > maxFrameBytes) {
        throw clientError("frame_too_large", `more than ${maxFrameBytes} bytes`);
      }
      socket.send(text);
      sentAt = Date.now();
      return true;
    },
    close() {
      listen("removeEventListener");
      drop();
      become("closed");
    },
  };

  function become(next: ConnectionStatus): void {
    if (status === next) return;
    status = next;
    owner.statusChanged();
  }

  async function connect(): Promise<void> {
    drop();
    const mine = attempt;
    sentAt = checkedAt = Date.now();
    checks = setInterval(check, CHECK_EVERY_MS);
    become("connecting");
    let token: string | undefined;
    try {
      token = await options.token();
    } catch {
      if (mine === attempt) lose();
      return;
    }
    if (mine !== attempt) return;
    try {
      socket = new options.WebSocket(options.url, ["tokenwire.v1", ...(token ? [`tokenwire.bearer.${token}`] : [])]);
    } catch (cause) {
      return fail(clientError("not_authenticated", "the token cannot be sent", false, cause));
    }
    socket.onmessage = ({ data }) => {
      if (mine === attempt) hear(String(data));
    };
    socket.onerror = () => {};
    socket.onclose = async ({ code, reason }) => {
      if (mine !== attempt) return;
      const isNew = status === "connecting";
      if (code === 4500) {
        denied();
      } else if (code >= 4500 || FINAL.includes(code)) {
        fail(clientError("connection_closed", `closed by the server: ${reason || code}`));
      } else {
        lose();
        // Found out while the next attempt is waited for, and useless once it is made.
        const next = attempt;
        if (isNew && (await owner.isDenied(token)) && next === attempt) denied();
      }
    };
  }

  function denied(): void {
    // A callback may have a newer token.
    if (options.isRenewable && denials++ === 0) void connect();
    else fail(clientError("not_authenticated", "the token was refused"));
  }

  function hear(text: string): void {
    heardAt = Date.now();
    pingedAt = 0;
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch {
      return;
    }
    if (frame.type === "hello") {
      heartbeatMs = (frame.heartbeat_seconds || 25) * 1000;
      maxFrameBytes = frame.limits?.max_frame_bytes ?? Infinity;
      leaveMs = undefined;
      denials = 0;
      become("open");
      return owner.opened();
    }
    failures = lostAt = 0;
    // Only a server that goes away says it, in the spelling of its dialect.
    const end = frame as { reconnect_in_ms?: number; reconnectInMs?: number };
    leaveMs = end.reconnect_in_ms ?? end.reconnectInMs ?? leaveMs;
    owner.received(frame, text.length);
  }

  /** The socket is gone or useless. */
  function lose(): void {
    drop();
    const now = Date.now();
    lostAt ||= now;
    if (!owner.isBusy()) return become("idle");
    if (now - lostAt >= options.reconnectForMs) {
      return fail(clientError("connection_lost", "the server could not be reached", true));
    }
    const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** failures++);
    const delay = leaveMs ?? most * (0.5 + Math.random() / 2);
    leaveMs = undefined;
    become("waiting");
    timer = setTimeout(connect, delay);
  }

  function fail(error: TokenwireError): void {
    drop();
    denials = failures = lostAt = 0;
    become("idle");
    owner.failed(error);
  }

  function drop(): void {
    attempt++;
    clearTimeout(timer);
    clearInterval(checks);
    pingedAt = 0;
    socket?.close();
    socket = undefined;
  }

  /** A socket may be dead without saying so, and a page that sleeps hears nothing of it. */
  function check(): void {
    const now = Date.now();
    const slept = now - checkedAt > SLEPT_MS;
    checkedAt = now;
    if (owner.isBusy()) busyAt = now;
    if (status !== "open") {
      if (now - sentAt > OPEN_WITHIN_MS) lose();
    } else if (slept) {
      // The time in which no timer ran does not count against the answer.
      pingedAt = 0;
      ping();
      // What came before it is heard now, and answers nothing: silence after that counts from here.
      sentAt = now + CHECK_EVERY_MS;
    } else if (pingedAt && now - pingedAt > PONG_WITHIN_MS) {
      lose();
    } else if (now - busyAt > options.idleMs) {
      drop();
      become("idle");
    } else if (now - heardAt > (sentAt > heardAt ? QUIET_AFTER_SENDING_MS : heartbeatMs)) {
      ping();
    }
  }

  function ping(): void {
    if (pingedAt || socket?.readyState !== OPEN) return;
    pingedAt = Date.now();
    socket.send('{"type":"ping"}');
  }

  /** The network is back, or the page is looked at again: no timer should have to notice. */
  function wake(): void {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (status === "waiting") void connect();
    else if (status === "open") ping();
  }

  function listen(verb: "addEventListener" | "removeEventListener"): void {
    for (const event of ["online", "offline", "pageshow"]) globalThis[verb]?.(event, wake);
    for (const event of ["visibilitychange", "resume"]) globalThis.document?.[verb](event, wake);
  }
}
