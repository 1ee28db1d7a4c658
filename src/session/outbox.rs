//! What the read loop hands to the write loop.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokenwire_protocol::GenerationId;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::generation::log::Reader;

/// Most entries that wait. Each is the answer to a frame of the client's: one that is so far
/// behind with reading sends without listening.
const MAX_ENTRIES: usize = 256;

/// One entry.
pub(super) enum Out {
    /// Write this frame.
    Frame(Utf8Bytes),
    /// Write a protocol ping.
    Ping,
    /// Write what this reader reads.
    Attach(GenerationId, Reader),
    /// Stop reading for this generation.
    Detach(GenerationId),
}

/// The queue is full.
#[derive(Debug)]
pub(super) struct Full;

/// A bounded queue between two loops of one task. It takes no memory while it is empty.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<VecDeque<Out>>,
    pushed: Notify,
}

impl Outbox {
    pub fn push(&self, out: Out) -> Result<(), Full> {
        {
            let mut queue = self.lock();
            if queue.len() >= MAX_ENTRIES {
                return Err(Full);
            }
            queue.push_back(out);
        }
        self.pushed.notify_one();
        Ok(())
    }

    /// Queues a ping, unless something waits already: then the socket is not idle.
    pub fn ping(&self) {
        if self.lock().is_empty() {
            // There is room.
            let _ = self.push(Out::Ping);
        }
    }

    pub fn pop(&self) -> Option<Out> {
        let mut queue = self.lock();
        let out = queue.pop_front();
        if queue.is_empty() {
            // Gives the memory back: most connections are idle most of the time.
            *queue = VecDeque::new();
        }
        out
    }

    /// Whether a reader of that generation waits.
    pub fn attaches(&self, id: &GenerationId) -> bool {
        self.lock().iter().any(|out| matches!(out, Out::Attach(waiting, _) if waiting == id))
    }

    /// Takes the frames that wait, and drops the rest.
    pub fn frames(&self) -> Vec<Utf8Bytes> {
        let frame = |out| if let Out::Frame(frame) = out { Some(frame) } else { None };
        self.lock().drain(..).filter_map(frame).collect()
    }

    /// Waits until something may be there. Cancel-safe.
    pub async fn pushed(&self) {
        self.pushed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Out>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
