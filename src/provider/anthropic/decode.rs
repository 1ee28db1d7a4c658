//! Events of Anthropic Messages into events.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tokenwire_protocol::{ErrorInfo, FinishReason};

use super::super::{
    Decoder, Flow, Message, ModelEvent, Turn, Usage, errors, finish,
    json::{self, Count, List, Text, lenient_object},
    template::{Kind, Template},
    tool_calls::{Piece, ToolCalls},
    truncated,
};
use super::content::Content;

/// Decodes one answer.
///
/// Blocks are keyed by their index. Only blocks of the type `tool_use` are calls for the client: tools that
/// Anthropic runs itself (`server_tool_use`, `mcp_tool_use`) look alike, but come with their results.
#[derive(Debug, Default)]
pub(super) struct MessagesDecoder {
    tool_calls: ToolCalls,
    /// The tool calls that are open.
    open_calls: Vec<OpenCall>,
    content: Content,
    usage: MessagesUsage,
    stop_reason: Option<String>,
    is_done: bool,
    template: Template,
    /// The block of the message that the template was learned from.
    template_index: u64,
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
        content_block: Option<Value>,
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
        signature: Text<'a>,
        citation: Option<Value>,
        /// Of a compaction.
        content: Text<'a>,
        encrypted_content: Text<'a>,
        stop_reason: Text<'a>,
        container: Option<Value>,
    }
}

lenient_object! {
    struct StartedMessage {
        usage: MessagesUsage,
        container: Option<Value>,
    }
}

lenient_object! {
    struct MessagesUsage {
        input_tokens: Count,
        output_tokens: Count,
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        output_tokens_details: OutputDetails,
        iterations: List<Iteration>,
    }
}

lenient_object! {
    struct OutputDetails {
        thinking_tokens: Count,
    }
}

lenient_object! {
    /// One of several rounds at the provider.
    struct Iteration {
        kind = "type": Option<Value>,
        input_tokens: Count,
        output_tokens: Count,
    }
}

impl Decoder for MessagesDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let data = message.data;
        if message.event == "error" {
            return Err(errors::of_error_event(data));
        }
        if let Some((text, kind)) = self.template.read(data) {
            kind.emit(&text, turn);
            self.content.push_text(self.template_index, &text);
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
        if let Some(native) = std::mem::take(&mut self.content).into_native(&self.tool_calls, turn) {
            turn.emit(ModelEvent::Native(native));
        }
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
            "content_block_delta" => self.take_delta(index, delta, data, turn)?,
            "content_block_start" => {
                if let Some(Value::Object(block)) = content_block {
                    self.start_block(index, block, turn)?;
                }
            }
            "content_block_stop" => self.stop_block(index, turn)?,
            "message_start" => {
                self.content.set_container(message.container.as_ref());
                self.take_usage(message.usage, turn);
            }
            "message_delta" => {
                self.content.set_container(delta.container.as_ref());
                if !delta.stop_reason.is_empty() {
                    self.stop_reason = Some(delta.stop_reason.to_string());
                }
                self.take_usage(usage, turn);
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

    fn take_delta(&mut self, index: u64, delta: Delta<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        match &*delta.kind {
            "text_delta" => self.take_text(index, &delta.text, Kind::Text, data, turn),
            "thinking_delta" => self.take_text(index, &delta.thinking, Kind::Reasoning, data, turn),
            "input_json_delta" if !delta.partial_json.is_empty() => {
                self.content.push_text(index, &delta.partial_json);
                if let Some(call) = self.open_calls.iter_mut().find(|call| call.index == index) {
                    call.input = None;
                    let piece = Piece { index: Some(index), arguments: &delta.partial_json, ..Piece::default() };
                    self.tool_calls.add(piece, turn)?;
                }
            }
            "signature_delta" => self.content.push_field(index, "signature", &delta.signature),
            "citations_delta" => {
                if let Some(citation) = delta.citation {
                    self.content.push_citation(index, citation, turn);
                }
            }
            "compaction_delta" => {
                for (name, text) in [("content", delta.content), ("encrypted_content", delta.encrypted_content)] {
                    if !text.is_empty() {
                        self.content.push_field(index, name, &text);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_text(&mut self, index: u64, text: &str, kind: Kind, data: &str, turn: &mut dyn Turn) {
        kind.emit(text, turn);
        self.content.push_text(index, text);
        if self.template.learn(data, text, kind) {
            self.template_index = index;
        }
    }

    fn start_block(&mut self, index: u64, block: Map<String, Value>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "text" => Kind::Text.emit(text("text"), turn),
            "thinking" => Kind::Reasoning.emit(text("thinking"), turn),
            "tool_use" => {
                let is_set = |input: &&Value| input.as_object().is_some_and(|input| !input.is_empty());
                let input = block.get("input").filter(is_set).map(Value::to_string);
                self.open_calls.push(OpenCall { index, input });
                let piece = Piece { index: Some(index), id: text("id"), name: text("name"), arguments: "" };
                self.tool_calls.add(piece, turn)?;
            }
            _ => {}
        }
        self.content.start(index, block, turn);
        Ok(())
    }

    fn stop_block(&mut self, index: u64, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        self.content.stop(index, turn);
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
    fn take_usage(&mut self, usage: MessagesUsage, turn: &mut dyn Turn) {
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
        if !usage.iterations.0.is_empty() {
            total.iterations = usage.iterations;
        }
        let cached = total.cache_read_input_tokens.0;
        let cache_write = total.cache_creation_input_tokens.0;
        // Compacting the conversation is billed, but only listed among the iterations.
        let is_compaction = |iteration: &&Iteration| iteration.kind.as_ref().is_some_and(|kind| kind == "compaction");
        let (compacted_input, compacted_output) =
            total.iterations.0.iter().filter(is_compaction).fold((0_u64, 0_u64), |(input, output), iteration| {
                let add = |sum: u64, count: Count| sum.saturating_add(count.0.unwrap_or(0));
                (add(input, iteration.input_tokens), add(output, iteration.output_tokens))
            });
        // `input_tokens` is what was neither read from the cache nor written to it.
        let rest = cached.unwrap_or(0).saturating_add(cache_write.unwrap_or(0)).saturating_add(compacted_input);
        turn.emit(ModelEvent::Usage(Usage {
            input_tokens: total.input_tokens.0.map(|input| input.saturating_add(rest)),
            output_tokens: total.output_tokens.0.map(|output| output.saturating_add(compacted_output)),
            cached_tokens: cached,
            cache_write_tokens: cache_write,
            reasoning_tokens: total.output_tokens_details.thinking_tokens.0,
            is_partial: self.stop_reason.is_none(),
            ..Usage::default()
        }));
    }
}
