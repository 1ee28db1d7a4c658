//! Why the server closes a connection. The range says whether to come back.

/// A WebSocket close code that the server sends.
///
/// A client needs no table, only the range:
///
/// | range | what to do |
/// | --- | --- |
/// | 1001, 1006, 1011, 1012, 1013 | reconnect with backoff, attach again |
/// | 1000, 1002, 1003, 1007, 1008, 1009 | do not reconnect by itself: the client asked for the close, or what it sent is at fault |
/// | 4000-4499 | reconnect, attach again |
/// | 4500-4999 | do not reconnect: it would end the same way |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The client closed, and so does the server.
    Normal = 1000,
    /// Broken WebSocket framing.
    ProtocolError = 1002,
    /// A text frame that is not UTF-8.
    InvalidText = 1007,
    /// A frame over the size limit.
    TooLarge = 1009,
    /// A fault of this server.
    Internal = 1011,
    /// The server shuts down or restarts. Generations that may go on elsewhere do.
    GoingAway = 4001,
    /// The client did not read what was sent to it in time. Attach again to get the rest.
    SlowReader = 4002,
    /// Nothing was heard from the client for too long.
    HeartbeatTimeout = 4003,
    /// The client sent far too much, too fast.
    TooManyFrames = 4004,
    /// Who the client is could not be established.
    Unauthenticated = 4500,
}

impl CloseCode {
    /// Every code.
    pub const ALL: &[Self] = &[
        Self::Normal,
        Self::ProtocolError,
        Self::InvalidText,
        Self::TooLarge,
        Self::Internal,
        Self::GoingAway,
        Self::SlowReader,
        Self::HeartbeatTimeout,
        Self::TooManyFrames,
        Self::Unauthenticated,
    ];

    /// The number on the wire.
    pub const fn as_u16(self) -> u16 {
        self as u16
    }

    /// Whether a client that got this code should reconnect and attach again.
    pub const fn is_reconnect(self) -> bool {
        should_reconnect(self.as_u16())
    }

    /// The reason text that goes with the code.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "closed by the client",
            Self::ProtocolError => "broken WebSocket framing",
            Self::InvalidText => "text that is not UTF-8",
            Self::TooLarge => "frame over the size limit",
            Self::Internal => "internal error",
            Self::GoingAway => "server is going away, reconnect",
            Self::SlowReader => "client reads too slowly, reconnect and attach",
            Self::HeartbeatTimeout => "nothing heard from the client",
            Self::TooManyFrames => "too many frames",
            Self::Unauthenticated => "not authenticated",
        }
    }
}

/// Whether a client that was closed with `code` should reconnect and attach again.
pub const fn should_reconnect(code: u16) -> bool {
    matches!(code, 1001 | 1006 | 1011 | 1012 | 1013 | 4000..=4499)
}
