//! One WebSocket to a server.

use std::{collections::VecDeque, pin::Pin, task::Poll, time::Duration};

use futures_util::{Sink, Stream};
use tokenwire_protocol::{ClientFrame, ConnectionFrame, Hello, SUBPROTOCOL, ServerFrame};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::ProtocolError,
        http::{HeaderValue, Request, Uri, header, uri::PathAndQuery},
        protocol::WebSocketConfig,
    },
};

use super::{ClientError, error::jittered};
use crate::provider::Secret;

/// From the first byte to the server's `hello`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may take to read one frame.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest frame that is taken: an accumulated text is repeated in one piece.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// Where a server is, and the key for it.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// Reads `url`, in which `http` stands for `ws`, and no path for `/v1/stream`.
    pub fn new(url: &str, key: Option<Secret>) -> Result<Self, ClientError> {
        let bad = |why: &str| ClientError::Url(why.to_owned());
        let uri: Uri = url.parse().map_err(|error| ClientError::Url(format!("{error}")))?;
        let mut parts = uri.into_parts();
        let scheme = match parts.scheme.as_ref().map(|scheme| scheme.as_str()) {
            Some("ws" | "http") => "ws",
            Some("wss" | "https") => "wss",
            _ => return Err(bad("it begins with ws:// or wss://")),
        };
        parts.scheme = scheme.parse().ok();
        if parts.path_and_query.as_ref().is_none_or(|path| path.path() == "/") {
            parts.path_and_query = Some(PathAndQuery::from_static("/v1/stream"));
        }
        let uri = Uri::from_parts(parts).map_err(|_| bad("it has no host"))?;
        let authorization = match key {
            Some(key) => {
                let mut value =
                    HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|_| ClientError::Key)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self { uri, authorization })
    }

    fn request(&self) -> Result<Request<()>, ClientError> {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;

        let mut request =
            self.uri.clone().into_client_request().map_err(|error| ClientError::Url(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

/// An open socket, past the server's `hello`.
pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames that the socket has not taken yet. Filled by `push`, emptied by `flush` and `read`.
    outbox: VecDeque<Message>,
    heartbeat: Duration,
    heard_at: Instant,
    /// How long to wait before the next connection, once this one closes.
    pub reconnect_in: Duration,
}

impl Connection {
    /// Connects, and waits for the server's `hello`.
    pub async fn open(endpoint: &Endpoint) -> Result<(Self, Hello), ClientError> {
        let request = endpoint.request()?;
        let opening = async {
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_FRAME_BYTES))
                .max_frame_size(Some(MAX_FRAME_BYTES));
            // Without Nagle's algorithm: a cancel must not wait for an acknowledgement.
            let (socket, _) = connect_async_with_config(request, Some(config), true).await.map_err(refused)?;
            let mut connection = Self {
                socket,
                outbox: VecDeque::new(),
                heartbeat: CONNECT_TIMEOUT,
                heard_at: Instant::now(),
                reconnect_in: jittered(Duration::from_millis(100)),
            };
            let text = connection.read().await?;
            match serde_json::from_str(&text) {
                Ok(ServerFrame::Connection(ConnectionFrame::Hello(hello))) if hello.protocol == SUBPROTOCOL => {
                    connection.heartbeat = Duration::from_secs(hello.heartbeat_seconds.max(1).into());
                    Ok((connection, hello))
                }
                _ => Err(ClientError::NotTokenwire),
            }
        };
        timeout(CONNECT_TIMEOUT, opening).await.unwrap_or_else(|elapsed| Err(ClientError::network(elapsed)))
    }

    /// Puts a frame in line.
    pub fn push(&mut self, frame: &ClientFrame) {
        // A frame of strings, numbers and JSON values always encodes.
        let text = serde_json::to_string(frame).unwrap_or_default();
        self.outbox.push_back(Message::text(text));
    }

    /// Sends what is in line. Cancel-safe: the rest stays in line.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        let sending = std::future::poll_fn(|cx| self.poll_send(cx));
        match timeout(WRITE_TIMEOUT, sending).await {
            Ok(sent) => sent.map_err(broken),
            Err(elapsed) => Err(ClientError::network(elapsed)),
        }
    }

    /// The next text frame; meanwhile what is in line is sent. Cancel-safe.
    pub async fn read(&mut self) -> Result<Utf8Bytes, ClientError> {
        loop {
            let deadline = self.heard_at + 2 * self.heartbeat;
            let reading = std::future::poll_fn(|cx| {
                if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                    return Poll::Ready(Some(Err(error)));
                }
                Pin::new(&mut self.socket).poll_next(cx)
            });
            // Polls the socket before the clock, so what came while nobody was reading counts.
            let message = timeout_at(deadline, reading).await.map_err(|_| ClientError::Silent)?;
            self.heard_at = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(Some(close)))) => return Err(self.closed(close.code.into(), &close.reason)),
                Some(
                    Ok(Message::Close(None))
                    | Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)),
                )
                | None => return Err(self.closed(1006, "")),
                // Pings are answered by the socket itself; binary frames are not part of the protocol.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        // Nobody waits for the outcome: the socket goes away in any case.
        let _ = timeout(CLOSE_TIMEOUT, async {
            let _ = self.flush().await;
            let _ = self.socket.close(None).await;
        })
        .await;
    }

    fn closed(&self, code: u16, reason: &str) -> ClientError {
        ClientError::Closed { code, reason: reason.to_owned(), reconnect_in: self.reconnect_in }
    }

    fn poll_send(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Error>> {
        let mut socket = Pin::new(&mut self.socket);
        while !self.outbox.is_empty() {
            match socket.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            if let Some(message) = self.outbox.pop_front() {
                socket.as_mut().start_send(message)?;
            }
        }
        socket.poll_flush(cx)
    }
}

/// Why there is no connection.
fn refused(error: Error) -> ClientError {
    match error {
        Error::Http(response) => ClientError::Status(response.status().as_u16()),
        Error::Url(error) => ClientError::Url(error.to_string()),
        // It went away in the middle of its answer.
        error @ Error::Protocol(ProtocolError::HandshakeIncomplete) => ClientError::network(error),
        // It answered, but not as a WebSocket does.
        Error::Protocol(_) | Error::HttpFormat(_) => ClientError::NotTokenwire,
        error => broken(error),
    }
}

fn broken(error: Error) -> ClientError {
    match error {
        // The system's words, without a library's around them.
        Error::Io(error) => ClientError::network(error),
        error => ClientError::network(error),
    }
}
