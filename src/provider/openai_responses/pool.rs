//! Sockets that wait for their next turn.
//!
//! Each thread has its own: a socket is driven by the thread that opened it. While a socket waits, a task reads
//! it, so that pings are answered, and one that the provider has closed is not used again.

use std::{cell::RefCell, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::continuation::Continuation;

/// How long a socket may wait. Tools that ask a person take minutes.
const MAX_IDLE: Duration = Duration::from_secs(5 * 60);
/// How old a socket may be when a turn begins on it. OpenAI closes its own after 60 minutes, xAI after 25.
const MAX_AGE: Duration = Duration::from_secs(20 * 60);
/// The most sockets that wait on one thread.
const MAX_SOCKETS: usize = 32;

/// A socket to a provider.
pub(super) struct Socket {
    pub stream: WebSocketStream<reqwest::Upgraded>,
    pub opened_at: Instant,
}

/// Where a socket leads, and as whom: turns share sockets only where all of this is the same.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub url: String,
    pub headers: Vec<(String, String)>,
}

/// A socket that waits.
struct Waiting {
    place: Place,
    continuation: Option<Continuation>,
    wanted: oneshot::Sender<()>,
    task: JoinHandle<Option<Socket>>,
}

thread_local! {
    /// The one that has waited longest comes first.
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// Takes a socket to `place`: the one whose turn is gone on with, or else the one that has waited longest.
pub(super) async fn take(
    place: &Place,
    goes_on: impl Fn(&Continuation) -> bool,
) -> Option<(Socket, Option<Continuation>)> {
    while let Some(waiting) = WAITING.with_borrow_mut(|all| {
        let is_next =
            |waiting: &Waiting| waiting.place == *place && waiting.continuation.as_ref().is_some_and(&goes_on);
        let position = all.iter().position(is_next);
        position.or_else(|| all.iter().position(|waiting| waiting.place == *place)).map(|position| all.remove(position))
    }) {
        let Waiting { continuation, wanted, task, .. } = waiting;
        if wanted.send(()).is_ok()
            && let Ok(Some(socket)) = task.await
        {
            return Some((socket, continuation));
        }
    }
    None
}

/// Keeps a socket for the next turn.
pub(super) fn put(place: Place, socket: Socket, continuation: Option<Continuation>) {
    let until = (socket.opened_at + MAX_AGE).min(Instant::now() + MAX_IDLE);
    let (wanted, is_wanted) = oneshot::channel();
    let task = tokio::spawn(wait(socket, is_wanted, until));
    WAITING.with_borrow_mut(|all| {
        all.retain(|waiting| !waiting.task.is_finished());
        if all.len() >= MAX_SOCKETS {
            // Dropping what would ask for it closes it.
            all.remove(0);
        }
        all.push(Waiting { place, continuation, wanted, task });
    });
}

/// Waits until the socket is wanted. `None`: it is no longer good.
async fn wait(mut socket: Socket, is_wanted: oneshot::Receiver<()>, until: Instant) -> Option<Socket> {
    let is_wanted = tokio::select! {
        biased;
        () = closed(&mut socket) => false,
        wanted = is_wanted => wanted.is_ok(),
        () = sleep_until(until) => false,
    };
    is_wanted.then_some(socket)
}

/// Reads until the provider closes the socket, or says what nobody asked for. Cancel-safe.
async fn closed(socket: &mut Socket) {
    while let Some(Ok(Message::Ping(_) | Message::Pong(_))) = socket.stream.next().await {
        // The answer to the ping.
        if socket.stream.flush().await.is_err() {
            return;
        }
    }
}
