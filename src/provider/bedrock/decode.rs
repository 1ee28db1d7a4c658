//! Events of ConverseStream into events.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{Citation, ErrorInfo, FinishReason};

use super::{
    super::{
        Decoder, Flow, Message, ModelEvent, Turn, Usage, errors,
        event_stream::EXCEPTION,
        finish,
        json::{self, Count, JsonText, List, Text, lenient_object},
        template::{Kind, Template},
        tool_calls::{Piece, ToolCalls},
        truncated,
    },
    blocks::{Blocks, Content, Media, Reasoning, ServerResult, ServerTool},
};

/// The events that mean something here.
const EVENTS: [&str; 6] =
    ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];

/// Decodes one answer.
///
/// Usage comes after the stop reason, so an answer has ended well once it has both, or once the
/// bytes end after the stop reason.
#[derive(Debug, Default)]
pub(super) struct ConverseDecoder {
    blocks: Blocks,
    tool_calls: ToolCalls,
    template: Template,
    /// The block that the texts of messages like the template's belong to.
    template_block: usize,
    media: u32,
    stop_reason: Option<String>,
    has_stopped: bool,
    has_metadata: bool,
}

lenient_object! {
    struct StreamEvent<'a> {
        index = "contentBlockIndex": Count,
        delta: Delta<'a>,
        start: Start<'a>,
        stop_reason = "stopReason": Text<'a>,
        usage: TokenUsage,
    }
}

lenient_object! {
    struct Delta<'a> {
        text: Text<'a>,
        tool_use = "toolUse": ToolUseDelta<'a>,
        reasoning = "reasoningContent": ReasoningDelta<'a>,
        citation: Option<Value>,
        tool_result = "toolResult": List<Value>,
        image: ImageDelta<'a>,
    }
}

lenient_object! {
    struct ToolUseDelta<'a> {
        input: JsonText<'a>,
    }
}

lenient_object! {
    struct ReasoningDelta<'a> {
        text: Text<'a>,
        signature: Text<'a>,
        redacted = "redactedContent": Text<'a>,
    }
}

lenient_object! {
    struct ImageDelta<'a> {
        source: ImageSource<'a>,
    }
}

lenient_object! {
    struct ImageSource<'a> {
        bytes: Text<'a>,
    }
}

lenient_object! {
    struct Start<'a> {
        tool_use = "toolUse": ToolStart<'a>,
        tool_result = "toolResult": ToolStart<'a>,
        image: ImageStart<'a>,
    }
}

lenient_object! {
    struct ToolStart<'a> {
        id = "toolUseId": Text<'a>,
        name: Text<'a>,
        kind = "type": Text<'a>,
        status: Text<'a>,
    }
}

lenient_object! {
    struct ImageStart<'a> {
        format: Text<'a>,
    }
}

lenient_object! {
    struct TokenUsage {
        input = "inputTokens": Count,
        output = "outputTokens": Count,
        cache_read = "cacheReadInputTokens": Count,
        cache_write = "cacheWriteInputTokens": Count,
    }
}

impl Decoder for ConverseDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let Message { event, data } = message;
        if let Some(kind) = event.strip_prefix(EXCEPTION) {
            return Err(errors::of_exception(kind, data));
        }
        if event == "contentBlockDelta"
            && self.template.emit(data, &mut self.blocks.heard_in(self.template_block, turn))
        {
            return Ok(Flow::More);
        }
        if let Ok(content) = serde_json::from_str(data) {
            self.take(event, content, data, turn)
        } else if let Some(mended) = json::mend(data)
            && let Ok(content) = serde_json::from_str(&mended)
        {
            self.take(event, content, &mended, turn)
        } else if EVENTS.contains(&event) {
            Err(errors::unreadable())
        } else {
            turn.skipped();
            Ok(Flow::More)
        }
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if !self.has_stopped {
            return Err(truncated());
        }
        let stop_reason = self.stop_reason.take();
        let Some(reason) = stop_reason.as_deref().map_or(Some(FinishReason::Other), finish::normalize) else {
            return Err(errors::of_finish_reason(&stop_reason.unwrap_or_default()));
        };
        for position in 0..self.blocks.len() {
            self.close(position, turn);
        }
        self.tool_calls.close_all(turn);
        if let Some(content) = self.blocks.native(&self.tool_calls) {
            turn.emit(ModelEvent::Native(content));
        }
        let reason = finish::reconcile(reason, self.tool_calls.any(), false);
        turn.emit(ModelEvent::Finish { reason, provider_reason: stop_reason.map(Cow::Owned) });
        Ok(())
    }
}

impl ConverseDecoder {
    fn take(
        &mut self,
        event: &str,
        content: StreamEvent<'_>,
        data: &str,
        turn: &mut dyn Turn,
    ) -> Result<Flow, ErrorInfo> {
        let StreamEvent { index, delta, start, stop_reason, usage } = content;
        let index = index.0.unwrap_or(0);
        match event {
            "contentBlockDelta" => self.take_delta(index, delta, data, turn)?,
            "contentBlockStart" => self.start(index, &start, turn)?,
            "contentBlockStop" => {
                if let Some(position) = self.blocks.last(index) {
                    self.close(position, turn);
                }
            }
            "messageStop" => {
                self.has_stopped = true;
                self.stop_reason = Some(stop_reason.into_cow().into_owned()).filter(|reason| !reason.is_empty());
            }
            "metadata" => {
                self.has_metadata = true;
                take_usage(&usage, turn);
            }
            "messageStart" => {}
            _ => turn.skipped(),
        }
        Ok(if self.has_stopped && self.has_metadata { Flow::Done } else { Flow::More })
    }

    fn start(&mut self, index: u64, start: &Start<'_>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let Start { tool_use, tool_result, image } = start;
        if !tool_use.name.is_empty() || !tool_use.id.is_empty() {
            // A tool of another kind is none of the client's.
            if matches!(&*tool_use.kind, "" | "tool_use") {
                self.blocks.open(index, Content::ToolCall);
                let piece = Piece { index: Some(index), id: &tool_use.id, name: &tool_use.name, arguments: "" };
                return self.tool_calls.add(piece, turn);
            }
            let tool = ServerTool {
                id: if tool_use.id.is_empty() { format!("server_{index}") } else { tool_use.id.to_string() },
                name: tool_use.name.to_string(),
                kind: tool_use.kind.to_string(),
                input: String::new(),
            };
            self.blocks.open(index, Content::ServerTool(tool));
        } else if !tool_result.id.is_empty() {
            let result = ServerResult {
                id: tool_result.id.to_string(),
                kind: tool_result.kind.to_string(),
                status: tool_result.status.to_string(),
                content: Vec::new(),
            };
            self.blocks.open(index, Content::ServerResult(result));
        } else if !image.format.is_empty() {
            let media = Media { index: self.media, media_type: format!("image/{}", &*image.format), held: None };
            self.media += 1;
            self.blocks.open(index, Content::Media(media));
        }
        // Blocks of text begin with their first delta.
        Ok(())
    }

    fn take_delta(&mut self, index: u64, delta: Delta<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let Delta { text, tool_use, reasoning, citation, tool_result, image } = delta;
        self.blocks.grow(data.len())?;
        if !text.is_empty() {
            let position = self.blocks.text(index);
            Kind::Text.emit(&text, &mut self.blocks.heard_in(position, turn));
            self.template.learn(data, &text, Kind::Text);
            self.template_block = position;
        }
        if !reasoning.text.is_empty() {
            let position = self.blocks.reasoning(index);
            Kind::Reasoning.emit(&reasoning.text, &mut self.blocks.heard_in(position, turn));
            self.template.learn(data, &reasoning.text, Kind::Reasoning);
            self.template_block = position;
        }
        if !reasoning.signature.is_empty() || !reasoning.redacted.is_empty() {
            let position = self.blocks.reasoning(index);
            if let Content::Reasoning(Reasoning { signature, redacted, .. }) = self.blocks.content(position) {
                signature.push_str(&reasoning.signature);
                redacted.extend(super::decode_base64(&reasoning.redacted));
            }
        }
        if let Some(source @ Value::Object(_)) = citation {
            turn.emit(ModelEvent::Citation(cite(source)));
        }
        if !tool_use.input.is_empty() || !tool_result.0.is_empty() || !image.source.bytes.is_empty() {
            match self.blocks.last(index).map(|position| self.blocks.content(position)) {
                Some(Content::ToolCall) => {
                    let piece = Piece { index: Some(index), arguments: &tool_use.input, ..Piece::default() };
                    self.tool_calls.add(piece, turn)?;
                }
                Some(Content::ServerTool(tool)) => tool.input.push_str(&tool_use.input),
                Some(Content::ServerResult(result)) => result.content.extend(tool_result.0),
                Some(Content::Media(media)) => media.add(&image.source.bytes, turn),
                _ => turn.skipped(),
            }
        }
        Ok(())
    }

    /// The block is whole.
    fn close(&mut self, position: usize, turn: &mut dyn Turn) {
        if !self.blocks.close(position) {
            return;
        }
        let index = self.blocks.index(position);
        match self.blocks.content(position) {
            Content::ToolCall => self.tool_calls.close(index, turn),
            Content::ServerTool(tool) => tool.emit(turn),
            Content::Media(media) => media.finish(turn),
            Content::ServerResult(_) => self.blocks.emit_result(position, turn),
            Content::Text(_) | Content::Reasoning(_) => {}
        }
    }
}

/// Numbers come once, at the end. What was read from the cache or written to it is not in `inputTokens`.
fn take_usage(usage: &TokenUsage, turn: &mut dyn Turn) {
    let (cached, cache_write) = (usage.cache_read.0, usage.cache_write.0);
    let all = |input: u64| input.saturating_add(cached.unwrap_or(0)).saturating_add(cache_write.unwrap_or(0));
    if usage.input.0.is_some() || usage.output.0.is_some() {
        turn.emit(ModelEvent::Usage(Usage {
            input_tokens: usage.input.0.map(all),
            output_tokens: usage.output.0,
            cached_tokens: cached,
            cache_write_tokens: cache_write,
            ..Usage::default()
        }));
    }
}

fn cite(source: Value) -> Citation {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let quote: String =
        source["sourceContent"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect();
    Citation {
        url: text(&source["location"]["web"]["url"]),
        title: text(&source["title"]),
        quote: Some(quote).filter(|quote| !quote.is_empty()),
        source,
    }
}
