//! What a client may say.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{
    ConversationId, ErrorCode, ErrorInfo, GenerationId,
    fields::{bad_field, fields, null_is_default, object},
    message::{Content, Message, Stop, Tool, ToolChoice},
};

/// A frame from the client to the server.
///
/// Unknown fields are ignored, and an optional field that is `null` counts as left out. An
/// unknown `type` is answered with an `error` frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Run a generation and attach to it.
    Start(Box<Start>),
    /// Stop a generation.
    Cancel(Cancel),
    /// Read a generation's log after a position: resume, or watch.
    Attach(Attach),
    /// Stop reading a generation's log, without stopping the generation.
    Detach(Detach),
    /// Answer a tool call of a running generation.
    ToolResult(ToolResult),
    /// Let a tool call of a running generation be carried out.
    Approve(Approve),
    /// Refuse a tool call of a running generation.
    Deny(Deny),
    /// Add user messages to a running generation.
    Input(Input),
    /// See each new generation of a conversation, and read its log.
    Watch(Watch),
    /// Stop seeing them.
    Unwatch(Unwatch),
    /// Application heartbeat.
    Ping(Ping),
}

/// A frame that could not be taken, ready to be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct BadFrame {
    /// The generation that the frame was about, where that could be read.
    pub id: Option<GenerationId>,
    /// What is wrong with it. Boxed because it is rare and large.
    pub error: Box<ErrorInfo>,
}

impl ClientFrame {
    /// The types that a client may send.
    pub const TYPES: &[&str] =
        &["start", "cancel", "attach", "detach", "tool_result", "approve", "deny", "input", "watch", "unwatch", "ping"];

    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::BadJson`] if it is not a JSON object, [`ErrorCode::UnknownType`],
    /// or [`ErrorCode::BadField`] with `field` naming the one at fault.
    pub fn parse(text: &str) -> Result<Self, BadFrame> {
        // Passes that skip everything but the two fields that say where an answer belongs.
        let head: Head = object(text).and_then(|()| fields(text)).map_err(|error| BadFrame { id: None, error })?;
        let id = head.id.and_then(|IdText(id)| id?.parse().ok());
        Self::parse_kind(text, head.kind.as_deref()).map_err(|error| BadFrame { id, error })
    }

    fn parse_kind(text: &str, kind: Option<&str>) -> Result<Self, Box<ErrorInfo>> {
        let frame = match kind {
            Some("start") => Self::Start(fields(text)?),
            Some("cancel") => Self::Cancel(fields(text)?),
            Some("attach") => Self::Attach(fields(text)?),
            Some("detach") => Self::Detach(fields(text)?),
            Some("tool_result") => Self::ToolResult(fields(text)?),
            Some("approve") => Self::Approve(fields(text)?),
            Some("deny") => Self::Deny(fields(text)?),
            Some("input") => Self::Input(fields(text)?),
            Some("watch") => Self::Watch(fields(text)?),
            Some("unwatch") => Self::Unwatch(fields(text)?),
            Some("ping") => Self::Ping(fields(text)?),
            Some(_) => {
                let message = format!("`type` is one of {}", Self::TYPES.join(", "));
                return Err(Box::new(ErrorInfo::new(ErrorCode::UnknownType, message).with_field("type")));
            }
            None => return Err(bad_field("type", "`type` is missing")),
        };
        frame.check()?;
        Ok(frame)
    }

    /// What the types alone cannot say.
    fn check(&self) -> Result<(), Box<ErrorInfo>> {
        match self {
            Self::Start(start) if start.model.is_empty() => Err(bad_field("model", "`model` is empty")),
            Self::Start(start) if start.messages.is_empty() && start.continue_from.is_none() => {
                Err(bad_field("messages", "`messages` needs at least one message"))
            }
            Self::Start(start) if start.max_turns == Some(0) => {
                Err(bad_field("max_turns", "`max_turns` is at least 1"))
            }
            Self::Input(input) if input.messages.is_empty() => {
                Err(bad_field("messages", "`messages` needs at least one message"))
            }
            Self::Cancel(Cancel { id: None, all: false, .. }) => {
                Err(bad_field("id", "`id` is missing, or say `\"all\": true`"))
            }
            _ => Ok(()),
        }
    }
}

/// The fields that say what a frame is and where its answer belongs.
#[derive(Deserialize)]
struct Head {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    id: Option<IdText>,
}

/// An `id` of any JSON type: in the first pass a wrong one is not an error yet.
struct IdText(Option<String>);

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(id) => Some(id),
            _ => None,
        }))
    }
}

/// Runs a generation, and attaches the connection to it from its first event.
///
/// Sent again with the same `id` it attaches to what is there: it never starts, or pays, twice.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Start {
    /// The generation's name, chosen by the client.
    pub id: GenerationId,
    /// `provider/model`, or the name of a route.
    pub model: String,
    /// The conversation.
    #[serde(default, deserialize_with = "null_is_default")]
    pub messages: Vec<Message>,
    /// Tools that the model may call.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called. Default: the model decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// End with reason `tool_calls` when the model calls a tool, instead of waiting for
    /// `tool_result` frames and going on. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub end_at_tool_calls: bool,
    /// Whether the model may call several tools in one turn. Default: the provider decides, mostly yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// Sampling temperature, in the provider's range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Only the so many likeliest tokens are drawn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// Makes tokens that stand in the text already less likely, -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Makes tokens less likely the more often they stand in the text already, -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// The most tokens that the model may write, per turn.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "max_completion_tokens")]
    pub max_tokens: Option<u64>,
    /// Where the model stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Asks for the same answer to the same request, where the provider can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// `{"type":"json_schema",...}` as in chat completions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
    /// How long to think: `none`, `minimal`, `low`, `medium`, `high`, or what the provider knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// The most tokens to think, for providers that count rather than grade. Wins over `reasoning_effort` there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_budget: Option<u64>,
    /// Ask for `logprobs` events. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// How many other tokens to name beside each, with `logprobs`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u8>,
    /// Send the provider's own messages too, as `raw` events. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
    /// Where to ask, instead of where the server is configured to. Refused unless its configuration allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<StartUpstream>,
    /// Fields for one provider, by its name, put into its request as they are:
    /// `{"openai": {"service_tier": "flex"}}`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Map::is_empty")]
    pub provider_options: Map<String, Value>,
    /// What happens when no connection is attached any more. Default: `cancel` after the server's grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<OnDisconnect>,
    /// Deadlines for this generation, each within the server's limit.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
    /// Anything, for the application's own use: hooks see it, the provider does not.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// An ended generation, also a cancelled one, whose messages go before `messages`. What it was asked with
    /// besides them is not taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_from: Option<GenerationId>,
    /// The conversation that this generation belongs to: whoever watches it sees this generation. Made by its
    /// first generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Which of the server's own tools the model may call, by name; a `*` at the end stands for any rest.
    /// Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tools: Option<Vec<String>>,
    /// Which tool calls must be approved before they are carried out, by tool, `*` for any other. A tool that
    /// the server's configuration wants approved cannot be freed here.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<String, Approval>,
    /// The most turns that this generation may take, within the server's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// With a JSON schema in `response_format`: when the answer does not fit it, ask the model once to repair
    /// it. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub repair: bool,
    /// Repeat the whole text in the terminal event. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub accumulate: bool,
}

impl Start {
    /// A start with everything else at its default.
    pub fn new(id: GenerationId, model: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            id,
            model: model.into(),
            messages,
            tools: Vec::new(),
            tool_choice: None,
            end_at_tool_calls: false,
            parallel_tool_calls: None,
            temperature: None,
            top_p: None,
            top_k: None,
            presence_penalty: None,
            frequency_penalty: None,
            max_tokens: None,
            stop: None,
            seed: None,
            response_format: None,
            reasoning_effort: None,
            reasoning_budget: None,
            logprobs: false,
            top_logprobs: None,
            raw: false,
            upstream: None,
            provider_options: Map::new(),
            on_disconnect: None,
            timeouts: Timeouts::default(),
            metadata: Map::new(),
            continue_from: None,
            conversation: None,
            server_tools: None,
            approvals: BTreeMap::new(),
            max_turns: None,
            repair: false,
            accumulate: false,
        }
    }
}

impl fmt::Debug for Start {
    /// Prompts never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("id", &self.id)
            .field("model", &self.model)
            .field("messages", &self.messages.len())
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}

/// Where to ask, and with which key, for one generation. What is left out is as configured.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct StartUpstream {
    /// Where the provider is: `https://gateway.example.com/v1`. Its host must be one that the server lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The provider's key. With a `base_url`, the server's own key is never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

impl fmt::Debug for StartUpstream {
    /// Keys never reach a log, nor does a URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartUpstream")
            .field("has_base_url", &self.base_url.is_some())
            .field("has_key", &self.api_key.is_some())
            .finish()
    }
}

/// What happens to a generation when no connection is attached to it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Cancelled after the server's grace period, unless somebody attaches before. `"cancel"`.
    Cancel,
    /// Cancelled after this many milliseconds. `{"cancel_after_ms": 5000}`.
    CancelAfterMs(u64),
    /// Goes on to its end. `"continue"`.
    Continue,
}

/// Deadlines in milliseconds. What is left out is the server's default; more than the server's limit is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Timeouts {
    /// Until the provider is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From sending the request to the first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// From one token to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// From the start to the end, waiting for tools not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// Until the results of tool calls are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_ms: Option<u64>,
}

impl Timeouts {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Stops a generation. Valid before, during and after it; never an error for one's own finished generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Cancel {
    /// The generation. Left out with `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<GenerationId>,
    /// Every generation that this connection is attached to.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Why, repeated in the `cancelled` event. At most 256 bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reads a generation's log after a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Attach {
    /// The generation.
    pub id: GenerationId,
    /// The `seq` last seen; 0 for the whole log.
    #[serde(default, deserialize_with = "null_is_default")]
    pub after: u64,
    /// The `epoch` of the `started` event that was seen. A position from another epoch is answered with `gap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
}

/// Stops reading a generation's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Detach {
    /// The generation.
    pub id: GenerationId,
}

/// The result of a tool call. The first one for a call wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolResult {
    /// The generation.
    pub id: GenerationId,
    /// The call, as named in `tool_call`.
    pub call_id: String,
    /// What the tool answered.
    pub content: Content,
    /// Whether the tool failed, so that `content` describes an error. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// Whether the calls of a tool must be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Every call waits for an `approve` or `deny`.
    Always,
    /// No call does.
    Never,
}

/// Lets a tool call be carried out. The first decision on a call wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Approve {
    /// The generation.
    pub id: GenerationId,
    /// The call, as named in `tool_approval`.
    pub call_id: String,
    /// Other arguments than the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Map<String, Value>>,
}

/// Refuses a tool call: the model is told so, and goes on. The first decision on a call wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Deny {
    /// The generation.
    pub id: GenerationId,
    /// The call, as named in `tool_approval`.
    pub call_id: String,
    /// Why, for the model. At most 1,024 bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Adds messages to a running generation; the model sees them at its next turn boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Input {
    /// The generation.
    pub id: GenerationId,
    /// A name for these messages: the `input` events say what became of it, and a repeated one is taken once.
    /// Default: one of the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_id: Option<String>,
    /// Cut the running turn off, and go on from the text so far. Default false.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub interrupt: bool,
    /// The messages, usually of role `user`.
    pub messages: Vec<Message>,
}

/// Sees each new generation of a conversation with the messages that started it, and reads its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Watch {
    /// The conversation.
    pub conversation: ConversationId,
    /// The `seq` of the last `conversation` frame that was seen; 0 for all that is kept.
    #[serde(default, deserialize_with = "null_is_default")]
    pub after: u64,
    /// The `epoch` of that frame. With a position from another epoch, all that is kept is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// A token that its owner has made, to watch a conversation of somebody else's without changing anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
}

/// Stops watching a conversation. Its generations that are attached stay so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Unwatch {
    /// The conversation.
    pub conversation: ConversationId,
}

/// Asks for a `pong`. Browsers cannot send the protocol's own pings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Ping {
    /// Comes back in the `pong`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Value>,
}
