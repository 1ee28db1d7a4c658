//! Dialects: how clients speak on the socket.
//!
//! A dialect is two things: commands out of a client's frames, and frames out of a log's events. The first is in
//! [`session`](crate::session), one file for each dialect, beside the verbs that all of them share; the second is a
//! [`View`], which the session's write loop reads without knowing what it says. Socket, heartbeat, deadlines, batches,
//! slow readers and the way out are the session's, the same for all.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokenwire_protocol::ConnectionFrame;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::generation::log::{Log, Next, Reader};

pub(crate) mod ai_sdk;

/// What a connection speaks.
pub(crate) enum Dialect {
    /// The protocol of this project.
    Native,
    /// That of the AI SDK's `WebSocketChatTransport`.
    AiSdk(ai_sdk::Settings),
}

impl Dialect {
    /// A frame about the connection, if there is one for it in the dialect.
    pub fn connection_frame(&self, frame: &ConnectionFrame) -> Option<String> {
        match self {
            Self::Native => Some(frame.to_json()),
            Self::AiSdk(_) => ai_sdk::connection_frame(frame),
        }
    }
}

/// One log, as one client reads it.
pub(crate) enum View {
    /// The native text, which all readers share.
    Native(Reader),
    /// Chunks of a UI message.
    AiSdk(Box<ai_sdk::Answer>),
}

impl View {
    /// The next frame, and whether the client is done with the log then.
    pub fn next(&mut self) -> Next<(Utf8Bytes, bool)> {
        match self {
            Self::Native(reader) => reader.next_frame(),
            Self::AiSdk(answer) => answer.next(),
        }
    }

    /// Ready when [`next`](Self::next) has something to say other than [`Next::Pending`]. Cancel-safe.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Native(reader) => reader.poll_ready(cx),
            Self::AiSdk(answer) => answer.poll_ready(cx),
        }
    }

    /// Whether everything that will ever be there is there.
    pub fn is_sealed(&self) -> bool {
        match self {
            Self::Native(reader) => reader.is_sealed(),
            Self::AiSdk(answer) => answer.is_sealed(),
        }
    }

    /// Whether it is only there to keep the generation of `log` running, and says nothing more.
    pub fn only_keeps(&self, log: &Arc<Log>) -> bool {
        matches!(self, Self::AiSdk(answer) if answer.only_keeps(log))
    }

    /// What is read.
    pub fn log(&self) -> &Arc<Log> {
        match self {
            Self::Native(reader) => reader.log(),
            Self::AiSdk(answer) => answer.log(),
        }
    }
}
