//! Ctrl-C, and the signal with which service managers stop a program.

use std::io;

/// Signals from outside. Once made, they do not end the process any more.
pub(super) struct Signals {
    #[cfg(unix)]
    kinds: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Ctrl-C.
    pub fn interrupt() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { kinds: vec![signal(SignalKind::interrupt())?] })
    }

    /// Everything that asks a server to stop.
    pub fn stop() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { kinds: vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?] })
    }

    /// The next of them, also one that came since the last call. Cancel-safe.
    pub async fn next(&mut self) {
        use std::task::Poll;

        std::future::poll_fn(|cx| {
            let is_there =
                |signal: &mut tokio::signal::unix::Signal| matches!(signal.poll_recv(cx), Poll::Ready(Some(())));
            // Every one is polled, so that every one wakes this task.
            match self.kinds.iter_mut().map(is_there).fold(false, |any, one| any | one) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Ctrl-C.
    pub fn interrupt() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Everything that asks a server to stop.
    pub fn stop() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next of them. Cancel-safe.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
