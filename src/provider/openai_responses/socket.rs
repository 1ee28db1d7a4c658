//! Responses over the provider's own WebSocket, where the configuration asks for it.
//!
//! A turn is one `response.create` frame, answered with the events that HTTP streams. The socket then waits for the
//! next turn, which saves the handshake; and where that goes on from what the socket has just answered, only what
//! is new is sent, with `previous_response_id`.
//!
//! | what happens | what it becomes |
//! | --- | --- |
//! | the handshake is refused | as over HTTP |
//! | there is nothing at the address that takes WebSockets | `provider_protocol` |
//! | a socket that was kept turns out to be closed | the same turn on a new one, once |
//! | the provider does not know `previous_response_id` | the whole conversation on the same socket |
//! | an `error` frame | as over HTTP; the socket is closed |
//! | the provider closes the socket in the middle | `truncated` |
//! | the future is dropped | the socket is closed |

use std::{future::poll_fn, time::Duration};

use futures_util::{SinkExt, StreamExt};
use reqwest::{
    StatusCode,
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use serde_json::{Map, Value, json};
use tokenwire_protocol::{ErrorCode, ErrorInfo};
use tokio::time::Instant;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Message, Role, WebSocketConfig},
    },
};

use super::{
    super::{
        Decoder, Flow, HttpRequest, ModelEvent, ModelRequest, Turn,
        connect::{CONNECT_TIMEOUT, transport, upgrade_client},
        driver::{HttpProvider, MAX_MESSAGE_BYTES, header_map},
        truncated,
    },
    continuation::Continuation,
    decode::ResponsesDecoder,
    event::text,
    pool::{self, Place, Socket},
};

/// A provider that never pauses is shown at least this often.
const MAX_HELD_MESSAGES: u32 = 64;

/// The longest `error` frame that is looked into.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// One attempt at one turn.
pub(in crate::provider) async fn attempt(
    provider: &HttpProvider,
    request: &ModelRequest,
    turn: &mut dyn Turn,
) -> Result<(), ErrorInfo> {
    let http = provider.prepare(request, turn).await?;
    let create = Create::new(&http)?;
    let goes_on = |continuation: &Continuation| continuation.new_items(&create.body).is_some();
    if let Some((socket, continuation)) = pool::take(&create.place, goes_on).await {
        match create.run(socket, continuation, request.raw, turn).await {
            Err(Failure { was_closed: true, .. }) => {}
            Err(Failure { error, .. }) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    let socket = open(provider, &http, &create.place, request.connect_timeout).await?;
    create.run(socket, None, request.raw, turn).await.map_err(|failure| failure.error)
}

/// Why a turn came to nothing.
struct Failure {
    error: ErrorInfo,
    /// Whether the socket was closed before it was asked, for all that is known.
    was_closed: bool,
}

impl From<ErrorInfo> for Failure {
    fn from(error: ErrorInfo) -> Self {
        Self { error, was_closed: false }
    }
}

/// What a turn asks.
struct Create {
    place: Place,
    body: Map<String, Value>,
    /// The bytes of the body, for those who keep it.
    bytes: usize,
}

impl Create {
    /// The same as the HTTP request asks.
    fn new(http: &HttpRequest) -> Result<Self, ErrorInfo> {
        let body = serde_json::from_slice(&http.body);
        let mut body: Map<String, Value> =
            body.map_err(|_| ErrorInfo::new(ErrorCode::Internal, "the request is not a JSON object"))?;
        // It is implied, and refused.
        body.remove("stream");
        let is_for_socket = |name: &str| !matches!(name, "content-type" | "accept");
        let headers = http.headers.iter().filter(|(name, _)| is_for_socket(name));
        let headers = headers.map(|(name, value)| (name.to_string(), value.clone())).collect();
        Ok(Self { place: Place { url: http.url.clone(), headers }, body, bytes: http.body.len() })
    }

    /// Asks on `socket`, decodes what comes, and keeps the socket if all went well.
    async fn run(
        &self,
        mut socket: Socket,
        continuation: Option<Continuation>,
        raw: bool,
        turn: &mut dyn Turn,
    ) -> Result<(), Failure> {
        let continued = continuation.as_ref().and_then(|turn| Some((turn.response_id(), turn.new_items(&self.body)?)));
        let mut is_continued = continued.is_some();
        let send_failed = |error| Failure { error: broken(error), was_closed: true };
        socket.stream.send(self.frame(continued)).await.map_err(send_failed)?;
        let mut decoder = ResponsesDecoder::default();
        for count in 0_u32.. {
            if count.is_multiple_of(MAX_HELD_MESSAGES) {
                turn.release();
            }
            let data = match next(&mut socket, turn).await {
                Some(Ok(Message::Text(data))) => data,
                Some(Ok(Message::Binary(_))) => {
                    turn.skipped();
                    continue;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Failure { error: truncated(), was_closed: count == 0 });
                }
                Some(Err(error)) => return Err(Failure { error: broken(error), was_closed: count == 0 }),
            };
            let refusal = Refusal::read(&data);
            match refusal.as_ref().map(|refusal| refusal.code.as_str()) {
                Some("previous_response_not_found") if is_continued => {
                    is_continued = false;
                    socket.stream.send(self.frame(None)).await.map_err(|error| Failure::from(broken(error)))?;
                    continue;
                }
                Some("websocket_connection_limit_reached") if count == 0 => {
                    let error = ErrorInfo::new(ErrorCode::Network, "the provider ended the connection for its age");
                    return Err(Failure { error, was_closed: true });
                }
                _ => {}
            }
            let message = super::super::Message { event: "", data: &data };
            if raw {
                turn.emit(ModelEvent::Raw(message));
            }
            let flow = decoder.decode(message, turn).map_err(|mut error| {
                error.retry_after_ms = refusal.and_then(|refusal| refusal.retry_after_ms).or(error.retry_after_ms);
                error
            })?;
            if flow == Flow::Done {
                break;
            }
        }
        let next = Continuation::new(&self.body, self.bytes, decoder.response_id(), decoder.output());
        decoder.end(turn)?;
        pool::put(self.place.clone(), socket, next);
        Ok(())
    }

    /// The frame that asks: all of it, or what is new after that response.
    fn frame(&self, continued: Option<(&str, &[Value])>) -> Message {
        let mut frame = self.body.clone();
        frame.insert("type".into(), "response.create".into());
        if let Some((response_id, new)) = continued {
            frame.insert("previous_response_id".into(), response_id.into());
            frame.insert("input".into(), json!(new));
        }
        Message::text(Value::Object(frame).to_string())
    }
}

/// What an `error` frame says beside what its decoder reads.
struct Refusal {
    code: String,
    retry_after_ms: Option<u64>,
}

impl Refusal {
    /// `None`: it is another frame.
    fn read(data: &str) -> Option<Self> {
        // Others are not read twice.
        if data.len() > MAX_REFUSAL_BYTES || !data.contains(r#""error""#) || data.contains(r#""response":"#) {
            return None;
        }
        let frame: Value = serde_json::from_str(data).ok()?;
        let error = Some(&frame["error"]).filter(|_| text(&frame, "type") == "error")?;
        let header = |name: &str| match &error["headers"][name] {
            Value::String(text) => text.trim().parse::<f64>().ok(),
            number => number.as_f64(),
        };
        let ms = header("retry-after-ms").or_else(|| Some(header("retry-after")? * 1000.0));
        let retry_after_ms = ms.filter(|ms| ms.is_finite() && *ms >= 0.0).map(|ms| ms as u64);
        Some(Self { code: text(error, "code").to_owned(), retry_after_ms })
    }
}

/// The next message. What is at hand comes before readers are woken.
async fn next(socket: &mut Socket, turn: &mut dyn Turn) -> Option<Result<Message, tungstenite::Error>> {
    turn.hold();
    poll_fn(|cx| {
        let message = socket.stream.poll_next_unpin(cx);
        if message.is_pending() {
            turn.release();
        }
        message
    })
    .await
}

/// Opens a socket where the HTTP request would go.
async fn open(
    provider: &HttpProvider,
    http: &HttpRequest,
    place: &Place,
    connect_timeout: Duration,
) -> Result<Socket, ErrorInfo> {
    let mut headers = header_map(&place.headers)?;
    let key = generate_key();
    let key_value = HeaderValue::from_str(&key).map_err(|_| no_sockets())?;
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key_value);
    let request = upgrade_client()?.get(&http.url).headers(headers).send();
    let response = CONNECT_TIMEOUT.scope(connect_timeout, request).await.map_err(transport)?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::UPGRADE_REQUIRED
        | StatusCode::NOT_IMPLEMENTED => return Err(no_sockets()),
        status if status.is_success() => return Err(no_sockets()),
        _ => return Err(provider.refusal(response).await),
    }
    let accept = derive_accept_key(key.as_bytes());
    if response.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value.as_bytes() != accept.as_bytes()) {
        return Err(no_sockets());
    }
    let upgraded = response.upgrade().await.map_err(transport)?;
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).max_frame_size(Some(MAX_MESSAGE_BYTES));
    let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
    Ok(Socket { stream, opened_at: Instant::now() })
}

fn no_sockets() -> ErrorInfo {
    let message = "the provider takes no WebSockets at this address; whoever runs this server can unset `websocket`";
    ErrorInfo::new(ErrorCode::ProviderProtocol, message)
}

/// An error of the socket. Its own text may name addresses, so it goes to the log only.
fn broken(error: tungstenite::Error) -> ErrorInfo {
    tracing::debug!(%error, "WebSocket error");
    match error {
        tungstenite::Error::Capacity(_) => {
            let message = format!("a message of the provider's is longer than {MAX_MESSAGE_BYTES} bytes");
            ErrorInfo::new(ErrorCode::ProviderProtocol, message)
        }
        tungstenite::Error::Utf8(_) => super::super::errors::unreadable(),
        _ => ErrorInfo::new(ErrorCode::Network, "the connection to the provider broke"),
    }
}
