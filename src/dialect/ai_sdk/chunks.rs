//! Events become the chunks of a UI message. Pure: what was read so far decides what a chunk is.
//!
//! | event | chunks |
//! | --- | --- |
//! | `started` | `start` |
//! | `text`, `refusal` | `text-start`, `text-delta`, `text-end` |
//! | `reasoning` | `reasoning-start`, `reasoning-delta`, `reasoning-end` |
//! | `tool_call_delta`, `tool_call` | `tool-input-start`, `tool-input-delta`; for the server's own tools `tool-input-available` |
//! | `tool_wait` | `tool-input-available` or `tool-input-error`, when the page is to answer |
//! | `tool_approval`, `tool_decision` | `tool-approval-request`; `tool-approval-response`, `tool-output-denied` |
//! | `tool_result`, `server_tool_call`, `server_tool_result` | `tool-output-available` or `tool-output-error`, after their input |
//! | `citation` | `source-url` or `source-document`, once for each source; `citations` of the text |
//! | `media` | `file` |
//! | `native` | `custom` |
//! | `input` | `steering-message` |
//! | `warning`, `retry`, `tool_progress` | transient `data-tokenwire-...` |
//! | a turn's first and last | `start-step`, `finish-step` |
//! | the end | `finish`; `message-metadata`, `finish` and `abort`; `finish` and `error` |

use std::{collections::HashSet, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};
use tokenwire_protocol::{
    Cancelled, CancelledBy, Event, Failed, FinishReason, Finished, InputProgress, InputState, Retry, ToolProgress,
    Warning,
    message::{Content, Message, Part as ContentPart},
};

use super::{
    beyond::{Pieces, Sources},
    calls::Calls,
    messages::NATIVE_KIND,
    metadata::{self, known},
};
use crate::generation::log::{Chunk, Part};

#[cfg(test)]
mod tests;

/// What one UI message looks like so far.
pub(super) struct Chunks {
    message_id: String,
    generation: String,
    step: Step,
    /// The part that takes deltas.
    open: Option<OpenPart>,
    /// Parts so far: their ids are the same each time the log is read.
    parts: u32,
    calls: Calls,
    sources: Sources,
    media: Pieces,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing of it was said.
    None,
    Open,
    /// The model has said everything; its calls may still be answered.
    Over,
}

struct OpenPart {
    kind: Kind,
    id: String,
    citations: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
}

/// A delta: the chunk that nearly every token is.
#[derive(Serialize)]
struct Delta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    delta: &'a str,
}

impl Chunks {
    /// An empty message. `served`: the tools that the server runs.
    pub fn new(message_id: &str, generation: &str, served: Vec<Arc<str>>) -> Self {
        Self {
            message_id: message_id.to_owned(),
            generation: generation.to_owned(),
            step: Step::None,
            open: None,
            parts: 0,
            calls: Calls::new(served),
            sources: Sources::default(),
            media: Pieces::default(),
        }
    }

    /// Adds the chunks of the next piece of the log to `out`.
    pub fn read(&mut self, chunk: &Chunk<'_>, out: &mut Vec<String>) {
        match chunk {
            Chunk::Deltas { part: Part::Text, text } => self.delta(Kind::Text, text, out),
            Chunk::Deltas { part: Part::Reasoning, text } => self.delta(Kind::Reasoning, text, out),
            Chunk::Deltas { part: Part::Refusal, text } => self.delta(Kind::Refusal, text, out),
            Chunk::Deltas { part: Part::Arguments { call_id, name, .. }, text } => {
                self.begin_call(call_id, out);
                self.calls.delta(call_id, name, text, out);
            }
            Chunk::Event { event, .. } => self.event(event, out),
        }
    }

    /// Everything that is there was read. Adds what the page has to know before it can go on, and says whether
    /// the generation waits for the page alone: then its answer ends here.
    pub fn idle(&mut self, out: &mut Vec<String>) -> bool {
        self.calls.offer_waiting(out);
        let waits_for_page = self.calls.wait_for_page();
        if waits_for_page {
            self.end_step(out);
            let metadata = json!({"finishReason": "tool-calls"});
            put(out, json!({"type": "finish", "finishReason": "tool-calls", "messageMetadata": metadata}));
        }
        waits_for_page
    }

    /// The page has answered these calls: what is read from now on goes on with its message.
    pub fn go_on(&mut self, answered: &HashSet<&str>, out: &mut Vec<String>) {
        self.calls.go_on(answered);
        self.step = Step::None;
        self.open = None;
        put(out, json!({"type": "start", "messageId": self.message_id}));
    }

    fn event(&mut self, event: &Event, out: &mut Vec<String>) {
        match event {
            Event::Started(started) => {
                let metadata = metadata::of_start(&self.generation, started);
                put(out, json!({"type": "start", "messageId": self.message_id, "messageMetadata": metadata}));
            }
            // In the log they are deltas.
            Event::Text(_) | Event::Reasoning(_) | Event::Refusal(_) | Event::ToolCallDelta(_) => {}
            Event::ToolCall(call) => {
                self.begin_call(&call.call_id, out);
                self.calls.said(call, out);
            }
            Event::ServerToolCall(call) => {
                self.begin_step(out);
                self.calls.provider_said(call, out);
            }
            Event::ServerToolResult(result) => {
                self.begin_step(out);
                self.calls.provider_result(result, out);
            }
            Event::Citation(citation) => {
                self.begin_step(out);
                let cited = self.sources.cite(citation, out);
                if let Some(open) = self.open.as_mut().filter(|open| open.kind == Kind::Text) {
                    open.citations.push(cited);
                }
            }
            Event::Media(media) => {
                self.begin_step(out);
                out.extend(self.media.file(media).map(|chunk| chunk.to_string()));
            }
            Event::Native(native) => {
                self.begin_step(out);
                let metadata = json!({"tokenwire": {"provider": native.provider, "content": native.content}});
                put(out, json!({"type": "custom", "kind": NATIVE_KIND, "providerMetadata": metadata}));
            }
            Event::Warning(Warning { field, message }) => {
                put(out, transient("warning", json!({"field": field, "message": message})));
            }
            Event::ToolApproval(approval) => {
                self.end_turn(out);
                self.calls.approval(approval, out);
            }
            Event::ToolDecision(decision) => self.calls.decision(decision, out),
            Event::ToolWait(wait) => {
                self.end_turn(out);
                self.calls.wait(wait);
            }
            Event::ToolProgress(ToolProgress { call_id, progress, total, message }) => {
                let data = json!({"toolCallId": call_id, "progress": progress, "total": total, "message": message});
                put(out, transient("progress", data));
            }
            Event::ToolResult(result) => {
                self.end_turn(out);
                self.calls.result(result, out);
            }
            Event::Input(input) => self.input(input, out),
            Event::Usage(_) => self.end_turn(out),
            Event::Retry(retry) => {
                let Retry { attempt, provider, model, reason, delay_ms, .. } = retry;
                let data = json!({
                    "attempt": attempt, "provider": provider, "model": model, "delayMs": delay_ms,
                    "code": reason.code, "message": reason.message,
                });
                put(out, transient("retry", data));
                put(out, json!({"type": "message-metadata", "messageMetadata": metadata::of_retry(retry)}));
            }
            // The text is there, and so is the value that it is the text of.
            Event::Logprobs(_) | Event::Raw(_) | Event::ObjectDelta(_) | Event::Object(_) => {}
            Event::Finished(finished) => self.finished(finished, out),
            Event::Cancelled(cancelled) => self.cancelled(cancelled, out),
            Event::Failed(failed) => self.failed(failed, out),
        }
    }

    fn delta(&mut self, kind: Kind, text: &str, out: &mut Vec<String>) {
        self.begin_step(out);
        if self.open.as_ref().is_some_and(|open| open.kind != kind) {
            self.close_part(out);
        }
        let open = self.open.get_or_insert_with(|| {
            self.parts += 1;
            let id = format!("{}-{}", kind.name(), self.parts);
            let mut start = json!({"type": kind.start(), "id": id});
            if kind == Kind::Refusal {
                start["providerMetadata"] = json!({"tokenwire": {"refusal": true}});
            }
            put(out, start);
            OpenPart { kind, id, citations: Vec::new() }
        });
        // A chunk is text and always encodes.
        out.push(serde_json::to_string(&Delta { kind: kind.delta(), id: &open.id, delta: text }).unwrap_or_default());
    }

    fn close_part(&mut self, out: &mut Vec<String>) {
        let Some(OpenPart { kind, id, citations }) = self.open.take() else { return };
        let mut end = json!({"type": kind.end(), "id": id});
        if !citations.is_empty() {
            end["citations"] = citations.into();
        }
        put(out, end);
    }

    fn begin_step(&mut self, out: &mut Vec<String>) {
        if self.step == Step::Open {
            return;
        }
        self.end_step(out);
        put(out, json!({"type": "start-step"}));
        self.step = Step::Open;
    }

    /// A call is said: a part of its own, unless it is being said already.
    fn begin_call(&mut self, id: &str, out: &mut Vec<String>) {
        self.begin_step(out);
        if !self.calls.is_open(id) {
            self.close_part(out);
        }
    }

    /// The model has said everything that belongs to the step.
    fn end_turn(&mut self, out: &mut Vec<String>) {
        self.close_part(out);
        if self.step == Step::Open {
            self.step = Step::Over;
        }
    }

    fn end_step(&mut self, out: &mut Vec<String>) {
        self.close_part(out);
        if self.step != Step::None {
            put(out, json!({"type": "finish-step"}));
            self.step = Step::None;
        }
    }

    fn input(&mut self, input: &InputState, out: &mut Vec<String>) {
        if input.state != InputProgress::Applied {
            return;
        }
        self.calls.interrupt(out);
        self.end_step(out);
        let parts: Vec<Value> = input.messages.iter().flat_map(steering_parts).collect();
        put(out, json!({"type": "steering-message", "id": input.input_id, "parts": parts}));
    }

    fn finished(&mut self, finished: &Finished, out: &mut Vec<String>) {
        let Finished { reason, provider_reason, usage, timing, .. } = finished;
        if *reason == FinishReason::ToolCalls {
            self.calls.offer_said(out);
        }
        self.end_step(out);
        let reason = match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool-calls",
            FinishReason::ContentFilter | FinishReason::Refusal => "content-filter",
            FinishReason::Pause | FinishReason::Other => "other",
        };
        let mut metadata = metadata::of_end(reason, usage, timing);
        if let Some(word) = provider_reason {
            metadata["providerFinishReason"] = word.as_str().into();
        }
        put(out, json!({"type": "finish", "finishReason": reason, "messageMetadata": metadata}));
    }

    fn cancelled(&mut self, cancelled: &Cancelled, out: &mut Vec<String>) {
        let Cancelled { by, reason, usage, timing, .. } = cancelled;
        self.end_step(out);
        put(out, json!({"type": "message-metadata", "messageMetadata": metadata::of_end("cancelled", usage, timing)}));
        // The page must not go on with it by itself.
        put(out, json!({"type": "finish", "finishReason": "interrupted"}));
        let by = match by {
            CancelledBy::Client => "cancelled",
            CancelledBy::Disconnect => "nobody was connected",
            CancelledBy::Server => "the server is shutting down",
        };
        put(out, json!({"type": "abort", "reason": reason.as_deref().unwrap_or(by)}));
    }

    fn failed(&mut self, failed: &Failed, out: &mut Vec<String>) {
        let Failed { error, usage, timing, .. } = failed;
        self.end_step(out);
        let mut metadata = metadata::of_end("error", usage, timing);
        metadata["error"] = metadata::of_error(error);
        // A page that gets the error reads nothing behind it.
        put(out, json!({"type": "finish", "finishReason": "error", "messageMetadata": metadata}));
        put(out, json!({"type": "error", "errorText": error.message}));
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Refusal => "text",
            Self::Reasoning => "reasoning",
        }
    }

    fn start(self) -> &'static str {
        match self {
            Self::Text | Self::Refusal => "text-start",
            Self::Reasoning => "reasoning-start",
        }
    }

    fn delta(self) -> &'static str {
        match self {
            Self::Text | Self::Refusal => "text-delta",
            Self::Reasoning => "reasoning-delta",
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Text | Self::Refusal => "text-end",
            Self::Reasoning => "reasoning-end",
        }
    }
}

/// Adds a chunk.
pub(super) fn put(out: &mut Vec<String>, chunk: Value) {
    out.push(chunk.to_string());
}

/// A chunk that reaches the page's `onData` and is not kept in the message.
fn transient(name: &str, data: Value) -> Value {
    json!({"type": format!("data-tokenwire-{name}"), "data": known(data), "transient": true})
}

fn steering_parts(message: &Message) -> Vec<Value> {
    let text = |text: &str| json!({"type": "text", "text": text});
    match &message.content {
        None => Vec::new(),
        Some(Content::Text(whole)) => vec![text(whole)],
        Some(Content::Parts(parts)) => {
            let part = |part: &ContentPart| match part {
                ContentPart::Text { text: piece, .. } => Some(text(piece)),
                ContentPart::ImageUrl { image_url, .. } => {
                    Some(json!({"type": "file", "mediaType": "image", "url": image_url.url}))
                }
                ContentPart::InputAudio { .. } | ContentPart::File { .. } => None,
            };
            parts.iter().filter_map(part).collect()
        }
    }
}
