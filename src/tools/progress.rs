//! How far a call is: bounded, however often it is told.

use std::sync::{Arc, Mutex, PoisonError};

use tokenwire_protocol::ToolProgress;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::generation::shortened;

/// Reports of all calls of a turn that wait to be taken; more are dropped.
const MAX_WAITING: usize = 64;
/// Reports that a call may make at once ...
const BURST: u32 = 100;
/// ... and then one in each such time. What is dropped is no loss; a log full of it would be.
const INTERVAL: Duration = Duration::from_millis(100);
/// Most bytes of a report's message that are kept.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Where the reports of the calls of a turn go to, and arrive.
pub(crate) fn channel() -> (mpsc::Sender<ToolProgress>, mpsc::Receiver<ToolProgress>) {
    mpsc::channel(MAX_WAITING)
}

/// What one call tells of itself.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    reports: mpsc::Sender<ToolProgress>,
    /// When the reports so far would have been made, had each taken its time.
    paid_until: Arc<Mutex<Instant>>,
}

impl Progress {
    pub fn new(reports: mpsc::Sender<ToolProgress>) -> Self {
        Self { reports, paid_until: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Tells it, unless that comes too often.
    pub fn tell(&self, mut report: ToolProgress) {
        let now = Instant::now();
        {
            let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
            if *paid_until >= now + INTERVAL * BURST {
                return;
            }
            *paid_until = now.max(*paid_until) + INTERVAL;
        }
        report.message = report.message.map(|message| shortened(message, MAX_MESSAGE_BYTES));
        // Progress is for looking at: a report that finds no room is no loss.
        let _ = self.reports.try_send(report);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn report(message: &str) -> ToolProgress {
        ToolProgress { call_id: "c1".into(), progress: None, total: None, message: Some(message.to_owned()) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_tells_without_end_is_heard_now_and_then() {
        let (reports, mut arrived) = channel();
        let progress = Progress::new(reports);
        let mut count = 0;
        for _ in 0..1000 {
            progress.tell(report("on"));
            while arrived.try_recv().is_ok() {
                count += 1;
            }
        }
        assert_eq!(count, BURST);
        for _ in 0..100 {
            tokio::time::advance(INTERVAL / 10).await;
            progress.tell(report("on"));
            while arrived.try_recv().is_ok() {
                count += 1;
            }
        }
        assert_eq!(count, BURST + 10);
    }

    #[tokio::test]
    async fn a_message_is_short() {
        let (reports, mut arrived) = channel();
        Progress::new(reports).tell(report(&"ä".repeat(10_000)));
        assert_eq!(arrived.recv().await.unwrap().message.unwrap().len(), MAX_MESSAGE_BYTES);
    }
}
