//! Chunks of chat completions into events.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{Citation, ErrorInfo, FinishReason};

use super::super::{
    Decoder, Flow, Message, ModelEvent, Turn, Usage, errors, finish,
    framing::DONE,
    json,
    template::{Kind, Template},
    tool_calls::{Piece, ToolCalls},
    truncated,
};
use super::{
    beyond::{self, Beyond},
    chunk::{Choice, Chunk, Content, Delta, Function},
    hand_back::HandBack,
    usage::ChatUsage,
};

/// Decodes one answer.
///
/// The end is `[DONE]`, or the end of the bytes after a finish reason: usage and a second finish
/// can follow the first, and several vendors never send `[DONE]`. The finish is emitted at the end.
#[derive(Debug, Default)]
pub(super) struct ChatDecoder {
    tool_calls: ToolCalls,
    /// The last finish reason, as the provider said it.
    finish_reason: Option<String>,
    /// The last usage that was emitted.
    usage: Option<Usage>,
    is_refused: bool,
    is_done: bool,
    template: Template,
    beyond: Beyond,
    hand_back: HandBack,
    /// The provider's id of the answer.
    id: String,
}

impl Decoder for ChatDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        if message.event == "error" {
            return Err(errors::of_error_event(message.data));
        }
        let data = message.data;
        if let Some((text, kind)) = self.template.read(data) {
            self.show(&text, kind, turn);
            return Ok(Flow::More);
        }
        if data.trim_ascii() == DONE {
            self.is_done = true;
            return Ok(Flow::Done);
        }
        if let Ok(chunk) = serde_json::from_str(data) {
            self.take(chunk, data, turn)?;
        } else if let Some(mended) = json::mend(data)
            && let Ok(chunk) = serde_json::from_str(&mended)
        {
            self.take(chunk, &mended, turn)?;
        } else if data.trim_ascii_start().starts_with(['{', '[']) {
            return Err(errors::unreadable());
        } else {
            turn.skipped();
        }
        Ok(Flow::More)
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if !self.is_done && self.finish_reason.is_none() {
            return Err(truncated());
        }
        self.tool_calls.close_all(turn);
        if let Some(usage) = self.usage.filter(|usage| usage.is_partial) {
            turn.emit(ModelEvent::Usage(Usage { is_partial: false, ..usage }));
        }
        self.beyond.end(turn);
        if let Some(native) = std::mem::take(&mut self.hand_back).into_native(&self.tool_calls) {
            turn.emit(ModelEvent::Native(native));
        }
        let has_calls = self.tool_calls.any();
        let reason = match self.finish_reason.as_deref().and_then(finish::normalize) {
            // Some vendors end with `[DONE]` alone.
            None if has_calls => FinishReason::ToolCalls,
            None => FinishReason::Other,
            Some(reason) => finish::reconcile(reason, has_calls, self.is_refused),
        };
        let provider_reason = self.finish_reason.take().map(Cow::Owned);
        turn.emit(ModelEvent::Finish { reason, provider_reason });
        Ok(())
    }
}

impl ChatDecoder {
    /// A decoder for a vendor that takes its reasoning back, or does not.
    pub(super) fn new(takes_reasoning: bool) -> Self {
        Self { hand_back: HandBack::new(takes_reasoning), ..Self::default() }
    }

    fn show(&mut self, text: &str, kind: Kind, turn: &mut dyn Turn) {
        kind.emit(text, turn);
        if kind == Kind::Reasoning {
            self.hand_back.push_reasoning(text);
        }
    }

    fn take(&mut self, chunk: Chunk<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if let Some((text, kind)) = chunk.only_text() {
            if kind == Kind::Reasoning {
                let is_long =
                    chunk.choices.first.as_ref().is_some_and(|first| !first.delta.reasoning_content.is_empty());
                self.hand_back.set_field(if is_long { "reasoning_content" } else { "reasoning" });
            }
            self.show(text, kind, turn);
            self.template.learn(data, text, kind);
            return Ok(());
        }
        let Chunk { choices, usage, x_groq, error, error_message, citations, search_results, id } = chunk;
        if self.id.is_empty() {
            self.id.push_str(&id);
        }
        let is_plain = choices.first.is_some() && error.is_none() && error_message.is_empty();
        let mut usage = usage.or(x_groq.usage);
        let mut failed_reason = None;
        if let Some(Choice { delta, finish_reason, logprobs, usage: choice_usage, .. }) = choices.first {
            self.take_delta(delta, turn)?;
            beyond::emit_logprobs(logprobs, turn);
            usage = usage.or(choice_usage);
            if !finish_reason.is_empty() {
                if finish::normalize(&finish_reason).is_none() {
                    failed_reason = Some(finish_reason.to_string());
                }
                self.finish_reason = Some(finish_reason.into_cow().into_owned());
            }
        }
        if !citations.0.is_empty() || !search_results.0.is_empty() {
            self.beyond.take_sources(&citations, &search_results, data, turn);
        }
        let has_usage = usage.is_some();
        if let Some(usage) = usage {
            self.take_usage(&usage, turn);
        }
        if !is_plain {
            let message = serde_json::from_str::<Value>(data).map_err(|_| errors::unreadable())?;
            if let Some(error) = errors::of_message(&message) {
                return Err(error);
            }
            if !has_usage && !choices.is_present {
                turn.skipped();
            }
        }
        match failed_reason {
            Some(reason) => Err(errors::of_finish_reason(&reason)),
            None => Ok(()),
        }
    }

    fn take_delta(&mut self, delta: Delta<'_>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let Delta { content, reasoning_content, reasoning, reasoning_details, refusal, .. } = delta;
        let Delta { tool_calls, function_call, annotations, images, executed_tools, audio, .. } = delta;
        // The same reasoning can stand in several of these places: the first that has any counts.
        if !reasoning_content.is_empty() {
            self.hand_back.set_field("reasoning_content");
            self.show(&reasoning_content, Kind::Reasoning, turn);
        } else if !reasoning.is_empty() {
            self.hand_back.set_field("reasoning");
            self.show(&reasoning, Kind::Reasoning, turn);
        } else {
            for detail in &reasoning_details.0 {
                let text = if detail.text.is_empty() { &detail.summary } else { &detail.text };
                Kind::Reasoning.emit(text, turn);
            }
        }
        for detail in reasoning_details.0 {
            self.hand_back.push_detail(detail);
        }
        for tool in executed_tools.0 {
            self.beyond.take_tool(tool, &self.id, turn);
        }
        self.take_content(&content, Kind::Text, turn);
        if let Some(audio) = audio {
            self.hand_back.set_audio_id(&audio.id);
            Kind::Text.emit(&audio.transcript, turn);
            self.beyond.take_audio(&audio, turn);
        }
        for image in images.0 {
            self.beyond.take_image(&image.image_url.url, turn);
        }
        for annotation in annotations.0 {
            match annotation["type"].as_str() {
                Some("file") => self.hand_back.push_file(annotation),
                _ => self.beyond.take_annotation(annotation, turn),
            }
        }
        if !refusal.is_empty() {
            self.is_refused = true;
            turn.emit(ModelEvent::Refusal(&refusal));
        }
        for call in tool_calls.0 {
            let function = call.function;
            let (name, arguments) = (&*function.name, &*function.arguments);
            let position = self.tool_calls.put(Piece { index: call.index.0, id: &call.id, name, arguments }, turn)?;
            if let Some(extra_content) = call.extra_content {
                self.hand_back.push_call(position, extra_content);
            }
        }
        // What tool calls were called before there could be several.
        if let Some(Function { name, arguments }) = function_call {
            self.tool_calls.add(Piece { index: None, id: "", name: &name, arguments: &arguments }, turn)?;
        }
        Ok(())
    }

    /// Emits the text and the reasoning in their order. `kind` is what text outside of `thinking` is.
    fn take_content(&mut self, content: &Content<'_>, kind: Kind, turn: &mut dyn Turn) {
        let parts = match content {
            Content::Text(text) => {
                kind.emit(text, turn);
                if kind == Kind::Reasoning {
                    self.hand_back.push_thinking(text, "");
                }
                return;
            }
            Content::Parts(parts) => parts,
        };
        for part in parts {
            self.take_content(&part.thinking, Kind::Reasoning, turn);
            if !part.signature.is_empty() {
                self.hand_back.push_thinking("", &part.signature);
            }
            kind.emit(&part.text, turn);
            if kind == Kind::Reasoning {
                self.hand_back.push_thinking(&part.text, "");
            }
            if let Some(references) = &part.reference_ids {
                let source = serde_json::json!({"type": "reference", "reference_ids": references});
                turn.emit(ModelEvent::Citation(Citation { source, ..Citation::default() }));
            }
            if let Some(image) = &part.image_url {
                self.beyond.take_image(&image.url, turn);
            }
        }
    }

    /// Emits usage that is new. Until the finish it is a running number.
    fn take_usage(&mut self, usage: &ChatUsage, turn: &mut dyn Turn) {
        let usage = Usage { is_partial: self.finish_reason.is_none(), ..usage.normalize() };
        if self.usage != Some(usage) {
            self.usage = Some(usage);
            turn.emit(ModelEvent::Usage(usage));
        }
    }
}
