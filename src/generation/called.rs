//! The calls of one turn, and what came of them so far: what the conversation keeps of them, however the wait for their
//! results ends.

use tokenwire_protocol::message::{Content, Message, MessageToolCall, Role};

use super::ToolAnswer;

/// The calls of one turn.
#[derive(Default)]
pub(super) struct Called {
    /// As they are carried out: with the arguments of who approved them.
    pub calls: Vec<MessageToolCall>,
    /// What came of each, in their order.
    pub answers: Vec<Option<ToolAnswer>>,
    /// Those that the server has begun to carry out.
    pub begun: Vec<usize>,
}

impl Called {
    pub fn new(calls: Vec<MessageToolCall>) -> Self {
        Self { answers: vec![None; calls.len()], calls, begun: Vec::new() }
    }

    /// Whether nothing is waited for any more.
    pub fn is_answered(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }

    /// The results as the model is told them, in the order of the calls. A call without one is told only if the server
    /// had begun it: what it did is not undone.
    pub fn results(mut self) -> Vec<Message> {
        for at in self.begun {
            self.answers[at].get_or_insert_with(|| ToolAnswer::failed("This call was stopped while it ran."));
        }
        let answered = self.calls.iter().zip(self.answers);
        answered.filter_map(|(call, answer)| Some(answer?.into_message(&call.id))).collect()
    }
}

impl ToolAnswer {
    pub fn failed(why: impl Into<String>) -> Self {
        Self { content: Content::Text(why.into()), is_error: true }
    }

    /// What the model is told of the call with this id.
    pub fn into_message(self, call_id: &str) -> Message {
        let mut message = Message::text(Role::Tool, "");
        message.content = Some(self.content);
        message.tool_call_id = Some(call_id.to_owned());
        if self.is_error {
            message.extra.insert("is_error".to_owned(), true.into());
        }
        message
    }
}
