//! Providers: how a model is asked, and what it answers.
//!
//! ```text
//!   ModelRequest ──► Adapter::request ──► HTTP request ─┐
//!                                                       │  driver: sends, checks the status,
//!                                                       │  splits bytes into messages (framing)
//!   ModelEvent ◄── Decoder::decode ◄── Message ◄────────┘
//! ```
//!
//! An [`Adapter`] is the two pure functions of one wire format; it does no I/O, so recorded
//! bytes test it completely. Everything that does I/O is written once, in [`driver`]. Vendors
//! that speak the same wire format are rows of data in [`vendors`].
//!
//! A [`Provider`] is what the rest of the system sees: something that runs one turn. The
//! driver makes one of an adapter and a vendor row; [`demo`] and the providers of library
//! users implement it directly.
//!
//! Retries, timeouts and cancelling are not here: they are the generation's, and so the same
//! for every provider. A turn is cancelled by dropping its future.

pub mod anthropic;
mod aws;
pub mod bedrock;
mod call_ids;
mod catalogue;
pub mod cohere;
pub(crate) mod connect;
mod credentials;
pub mod demo;
pub mod driver;
mod elsewhere;
mod error_words;
mod errors;
mod event_stream;
mod finish;
pub mod framing;
pub mod gemini;
mod google;
mod guard;
mod http;
mod json;
mod keys;
mod model_list;
pub mod ollama;
mod openai;
pub mod openai_chat;
pub mod openai_responses;
mod options;
mod quirks;
pub mod registry;
mod request;
mod results;
mod rules;
mod said;
mod template;
mod tool_calls;
pub mod vendors;

pub use catalogue::{Catalogue, Model, Source};
pub use elsewhere::{ClientUpstream, Elsewhere};
pub(crate) use guard::HostRule;
pub use registry::{Candidate, Off, candidates, configured};
pub use request::ModelRequest;

use std::{borrow::Cow, future::Future, pin::Pin, sync::Arc};

use serde_json::Value;
use tokenwire_protocol::{Citation, ErrorCode, ErrorInfo, FinishReason, TokenLogprob, Warning};

/// Something that can run a turn: a model behind an API, or code.
///
/// # Cancel safety
///
/// The future that [`run`](Provider::run) returns is dropped when the generation is cancelled,
/// times out or the server stops. Whatever it holds must end with it: dropping an HTTP response
/// closes the connection to the provider.
pub trait Provider: Send + Sync + 'static {
    /// The first half of `provider/model`. Lower case, without a slash.
    fn name(&self) -> &str;

    /// Models to offer in a picker. Other names are still passed on to [`run`](Provider::run).
    fn models(&self) -> Vec<String> {
        Vec::new()
    }

    /// Asks the provider which models it has. `None`: it cannot be asked.
    fn list_models(&self) -> BoxFuture<'_, Option<Result<Vec<String>, ErrorInfo>>> {
        Box::pin(std::future::ready(None))
    }

    /// The same provider where a client wants it asked, with the client's key. `None`: it can be asked nowhere else.
    ///
    /// Nothing of the server's own may reach another place: no key, no header, no signature.
    fn elsewhere(&self, asked: &ClientUpstream) -> Option<Arc<dyn Provider>> {
        let _ = asked;
        None
    }

    /// Sets up what the first turn on this thread would otherwise wait for. A server calls it on each of its worker
    /// threads before they serve, inside their runtimes.
    fn warm_up(&self) {}

    /// Whether the model goes on with an assistant message at the end of `request`, instead of answering it.
    fn prefills(&self, request: &ModelRequest) -> bool {
        let _ = request;
        false
    }

    /// Runs one turn: asks the model and emits what it says, as it says it.
    ///
    /// The turn is complete when this returns `Ok`; a finish reason must have been emitted by
    /// then, or the turn counts as truncated. An `Err` that is `retryable` is tried again as
    /// long as nothing was emitted.
    fn run<'a>(&'a self, request: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>>;
}

/// A boxed future, as [`Provider::run`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a provider puts what the model says.
pub trait Turn: Send {
    /// Records one event. Every attached client gets it at once, except while it is [held](Self::hold).
    fn emit(&mut self, event: ModelEvent<'_>);

    /// More is about to come: until [`release`](Self::release), what is emitted wakes no reader.
    fn hold(&mut self) {}

    /// Nothing more is at hand: wakes who waits for what was emitted.
    fn release(&mut self) {}

    /// Counts a message of the provider's that was not understood and skipped.
    fn skipped(&mut self) {}
}

/// One thing that a model said. Borrowed from the provider's bytes where that is possible.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent<'a> {
    /// A piece of the answer.
    Text(&'a str),
    /// A piece of the reasoning.
    Reasoning(&'a str),
    /// A piece of a refusal.
    Refusal(&'a str),
    /// A piece of a tool call's arguments. `index` counts the calls of this turn: 0, 1, 2 ...
    ToolCallDelta {
        /// Which call of this turn.
        index: u32,
        /// The call's id, never empty.
        call_id: &'a Arc<str>,
        /// The tool's name, never empty.
        name: &'a Arc<str>,
        /// The piece. May be empty in the first one.
        delta: &'a str,
    },
    /// A whole tool call, after its deltas.
    ToolCall {
        /// Which call of this turn.
        index: u32,
        /// The call's id, never empty.
        call_id: &'a Arc<str>,
        /// The tool's name.
        name: &'a Arc<str>,
        /// All of the arguments as the model wrote them; empty for none.
        arguments: &'a str,
    },
    /// The provider runs a tool of its own.
    ServerToolCall {
        /// The call's id; made up where the provider has none.
        call_id: &'a str,
        /// The tool, as the provider names it.
        name: &'a str,
        /// What it is asked, where that is known before the result.
        arguments: Option<Value>,
    },
    /// What a tool of the provider's answered.
    ServerToolResult {
        /// The call.
        call_id: &'a str,
        /// The tool.
        name: &'a str,
        /// The provider's own object.
        result: Value,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// Where something in the text comes from.
    Citation(Citation),
    /// An image or a piece of audio. `index` counts the media of this turn: 0, 1, 2 ...
    Media {
        /// Which of this turn's media.
        index: u32,
        /// `image/png`, `audio/pcm` ...
        media_type: Cow<'a, str>,
        /// The bytes, or where they are.
        source: MediaSource<'a>,
        /// Whether more pieces of it follow.
        has_more: bool,
    },
    /// How likely these tokens were.
    Logprobs(Vec<TokenLogprob>),
    /// The turn's answer as this provider needs to see it again, in its wire format. Once in a turn, before the
    /// finish, and only where `content` and `tool_calls` of an assistant message would lose something.
    /// The request after it has it in [`native`](tokenwire_protocol::message::Message::native).
    Native(Value),
    /// Something of the request was left out.
    Warning(Warning),
    /// A message of the provider's as it came.
    Raw(Message<'a>),
    /// What the turn cost so far. The last one counts.
    Usage(Usage),
    /// Why the model stopped, and the provider's own word for it.
    Finish {
        /// Normalised.
        reason: FinishReason,
        /// As the provider said it.
        provider_reason: Option<Cow<'a, str>>,
    },
}

/// Where the bytes of [`ModelEvent::Media`] are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaSource<'a> {
    /// Here, in base64 that stands for itself.
    Data(Cow<'a, str>),
    /// At this address.
    Url(Cow<'a, str>),
}

/// Tokens of one turn as the provider counted them, normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All tokens read, cached ones included. `None`: the provider did not say.
    pub input_tokens: Option<u64>,
    /// All tokens written, reasoning included. `None`: the provider did not say.
    pub output_tokens: Option<u64>,
    /// Those read from the cache.
    pub cached_tokens: Option<u64>,
    /// Those written to the cache.
    pub cache_write_tokens: Option<u64>,
    /// Those written as reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Those read that are audio.
    pub input_audio_tokens: Option<u64>,
    /// Those written that are audio.
    pub output_audio_tokens: Option<u64>,
    /// Whether these are running numbers of an unfinished turn, such as Anthropic's first ones.
    pub is_partial: bool,
}

/// The two pure functions of a wire format: a request in, an HTTP request out; and a
/// [`Decoder`], which turns the provider's messages into events.
pub trait Adapter: Send + Sync + 'static {
    /// The wire format's name, for documents and logs: `openai-chat`.
    fn name(&self) -> &'static str;

    /// How the answer's bytes are split into messages.
    fn framing(&self) -> Framing;

    /// How the bytes of an answer are split whose type is JSON, where it is a stream too. `None`: it is an error,
    /// or at least no stream.
    fn json_framing(&self) -> Option<Framing> {
        None
    }

    /// Builds the HTTP request.
    ///
    /// What the provider cannot do is an error where the answer would not be what was asked for (an image
    /// that it cannot see), and left out with a [warning](HttpRequest::warnings) where it still is (a seed). Never
    /// silently. [`ModelRequest::options`] go in last and win.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotSupported`] or [`ErrorCode::BadField`] with the field at fault.
    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo>;

    /// Whether the model goes on with an assistant message at the end of `request`, instead of answering it.
    fn prefills(&self, request: &ModelRequest) -> bool {
        let _ = request;
        false
    }

    /// A decoder for one answer.
    fn decoder(&self, upstream: &Upstream) -> Box<dyn Decoder>;

    /// Reads an answer that is an error before any stream. `body` is at most 64 KiB of it.
    ///
    /// The message may hold the provider's own words; the caller redacts keys.
    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo;

    /// The request that lists the upstream's models. `None`: it cannot be asked.
    fn models_request(&self, upstream: &Upstream) -> Option<HttpRequest> {
        let _ = upstream;
        None
    }

    /// Reads the answer to it: the models that can be asked for a stream.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::ProviderProtocol`] for a body that is no list.
    fn models(&self, body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
        let _ = body;
        Ok(Vec::new())
    }
}

/// Turns the messages of one answer into events.
pub trait Decoder: Send {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// The error that the provider reports inside its stream. Nothing is decoded after it.
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo>;

    /// The bytes have ended, or [`Flow::Done`] was returned. Emits what was held back, such as the finish.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Truncated`] if the provider's own end was not seen.
    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo>;
}

/// Whether a decoder expects more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on reading.
    More,
    /// The provider's terminal signal was seen: stop reading.
    Done,
}

/// How an answer's bytes are split into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value per line.
    Ndjson,
    /// One JSON array, whose elements come one after another.
    JsonArray,
    /// AWS event stream: binary frames with checksums.
    EventStream,
}

/// One message of a provider's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The `event:` field of a server-sent event; empty when there was none. In an event stream the type of the
    /// event, and for a frame that reports an error `exception:` and the type of that.
    pub event: &'a str,
    /// The `data:` lines of a server-sent event, one NDJSON line, one element of an array, or the payload of a frame.
    pub data: &'a str,
}

/// An HTTP request, as an adapter builds it: a POST, or with an empty body a GET.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The absolute URL.
    pub url: String,
    /// Header names in lower case, and values. Holds the key.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body, JSON. Empty: the request is a GET.
    pub body: Vec<u8>,
    /// What was left out of the request.
    pub warnings: Vec<Warning>,
}

impl std::fmt::Debug for HttpRequest {
    /// Keys and prompts never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRequest")
            .field("url", &self.url)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A vendor as it is configured: where it is, the key, and how it departs from its wire format.
#[derive(Clone)]
pub struct Upstream {
    /// The provider's name: `openai`, `groq`.
    pub name: String,
    /// Where it is, without a slash at the end: `https://api.openai.com/v1`.
    pub base_url: String,
    /// The key. `None`: the vendor needs none.
    pub key: Option<Secret>,
    /// The version of the API that is asked for, where the vendor wants one in the URL.
    pub api_version: Option<String>,
    /// What makes every request acceptable that a key in a header does not: a signature, or a token that is
    /// fetched. `None`: the adapter's header with `key` is enough.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Headers added to every request.
    pub headers: Vec<(String, String)>,
    /// How it departs from its wire format.
    pub quirks: vendors::Quirks,
}

/// Makes a finished request acceptable to its upstream: signs it, or puts a fresh token into it. Called by the
/// driver right before each attempt; may do I/O, and keeps what it fetched for as long as that is good.
pub trait Authorizer: Send + Sync + 'static {
    /// Adds the headers that say who asks.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Authentication`] when there are no credentials, or none that are good; [`ErrorCode::Network`]
    /// when they could not be fetched.
    fn authorize<'a>(&'a self, request: &'a mut HttpRequest) -> BoxFuture<'a, Result<(), ErrorInfo>>;
}

/// A key or token. Its debug output is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<Arc<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret itself. Every use of this is a place where it could leak.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The error of a stream that stopped without its own end.
pub(crate) fn truncated() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::Truncated, "the provider's stream stopped before its end")
}
