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

/** A tool call, from its first letter to its result. */
export interface ToolCallPart {
  readonly type: "tool_call";
  readonly call_id: string;
  readonly name: string;
  readonly state: ToolCallState;
  /** The JSON text of the arguments so far. */
  readonly arguments_text: string;
  /** The arguments: parsed, or with `invalid` the text as the model wrote it. There after `writing`. */
  readonly arguments?: unknown;
  readonly invalid?: boolean;
  /** Why it was denied. */
  readonly reason?: string;
  /** How far a tool of the server's is. */
  readonly progress?: { readonly progress?: number; readonly total?: number; readonly message?: string };
  readonly result?: Content;
  readonly is_error?: boolean;
  /** Whether the server carried it out. */
  readonly by_server?: boolean;
}

/** A tool of the provider's own, such as a web search. */
export interface ServerToolPart {
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
export type AnswerPart = TextPart | ToolCallPart | ServerToolPart | CitationPart | MediaPart | InputPart;

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
  /** Whether `object` is complete and fits the schema; undefined as long as it is not complete. */
  readonly object_valid?: boolean;
  /** The attempt that is waited for or was made last, while nothing of it has arrived. */
  readonly retry?: RetryFrame;
  /** What of the request was left out. */
  readonly warnings: readonly WarningFrame[];
  /** Why a `finished` one stopped, and the provider's own word for it. */
  readonly finish_reason?: FinishReason;
  readonly provider_reason?: string;
  /** Who stopped a `cancelled` one, and the reason that was given. */
  readonly cancelled_by?: CancelledBy;
  readonly cancel_reason?: string;
  /** Why it is `failed` or `lost`. */
  readonly error?: TokenwireError;
  /** The bill: of the turns so far, at the end of the whole. */
  readonly usage?: TokenUsage;
  readonly timing?: Timing;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

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
    this.#snapshot = undefined;
    switch (frame.type) {
      case "started":
        now.status = "running";
        now.model = frame.model;
        now.provider = frame.provider;
        break;
      case "text":
        now.text += frame.delta;
      case "reasoning":
      case "refusal":
        this.#write(frame.type, frame.delta);
        break;
      case "tool_call_delta":
        this.#call(frame.call_id, frame.name, (call) => ({ arguments_text: call.arguments_text + frame.delta }));
        break;
      case "tool_call":
        this.#call(frame.call_id, frame.name, (call) => ({
          state: "called",
          arguments: frame.arguments,
          arguments_text: call.arguments_text || JSON.stringify(frame.arguments),
          ...(frame.invalid && { invalid: true }),
        }));
        break;
      case "tool_approval":
        this.#call(frame.call_id, frame.name, () => ({ state: "approval", arguments: frame.arguments }));
        break;
      case "tool_decision":
        this.#call(frame.call_id, "", () => ({
          state: frame.approved ? "called" : "denied",
          ...(frame.arguments !== undefined && { arguments: frame.arguments }),
          ...(frame.reason !== undefined && { reason: frame.reason }),
        }));
        break;
      case "tool_wait":
        for (const id of frame.call_ids) this.#call(id, "", () => ({ state: "waiting" }));
        break;
      case "tool_progress": {
        const { progress, total, message } = frame;
        this.#call(frame.call_id, "", () => ({ progress: { progress, total, message } }));
        break;
      }
      case "tool_result":
        this.#call(frame.call_id, "", (call) => ({
          state: call.state === "denied" ? "denied" : "done",
          result: frame.content,
          is_error: frame.is_error ?? false,
          by_server: frame.by_server ?? false,
        }));
        break;
      case "server_tool_call": {
        const { type, call_id, name } = frame;
        this.#parts.push({ type, call_id, name, state: "running", arguments: frame.arguments });
        break;
      }
      case "server_tool_result":
        this.#served(frame.call_id, frame.name, { result: frame.result, is_error: frame.is_error ?? false });
        break;
      case "citation": {
        const { type, url, title, quote, source } = frame;
        this.#parts.push({ type, url, title, quote, source });
        break;
      }
      case "media": {
        const { type, index, media_type, url } = frame;
        const at = this.#find((part) => part.type === "media" && part.index === index);
        const before = (this.#parts[at] as MediaPart | undefined)?.data ?? [];
        const data = frame.data === undefined ? before : [...before, frame.data];
        this.#put(at, { type, index, media_type, url, data, has_more: frame.has_more ?? false });
        break;
      }
      case "input": {
        const { type, input_id, messages, state } = frame;
        this.#parts.push({ type, input_id, messages, state });
        break;
      }
      case "object_delta":
        now.object_valid = undefined;
        now.object = patched(now.object, frame);
        break;
      case "object":
        now.object = frame.value;
        now.object_valid = frame.valid;
        break;
      case "usage": {
        const { type: _type, id: _id, seq: _seq, ...usage } = frame;
        now.usage = now.usage ? sum(now.usage, usage) : usage;
        break;
      }
      case "retry":
        now.retry = frame;
        now.model = frame.model;
        now.provider = frame.provider;
        return;
      case "warning":
        now.warnings = [...now.warnings, frame];
        return;
      case "finished":
        now.finish_reason = frame.reason;
        now.provider_reason = frame.provider_reason;
        break;
      case "cancelled":
        now.cancelled_by = frame.by;
        now.cancel_reason = frame.reason;
        break;
      case "failed":
        now.error = new TokenwireError(frame.error);
        break;
      default:
        // `logprobs`, `native`, `raw`, and what a newer server says: for readers of the events.
        return;
    }
    now.retry = undefined;
    if (frame.type === "finished" || frame.type === "cancelled" || frame.type === "failed") {
      now.status = frame.type;
      now.usage = frame.usage;
      now.timing = frame.timing;
    }
  }

  #write(type: TextPart["type"], delta: string): void {
    const last = this.#parts.at(-1);
    if (last?.type === type) this.#parts[this.#parts.length - 1] = { type, text: (last as TextPart).text + delta };
    else this.#parts.push({ type, text: delta });
  }

  #call(call_id: string, name: string, change: (call: ToolCallPart) => Partial<ToolCallPart>): void {
    const at = this.#find((part) => part.type === "tool_call" && part.call_id === call_id);
    const before = this.#parts[at] as ToolCallPart | undefined;
    const call: ToolCallPart = before ?? { type: "tool_call", call_id, name, state: "writing", arguments_text: "" };
    this.#put(at, { ...call, ...change(call) });
  }

  #served(call_id: string, name: string, change: Partial<ServerToolPart>): void {
    const at = this.#find((part) => part.type === "server_tool_call" && part.call_id === call_id);
    const before = this.#parts[at] as ServerToolPart | undefined;
    this.#put(at, { type: "server_tool_call", call_id, name, ...before, ...change, state: "done" });
  }

  /** The last part that fits; -1 without one. */
  #find(fits: (part: AnswerPart) => boolean): number {
    for (let at = this.#parts.length - 1; at >= 0; at--) if (fits(this.#parts[at]!)) return at;
    return -1;
  }

  #put(at: number, part: AnswerPart): void {
    if (at < 0) this.#parts.push(part);
    else this.#parts[at] = part;
  }
}

function sum(a: TokenUsage, b: TokenUsage): TokenUsage {
  const total = { ...a } as unknown as Record<string, unknown>;
  for (const [name, value] of Object.entries(b)) {
    total[name] = typeof value === "number" ? ((total[name] as number | undefined) ?? 0) + value : value;
  }
  return total as unknown as TokenUsage;
}
