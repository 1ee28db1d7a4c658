import type { Answer } from "./answer.js";
import type { StartRequest, TokenwireCore } from "./core.js";
import { clientError, TokenwireError } from "./errors.js";
import type { CancelledBy, ConversationFrame, ErrorInfo, FinishReason, Message, TokenUsage } from "./protocol.js";
import { Run } from "./run.js";
import { answerCalls, type Tools } from "./tools.js";

/** A generation of which nothing has come for so long is asked for: its log may be gone. */
const EXPECTED_WITHIN_MS = 1_000;

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
  readonly deleted?: boolean;
  /** Why it is not watched any more. */
  readonly error?: TokenwireError;
}

/** A generation as `GET /v1/conversations/{id}` has it. */
interface Kept {
  id: string;
  state: "running" | "finished" | "cancelled" | "failed";
  text?: string;
  usage?: TokenUsage;
  finish_reason?: FinishReason;
  by?: CancelledBy;
  error?: ErrorInfo;
}

/**
 * A conversation that is watched: every generation that belongs to it, of whichever device, with the messages that
 * started it.
 */
export class Conversation {
  /** The conversation's name, chosen by the application. */
  readonly id: string;
  #client: TokenwireCore;
  #share: string | undefined;
  #tools: Tools | undefined;
  #seq = 0;
  #epoch: string | undefined;
  #state: ConversationState;
  #listeners = new Set<() => void>();

  /** @internal */
  constructor(client: TokenwireCore, id: string, share?: string, tools?: Tools) {
    this.#client = client;
    this.id = id;
    this.#share = share;
    this.#tools = tools;
    this.#state = { id, generations: [] };
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

  /** Starts a generation in it. */
  start(request: Omit<StartRequest, "conversation">): Run {
    return this.#client.start({ ...request, conversation: this.id });
  }

  /** Gives it another title, of 1 to 200 characters. Rejects with a `TokenwireError`, as the next three do. */
  async rename(title: string): Promise<void> {
    await this.#request("PATCH", "", { title });
  }

  /** Deletes it. What runs in it is cancelled. */
  async delete(): Promise<void> {
    await this.#request("DELETE");
  }

  /** Makes a token with which others may watch it, in place of the one before. */
  async share(): Promise<string> {
    return (await this.#request<{ token: string }>("POST", "/share")).token;
  }

  /** Takes the token back. */
  async unshare(): Promise<void> {
    await this.#request("DELETE", "/share");
  }

  /** Stops watching. Its runs go on. */
  close(): void {
    if (this.#client.conversations.get(this.id) !== this) return;
    this.#client.connection.send({ type: "unwatch", conversation: this.id });
    this.fail(clientError("closed", "the conversation was closed"));
  }

  /** Watches on a new connection. @internal */
  resume(): void {
    const share = this.#share;
    // Who looks on cannot attach: what was under way comes again with the change that began it.
    const after = share ? 0 : this.#seq;
    this.#client.connection.send({ type: "watch", conversation: this.id, after, epoch: this.#epoch, share });
  }

  /** Takes a change. @internal */
  received(frame: ConversationFrame): void {
    if (this.#epoch && frame.epoch !== this.#epoch) {
      // It was forgotten and begun anew.
      this.#seq = 0;
      this.#set({ generations: [], title: undefined });
    }
    this.#epoch = frame.epoch;
    if (frame.seq <= this.#seq) return;
    this.#seq = frame.seq;
    if (frame.change === "generation") {
      const { id, model, messages, continue_from } = frame;
      const generation = { id, model, messages, continue_from, run: this.#run(id) };
      this.#set({ generations: [...this.#state.generations, generation] });
    } else if (frame.change === "renamed") {
      this.#set({ title: frame.title });
    } else if (frame.change === "deleted") {
      this.#set({ deleted: true });
      this.#client.conversations.delete(this.id);
    }
  }

  /** It is not watched any more. @internal */
  fail(error: TokenwireError): void {
    this.#client.conversations.delete(this.id);
    this.#set({ error });
  }

  /** The run of a generation that the connection was attached to with the last change. */
  #run(id: string): Run {
    const known = this.#client.runs.get(id);
    if (known) return known;
    const run = new Run(this.#client, id);
    this.#client.runs.set(id, run);
    if (this.#share) {
      run.isViewer = true;
      return run;
    }
    if (this.#tools) answerCalls(run, this.#tools, false);
    // Unless its log is gone. What was said is kept for longer.
    const seq = this.#seq;
    run.rescue = async () => {
      const { data } = await this.#request<{ data: Kept[] }>("GET", `?after=${seq - 1}&limit=1`);
      const [kept] = data;
      return kept?.id === id && kept.state !== "running" ? answerOf(kept) : undefined;
    };
    setTimeout(() => {
      if (run.answer.status === "pending") run.resume();
    }, EXPECTED_WITHIN_MS);
    return run;
  }

  /** @throws TokenwireError as the server answers, or `http` */
  async #request<T>(method: string, path = "", body?: unknown): Promise<T> {
    const client = this.#client;
    const route = `conversations/${this.id}${path}`;
    let answer;
    try {
      answer = await client.ask(await client.token(), method, route, body);
    } catch (cause) {
      throw clientError("http", "the server could not be reached", true, cause);
    }
    const { status } = answer;
    if (status < 300) return answer.body as T;
    const code = status === 401 ? "not_authenticated" : "http";
    const info = {
      code,
      message: `the server answers with status ${status}`,
      status,
      retryable: status >= 500,
    } as const;
    throw new TokenwireError({ ...info, ...(answer.body as { error?: ErrorInfo } | undefined)?.error });
  }

  #set(change: Partial<ConversationState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

function answerOf({ state, text, usage, finish_reason, by, error }: Kept): Partial<Answer> {
  return { status: state, text, usage, reason: finish_reason, by, error: error && new TokenwireError(error) };
}
