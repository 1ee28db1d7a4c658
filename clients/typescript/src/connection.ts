import { clientError, type TokenwireError } from "./errors.js";
import type { ClientFrame, ServerFrame } from "./protocol.js";

const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 15_000;
const OPEN_WITHIN_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
/** After something was sent, so much silence is worth a `ping`. */
const QUIET_AFTER_SENDING_MS = 3_000;
const CHECK_EVERY_MS = 1_000;
/** A check that comes so late means that the machine or the page has slept. */
const SLEPT_MS = 10_000;
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

/** A class like the browser's `WebSocket`. */
export type WebSocketClass = new (
  url: string,
  protocols: string[],
) => Pick<WebSocket, "onopen" | "onmessage" | "onclose" | "onerror" | "readyState" | "send" | "close">;

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

type Socket = InstanceType<WebSocketClass>;

/** One WebSocket at a time: opened when it is needed, watched, and opened again when it is lost. */
export class Connection {
  #options: ConnectionOptions;
  #owner: ConnectionOwner;
  #status: ConnectionStatus = "idle";
  #socket: Socket | undefined;
  /** Which attempt is under way: what belongs to an earlier one is ignored. */
  #attempt = 0;
  /** Attempts since something was heard that shows a working connection. */
  #failures = 0;
  #denials = 0;
  #lostAt = 0;
  /** What `going_away` asked for. */
  #delay: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #checks: ReturnType<typeof setInterval> | undefined;
  #checkedAt = 0;
  #heartbeatMs = 25_000;
  #maxFrameBytes = Infinity;
  #sentAt = 0;
  #heardAt = 0;
  #pingedAt = 0;
  #busyAt = 0;

  constructor(options: ConnectionOptions, owner: ConnectionOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#listen("addEventListener");
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  /** Whether the server has said that it will close this connection. */
  get isLeaving(): boolean {
    return this.#delay !== undefined && this.#status === "open";
  }

  /**
   * Sends a frame if the connection is open, and opens it otherwise. Says whether the frame was sent;
   * what was not is the owner's to send again.
   *
   * @throws TokenwireError `frame_too_large`
   */
  send(frame: ClientFrame): boolean {
    this.#busyAt = Date.now();
    if (this.#status === "idle") this.#connect();
    if (this.#status !== "open" || this.#socket?.readyState !== OPEN) return false;
    const text = JSON.stringify(frame);
    // A UTF-16 unit is at most three bytes of UTF-8.
    if (text.length * 3 > this.#maxFrameBytes && new TextEncoder().encode(text).length > this.#maxFrameBytes) {
      throw clientError("frame_too_large", `the frame is larger than ${this.#maxFrameBytes} bytes`);
    }
    this.#socket.send(text);
    this.#sentAt = Date.now();
    return true;
  }

  /** Leaves a connection that the server will close, and opens another when the server wants it. */
  leave(): void {
    this.#lose();
  }

  close(): void {
    this.#listen("removeEventListener");
    this.#drop();
    this.#become("closed");
  }

  #become(status: ConnectionStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#owner.statusChanged();
  }

  async #connect(): Promise<void> {
    this.#drop();
    const attempt = this.#attempt;
    const { url, WebSocket } = this.#options;
    this.#sentAt = this.#checkedAt = Date.now();
    this.#checks = setInterval(() => this.#check(), CHECK_EVERY_MS);
    this.#become("connecting");
    let token: string | undefined;
    try {
      token = await this.#options.token();
    } catch {
      if (attempt === this.#attempt) this.#lose();
      return;
    }
    if (attempt !== this.#attempt) return;
    let socket: Socket;
    try {
      socket = new WebSocket(url, ["tokenwire.v1", ...(token ? [`tokenwire.bearer.${token}`] : [])]);
    } catch (cause) {
      return this.#fail(clientError("not_authenticated", "the token cannot be sent", false, cause));
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (attempt === this.#attempt) this.#hear(String(data));
    };
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      if (attempt === this.#attempt) void this.#closed(code, reason, token);
    };
  }

  #hear(text: string): void {
    this.#heardAt = Date.now();
    this.#pingedAt = 0;
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch {
      return;
    }
    if (frame.type === "hello") {
      this.#heartbeatMs = (frame.heartbeat_seconds || 25) * 1000;
      this.#maxFrameBytes = frame.limits?.max_frame_bytes ?? Infinity;
      this.#delay = undefined;
      this.#denials = 0;
      this.#become("open");
      this.#owner.opened();
      return;
    }
    this.#failures = this.#lostAt = 0;
    if (frame.type === "going_away") this.#delay = frame.reconnect_in_ms;
    this.#owner.received(frame, text.length);
  }

  async #closed(code: number, reason: string, token: string | undefined): Promise<void> {
    const attempt = this.#attempt;
    const isNew = this.#status === "connecting";
    const isDenied = code === 4500 || (isNew && (await this.#owner.isDenied(token)));
    if (attempt !== this.#attempt) return;
    if (isDenied) {
      // A callback may have a newer one.
      if (this.#options.isRenewable && this.#denials++ === 0) void this.#connect();
      else this.#fail(clientError("not_authenticated", "the server does not take the token"));
    } else if (isFinal(code)) {
      this.#fail(clientError("connection_closed", `the server closed the connection: ${reason || code}`));
    } else {
      this.#lose();
    }
  }

  /** The socket is gone or useless. */
  #lose(): void {
    this.#drop();
    const now = Date.now();
    this.#lostAt ||= now;
    if (!this.#owner.isBusy()) return this.#become("idle");
    if (now - this.#lostAt >= this.#options.reconnectForMs) {
      return this.#fail(clientError("connection_lost", "the server could not be reached", true));
    }
    const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    const delay = this.#delay ?? most * (0.5 + Math.random() / 2);
    this.#delay = undefined;
    this.#become("waiting");
    this.#timer = setTimeout(() => void this.#connect(), delay);
  }

  #fail(error: TokenwireError): void {
    this.#drop();
    this.#denials = this.#failures = this.#lostAt = 0;
    this.#become("idle");
    this.#owner.failed(error);
  }

  #drop(): void {
    this.#attempt++;
    clearTimeout(this.#timer);
    clearInterval(this.#checks);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#pingedAt = 0;
    socket?.close();
  }

  /** A socket may be dead without saying so, and a page that sleeps hears nothing of it. */
  #check(): void {
    const now = Date.now();
    const slept = now - this.#checkedAt > SLEPT_MS;
    this.#checkedAt = now;
    if (this.#owner.isBusy()) this.#busyAt = now;
    if (this.#status !== "open") {
      if (now - this.#sentAt > OPEN_WITHIN_MS) this.#lose();
    } else if (slept) {
      // The time in which no timer ran does not count against the answer.
      this.#pingedAt = 0;
      this.#ping();
    } else if (this.#pingedAt && now - this.#pingedAt > PONG_WITHIN_MS) {
      this.#lose();
    } else if (now - this.#busyAt > this.#options.idleMs) {
      this.#drop();
      this.#become("idle");
    } else if (now - this.#heardAt > (this.#sentAt > this.#heardAt ? QUIET_AFTER_SENDING_MS : this.#heartbeatMs)) {
      this.#ping();
    }
  }

  #ping(): void {
    if (this.#pingedAt || this.#socket?.readyState !== OPEN) return;
    this.#pingedAt = Date.now();
    this.#socket.send('{"type":"ping"}');
  }

  /** The network is back, or the page is looked at again: no timer should have to notice. */
  #wake = (): void => {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.#status === "waiting") void this.#connect();
    else if (this.#status === "open") this.#ping();
  };

  #listen(verb: "addEventListener" | "removeEventListener"): void {
    globalThis[verb]?.("online", this.#wake);
    globalThis[verb]?.("pageshow", this.#wake);
    globalThis.document?.[verb]("visibilitychange", this.#wake);
    globalThis.document?.[verb]("resume", this.#wake);
  }
}

/** Whether the next connection would end the same way. */
function isFinal(code: number): boolean {
  return [1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(code) || code >= 4500;
}
