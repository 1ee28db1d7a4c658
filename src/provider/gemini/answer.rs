//! The answer as the model needs to see it again.

use serde_json::{Value, json};

/// The parts of one answer. Text that came in pieces is joined, but never with a part that has a signature:
/// signatures stay where they were.
#[derive(Debug, Default)]
pub(super) struct Answer {
    parts: Vec<Value>,
    /// Text that came after the last of them.
    text: String,
    text_is_thought: bool,
    /// Whether it holds what content and tool calls of a message cannot.
    must_return: bool,
}

impl Answer {
    pub(super) fn add_text(&mut self, text: &str, is_thought: bool) {
        if is_thought != self.text_is_thought {
            self.close_text();
        }
        self.text_is_thought = is_thought;
        self.text.push_str(text);
    }

    /// Adds a part as it came, and says where it is.
    pub(super) fn push(&mut self, part: Value) -> usize {
        self.close_text();
        self.must_return |= part.get("thoughtSignature").is_some();
        self.parts.push(part);
        self.parts.len() - 1
    }

    /// The answer must come back whole.
    pub(super) fn must_return(&mut self) {
        self.must_return = true;
    }

    /// Gives a part a signature that came late.
    pub(super) fn sign(&mut self, position: usize, signature: &Value) {
        if let Some(part) = self.parts.get_mut(position)
            && part.get("thoughtSignature").is_none()
            && signature.is_string()
        {
            part["thoughtSignature"] = signature.clone();
            self.must_return = true;
        }
    }

    /// The answer, if it must come back.
    pub(super) fn take_native(&mut self) -> Option<Value> {
        self.close_text();
        let parts = std::mem::take(&mut self.parts);
        self.must_return.then(|| json!({"role": "model", "parts": parts}))
    }

    fn close_text(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        self.parts.push(if self.text_is_thought {
            json!({"text": text, "thought": true})
        } else {
            json!({"text": text})
        });
    }
}
