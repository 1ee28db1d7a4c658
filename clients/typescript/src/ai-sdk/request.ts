import type { UIMessageChunk } from "ai";
import { clientError, TokenwireError } from "../errors.js";
import { Delivered, keyOf } from "./delivered.js";
import type { AbortFrame, ReplyFrame, ResumeFrame, SendFrame } from "./frames.js";
import type { TokenwireMetadata } from "./metadata.js";

/** What a request needs of its transport. */
export interface RequestOwner {
  /** Sends a frame if the connection is open, and says whether it was. */
  say(frame: SendFrame | ResumeFrame | AbortFrame): boolean;
  /** Nothing more is to be said of it. */
  ended(request: ChatRequest): void;
}

/** One request of a chat and the stream that answers it, over as many connections as that takes. */
export class ChatRequest {
  readonly chatId: string;
  /** The answer. It ends with an `AbortError` when the generation was cancelled, by whomever. */
  readonly stream: ReadableStream<UIMessageChunk>;
  /** The stream, or null when there is nothing to resume. */
  readonly found: Promise<ReadableStream<UIMessageChunk> | null>;
  /** The generation, as soon as it is known. */
  generation: string | undefined;
  #owner: RequestOwner;
  #signal: AbortSignal | undefined;
  #frame: SendFrame | ResumeFrame;
  #wasSent = false;
  /** Whether the server has said something to it. */
  #isConfirmed = false;
  #isStopping = false;
  #isOver = false;
  #delivered = new Delivered();
  #queue: UIMessageChunk[] = [];
  /** Nobody reads the stream any more. */
  #isCancelled = false;
  /** How the stream ends. */
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  #settle!: { resolve(stream: ReadableStream<UIMessageChunk> | null): void; reject(error: Error): void };

  constructor(owner: RequestOwner, frame: SendFrame | ResumeFrame, generation?: string, signal?: AbortSignal) {
    this.#owner = owner;
    this.#signal = signal;
    this.#frame = frame;
    this.chatId = frame.id;
    this.generation = generation;
    this.found = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Who only sends has its errors in the stream.
    this.found.catch(() => {});
    this.stream = new ReadableStream(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          this.#isCancelled = true;
          this.#queue = [];
          // Who aborts cancels, too.
          if (!this.#isStopping && !signal?.aborted) this.leave();
        },
      },
      { highWaterMark: 0 },
    );
  }

  get id(): string {
    return this.#frame.requestId;
  }

  /** Whether it waits for the server's first word. */
  get isPending(): boolean {
    return !this.#isConfirmed;
  }

  /** Whether it is not yet known if there is anything to resume. */
  get isResuming(): boolean {
    return this.#frame.type === "resume" && this.isPending && !this.#isStopping;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Whether it was aborted, and it is not yet known what that means. */
  get isAborted(): boolean {
    return !!this.#signal?.aborted && !this.#isStopping;
  }

  /** Asks, now or on a new connection. */
  ask(): void {
    this.#delivered.restart();
    try {
      this.#wasSent = this.#owner.say(this.#frame) || this.#wasSent;
    } catch (error) {
      // It cannot be said in JSON.
      return this.end(error as Error);
    }
    if (this.#isStopping) this.#abort(true);
  }

  /** Ends the generation. What it has said until then, and what it has cost, is still told. */
  stop(): void {
    if (this.#isOver || this.#isStopping) return;
    // The server has never heard of it.
    if (!this.#wasSent) return this.end(aborted());
    this.#isStopping = true;
    // What has not arrived is not to be started for that.
    if (this.generation && this.generation === this.id) this.#resumeBy(this.generation);
    this.#abort(true);
  }

  /** Wants nothing more of it. The generation goes on, as its `on_disconnect` says. */
  leave(): void {
    if (this.#isOver) return;
    if (this.#wasSent) this.#abort(false);
    this.end(aborted());
  }

  received(frame: ReplyFrame): void {
    if (frame.type === "error") {
      // It is asked again on the next connection.
      if (frame.code === "shutting_down" && this.isPending) return;
      this.end(new TokenwireError(frame));
    } else if (frame.type === "no-active") {
      this.#gone();
    } else {
      this.#isConfirmed = true;
      this.#settle.resolve(this.stream);
      if (frame.type === "chunk") this.#take(frame.chunk);
      else if (frame.type === "end") this.end();
    }
  }

  /** Ends the stream, behind what waits to be read. */
  end(error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error ??= error;
    if (this.#error) this.#settle.reject(this.#error);
    this.#wake?.();
    this.#owner.ended(this);
  }

  #abort(stop: boolean): void {
    this.#owner.say({ type: "abort", requestId: this.id, stop });
  }

  /** From the next connection on, the whole answer is asked for by its name. */
  #resumeBy(generation: string): void {
    this.#frame = { type: "resume", requestId: this.id, id: this.chatId, generation };
  }

  /** The server has no such answer. */
  #gone(): void {
    this.#settle.resolve(null);
    if (this.#isStopping) this.end(aborted());
    else if (this.isPending) this.end();
    else this.end(clientError("generation_not_found", "the server no longer has the answer"));
  }

  #take(chunk: UIMessageChunk): void {
    const metadata = "messageMetadata" in chunk ? (chunk.messageMetadata as TokenwireMetadata | undefined) : undefined;
    if (chunk.type === "start" && metadata?.generationId) {
      if (!this.#delivered.isEmpty && metadata.generationId !== this.generation) {
        // The one that was read is gone, and another one was started in its place.
        this.#abort(true);
        return this.#gone();
      }
      this.generation = metadata.generationId;
      this.#resumeBy(metadata.generationId);
    }
    const rest = this.#delivered.restOf(chunk);
    if (!rest) return;
    if (metadata?.error) {
      const { retryAfterMs, ...error } = metadata.error;
      this.#error = new TokenwireError({ ...error, retry_after_ms: retryAfterMs });
    }
    if (chunk.type === "abort") this.#error = aborted();
    // The stream ends with the error itself.
    if (this.#isCancelled || (chunk.type === "error" && this.#error)) return;
    this.#put(rest);
  }

  #put(chunk: UIMessageChunk): void {
    const last = this.#queue.at(-1);
    // A reader that is slow finds one long delta: what waits is not more than the answer.
    if (last && "delta" in last && "delta" in chunk && keyOf(last) === keyOf(chunk)) {
      this.#queue[this.#queue.length - 1] = { ...last, delta: `${last.delta}${chunk.delta}` };
    } else {
      this.#queue.push(chunk);
    }
    this.#wake?.();
  }

  async #pull(controller: ReadableStreamDefaultController<UIMessageChunk>): Promise<void> {
    while (!this.#queue.length && !this.#isOver) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#isCancelled) return;
    const chunk = this.#queue.shift();
    if (chunk) controller.enqueue(chunk);
    else if (this.#error) controller.error(this.#error);
    else controller.close();
  }
}

/** What the AI SDK takes for a stop. */
export function aborted(): Error {
  return new DOMException("the answer was stopped", "AbortError");
}
