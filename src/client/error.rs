//! Why there is no connection.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokenwire_protocol::close::should_reconnect;

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL cannot be connected to, and why.
    Url(String),
    /// The key holds characters that cannot be sent.
    Key,
    /// The server answered the upgrade with this HTTP status: 401 without a valid key, 503 when it is full.
    Status(u16),
    /// The network failed: refused, reset, timed out, TLS.
    Network(Arc<dyn std::error::Error + Send + Sync>),
    /// The server closed the connection.
    Closed {
        /// The WebSocket close code; 1006 when there was none.
        code: u16,
        /// The server's reason.
        reason: String,
        /// How long the server asked to wait before reconnecting.
        reconnect_in: Duration,
    },
    /// Nothing was heard from the server for twice its heartbeat.
    Silent,
    /// What answered does not speak `tokenwire.v1`.
    NotTokenwire,
}

impl ClientError {
    /// Whether trying again would end the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Url(_) | Self::Key | Self::NotTokenwire => true,
            Self::Status(status) => !matches!(status, 408 | 429 | 500..),
            Self::Closed { code, .. } => !should_reconnect(*code),
            Self::Network(_) | Self::Silent => false,
        }
    }

    pub(super) fn network(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Network(Arc::new(error))
    }

    pub(super) fn reconnect_in(&self) -> Duration {
        match self {
            Self::Closed { reconnect_in, .. } => *reconnect_in,
            // A server that fell over has all its clients waiting: not all at the same moment.
            _ => jittered(Duration::from_millis(100)),
        }
    }
}

/// Half to all of `delay`.
pub(super) fn jittered(delay: Duration) -> Duration {
    // Each `RandomState` has new random keys, and that is all the randomness needed here.
    let random = RandomState::new().hash_one(()) % 1024;
    delay.mul_f64(0.5 + random as f64 / 2048.0)
}

impl PartialEq for ClientError {
    /// Causes of network failures are not compared.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Closed { code, .. }, Self::Closed { code: other, .. }) => code == other,
            (Self::Status(status), Self::Status(other)) => status == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "not a URL to connect to: {why}"),
            Self::Key => f.write_str("the key holds characters that cannot be sent"),
            Self::Status(401) => f.write_str("the server wants a key, or does not know this one (401)"),
            Self::Status(403) => f.write_str("the server does not allow this host or origin (403)"),
            Self::Status(503) => f.write_str("the server is full or going away (503)"),
            Self::Status(status) => write!(f, "the server answered with HTTP status {status}"),
            Self::Network(_) => f.write_str("the network failed"),
            Self::Closed { code: 1006, .. } => f.write_str("the connection dropped"),
            Self::Closed { code, reason, .. } => write!(f, "the server closed the connection: {reason} ({code})"),
            Self::Silent => f.write_str("nothing heard from the server"),
            Self::NotTokenwire => f.write_str("what answered is no tokenwire server"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network(cause) => Some(&**cause),
            _ => None,
        }
    }
}
