import {
  type Connection,
  type ConnectionStatus,
  createConnection,
  type TokenSource,
  type WebSocketClass,
} from "./connection.js";
import { clientError, TokenwireError } from "./errors.js";
import type { ConversationFrame, ErrorFrame, EventFrame, ServerFrame, StartFrame, Tool } from "./protocol.js";
import { randomId, Run } from "./run.js";
import { answerCalls, toolList, type Tools } from "./tools.js";

/** Options of a `Tokenwire`. */
export interface TokenwireOptions {
  /**
   * The key that the server wants, or a function that gives one. The function is called before each connection and each
   * HTTP request, and once more at once when the server refuses what it gave. When it throws, it is called again
   * with the next attempt.
   */
  token?: TokenSource;
  /** A class like the browser's `WebSocket`, for a runtime without one, such as `ws` on Node 20. */
  WebSocket?: WebSocketClass;
  /** The connection is closed when nothing was to be read or sent for so long; the next use opens it. Default 60,000. */
  idleMs?: number;
  /** Without a connection for longer, everything unfinished ends with `connection_lost`. Default: it is never given up. */
  reconnectForMs?: number;
  /**
   * How many frames may wait for a connection, or for the server's word. More starts, inputs, results and decisions
   * are refused with `queue_full`. Default 256.
   */
  maxUnconfirmed?: number;
  /**
   * How much may wait for one reader of a run's events, in characters. What is beyond is read from the server again when
   * the reader has caught up. Default 1,048,576.
   */
  maxBuffered?: number;
  /** Hears of a frame that the server refused and that nobody waits for: a decision on a call that was made already. */
  onRefused?: (error: TokenwireError) => void;
}

/** What to start: the fields of the protocol's `start`, and what the client does with them. */
export interface StartRequest extends Omit<StartFrame, "type" | "id" | "tools"> {
  /** The generation's name. A start with a name that exists attaches to it. Default: a random one. */
  id?: string;
  /** Tools by name, which this client carries out; or the protocol's own list, whose calls the application answers. */
  tools?: Tools | Tool[];
  /** Aborting it is `Run.cancel`. */
  signal?: AbortSignal;
}

/** Options of `Tokenwire.attach`. */
export interface AttachOptions {
  /**
   * Carries out calls that wait for a result, too. Another device that does so may be faster, and a function may run
   * although its result is not taken. Default: none are carried out.
   */
  tools?: Tools;
}

/** What is watched beside runs. */
interface Watched {
  resume(): void;
  received(frame: ConversationFrame): void;
  fail(error: TokenwireError): void;
}

/**
 * A client of one server, without conversations: it has one WebSocket, which is opened at the first use, and opened
 * again whenever it is lost. Every run goes on by itself then.
 */
export class TokenwireCore {
  /** @internal */
  readonly connection: Connection;
  /** Those that are to be resumed on a new connection. @internal */
  readonly runs = new Map<string, Run>();
  /** @internal */
  readonly conversations = new Map<string, Watched>();
  /** @internal */
  readonly options: TokenwireOptions;
  /** `https://host/prefix/v1/`. */
  #routes: URL;
  #listeners = new Set<() => void>();

  /**
   * @param url `wss://host`, `https://host` or a path relative to the page, with the path before `/v1/stream` if the
   * server is not at the root. Default: where the page comes from.
   * @throws TypeError when there is no URL and no page, or no `WebSocket`
   */
  constructor(url: string | URL = "/", options: TokenwireOptions = {}) {
    this.options = options;
    const { token, WebSocket = globalThis.WebSocket, idleMs = 60_000, reconnectForMs = Infinity } = options;
    if (!WebSocket) throw new TypeError("no WebSocket here: give one as an option");
    this.#routes = new URL(url, globalThis.location?.href);
    this.#routes.pathname = this.#routes.pathname.replace(/\/*(v1\/(stream)?)?$/, "/v1/");
    // `ws` becomes `http`, `wss` becomes `https`.
    this.#routes.protocol = this.#routes.protocol.replace("ws", "http");
    this.connection = createConnection(
      {
        url: new URL("stream", this.#routes).href.replace("http", "ws"),
        token: () => this.token(),
        isRenewable: typeof token === "function",
        WebSocket,
        idleMs,
        reconnectForMs,
      },
      {
        opened: () => {
          for (const it of [...this.conversations.values(), ...this.runs.values()]) it.resume();
        },
        received: (frame, size) => this.#received(frame, size),
        failed: (error) => this.#fail(error),
        isBusy: () => this.runs.size + this.conversations.size > 0,
        isDenied: async (token) => {
          const answer = await this.ask(token, "GET", "conversations?limit=1").catch(() => undefined);
          return answer?.status === 401;
        },
        statusChanged: () => {
          for (const listener of this.#listeners) listener();
        },
      },
    );
  }

  /** How the connection is. */
  get status(): ConnectionStatus {
    return this.connection.status();
  }

  /** Calls `listener` when `status` has changed. Returns what ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Runs a generation. Nothing is thrown: the run says what is refused. */
  start(request: StartRequest): Run {
    const { signal, tools, id = randomId(), ...rest } = request;
    const frame: StartFrame = { ...rest, type: "start", id };
    const handlers = Array.isArray(tools) ? undefined : tools;
    if (tools) frame.tools = handlers ? toolList(handlers) : (tools as Tool[]);
    return this.#run(id, handlers, frame, signal);
  }

  /** Reads a generation from its beginning: after a reload, or in another tab or device. */
  attach(id: string, { tools }: AttachOptions = {}): Run {
    return this.#run(id, tools);
  }

  /** The run of that generation, as long as this client reads it. */
  get(id: string): Run | undefined {
    return this.runs.get(id);
  }

  /** Closes the connection for good. What runs goes on as its `on_disconnect` says; here it is `lost`. */
  close(): void {
    this.connection.close();
    this.#fail(closed());
  }

  /** The run is to be resumed on every new connection, until it has left. @internal */
  join(run: Run): void {
    if (this.status === "closed") run.fail(closed());
    else this.runs.set(run.id, run);
  }

  /** @internal */
  leave(run: Run): void {
    if (this.runs.get(run.id) === run) this.runs.delete(run.id);
    this.#leaveIfDone();
  }

  /** @throws TokenwireError when too much waits for the server. @internal */
  checkRoom(): void {
    let unconfirmed = 0;
    for (const run of this.runs.values()) unconfirmed += run.unconfirmed;
    if (unconfirmed >= (this.options.maxUnconfirmed ?? 256)) {
      throw clientError("queue_full", "too much waits for the server", true);
    }
  }

  /** @internal */
  async token(): Promise<string | undefined> {
    const { token } = this.options;
    return typeof token === "function" ? token() : token;
  }

  /** The status and the JSON that a route under `/v1/` answers with. @internal */
  async ask(token: string | undefined, method: string, path: string, body?: unknown) {
    const { request } = await import("./http.js");
    return request(new URL(path, this.#routes), token, method, body);
  }

  #run(id: string, tools?: Tools, start?: StartFrame, signal?: AbortSignal): Run {
    const known = this.runs.get(id);
    if (known) return known;
    const run = new Run(this, id, start);
    if (tools) answerCalls(run, tools, !!start);
    if (signal?.aborted) {
      run.cancel();
      return run;
    }
    try {
      this.checkRoom();
      this.join(run);
      run.resume();
    } catch (error) {
      run.fail(error as TokenwireError);
    }
    if (signal) {
      const cancel = () => run.cancel();
      const done = () => signal.removeEventListener("abort", cancel);
      signal.addEventListener("abort", cancel);
      run.result.then(done, done);
    }
    return run;
  }

  #received(frame: ServerFrame, size: number): void {
    switch (frame.type) {
      case "error":
        return this.#refused(frame);
      case "conversation":
        return this.conversations.get(frame.conversation)?.received(frame);
      case "input_accepted":
        return this.runs.get(frame.id)?.accepted(frame.input_id);
      case "going_away":
        return this.#leaveIfDone();
      default:
        // An event, maybe one that only a newer client knows.
        if ("seq" in frame) this.runs.get((frame as EventFrame).id)?.received(frame as EventFrame, size);
    }
  }

  #refused(frame: ErrorFrame): void {
    const run = this.runs.get(frame.id!);
    const conversation = this.conversations.get(frame.conversation!);
    // It is sent again on the next connection.
    if (frame.code === "shutting_down" && run?.isPending) this.#leaveIfDone();
    else if (run) run.refused(frame);
    else if (conversation) conversation.fail(new TokenwireError(frame));
    else this.options.onRefused?.(new TokenwireError(frame));
  }

  /** The server goes away, but what runs on this connection may end on it. Starts wait for the next one. */
  #leaveIfDone(): void {
    if (this.connection.isLeaving() && [...this.runs.values()].every((run) => run.isPending)) this.connection.leave();
  }

  #fail(error: TokenwireError): void {
    for (const it of [...this.runs.values(), ...this.conversations.values()]) it.fail(error);
  }
}

/** @internal */
export function closed(): TokenwireError {
  return clientError("closed", "the client was closed");
}
