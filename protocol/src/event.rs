//! What happens in a generation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ErrorInfo, GenerationId,
    message::{Content, Message, Native},
};

/// An event with its generation and its position: what an attached client receives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct EventFrame {
    /// The generation.
    pub id: GenerationId,
    /// The event's position: 1, 2, 3 ... without holes. A frame that merges several deltas
    /// carries the last position that it covers.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl EventFrame {
    /// The frame's text, with `type`, `id` and `seq` first.
    pub fn to_json(&self) -> String {
        self.event.to_frame(&self.id, self.seq)
    }
}

/// One thing that happened in a generation.
///
/// The first event of a log is [`Event::Started`]. The last is one of [`Event::Finished`],
/// [`Event::Cancelled`] and [`Event::Failed`]; exactly one of them is there, and nothing follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The generation was accepted. Always seq 1.
    Started(Started),
    /// A piece of the answer.
    Text(Delta),
    /// A piece of the model's reasoning.
    Reasoning(Delta),
    /// A piece of the model's refusal.
    Refusal(Delta),
    /// A piece of a tool call's arguments.
    ToolCallDelta(ToolCallDelta),
    /// A whole tool call.
    ToolCall(ToolCall),
    /// The provider runs a tool of its own.
    ServerToolCall(ServerToolCall),
    /// What a tool of the provider's answered.
    ServerToolResult(ServerToolResult),
    /// Where something in the text comes from.
    Citation(Citation),
    /// An image or a piece of audio that the model made.
    Media(Media),
    /// How likely the tokens of the text were.
    Logprobs(Logprobs),
    /// The turn's answer as the provider needs to see it again.
    Native(Native),
    /// Something of the request was left out.
    Warning(Warning),
    /// A message of the provider's as it came.
    Raw(Raw),
    /// A call waits for somebody to approve it.
    ToolApproval(ToolApproval),
    /// A call was approved or denied.
    ToolDecision(ToolDecision),
    /// The generation waits for results.
    ToolWait(ToolWait),
    /// A tool of the server's says how far it is.
    ToolProgress(ToolProgress),
    /// A result was taken.
    ToolResult(ToolResultTaken),
    /// What became of messages that were added while it runs.
    Input(InputState),
    /// The value grew that the answer is made of.
    ObjectDelta(ObjectDelta),
    /// The value that the answer is made of, whole.
    Object(Object),
    /// What a turn cost.
    Usage(TokenUsage),
    /// Another attempt.
    Retry(Retry),
    /// The model came to its end. Terminal.
    Finished(Finished),
    /// Somebody stopped it. Terminal.
    Cancelled(Cancelled),
    /// It could not be completed. Terminal.
    Failed(Failed),
}

impl Event {
    /// The `type` on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Text(_) => "text",
            Self::Reasoning(_) => "reasoning",
            Self::Refusal(_) => "refusal",
            Self::ToolCallDelta(_) => "tool_call_delta",
            Self::ToolCall(_) => "tool_call",
            Self::ServerToolCall(_) => "server_tool_call",
            Self::ServerToolResult(_) => "server_tool_result",
            Self::Citation(_) => "citation",
            Self::Media(_) => "media",
            Self::Logprobs(_) => "logprobs",
            Self::Native(_) => "native",
            Self::Warning(_) => "warning",
            Self::Raw(_) => "raw",
            Self::ToolApproval(_) => "tool_approval",
            Self::ToolDecision(_) => "tool_decision",
            Self::ToolWait(_) => "tool_wait",
            Self::ToolProgress(_) => "tool_progress",
            Self::ToolResult(_) => "tool_result",
            Self::Input(_) => "input",
            Self::ObjectDelta(_) => "object_delta",
            Self::Object(_) => "object",
            Self::Usage(_) => "usage",
            Self::Retry(_) => "retry",
            Self::Finished(_) => "finished",
            Self::Cancelled(_) => "cancelled",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether this ends the log.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Cancelled(_) | Self::Failed(_))
    }

    /// The frame's text, with `type`, `id` and `seq` first.
    pub fn to_frame(&self, id: &GenerationId, seq: u64) -> String {
        // An id needs no escaping, and every event is an object that begins with its type:
        // id and seq are put in behind that, so that nothing is encoded twice.
        let body = serde_json::to_string(self).unwrap_or_default();
        let head = r#"{"type":"""#.len() + self.type_name().len();
        let rest = body.get(head..).unwrap_or("}");
        format!(r#"{{"type":"{}","id":"{id}","seq":{seq}{rest}"#, self.type_name())
    }
}

/// The generation was accepted. Always seq 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Started {
    /// Random name of this log. Given back in `attach`, it keeps a position from being used in another log.
    pub epoch: Arc<str>,
    /// The provider's name of the model.
    pub model: String,
    /// The provider.
    pub provider: String,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Delta {
    /// The piece. Pieces of the same kind, joined, are the whole.
    pub delta: String,
}

/// A piece of a tool call's arguments, never the accumulated string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolCallDelta {
    /// Which call: 0, 1, 2 ... in order of appearance within the generation.
    pub index: u32,
    /// The call's id.
    pub call_id: Arc<str>,
    /// The tool's name.
    pub name: Arc<str>,
    /// The piece of the arguments, which is JSON text.
    pub delta: String,
}

/// A whole tool call, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolCall {
    /// Which call: 0, 1, 2 ... in order of appearance within the generation.
    pub index: u32,
    /// The call's id.
    pub call_id: Arc<str>,
    /// The tool's name.
    pub name: Arc<str>,
    /// The arguments: parsed, or with `invalid` the text as the model wrote it.
    pub arguments: Value,
    /// Whether the arguments are not valid JSON. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
}

/// The provider runs a tool of its own, such as a web search. Nobody has to answer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ServerToolCall {
    /// The call's id, unique within the generation.
    pub call_id: Arc<str>,
    /// The tool, as the provider names it: `web_search`, `code_interpreter`.
    pub name: Arc<str>,
    /// What it is asked, where the provider says so before the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
}

/// What a tool of the provider's answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ServerToolResult {
    /// The call.
    pub call_id: Arc<str>,
    /// The tool.
    pub name: Arc<str>,
    /// The provider's own object: its fields are the provider's.
    pub result: Value,
    /// Whether the tool failed. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// Where something in the text comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Citation {
    /// The address of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The title of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The words of the source that are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The provider's own object, with what has no name here: positions, document numbers, scores.
    pub source: Value,
}

/// An image or a piece of audio that the model made. One of `data` and `url` is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Media {
    /// Which of the generation's media: 0, 1, 2 ... Pieces with the same number belong together, in order.
    pub index: u32,
    /// `image/png`, `audio/pcm` ...
    pub media_type: String,
    /// The bytes in base64. Each piece stands for itself: decode it, then join the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Where the provider keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether more pieces of it follow. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_more: bool,
}

/// How likely the tokens of the text were, when the start asked for `logprobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Logprobs {
    /// The tokens, in the order of the text.
    pub tokens: Vec<TokenLogprob>,
}

/// One token, and how likely it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct TokenLogprob {
    /// The token's text. A token can end inside a character; then this has a replacement character.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// What else could have stood there, the likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TopLogprob>,
}

/// A token that could have stood there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct TopLogprob {
    /// The token's text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
}

/// Something of the request was left out, because the provider cannot do it, or the server has no such
/// tool, and the answer is still what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Warning {
    /// The field of the start frame: `seed`.
    pub field: String,
    /// One sentence for people: what was left out or changed, and why.
    pub message: String,
}

/// A message of the provider's as it came, before the events that it became. Only when the start asked
/// for `raw`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Raw {
    /// The name of its event, where the provider names events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The message: parsed, or its text where it is not JSON.
    pub data: Value,
}

/// A tool call waits for somebody to approve it, with an `approve` or `deny` frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolApproval {
    /// The call.
    pub call_id: Arc<str>,
    /// The tool.
    pub name: Arc<str>,
    /// The arguments, as in `tool_call`.
    pub arguments: Value,
}

/// A tool call was approved or denied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolDecision {
    /// The call.
    pub call_id: Arc<str>,
    /// Whether it is carried out.
    pub approved: bool,
    /// Who decided.
    pub by: DecidedBy,
    /// The arguments that it is carried out with, where they are not the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who decided on a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// An `approve` or `deny` frame.
    Client,
    /// The application's own code in the server.
    Server,
}

/// A tool that the server runs says how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolProgress {
    /// The call.
    pub call_id: Arc<str>,
    /// How far, in a unit of the tool's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// How far it will be at its end, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of an `input` that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct InputState {
    /// The name of the `input`.
    pub input_id: Arc<str>,
    /// What became of it.
    pub state: InputProgress,
    /// Its messages.
    pub messages: Vec<Message>,
}

/// What became of an `input`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InputProgress {
    /// The turn that follows has it.
    Applied,
    /// The generation ended before another turn.
    Dropped,
}

/// One change of the value that a structured answer is made of. `value` replaces what is at `path`, or adds it;
/// `append` goes to the end of the text that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ObjectDelta {
    /// Where, as a JSON Pointer: `/items/0/name`; empty for the whole.
    pub path: String,
    /// What is there now, so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// A piece of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
}

/// The value that a structured answer is made of, at the end of its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Object {
    /// The value; null where the answer is no JSON.
    pub value: Value,
    /// Whether it fits the schema.
    pub valid: bool,
    /// What does not fit, for people; at most a few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// The generation waits for these results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolWait {
    /// The calls.
    pub call_ids: Vec<Arc<str>>,
}

/// Which result was taken, for the other viewers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolResultTaken {
    /// The call.
    pub call_id: Arc<str>,
    /// What the tool answered.
    pub content: Content,
    /// Whether the tool failed. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// Whether the server carried the call out itself. Default false: a client did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_server: bool,
}

/// Tokens. In a terminal event, the sum over all turns and attempts that the provider counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct TokenUsage {
    /// All tokens that the model read, cached ones included.
    pub input_tokens: u64,
    /// All tokens that the model wrote, reasoning included.
    pub output_tokens: u64,
    /// Those of `input_tokens` that came from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Those of `input_tokens` that were written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Those of `output_tokens` that are reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Those of `input_tokens` that are audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_audio_tokens: Option<u64>,
    /// Those of `output_tokens` that are audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_audio_tokens: Option<u64>,
    /// What they cost, by the prices of the server's configuration and in their currency. Left out where
    /// it has none for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Who counted.
    pub source: UsageSource,
}

/// Who counted the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider, for the whole of it.
    Provider,
    /// The provider for a part of it; the rest is estimated.
    Partial,
    /// Nobody: estimated from the length of the text, at four bytes a token.
    #[default]
    Estimated,
}

/// Another attempt, or another provider. Text already shown stays valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Retry {
    /// The number of the attempt that follows: 2 for the first retry.
    pub attempt: u32,
    /// The provider that is tried.
    pub provider: String,
    /// The provider's name of the model that is tried.
    pub model: String,
    /// Whether the attempt goes on where the text so far stops, instead of beginning anew. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Why the attempt before failed.
    pub reason: ErrorInfo,
    /// How long is waited before it, in milliseconds.
    pub delay_ms: u64,
}

/// How long things took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Timing {
    /// From the start frame to the request to the provider.
    pub queue_ms: u64,
    /// From the start frame to the first delta. Left out when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// From the start frame to this event.
    pub total_ms: u64,
}

/// The model came to its end. Terminal: nothing follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Finished {
    /// Why it stopped.
    pub reason: FinishReason,
    /// The provider's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_reason: Option<String>,
    /// The bill.
    pub usage: TokenUsage,
    /// How long it took.
    pub timing: Timing,
    /// The whole text, when the start asked to `accumulate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Why a model stopped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It said what it had to say, or met a stop string.
    Stop,
    /// It reached the most tokens it may write, or the end of its context.
    Length,
    /// It called tools, and the start asked to end there.
    ToolCalls,
    /// The provider's filter cut the answer.
    ContentFilter,
    /// It refused.
    Refusal,
    /// The provider paused it; sending the conversation again goes on.
    Pause,
    /// A reason that has no name here: see `provider_reason`.
    Other,
}

/// Somebody stopped the generation. Terminal: nothing follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Cancelled {
    /// Who.
    pub by: CancelledBy,
    /// The reason that a `cancel` frame gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The bill.
    pub usage: TokenUsage,
    /// How long it took.
    pub timing: Timing,
    /// The whole text so far, when the start asked to `accumulate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Who stopped a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// A `cancel` frame.
    Client,
    /// Nobody was attached for longer than its `on_disconnect` allows.
    Disconnect,
    /// The server, because it shuts down.
    Server,
}

/// The generation could not be completed. Terminal: nothing follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Failed {
    /// What went wrong.
    pub error: ErrorInfo,
    /// The bill.
    pub usage: TokenUsage,
    /// How long it took.
    pub timing: Timing,
    /// The whole text so far, when the start asked to `accumulate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
