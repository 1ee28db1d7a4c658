//! What a server says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ConversationId, ErrorInfo, EventFrame, GenerationId, message::Message};

/// A frame from the server to the client: about the connection, or an event of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ServerFrame {
    /// An event of a generation. Has `id` and `seq`.
    Event(EventFrame),
    /// About the connection.
    Connection(ConnectionFrame),
}

/// A frame about the connection itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ConnectionFrame {
    /// The first frame.
    Hello(Hello),
    /// A frame of the client's was refused; nothing else changed.
    Error(ErrorFrame),
    /// The server will close this connection.
    GoingAway(GoingAway),
    /// An `input` was taken.
    InputAccepted(InputAccepted),
    /// Something changed in a conversation that is watched.
    Conversation(ConversationFrame),
    /// The answer to `ping`.
    Pong(Pong),
}

impl ConnectionFrame {
    /// The frame's text.
    pub fn to_json(&self) -> String {
        // A value built of strings and numbers always encodes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The first frame on every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Hello {
    /// Random name of the session, for support and logs.
    pub session: String,
    /// `tokenwire.v1`.
    pub protocol: String,
    /// How often the server pings. A client that hears nothing for twice as long should reconnect.
    pub heartbeat_seconds: u32,
    /// What this connection may do.
    pub limits: Limits,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Limits {
    /// The largest frame that a client may send, in bytes.
    pub max_frame_bytes: u32,
    /// How many running generations a connection may have started.
    pub max_generations: u32,
    /// How many generations a connection may be attached to.
    pub max_attachments: u32,
}

/// A frame of the client's was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ErrorFrame {
    /// The generation that the refused frame was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<GenerationId>,
    /// The conversation that the refused frame was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// What is wrong with it.
    #[serde(flatten)]
    pub error: ErrorInfo,
}

/// The server will close this connection. Generations go on; reconnect and attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct GoingAway {
    /// Why, for people.
    pub reason: String,
    /// How long to wait before reconnecting, in milliseconds. Spread over the clients.
    pub reconnect_in_ms: u64,
}

/// An `input` was taken: it waits for the generation's next turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct InputAccepted {
    /// The generation.
    pub id: GenerationId,
    /// The name of the `input`.
    pub input_id: String,
}

/// Something changed in a conversation that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ConversationFrame {
    /// The conversation.
    pub conversation: ConversationId,
    /// The position of the change: 1, 2, 3 ... What is no longer kept is left out.
    pub seq: u64,
    /// The random name of this list of changes: a conversation that was forgotten and begun anew has another one.
    pub epoch: Arc<str>,
    /// What changed.
    #[serde(flatten)]
    pub change: ConversationChange,
}

/// What changed in a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ConversationChange {
    /// A generation was started in it. Its events follow, from the first one.
    Generation {
        /// The generation.
        id: GenerationId,
        /// As the start named it.
        model: String,
        /// The messages of its start.
        messages: Vec<Message>,
        /// The generation that it continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continue_from: Option<GenerationId>,
    },
    /// It has another title.
    Renamed {
        /// The title.
        title: String,
    },
    /// It was deleted. Nothing follows.
    Deleted,
}

/// The answer to `ping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Pong {
    /// What the `ping` carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Value>,
}
