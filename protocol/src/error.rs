//! Error codes: one closed list, each with whether trying again can help.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($( $(#[doc = $doc:literal])+ $name:ident = $text:literal, $retryable:literal; )+) => {
        /// What went wrong. A code exists where a client would act differently on it.
        ///
        /// A client must treat a code that it does not know by the `retryable` beside it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
        pub enum ErrorCode {
            $( $(#[doc = $doc])+ #[serde(rename = $text)] $name, )+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[ErrorCode] = &[$(Self::$name),+];

            /// The code as it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Whether the same request may succeed when it is sent again later.
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable),+ }
            }

            /// What the code means, in one paragraph.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

codes! {
    /// The frame is not JSON, or not a JSON object.
    BadJson = "bad_json", false;
    /// A field is missing, or has a value that is not allowed. `field` names it.
    BadField = "bad_field", false;
    /// `type` is not one that a client may send.
    UnknownType = "unknown_type", false;
    /// The frame is binary. Frames are text.
    BinaryFrame = "binary_frame", false;
    /// The frame is larger than the `max_frame_bytes` of `hello`. The connection is closed after this.
    FrameTooLarge = "frame_too_large", false;
    /// No model or route of that name is enabled here.
    UnknownModel = "unknown_model", false;
    /// The server cannot do what was asked of it.
    NotSupported = "not_supported", false;
    /// The generation does not exist, is no longer kept, or belongs to somebody else.
    GenerationNotFound = "generation_not_found", false;
    /// The events after the given position are no longer kept, or the position is from another epoch.
    Gap = "gap", false;
    /// The generation has ended, so it takes no input and no tool results.
    GenerationEnded = "generation_ended", false;
    /// The generation has taken its last turn, so it takes no input: send it as a new `start` with `continue_from`.
    TooLate = "too_late", false;
    /// The conversation does not exist, is no longer kept, or belongs to somebody else.
    ConversationNotFound = "conversation_not_found", false;
    /// The generation does not wait for a result of that call.
    CallNotFound = "call_not_found", false;
    /// The call has its result already: the first one won.
    AlreadyResolved = "already_resolved", false;
    /// The connection runs as many generations as one connection may.
    TooManyGenerations = "too_many_generations", true;
    /// The connection is attached to as many generations as one connection may be.
    TooManyAttachments = "too_many_attachments", true;
    /// The server is shutting down and starts nothing new here.
    ShuttingDown = "shutting_down", true;

    /// The provider could not be connected to in time.
    ConnectTimeout = "connect_timeout", true;
    /// The provider sent no first token in time.
    FirstTokenTimeout = "first_token_timeout", true;
    /// The provider fell silent between two tokens.
    IdleTimeout = "idle_timeout", true;
    /// The whole generation took too long.
    GenerationTimeout = "generation_timeout", false;
    /// No tool result came in time.
    ToolTimeout = "tool_timeout", false;
    /// The generation's log is full.
    LogFull = "log_full", false;
    /// The tool loop went on for more turns than one generation may take.
    TooManyTurns = "too_many_turns", false;
    /// The provider's stream stopped without its own end.
    Truncated = "truncated", true;
    /// The provider could not be reached, or the connection to it broke.
    Network = "network", true;
    /// The provider refused the key.
    Authentication = "authentication", false;
    /// The key may not use this model or feature.
    Permission = "permission", false;
    /// The provider does not know the model.
    ModelNotFound = "model_not_found", false;
    /// The provider refused the request as malformed.
    InvalidRequest = "invalid_request", false;
    /// The conversation is too long for the model.
    ContextTooLong = "context_too_long", false;
    /// The provider's filter stopped the request or the answer.
    ContentFilter = "content_filter", false;
    /// Too many requests for now.
    RateLimit = "rate_limit", true;
    /// The account has no credit or quota left.
    Quota = "quota", false;
    /// The provider is overloaded.
    Overloaded = "overloaded", true;
    /// The provider itself ran out of time.
    ProviderTimeout = "provider_timeout", true;
    /// The provider failed.
    ProviderError = "provider_error", true;
    /// What the provider sent could not be understood.
    ProviderProtocol = "provider_protocol", false;
    /// A fault of this server.
    Internal = "internal", false;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code, a sentence for people, and what a client needs to decide what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ErrorInfo {
    /// What went wrong.
    pub code: ErrorCode,
    /// One sentence for people. Holds no prompt, no key and no text of the answer.
    pub message: Cow<'static, str>,
    /// Whether the same request may succeed when it is sent again.
    pub retryable: bool,
    /// How long to wait before that, in milliseconds, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The field of the client's frame that is at fault, as a path: `messages[0].role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The provider that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The HTTP status that the provider answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's own code for it: `insufficient_quota`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_code: Option<String>,
    /// The id under which the provider knows the request, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl ErrorInfo {
    /// An error with the code's own `retryable`.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.is_retryable(),
            retry_after_ms: None,
            field: None,
            provider: None,
            status: None,
            provider_code: None,
            request_id: None,
        }
    }

    /// The same error, naming the field at fault.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ErrorInfo {}
