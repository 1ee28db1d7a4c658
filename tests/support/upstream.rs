//! An HTTP upstream that does what the test says, byte by byte, when the test says it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use super::within;

/// Listens for requests of the server's.
pub struct Upstream {
    pub address: SocketAddr,
    calls: mpsc::Receiver<Call>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, calls) = mpsc::channel(64);
        let counter = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let sender = sender.clone();
                tokio::spawn(async move {
                    // A connection that is closed before its request was read is no call.
                    if let Some(call) = Call::read(stream).await {
                        let _ = sender.send(call).await;
                    }
                });
            }
        });
        Self { address, calls, connections, accepting }
    }

    /// The next request.
    pub async fn call(&mut self) -> Call {
        within("a request to the provider", self.calls.recv()).await.unwrap()
    }

    /// A request that is there already.
    pub fn try_call(&mut self) -> Option<Call> {
        self.calls.try_recv().ok()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An address at which connecting hangs: its queue of connections that nobody accepts is full.
pub struct Unreachable {
    pub address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<TcpStream>,
}

impl Unreachable {
    /// Fills the queue until a connection hangs.
    pub async fn start() -> Self {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        // On loopback a connection is there at once or never.
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        Self { address, _listener: listener, _waiting: waiting }
    }
}

/// One request, and the connection on which it is answered. Dropped, it closes the connection.
pub struct Call {
    pub path: String,
    /// By name in lower case.
    pub headers: HashMap<String, String>,
    /// Parsed; null for one that is not JSON.
    pub body: Value,
    /// The bytes of the body.
    pub sent: Vec<u8>,
    stream: TcpStream,
    is_streaming: bool,
}

impl Call {
    async fn read(mut stream: TcpStream) -> Option<Self> {
        stream.set_nodelay(true).unwrap();
        let mut bytes = Vec::new();
        let head_end = loop {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers: HashMap<String, String> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        // A GET has no body.
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut sent = bytes.split_off(head_end + 4);
        while sent.len() < length {
            if stream.read_buf(&mut sent).await.ok()? == 0 {
                return None;
            }
        }
        let body = serde_json::from_slice(&sent).unwrap_or_default();
        Some(Self { path, headers, body, sent, stream, is_streaming: false })
    }

    /// Answers with a status and a body, and closes.
    pub async fn status(mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        self.write(text.as_bytes()).await;
        let _ = self.stream.shutdown().await;
    }

    /// Answers with status 200 and the head of an event stream.
    pub async fn respond_sse(&mut self) {
        self.respond("text/event-stream").await;
    }

    /// Answers with status 200 and the head of a stream of this type.
    pub async fn respond(&mut self, content_type: &str) {
        self.is_streaming = true;
        let head = "transfer-encoding: chunked\r\nconnection: close";
        self.write(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{head}\r\n\r\n").as_bytes()).await;
    }

    /// Sends bytes that need not be HTTP. Whether the server still reads.
    pub async fn raw(&mut self, bytes: &[u8]) -> bool {
        within("room for what the provider sends", self.stream.write_all(bytes)).await.is_ok()
    }

    /// Sends bytes of the stream as one piece.
    pub async fn send(&mut self, bytes: &[u8]) {
        if !self.is_streaming {
            self.respond_sse().await;
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk).await;
    }

    /// Sends one event whose data is `data`.
    pub async fn data(&mut self, data: &Value) {
        self.send(format!("data: {data}\n\n").as_bytes()).await;
    }

    /// Sends a piece of the answer, as chat completions do.
    pub async fn text(&mut self, text: &str) {
        self.data(&chunk(json!({"content": text}), Value::Null)).await;
    }

    /// Sends a piece of a tool call; `name` only in its first one.
    pub async fn tool_call(&mut self, index: u32, id: &str, name: &str, arguments: &str) {
        let function = json!({"name": name, "arguments": arguments});
        let call = json!({"index": index, "id": id, "type": "function", "function": function});
        self.data(&chunk(json!({"tool_calls": [call]}), Value::Null)).await;
    }

    /// Sends why the model stopped.
    pub async fn finish_reason(&mut self, reason: &str) {
        self.data(&chunk(json!({}), reason.into())).await;
    }

    /// Sends what it cost.
    pub async fn usage(&mut self, input_tokens: u64, output_tokens: u64) {
        let usage = json!({"prompt_tokens": input_tokens, "completion_tokens": output_tokens});
        self.data(&json!({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": usage})).await;
    }

    /// The provider's own end of the stream, and that of the body.
    pub async fn done(mut self) {
        self.send(b"data: [DONE]\n\n").await;
        self.end().await;
    }

    /// The natural end of an answer: why, what it cost, and the end of the stream.
    pub async fn finish(mut self) {
        self.finish_reason("stop").await;
        self.usage(7, 5).await;
        self.done().await;
    }

    /// Ends the body as HTTP demands, without the provider's own end.
    pub async fn end(mut self) {
        self.write(b"0\r\n\r\n").await;
        let _ = self.stream.shutdown().await;
    }

    /// Closes the connection in the middle of the body.
    pub async fn cut(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Resets the connection.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        let mut bytes = [0; 64];
        let read = within("the server closing its connection to the provider", self.stream.read(&mut bytes)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "the server sent more on a connection for one request");
    }

    async fn write(&mut self, bytes: &[u8]) {
        let written = within("room for what the provider sends", self.stream.write_all(bytes)).await;
        written.expect("the server should still read from the provider");
    }
}

/// A chunk of a chat completion.
fn chunk(delta: Value, finish_reason: Value) -> Value {
    json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })
}
