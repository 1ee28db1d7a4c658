//! What was said in a turn, kept for providers that want to see it again after tool calls.

use tokenwire_protocol::message::MessageToolCall;

use super::{ModelEvent, Turn};

/// What was said so far in one turn.
#[derive(Default)]
pub(crate) struct Said {
    pub text: String,
    pub reasoning: String,
    /// The whole calls, with the ids that clients know them by.
    pub calls: Vec<MessageToolCall>,
}

impl Said {
    /// A turn that hands everything on to `turn`, and notes it here.
    pub(crate) fn noting<'a>(&'a mut self, turn: &'a mut dyn Turn) -> Noting<'a> {
        Noting { said: self, turn }
    }
}

/// See [`Said::noting`].
pub(crate) struct Noting<'a> {
    said: &'a mut Said,
    turn: &'a mut dyn Turn,
}

impl Turn for Noting<'_> {
    fn emit(&mut self, event: ModelEvent<'_>) {
        match &event {
            ModelEvent::Text(text) => self.said.text.push_str(text),
            ModelEvent::Reasoning(text) => self.said.reasoning.push_str(text),
            ModelEvent::ToolCall { call_id, name, arguments, .. } => {
                self.said.calls.push(MessageToolCall::new(&***call_id, &***name, *arguments));
            }
            _ => {}
        }
        self.turn.emit(event);
    }

    fn skipped(&mut self) {
        self.turn.skipped();
    }
}
