//! Signals: Ctrl-C, that with which service managers stop a program, another size of the terminal.

use std::io;

/// Signals from outside. Once made, they do not end the process any more.
pub(super) struct Signals {
    #[cfg(unix)]
    kinds: Vec<tokio::signal::unix::Signal>,
    #[cfg(not(unix))]
    is_interrupt: bool,
}

#[cfg(unix)]
impl Signals {
    /// Ctrl-C.
    pub fn interrupt() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { kinds: vec![signal(SignalKind::interrupt())?] })
    }

    /// The terminal has another size.
    pub fn resize() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { kinds: vec![signal(SignalKind::window_change())?] })
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
        Ok(Self { is_interrupt: true })
    }

    /// The terminal has another size: nobody says so here.
    pub fn resize() -> io::Result<Self> {
        Ok(Self { is_interrupt: false })
    }

    /// Everything that asks a server to stop.
    pub fn stop() -> io::Result<Self> {
        Self::interrupt()
    }

    /// The next of them. Cancel-safe.
    pub async fn next(&mut self) {
        if !self.is_interrupt || tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
