//! The driver: all I/O with providers, once.
//!
//! One call of [`HttpProvider::run`](Provider::run) is one attempt at one turn:
//!
//! | what happens | what it becomes |
//! | --- | --- |
//! | cannot connect, in time or at all | `connect_timeout`, `network` |
//! | status of 400 and up | [`Adapter::error`], with `retry-after` and the provider's id of the request |
//! | a body that is no stream, or compressed | an error if it holds one, else `provider_protocol` |
//! | bytes | split into messages, decoded, recorded; nothing is held back for the next read |
//! | an error inside the stream | as the decoder reads it |
//! | the connection breaks | `network` |
//! | the body ends without the provider's own end | `truncated` |
//! | the future is dropped | the response is dropped with it, which closes the connection |
//!
//! Retries and the other timeouts are the generation's.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use reqwest::{
    Response,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{
    Adapter, BoxFuture, Decoder, Flow, Framing, HttpRequest, Message, ModelEvent, ModelRequest, Provider, Turn,
    Upstream,
    connect::{CONNECT_TIMEOUT, Reach, client, transport},
    elsewhere::ClientUpstream,
    errors,
    framing::Splitter,
    guard,
    openai_responses::socket,
    results,
};

/// Most bytes of one message. Whole images come in one.
pub(super) const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Most bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Most bytes of a list of models. Those of marketplaces have about a megabyte.
const MAX_MODELS_BYTES: usize = 4 << 20;
/// How long a list of models may take.
const MODELS_TIMEOUT: Duration = Duration::from_secs(10);
/// A provider that never pauses is shown at least this often.
const MAX_HELD_CHUNKS: u32 = 32;
/// How long an error's body may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A vendor's API behind the [`Provider`] trait.
pub struct HttpProvider {
    adapter: Arc<dyn Adapter>,
    upstream: Upstream,
    models: Vec<String>,
    reach: Reach,
    is_over_socket: bool,
}

impl HttpProvider {
    /// A provider that speaks `adapter`'s wire format with `upstream`, and offers `models`.
    pub fn new(adapter: Arc<dyn Adapter>, upstream: Upstream, models: Vec<String>) -> Self {
        Self { adapter, upstream, models, reach: Reach::Anywhere, is_over_socket: false }
    }

    /// The same over the WebSocket that OpenAI's Responses has, or not. No other wire format has one.
    pub fn over_socket(self, is_over_socket: bool) -> Self {
        Self { is_over_socket, ..self }
    }
}

impl Provider for HttpProvider {
    fn name(&self) -> &str {
        &self.upstream.name
    }

    fn models(&self) -> Vec<String> {
        self.models.clone()
    }

    fn list_models(&self) -> BoxFuture<'_, Option<Result<Vec<String>, ErrorInfo>>> {
        Box::pin(async move {
            let request = self.adapter.models_request(&self.upstream)?;
            let listed = tokio::time::timeout(MODELS_TIMEOUT, self.models_from(request)).await.unwrap_or_else(|_| {
                Err(ErrorInfo::new(ErrorCode::ProviderTimeout, "the provider's list of models did not come in time"))
            });
            Some(listed.map_err(|error| self.without_key(error)))
        })
    }

    fn elsewhere(&self, asked: &ClientUpstream) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Self {
            adapter: self.adapter.clone(),
            upstream: asked.apply(&self.upstream),
            models: Vec::new(),
            reach: asked.reach().unwrap_or(self.reach),
            // What is kept of a client's is kept nowhere.
            is_over_socket: false,
        }))
    }

    fn warm_up(&self) {
        // Reads the system's certificates, which takes milliseconds. What fails here fails at the first turn, too.
        let _ = client(self.reach);
    }

    fn prefills(&self, request: &ModelRequest) -> bool {
        self.adapter.prefills(request)
    }

    fn run<'a>(&'a self, request: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(async move {
            let attempt = match self.is_over_socket {
                // Apart, since those over HTTP are the many, and this is twice as large.
                true => Box::pin(socket::attempt(self, request, turn)).await,
                false => self.attempt(request, turn).await,
            };
            attempt.map_err(|error| self.without_key(error))
        })
    }
}

impl HttpProvider {
    async fn attempt(&self, request: &ModelRequest, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let http_request = self.prepare(request, turn).await?;
        let mut response = CONNECT_TIMEOUT.scope(request.connect_timeout, self.send(http_request)).await?;
        if !response.status().is_success() {
            return Err(Box::pin(self.refusal(response)).await);
        }
        if is_encoded(response.headers()) {
            return Err(no_stream("the provider compressed its answer, which it was not asked to do"));
        }
        if has_type(response.headers(), "text/html") {
            return Err(no_stream("the provider answered with a page instead of a stream"));
        }
        let mut framing = self.adapter.framing();
        if has_type(response.headers(), "application/json") && matches!(framing, Framing::Sse | Framing::EventStream) {
            match self.adapter.json_framing() {
                Some(json_framing) => framing = json_framing,
                // Some gateways answer a request for a stream with one JSON object, mostly an error.
                None => return Err(Box::pin(self.refusal(response)).await),
            }
        }
        let request_id = request_id(response.headers());
        // Their values are slices of the connection's first read buffer, and would keep it to the end.
        *response.headers_mut() = HeaderMap::new();
        self.stream(&mut response, framing, request.raw, turn).await.map_err(|mut error| {
            error.request_id = error.request_id.or(request_id);
            error
        })
    }

    /// The finished request, with what was left out of it already said.
    pub(super) async fn prepare(&self, request: &ModelRequest, turn: &mut dyn Turn) -> Result<HttpRequest, ErrorInfo> {
        let mut http_request = results::request(&*self.adapter, request, &self.upstream)?;
        for warning in std::mem::take(&mut http_request.warnings) {
            turn.emit(ModelEvent::Warning(warning));
        }
        if let Some(authorizer) = &self.upstream.authorizer {
            authorizer.authorize(&mut http_request).await?;
        }
        Ok(http_request)
    }

    async fn models_from(&self, mut request: HttpRequest) -> Result<Vec<String>, ErrorInfo> {
        if let Some(authorizer) = &self.upstream.authorizer {
            authorizer.authorize(&mut request).await?;
        }
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = read_some(response, MAX_MODELS_BYTES, MODELS_TIMEOUT).await;
        if body.len() == MAX_MODELS_BYTES {
            return Err(ErrorInfo::new(ErrorCode::ProviderProtocol, "the provider's list of models is too long"));
        }
        self.adapter.models(&body)
    }

    /// Sends a finished request.
    async fn send(&self, request: HttpRequest) -> Result<Response, ErrorInfo> {
        if self.reach != Reach::Anywhere && !guard::is_at(&request.url, &self.upstream.base_url) {
            let message = "with this provider, the base URL does not lead where it says";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("upstream.base_url"));
        }
        let headers = header_map(&request.headers)?;
        let client = client(self.reach)?;
        let builder = if request.body.is_empty() { client.get(&request.url) } else { client.post(&request.url) };
        builder.headers(headers).body(request.body).send().await.map_err(transport)
    }

    /// Vendors repeat the key that they refuse. What looks like a key is replaced where errors are
    /// read; this one is known, whatever it looks like.
    fn without_key(&self, mut error: ErrorInfo) -> ErrorInfo {
        if let Some(key) = &self.upstream.key
            && !key.expose().is_empty()
            && error.message.contains(key.expose())
        {
            error.message = error.message.replace(key.expose(), "***").into();
        }
        error
    }

    async fn stream(
        &self,
        response: &mut Response,
        framing: Framing,
        raw: bool,
        turn: &mut dyn Turn,
    ) -> Result<(), ErrorInfo> {
        let mut splitter = Splitter::new(framing, MAX_MESSAGE_BYTES);
        let mut decoder = self.adapter.decoder(&self.upstream);
        let mut chunks = 0_u32;
        while let Some(bytes) = next_chunk(response, turn).await? {
            chunks += 1;
            if chunks.is_multiple_of(MAX_HELD_CHUNKS) {
                turn.release();
            }
            match splitter.push(&bytes, &mut |message| decode(&mut *decoder, message, raw, turn))? {
                Flow::More => {}
                Flow::Done => return decoder.end(turn),
            }
        }
        splitter.finish(&mut |message| decode(&mut *decoder, message, raw, turn))?;
        decoder.end(turn)
    }

    /// Reads an answer that is no stream.
    pub(super) async fn refusal(&self, response: Response) -> ErrorInfo {
        let status = response.status();
        let retry_after_ms = retry_after(response.headers());
        let request_id = request_id(response.headers());
        let should_retry = response.headers().get("x-should-retry").map(|value| value == "true");
        let is_readable = !is_encoded(response.headers());
        let mut body = read_some(response, MAX_ERROR_BYTES, ERROR_BODY_TIMEOUT).await;
        if !is_readable {
            body.clear();
        }
        let mut error = self.adapter.error(status.as_u16(), &body);
        if status.is_success() {
            // Nothing was streamed, so this is no answer, whatever else it is.
            error.retryable = false;
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if errors::of_message(&body).is_none() {
                error = no_stream("the provider answered with JSON instead of a stream");
            }
        }
        error.retry_after_ms = retry_after_ms.or(error.retry_after_ms);
        error.request_id = request_id.or(error.request_id);
        if let Some(should_retry) = should_retry {
            error.retryable = should_retry;
        }
        error
    }
}

/// Headers as they are sent.
pub(super) fn header_map<N: AsRef<str>>(headers: &[(N, String)]) -> Result<HeaderMap, ErrorInfo> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = name.as_ref();
        let invalid = |_| {
            let message = format!("the header `{name}` configured for this provider is not valid HTTP");
            ErrorInfo::new(ErrorCode::Internal, message)
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(()))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid(()))?;
        value.set_sensitive(true);
        map.append(name, value);
    }
    Ok(map)
}

/// Decodes one message, and shows it as it came before that where this is wanted.
fn decode(decoder: &mut dyn Decoder, message: Message<'_>, raw: bool, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
    if raw {
        turn.emit(ModelEvent::Raw(message));
    }
    decoder.decode(message, turn)
}

/// The next piece of the body. Everything that is at hand comes before readers are woken.
///
/// The task that drives the connection hands over one piece at a time, and only when it is asked. So
/// after asking it gets a turn on this thread; only if it has nothing then do the readers get
/// theirs. What arrives together leaves in one frame.
async fn next_chunk(response: &mut Response, turn: &mut dyn Turn) -> Result<Option<Bytes>, ErrorInfo> {
    turn.hold();
    let mut chunk = pin!(response.chunk());
    let mut polls = 0;
    poll_fn(|cx| {
        let chunk = chunk.as_mut().poll(cx);
        if chunk.is_pending() {
            polls += 1;
            match polls {
                // To the back of the queue of this thread's tasks.
                1 => cx.waker().wake_by_ref(),
                2 => turn.release(),
                _ => {}
            }
        }
        chunk
    })
    .await
    .map_err(transport)
}

/// The first `most` bytes of a body, as far as they come within `limit`.
async fn read_some(mut response: Response, most: usize, limit: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            let room = most - body.len();
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if body.len() == most {
                break;
            }
        }
    };
    // What came in time is enough.
    let _ = tokio::time::timeout(limit, reading).await;
    body
}

fn has_type(headers: &HeaderMap, content_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with(content_type))
}

/// Whether the body is compressed. No request of ours accepts that.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity")
}

fn no_stream(message: &'static str) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::ProviderProtocol, message)
}

/// The id under which the provider knows the request, for its support.
fn request_id(headers: &HeaderMap) -> Option<String> {
    const NAMES: &[&str] =
        &["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-generation-id", "cf-ray"];
    NAMES.iter().find_map(|name| errors::request_id(headers.get(*name)?.to_str().ok()?))
}

/// How long a provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let number = |name| text(name)?.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    if let Some(ms) = number("retry-after-ms") {
        return Some(ms as u64);
    }
    if let Some(seconds) = number("retry-after") {
        return Some((seconds * 1000.0) as u64);
    }
    let date = httpdate::parse_http_date(text("retry-after")?).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default().as_millis() as u64)
}
