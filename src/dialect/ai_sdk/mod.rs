//! What the AI SDK's `WebSocketChatTransport` speaks. `docs/ai-sdk.md` describes it for those who use it.
//!
//! ```text
//!   frame ──► ClientFrame ──► Send ── messages (UI to model), body ──► Start
//!
//!   log ──► Answer (a request's frames, numbered) ──► Chunks (events to chunks of a UI message)
//! ```
//!
//! A chat is a conversation, and an assistant message is a generation. Where the AI SDK ends its stream, at a tool call
//! that the page answers or at an approval, the generation goes on waiting; the page's next request answers it.
//!
//! What must stay true:
//! - every frame has a string `requestId`, and a request's chunks are numbered from 0 without a gap: anything else
//!   makes the client drop its connection, and all that runs on it;
//! - a part is opened before it gets a delta, and a tool's output follows its input: anything else is an error there;
//! - what is said of a log is the same each time it is read, but for deltas that are joined and calls that were answered
//!   meanwhile, which are not offered to the page again.

use serde_json::json;
use tokenwire_protocol::{ConnectionFrame, ConversationId, ErrorFrame, ErrorInfo, GoingAway};

use crate::config::{AbortPolicy, sha256_hex};

mod answer;
mod beyond;
mod calls;
mod chunks;
mod frames;
mod messages;
mod metadata;
#[cfg(test)]
mod properties;
mod start;

pub(crate) use answer::Answer;
pub(crate) use frames::{Abort, ClientFrame, Ping, RequestId, Resume, Send};
pub(crate) use messages::{Answered, CallAnswer};

/// The `requestId` of frames about the connection: no request has it.
const SERVER: &str = "server";

/// What a connection was opened with.
pub(crate) struct Settings {
    /// The model of requests that name none.
    pub model: String,
    /// What an `abort` means that does not say it.
    pub abort: AbortPolicy,
}

/// The conversation of a chat: of that name where it is a valid one, else of one made from it, always the same.
pub(crate) fn conversation_of(chat: &str) -> ConversationId {
    let made = || format!("chat-{}", &sha256_hex(chat)[..40]);
    // A name made so is valid.
    chat.parse().or_else(|_| made().parse()).unwrap_or_else(|_| unreachable!("a hash in hex is a valid id"))
}

/// A frame that refuses a request, or a frame that belongs to none.
pub(crate) fn error_frame(request: Option<&str>, error: &ErrorInfo) -> String {
    let request = request.unwrap_or(SERVER);
    let text = match &error.field {
        Some(field) => format!("{field}: {}", error.message),
        None => error.message.to_string(),
    };
    let mut frame = json!(error);
    frame["type"] = "error".into();
    frame["requestId"] = request.into();
    frame["errorText"] = text.into();
    frame.to_string()
}

/// The answer to a `resume` where nothing runs.
pub(crate) fn no_active_frame(request: &RequestId) -> String {
    json!({"type": "no-active", "requestId": request}).to_string()
}

/// The answer to a `resume` where something does.
pub(crate) fn start_frame(request: &RequestId) -> String {
    json!({"type": "start", "requestId": request}).to_string()
}

/// The answer to a `ping`.
pub(crate) fn pong_frame(request: &RequestId) -> String {
    json!({"type": "pong", "requestId": request}).to_string()
}

/// A frame about the connection. The client ignores what belongs to none of its requests.
pub(crate) fn connection_frame(frame: &ConnectionFrame) -> Option<String> {
    match frame {
        ConnectionFrame::Error(ErrorFrame { error, .. }) => Some(error_frame(None, error)),
        ConnectionFrame::GoingAway(GoingAway { reason, reconnect_in_ms }) => Some(
            json!({
                "type": "going-away", "requestId": SERVER, "reason": reason, "reconnectInMs": reconnect_in_ms,
            })
            .to_string(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chat_has_a_conversation() {
        let of = |chat: &str| conversation_of(chat).to_string();
        assert_eq!(of("chat-1"), "chat-1");
        assert_eq!(of("Müller & Söhne"), of("Müller & Söhne"));
        assert_ne!(of("Müller & Söhne"), of("Müller"));
        assert_eq!(of("").len(), 45);
        assert_eq!(of(&"x".repeat(129)).len(), 45);
    }
}
