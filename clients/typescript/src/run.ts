import { type Answer, AnswerBuilder, isTerminal } from "./answer.js";
import type { TokenwireCore } from "./core.js";
import { clientError, TokenwireError } from "./errors.js";
import type {
  ApproveFrame,
  CancelFrame,
  Content,
  DenyFrame,
  ErrorFrame,
  EventFrame,
  InputFrame,
  Message,
  StartFrame,
  ToolResultFrame,
} from "./protocol.js";
import { deltaOf, EventQueue } from "./queue.js";

/** Listeners of an answer hear of changes at most once in so many milliseconds. */
const NOTIFY_EVERY_MS = 16;

/** A place in the log, with the characters of all deltas before it. */
interface Place {
  seq: number;
  chars: number;
}

/** Somebody who reads the events one by one. */
interface Reader extends Place {
  queue: EventQueue;
  /**
   * `behind`: it had no room, so it takes nothing until it has caught up. `asking`: it takes nothing until the log, which
   * is read again for it, begins to come.
   */
  state: "reading" | "behind" | "asking";
}

/** A frame that is sent again until the server confirms it: each may safely arrive twice. */
interface Asked {
  frame: ToolResultFrame | ApproveFrame | DenyFrame | InputFrame | CancelFrame;
  resolve?(): void;
  reject?(error: TokenwireError): void;
}

/** Options of `Run.input`. */
export interface InputOptions {
  /** Cut the running turn off, and go on from the text so far. Default false. */
  interrupt?: boolean;
  /** A name for these messages, repeated in the `input` event. Default: a random one. */
  input_id?: string;
}

/**
 * A generation as this client sees it: started by `Tokenwire.start`, found again by `Tokenwire.attach`, or seen in a
 * `Conversation`.
 *
 * It is an async iterable of the generation's events, from the first to the terminal one. It can be iterated at any
 * time and more than once, also after its end, as long as the server keeps the generation. Iterating throws a
 * `TokenwireError` when the start is refused or the rest of the events cannot be had; a generation that fails is no
 * exception there: `failed` is its last event.
 */
export class Run implements AsyncIterable<EventFrame> {
  /** The generation's name. Kept across a reload, `Tokenwire.attach` finds the generation again. */
  readonly id: string;
  /**
   * Resolves with the whole answer when the generation has finished or was cancelled. Rejects with a `TokenwireError`
   * when it failed, was refused or is lost; `Run.answer` has what arrived until then.
   */
  readonly result: Promise<Answer>;
  #client: TokenwireCore;
  /** Until the server's `started`. */
  #start: StartFrame | undefined;
  #wasSent = false;
  #asked: Asked[] = [];
  /** Whether they were sent more than once, so that a refusal may mean that the first had arrived. */
  #hasRepeated = false;
  #epoch: string | undefined;
  /** Up to where the connection's frames have come. */
  #place: Place = { seq: 0, chars: 0 };
  /** Up to where the answer has them. */
  #seen: Place = { seq: 0, chars: 0 };
  #readers = new Set<Reader>();
  #builder: AnswerBuilder;
  #isOver = false;
  /** Whether the events of the ended generation are not wanted for now. */
  #isPaused = false;
  #error: TokenwireError | undefined;
  #done!: { resolve(answer: Answer): void; reject(error: TokenwireError): void };
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Hears of each event once. @internal */
  observer: ((frame: EventFrame) => void) | undefined;

  /** What is kept of the answer, when nothing of its events is. @internal */
  rescue: (() => Promise<Partial<Answer> | undefined>) | undefined;

  /** Whether it can only be read by watching its conversation. @internal */
  isViewer = false;

  /** @internal */
  constructor(client: TokenwireCore, id: string, start?: StartFrame) {
    this.#client = client;
    this.id = id;
    this.#start = start;
    this.#wasSent = !start;
    this.#builder = new AnswerBuilder(id);
    this.result = new Promise((resolve, reject) => (this.#done = { resolve, reject }));
    // Who only iterates has its errors there.
    this.result.catch(() => {});
  }

  /** Everything up to now: the same object until something changes. */
  get answer(): Answer {
    return this.#builder.answer;
  }

  /**
   * Calls `listener` when `answer` has changed, at most some sixty times a second and at once at the end. Returns what
   * ends it. Together with `answer` it is what React's `useSyncExternalStore` takes.
   */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * The pieces of the text as they arrive. Throws a `TokenwireError` when the generation fails or its events cannot be
   * had, so text that ends without one is complete, or was cancelled.
   */
  get text(): AsyncIterable<string> {
    const run = this;
    return {
      async *[Symbol.asyncIterator]() {
        for await (const event of run) {
          if (event.type === "text") yield event.delta;
          else if (event.type === "failed") throw new TokenwireError(event.error);
        }
      },
    };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EventFrame, void, undefined> {
    const queue = new EventQueue(this.#client.options.maxBuffered ?? 1_048_576);
    const reader: Reader = { queue, seq: 0, chars: 0, state: "reading" };
    this.#readers.add(reader);
    if (this.#error || (this.#isOver && !this.#seen.seq)) queue.end(this.#error);
    else if (this.#place.seq) this.#reread(reader);
    try {
      for (;;) {
        if (reader.state === "behind" && !queue.length) this.#reread(reader);
        const event = await queue.next();
        if (!event) return;
        yield event;
        if (isTerminal(event)) return;
      }
    } finally {
      this.#readers.delete(reader);
      this.#pauseOrLeave();
    }
  }

  /** Stops the generation, in whichever state it is. What has arrived stays; `cancelled` is its last event. */
  cancel(reason?: string): void {
    if (this.#asked.some(({ frame }) => frame.type === "cancel")) return;
    if (this.#wasSent) {
      this.#ask({ type: "cancel", id: this.id, reason });
    } else {
      // The server has never heard of it.
      this.#end({ status: "cancelled", by: "client", reason });
      this.#client.leave(this);
    }
  }

  /** Lets a tool call be carried out that waits for it, with other arguments than the model's if there are any. */
  approve(callId: string, args?: Record<string, unknown>): void {
    this.#ask({ type: "approve", id: this.id, call_id: callId, arguments: args });
  }

  /** Refuses a tool call that waits for approval. The model is told so, with the reason, and goes on. */
  deny(callId: string, reason?: string): void {
    this.#ask({ type: "deny", id: this.id, call_id: callId, reason });
  }

  /** Answers a tool call. The first answer, of whichever device, wins. */
  toolResult(callId: string, content: Content, isError = false): void {
    this.#ask({ type: "tool_result", id: this.id, call_id: callId, content, is_error: isError });
  }

  /**
   * Steers: adds messages that the model sees at its next turn boundary. Resolves when the server has taken them; rejects
   * with `too_late` when the generation takes no more, and the messages are for another start with `continue_from`.
   */
  input(messages: Message[] | string, options: InputOptions = {}): Promise<void> {
    const { interrupt, input_id = randomId() } = options;
    if (typeof messages === "string") messages = [{ role: "user", content: messages }];
    const frame: InputFrame = { type: "input", id: this.id, messages, interrupt, input_id };
    const taken = new Promise<void>((resolve, reject) => {
      if (this.#isOver) throw tooLate();
      this.#ask(frame, resolve, reject);
    });
    // Who does not wait for it sees in the events what became of it.
    taken.catch(() => {});
    return taken;
  }

  /**
   * Stops watching, without stopping the generation; when nobody else watches, its `on_disconnect` decides. The run is
   * `lost` with code `detached`.
   */
  detach(): void {
    if (this.#isOver) return;
    if (this.#wasSent) this.#client.connection.send({ type: "detach", id: this.id });
    this.fail(clientError("detached", "detached by Run.detach"));
  }

  /** Whether it waits for its `started`. @internal */
  get isPending(): boolean {
    return this.#start !== undefined;
  }

  /** How many frames wait for the server's word. @internal */
  get unconfirmed(): number {
    return this.#asked.length + (this.#start ? 1 : 0);
  }

  /** Sends on a new connection what was not answered on the one before. @internal */
  resume(): void {
    const waiting: Place[] = [];
    for (const reader of this.#readers) {
      if (reader.state === "behind") continue;
      reader.state = "reading";
      waiting.push(reader);
    }
    if (!this.#isOver) waiting.push(this.#seen);
    if (!waiting.length || this.isViewer) return;
    // Whoever has read least decides from where.
    const { seq, chars } = waiting.reduce((a, b) => (b.seq < a.seq ? b : a));
    this.#place = { seq, chars };
    const frame = this.#start ?? { type: "attach" as const, id: this.id, after: seq, epoch: this.#epoch };
    try {
      this.#wasSent = this.#client.connection.send(frame) || this.#wasSent;
    } catch (error) {
      return this.fail(error as TokenwireError);
    }
    this.#hasRepeated ||= this.#asked.length > 0;
    for (const asked of this.#asked) this.#say(asked);
  }

  /** Takes an event. @internal */
  received(frame: EventFrame, size: number): void {
    // The first event comes again only when the log is read again from its beginning.
    const isFirst = frame.seq === 1;
    if (isFirst) this.#place = { seq: 0, chars: 0 };
    const { chars } = this.#place;
    this.#place = { seq: frame.seq, chars: chars + (deltaOf(frame)?.length ?? 0) };
    for (const reader of this.#readers) {
      if (isFirst && reader.state === "asking") reader.state = "reading";
      if (reader.state !== "reading") continue;
      const rest = this.#restOf(frame, chars, reader);
      if (!rest) continue;
      if (reader.queue.push(rest, size)) Object.assign(reader, this.#place);
      else reader.state = "behind";
    }
    const rest = this.#restOf(frame, chars, this.#seen);
    if (rest && !this.#isOver) this.#take(rest);
    else if (this.#isOver) this.#pauseOrLeave();
  }

  /** What of a frame is behind a place: all, nothing, or the end of merged deltas. */
  #restOf(frame: EventFrame, chars: number, place: Place): EventFrame | undefined {
    if (frame.seq <= place.seq) return undefined;
    const delta = deltaOf(frame);
    if (delta === undefined || place.chars <= chars) return frame;
    return { ...frame, delta: delta.slice(place.chars - chars) } as EventFrame;
  }

  #take(frame: EventFrame): void {
    this.#seen = { ...this.#place };
    this.#start = undefined;
    if (frame.type === "started") this.#epoch = frame.epoch;
    if (frame.type === "tool_result" || frame.type === "tool_decision") {
      // A result also says that there was a decision.
      this.#settle((asked) => {
        const isAbout = "call_id" in asked && asked.call_id === frame.call_id;
        return isAbout && (frame.type === "tool_result" || asked.type !== "tool_result");
      });
    }
    this.#builder.apply(frame);
    if (isTerminal(frame)) this.#finish();
    else this.#notify();
    this.observer?.(frame);
  }

  /** An `input` was taken. @internal */
  accepted(inputId: string): void {
    this.#settle((asked) => asked.type === "input" && asked.input_id === inputId);
  }

  /** Something about it was refused. @internal */
  refused(frame: ErrorFrame): void {
    const error = new TokenwireError(frame);
    const { code } = error;
    if (this.#start || code === "gap" || code === "generation_not_found" || code === "too_many_attachments") {
      this.fail(error, this.#start ? "failed" : "lost");
    } else if (code === "too_late") {
      // Inputs are answered in order.
      const first = this.#asked.find((asked) => asked.frame.type === "input");
      this.#settle((asked) => asked === first?.frame, error);
    } else if (!this.#hasRepeated || !["already_resolved", "call_not_found", "generation_ended"].includes(code)) {
      this.#client.options.onRefused?.(error);
    }
  }

  /** No more of it can be had: nothing was made of it, or it is out of reach. @internal */
  fail(error: TokenwireError, status: "failed" | "lost" = this.#wasSent ? "lost" : "failed"): void {
    const isGone = error.code === "generation_not_found" || error.code === "gap";
    if (isGone && this.rescue && !this.#seen.seq) {
      const kept = this.rescue();
      this.rescue = undefined;
      void kept.then(
        (answer) => this.#end(answer ?? { status, error }, error),
        () => this.#end({ status, error }, error),
      );
    } else {
      this.#end({ status, error }, error);
    }
    this.#client.leave(this);
  }

  #end(answer: Partial<Answer>, error?: TokenwireError): void {
    for (const reader of this.#readers) reader.queue.end(error);
    if (this.#isOver) return;
    this.#error = error;
    this.#builder.restore(answer);
    this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#start = undefined;
    this.#settle(() => true, tooLate());
    const { answer } = this;
    if (answer.error) this.#done.reject(answer.error);
    else this.#done.resolve(answer);
    this.#pauseOrLeave();
    this.#tell();
  }

  /** Sends a frame, now and on every connection to come, until the server confirms it. */
  #ask(frame: Asked["frame"], resolve?: () => void, reject?: (error: TokenwireError) => void): void {
    if (this.#isOver) return;
    this.#client.checkRoom();
    const asked = { frame, resolve, reject };
    this.#asked.push(asked);
    this.#say(asked);
  }

  #say({ frame, reject = this.#client.options.onRefused }: Asked): void {
    try {
      this.#client.connection.send(frame);
    } catch (error) {
      this.#settle((asked) => asked === frame);
      reject?.(error as TokenwireError);
    }
  }

  /** Those have arrived, or are refused. */
  #settle(isIt: (frame: Asked["frame"]) => boolean, error?: TokenwireError): void {
    const settled = this.#asked.filter(({ frame }) => isIt(frame));
    this.#asked = this.#asked.filter(({ frame }) => !isIt(frame));
    for (const { resolve, reject } of settled) error ? reject?.(error) : resolve?.();
  }

  /** Reads the log again from its beginning, for a reader that is behind; the others skip what they have. */
  #reread(reader: Reader): void {
    reader.state = "asking";
    this.#isPaused = false;
    this.#client.join(this);
    this.#client.connection.send({ type: "attach", id: this.id, after: 0, epoch: this.#epoch });
  }

  /** After the end: nothing is left to read, or no reader has room for it now. */
  #pauseOrLeave(): void {
    if (!this.#isOver) return;
    const reading = [...this.#readers].filter(({ seq }) => seq < this.#seen.seq);
    if (!reading.length) {
      this.#client.leave(this);
    } else if (!this.#isPaused && reading.every(({ state }) => state === "behind")) {
      this.#isPaused = true;
      this.#client.connection.send({ type: "detach", id: this.id });
    }
  }

  #notify(): void {
    this.#timer ??= setTimeout(() => this.#tell(), NOTIFY_EVERY_MS);
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const listener of this.#listeners) listener();
  }
}

function tooLate(): TokenwireError {
  return clientError("too_late", "it has ended");
}

/** A random name of some thirteen letters and digits. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(2)), (number) => number.toString(36)).join("");
}
