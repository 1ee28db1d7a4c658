//! The WebSocket of a session, shared by its read loop and its write loop.

use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, ready},
};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, error::Error},
};

/// Both loops run in one task, so the lock is never waited for; it is held for one poll.
///
/// `StreamExt::split` does the same with a queue of one message and a lock that can be awaited,
/// which costs each frame twice as much.
pub(super) struct Socket<S>(Mutex<WebSocketStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub fn new(stream: WebSocketStream<S>) -> Self {
        Self(Mutex::new(stream))
    }

    /// The next message. Cancel-safe.
    pub async fn next(&self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.lock().poll_next_unpin(cx)).await
    }

    /// Puts a message into the write buffer; waits while that is full. Dropped, it may have done so or not.
    pub async fn feed(&self, message: Message) -> Result<(), Error> {
        let mut message = Some(message);
        poll_fn(|cx| {
            let mut stream = self.lock();
            ready!(stream.poll_ready_unpin(cx))?;
            Poll::Ready(message.take().map_or(Ok(()), |message| stream.start_send_unpin(message)))
        })
        .await
    }

    /// Writes what is in the write buffer. Cancel-safe: what is left stays there.
    pub async fn flush(&self) -> Result<(), Error> {
        poll_fn(|cx| self.lock().poll_flush_unpin(cx)).await
    }

    /// Reads a socket that broke in the middle of a frame to its end. Closed with bytes unread it
    /// would be reset, and the client might never see why.
    pub async fn discard(self) {
        let mut stream = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let socket = stream.get_mut();
        let _ = socket.shutdown().await;
        let mut bytes = vec![0; 16 << 10];
        while matches!(socket.read(&mut bytes).await, Ok(count) if count > 0) {}
    }

    fn lock(&self) -> MutexGuard<'_, WebSocketStream<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
