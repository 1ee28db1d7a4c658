//! One client connection, to any of the targets.
//!
//! Written on the bare socket and read with as little work as possible, so that the load
//! generator takes little of the machine: see [`decode`](crate::decode) for the reading.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    Result,
    decode::Decoder,
    script::{Slot, TOKEN_BYTES, now, token_number},
};

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// A POST, answered with server-sent events.
    Sse,
    /// A WebSocket: the POST's body as a text frame, answered with one frame per SSE data line.
    Relay,
    /// A WebSocket that speaks `tokenwire.v1`.
    Tokenwire,
}

/// How long connecting and the handshake may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a stream may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest piece that is read at once.
const MAX_BUFFER_BYTES: usize = 256 << 10;

/// What all clients of one run count together.
#[derive(Debug, Default)]
pub struct Meter {
    /// Tokens received.
    pub tokens: AtomicU64,
    /// Bytes received, framing included.
    pub bytes: AtomicU64,
    /// Frames or events received that held tokens.
    pub frames: AtomicU64,
    /// Whether latencies are kept.
    pub keeps_latencies: AtomicBool,
}

/// What a client knows about one stream.
#[derive(Debug)]
pub struct Track {
    /// The stream.
    pub slot: Arc<Slot>,
    /// The next token's number.
    next: u32,
    /// The last `seq`, where the target has one.
    pub seq: u64,
    /// When the first token arrived; 0 before.
    pub first_at: u64,
    /// How the stream ended and when: the terminal frame's type, or `[DONE]`.
    pub end: Option<(String, u64)>,
    /// From the upstream's write to here, per token, in nanoseconds; while the meter keeps them.
    pub latencies: Vec<u32>,
    meter: Arc<Meter>,
}

impl Track {
    /// A stream of which nothing has arrived.
    pub fn new(slot: Arc<Slot>, meter: Arc<Meter>) -> Self {
        Self { slot, next: 0, seq: 0, first_at: 0, end: None, latencies: Vec::new(), meter }
    }

    /// Tokens received.
    pub fn received(&self) -> u64 {
        u64::from(self.next)
    }

    /// Takes a text that holds whole tokens, and returns how many.
    pub fn text(&mut self, text: &[u8], at: u64) -> Result<u64> {
        let bytes = TOKEN_BYTES + self.slot.script.filler;
        if !text.len().is_multiple_of(bytes) {
            return Err(format!("stream {}: {} bytes are no whole tokens", self.slot.number, text.len()).into());
        }
        let keeps = self.meter.keeps_latencies.load(Ordering::Relaxed);
        for token in text.chunks_exact(bytes) {
            let number = token_number(&token[..TOKEN_BYTES]);
            if number != Some(self.next) {
                let (stream, next) = (self.slot.number, self.next);
                return Err(format!("stream {stream}: token {number:?} came where {next} was due").into());
            }
            if keeps {
                let latency = at.saturating_sub(self.slot.sent_at(self.next));
                self.latencies.push(latency.try_into().unwrap_or(u32::MAX));
            }
            self.next += 1;
        }
        if self.first_at == 0 && self.next > 0 {
            self.first_at = at;
        }
        let count = (text.len() / bytes) as u64;
        self.meter.tokens.fetch_add(count, Ordering::Relaxed);
        self.meter.frames.fetch_add(1, Ordering::Relaxed);
        Ok(count)
    }

    /// Whether everything that the upstream wrote has arrived, and the end with it.
    pub fn check(&self) -> Result<()> {
        let (stream, received, sent) = (self.slot.number, self.received(), self.slot.sent());
        match &self.end {
            Some((end, _)) if end == "[DONE]" || end == "finished" => {}
            end => return Err(format!("stream {stream} ended with {end:?} after {received} tokens").into()),
        }
        if received != sent {
            return Err(format!("stream {stream}: {sent} tokens were sent and {received} received").into());
        }
        Ok(())
    }
}

/// A client's connection.
pub struct Connection {
    socket: TcpStream,
    speech: Speech,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// The part of `buffer` that holds bytes not decoded yet.
    filled: std::ops::Range<usize>,
    meter: Arc<Meter>,
}

impl Connection {
    /// Connects, and shakes hands where the target speaks WebSocket.
    pub async fn open(address: SocketAddr, speech: Speech, meter: Arc<Meter>) -> Result<Self> {
        Self::open_with(address, speech, meter, None).await
    }

    /// Connects with a receive buffer of `receive_bytes`, so that not reading is felt soon.
    pub async fn open_with(
        address: SocketAddr,
        speech: Speech,
        meter: Arc<Meter>,
        receive_bytes: Option<u32>,
    ) -> Result<Self> {
        let opening = async {
            let socket = TcpSocket::new_v4()?;
            if let Some(bytes) = receive_bytes {
                socket.set_recv_buffer_size(bytes)?;
            }
            let socket = socket.connect(address).await?;
            socket.set_nodelay(true)?;
            let mut connection =
                Self { socket, speech, decoder: Decoder::new(speech), buffer: vec![0; 2048], filled: 0..0, meter };
            if speech != Speech::Sse {
                connection.shake_hands(address).await?;
            }
            Ok(connection)
        };
        tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(|_| "the target did not answer the handshake")?
    }

    async fn shake_hands(&mut self, address: SocketAddr) -> Result<()> {
        let request = format!(
            "GET /v1/stream HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.socket.write_all(request.as_bytes()).await?;
        loop {
            self.fill().await?;
            let answer = &self.buffer[self.filled.clone()];
            if let Some(head) = memmem::find(answer, b"\r\n\r\n") {
                if !answer.starts_with(b"HTTP/1.1 101") {
                    return Err(format!("no upgrade: {}", String::from_utf8_lossy(&answer[..head])).into());
                }
                self.filled.start += head + 4;
                return Ok(());
            }
        }
    }

    /// Asks for a stream.
    pub async fn start(&mut self, slot: &Slot) -> Result<()> {
        let number = slot.number;
        match self.speech {
            Speech::Tokenwire => {
                self.send_text(&format!(
                    r#"{{"type":"start","id":"g{number}","model":"openai/s{number}","messages":[{{"role":"user","content":"Go on."}}]}}"#
                ))
                .await
            }
            Speech::Relay => self.send_text(&request_body(number)).await,
            Speech::Sse => {
                let body = request_body(number);
                let request = format!(
                    "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer x\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                Ok(self.socket.write_all(request.as_bytes()).await?)
            }
        }
    }

    /// Asks for the rest of a stream that another connection began.
    pub async fn attach(&mut self, track: &Track) -> Result<()> {
        let (number, after) = (track.slot.number, track.seq);
        self.send_text(&format!(r#"{{"type":"attach","id":"g{number}","after":{after}}}"#)).await
    }

    /// Sends a cancel frame for a stream, and returns when that was.
    pub async fn cancel(&mut self, slot: &Slot) -> Result<u64> {
        let frame = format!(r#"{{"type":"cancel","id":"g{}"}}"#, slot.number);
        let at = now();
        self.send_text(&frame).await?;
        Ok(at)
    }

    /// Reads once, and gives what arrived to the streams. Numbers follow each other in `tracks`.
    ///
    /// # Errors
    ///
    /// When the connection was closed, or a token is lost or out of place.
    pub async fn read(&mut self, tracks: &mut [Track]) -> Result<()> {
        let read = tokio::time::timeout(READ_TIMEOUT, self.fill()).await.map_err(|_| "nothing arrived in time")?;
        let count = read?;
        self.meter.bytes.fetch_add(count as u64, Ordering::Relaxed);
        let decoded = self.decoder.decode(&self.buffer[self.filled.clone()], now(), tracks)?;
        self.filled.start += decoded.bytes;
        if let Some(pong) = decoded.pong {
            self.socket.write_all(&pong).await?;
        }
        Ok(())
    }

    /// Reads until every stream has ended.
    pub async fn read_to_end(&mut self, tracks: &mut [Track]) -> Result<()> {
        while tracks.iter().any(|track| track.end.is_none()) {
            self.read(tracks).await?;
        }
        Ok(())
    }

    /// Reads until the first stream has `count` tokens.
    pub async fn read_tokens(&mut self, tracks: &mut [Track], count: u64) -> Result<()> {
        while tracks.first().is_some_and(|track| track.received() < count) {
            self.read(tracks).await?;
        }
        Ok(())
    }

    /// Reads what there is into the buffer.
    async fn fill(&mut self) -> Result<usize> {
        if self.filled.is_empty() {
            self.filled = 0..0;
        } else if self.filled.end == self.buffer.len() {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        if self.filled.end == self.buffer.len() {
            return Err("a frame is larger than any the load asks for".into());
        }
        let count = self.socket.read(&mut self.buffer[self.filled.end..]).await?;
        if count == 0 {
            return Err(CLOSED.into());
        }
        self.filled.end += count;
        // A read that fills the buffer may have left something: the next one gets more room.
        if self.filled.end == self.buffer.len() && self.buffer.len() < MAX_BUFFER_BYTES {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        Ok(count)
    }

    async fn send_text(&mut self, text: &str) -> Result<()> {
        Ok(self.socket.write_all(&client_frame(0x1, text.as_bytes())).await?)
    }
}

/// What reading says when the target closed the connection.
pub const CLOSED: &str = "the connection was closed";

fn request_body(number: u64) -> String {
    format!(
        r#"{{"model":"s{number}","messages":[{{"role":"user","content":"Go on."}}],"stream":true,"stream_options":{{"include_usage":true}}}}"#
    )
}

/// A frame as a client sends it: masked, with a mask of zeros, which leaves the payload as it is.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
