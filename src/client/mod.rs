//! A client of the native dialect: start, cancel, attach, and events that survive a dropped connection.
//!
//! ```no_run
//! use tokenwire::client::{Client, Received};
//! use tokenwire::protocol::{Event, Start, message::Message};
//!
//! # async fn example() -> Result<(), tokenwire::client::ClientError> {
//! let mut client = Client::connect("ws://127.0.0.1:8080/v1/stream").await?;
//! let id: tokenwire::protocol::GenerationId = "g1".parse().unwrap();
//! client.start(Start::new(id.clone(), "demo/markdown", vec![Message::user("Hi")])).await;
//! loop {
//!     match client.next().await? {
//!         Received::Event(frame) => match frame.event {
//!             Event::Text(text) => print!("{}", text.delta),
//!             event if event.is_terminal() => break,
//!             _ => {}
//!         },
//!         Received::Refused(refused) => {
//!             eprintln!("{}", refused.error);
//!             break;
//!         }
//!         _ => {} // Disconnected, Reconnected, GoingAway: the rest comes by itself.
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is one value with one owner, no task and no queue: [`next`](Client::next) does all
//! the reading, reconnecting and resuming while it is awaited. It is cancel-safe, so a program waits
//! in `select!` for it and for its user at the same time. It also answers the server's
//! pings; a client that does not await it for twice the heartbeat is dropped by the server, and
//! reconnects when it does again.
//!
//! After a drop the client attaches each generation that has not ended after the last event seen,
//! and repeats what the server has not confirmed: starts, cancels, tool results. All of these
//! have no second effect, so nothing is lost, doubled or paid twice.

mod connection;
mod error;
mod resume;

use std::{pin::Pin, time::Duration};

use tokenwire_protocol::{
    Attach, Cancel, ClientFrame, ConnectionFrame, ConversationFrame, Detach, ErrorFrame, EventFrame, GenerationId,
    GoingAway, Hello, Input, InputAccepted, ServerFrame, Start, ToolResult,
};
use tokio::time::{Instant, sleep};

use connection::{Connection, Endpoint};
pub use error::ClientError;
use resume::Unfinished;

/// The longest wait between two attempts to reconnect.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// A connection to a server, which is made again when it drops.
pub struct Client {
    endpoint: Endpoint,
    reconnect_for: Duration,
    hello: Hello,
    state: State,
    unfinished: Unfinished,
}

enum State {
    Open(Box<Connection>),
    /// Dropped, and the caller has not been told yet.
    Dropped(ClientError),
    Reconnecting(Reconnecting),
    /// For good.
    Ended(ClientError),
}

struct Reconnecting {
    /// The attempt under way, the wait before it included. Kept here and not on the stack of
    /// `next`, so that it goes on when `next` is dropped and called again.
    opening: Opening,
    attempt: u32,
    give_up_at: Instant,
}

type Opening = Pin<Box<dyn Future<Output = Result<(Connection, Hello), ClientError>> + Send>>;

/// What [`Client::next`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Received {
    /// An event of a generation, each once and in order.
    Event(EventFrame),
    /// The server refused a frame. With code `gap` or `generation_not_found`, the rest of a
    /// generation cannot be had any more.
    Refused(ErrorFrame),
    /// An `input` waits for the generation's next turn.
    InputAccepted(InputAccepted),
    /// Something changed in a conversation that is watched.
    Conversation(ConversationFrame),
    /// The server will close this connection. The client reconnects when it does.
    GoingAway(GoingAway),
    /// The connection dropped, and why. The client is about to reconnect.
    Disconnected(ClientError),
    /// The connection is there again, and everything that was unfinished has been asked for.
    Reconnected,
}

/// What to connect to, and how.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    url: String,
    key: Option<crate::provider::Secret>,
    reconnect_for: Duration,
}

impl ClientBuilder {
    /// The key to authenticate with. Default: none.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(crate::provider::Secret::new(key));
        self
    }

    /// How long to try to reconnect after a drop. Default 60 s; zero means not at all.
    pub fn reconnect_for(mut self, reconnect_for: Duration) -> Self {
        self.reconnect_for = reconnect_for;
        self
    }

    /// Connects. The first attempt is the only one; retrying begins after a success.
    ///
    /// # Errors
    ///
    /// When the URL is not one, nothing answers within 10 s, or the server refuses.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let endpoint = Endpoint::new(&self.url, self.key)?;
        let (connection, hello) = Connection::open(&endpoint).await?;
        let state = State::Open(Box::new(connection));
        Ok(Client { endpoint, reconnect_for: self.reconnect_for, hello, state, unfinished: Unfinished::default() })
    }
}

impl Client {
    /// Connects to `url`: `ws://`, `wss://`, or the page's `http://` address. Without a path it is `/v1/stream`.
    ///
    /// # Errors
    ///
    /// See [`ClientBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::builder(url).connect().await
    }

    /// The same with more to choose.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder { url: url.to_owned(), key: None, reconnect_for: Duration::from_secs(60) }
    }

    /// What the server said first on this connection.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Whether there is a connection, as far as [`next`](Self::next) has seen.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Runs a generation and attaches to it. The answer, even a refusal, comes from [`next`](Self::next).
    pub async fn start(&mut self, start: Start) {
        self.send(ClientFrame::Start(Box::new(start))).await;
    }

    /// Stops a generation. Its terminal event still comes.
    pub async fn cancel(&mut self, id: &GenerationId) {
        self.send(ClientFrame::Cancel(Cancel { id: Some(id.clone()), all: false, reason: None })).await;
    }

    /// Reads a generation's log after a position: resumes what another client has begun, or watches it.
    pub async fn attach(&mut self, attach: Attach) {
        self.send(ClientFrame::Attach(attach)).await;
    }

    /// Stops reading a generation's log.
    pub async fn detach(&mut self, id: &GenerationId) {
        self.send(ClientFrame::Detach(Detach { id: id.clone() })).await;
    }

    /// Answers a tool call.
    pub async fn tool_result(&mut self, result: ToolResult) {
        self.send(ClientFrame::ToolResult(result)).await;
    }

    /// Adds messages to a running generation. With an `input_id` it is sent again after a lost connection.
    pub async fn input(&mut self, input: Input) {
        self.send(ClientFrame::Input(input)).await;
    }

    /// Sends any frame. While there is no connection, starts, cancels, attaches, tool results, decisions on tool
    /// calls and inputs with a name are sent when it is there again; other frames are dropped.
    ///
    /// Never fails by itself: when the connection breaks, [`next`](Self::next) says so.
    /// Cancel-safe: a frame is sent once or not at all.
    pub async fn send(&mut self, frame: ClientFrame) {
        let sent = match &mut self.state {
            State::Open(connection) => {
                connection.push(&frame);
                self.unfinished.asked(frame);
                connection.flush().await
            }
            State::Dropped(_) | State::Reconnecting(_) | State::Ended(_) => {
                self.unfinished.asked(frame);
                Ok(())
            }
        };
        if let Err(error) = sent {
            self.state = State::Dropped(error);
        }
    }

    /// Waits for what comes next, reconnecting and resuming where needed. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the server does not want this client back, or could not be reached for as long as was
    /// configured. The client is of no use after that.
    pub async fn next(&mut self) -> Result<Received, ClientError> {
        loop {
            match &mut self.state {
                State::Open(connection) => match connection.read().await {
                    Ok(text) => {
                        if let Some(received) = self.take(&text) {
                            return Ok(received);
                        }
                    }
                    Err(error) => self.state = State::Dropped(error),
                },
                State::Dropped(error) => {
                    let error = error.clone();
                    if error.is_final() || self.reconnect_for.is_zero() {
                        self.state = State::Ended(error);
                        continue;
                    }
                    let delay = error.reconnect_in();
                    let give_up_at = Instant::now() + delay + self.reconnect_for;
                    self.reconnect(delay, 0, give_up_at);
                    return Ok(Received::Disconnected(error));
                }
                State::Reconnecting(reconnecting) => {
                    let opened = (&mut reconnecting.opening).await;
                    let (attempt, give_up_at) = (reconnecting.attempt + 1, reconnecting.give_up_at);
                    match opened {
                        Ok((connection, hello)) => {
                            self.resume(connection, hello);
                            return Ok(Received::Reconnected);
                        }
                        Err(error) if error.is_final() || Instant::now() >= give_up_at => {
                            self.state = State::Ended(error);
                        }
                        Err(_) => self.reconnect(backoff(attempt), attempt, give_up_at),
                    }
                }
                State::Ended(error) => return Err(error.clone()),
            }
        }
    }

    /// Says goodbye, so that the server need not wait for this client. Dropping it does too, less politely:
    /// generations that were not cancelled follow their `on_disconnect`.
    pub async fn close(self) {
        if let State::Open(connection) = self.state {
            connection.close().await;
        }
    }

    fn reconnect(&mut self, delay: Duration, attempt: u32, give_up_at: Instant) {
        let endpoint = self.endpoint.clone();
        let opening = Box::pin(async move {
            sleep(delay).await;
            Connection::open(&endpoint).await
        });
        self.state = State::Reconnecting(Reconnecting { opening, attempt, give_up_at });
    }

    fn resume(&mut self, mut connection: Connection, hello: Hello) {
        for frame in self.unfinished.frames() {
            connection.push(&frame);
        }
        self.hello = hello;
        self.state = State::Open(Box::new(connection));
    }

    /// Reads one frame of the server's. `None`: nothing that the caller needs to know.
    fn take(&mut self, text: &str) -> Option<Received> {
        match serde_json::from_str(text) {
            Ok(ServerFrame::Event(frame)) => self.unfinished.received(&frame).then_some(Received::Event(frame)),
            Ok(ServerFrame::Connection(frame)) => match frame {
                ConnectionFrame::Error(refused) => {
                    self.unfinished.refused(&refused).then_some(Received::Refused(refused))
                }
                ConnectionFrame::GoingAway(going_away) => {
                    if let State::Open(connection) = &mut self.state {
                        connection.reconnect_in = Duration::from_millis(going_away.reconnect_in_ms);
                    }
                    Some(Received::GoingAway(going_away))
                }
                ConnectionFrame::InputAccepted(accepted) => {
                    self.unfinished.accepted(&accepted);
                    Some(Received::InputAccepted(accepted))
                }
                ConnectionFrame::Conversation(change) => Some(Received::Conversation(change)),
                ConnectionFrame::Hello(_) | ConnectionFrame::Pong(_) => None,
            },
            // A type that this version does not know. Its position counts all the same.
            Err(_) => {
                self.unfinished.skipped(text);
                None
            }
        }
    }
}

/// How long to wait before another attempt: twice as long each time.
fn backoff(attempt: u32) -> Duration {
    error::jittered(Duration::from_millis(250 << attempt.min(10)).min(MAX_RECONNECT_DELAY))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("session", &self.hello.session).finish_non_exhaustive()
    }
}
