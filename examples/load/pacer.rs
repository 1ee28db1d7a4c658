//! Writes paced tokens when they are due, to some tens of microseconds.

use std::{
    collections::BinaryHeap,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::net::TcpStream;

use crate::{
    script::{Pace, Slot, now},
    wire,
};

/// How long to wait before writing again to a connection that takes no more.
const RETRY: u64 = 1_000_000;

/// The thread that writes paced tokens. It lives as long as the process.
pub struct Pacer {
    added: Arc<(Mutex<Vec<Entry>>, Condvar)>,
}

struct Entry {
    due: u64,
    pace: Pace,
    socket: Arc<TcpStream>,
    slot: Arc<Slot>,
    /// Bytes that the connection has not taken yet.
    unsent: Vec<u8>,
    /// When the next tokens come.
    next_at: u64,
}

impl Pacer {
    /// Starts the thread.
    pub fn start(chunk_per_event: bool) -> io::Result<Self> {
        let added = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let taken = Arc::clone(&added);
        thread::Builder::new().name("pacer".into()).spawn(move || run(&taken, chunk_per_event))?;
        Ok(Self { added })
    }

    /// Hands over a stream. Its `done` is told when it is over or its connection closed.
    ///
    /// A stream that comes late joins its own beat; it does not make up for what it missed.
    pub fn add(&self, socket: Arc<TcpStream>, slot: Arc<Slot>, pace: Pace) {
        let every = pace.every.as_nanos().max(1) as u64;
        let missed = now().saturating_sub(pace.first_at).div_ceil(every);
        let next_at = pace.first_at + missed * every;
        let entry = Entry { due: next_at, pace, socket, slot, unsent: Vec::new(), next_at };
        self.added.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        self.added.1.notify_one();
    }
}

fn run(added: &(Mutex<Vec<Entry>>, Condvar), chunk_per_event: bool) {
    let mut waiting = BinaryHeap::new();
    loop {
        let mut new = added.0.lock().unwrap_or_else(PoisonError::into_inner);
        if new.is_empty() {
            let due = waiting.peek().map_or(u64::MAX, |entry: &Entry| entry.due);
            let wait = due.saturating_sub(now()).min(100_000_000);
            if wait > 0 {
                new = added.1.wait_timeout(new, Duration::from_nanos(wait)).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        waiting.extend(new.drain(..));
        drop(new);
        while waiting.peek().is_some_and(|entry| entry.due <= now()) {
            if let Some(mut entry) = waiting.pop()
                && entry.write(chunk_per_event)
            {
                waiting.push(entry);
            }
        }
    }
}

impl Entry {
    /// Writes what is due. Returns whether more comes.
    fn write(&mut self, chunk_per_event: bool) -> bool {
        if self.unsent.is_empty() {
            if self.slot.is_over() {
                self.slot.done.notify_one();
                return false;
            }
            wire::push_tokens(&mut self.unsent, &self.slot, self.pace.together, chunk_per_event);
            self.next_at += self.pace.every.as_nanos() as u64;
        }
        match self.socket.try_write(&self.unsent) {
            Ok(written) => drop(self.unsent.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                self.slot.closed();
                return false;
            }
        }
        self.due = if self.unsent.is_empty() { self.next_at } else { now() + RETRY };
        true
    }
}

// The heap's greatest entry is the one that is due first.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Entry {}
