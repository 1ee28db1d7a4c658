//! What the scripted upstream says on one stream, and what is known about it afterwards.
//!
//! The upstream and the clients share this process, so they share a clock and a [`Slot`] per
//! stream: the upstream notes when it wrote each token, and a client that reads the token looks
//! the time up. The token itself is its number in four characters, which is how a client
//! notices one that is lost, repeated or out of place.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Nanoseconds since the program started; never 0.
pub fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64 + 1
}

/// What the upstream says on one stream.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The most tokens there may be: the stream ends when they are written, or when it is told to stop.
    pub tokens: usize,
    /// Tokens written as fast as the connection takes them, before the paced ones.
    pub at_once: usize,
    /// Tokens in one write of those; they make one HTTP chunk.
    pub per_write: usize,
    /// The rest, at a pace. `None`: there is no rest.
    pub pace: Option<Pace>,
    /// What comes after the last token.
    pub then: Then,
    /// Bytes of text in each token behind its four.
    pub filler: usize,
}

/// Tokens at a pace.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Tokens that come together, in one write.
    pub together: usize,
    /// The time between two writes.
    pub every: Duration,
    /// The first write, in [`now`]'s time. Streams that start together differ in it, so that they never run in lockstep.
    pub first_at: u64,
}

/// What comes after the last token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The proper end of the stream.
    End,
    /// Nothing, until somebody closes the connection.
    Silence,
}

impl Script {
    /// `tokens` tokens at once, then the end.
    pub fn at_once(tokens: usize, per_write: usize) -> Self {
        Self { tokens, at_once: tokens, per_write, pace: None, then: Then::End, filler: 0 }
    }

    /// Tokens at a pace until told to stop, at most `tokens`.
    pub fn paced(tokens: usize, pace: Pace) -> Self {
        Self { tokens, at_once: 0, per_write: 1, pace: Some(pace), then: Then::End, filler: 0 }
    }

    /// `tokens` tokens at once, then silence.
    pub fn silent_after(tokens: usize) -> Self {
        Self { then: Then::Silence, ..Self::at_once(tokens, 1) }
    }
}

/// One stream: its script, and what happened to it.
#[derive(Debug)]
pub struct Slot {
    /// Its number. The client asks for the model `s<number>`, and so every gateway passes it on.
    pub number: u64,
    /// What the upstream says.
    pub script: Script,
    /// When each token was written.
    sent_at: Box<[AtomicU64]>,
    /// How many tokens were written.
    sent: AtomicU64,
    stop: AtomicBool,
    /// When the upstream saw that its connection was closed; 0 while it is open.
    closed_at: AtomicU64,
    /// Told when the paced part is over, or the connection was closed.
    pub done: Notify,
}

impl Slot {
    /// A stream that has not started.
    pub fn new(number: u64, script: Script) -> Arc<Self> {
        let sent_at = (0..script.tokens).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            number,
            script,
            sent_at,
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            closed_at: AtomicU64::new(0),
            done: Notify::new(),
        })
    }

    /// Notes that the next token is written now, and gives its number; `None` when there are no more.
    pub fn next(&self, at: u64) -> Option<u32> {
        let number = self.sent.load(Ordering::Relaxed);
        let sent_at = self.sent_at.get(number as usize)?;
        sent_at.store(at, Ordering::Release);
        self.sent.store(number + 1, Ordering::Release);
        Some(number as u32)
    }

    /// When token `number` was written; 0 when it was not.
    pub fn sent_at(&self, number: u32) -> u64 {
        self.sent_at.get(number as usize).map_or(0, |at| at.load(Ordering::Acquire))
    }

    /// How many tokens were written.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Asks the upstream to end the stream properly.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the paced part is over.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.closed_at() != 0 || self.sent() as usize >= self.sent_at.len()
    }

    /// Notes that the upstream's connection was closed.
    pub fn closed(&self) {
        let _ = self.closed_at.compare_exchange(0, now(), Ordering::AcqRel, Ordering::Relaxed);
        self.done.notify_one();
    }

    /// When the upstream's connection was closed; 0 while it is open.
    pub fn closed_at(&self) -> u64 {
        self.closed_at.load(Ordering::Acquire)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes of a token, without its filler.
pub const TOKEN_BYTES: usize = 4;

/// The text of token `number`: its number in base 64.
pub fn token(number: u32) -> [u8; TOKEN_BYTES] {
    [18, 12, 6, 0].map(|shift| ALPHABET[(number >> shift) as usize & 63])
}

/// The number of a token, from its text.
pub fn token_number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, &byte| {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        Some(number << 6 | u32::from(digit))
    })
}
