//! Events of Anthropic Messages into events.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{ErrorInfo, FinishReason};

use super::super::{
    Decoder, Flow, Message, ModelEvent, Turn, Usage, errors, finish,
    json::{self, Count, Text, lenient_object},
    template::{Kind, Template},
    tool_calls::{Piece, ToolCalls},
    truncated,
};

/// Decodes one answer.
///
/// Blocks are keyed by their index. Only blocks of the type `tool_use` are calls: tools that
/// Anthropic runs itself (`server_tool_use`, `mcp_tool_use`) look alike and are passed over, as
/// are their results, signatures, citations and every type that is not known.
#[derive(Debug, Default)]
pub(super) struct MessagesDecoder {
    tool_calls: ToolCalls,
    /// The tool calls that are open.
    open_calls: Vec<OpenCall>,
    usage: MessagesUsage,
    stop_reason: Option<String>,
    is_done: bool,
    template: Template,
}

#[derive(Debug)]
struct OpenCall {
    index: u64,
    /// The input of the block's start. The API sends `{}` there and the input in pieces after it;
    /// some gateways send it here, and no pieces.
    input: Option<String>,
}

lenient_object! {
    struct StreamEvent<'a> {
        kind = "type": Text<'a>,
        index: Count,
        delta: Delta<'a>,
        content_block: Block<'a>,
        message: StartedMessage,
        usage: MessagesUsage,
    }
}

lenient_object! {
    struct Delta<'a> {
        kind = "type": Text<'a>,
        text: Text<'a>,
        thinking: Text<'a>,
        partial_json: Text<'a>,
        stop_reason: Text<'a>,
    }
}

lenient_object! {
    struct Block<'a> {
        kind = "type": Text<'a>,
        id: Text<'a>,
        name: Text<'a>,
        input: Option<Value>,
        text: Text<'a>,
        thinking: Text<'a>,
    }
}

lenient_object! {
    struct StartedMessage {
        usage: MessagesUsage,
    }
}

lenient_object! {
    struct MessagesUsage {
        input_tokens: Count,
        output_tokens: Count,
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        output_tokens_details: OutputDetails,
    }
}

lenient_object! {
    struct OutputDetails {
        thinking_tokens: Count,
    }
}

impl Decoder for MessagesDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let data = message.data;
        if message.event == "error" {
            return Err(errors::of_error_event(data));
        }
        if self.template.emit(data, turn) {
            return Ok(Flow::More);
        }
        if let Ok(event) = serde_json::from_str(data) {
            self.take(event, data, turn)
        } else if let Some(mended) = json::mend(data)
            && let Ok(event) = serde_json::from_str(&mended)
        {
            self.take(event, &mended, turn)
        } else if data.trim_ascii_start().starts_with('{') {
            Err(errors::unreadable())
        } else {
            turn.skipped();
            Ok(Flow::More)
        }
    }

    /// A stop reason without `message_stop` counts as the end too: everything came before it.
    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if !self.is_done && self.stop_reason.is_none() {
            return Err(truncated());
        }
        self.tool_calls.close_all(turn);
        let has_calls = self.tool_calls.any();
        let reason = match self.stop_reason.as_deref().and_then(finish::normalize) {
            None => FinishReason::Other,
            Some(reason) => finish::reconcile(reason, has_calls, false),
        };
        turn.emit(ModelEvent::Finish { reason, provider_reason: self.stop_reason.take().map(Cow::Owned) });
        Ok(())
    }
}

impl MessagesDecoder {
    fn take(&mut self, event: StreamEvent<'_>, data: &str, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let StreamEvent { kind, index, delta, content_block, message, usage } = event;
        let index = index.0.unwrap_or(0);
        match &*kind {
            "content_block_delta" => self.take_delta(index, &delta, data, turn)?,
            "content_block_start" => self.start_block(index, content_block, turn)?,
            "content_block_stop" => self.stop_block(index, turn)?,
            "message_start" => self.take_usage(&message.usage, turn),
            "message_delta" => {
                if !delta.stop_reason.is_empty() {
                    self.stop_reason = Some(delta.stop_reason.to_string());
                }
                self.take_usage(&usage, turn);
                if finish::normalize(&delta.stop_reason).is_none() {
                    return Err(errors::of_finish_reason(&delta.stop_reason));
                }
            }
            "message_stop" => {
                self.is_done = true;
                return Ok(Flow::Done);
            }
            "ping" => {}
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

    fn take_delta(&mut self, index: u64, delta: &Delta<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        match &*delta.kind {
            "text_delta" => {
                Kind::Text.emit(&delta.text, turn);
                self.template.learn(data, &delta.text, Kind::Text);
            }
            "thinking_delta" => {
                Kind::Reasoning.emit(&delta.thinking, turn);
                self.template.learn(data, &delta.thinking, Kind::Reasoning);
            }
            "input_json_delta" if !delta.partial_json.is_empty() => {
                if let Some(call) = self.open_calls.iter_mut().find(|call| call.index == index) {
                    call.input = None;
                    let piece = Piece { index: Some(index), arguments: &delta.partial_json, ..Piece::default() };
                    self.tool_calls.add(piece, turn)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start_block(&mut self, index: u64, block: Block<'_>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        match &*block.kind {
            "text" => Kind::Text.emit(&block.text, turn),
            "thinking" => Kind::Reasoning.emit(&block.thinking, turn),
            "tool_use" => {
                let is_set = |input: &Value| input.as_object().is_some_and(|input| !input.is_empty());
                let input = block.input.filter(is_set).map(|input| input.to_string());
                self.open_calls.push(OpenCall { index, input });
                let piece = Piece { index: Some(index), id: &block.id, name: &block.name, arguments: "" };
                self.tool_calls.add(piece, turn)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn stop_block(&mut self, index: u64, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if let Some(position) = self.open_calls.iter().position(|call| call.index == index) {
            if let Some(input) = self.open_calls.swap_remove(position).input {
                let piece = Piece { index: Some(index), arguments: &input, ..Piece::default() };
                self.tool_calls.add(piece, turn)?;
            }
            self.tool_calls.close(index, turn);
        }
        Ok(())
    }

    /// Replaces the numbers that `usage` has: they are totals so far, not differences.
    fn take_usage(&mut self, usage: &MessagesUsage, turn: &mut dyn Turn) {
        let total = &mut self.usage;
        for (total, new) in [
            (&mut total.input_tokens, usage.input_tokens),
            (&mut total.output_tokens, usage.output_tokens),
            (&mut total.cache_read_input_tokens, usage.cache_read_input_tokens),
            (&mut total.cache_creation_input_tokens, usage.cache_creation_input_tokens),
            (&mut total.output_tokens_details.thinking_tokens, usage.output_tokens_details.thinking_tokens),
        ] {
            total.0 = new.0.or(total.0);
        }
        let cached = total.cache_read_input_tokens.0;
        let cache_write = total.cache_creation_input_tokens.0;
        // `input_tokens` is what was neither read from the cache nor written to it.
        let all = |input: u64| input.saturating_add(cached.unwrap_or(0)).saturating_add(cache_write.unwrap_or(0));
        turn.emit(ModelEvent::Usage(Usage {
            input_tokens: total.input_tokens.0.map(all),
            output_tokens: total.output_tokens.0,
            cached_tokens: cached,
            cache_write_tokens: cache_write,
            reasoning_tokens: total.output_tokens_details.thinking_tokens.0,
            is_partial: self.stop_reason.is_none(),
            ..Usage::default()
        }));
    }
}
