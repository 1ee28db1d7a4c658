//! What the read loop hands to the write loop.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokenwire_protocol::GenerationId;
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

/// A bounded queue between the loops of one task. It takes no memory while it is empty.
///
/// Nobody is woken by a push: the write loop is polled after the others, in the same poll of the
/// task that they push in.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<VecDeque<Out>>,
    /// Whether the queue holds anything. The lock is not taken to find that out.
    has_entries: AtomicBool,
}

impl Outbox {
    pub fn push(&self, out: Out) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.len() >= MAX_ENTRIES {
            return Err(Full);
        }
        queue.push_back(out);
        self.has_entries.store(true, Relaxed);
        Ok(())
    }

    /// Queues a ping, unless something waits already: then the socket is not idle.
    pub fn ping(&self) {
        if !self.has_entries() {
            // There is room.
            let _ = self.push(Out::Ping);
        }
    }

    pub fn has_entries(&self) -> bool {
        self.has_entries.load(Relaxed)
    }

    pub fn pop(&self) -> Option<Out> {
        if !self.has_entries() {
            return None;
        }
        let mut queue = self.lock();
        let out = queue.pop_front();
        if queue.is_empty() {
            // Gives the memory back: most connections are idle most of the time.
            *queue = VecDeque::new();
            self.has_entries.store(false, Relaxed);
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

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Out>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
