import { clientError, TokenwireError } from "./errors.js";
import type { ClientFrame, ConversationFrame, ErrorFrame, Message } from "./protocol.js";
import type { Routes } from "./http.js";
import type { Run } from "./run.js";
import type { StartRequest } from "./client.js";

/** A generation of which nothing has come for so long is asked for: its log may be gone. */
const EXPECTED_WITHIN_MS = 1_000;

const http = () => import("./http.js");

/** A generation of a conversation, with what started it. */
export interface ConversationGeneration {
  /** The generation. */
  readonly id: string;
  /** As its start had it. */
  readonly model: string;
  /** The messages of its start. */
  readonly messages: readonly Message[];
  /** The generation that it continues. */
  readonly continue_from?: string;
  /** The generation itself: its answer, its events, and what can be asked of it. */
  readonly run: Run;
}

/** Everything of a conversation up to now. It never changes: `Conversation.state` is another object after each change. */
export interface ConversationState {
  /** The conversation. */
  readonly id: string;
  /** Its generations, the oldest first. Their answers change by themselves: see `Run.subscribe`. */
  readonly generations: readonly ConversationGeneration[];
  /** What it was renamed to while it was watched. */
  readonly title?: string;
  /** Whether it was deleted. */
  readonly isDeleted: boolean;
  /** Why it cannot be watched any more. */
  readonly error?: TokenwireError;
}

/** What a conversation needs of its client. */
export interface ConversationOwner {
  send(frame: ClientFrame): boolean;
  start(request: StartRequest): Run;
  /** The run of that generation; a new one if it is not known. */
  run(id: string): Run;
  routes: Routes;
  left(conversation: Conversation): void;
}

/**
 * A conversation that is watched: every generation that belongs to it, of whichever device, with the messages that
 * started it. It is an async iterable of the generations, those that are there first, then each as it is started.
 */
export class Conversation implements AsyncIterable<ConversationGeneration> {
  /** The conversation's name, chosen by the application. */
  readonly id: string;
  #owner: ConversationOwner;
  #share: string | undefined;
  #seq = 0;
  #epoch: string | undefined;
  #seqs = new Map<string, number>();
  #state: ConversationState;
  #listeners = new Set<() => void>();

  /** @internal */
  constructor(owner: ConversationOwner, id: string, share?: string) {
    this.#owner = owner;
    this.id = id;
    this.#share = share;
    this.#state = { id, generations: [], isDeleted: false };
  }

  /** Everything up to now: the same object until something changes. */
  get state(): ConversationState {
    return this.#state;
  }

  /** Calls `listener` when `state` has changed. Returns what ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Ends when the conversation is deleted or closed; throws a `TokenwireError` when it cannot be watched any more. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ConversationGeneration, void, undefined> {
    const seen = new Set<Run>();
    for (;;) {
      const { generations, isDeleted, error } = this.#state;
      const next = generations.find(({ run }) => !seen.has(run));
      if (next) {
        seen.add(next.run);
        yield next;
      } else if (error && error.code !== "closed") {
        throw error;
      } else if (isDeleted || error) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          const stop = this.subscribe(() => (stop(), resolve()));
        });
      }
    }
  }

  /** Starts a generation in it. */
  start(request: Omit<StartRequest, "conversation">): Run {
    return this.#owner.start({ ...request, conversation: this.id });
  }

  /** Gives it another title, of 1 to 200 characters. */
  async rename(title: string): Promise<void> {
    await this.#http("PATCH", "", { title });
  }

  /** Deletes it. What runs in it is cancelled. */
  async delete(): Promise<void> {
    await this.#http("DELETE");
  }

  /** Makes a token with which others may watch it, in place of the one before. */
  async share(): Promise<string> {
    return (await this.#http<{ token: string }>("POST", "/share")).token;
  }

  /** Takes the token back. */
  async unshare(): Promise<void> {
    await this.#http("DELETE", "/share");
  }

  /** Stops watching. Its runs go on. */
  close(): void {
    if (this.#isOver) return;
    this.#owner.send({ type: "unwatch", conversation: this.id });
    this.fail(clientError("closed", "the conversation was closed"));
  }

  get #isOver(): boolean {
    return this.#state.isDeleted || this.#state.error !== undefined;
  }

  /** Watches on a new connection. @internal */
  resume(): void {
    // Who only looks on cannot attach, so what was under way comes again with the change that began it.
    const running = this.#share === undefined ? [] : this.#state.generations.filter(({ run }) => isUnderWay(run));
    const after = Math.min(this.#seq, ...running.map(({ id }) => this.#seqs.get(id)! - 1));
    this.#owner.send({ type: "watch", conversation: this.id, after, epoch: this.#epoch, share: this.#share });
  }

  /** Whether the run can only be read by watching. @internal */
  looksOnAt(id: string): boolean {
    return this.#share !== undefined && this.#seqs.has(id);
  }

  /** Takes a change. @internal */
  received(frame: ConversationFrame & Partial<{ change: string; title: string } & ConversationGeneration>): void {
    if (this.#epoch !== undefined && frame.epoch !== this.#epoch) {
      // It was forgotten and begun anew.
      this.#seqs.clear();
      this.#set({ generations: [], title: undefined });
      this.#seq = 0;
    }
    this.#epoch = frame.epoch;
    if (frame.seq <= this.#seq) return;
    this.#seq = frame.seq;
    const { change, id, model = "", messages = [], continue_from, title } = frame;
    if (change === "generation" && id !== undefined) {
      const run = this.#owner.run(id);
      this.#seqs.set(id, frame.seq);
      this.#set({ generations: [...this.#state.generations, { id, model, messages, continue_from, run }] });
      this.#expect(run, frame.seq);
    } else if (change === "renamed") {
      this.#set({ title });
    } else if (change === "deleted") {
      this.#set({ isDeleted: true });
      this.#owner.left(this);
    }
  }

  /** It was refused. @internal */
  refused(frame: ErrorFrame): void {
    this.fail(new TokenwireError(frame));
  }

  /** @internal */
  fail(error: TokenwireError): void {
    if (this.#isOver) return;
    this.#set({ error });
    this.#owner.left(this);
  }

  /** The events of a generation follow its change, unless its log is gone; the text is kept for longer. */
  #expect(run: Run, seq: number): void {
    setTimeout(() => {
      if (run.answer.status === "pending" && !run.isPending && !this.#share) run.resume();
    }, EXPECTED_WITHIN_MS);
    run.rescue = async () => (await http()).kept(this.#owner.routes, this.id, seq, run.id);
  }

  async #http<T>(method: string, path = "", body?: unknown): Promise<T> {
    return (await http()).request(this.#owner.routes, method, `conversations/${this.id}${path}`, body);
  }

  #set(change: Partial<ConversationState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of [...this.#listeners]) listener();
  }
}

function isUnderWay(run: Run): boolean {
  return run.answer.status === "pending" || run.answer.status === "running";
}
