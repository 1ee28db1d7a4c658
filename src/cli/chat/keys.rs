//! The keys that are pressed while an answer streams.

#[cfg(unix)]
pub(super) use unix::Keys;

#[cfg(not(unix))]
pub(super) use elsewhere::Keys;

#[cfg(unix)]
mod unix {
    use std::{
        io::{self, IsTerminal, Read, Write, stdin, stdout},
        time::Duration,
    };

    use nix::{
        sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr},
        unistd::{getpgrp, tcgetpgrp},
    };
    use tokio::time::{Interval, MissedTickBehavior, interval};

    /// How often it is looked whether a key was pressed. Nobody sees a key come later than that.
    const LOOK_INTERVAL: Duration = Duration::from_millis(20);

    /// The terminal, which gives every key at once and shows none until this is dropped. Ctrl-C stays a signal, and
    /// what is printed looks as ever.
    pub(in super::super) struct Keys {
        before: Termios,
        look: Interval,
    }

    impl Keys {
        /// `None` where there is no terminal, one that can show no line of its own, or one that belongs to another
        /// program: there what is typed waits for the next question.
        pub fn watch() -> Option<Self> {
            let term = std::env::var_os("TERM").filter(|term| !term.is_empty() && term != "dumb");
            if term.is_none() || !stdin().is_terminal() || !stdout().is_terminal() {
                return None;
            }
            // A program in the background is stopped when it changes the terminal.
            if tcgetpgrp(stdin()).ok()? != getpgrp() {
                return None;
            }
            let before = tcgetattr(stdin()).ok()?;
            let mut raw = before.clone();
            raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::IEXTEN);
            // Reading never waits.
            raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
            raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
            tcsetattr(stdin(), SetArg::TCSANOW, &raw).ok()?;
            let mut look = interval(LOOK_INTERVAL);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tell("\x1b[?2004h");
            Some(Self { before, look })
        }

        /// The next bytes; none when the terminal is gone. Cancel-safe.
        pub async fn next(&mut self) -> Vec<u8> {
            loop {
                self.look.tick().await;
                let mut bytes = Vec::new();
                let mut buffer = [0; 1024];
                let is_gone = loop {
                    match stdin().lock().read(&mut buffer) {
                        Ok(0) => break false,
                        Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => break true,
                    }
                };
                if !bytes.is_empty() || is_gone {
                    return bytes;
                }
            }
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            tell("\x1b[?2004l");
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
        }
    }

    /// Has the terminal say where a paste begins and ends, or not any more.
    fn tell(sequence: &str) {
        // One that is gone needs no telling.
        let mut stdout = stdout().lock();
        let _ = stdout.write_all(sequence.as_bytes()).and_then(|()| stdout.flush());
    }
}

#[cfg(not(unix))]
mod elsewhere {
    /// There are none here: what is typed waits for the next question.
    pub(in super::super) struct Keys;

    impl Keys {
        pub fn watch() -> Option<Self> {
            None
        }

        pub async fn next(&mut self) -> Vec<u8> {
            std::future::pending().await
        }
    }
}
