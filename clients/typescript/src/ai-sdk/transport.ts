import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import {
  type Connection,
  type ConnectionStatus,
  createConnection,
  type TokenSource,
  type WebSocketClass,
} from "../connection.js";
import { clientError, type TokenwireError } from "../errors.js";
import { randomId } from "../run.js";
import type { ReplyFrame, ResumeFrame, SendFrame } from "./frames.js";
import type { TokenwireMetadata } from "./metadata.js";
import { ChatRequest } from "./request.js";
import { adapted } from "./socket.js";

/** A value, a promise of one, or who is asked for one before each request. */
type Resolvable<T> = T | PromiseLike<T> | (() => T | PromiseLike<T>);

/** What is about to be sent. */
export interface PreparedRequest<M extends UIMessage = UIMessage> {
  /** The chat. */
  id: string;
  trigger: "submit-message" | "regenerate-message";
  messageId: string | undefined;
  messages: M[];
  /** That of the transport, and over it that of the request. */
  body: object;
  requestMetadata: unknown;
}

/** Options of a `TokenwireChatTransport`. */
export interface TokenwireChatTransportOptions<M extends UIMessage = UIMessage> {
  /**
   * `wss://host`, `https://host` or a path relative to the page, with the path before `/v1/ai-sdk` if the server is not
   * at the root. Default: where the page comes from.
   */
  url?: string | URL;
  /** What to ask for: `model`, `system` and other fields of a `start`. A request's own `body` goes over it. */
  body?: Resolvable<object>;
  /** Sends other messages than those of the chat, or another body. */
  prepareSendMessagesRequest?: (
    request: PreparedRequest<M>,
  ) => { messages?: M[]; body?: object } | PromiseLike<{ messages?: M[]; body?: object }>;
  /**
   * What an `abortSignal` means: the generation stops, or it is only left. The AI SDK aborts for its `stop()`, and also
   * when the component of a `useChat` goes away that has made its own chat. Default `"stop"`.
   */
  abort?: "stop" | "leave";
  /**
   * The key that the server wants, or a function that gives one. The function is called before each connection, and
   * once more at once when the server refuses what it gave.
   */
  token?: TokenSource;
  /** A class like the browser's `WebSocket`, for a runtime without one, such as `ws` on Node 20. */
  WebSocket?: WebSocketClass;
  /** The connection is closed when nothing was to be read or sent for so long; the next use opens it. Default 60,000. */
  idleMs?: number;
  /** Without a connection for longer, every stream ends with `connection_lost`. Default: it is never given up. */
  reconnectForMs?: number;
}

/**
 * The AI SDK's way to a Tokenwire server, for `useChat` and every other `Chat`. All chats of a page share its WebSocket,
 * which is opened at the first use, and opened again whenever it is lost: answers then go on where they were.
 *
 * Errors of a stream are a `TokenwireError`. `headers` of a request are not sent: a WebSocket has none.
 */
export class TokenwireChatTransport<M extends UIMessage = UIMessage> implements ChatTransport<M> {
  /** What is resumed comes from its beginning. */
  readonly resumeStreamIsReplay = true;
  #options: TokenwireChatTransportOptions<M>;
  /** Made at the first use, so that a transport can be made where there is no page. */
  #connection: Connection | undefined;
  #isClosed = false;
  #requests = new Map<string, ChatRequest>();
  /** By chat: the generation that was stopped last, if nobody has read its end. */
  #stopped = new Map<string, string>();
  #listeners = new Set<() => void>();

  constructor(options: TokenwireChatTransportOptions<M> = {}) {
    this.#options = options;
  }

  /** How the connection is. */
  get status(): ConnectionStatus {
    return this.#connection?.status() ?? (this.#isClosed ? "closed" : "idle");
  }

  /** Calls `listener` when `status` has changed. Returns what ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async sendMessages(
    options: Parameters<ChatTransport<M>["sendMessages"]>[0],
  ): Promise<ReadableStream<UIMessageChunk>> {
    const { chatId, trigger, messageId, abortSignal, metadata } = options;
    const { body, prepareSendMessagesRequest } = this.#options;
    const prepared = {
      messages: options.messages,
      body: { ...(await (typeof body === "function" ? body() : body)), ...options.body },
    };
    const request = { id: chatId, trigger, messageId, requestMetadata: metadata };
    Object.assign(prepared, await prepareSendMessagesRequest?.({ ...request, ...prepared }));
    abortSignal?.throwIfAborted();
    // The chat goes on: two streams at a time would write over each other.
    this.#leave(chatId, (request) => request.isResuming);
    this.#stopped.delete(chatId);
    const id = randomId();
    const frame = { type: "send", requestId: id, id: chatId, trigger, messageId, metadata, generation: id } as const;
    return this.#ask({ ...frame, ...prepared }, continued(options) ?? id, abortSignal).stream;
  }

  /** The answer that is being made in a chat, or the end of the one that was stopped last; null if there is neither. */
  async reconnectToStream(
    options: Parameters<ChatTransport<M>["reconnectToStream"]>[0],
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    const { chatId, abortSignal } = options;
    abortSignal?.throwIfAborted();
    // The chat aborts one resumption for the next: that is no stop.
    this.#leave(chatId, (request) => request.isAborted);
    const generation = this.#stopped.get(chatId);
    this.#stopped.delete(chatId);
    const frame: ResumeFrame = { type: "resume", requestId: randomId(), id: chatId, generation };
    return this.#ask(frame, generation, abortSignal).found;
  }

  /**
   * Stops what runs in a chat. Other than by the chat's own `stop()`, its message still gets the rest of the text and the
   * usage; then the chat is told of the abort.
   */
  stop(chatId: string): void {
    for (const request of this.#requests.values()) if (request.chatId === chatId) request.stop();
  }

  /** Closes the connection for good. What runs goes on, as its `on_disconnect` says; every stream ends with `closed`. */
  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
    this.#fail(closed());
  }

  #leave(chatId: string, which: (request: ChatRequest) => boolean): void {
    for (const request of this.#requests.values()) if (request.chatId === chatId && which(request)) request.leave();
  }

  #ask(frame: SendFrame | ResumeFrame, generation: string | undefined, signal: AbortSignal | undefined): ChatRequest {
    if (this.#isClosed) throw closed();
    const connection = (this.#connection ??= this.#connect());
    const stop = () => {
      request.stop();
      // The chat has stopped to read.
      if (request.isStopping && request.generation) this.#stopped.set(request.chatId, request.generation);
    };
    const abort = () => {
      if (this.#options.abort === "leave") request.leave();
      else if (frame.type === "send") stop();
      // Unless the chat resumes anew at once.
      else queueMicrotask(stop);
    };
    const owner = {
      say: (frame: object) => connection.send(frame),
      ended: () => {
        signal?.removeEventListener("abort", abort);
        this.#requests.delete(request.id);
        this.#leaveIfDone();
      },
    };
    const request = new ChatRequest(owner, frame, generation, signal);
    this.#requests.set(request.id, request);
    signal?.addEventListener("abort", abort);
    request.ask();
    return request;
  }

  #connect(): Connection {
    const {
      url = "/",
      token,
      WebSocket = globalThis.WebSocket,
      idleMs = 60_000,
      reconnectForMs = Infinity,
    } = this.#options;
    if (!WebSocket) throw new TypeError("no WebSocket here: give one as an option");
    const socketUrl = new URL(url, globalThis.location?.href);
    socketUrl.pathname = socketUrl.pathname.replace(/\/*(v1\/(ai-sdk)?)?$/, "/v1/ai-sdk");
    // `http` becomes `ws`, `https` becomes `wss`.
    socketUrl.protocol = socketUrl.protocol.replace("http", "ws");
    return createConnection(
      {
        url: socketUrl.href,
        token: async () => (typeof token === "function" ? token() : token),
        isRenewable: typeof token === "function",
        WebSocket: adapted(WebSocket),
        idleMs,
        reconnectForMs,
      },
      {
        opened: () => {
          for (const request of [...this.#requests.values()]) request.ask();
        },
        received: (frame: unknown) => this.#received(frame as ReplyFrame),
        failed: (error) => this.#fail(error),
        isBusy: () => this.#requests.size > 0,
        isDenied: async (token) => {
          const { request } = await import("../http.js");
          const route = new URL("conversations?limit=1", socketUrl.href.replace("ws", "http"));
          const answer = await request(route, token, "GET").catch(() => undefined);
          return answer?.status === 401;
        },
        statusChanged: () => {
          for (const listener of this.#listeners) listener();
        },
      },
    );
  }

  #received(frame: ReplyFrame): void {
    this.#requests.get(frame.requestId)?.received(frame);
    this.#leaveIfDone();
  }

  /** The server goes away, but what it says on this connection may end on it. Other requests wait for the next one. */
  #leaveIfDone(): void {
    const connection = this.#connection!;
    if (connection.isLeaving() && [...this.#requests.values()].every(({ isPending }) => isPending)) connection.leave();
  }

  #fail(error: TokenwireError): void {
    for (const request of [...this.#requests.values()]) request.end(error);
  }
}

/** The generation that wrote the message which the answer goes on with. */
function continued<M extends UIMessage>({
  trigger,
  messageId,
  messages,
}: Parameters<ChatTransport<M>["sendMessages"]>[0]) {
  const message = messages.find(({ id }) => id === messageId) ?? messages.at(-1);
  if (trigger === "regenerate-message" || message?.role !== "assistant") return undefined;
  return (message.metadata as TokenwireMetadata | undefined)?.generationId;
}

function closed(): TokenwireError {
  return clientError("closed", "the transport was closed");
}
