// Types of the Tokenwire protocol, tokenwire.v1. Generated from the types of the crate
// tokenwire-protocol; the file is not edited by hand.

/** Whether the calls of a tool must be approved. */
export type Approval =
  /** Every call waits for an `approve` or `deny`. */
  | "always"
  /** No call does. */
  | "never";

/** Lets a tool call be carried out. The first decision on a call wins. */
export interface ApproveFrame {
  type: "approve";
  /** The generation. */
  id: GenerationId;
  /** The call, as named in `tool_approval`. */
  call_id: string;
  /** Other arguments than the model's. */
  arguments?: Record<string, unknown> | null;
}

/** Reads a generation's log after a position. */
export interface AttachFrame {
  type: "attach";
  /** The generation. */
  id: GenerationId;
  /** The `seq` last seen; 0 for the whole log. */
  after?: number;
  /** The `epoch` of the `started` event that was seen. A position from another epoch is answered with `gap`. */
  epoch?: string | null;
}

/**
 * A hint that everything up to here comes again, and is worth caching at the provider. Providers that
 * cache by themselves, or not at all, ignore it.
 */
export interface CacheControl {
  /** For how long: `5m` or `1h`. Default: the provider's. */
  ttl?: string | null;
  /** Always `ephemeral`. */
  type?: string;
}

/** Stops a generation. Valid before, during and after it; never an error for one's own finished generation. */
export interface CancelFrame {
  type: "cancel";
  /** Every generation that this connection is attached to. */
  all?: boolean;
  /** The generation. Left out with `all`. */
  id?: GenerationId | null;
  /** Why, repeated in the `cancelled` event. At most 256 bytes are kept. */
  reason?: string | null;
}

/** Who stopped a generation. */
export type CancelledBy =
  /** A `cancel` frame. */
  | "client"
  /** Nobody was attached for longer than its `on_disconnect` allows. */
  | "disconnect"
  /** The server, because it shuts down. */
  | "server";

/** Somebody stopped the generation. Terminal: nothing follows. */
export interface CancelledFrame {
  type: "cancelled";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Who. */
  by: CancelledBy;
  /** The bill. */
  usage: TokenUsage;
  /** How long it took. */
  timing: Timing;
  /** The reason that a `cancel` frame gave. */
  reason?: string;
  /** The whole text so far, when the start asked to `accumulate`. */
  text?: string;
}

/** Where something in the text comes from. */
export interface CitationFrame {
  type: "citation";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The provider's own object, with what has no name here: positions, document numbers, scores. */
  source: unknown;
  /** The words of the source that are meant. */
  quote?: string;
  /** The title of the source. */
  title?: string;
  /** The address of the source. */
  url?: string;
}

/**
 * A frame from the client to the server.
 *
 * Unknown fields are ignored, and an optional field that is `null` counts as left out. An
 * unknown `type` is answered with an `error` frame.
 */
export type ClientFrame =
  | StartFrame
  | CancelFrame
  | AttachFrame
  | DetachFrame
  | ToolResultFrame
  | ApproveFrame
  | DenyFrame
  | InputFrame
  | WatchFrame
  | UnwatchFrame
  | PingFrame;

/** A frame about the connection itself. */
export type ConnectionFrame =
  | HelloFrame
  | ErrorFrame
  | GoingAwayFrame
  | InputAcceptedFrame
  | ConversationFrame
  | PongFrame;

/** The content of a message: plain text, or a list of parts. */
export type Content =
  /** Plain text. */
  | string
  /** Text, images and files in order. */
  | Part[];

/** Something changed in a conversation that is watched. */
export type ConversationFrame = {
  type: "conversation";
  /** The conversation. */
  conversation: ConversationId;
  /** The position of the change: 1, 2, 3 ... What is no longer kept is left out. */
  seq: number;
  /** The random name of this list of changes: a conversation that was forgotten and begun anew has another one. */
  epoch: string;
} & (
    /** A generation was started in it. Its events follow, from the first one. */
    | {
      change: "generation";
      /** The generation. */
      id: GenerationId;
      /** As the start named it. */
      model: string;
      /** The messages of its start. */
      messages: Message[];
      /** The generation that it continues. */
      continue_from?: GenerationId;
    }
    /** It has another title. */
    | {
      change: "renamed";
      /** The title. */
      title: string;
    }
    /** It was deleted. Nothing follows. */
    | {
      change: "deleted";
    }
);

/**
 * The name of a conversation: chosen by the client, unique per principal.
 *
 * 1 to 128 characters of `A-Z a-z 0-9 . _ : -`. None of these needs escaping in JSON, so an
 * id is copied into a frame as it stands. Short ids make small frames.
 */
export type ConversationId = string;

/** Who decided on a tool call. */
export type DecidedBy =
  /** An `approve` or `deny` frame. */
  | "client"
  /** The application's own code in the server. */
  | "server";

/** Refuses a tool call: the model is told so, and goes on. The first decision on a call wins. */
export interface DenyFrame {
  type: "deny";
  /** The generation. */
  id: GenerationId;
  /** The call, as named in `tool_approval`. */
  call_id: string;
  /** Why, for the model. At most 1,024 bytes are kept. */
  reason?: string | null;
}

/** Stops reading a generation's log. */
export interface DetachFrame {
  type: "detach";
  /** The generation. */
  id: GenerationId;
}

/**
 * What went wrong. A code exists where a client would act differently on it.
 *
 * A client must treat a code that it does not know by the `retryable` beside it.
 */
export type ErrorCode =
  /** The frame is not JSON, or not a JSON object. */
  | "bad_json"
  /** A field is missing, or has a value that is not allowed. `field` names it. */
  | "bad_field"
  /** `type` is not one that a client may send. */
  | "unknown_type"
  /** The frame is binary. Frames are text. */
  | "binary_frame"
  /** The frame is larger than the `max_frame_bytes` of `hello`. The connection is closed after this. */
  | "frame_too_large"
  /** No model or route of that name is enabled here. */
  | "unknown_model"
  /** The server cannot do what was asked of it. */
  | "not_supported"
  /** The generation does not exist, is no longer kept, or belongs to somebody else. */
  | "generation_not_found"
  /** The events after the given position are no longer kept, or the position is from another epoch. */
  | "gap"
  /** The generation has ended, so it takes no input and no tool results. */
  | "generation_ended"
  /** The generation has taken its last turn, so it takes no input: send it as a new `start` with `continue_from`. */
  | "too_late"
  /** The conversation does not exist, is no longer kept, or belongs to somebody else. */
  | "conversation_not_found"
  /** The generation does not wait for a result of that call. */
  | "call_not_found"
  /** The call has its result already: the first one won. */
  | "already_resolved"
  /** The connection runs as many generations as one connection may. */
  | "too_many_generations"
  /** The connection is attached to as many generations as one connection may be. */
  | "too_many_attachments"
  /** The server is shutting down and starts nothing new here. */
  | "shutting_down"
  /** The provider could not be connected to in time. */
  | "connect_timeout"
  /** The provider sent no first token in time. */
  | "first_token_timeout"
  /** The provider fell silent between two tokens. */
  | "idle_timeout"
  /** The whole generation took too long. */
  | "generation_timeout"
  /** No tool result came in time. */
  | "tool_timeout"
  /** The generation's log is full. */
  | "log_full"
  /** The tool loop went on for more turns than one generation may take. */
  | "too_many_turns"
  /** The provider's stream stopped without its own end. */
  | "truncated"
  /** The provider could not be reached, or the connection to it broke. */
  | "network"
  /** The provider refused the key. */
  | "authentication"
  /** The key may not use this model or feature. */
  | "permission"
  /** The provider does not know the model. */
  | "model_not_found"
  /** The provider refused the request as malformed. */
  | "invalid_request"
  /** The conversation is too long for the model. */
  | "context_too_long"
  /** The provider's filter stopped the request or the answer. */
  | "content_filter"
  /** Too many requests for now. */
  | "rate_limit"
  /** The account has no credit or quota left. */
  | "quota"
  /** The provider is overloaded. */
  | "overloaded"
  /** The provider itself ran out of time. */
  | "provider_timeout"
  /** The provider failed. */
  | "provider_error"
  /** What the provider sent could not be understood. */
  | "provider_protocol"
  /** A fault of this server. */
  | "internal";

/** A frame of the client's was refused. */
export interface ErrorFrame {
  type: "error";
  /** What went wrong. */
  code: ErrorCode;
  /** One sentence for people. Holds no prompt, no key and no text of the answer. */
  message: string;
  /** Whether the same request may succeed when it is sent again. */
  retryable: boolean;
  /** The conversation that the refused frame was about. */
  conversation?: ConversationId;
  /** The field of the client's frame that is at fault, as a path: `messages[0].role`. */
  field?: string;
  /** The generation that the refused frame was about. */
  id?: GenerationId;
  /** The provider that failed. */
  provider?: string;
  /** The provider's own code for it: `insufficient_quota`. */
  provider_code?: string;
  /** The id under which the provider knows the request, for its support. */
  request_id?: string;
  /** How long to wait before that, in milliseconds, where it is known. */
  retry_after_ms?: number;
  /** The HTTP status that the provider answered with. */
  status?: number;
}

/** A code, a sentence for people, and what a client needs to decide what to do. */
export interface ErrorInfo {
  /** What went wrong. */
  code: ErrorCode;
  /** One sentence for people. Holds no prompt, no key and no text of the answer. */
  message: string;
  /** Whether the same request may succeed when it is sent again. */
  retryable: boolean;
  /** The field of the client's frame that is at fault, as a path: `messages[0].role`. */
  field?: string;
  /** The provider that failed. */
  provider?: string;
  /** The provider's own code for it: `insufficient_quota`. */
  provider_code?: string;
  /** The id under which the provider knows the request, for its support. */
  request_id?: string;
  /** How long to wait before that, in milliseconds, where it is known. */
  retry_after_ms?: number;
  /** The HTTP status that the provider answered with. */
  status?: number;
}

/** An event with its generation and its position: what an attached client receives. */
export type EventFrame =
  | StartedFrame
  | TextFrame
  | ReasoningFrame
  | RefusalFrame
  | ToolCallDeltaFrame
  | ToolCallFrame
  | ServerToolCallFrame
  | ServerToolResultFrame
  | CitationFrame
  | MediaFrame
  | LogprobsFrame
  | NativeFrame
  | WarningFrame
  | RawFrame
  | ToolApprovalFrame
  | ToolDecisionFrame
  | ToolWaitFrame
  | ToolProgressFrame
  | ToolResultTakenFrame
  | InputStateFrame
  | ObjectDeltaFrame
  | ObjectFrame
  | UsageFrame
  | RetryFrame
  | FinishedFrame
  | CancelledFrame
  | FailedFrame;

/** The generation could not be completed. Terminal: nothing follows. */
export interface FailedFrame {
  type: "failed";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** What went wrong. */
  error: ErrorInfo;
  /** The bill. */
  usage: TokenUsage;
  /** How long it took. */
  timing: Timing;
  /** The whole text so far, when the start asked to `accumulate`. */
  text?: string;
}

/** Why a model stopped by itself. */
export type FinishReason =
  /** It said what it had to say, or met a stop string. */
  | "stop"
  /** It reached the most tokens it may write, or the end of its context. */
  | "length"
  /** It called tools, and the start asked to end there. */
  | "tool_calls"
  /** The provider's filter cut the answer. */
  | "content_filter"
  /** It refused. */
  | "refusal"
  /** The provider paused it; sending the conversation again goes on. */
  | "pause"
  /** A reason that has no name here: see `provider_reason`. */
  | "other";

/** The model came to its end. Terminal: nothing follows. */
export interface FinishedFrame {
  type: "finished";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Why it stopped. */
  reason: FinishReason;
  /** The bill. */
  usage: TokenUsage;
  /** How long it took. */
  timing: Timing;
  /** The provider's own word for it. */
  provider_reason?: string;
  /** The whole text, when the start asked to `accumulate`. */
  text?: string;
}

/**
 * The name of a generation: chosen by the client, unique per principal.
 *
 * 1 to 128 characters of `A-Z a-z 0-9 . _ : -`. None of these needs escaping in JSON, so an
 * id is copied into a frame as it stands. Short ids make small frames.
 */
export type GenerationId = string;

/** The server will close this connection. Generations go on; reconnect and attach. */
export interface GoingAwayFrame {
  type: "going_away";
  /** Why, for people. */
  reason: string;
  /** How long to wait before reconnecting, in milliseconds. Spread over the clients. */
  reconnect_in_ms: number;
}

/** The first frame on every connection. */
export interface HelloFrame {
  type: "hello";
  /** Random name of the session, for support and logs. */
  session: string;
  /** `tokenwire.v1`. */
  protocol: string;
  /** How often the server pings. A client that hears nothing for twice as long should reconnect. */
  heartbeat_seconds: number;
  /** What this connection may do. */
  limits: Limits;
}

/** Where an image is, and how closely the model should look. */
export interface ImageUrl {
  /** An `https:` URL, or `data:image/png;base64,...`. */
  url: string;
  /** `low`, `high` or `auto`. */
  detail?: string | null;
}

/** An `input` was taken: it waits for the generation's next turn. */
export interface InputAcceptedFrame {
  type: "input_accepted";
  /** The generation. */
  id: GenerationId;
  /** The name of the `input`. */
  input_id: string;
}

/** Adds messages to a running generation; the model sees them at its next turn boundary. */
export interface InputFrame {
  type: "input";
  /** The generation. */
  id: GenerationId;
  /** The messages, usually of role `user`. */
  messages: Message[];
  /**
   * A name for these messages: the `input` events say what became of it, and a repeated one is taken once.
   * Default: one of the server's.
   */
  input_id?: string | null;
  /** Cut the running turn off, and go on from the text so far. Default false. */
  interrupt?: boolean;
}

/** What became of an `input`. */
export type InputProgress =
  /** The turn that follows has it. */
  | "applied"
  /** The generation ended before another turn. */
  | "dropped";

/** What became of an `input` that was accepted. */
export interface InputStateFrame {
  type: "input";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The name of the `input`. */
  input_id: string;
  /** What became of it. */
  state: InputProgress;
  /** Its messages. */
  messages: Message[];
}

/** What a connection may do. */
export interface Limits {
  /** The largest frame that a client may send, in bytes. */
  max_frame_bytes: number;
  /** How many running generations a connection may have started. */
  max_generations: number;
  /** How many generations a connection may be attached to. */
  max_attachments: number;
}

/** How likely the tokens of the text were, when the start asked for `logprobs`. */
export interface LogprobsFrame {
  type: "logprobs";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The tokens, in the order of the text. */
  tokens: TokenLogprob[];
}

/** An image or a piece of audio that the model made. One of `data` and `url` is there. */
export interface MediaFrame {
  type: "media";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Which of the generation's media: 0, 1, 2 ... Pieces with the same number belong together, in order. */
  index: number;
  /** `image/png`, `audio/pcm` ... */
  media_type: string;
  /** The bytes in base64. Each piece stands for itself: decode it, then join the bytes. */
  data?: string;
  /** Whether more pieces of it follow. Default false. */
  has_more?: boolean;
  /** Where the provider keeps it. */
  url?: string;
}

/** One message of the conversation. */
export interface Message {
  /** Who speaks. */
  role: Role;
  /** Up to here, the conversation is worth caching at the provider. */
  cache_control?: CacheControl | null;
  /** What is said. May be left out only in an assistant message with `tool_calls`. */
  content?: Content | null;
  /** In an assistant message: what the `native` event of its turn carried. */
  native?: Native | null;
  /** In a `tool` message: the call that it answers. */
  tool_call_id?: string | null;
  /** The tool calls that an assistant message made. */
  tool_calls?: MessageToolCall[];
  [other: string]: unknown;
}

/** The function of a `MessageToolCall`. */
export interface MessageFunction {
  /** The tool's name. */
  name: string;
  /** The arguments as JSON text. */
  arguments: string;
}

/** A tool call inside an assistant message. */
export interface MessageToolCall {
  /** The call's id, which the `tool` message with the result repeats. */
  id: string;
  /** What was called. */
  function: MessageFunction;
  /** Always `function`. */
  type?: string;
}

/**
 * An answer as its own provider needs to see it again: reasoning with its signatures, encrypted items,
 * and whatever else must come back unchanged.
 *
 * It is opaque. A client that sends the conversation itself gives it back as `native` in the assistant
 * message, beside `content` and `tool_calls`; within a generation the server does. The provider
 * that made it gets this in place of those; any other provider gets those.
 */
export interface Native {
  /** The provider that can read it. */
  provider: string;
  /** The answer in the provider's wire format. */
  content: unknown;
}

/**
 * An answer as its own provider needs to see it again: reasoning with its signatures, encrypted items,
 * and whatever else must come back unchanged.
 *
 * It is opaque. A client that sends the conversation itself gives it back as `native` in the assistant
 * message, beside `content` and `tool_calls`; within a generation the server does. The provider
 * that made it gets this in place of those; any other provider gets those.
 */
export interface NativeFrame {
  type: "native";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The provider that can read it. */
  provider: string;
  /** The answer in the provider's wire format. */
  content: unknown;
}

/**
 * One change of the value that a structured answer is made of. `value` replaces what is at `path`, or adds it;
 * `append` goes to the end of the text that is there.
 */
export interface ObjectDeltaFrame {
  type: "object_delta";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Where, as a JSON Pointer: `/items/0/name`; empty for the whole. */
  path: string;
  /** A piece of text. */
  append?: string;
  /** What is there now, so far. */
  value?: unknown;
}

/** The value that a structured answer is made of, at the end of its turn. */
export interface ObjectFrame {
  type: "object";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The value; null where the answer is no JSON. */
  value: unknown;
  /** Whether it fits the schema. */
  valid: boolean;
  /** What does not fit, for people; at most a few. */
  errors?: string[];
}

/** What happens to a generation when no connection is attached to it any more. */
export type OnDisconnect =
  /** Cancelled after the server's grace period, unless somebody attaches before. `"cancel"`. */
  | "cancel"
  /** Cancelled after this many milliseconds. `{"cancel_after_ms": 5000}`. */
  | {
    cancel_after_ms: number;
  }
  /** Goes on to its end. `"continue"`. */
  | "continue";

/** One part of a message's content. */
export type Part =
  /** Text. */
  | {
    type: "text";
    /** The text. */
    text: string;
    /** Up to here, the conversation is worth caching at the provider. */
    cache_control?: CacheControl | null;
  }
  /** An image, by `https:` or `data:` URL. */
  | {
    type: "image_url";
    /** Where the image is. */
    image_url: ImageUrl;
    /** Up to here, the conversation is worth caching at the provider. */
    cache_control?: CacheControl | null;
  }
  /** Audio, inline. */
  | {
    type: "input_audio";
    /** `{data, format}` as the provider takes it. */
    input_audio: unknown;
    /** Up to here, the conversation is worth caching at the provider. */
    cache_control?: CacheControl | null;
  }
  /** A file, inline or by id. */
  | {
    type: "file";
    /** `{file_data, filename}` or `{file_id}` as the provider takes it. */
    file: unknown;
    /** Up to here, the conversation is worth caching at the provider. */
    cache_control?: CacheControl | null;
  };

/** Asks for a `pong`. Browsers cannot send the protocol's own pings. */
export interface PingFrame {
  type: "ping";
  /** Comes back in the `pong`. */
  nonce?: unknown;
}

/** The answer to `ping`. */
export interface PongFrame {
  type: "pong";
  /** What the `ping` carried. */
  nonce?: unknown;
}

/**
 * A message of the provider's as it came, before the events that it became. Only when the start asked
 * for `raw`.
 */
export interface RawFrame {
  type: "raw";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The message: parsed, or its text where it is not JSON. */
  data: unknown;
  /** The name of its event, where the provider names events. */
  event?: string;
}

/** A piece of the model's reasoning. */
export interface ReasoningFrame {
  type: "reasoning";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The piece. Pieces of the same kind, joined, are the whole. */
  delta: string;
}

/** A piece of the model's refusal. */
export interface RefusalFrame {
  type: "refusal";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The piece. Pieces of the same kind, joined, are the whole. */
  delta: string;
}

/** Another attempt, or another provider. Text already shown stays valid. */
export interface RetryFrame {
  type: "retry";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The number of the attempt that follows: 2 for the first retry. */
  attempt: number;
  /** The provider that is tried. */
  provider: string;
  /** The provider's name of the model that is tried. */
  model: string;
  /** Why the attempt before failed. */
  reason: ErrorInfo;
  /** How long is waited before it, in milliseconds. */
  delay_ms: number;
  /** Whether the attempt goes on where the text so far stops, instead of beginning anew. Default false. */
  continues?: boolean;
}

/** Who speaks in a `Message`. */
export type Role =
  /** Instructions of the application. */
  | "system"
  /** Instructions of the application, as newer OpenAI models name them. Other providers get `system`. */
  | "developer"
  /** The person. */
  | "user"
  /** The model. */
  | "assistant"
  /** The result of a tool call. */
  | "tool";

/** A frame from the server to the client: about the connection, or an event of a generation. */
export type ServerFrame =
  /** An event of a generation. Has `id` and `seq`. */
  | EventFrame
  /** About the connection. */
  | ConnectionFrame;

/** The provider runs a tool of its own, such as a web search. Nobody has to answer it. */
export interface ServerToolCallFrame {
  type: "server_tool_call";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The call's id, unique within the generation. */
  call_id: string;
  /** The tool, as the provider names it: `web_search`, `code_interpreter`. */
  name: string;
  /** What it is asked, where the provider says so before the result. */
  arguments?: unknown;
}

/** What a tool of the provider's answered. */
export interface ServerToolResultFrame {
  type: "server_tool_result";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The call. */
  call_id: string;
  /** The tool. */
  name: string;
  /** The provider's own object: its fields are the provider's. */
  result: unknown;
  /** Whether the tool failed. Default false. */
  is_error?: boolean;
}

/**
 * Runs a generation, and attaches the connection to it from its first event.
 *
 * Sent again with the same `id` it attaches to what is there: it never starts, or pays, twice.
 */
export interface StartFrame {
  type: "start";
  /** The generation's name, chosen by the client. */
  id: GenerationId;
  /** `provider/model`, or the name of a route. */
  model: string;
  /** Repeat the whole text in the terminal event. Default false. */
  accumulate?: boolean;
  /**
   * Which tool calls must be approved before they are carried out, by tool, `*` for any other. A tool that
   * the server's configuration wants approved cannot be freed here.
   */
  approvals?: Record<string, unknown>;
  /**
   * An ended generation, also a cancelled one, whose messages go before `messages`. What it was asked with
   * besides them is not taken over.
   */
  continue_from?: GenerationId | null;
  /**
   * The conversation that this generation belongs to: whoever watches it sees this generation. Made by its
   * first generation.
   */
  conversation?: ConversationId | null;
  /**
   * End with reason `tool_calls` when the model calls a tool, instead of waiting for
   * `tool_result` frames and going on. Default false.
   */
  end_at_tool_calls?: boolean;
  /** Makes tokens less likely the more often they stand in the text already, -2 to 2. */
  frequency_penalty?: number | null;
  /** Ask for `logprobs` events. Default false. */
  logprobs?: boolean;
  /** The most tokens that the model may write, per turn. */
  max_tokens?: number | null;
  /** The most turns that this generation may take, within the server's limit. */
  max_turns?: number | null;
  /** The conversation. */
  messages?: Message[];
  /** Anything, for the application's own use: hooks see it, the provider does not. */
  metadata?: Record<string, unknown>;
  /** What happens when no connection is attached any more. Default: `cancel` after the server's grace period. */
  on_disconnect?: OnDisconnect | null;
  /** Whether the model may call several tools in one turn. Default: the provider decides, mostly yes. */
  parallel_tool_calls?: boolean | null;
  /** Makes tokens that stand in the text already less likely, -2 to 2. */
  presence_penalty?: number | null;
  /**
   * Fields for one provider, by its name, put into its request as they are:
   * `{"openai": {"service_tier": "flex"}}`.
   */
  provider_options?: Record<string, unknown>;
  /** Send the provider's own messages too, as `raw` events. Default false. */
  raw?: boolean;
  /** The most tokens to think, for providers that count rather than grade. Wins over `reasoning_effort` there. */
  reasoning_budget?: number | null;
  /** How long to think: `none`, `minimal`, `low`, `medium`, `high`, or what the provider knows. */
  reasoning_effort?: string | null;
  /**
   * With a JSON schema in `response_format`: when the answer does not fit it, ask the model once to repair
   * it. Default false.
   */
  repair?: boolean;
  /** `{"type":"json_schema",...}` as in chat completions. */
  response_format?: unknown;
  /** Asks for the same answer to the same request, where the provider can. */
  seed?: number | null;
  /**
   * Which of the server's own tools the model may call, by name; a `*` at the end stands for any rest.
   * Default: all of them.
   */
  server_tools?: unknown[] | null;
  /** Where the model stops. */
  stop?: Stop | null;
  /** Sampling temperature, in the provider's range. */
  temperature?: number | null;
  /** Deadlines for this generation, each within the server's limit. */
  timeouts?: Timeouts;
  /** Whether and which tool must be called. Default: the model decides. */
  tool_choice?: ToolChoice | null;
  /** Tools that the model may call. */
  tools?: Tool[];
  /** Only the so many likeliest tokens are drawn from. */
  top_k?: number | null;
  /** How many other tokens to name beside each, with `logprobs`. Default none. */
  top_logprobs?: number | null;
  /** Nucleus sampling, 0 to 1. */
  top_p?: number | null;
  /** Where to ask, instead of where the server is configured to. Refused unless its configuration allows it. */
  upstream?: StartUpstream | null;
}

/** Where to ask, and with which key, for one generation. What is left out is as configured. */
export interface StartUpstream {
  /** The provider's key. With a `base_url`, the server's own key is never sent. */
  api_key?: string | null;
  /** Where the provider is: `https://gateway.example.com/v1`. Its host must be one that the server lists. */
  base_url?: string | null;
}

/** The generation was accepted. Always seq 1. */
export interface StartedFrame {
  type: "started";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Random name of this log. Given back in `attach`, it keeps a position from being used in another log. */
  epoch: string;
  /** The provider's name of the model. */
  model: string;
  /** The provider. */
  provider: string;
}

/** One string or a list of strings at which the model stops. */
export type Stop =
  /** One. */
  | string
  /** Several. */
  | string[];

/** A piece of the answer. */
export interface TextFrame {
  type: "text";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The piece. Pieces of the same kind, joined, are the whole. */
  delta: string;
}

/** Deadlines in milliseconds. What is left out is the server's default; more than the server's limit is an error. */
export interface Timeouts {
  /** Until the provider is connected to. */
  connect_ms?: number | null;
  /** From sending the request to the first token. */
  first_token_ms?: number | null;
  /** From one token to the next. */
  idle_ms?: number | null;
  /** Until the results of tool calls are there. */
  tool_ms?: number | null;
  /** From the start to the end, waiting for tools not counted. */
  total_ms?: number | null;
}

/** How long things took, in milliseconds. */
export interface Timing {
  /** From the start frame to the request to the provider. */
  queue_ms: number;
  /** From the start frame to this event. */
  total_ms: number;
  /** From the start frame to the first delta. Left out when there was none. */
  first_token_ms?: number;
}

/** One token, and how likely it was. */
export interface TokenLogprob {
  /** The token's text. A token can end inside a character; then this has a replacement character. */
  token: string;
  /** The natural logarithm of its probability. */
  logprob: number;
  /** What else could have stood there, the likeliest first. */
  top?: TopLogprob[];
}

/** Tokens. In a terminal event, the sum over all turns and attempts that the provider counted. */
export interface TokenUsage {
  /** All tokens that the model read, cached ones included. */
  input_tokens: number;
  /** All tokens that the model wrote, reasoning included. */
  output_tokens: number;
  /** Who counted. */
  source: UsageSource;
  /** Those of `input_tokens` that were written to the provider's cache. */
  cache_write_tokens?: number;
  /** Those of `input_tokens` that came from the provider's cache. */
  cached_tokens?: number;
  /**
   * What they cost, by the prices of the server's configuration and in their currency. Left out where
   * it has none for the model.
   */
  cost?: number;
  /** Those of `input_tokens` that are audio. */
  input_audio_tokens?: number;
  /** Those of `output_tokens` that are audio. */
  output_audio_tokens?: number;
  /** Those of `output_tokens` that are reasoning. */
  reasoning_tokens?: number;
}

/** A tool that the model may call. */
export interface Tool {
  /** The function. */
  function: ToolFunction;
  /** Up to here, the tools are worth caching at the provider. */
  cache_control?: CacheControl | null;
  /** Always `function`. */
  type?: string;
}

/** A tool call waits for somebody to approve it, with an `approve` or `deny` frame. */
export interface ToolApprovalFrame {
  type: "tool_approval";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The call. */
  call_id: string;
  /** The tool. */
  name: string;
  /** The arguments, as in `tool_call`. */
  arguments: unknown;
}

/** A piece of a tool call's arguments, never the accumulated string. */
export interface ToolCallDeltaFrame {
  type: "tool_call_delta";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Which call: 0, 1, 2 ... in order of appearance within the generation. */
  index: number;
  /** The call's id. */
  call_id: string;
  /** The tool's name. */
  name: string;
  /** The piece of the arguments, which is JSON text. */
  delta: string;
}

/** A whole tool call, once. */
export interface ToolCallFrame {
  type: "tool_call";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** Which call: 0, 1, 2 ... in order of appearance within the generation. */
  index: number;
  /** The call's id. */
  call_id: string;
  /** The tool's name. */
  name: string;
  /** The arguments: parsed, or with `invalid` the text as the model wrote it. */
  arguments: unknown;
  /** Whether the arguments are not valid JSON. Default false. */
  invalid?: boolean;
}

/** Whether and which tool the model must call. */
export type ToolChoice =
  | "auto" | "none" | "required"
  | {
    type: "function";
    function: {
      name: string;
    };
  };

/** A tool call was approved or denied. */
export interface ToolDecisionFrame {
  type: "tool_decision";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The call. */
  call_id: string;
  /** Whether it is carried out. */
  approved: boolean;
  /** Who decided. */
  by: DecidedBy;
  /** The arguments that it is carried out with, where they are not the model's. */
  arguments?: unknown;
  /** Why it was denied. */
  reason?: string;
}

/** The function of a `Tool`. */
export interface ToolFunction {
  /** Its name: letters, digits, `_` and `-`, at most 64. */
  name: string;
  /** What it does, for the model. */
  description?: string | null;
  /** JSON Schema of the arguments. Left out: no arguments. */
  parameters?: unknown;
  /** Whether the arguments must follow the schema exactly, where the provider can promise that. */
  strict?: boolean | null;
}

/** A tool that the server runs says how far it is. */
export interface ToolProgressFrame {
  type: "tool_progress";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The call. */
  call_id: string;
  /** One sentence for people. */
  message?: string;
  /** How far, in a unit of the tool's own. */
  progress?: number;
  /** How far it will be at its end, in the same unit. */
  total?: number;
}

/** The result of a tool call. The first one for a call wins. */
export interface ToolResultFrame {
  type: "tool_result";
  /** The generation. */
  id: GenerationId;
  /** The call, as named in `tool_call`. */
  call_id: string;
  /** What the tool answered. */
  content: Content;
  /** Whether the tool failed, so that `content` describes an error. Default false. */
  is_error?: boolean;
}

/** Which result was taken, for the other viewers. */
export interface ToolResultTakenFrame {
  type: "tool_result";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The call. */
  call_id: string;
  /** What the tool answered. */
  content: Content;
  /** Whether the server carried the call out itself. Default false: a client did. */
  by_server?: boolean;
  /** Whether the tool failed. Default false. */
  is_error?: boolean;
}

/** The generation waits for these results. */
export interface ToolWaitFrame {
  type: "tool_wait";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The calls. */
  call_ids: string[];
}

/** A token that could have stood there. */
export interface TopLogprob {
  /** The token's text. */
  token: string;
  /** The natural logarithm of its probability. */
  logprob: number;
}

/** Stops watching a conversation. Its generations that are attached stay so. */
export interface UnwatchFrame {
  type: "unwatch";
  /** The conversation. */
  conversation: ConversationId;
}

/** What a turn cost. */
export interface UsageFrame {
  type: "usage";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** All tokens that the model read, cached ones included. */
  input_tokens: number;
  /** All tokens that the model wrote, reasoning included. */
  output_tokens: number;
  /** Who counted. */
  source: UsageSource;
  /** Those of `input_tokens` that were written to the provider's cache. */
  cache_write_tokens?: number;
  /** Those of `input_tokens` that came from the provider's cache. */
  cached_tokens?: number;
  /**
   * What they cost, by the prices of the server's configuration and in their currency. Left out where
   * it has none for the model.
   */
  cost?: number;
  /** Those of `input_tokens` that are audio. */
  input_audio_tokens?: number;
  /** Those of `output_tokens` that are audio. */
  output_audio_tokens?: number;
  /** Those of `output_tokens` that are reasoning. */
  reasoning_tokens?: number;
}

/** Who counted the tokens. */
export type UsageSource =
  /** The provider, for the whole of it. */
  | "provider"
  /** The provider for a part of it; the rest is estimated. */
  | "partial"
  /** Nobody: estimated from the length of the text, at four bytes a token. */
  | "estimated";

/**
 * Something of the request was left out, because the provider cannot do it, or the server has no such
 * tool, and the answer is still what was asked for.
 */
export interface WarningFrame {
  type: "warning";
  /** The generation. */
  id: GenerationId;
  /**
   * The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
   * carries the last position that it covers.
   */
  seq: number;
  /** The field of the start frame: `seed`. */
  field: string;
  /** One sentence for people: what was left out or changed, and why. */
  message: string;
}

/** Sees each new generation of a conversation with the messages that started it, and reads its log. */
export interface WatchFrame {
  type: "watch";
  /** The conversation. */
  conversation: ConversationId;
  /** The `seq` of the last `conversation` frame that was seen; 0 for all that is kept. */
  after?: number;
  /** The `epoch` of that frame. With a position from another epoch, all that is kept is sent. */
  epoch?: string | null;
  /** A token that its owner has made, to watch a conversation of somebody else's without changing anything. */
  share?: string | null;
}
