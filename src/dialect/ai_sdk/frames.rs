//! What a client of the AI SDK sends.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo, GenerationId,
    fields::{bad_field, fields, null_is_default, object},
};

use super::messages::UiMessage;

/// The name of a request, chosen by the client for its connection. The rules of a generation's name hold for it.
pub(crate) type RequestId = GenerationId;

/// A frame from the client.
pub(crate) enum ClientFrame {
    /// Answer these messages.
    Send(Box<Send>),
    /// Read what runs in a chat.
    Resume(Resume),
    /// Stop a request, or leave it.
    Abort(Abort),
    /// Answer with a `pong`. No frame of the AI SDK's own.
    Ping(Ping),
}

/// What asks for an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Send {
    pub request_id: RequestId,
    /// The chat.
    pub id: String,
    #[serde(default)]
    pub trigger: Trigger,
    /// The message that is sent anew, or that the answer goes on with.
    #[serde(default)]
    pub message_id: Option<String>,
    pub messages: Vec<UiMessage>,
    /// Fields of a `start`, and whatever else the application puts there.
    #[serde(default, deserialize_with = "null_is_default")]
    pub body: Map<String, Value>,
    #[serde(default)]
    pub metadata: Value,
    /// A name for the generation: a `send` that is repeated with it reads what is there. No field of the AI SDK's own.
    #[serde(default)]
    pub generation: Option<GenerationId>,
}

/// Why a `send` comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trigger {
    /// Somebody wrote something, or answered a tool call.
    #[default]
    SubmitMessage,
    /// The last answer is wanted anew.
    RegenerateMessage,
}

/// What asks for the answer that is being made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resume {
    pub request_id: RequestId,
    /// The chat.
    pub id: String,
    /// This generation, also when it has ended. No field of the AI SDK's own.
    #[serde(default)]
    pub generation: Option<GenerationId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Abort {
    pub request_id: RequestId,
    /// Whether the generation stops, or is only left. Default: as configured. No field of the AI SDK's own.
    #[serde(default)]
    pub stop: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ping {
    pub request_id: RequestId,
}

/// A frame that could not be taken, and the request that it was to begin, as the client calls it.
pub(crate) struct BadFrame {
    pub request_id: Option<String>,
    pub error: Box<ErrorInfo>,
}

impl ClientFrame {
    /// Reads one frame.
    pub fn parse(text: &str) -> Result<Self, BadFrame> {
        let head: Head =
            object(text).and_then(|()| fields(text)).map_err(|error| BadFrame { request_id: None, error })?;
        // Other frames name a request that is alive, which an error would end.
        let begins = matches!(head.kind.as_str(), Some("send" | "resume"));
        let request_id = head.request_id.as_str().filter(|_| begins).map(str::to_owned);
        let frame = match head.kind.as_str() {
            Some("send") => fields(text).map(Self::Send),
            Some("resume") => fields(text).map(Self::Resume),
            Some("abort") => fields(text).map(Self::Abort),
            Some("ping") => fields(text).map(Self::Ping),
            Some(_) => {
                let error = ErrorInfo::new(ErrorCode::UnknownType, "`type` is one of send, resume, abort, ping");
                Err(Box::new(error.with_field("type")))
            }
            None => Err(bad_field("type", "`type` is missing")),
        };
        frame.map_err(|error| BadFrame { request_id, error })
    }
}

/// What says where an answer belongs. A wrong type is no error yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    request_id: Value,
}
