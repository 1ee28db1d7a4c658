//! Chunks of chat completions into events.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{ErrorInfo, FinishReason};

use super::super::{
    Decoder, Flow, Message, ModelEvent, Turn, Usage, errors, finish,
    framing::DONE,
    json,
    template::{Kind, Template},
    tool_calls::{Piece, ToolCalls},
    truncated,
};
use super::chunk::{ChatUsage, Choice, Chunk, Delta, Function};

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
}

impl Decoder for ChatDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        if message.event == "error" {
            return Err(errors::of_error_event(message.data));
        }
        let data = message.data;
        if self.template.emit(data, turn) {
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
    fn take(&mut self, chunk: Chunk<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if let Some((text, kind)) = chunk.only_text() {
            kind.emit(text, turn);
            self.template.learn(data, text, kind);
            return Ok(());
        }
        let Chunk { choices, usage, x_groq, error, error_message } = chunk;
        let is_plain = choices.first.is_some() && error.is_none() && error_message.is_empty();
        let mut usage = usage.or(x_groq.usage);
        let mut failed_reason = None;
        if let Some(Choice { delta, finish_reason, usage: choice_usage, .. }) = choices.first {
            self.take_delta(delta, turn)?;
            usage = usage.or(choice_usage);
            if !finish_reason.is_empty() {
                if finish::normalize(&finish_reason).is_none() {
                    failed_reason = Some(finish_reason.to_string());
                }
                self.finish_reason = Some(finish_reason.into_cow().into_owned());
            }
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
        let Delta { content, reasoning_content, reasoning, reasoning_details, refusal, tool_calls, function_call } =
            delta;
        // The same reasoning can stand in several of these places: the first that has any counts.
        if !reasoning_content.is_empty() {
            Kind::Reasoning.emit(&reasoning_content, turn);
        } else if !reasoning.is_empty() {
            Kind::Reasoning.emit(&reasoning, turn);
        } else {
            for detail in reasoning_details.0 {
                let text = if detail.text.is_empty() { detail.summary } else { detail.text };
                Kind::Reasoning.emit(&text, turn);
            }
        }
        content.emit(Kind::Text, turn);
        if !refusal.is_empty() {
            self.is_refused = true;
            turn.emit(ModelEvent::Refusal(&refusal));
        }
        for call in tool_calls.0 {
            let function = call.function;
            let (name, arguments) = (&*function.name, &*function.arguments);
            self.tool_calls.add(Piece { index: call.index.0, id: &call.id, name, arguments }, turn)?;
        }
        // What tool calls were called before there could be several.
        if let Some(Function { name, arguments }) = function_call {
            self.tool_calls.add(Piece { index: None, id: "", name: &name, arguments: &arguments }, turn)?;
        }
        Ok(())
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
