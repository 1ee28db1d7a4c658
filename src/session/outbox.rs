//! What the read loop hands to the write loop.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokenwire_protocol::ConversationId;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::AttachmentId;
use crate::{conversation, dialect::View};

/// Most entries that wait. Each is the answer to a frame of the client's: one that is so far
/// behind with reading sends without listening.
const MAX_ENTRIES: usize = 256;

/// Most bytes of frames that wait, for the same reason: a `pong` is as long as the client's nonce.
const MAX_BYTES: usize = 1 << 20;

/// One entry.
pub(super) enum Out {
    /// Write this frame.
    Frame(Utf8Bytes),
    /// Write a protocol ping.
    Ping,
    /// Write what this view says.
    Attach(AttachmentId, View),
    /// Stop that.
    Detach(AttachmentId),
    /// Write what happens in the conversation that this reader reads.
    Watch(conversation::Reader),
    /// Stop reading this conversation.
    Unwatch(ConversationId),
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Out>,
    /// Of all frames in it.
    bytes: usize,
}

impl Out {
    fn bytes(&self) -> usize {
        if let Self::Frame(frame) = self { frame.len() } else { 0 }
    }
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
    queue: Mutex<Queue>,
    /// Whether the queue holds anything. The lock is not taken to find that out.
    has_entries: AtomicBool,
}

impl Outbox {
    pub fn push(&self, out: Out) -> Result<(), Full> {
        let mut queue = self.lock();
        let bytes = queue.bytes + out.bytes();
        // A single frame always fits: the client's own frame limit bounds it.
        if queue.entries.len() >= MAX_ENTRIES || (bytes > MAX_BYTES && !queue.entries.is_empty()) {
            return Err(Full);
        }
        queue.bytes = bytes;
        queue.entries.push_back(out);
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

    /// Whether it is time to let the write loop have a look.
    pub fn is_crowded(&self) -> bool {
        let queue = self.lock();
        queue.entries.len() >= MAX_ENTRIES / 2 || queue.bytes >= MAX_BYTES / 2
    }

    pub fn pop(&self) -> Option<Out> {
        if !self.has_entries() {
            return None;
        }
        let mut queue = self.lock();
        let out = queue.entries.pop_front();
        queue.bytes -= out.as_ref().map_or(0, Out::bytes);
        if queue.entries.is_empty() {
            // Gives the memory back: most connections are idle most of the time.
            *queue = Queue::default();
            self.has_entries.store(false, Relaxed);
        }
        out
    }

    /// Whether a view of that name waits.
    pub fn attaches(&self, id: &AttachmentId) -> bool {
        self.lock().entries.iter().any(|out| matches!(out, Out::Attach(waiting, _) if waiting == id))
    }

    /// Whether a reader of that conversation waits.
    pub fn watches(&self, id: &ConversationId) -> bool {
        let is_its = |out: &Out| matches!(out, Out::Watch(reader) if reader.conversation().id() == id);
        self.lock().entries.iter().any(is_its)
    }

    /// Takes the frames that wait, and drops the rest.
    pub fn frames(&self) -> Vec<Utf8Bytes> {
        let frame = |out| if let Out::Frame(frame) = out { Some(frame) } else { None };
        self.lock().entries.drain(..).filter_map(frame).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Out {
        Out::Frame("x".repeat(bytes).into())
    }

    #[test]
    fn it_is_full_by_bytes_and_by_entries_and_empties_again() {
        let outbox = Outbox::default();
        assert!(outbox.push(frame(2 * MAX_BYTES)).is_ok(), "one frame always fits");
        assert!(outbox.push(frame(1)).is_err());
        assert!(outbox.pop().is_some());
        for _ in 0..MAX_ENTRIES {
            assert!(outbox.push(frame(1)).is_ok());
        }
        assert!(outbox.push(frame(1)).is_err());
        while outbox.pop().is_some() {}
        assert!(outbox.push(frame(MAX_BYTES)).is_ok());
    }
}
