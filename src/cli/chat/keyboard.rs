//! Lines that are typed, with editing and history.

use std::{sync::mpsc, thread};

use rustyline::{DefaultEditor, error::ReadlineError};
use tokio::sync::oneshot;

/// What came of asking for a line.
#[derive(Debug, PartialEq)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or no terminal any more.
    End,
}

/// Asks for lines on a thread of its own, because the line editor blocks.
///
/// While it edits a line the terminal is raw and Ctrl-C is a key, reported as
/// [`Typed::Interrupted`]; at all other times Ctrl-C is a signal.
pub(super) struct Keyboard {
    requests: mpsc::SyncSender<Request>,
}

struct Request {
    prompt: String,
    /// What stands in the line already.
    initial: String,
    is_remembered: bool,
    answer: oneshot::Sender<Typed>,
}

/// A line that is being edited.
pub(super) type Editing = oneshot::Receiver<Typed>;

impl Keyboard {
    pub fn new() -> rustyline::Result<Self> {
        let mut editor = DefaultEditor::new()?;
        let (requests, received) = mpsc::sync_channel::<Request>(1);
        thread::spawn(move || {
            for Request { prompt, initial, is_remembered, answer } in received {
                let typed = match editor.readline_with_initial(&prompt, (&initial, "")) {
                    Ok(line) => {
                        if is_remembered {
                            // History is a convenience; without it the line still counts.
                            let _ = editor.add_history_entry(&line);
                        }
                        Typed::Line(line)
                    }
                    Err(ReadlineError::Interrupted) => Typed::Interrupted,
                    Err(_) => Typed::End,
                };
                // Nobody waits when the chat has ended meanwhile.
                let _ = answer.send(typed);
            }
        });
        Ok(Self { requests })
    }

    /// Begins to ask for a question, with `initial` in the line already. It can be had again with the arrow keys.
    /// One line at a time: the one before must have been answered.
    pub fn question(&self, initial: String) -> Editing {
        self.request("> ".to_owned(), initial, true)
    }

    /// Begins to ask for something else.
    pub fn ask(&self, prompt: String, initial: String) -> Editing {
        self.request(prompt, initial, false)
    }

    fn request(&self, prompt: String, initial: String, is_remembered: bool) -> Editing {
        let (answer, editing) = oneshot::channel();
        // A thread that is gone or busy drops the sender, which reads as the end.
        let _ = self.requests.try_send(Request { prompt, initial, is_remembered, answer });
        editing
    }
}

/// Waits for a line. Cancel-safe.
pub(super) async fn typed(editing: &mut Editing) -> Typed {
    editing.await.unwrap_or(Typed::End)
}
