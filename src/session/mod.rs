//! A session: the actor that serves one connection.
//!
//! ```text
//!            ┌─ read loop: frames in ─► commands to the hub ─┐
//!   socket ──┤                                               │ outbox (bounded)
//!            └─ write loop: readers of logs, outbox ◄────────┘
//!                  feed all that is ready, flush once, with a deadline
//! ```
//!
//! The two loops are raced in one task: a write that stalls never keeps a cancel or a pong from
//! being read. The write loop holds one `View` of a log for each generation that
//! the connection is attached to, and a reader of each conversation that it watches, and reads from them only what it is
//! about to write. So a client that stops reading costs the frames of one batch, and nobody else anything; when its
//! connection is closed it attaches again, and gets exactly the rest.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokenwire_protocol::{
    CloseCode, ConnectionFrame, ConversationId, ErrorCode, ErrorFrame, ErrorInfo, GenerationId, GoingAway, Hello,
    Limits, SUBPROTOCOL,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::yield_now,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        error::{CapacityError, Error, ProtocolError},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::{
    apart::Apart,
    auth::Principal,
    config::LimitsConfig,
    dialect::Dialect,
    generation::{Generation, hub::Hub, short_random},
};

mod ai_sdk;
mod commands;
mod outbox;
mod socket;
mod watches;
mod writer;

use outbox::{Out, Outbox};
use socket::Socket;

/// How far the server is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// It serves.
    No,
    /// It starts nothing new and tells its clients to go elsewhere.
    Draining,
    /// It closes every connection.
    Closing,
}

/// How long a client has to answer a close before its socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Reconnects after a drain are spread over this time.
const RECONNECT_SPREAD_MS: u64 = 2_000;

/// How a connection's WebSocket is set up.
///
/// The read buffer is the standing cost of an idle connection; client frames are small, and a
/// larger one only takes more reads. The write buffer is larger than a batch, so that a batch
/// leaves in one write. Its bound is the write loop's: it feeds a batch, then waits until that is gone.
pub(crate) fn websocket_config(max_frame_bytes: u32) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1 << 10)
        .write_buffer_size(writer::BATCH_BYTES * 2)
        .max_message_size(Some(max_frame_bytes as usize))
        .max_frame_size(Some(max_frame_bytes as usize))
}

/// What a client calls the way in which it reads a log: natively the generation's name, in other dialects that of a
/// request, for which the same rules hold.
type AttachmentId = GenerationId;

/// Serves one connection until it ends.
///
/// Every idle connection holds this future. So it is a block, since an async function keeps its arguments twice, and
/// what only the end needs is boxed.
pub(crate) fn run<S>(
    socket: WebSocketStream<S>,
    hub: Arc<Hub>,
    principal: Principal,
    dialect: Dialect,
    mut shutdown: watch::Receiver<Shutdown>,
) -> impl Future<Output = ()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = Session::new(hub, principal, dialect);
    let socket = Socket::new(socket);
    async move {
        tracing::debug!(session = %session.name, principal = %session.principal, "connected");
        session.say(ConnectionFrame::Hello(session.hello()));
        let end = {
            // Every token wakes the write loop; the other two need no look then. It comes last, so that it
            // finds what the others have just put into the outbox.
            let read = pin!(session.read(&socket));
            let drain = pin!(session.drain(&mut shutdown));
            tokio::select! {
                biased;
                end = Apart::new(read) => end,
                end = Apart::new(drain) => end,
                end = session.write(&socket) => end,
            }
        };
        tracing::debug!(session = %session.name, ?end, "disconnected");
        let last_words = session.outbox.frames();
        // Everything that was read from is let go before the goodbye, which may take its time.
        drop(session);
        let _ = timeout(CLOSE_TIMEOUT, Box::pin(say_goodbye(socket, end, last_words))).await;
    }
}

/// Closes the WebSocket as its end asks for.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(socket: Socket<S>, end: End, last_words: Vec<Utf8Bytes>) {
    match end {
        End::Gone => return,
        // The answer to its close frame is queued already.
        End::Left => {
            let _ = socket.flush().await;
        }
        End::Close(code) => {
            for frame in last_words {
                let _ = socket.feed(Message::Text(frame)).await;
            }
            let frame = CloseFrame { code: code.as_u16().into(), reason: code.reason().into() };
            let _ = socket.feed(Message::Close(Some(frame))).await;
            let _ = socket.flush().await;
        }
    }
    // The closing handshake is done when the client has answered; what it still says is not read.
    while let Some(Ok(_)) = socket.next().await {}
    if let End::Close(CloseCode::TooLarge | CloseCode::ProtocolError | CloseCode::InvalidText) = end {
        socket.discard().await;
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The socket broke.
    Gone,
    /// The client closed it.
    Left,
    /// The server closes it.
    Close(CloseCode),
}

struct Session {
    name: String,
    principal: Principal,
    hub: Arc<Hub>,
    dialect: Dialect,
    limits: LimitsConfig,
    outbox: Outbox,
    generations: Mutex<Generations>,
    /// The server starts nothing new.
    is_draining: AtomicBool,
}

/// The generations of this connection.
#[derive(Default)]
struct Generations {
    attached: HashMap<AttachmentId, Arc<Generation>>,
    /// Those that it started and that may still run.
    started: Vec<Arc<Generation>>,
    /// The conversations that it watches, each with the generations that it started in it and whose change was not
    /// written yet.
    watched: HashMap<ConversationId, Vec<Arc<Generation>>>,
}

impl Session {
    fn new(hub: Arc<Hub>, principal: Principal, dialect: Dialect) -> Self {
        let limits = hub.config().limits;
        Self {
            name: short_random(),
            principal,
            hub,
            dialect,
            limits,
            outbox: Outbox::default(),
            generations: Mutex::default(),
            is_draining: AtomicBool::new(false),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            session: self.name.clone(),
            protocol: SUBPROTOCOL.to_owned(),
            heartbeat_seconds: self.limits.heartbeat_seconds,
            limits: Limits {
                max_frame_bytes: self.limits.max_frame_bytes,
                max_generations: self.limits.max_generations,
                max_attachments: self.limits.max_attachments,
            },
        }
    }

    /// Reads frames until the connection ends. One frame is one command; none waits for anything.
    async fn read<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: &Socket<S>) -> End {
        let heartbeat = Duration::from_secs(self.limits.heartbeat_seconds.into());
        let mut heard_at = Instant::now();
        let mut beat = tokio::time::interval_at(heard_at + heartbeat, heartbeat);
        loop {
            let message = tokio::select! {
                biased;
                message = socket.next() => message,
                now = beat.tick() => {
                    if now.duration_since(heard_at) >= heartbeat * 2 {
                        return End::Close(CloseCode::HeartbeatTimeout);
                    }
                    self.outbox.ping();
                    continue;
                }
            };
            heard_at = Instant::now();
            let taken = match message {
                Some(Ok(Message::Text(text))) => self.command(&text),
                Some(Ok(Message::Binary(_))) => {
                    self.refuse(None, ErrorInfo::new(ErrorCode::BinaryFrame, "frames are text, one JSON object each"))
                }
                // tungstenite answers pings by itself, at the next read or write.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
                Some(Ok(Message::Close(_))) => return End::Left,
                None => return End::Gone,
                Some(Err(error)) => return self.broken(error),
            };
            if let Err(full) = taken {
                return full;
            }
            // A burst that was read at once is no sign of a client that does not read.
            if self.outbox.has_entries() && self.outbox.is_crowded() {
                yield_now().await;
            }
        }
    }

    /// What a read error means for the connection.
    fn broken(&self, error: Error) -> End {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                let message = format!("a frame has at most {} bytes here", self.limits.max_frame_bytes);
                let _ = self.refuse(None, ErrorInfo::new(ErrorCode::FrameTooLarge, message));
                End::Close(CloseCode::TooLarge)
            }
            Error::Capacity(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
            Error::Protocol(_) => End::Close(CloseCode::ProtocolError),
            Error::Utf8(_) => End::Close(CloseCode::InvalidText),
            _ => End::Gone,
        }
    }

    /// Waits for the server to shut down, and passes that on.
    async fn drain(&self, shutdown: &mut watch::Receiver<Shutdown>) -> End {
        let mut told = false;
        loop {
            match *shutdown.borrow_and_update() {
                Shutdown::No => {}
                Shutdown::Draining if told => {}
                Shutdown::Draining => {
                    told = true;
                    self.is_draining.store(true, Relaxed);
                    let spread = uuid::Uuid::new_v4().as_u64_pair().0 % RECONNECT_SPREAD_MS;
                    self.say(ConnectionFrame::GoingAway(GoingAway {
                        reason: "the server is shutting down".to_owned(),
                        reconnect_in_ms: spread,
                    }));
                }
                Shutdown::Closing => return End::Close(CloseCode::GoingAway),
            }
            if shutdown.changed().await.is_err() {
                return End::Close(CloseCode::GoingAway);
            }
        }
    }

    /// Queues a frame about the connection; one that finds no room is dropped with the connection soon after.
    fn say(&self, frame: ConnectionFrame) {
        if let Some(frame) = self.dialect.connection_frame(&frame) {
            let _ = self.push(Out::Frame(frame.into()));
        }
    }

    /// Answers a frame that was refused.
    fn refuse(&self, id: Option<GenerationId>, error: ErrorInfo) -> Result<(), End> {
        let frame = ConnectionFrame::Error(ErrorFrame { id, conversation: None, error });
        match self.dialect.connection_frame(&frame) {
            Some(frame) => self.push(Out::Frame(frame.into())),
            None => Ok(()),
        }
    }

    /// A full outbox belongs to a client that sends and does not read.
    fn push(&self, out: Out) -> Result<(), End> {
        self.outbox.push(out).map_err(|_| End::Close(CloseCode::SlowReader))
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // No code that holds this lock can panic half-way through a change.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
