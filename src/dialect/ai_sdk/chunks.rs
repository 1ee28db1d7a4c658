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
//!
//! A client's tool is offered to the page (`tool-input-available`) only while it is open at the end of the log: pages
//! carry a call out when they see that chunk, and one that was answered must not be carried out again by a replay.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    Cancelled, CancelledBy, Citation, Event, Failed, FinishReason, Finished, InputProgress, InputState, Media, Retry,
    ServerToolCall, ServerToolResult, Started, Timing, TokenUsage, ToolCall, ToolDecision, ToolProgress,
    ToolResultTaken, Warning,
    message::{Content, Message, Part as ContentPart},
};

use super::messages::NATIVE_KIND;
use crate::generation::log::{Chunk, Part};

/// What one UI message looks like so far.
pub(super) struct Chunks {
    message_id: String,
    generation: String,
    /// The tools that the server runs.
    served: Vec<Arc<str>>,
    step: Step,
    /// The part that takes deltas.
    open: Option<OpenPart>,
    /// Parts so far: their ids are the same each time the log is read.
    parts: u32,
    calls: Vec<Call>,
    /// The provider's own calls.
    provider_calls: Vec<Arc<str>>,
    /// The sources that were named, by address or title.
    sources: HashMap<String, String>,
    /// Media that more pieces follow of.
    media: HashMap<u32, Vec<u8>>,
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

struct Call {
    id: Arc<str>,
    name: Arc<str>,
    arguments: Value,
    is_invalid: bool,
    is_served: bool,
    state: CallState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallState {
    /// Nobody but the server and the model has to do with it.
    Said,
    /// Somebody has to decide on it.
    Approval,
    /// A client has to answer it.
    Waiting,
    /// The page knows that.
    Offered,
    Answered,
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
    pub fn new(message_id: &str, generation: &str, served: Vec<Arc<str>>) -> Self {
        Self {
            message_id: message_id.to_owned(),
            generation: generation.to_owned(),
            served,
            step: Step::None,
            open: None,
            parts: 0,
            calls: Vec::new(),
            provider_calls: Vec::new(),
            sources: HashMap::new(),
            media: HashMap::new(),
        }
    }

    /// Adds the chunks of the next piece of the log to `out`.
    pub fn read(&mut self, chunk: &Chunk<'_>, out: &mut Vec<String>) {
        match chunk {
            Chunk::Deltas { part: Part::Text, text } => self.delta(Kind::Text, text, out),
            Chunk::Deltas { part: Part::Reasoning, text } => self.delta(Kind::Reasoning, text, out),
            Chunk::Deltas { part: Part::Refusal, text } => self.delta(Kind::Refusal, text, out),
            Chunk::Deltas { part: Part::Arguments { call_id, name, .. }, text } => {
                self.call_said(call_id, name, out);
                if !text.is_empty() {
                    put(out, json!({"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": text}));
                }
            }
            Chunk::Event { event, .. } => self.event(event, out),
        }
    }

    /// Everything that is there was read. Adds what the page has to know before it can go on, and says whether
    /// the generation waits for the page alone: then its answer ends here.
    pub fn idle(&mut self, out: &mut Vec<String>) -> bool {
        if self.calls.is_empty() {
            return false;
        }
        self.offer(CallState::Waiting, out);
        let is = |state| self.calls.iter().any(|call| call.state == state);
        let waits_for_page = (is(CallState::Offered) || is(CallState::Approval)) && !is(CallState::Said);
        if waits_for_page {
            self.end_step(out);
            put(
                out,
                json!({"type": "finish", "finishReason": "tool-calls", "messageMetadata": {"finishReason": "tool-calls"}}),
            );
        }
        waits_for_page
    }

    /// The page has answered these calls: what is read from now on goes on with its message.
    pub fn go_on(&mut self, answered: &[&str], out: &mut Vec<String>) {
        for call in &mut self.calls {
            let is_open = matches!(call.state, CallState::Approval | CallState::Waiting);
            call.state = match call.state {
                _ if is_open && answered.contains(&&*call.id) => CallState::Said,
                CallState::Waiting => CallState::Offered,
                state => state,
            };
        }
        self.step = Step::None;
        self.open = None;
        put(out, json!({"type": "start", "messageId": self.message_id}));
    }

    fn event(&mut self, event: &Event, out: &mut Vec<String>) {
        match event {
            Event::Started(Started { model, provider, .. }) => put(
                out,
                json!({
                    "type": "start", "messageId": self.message_id,
                    "messageMetadata": {"generationId": self.generation, "model": model, "provider": provider},
                }),
            ),
            // In the log they are deltas.
            Event::Text(_) | Event::Reasoning(_) | Event::Refusal(_) | Event::ToolCallDelta(_) => {}
            Event::ToolCall(call) => self.tool_call(call, out),
            Event::ServerToolCall(call) => self.provider_call(call, out),
            Event::ServerToolResult(result) => self.provider_result(result, out),
            Event::Citation(citation) => self.citation(citation, out),
            Event::Media(media) => self.media(media, out),
            Event::Native(native) => {
                self.begin_step(out);
                let metadata = json!({"tokenwire": {"provider": native.provider, "content": native.content}});
                put(out, json!({"type": "custom", "kind": NATIVE_KIND, "providerMetadata": metadata}));
            }
            Event::Warning(Warning { field, message }) => {
                put(out, transient("warning", &json!({"field": field, "message": message})));
            }
            Event::ToolApproval(approval) => {
                self.end_turn(out);
                if let Some(call) = self.call(&approval.call_id) {
                    call.state = CallState::Approval;
                    let id = &approval.call_id;
                    put(out, json!({"type": "tool-approval-request", "approvalId": id, "toolCallId": id}));
                }
            }
            Event::ToolDecision(decision) => self.decision(decision, out),
            Event::ToolWait(wait) => {
                self.end_turn(out);
                for call in self.calls.iter_mut().filter(|call| wait.call_ids.contains(&call.id)) {
                    call.state = CallState::Waiting;
                }
            }
            Event::ToolProgress(ToolProgress { call_id, progress, total, message }) => {
                let data = json!({"toolCallId": call_id, "progress": progress, "total": total, "message": message});
                put(out, transient("progress", &data));
            }
            Event::ToolResult(result) => self.tool_result(result, out),
            Event::Input(input) => self.input(input, out),
            Event::Usage(_) => self.end_turn(out),
            Event::Retry(Retry { attempt, provider, model, reason, delay_ms, .. }) => {
                let data = json!({
                    "attempt": attempt, "provider": provider, "model": model, "delayMs": delay_ms,
                    "code": reason.code, "message": reason.message,
                });
                put(out, transient("retry", &data));
                let metadata = json!({"model": model, "provider": provider});
                put(out, json!({"type": "message-metadata", "messageMetadata": metadata}));
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

    fn call(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().rfind(|call| &*call.id == id)
    }

    /// The model calls a tool. Says whether that is new.
    fn call_said(&mut self, id: &Arc<str>, name: &Arc<str>, out: &mut Vec<String>) -> bool {
        self.begin_step(out);
        if self.call(id).is_some_and(|call| call.state != CallState::Answered) {
            return false;
        }
        self.close_part(out);
        let is_served = self.served.contains(name);
        put(out, with_owner(json!({"type": "tool-input-start", "toolCallId": id, "toolName": name}), is_served));
        self.calls.push(Call {
            id: id.clone(),
            name: name.clone(),
            arguments: Value::Null,
            is_invalid: false,
            is_served,
            state: CallState::Said,
        });
        true
    }

    fn tool_call(&mut self, said: &ToolCall, out: &mut Vec<String>) {
        if self.call_said(&said.call_id, &said.name, out) {
            let text = match &said.arguments {
                Value::String(text) if said.invalid => text.clone(),
                arguments => arguments.to_string(),
            };
            put(out, json!({"type": "tool-input-delta", "toolCallId": said.call_id, "inputTextDelta": text}));
        }
        let Some(call) = self.call(&said.call_id) else { return };
        call.arguments = said.arguments.clone();
        call.is_invalid = said.invalid;
        if call.is_served {
            put(out, call.input());
        }
    }

    /// Shows the page the calls in that state.
    fn offer(&mut self, state: CallState, out: &mut Vec<String>) {
        for call in self.calls.iter_mut().filter(|call| call.state == state && !call.is_served) {
            call.state = CallState::Offered;
            put(out, call.input());
        }
    }

    fn decision(&mut self, decision: &ToolDecision, out: &mut Vec<String>) {
        let ToolDecision { call_id, approved, arguments, reason, .. } = decision;
        let Some(call) = self.call(call_id) else { return };
        let mut response = json!({"type": "tool-approval-response", "approvalId": call_id, "approved": approved});
        if let Some(reason) = reason {
            response["reason"] = reason.as_str().into();
        }
        put(out, response);
        call.state = if *approved { CallState::Said } else { CallState::Answered };
        if !approved {
            put(out, json!({"type": "tool-output-denied", "toolCallId": call_id}));
        }
        if let Some(arguments) = arguments {
            call.arguments = arguments.clone();
            call.is_invalid = false;
            if call.is_served {
                put(out, call.input());
            }
        }
    }

    fn tool_result(&mut self, result: &ToolResultTaken, out: &mut Vec<String>) {
        self.end_turn(out);
        let ToolResultTaken { call_id, content, is_error, by_server } = result;
        let Some(call) = self.call(call_id) else { return };
        call.state = CallState::Answered;
        let chunk = if *is_error {
            let text = match content {
                Content::Text(text) => text.clone(),
                parts => parts.plain_text(),
            };
            json!({"type": "tool-output-error", "toolCallId": call_id, "errorText": text})
        } else {
            json!({"type": "tool-output-available", "toolCallId": call_id, "output": output(content)})
        };
        put(out, if *by_server { executed(chunk) } else { chunk });
    }

    fn provider_call(&mut self, call: &ServerToolCall, out: &mut Vec<String>) {
        self.begin_step(out);
        let ServerToolCall { call_id, name, arguments } = call;
        self.provider_calls.push(call_id.clone());
        let input = arguments.clone().unwrap_or_else(|| json!({}));
        let chunk = json!({
            "type": "tool-input-available", "toolCallId": call_id, "toolName": name, "input": input,
            "providerMetadata": {"tokenwire": {"by": "provider"}},
        });
        put(out, executed(chunk));
    }

    fn provider_result(&mut self, result: &ServerToolResult, out: &mut Vec<String>) {
        let ServerToolResult { call_id, name, result, is_error } = result;
        if !self.provider_calls.contains(call_id) {
            self.provider_call(&ServerToolCall { call_id: call_id.clone(), name: name.clone(), arguments: None }, out);
        }
        let chunk = if *is_error {
            let text = result.as_str().map_or_else(|| result.to_string(), str::to_owned);
            json!({"type": "tool-output-error", "toolCallId": call_id, "errorText": text})
        } else {
            json!({"type": "tool-output-available", "toolCallId": call_id, "output": result})
        };
        put(out, executed(chunk));
    }

    fn citation(&mut self, citation: &Citation, out: &mut Vec<String>) {
        self.begin_step(out);
        let Citation { url, title, quote, source } = citation;
        let name = url.as_ref().or(title.as_ref()).map_or("source", String::as_str);
        let count = self.sources.len() + 1;
        let id = self.sources.entry(name.to_owned()).or_insert_with(|| {
            let id = format!("source-{count}");
            let metadata = json!({"tokenwire": {"source": source}});
            let mut chunk = match url {
                Some(url) => json!({"type": "source-url", "url": url}),
                None => json!({"type": "source-document", "mediaType": "text/plain", "title": name}),
            };
            chunk["sourceId"] = id.as_str().into();
            chunk["providerMetadata"] = metadata;
            if let Some(title) = title {
                chunk["title"] = title.as_str().into();
            }
            put(out, chunk);
            id
        });
        let Some(open) = self.open.as_mut().filter(|open| open.kind == Kind::Text) else { return };
        let mut source = match url {
            Some(url) => json!({"type": "source", "sourceType": "url", "id": id, "url": url}),
            None => {
                json!({"type": "source", "sourceType": "document", "id": id, "mediaType": "text/plain", "title": name})
            }
        };
        if let Some(title) = title {
            source["title"] = title.as_str().into();
        }
        let mut cited = json!({"source": source});
        if let Some(quote) = quote {
            cited["citedText"] = quote.as_str().into();
        }
        open.citations.push(cited);
    }

    fn media(&mut self, media: &Media, out: &mut Vec<String>) {
        self.begin_step(out);
        let Media { index, media_type, data, url, has_more } = media;
        let url = match (data, url) {
            (Some(data), _) if !has_more && !self.media.contains_key(index) => {
                format!("data:{media_type};base64,{data}")
            }
            (Some(data), _) => {
                // Each piece stands for itself.
                let bytes = self.media.entry(*index).or_default();
                bytes.extend(BASE64_STANDARD.decode(data).unwrap_or_default());
                if *has_more {
                    return;
                }
                let bytes = self.media.remove(index).unwrap_or_default();
                format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(bytes))
            }
            (None, Some(url)) => url.clone(),
            (None, None) => return,
        };
        put(out, json!({"type": "file", "mediaType": media_type, "url": url}));
    }

    fn input(&mut self, input: &InputState, out: &mut Vec<String>) {
        if input.state != InputProgress::Applied {
            return;
        }
        // An interrupt leaves calls without an answer.
        for call in self.calls.iter_mut().filter(|call| call.state != CallState::Answered) {
            call.state = CallState::Answered;
            let text = "The user interrupted before this call had a result.";
            put(out, json!({"type": "tool-output-error", "toolCallId": call.id, "errorText": text}));
        }
        self.end_step(out);
        let parts: Vec<Value> = input.messages.iter().flat_map(steering_parts).collect();
        put(out, json!({"type": "steering-message", "id": input.input_id, "parts": parts}));
    }

    fn finished(&mut self, finished: &Finished, out: &mut Vec<String>) {
        let Finished { reason, provider_reason, usage, timing, .. } = finished;
        if *reason == FinishReason::ToolCalls {
            self.offer(CallState::Said, out);
        }
        self.end_step(out);
        let reason = match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool-calls",
            FinishReason::ContentFilter | FinishReason::Refusal => "content-filter",
            FinishReason::Pause | FinishReason::Other => "other",
        };
        let mut metadata = bill(reason, usage, timing);
        if let Some(word) = provider_reason {
            metadata["providerFinishReason"] = word.as_str().into();
        }
        put(out, json!({"type": "finish", "finishReason": reason, "messageMetadata": metadata}));
    }

    fn cancelled(&mut self, cancelled: &Cancelled, out: &mut Vec<String>) {
        let Cancelled { by, reason, usage, timing, .. } = cancelled;
        self.end_step(out);
        put(out, json!({"type": "message-metadata", "messageMetadata": bill("cancelled", usage, timing)}));
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
        let mut metadata = bill("error", usage, timing);
        metadata["error"] = json!({
            "code": error.code, "message": error.message, "retryable": error.retryable,
            "retryAfterMs": error.retry_after_ms,
        });
        // A page that gets the error reads nothing behind it.
        put(out, json!({"type": "finish", "finishReason": "error", "messageMetadata": metadata}));
        put(out, json!({"type": "error", "errorText": error.message}));
    }
}

impl Call {
    /// The chunk with its whole input.
    fn input(&self) -> Value {
        let Self { id, name, arguments, is_invalid, is_served, .. } = self;
        let mut chunk = json!({"toolCallId": id, "toolName": name, "input": arguments});
        if *is_invalid && !is_served {
            chunk["type"] = "tool-input-error".into();
            chunk["errorText"] = "The model wrote arguments that are not valid JSON.".into();
        } else {
            chunk["type"] = "tool-input-available".into();
        }
        with_owner(chunk, *is_served)
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

fn put(out: &mut Vec<String>, chunk: Value) {
    out.push(chunk.to_string());
}

/// A chunk that reaches the page's `onData` and is not kept in the message.
fn transient(name: &str, data: &Value) -> Value {
    json!({"type": format!("data-tokenwire-{name}"), "data": data, "transient": true})
}

/// The page does not carry it out, and its types do not know it.
fn executed(mut chunk: Value) -> Value {
    chunk["providerExecuted"] = true.into();
    chunk["dynamic"] = true.into();
    chunk
}

/// Marks a call of the server's own tools, so that it is known when it comes back with the message.
fn with_owner(mut chunk: Value, is_served: bool) -> Value {
    if !is_served {
        return chunk;
    }
    chunk["providerMetadata"] = json!({"tokenwire": {"by": "server"}});
    executed(chunk)
}

/// What a tool answered, as a page shows it: an object or a list where the text is one.
fn output(content: &Content) -> Value {
    match content {
        Content::Text(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
        }
        Content::Text(text) => text.as_str().into(),
        Content::Parts(parts) => json!(parts),
    }
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

/// The metadata of a message at its end. Usage is in the shape of the AI SDK.
fn bill(reason: &str, usage: &TokenUsage, timing: &Timing) -> Value {
    let TokenUsage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, .. } = usage;
    let mut tokens = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            tokens.insert(name.to_owned(), value);
        }
    };
    put("inputTokens", json!(input_tokens));
    put("outputTokens", json!(output_tokens));
    put("totalTokens", json!(input_tokens + output_tokens));
    put("inputTokenDetails", json!({"cacheReadTokens": cached_tokens, "cacheWriteTokens": cache_write_tokens}));
    put("outputTokenDetails", json!({"reasoningTokens": reasoning_tokens}));
    put("cost", json!(usage.cost));
    put("source", json!(usage.source));
    let Timing { queue_ms, first_token_ms, total_ms } = timing;
    json!({
        "finishReason": reason, "usage": tokens,
        "timing": {"queueMs": queue_ms, "firstTokenMs": first_token_ms, "totalMs": total_ms},
    })
}
