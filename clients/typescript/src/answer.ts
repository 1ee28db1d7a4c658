import { TokenwireError } from "./errors.js";
import type {
  CancelledBy,
  CitationFrame,
  Content,
  EventFrame,
  FinishReason,
  Message,
  RetryFrame,
  Timing,
  TokenUsage,
  WarningFrame,
} from "./protocol.js";
import { patched } from "./pointer.js";

/**
 * How far an answer is.
 *
 * - `pending`: the server has not accepted it yet.
 * - `running`: it is being made.
 * - `finished`, `cancelled`, `failed`: it has ended so. A start that was refused has failed, too.
 * - `lost`: this client gets no more of it; `error` says why. It may go on without this client.
 */
export type AnswerStatus = "pending" | "running" | "finished" | "cancelled" | "failed" | "lost";

/** A piece of text of one kind. */
export interface TextPart {
  readonly type: "text" | "reasoning" | "refusal";
  readonly text: string;
}

/**
 * How far a tool call is.
 *
 * - `writing`: the model writes its arguments.
 * - `called`: it is complete; a tool of the server's may run.
 * - `approval`: somebody must `approve` or `deny` it.
 * - `waiting`: a client must send its result.
 * - `denied`: somebody has denied it.
 * - `done`: `result` is there; with `is_error` the tool failed.
 */
export type ToolCallState = "writing" | "called" | "approval" | "waiting" | "denied" | "done";

/** A tool call, from its first letter to its result, in the words of its events. */
export interface ToolCallPart {
  readonly type: "tool_call";
  readonly call_id: string;
  readonly name: string;
  readonly state: ToolCallState;
  /** The pieces of `tool_call_delta`, joined: the JSON text of the arguments as far as the model has written it. */
  readonly arguments_text: string;
  /** The arguments: parsed, or with `invalid` the text as the model wrote it. There after `writing`. */
  readonly arguments?: unknown;
  readonly invalid?: boolean;
  /** What was decided on it, and why. */
  readonly approved?: boolean;
  readonly reason?: string;
  /** How far a tool of the server's is. */
  readonly progress?: number;
  readonly total?: number;
  readonly message?: string;
  /** The result. */
  readonly content?: Content;
  readonly is_error?: boolean;
  /** Whether the server carried it out. */
  readonly by_server?: boolean;
}

/** A tool of the provider's own, such as a web search. */
export interface ServerToolCallPart {
  readonly type: "server_tool_call";
  readonly call_id: string;
  readonly name: string;
  readonly state: "running" | "done";
  readonly arguments?: unknown;
  readonly result?: unknown;
  readonly is_error?: boolean;
}

/** Where something in the text before it comes from. */
export interface CitationPart extends Pick<CitationFrame, "url" | "title" | "quote" | "source"> {
  readonly type: "citation";
}

/** An image or a piece of audio. */
export interface MediaPart {
  readonly type: "media";
  readonly index: number;
  readonly media_type: string;
  /** Pieces of base64: decode each, then join the bytes. Empty with `url`. */
  readonly data: readonly string[];
  readonly url?: string;
  /** Whether more pieces follow. */
  readonly has_more: boolean;
}

/** Messages that steered the generation. */
export interface InputPart {
  readonly type: "input";
  readonly input_id: string;
  readonly messages: readonly Message[];
  /** `applied`: what follows has seen it. `dropped`: nothing followed. */
  readonly state: "applied" | "dropped";
}

/** One part of an answer. A part keeps its place; its object is replaced when it changes. */
export type AnswerPart = TextPart | ToolCallPart | ServerToolCallPart | CitationPart | MediaPart | InputPart;

/**
 * Everything of a generation up to now. It never changes: `Run.answer` is another object after each change, in
 * which what has not changed is the same object.
 */
export interface Answer {
  /** The generation. */
  readonly id: string;
  readonly status: AnswerStatus;
  /** What the model said, in order. */
  readonly parts: readonly AnswerPart[];
  /** The text parts, joined. */
  readonly text: string;
  /** The provider's name of the model, and the provider: those that are tried now. */
  readonly model?: string;
  readonly provider?: string;
  /** With a JSON schema in `response_format`: the value so far. */
  readonly object?: unknown;
  /** Whether `object` fits the schema; undefined as long as it is not complete. */
  readonly object_valid?: boolean;
  /** The attempt that is waited for or made, while nothing of it has arrived. */
  readonly retry?: RetryFrame;
  /** What of the request was left out. */
  readonly warnings: readonly WarningFrame[];
  /** Why it finished, or the reason that was given for cancelling it. */
  readonly reason?: FinishReason | (string & {});
  /** The provider's own word for why it finished. */
  readonly provider_reason?: string;
  /** Who cancelled it. */
  readonly by?: CancelledBy;
  /** Why it is `failed` or `lost`. */
  readonly error?: TokenwireError;
  /** The bill, once it has ended. */
  readonly usage?: TokenUsage;
  readonly timing?: Timing;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Where a tool call is after an event about it. */
const STATES: Record<string, string> = {
  tool_call_delta: "writing",
  tool_call: "called",
  tool_approval: "approval",
  tool_decision: "called",
  tool_wait: "waiting",
  tool_result: "done",
  server_tool_call: "running",
  server_tool_result: "done",
};

/** Whether an event is the last one. */
export function isTerminal(frame: EventFrame): boolean {
  return frame.type === "finished" || frame.type === "cancelled" || frame.type === "failed";
}

/** Makes an answer of events. */
export class AnswerBuilder {
  #now: Writable<Answer>;
  #parts: AnswerPart[] = [];
  #snapshot: Answer | undefined;

  constructor(id: string) {
    this.#now = { id, status: "pending", parts: [], text: "", warnings: [] };
  }

  /** The same object until something changes. */
  get answer(): Answer {
    return (this.#snapshot ??= { ...this.#now, parts: [...this.#parts] });
  }

  /** Sets what no event says: with `text`, all of it. */
  restore(change: Partial<Answer>): void {
    if (change.text) this.#parts = [{ type: "text", text: change.text }];
    Object.assign(this.#now, change);
    this.#snapshot = undefined;
  }

  apply(frame: EventFrame): void {
    const now = this.#now;
    const { id: _id, seq: _seq, ...part } = frame;
    this.#snapshot = undefined;
    if (frame.type !== "warning") now.retry = undefined;
    switch (frame.type) {
      case "started":
        now.status = "running";
        now.model = frame.model;
        now.provider = frame.provider;
        break;
      case "retry":
        now.retry = frame;
        now.model = frame.model;
        now.provider = frame.provider;
        break;
      case "warning":
        now.warnings = [...now.warnings, frame];
        break;
      case "text":
        now.text += frame.delta;
      case "reasoning":
      case "refusal":
        this.#write(frame.type, frame.delta);
        break;
      case "tool_wait":
        for (const call_id of frame.call_ids) this.#call("tool_call", { type: frame.type, call_id });
        break;
      case "tool_call_delta":
      case "tool_call":
      case "tool_approval":
      case "tool_decision":
      case "tool_progress":
      case "tool_result":
        this.#call("tool_call", part as typeof frame);
        break;
      case "server_tool_call":
      case "server_tool_result":
        this.#call("server_tool_call", part as typeof frame);
        break;
      case "citation":
      case "input":
        this.#parts.push(part as AnswerPart);
        break;
      case "media": {
        const at = this.#find((part) => part.type === "media" && part.index === frame.index);
        const data = (this.#parts[at] as MediaPart | undefined)?.data ?? [];
        this.#put(at, {
          has_more: false,
          ...(part as typeof frame),
          data: frame.data === undefined ? data : [...data, frame.data],
        });
        break;
      }
      case "object_delta":
        now.object_valid = undefined;
        now.object = patched(now.object, frame.path, frame);
        break;
      case "object":
        now.object = frame.value;
        now.object_valid = frame.valid;
        break;
      case "finished":
      case "cancelled":
      case "failed": {
        const { type: status, text: _text, ...end } = part as Omit<typeof frame, "id" | "seq">;
        Object.assign(now, end, { status });
        if (frame.type === "failed") now.error = new TokenwireError(frame.error);
      }
      // `usage` of a turn, `logprobs`, `native`, `raw`, and what a newer server says: for readers of the events.
    }
  }

  #write(type: TextPart["type"], delta: string): void {
    const last = this.#parts.at(-1);
    if (last?.type === type) this.#put(this.#parts.length - 1, { type, text: (last as TextPart).text + delta });
    else this.#put(-1, { type, text: delta });
  }

  #call(kind: "tool_call" | "server_tool_call", change: { type: string; call_id: string; delta?: string }): void {
    const at = this.#find((part) => part.type === kind && part.call_id === change.call_id);
    const { type, delta = "", ...fields } = change;
    const before = this.#parts[at] as ToolCallPart | undefined;
    const call: Record<string, unknown> = { name: "", ...before, ...fields, type: kind };
    call.state = call.approved === false ? "denied" : (STATES[type] ?? call.state);
    if (kind === "tool_call") call.arguments_text = (before?.arguments_text ?? "") + delta;
    this.#put(at, call as unknown as AnswerPart);
  }

  /** The place of the last part that fits; -1 without one. */
  #find(fits: (part: AnswerPart) => boolean): number {
    return this.#parts.findLastIndex(fits);
  }

  #put(at: number, part: AnswerPart): void {
    if (at < 0) this.#parts.push(part);
    else this.#parts[at] = part;
  }
}
