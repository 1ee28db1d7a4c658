//! What a client may say.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    ErrorCode, ErrorInfo, GenerationId,
    message::{Content, Message, Stop, Tool, ToolChoice},
};

/// A frame from the client to the server.
///
/// Unknown fields are ignored. An unknown `type` is answered with an `error` frame.
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
    /// Add user messages to a running generation.
    Input(Input),
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
    pub const TYPES: &[&str] = &["start", "cancel", "attach", "detach", "tool_result", "input", "ping"];

    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::BadJson`] if it is not a JSON object, [`ErrorCode::UnknownType`],
    /// or [`ErrorCode::BadField`] with `field` naming the one at fault.
    pub fn parse(text: &str) -> Result<Self, BadFrame> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow, default, rename = "type")]
            kind: Option<Cow<'a, str>>,
            #[serde(borrow, default)]
            id: Option<IdText<'a>>,
        }

        let not_an_object =
            |message: String| BadFrame { id: None, error: Box::new(ErrorInfo::new(ErrorCode::BadJson, message)) };
        // A first pass that skips everything but the two fields that say where an answer belongs.
        let head: Head<'_> = match serde_json::from_str(text) {
            Ok(head) => head,
            Err(error) if error.is_data() && text.trim_ascii_start().starts_with('{') => {
                let error = ErrorInfo::new(ErrorCode::BadField, "`type` must be a string").with_field("type");
                return Err(BadFrame { id: None, error: Box::new(error) });
            }
            Err(error) if error.is_data() => {
                return Err(not_an_object("a frame is a JSON object".to_owned()));
            }
            Err(error) => {
                let at = (error.line(), error.column());
                return Err(not_an_object(format!("not JSON: fails at line {} column {}", at.0, at.1)));
            }
        };
        let id = head.id.and_then(|IdText(id)| id?.parse().ok());
        let bad = |error: ErrorInfo| BadFrame { id: id.clone(), error: Box::new(error) };
        let Some(kind) = head.kind else {
            return Err(bad(ErrorInfo::new(ErrorCode::BadField, "`type` is missing").with_field("type")));
        };
        let frame = match &*kind {
            "start" => fields(text).map(|start: Box<Start>| Self::Start(start)),
            "cancel" => fields(text).map(Self::Cancel),
            "attach" => fields(text).map(Self::Attach),
            "detach" => fields(text).map(Self::Detach),
            "tool_result" => fields(text).map(Self::ToolResult),
            "input" => fields(text).map(Self::Input),
            "ping" => fields(text).map(Self::Ping),
            _ => Err(ErrorInfo::new(ErrorCode::UnknownType, format!("`type` is one of {}", Self::TYPES.join(", ")))
                .with_field("type")),
        };
        let frame = frame.map_err(bad)?;
        match frame.check() {
            Ok(()) => Ok(frame),
            Err(error) => Err(BadFrame { id, error: Box::new(error) }),
        }
    }

    /// What the types alone cannot say.
    fn check(&self) -> Result<(), ErrorInfo> {
        let bad =
            |field: &str, message: &'static str| Err(ErrorInfo::new(ErrorCode::BadField, message).with_field(field));
        match self {
            Self::Start(start) if start.messages.is_empty() && start.continue_from.is_none() => {
                bad("messages", "`messages` needs at least one message")
            }
            Self::Start(start) if start.model.is_empty() => bad("model", "`model` is empty"),
            Self::Input(input) if input.messages.is_empty() => bad("messages", "`messages` needs at least one message"),
            Self::Cancel(Cancel { id: None, all: false, .. }) => bad("id", "`id` is missing, or say `\"all\": true`"),
            _ => Ok(()),
        }
    }
}

/// An `id` of any JSON type: in the first pass a wrong one is not an error yet.
struct IdText<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for IdText<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(id) => Some(Cow::Owned(id)),
            _ => None,
        }))
    }
}

/// Reads the fields of a frame, and on failure names the one at fault.
fn fields<T: DeserializeOwned>(text: &str) -> Result<T, ErrorInfo> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let mut message = error.inner().to_string();
        // The position means nothing to a client that built the frame from an object.
        if let Some(at) = message.find(" at line ") {
            message.truncate(at);
        }
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let field = match (path.as_str(), missing) {
            (".", Some(missing)) => missing.to_owned(),
            (path, Some(missing)) => format!("{path}.{missing}"),
            (path, None) => path.to_owned(),
        };
        ErrorInfo::new(ErrorCode::BadField, without_values(&message)).with_field(field)
    })
}

/// Serde quotes the offending value (`invalid type: string "my prompt"`); an error frame must not.
fn without_values(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            let kind =
                found.split_once(": ").map_or("", |(_, value)| value.split([' ', '`']).next().unwrap_or_default());
            match kind {
                "" => format!("expected {expected}"),
                kind => format!("expected {expected}, not {kind}"),
            }
        }
        _ => match message.split_once("unknown variant `") {
            Some((_, rest)) => match rest.split_once("`, ") {
                Some((_, expected)) => expected.to_owned(),
                None => "a value that is not known".to_owned(),
            },
            None => message.to_owned(),
        },
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
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Tools that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called. Default: the model decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// End with reason `tool_calls` when the model calls a tool, instead of waiting for
    /// `tool_result` frames and going on. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_at_tool_calls: bool,
    /// Sampling temperature, in the provider's range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
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
    /// Fields for one provider, by its name, put into its request as they are:
    /// `{"openai": {"service_tier": "flex"}}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub provider_options: Map<String, Value>,
    /// What happens when no connection is attached any more. Default: `cancel` after the server's grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<OnDisconnect>,
    /// Deadlines for this generation, each within the server's limit.
    #[serde(default, skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
    /// Anything, for the application's own use: hooks see it, the provider does not.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// A finished generation whose conversation goes before `messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_from: Option<GenerationId>,
    /// Repeat the whole text in the terminal event. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
            temperature: None,
            top_p: None,
            max_tokens: None,
            stop: None,
            seed: None,
            response_format: None,
            reasoning_effort: None,
            provider_options: Map::new(),
            on_disconnect: None,
            timeouts: Timeouts::default(),
            metadata: Map::new(),
            continue_from: None,
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
    #[serde(default)]
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// Adds messages to a running generation; the model sees them at its next turn boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Input {
    /// The generation.
    pub id: GenerationId,
    /// The messages, usually of role `user`.
    pub messages: Vec<Message>,
}

/// Asks for a `pong`. Browsers cannot send the protocol's own pings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Ping {
    /// Comes back in the `pong`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Value>,
}
