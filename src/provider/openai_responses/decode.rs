//! Events of Responses into events.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{ErrorInfo, FinishReason};

use super::{
    super::{
        Decoder, Flow, MediaSource, Message, ModelEvent, Turn, errors, finish,
        framing::DONE,
        json,
        template::{Kind, Template},
        tool_calls::ToolCalls,
        truncated,
    },
    event::{Response, StreamEvent, citation, image_type, logprobs, text},
    items::Item,
    server_tools::ServerTools,
};

/// Decodes one answer.
///
/// Everything comes several times: in pieces, whole in a `.done` event, in its item, and in the response at
/// the end. The pieces count; what had none is taken from the first place that has it whole.
#[derive(Debug, Default)]
pub(super) struct ResponsesDecoder {
    pub items: Vec<Item>,
    pub item_bytes: usize,
    pub tool_calls: ToolCalls,
    pub server_tools: ServerTools,
    media: u32,
    /// Which of the media is the audio that comes in pieces.
    audio: Option<u32>,
    pub is_refused: bool,
    /// The response's id, once it has ended.
    response_id: String,
    /// Why it ended, as the provider said it.
    end: Option<String>,
    template: Template,
}

impl Decoder for ResponsesDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let data = message.data;
        if self.template.emit(data, turn) {
            return Ok(Flow::More);
        }
        if let Ok(event) = serde_json::from_str(data) {
            self.take(event, data, turn)
        } else if let Some(mended) = json::mend(data)
            && let Ok(event) = serde_json::from_str(&mended)
        {
            self.take(event, &mended, turn)
        } else if message.event == "error" {
            Err(errors::of_error_event(data))
        } else if data.trim_ascii_start().starts_with('{') {
            Err(errors::unreadable())
        } else {
            // OpenRouter sends the end mark of chat completions, too.
            if data.trim_ascii() != DONE {
                turn.skipped();
            }
            Ok(Flow::More)
        }
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let Some(word) = self.end.take() else { return Err(truncated()) };
        self.tool_calls.close_all(turn);
        let output = self.output();
        if output.iter().any(is_opaque) {
            turn.emit(ModelEvent::Native(Value::Array(output)));
        }
        let reason = finish::normalize(&word).unwrap_or(FinishReason::Other);
        let reason = finish::reconcile(reason, self.tool_calls.any(), self.is_refused);
        turn.emit(ModelEvent::Finish { reason, provider_reason: Some(Cow::Owned(word)) });
        Ok(())
    }
}

impl ResponsesDecoder {
    /// The items of the answer, with the ids of calls that clients know.
    pub(super) fn output(&self) -> Vec<Value> {
        let items = self.items.iter().enumerate().filter_map(|(position, item)| {
            let mut whole = item.whole.clone()?;
            if let Some(call_id) = self.tool_calls.shown_id(position as u64) {
                whole["call_id"] = (**call_id).into();
            }
            Some(whole)
        });
        items.collect()
    }

    /// The response's id; empty before its end, and where it has none.
    pub(super) fn response_id(&self) -> &str {
        &self.response_id
    }

    fn take(&mut self, event: StreamEvent<'_>, data: &str, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        match &*event.kind {
            "response.output_text.delta" => {
                let position = self.position(&event)?;
                self.items[position].heard.text = true;
                Kind::Text.emit(&event.delta, turn);
                match event.logprobs.as_ref().map(logprobs).filter(|tokens| !tokens.is_empty()) {
                    Some(tokens) => turn.emit(ModelEvent::Logprobs(tokens)),
                    None => {
                        self.template.learn(data, &event.delta, Kind::Text);
                    }
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let position = self.position(&event)?;
                self.items[position].heard.reasoning = true;
                Kind::Reasoning.emit(&event.delta, turn);
                self.template.learn(data, &event.delta, Kind::Reasoning);
            }
            "response.refusal.delta" => {
                let position = self.position(&event)?;
                self.refuse(position, &event.delta, turn);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let position = self.position(&event)?;
                self.add_arguments(position, &event.delta, turn)?;
            }
            "response.output_item.added" => {
                let item = event.item.unwrap_or_default();
                let position = self.open(event.output_index.0, text(&item, "id"))?;
                self.begin_item(position, item, turn)?;
            }
            "response.output_item.done" => {
                self.item_bytes += data.len();
                let item = event.item.unwrap_or_default();
                let position = match self.find(event.output_index.0, text(&item, "id")) {
                    Some(position) => position,
                    None => self.open(event.output_index.0, text(&item, "id"))?,
                };
                self.end_item(position, item, turn)?;
            }
            "response.output_text.done" => {
                let position = self.position(&event)?;
                self.fill_text(position, &event.text, turn);
            }
            "response.refusal.done" => {
                let position = self.position(&event)?;
                if !self.items[position].heard.refusal {
                    self.refuse(position, &event.refusal, turn);
                }
            }
            "response.function_call_arguments.done" => {
                let position = self.position(&event)?;
                self.fill_arguments(position, &event.arguments, turn)?;
            }
            "response.custom_tool_call_input.done" => {
                let position = self.position(&event)?;
                self.fill_arguments(position, &event.input, turn)?;
            }
            "response.output_text.annotation.added" => {
                let position = self.position(&event)?;
                self.items[position].heard.citations = true;
                if let Some(annotation) = event.annotation {
                    turn.emit(ModelEvent::Citation(citation(annotation)));
                }
            }
            "response.mcp_call_arguments.done" => {
                let position = self.position(&event)?;
                self.server_tools.arguments(position, "arguments", &event.arguments, turn);
            }
            "response.code_interpreter_call_code.done" => {
                let position = self.position(&event)?;
                self.server_tools.arguments(position, "code", &event.code, turn);
            }
            "response.image_generation_call.partial_image" => {
                // Each is an image of its own, a little sharper than the one before.
                self.emit_image(&event.partial_image_b64, &event.output_format, turn);
            }
            "response.audio.delta" | "response.output_audio.delta" => self.emit_audio(&event.delta, true, turn),
            "response.audio.done" | "response.output_audio.done" => self.emit_audio("", false, turn),
            "response.audio.transcript.delta" | "response.output_audio_transcript.delta" => {
                Kind::Text.emit(&event.delta, turn);
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled"
            | "response.done" => {
                let word = event.kind.rsplit('.').next().unwrap_or_default();
                return self.finish(word, event.response, turn);
            }
            "error" => return Err(errors::of_error_event(data)),
            // Progress, and what is said again whole.
            kind if kind.starts_with("response.") || kind == "keepalive" => {}
            _ => {
                let message = serde_json::from_str::<Value>(data).map_err(|_| errors::unreadable())?;
                if let Some(error) = errors::of_message(&message) {
                    return Err(error);
                }
                turn.skipped();
            }
        }
        Ok(Flow::More)
    }

    fn finish(&mut self, word: &str, response: Response<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        if let Some(Value::Array(output)) = response.output {
            self.take_output(output, turn)?;
        }
        if let Some(usage) = &response.usage {
            turn.emit(ModelEvent::Usage(usage.normalize()));
        }
        let word = match (&*response.incomplete_details.reason, &*response.status) {
            // Some servers send the status that the response had before its end.
            ("", "" | "in_progress" | "queued") => word,
            ("", status) => status,
            (reason, _) => reason,
        };
        if word == "failed" {
            return Err(match response.error {
                Some(error) if !error.is_null() => errors::of_error_event(&error.to_string()),
                _ => errors::of_finish_reason(word),
            });
        }
        self.response_id = response.id.into_cow().into_owned();
        self.end = Some(word.to_owned());
        Ok(Flow::Done)
    }

    pub(super) fn emit_image(&mut self, data: &str, format: &str, turn: &mut dyn Turn) {
        if data.is_empty() {
            return;
        }
        let index = self.media;
        self.media += 1;
        let source = MediaSource::Data(Cow::Borrowed(data));
        turn.emit(ModelEvent::Media { index, media_type: image_type(format), source, has_more: false });
    }

    fn emit_audio(&mut self, data: &str, has_more: bool, turn: &mut dyn Turn) {
        let index = match self.audio {
            Some(index) => index,
            // An end without a beginning.
            None if !has_more => return,
            None => {
                self.media += 1;
                self.media - 1
            }
        };
        self.audio = has_more.then_some(index);
        let source = MediaSource::Data(Cow::Borrowed(data));
        // The stream does not name the format; this is the one that can be sent in pieces.
        turn.emit(ModelEvent::Media { index, media_type: "audio/pcm".into(), source, has_more });
    }
}
/// Whether a conversation without this item would lack something that text and tool calls do not hold.
fn is_opaque(item: &Value) -> bool {
    match text(item, "type") {
        "" => false,
        "message" => item.get("phase").is_some_and(|phase| !phase.is_null()),
        "function_call" => item.get("namespace").is_some_and(|namespace| !namespace.is_null()),
        _ => true,
    }
}
