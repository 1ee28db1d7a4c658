//! How far a generation is, and so which deadline applies to it.
//!
//! Written by the task's turn loop at every change of phase and every token, read by its
//! watching half. Both run in one task, so this is a record, not a synchronisation.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokenwire_protocol::{ErrorCode, Timeouts};
use tokio::{sync::Notify, time::Instant};

use crate::config::TimeoutsConfig;

/// What a generation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// It waits for its turn on this server.
    Queued,
    /// It was sent to the provider, which has not said anything yet.
    Asking,
    /// The provider is talking.
    Streaming,
    /// It waits for tool results.
    Tools,
    /// It waits before another attempt.
    Backoff,
    /// The provider sent no first token in time: the attempt is about to end.
    NoFirstToken,
    /// The provider fell silent for too long: the attempt is about to end.
    Silent,
}

pub(super) struct Progress {
    origin: Instant,
    phase: AtomicU8,
    /// When the phase began or the last token came, in microseconds since `origin`.
    since: AtomicU64,
    /// How long tools were waited for, in microseconds: not counted in the total.
    tools: AtomicU64,
    /// The provider missed its deadline.
    missed: Notify,
}

/// The deadlines of one generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub connect: Duration,
    pub first_token: Duration,
    pub idle: Duration,
    pub total: Duration,
    pub tool: Duration,
}

impl Deadlines {
    /// The server's defaults, with what a `start` asked for.
    ///
    /// # Errors
    ///
    /// The name of the field that asks for nothing, or for more than the limit.
    pub fn new(config: &TimeoutsConfig, asked: &Timeouts) -> Result<Self, &'static str> {
        let pick = |asked: Option<u64>, default: u64, field| match asked {
            Some(ms) if ms == 0 || ms > config.limit_ms => Err(field),
            asked => Ok(Duration::from_millis(asked.unwrap_or(default))),
        };
        Ok(Self {
            connect: pick(asked.connect_ms, config.connect_ms, "timeouts.connect_ms")?,
            first_token: pick(asked.first_token_ms, config.first_token_ms, "timeouts.first_token_ms")?,
            idle: pick(asked.idle_ms, config.idle_ms, "timeouts.idle_ms")?,
            total: pick(asked.total_ms, config.total_ms, "timeouts.total_ms")?,
            tool: pick(asked.tool_ms, config.tool_ms, "timeouts.tool_ms")?,
        })
    }
}

impl Progress {
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            phase: AtomicU8::new(Phase::Queued as u8),
            since: AtomicU64::new(0),
            tools: AtomicU64::new(0),
            missed: Notify::new(),
        }
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            1 => Phase::Asking,
            2 => Phase::Streaming,
            3 => Phase::Tools,
            4 => Phase::Backoff,
            5 => Phase::NoFirstToken,
            6 => Phase::Silent,
            _ => Phase::Queued,
        }
    }

    pub fn enter(&self, phase: Phase) {
        if self.phase() == Phase::Tools {
            self.tools.fetch_add(self.micros() - self.since.load(Relaxed), Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
        self.touch();
    }

    /// The provider said something.
    pub fn touch(&self) {
        self.since.store(self.micros(), Relaxed);
    }

    /// The deadline has passed. Says whether it was the provider's; the attempt ends by itself then.
    pub fn miss(&self, code: ErrorCode) -> bool {
        let phase = match code {
            ErrorCode::FirstTokenTimeout => Phase::NoFirstToken,
            ErrorCode::IdleTimeout => Phase::Silent,
            _ => return false,
        };
        self.enter(phase);
        self.missed.notify_one();
        true
    }

    /// Waits until the provider has missed a deadline, and says which.
    ///
    /// Cancel-safe.
    pub async fn silence(&self) -> ErrorCode {
        loop {
            self.missed.notified().await;
            // What was missed in an attempt that came to its end all the same is over.
            match self.phase() {
                Phase::NoFirstToken => return ErrorCode::FirstTokenTimeout,
                Phase::Silent => return ErrorCode::IdleTimeout,
                _ => {}
            }
        }
    }

    /// The next deadline, and the error of missing it.
    pub fn deadline(&self, deadlines: &Deadlines) -> (Instant, ErrorCode) {
        let since = self.origin + Duration::from_micros(self.since.load(Relaxed));
        let total = self.origin + deadlines.total + Duration::from_micros(self.tools.load(Relaxed));
        let phase = match self.phase() {
            // Not the provider's time: only what the server itself may take counts here.
            Phase::Tools => return (since + deadlines.tool, ErrorCode::ToolTimeout),
            Phase::Asking => (since + deadlines.first_token, ErrorCode::FirstTokenTimeout),
            Phase::Streaming => (since + deadlines.idle, ErrorCode::IdleTimeout),
            Phase::Queued | Phase::Backoff | Phase::NoFirstToken | Phase::Silent => {
                return (total, ErrorCode::GenerationTimeout);
            }
        };
        if total < phase.0 { (total, ErrorCode::GenerationTimeout) } else { phase }
    }

    fn micros(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }
}
