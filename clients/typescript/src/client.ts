import { Connection, type ConnectionStatus, type TokenSource, type WebSocketClass } from "./connection.js";
import { Conversation } from "./conversation.js";
import { clientError, TokenwireError } from "./errors.js";
import type { Routes } from "./http.js";
import type { ErrorFrame, EventFrame, ServerFrame, StartFrame, Tool } from "./protocol.js";
import { randomId, Run, type RunOwner } from "./run.js";
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

/** Options of `Tokenwire.conversation`. */
export interface ConversationOptions {
  /** A token of the owner's, to watch a conversation of somebody else's. */
  share?: string;
}

/**
 * A client of one server: it has one WebSocket, which is opened at the first use, and opened again whenever it is lost.
 * Every run and conversation goes on by itself then.
 */
export class Tokenwire {
  #connection: Connection;
  #routes: Routes;
  #runs = new Map<string, Run>();
  #conversations = new Map<string, Conversation>();
  #listeners = new Set<() => void>();
  #maxUnconfirmed: number;
  #onRefused: (error: TokenwireError) => void;
  #runOwner: RunOwner;

  /**
   * @param url `wss://host`, `https://host` or a path relative to the page, with the path before `/v1/stream` if the
   * server is not at the root. Default: where the page comes from.
   * @throws TypeError when there is no URL and no page, or no `WebSocket`
   */
  constructor(url?: string | URL, options: TokenwireOptions = {}) {
    const { token, WebSocket = globalThis.WebSocket, idleMs = 60_000, reconnectForMs = Infinity } = options;
    if (!WebSocket) throw new TypeError("this runtime has no WebSocket: give one as an option");
    const routes: Routes = {
      url: routesOf(url),
      token: async () => (typeof token === "function" ? token() : token),
    };
    this.#routes = routes;
    const stream = new URL("stream", routes.url);
    stream.protocol = stream.protocol.replace("http", "ws");
    this.#maxUnconfirmed = options.maxUnconfirmed ?? 256;
    this.#onRefused = options.onRefused ?? (() => {});
    this.#connection = new Connection(
      {
        url: stream.href,
        token: routes.token,
        isRenewable: typeof token === "function",
        WebSocket,
        idleMs,
        reconnectForMs,
      },
      {
        opened: () => this.#resume(),
        received: (frame, size) => this.#received(frame, size),
        failed: (error) => this.#fail(error),
        isBusy: () => this.#runs.size + this.#conversations.size > 0,
        isDenied: async (token) => (await import("./http.js")).isDenied(routes, token),
        statusChanged: () => this.#listeners.forEach((listener) => listener()),
      },
    );
    this.#runOwner = {
      send: (frame) => this.#connection.send(frame),
      hasRoom: () => this.#hasRoom(),
      joined: (run) => {
        if (this.status === "closed") run.fail(closed());
        else this.#runs.set(run.id, run);
      },
      left: (run) => {
        if (this.#runs.get(run.id) === run) this.#runs.delete(run.id);
        this.#leaveIfDone();
      },
      refused: this.#onRefused,
      maxBuffered: options.maxBuffered ?? 1_048_576,
    };
  }

  /** How the connection is. */
  get status(): ConnectionStatus {
    return this.#connection.status;
  }

  /** Calls `listener` when `status` has changed. Returns what ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Runs a generation. Nothing is thrown: the run says what the server refuses.
   */
  start(request: StartRequest): Run {
    const { signal, tools, id = randomId(), ...rest } = request;
    const known = this.#runs.get(id);
    if (known) return known;
    const handlers = tools && !Array.isArray(tools) ? tools : undefined;
    const frame: StartFrame = { ...rest, type: "start", id };
    if (tools) frame.tools = handlers ? toolList(handlers) : (tools as Tool[]);
    const run = new Run(this.#runOwner, id, frame);
    if (handlers) answerCalls(run, handlers, true);
    if (this.status === "closed") run.fail(closed());
    else if (!this.#hasRoom()) run.fail(clientError("queue_full", "too much waits for the server", true));
    else if (signal?.aborted) run.cancel();
    else this.#join(run);
    if (signal) stopOn(signal, run);
    return run;
  }

  /** Reads a generation from its beginning: after a reload, or in another tab or device. */
  attach(id: string, { tools }: AttachOptions = {}): Run {
    const known = this.#runs.get(id);
    if (known) return known;
    const run = new Run(this.#runOwner, id);
    if (tools) answerCalls(run, tools, false);
    if (this.status === "closed") run.fail(closed());
    else this.#join(run);
    return run;
  }

  /** The run of that generation, as long as this client reads it. */
  get(id: string): Run | undefined {
    return this.#runs.get(id);
  }

  /** Watches a conversation. One that nobody has begun is made by its first generation. */
  conversation(id: string, { share }: ConversationOptions = {}): Conversation {
    const known = this.#conversations.get(id);
    if (known) return known;
    const conversation: Conversation = new Conversation(
      {
        send: (frame) => this.#connection.send(frame),
        start: (request) => this.start(request),
        run: (id) => this.#watched(id),
        routes: this.#routes,
        left: () => void this.#conversations.delete(id),
      },
      id,
      share,
    );
    if (this.status === "closed") {
      conversation.fail(closed());
    } else {
      this.#conversations.set(id, conversation);
      conversation.resume();
    }
    return conversation;
  }

  /** Closes the connection for good. What runs goes on as its `on_disconnect` says; here it is `lost`. */
  close(): void {
    this.#connection.close();
    this.#fail(closed());
  }

  #join(run: Run): void {
    this.#runs.set(run.id, run);
    run.resume();
  }

  /** The run of a generation to which watching a conversation attaches. */
  #watched(id: string): Run {
    const run = this.#runs.get(id) ?? new Run(this.#runOwner, id);
    this.#runs.set(id, run);
    return run;
  }

  #hasRoom(): boolean {
    let unconfirmed = 0;
    for (const run of this.#runs.values()) unconfirmed += run.unconfirmed;
    return unconfirmed < this.#maxUnconfirmed;
  }

  #resume(): void {
    for (const conversation of [...this.#conversations.values()]) conversation.resume();
    for (const run of [...this.#runs.values()]) {
      const isWatched = [...this.#conversations.values()].some((conversation) => conversation.looksOnAt(run.id));
      if (!isWatched) run.resume();
    }
  }

  #received(frame: ServerFrame, size: number): void {
    switch (frame.type) {
      case "error":
        return this.#refused(frame);
      case "conversation":
        return this.#conversations.get(frame.conversation)?.received(frame);
      case "input_accepted":
        return this.#runs.get(frame.id)?.accepted(frame.input_id);
      case "going_away":
        return this.#leaveIfDone();
      case "hello":
      case "pong":
        return;
      default:
        // An event, maybe one that a newer server says.
        if (Number.isInteger((frame as EventFrame).seq)) this.#runs.get(frame.id)?.received(frame, size);
    }
  }

  #refused(frame: ErrorFrame): void {
    const run = frame.id === undefined ? undefined : this.#runs.get(frame.id);
    const conversation = frame.conversation === undefined ? undefined : this.#conversations.get(frame.conversation);
    if (frame.code === "shutting_down" && run?.isPending) return this.#leaveIfDone();
    if (run) run.refused(frame);
    else if (conversation) conversation.refused(frame);
    else this.#onRefused(new TokenwireError(frame));
  }

  /** The server goes away, but what runs on this connection may end on it. Starts wait for the next one. */
  #leaveIfDone(): void {
    if (this.#connection.isLeaving && [...this.#runs.values()].every((run) => run.isPending)) this.#connection.leave();
  }

  #fail(error: TokenwireError): void {
    for (const run of [...this.#runs.values()]) run.fail(error);
    for (const conversation of [...this.#conversations.values()]) conversation.fail(error);
  }
}

/** Where the server's routes are: `https://host/prefix/v1/`. */
function routesOf(url: string | URL | undefined): URL {
  const page = globalThis.location?.href;
  const routes = new URL(url ?? "/", page?.startsWith("http") ? page : undefined);
  routes.protocol = routes.protocol.replace(/^ws/, "http");
  routes.pathname = routes.pathname.replace(/\/*(v1\/(stream)?)?$/, "/v1/");
  return routes;
}

function closed(): TokenwireError {
  return clientError("closed", "the client was closed");
}

function stopOn(signal: AbortSignal, run: Run): void {
  const stop = () => run.cancel();
  const done = () => signal.removeEventListener("abort", stop);
  signal.addEventListener("abort", stop, { once: true });
  run.result.then(done, done);
}
