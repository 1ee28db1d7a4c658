//! The vocabulary of the Tokenwire protocol, `tokenwire.v1`.
//!
//! This crate holds types and nothing that runs: what a client may say
//! ([`ClientFrame`]), what a server answers ([`ServerFrame`]), what happens inside a
//! generation ([`Event`]), and the codes of errors and closes. The specification for
//! humans is `SPECIFICATION.md` beside it; the JSON Schema, the AsyncAPI document and the
//! TypeScript types are generated from these types (feature `generate`).
//!
//! Reading order: [`id`] names a generation, [`message`] is what a model is asked,
//! [`client`] and [`server`] are the two directions of the socket, [`event`] is what a
//! generation's log is made of, [`error`] and [`close`] are the codes.
//!
//! An `id` is repeated in every frame of its generation; `seq` is what a client keeps, and gives
//! back as `after` to go on where it was. A bad frame is answered, not fatal:
//! [`ClientFrame::parse`] says with what.
//!
//! ```
//! use tokenwire_protocol::{ClientFrame, EventFrame, Event, Delta};
//!
//! let frame = ClientFrame::parse(r#"{"type":"cancel","id":"g1"}"#).unwrap();
//! assert!(matches!(frame, ClientFrame::Cancel(_)));
//!
//! let event = EventFrame {
//!     id: "g1".parse().unwrap(),
//!     seq: 2,
//!     event: Event::Text(Delta { delta: "Hi".into() }),
//! };
//! assert_eq!(event.to_json(), r#"{"type":"text","id":"g1","seq":2,"delta":"Hi"}"#);
//! ```

pub mod client;
pub mod close;
pub mod documents;
pub mod error;
pub mod event;
pub mod fields;
pub mod id;
pub mod message;
pub mod server;

pub use client::{
    Approval, Approve, Attach, BadFrame, Cancel, ClientFrame, Deny, Detach, Input, OnDisconnect, Ping, Start,
    StartUpstream, Timeouts, ToolResult, Unwatch, Watch,
};
pub use close::CloseCode;
pub use error::{ErrorCode, ErrorInfo};
pub use event::{
    Cancelled, CancelledBy, Citation, DecidedBy, Delta, Event, EventFrame, Failed, FinishReason, Finished,
    InputProgress, InputState, Logprobs, Media, Object, ObjectDelta, Raw, Retry, ServerToolCall, ServerToolResult,
    Started, Timing, TokenLogprob, TokenUsage, ToolApproval, ToolCall, ToolCallDelta, ToolDecision, ToolProgress,
    ToolResultTaken, ToolWait, TopLogprob, UsageSource, Warning,
};
pub use id::{ConversationId, GenerationId};
pub use server::{
    ConnectionFrame, ConversationChange, ConversationFrame, ErrorFrame, GoingAway, Hello, InputAccepted, Limits, Pong,
    ServerFrame,
};

/// The WebSocket subprotocol name. Optional for a client; the server echoes it when it is offered.
pub const SUBPROTOCOL: &str = "tokenwire.v1";

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
