//! What a vendor wants to see again with its answer, beside the content and the calls.

use serde_json::{Map, Value, json};

use super::super::tool_calls::ToolCalls;
use super::chunk::ReasoningDetail;

/// The most that is kept of one answer, in bytes. What is more is not handed back.
const MAX_BYTES: usize = 16 << 20;

/// Collects, while an answer comes, the fields of an assistant message that content and calls do not tell.
///
/// Reasoning is collected only where the vendor takes it back; elsewhere nothing is, so that most
/// answers cost nothing here.
#[derive(Debug, Default)]
pub(super) struct HandBack {
    takes_reasoning: bool,
    /// The name of the field that `reasoning` came in.
    field: &'static str,
    reasoning: String,
    details: Vec<Map<String, Value>>,
    /// Mistral's, which is a part of the content.
    thinking: String,
    thinking_signature: String,
    /// What OpenRouter read out of the files that it was given.
    files: Vec<Value>,
    /// The position of a call, and what came with it.
    calls: Vec<(usize, Value)>,
    audio_id: String,
    bytes: usize,
}

impl HandBack {
    pub(super) fn new(takes_reasoning: bool) -> Self {
        Self { takes_reasoning, field: "reasoning", ..Self::default() }
    }

    /// The field that the reasoning comes in.
    pub(super) fn set_field(&mut self, field: &'static str) {
        self.field = field;
    }

    /// A piece of the reasoning.
    pub(super) fn push_reasoning(&mut self, text: &str) {
        if self.takes_reasoning && self.has_room(text.len()) {
            self.reasoning.push_str(text);
        }
    }

    /// A piece of Mistral's thinking.
    pub(super) fn push_thinking(&mut self, text: &str, signature: &str) {
        if self.takes_reasoning && self.has_room(text.len() + signature.len()) {
            self.thinking.push_str(text);
            self.thinking_signature.push_str(signature);
        }
    }

    /// A piece of the reasoning with what belongs to it. Pieces of one part of the reasoning, which
    /// follow each other, become one again.
    pub(super) fn push_detail(&mut self, detail: ReasoningDetail<'_>) {
        if !self.takes_reasoning {
            return;
        }
        let ReasoningDetail { kind, index, id, text, summary, signature, format, rest } = detail;
        let data = rest.get("data").and_then(Value::as_str).map_or(0, str::len);
        if !self.has_room(text.len() + summary.len() + signature.len() + data) {
            return;
        }
        let says =
            |detail: &Map<String, Value>, name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
        let (name, piece) = if text.is_empty() { ("summary", &*summary) } else { ("text", &*text) };
        if let Some(last) = self.details.last_mut()
            && rest.is_empty()
            && matches!(&*kind, "reasoning.text" | "reasoning.summary")
            && says(last, "type").as_deref() == Some(&kind)
            && last.get("index").and_then(Value::as_u64) == index.0
            && (id.is_empty() || says(last, "id").is_none_or(|last| last == *id))
            && (piece.is_empty() || says(last, "signature").is_none())
        {
            if !piece.is_empty() {
                append(last, name, piece);
            }
            for (name, value) in [("signature", signature), ("format", format), ("id", id)] {
                if !value.is_empty() && says(last, name).is_none() {
                    last.insert(name.to_owned(), (*value).into());
                }
            }
            return;
        }
        let mut whole = rest;
        for (name, value) in [
            ("type", kind),
            ("text", text),
            ("summary", summary),
            ("signature", signature),
            ("format", format),
            ("id", id),
        ] {
            if !value.is_empty() {
                whole.insert(name.to_owned(), (*value).into());
            }
        }
        if let Some(index) = index.0 {
            whole.insert("index".to_owned(), index.into());
        }
        self.details.push(whole);
    }

    /// What OpenRouter read out of a file: given back, it is not read again.
    pub(super) fn push_file(&mut self, annotation: Value) {
        if self.takes_reasoning && self.has_room(annotation.to_string().len()) {
            self.files.push(annotation);
        }
    }

    /// What came with the call at this position. Gemini refuses its calls without it.
    pub(super) fn push_call(&mut self, position: usize, extra_content: Value) {
        if self.has_room(extra_content.to_string().len()) && !self.calls.iter().any(|(other, _)| *other == position) {
            self.calls.push((position, extra_content));
        }
    }

    /// The id of what was said aloud.
    pub(super) fn set_audio_id(&mut self, id: &str) {
        if self.audio_id.is_empty() {
            self.audio_id.push_str(id);
        }
    }

    /// The fields of an assistant message that say it, for the request after this answer. `None` where
    /// there is nothing to say.
    pub(super) fn into_native(self, calls: &ToolCalls) -> Option<Value> {
        if self.bytes > MAX_BYTES {
            return None;
        }
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if !self.details.is_empty() {
            // The same reasoning stands in both; the details hold more.
            set("reasoning_details", self.details.into_iter().map(Value::Object).collect());
        } else if !self.reasoning.is_empty() {
            set(self.field, self.reasoning.into());
        }
        if !self.thinking.is_empty() {
            let mut thinking = json!({"type": "thinking", "thinking": [{"type": "text", "text": self.thinking}]});
            if !self.thinking_signature.is_empty() {
                thinking["signature"] = self.thinking_signature.into();
            }
            set("content", json!([thinking]));
        }
        if !self.files.is_empty() {
            set("annotations", self.files.into());
        }
        if !self.audio_id.is_empty() {
            // It stands for the content.
            set("audio", json!({"id": self.audio_id}));
            set("content", Value::Null);
        }
        let calls = self.calls.into_iter().filter_map(|(position, extra_content)| {
            Some(json!({"id": **calls.shown_id_at(position)?, "extra_content": extra_content}))
        });
        let calls: Vec<Value> = calls.collect();
        if !calls.is_empty() {
            set("tool_calls", calls.into());
        }
        (!fields.is_empty()).then_some(Value::Object(fields))
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.bytes <= MAX_BYTES
    }
}

fn append(detail: &mut Map<String, Value>, name: &str, piece: &str) {
    match detail.get_mut(name) {
        Some(Value::String(text)) => text.push_str(piece),
        _ => {
            detail.insert(name.to_owned(), piece.into());
        }
    }
}
