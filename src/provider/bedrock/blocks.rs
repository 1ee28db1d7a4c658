//! The blocks of an answer of ConverseStream, as far as they are needed after their deltas.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::super::{MediaSource, ModelEvent, Turn, tool_calls::ToolCalls};

/// The most bytes of deltas in one turn. A model's output limit is far below it.
const MAX_DELTA_BYTES: usize = 64 << 20;

/// The blocks of one answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    delta_bytes: usize,
}

#[derive(Debug)]
struct Block {
    /// The provider's index.
    index: u64,
    content: Content,
    is_closed: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    Text(String),
    Reasoning(Reasoning),
    /// A call of the client's tools, which is kept in [`ToolCalls`] under the block's index.
    ToolCall,
    ServerTool(ServerTool),
    ServerResult(ServerResult),
    Media(Media),
}

#[derive(Debug, Default)]
pub(super) struct Reasoning {
    pub text: String,
    pub signature: String,
    /// Reasoning that only the provider can read.
    pub redacted: Vec<u8>,
}

/// A call of one of the provider's own tools.
#[derive(Debug)]
pub(super) struct ServerTool {
    pub id: String,
    pub name: String,
    /// What the provider calls such tools: `server_tool_use`.
    pub kind: String,
    pub input: String,
}

/// What one of the provider's own tools answered.
#[derive(Debug)]
pub(super) struct ServerResult {
    pub id: String,
    pub kind: String,
    pub status: String,
    pub content: Vec<Value>,
}

#[derive(Debug)]
pub(super) struct Media {
    pub index: u32,
    pub media_type: String,
    /// The last piece, of which it is not known yet whether another one follows.
    pub held: Option<String>,
}

impl Blocks {
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn open(&mut self, index: u64, content: Content) -> usize {
        self.blocks.push(Block { index, content, is_closed: false });
        self.blocks.len() - 1
    }

    /// The last block with this index of the provider's, as long as it is open.
    pub(super) fn last(&self, index: u64) -> Option<usize> {
        self.blocks.iter().rposition(|block| block.index == index).filter(|position| !self.blocks[*position].is_closed)
    }

    /// The open block of text with this index, which may be a new one.
    pub(super) fn text(&mut self, index: u64) -> usize {
        let is_text = |position: &usize| matches!(self.blocks[*position].content, Content::Text(_));
        self.last(index).filter(is_text).unwrap_or_else(|| self.open(index, Content::Text(String::new())))
    }

    /// The open block of reasoning with this index, which may be a new one.
    pub(super) fn reasoning(&mut self, index: u64) -> usize {
        let is_reasoning = |position: &usize| matches!(self.blocks[*position].content, Content::Reasoning(_));
        self.last(index)
            .filter(is_reasoning)
            .unwrap_or_else(|| self.open(index, Content::Reasoning(Reasoning::default())))
    }

    pub(super) fn index(&self, position: usize) -> u64 {
        self.blocks[position].index
    }

    pub(super) fn content(&mut self, position: usize) -> &mut Content {
        &mut self.blocks[position].content
    }

    /// Whether the block was open until now.
    pub(super) fn close(&mut self, position: usize) -> bool {
        !std::mem::replace(&mut self.blocks[position].is_closed, true)
    }

    /// Counts what is kept of a delta.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ErrorInfo> {
        self.delta_bytes += bytes;
        if self.delta_bytes > MAX_DELTA_BYTES {
            return Err(ErrorInfo::new(ErrorCode::ProviderProtocol, "the provider's answer is too large"));
        }
        Ok(())
    }

    /// The turn, with what is said in it also kept in the block.
    pub(super) fn heard_in<'a>(&'a mut self, position: usize, turn: &'a mut dyn Turn) -> Heard<'a> {
        let text = match self.blocks.get_mut(position).map(|block| &mut block.content) {
            Some(Content::Text(text) | Content::Reasoning(Reasoning { text, .. })) => Some(text),
            _ => None,
        };
        Heard { turn, text }
    }

    /// Emits a result under the name of the tool that was called.
    pub(super) fn emit_result(&self, position: usize, turn: &mut dyn Turn) {
        let Content::ServerResult(result) = &self.blocks[position].content else { return };
        let name = self.blocks.iter().find_map(|block| match &block.content {
            Content::ServerTool(tool) if tool.id == result.id => Some(tool.name.as_str()),
            _ => None,
        });
        turn.emit(ModelEvent::ServerToolResult {
            call_id: &result.id,
            name: name.unwrap_or_else(|| result.kind.strip_suffix("_result").unwrap_or(&result.kind)),
            result: result.to_json(),
            is_error: result.status == "error",
        });
    }

    /// The answer as the API takes it back; `None` where text and tool calls say all of it.
    pub(super) fn native(&self, tool_calls: &ToolCalls) -> Option<Value> {
        let is_opaque = |block: &Block| match &block.content {
            Content::Reasoning(reasoning) => !reasoning.signature.is_empty() || !reasoning.redacted.is_empty(),
            Content::ServerTool(_) | Content::ServerResult(_) => true,
            Content::Text(_) | Content::ToolCall | Content::Media(_) => false,
        };
        if !self.blocks.iter().any(is_opaque) {
            return None;
        }
        let mut content = Vec::new();
        for block in &self.blocks {
            match &block.content {
                // The API refuses blank text.
                Content::Text(text) if text.trim().is_empty() => {}
                Content::Text(text) => content.push(json!({"text": text})),
                Content::Reasoning(reasoning) => content.extend(reasoning.to_json()),
                Content::ToolCall => {
                    if let Some((id, name, arguments)) = tool_calls.call(block.index) {
                        content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input(arguments)}}));
                    }
                }
                Content::ServerTool(ServerTool { id, name, kind, input: arguments }) => {
                    let input = input(arguments);
                    content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input, "type": kind}}));
                }
                Content::ServerResult(result) => content.push(json!({"toolResult": result.to_json()})),
                // The API takes none back.
                Content::Media(_) => {}
            }
        }
        Some(json!({"content": content}))
    }
}

/// A turn that keeps what is said in it.
pub(super) struct Heard<'a> {
    turn: &'a mut dyn Turn,
    text: Option<&'a mut String>,
}

impl Turn for Heard<'_> {
    fn emit(&mut self, event: ModelEvent<'_>) {
        if let (Some(kept), ModelEvent::Text(text) | ModelEvent::Reasoning(text)) = (&mut self.text, &event) {
            kept.push_str(text);
        }
        self.turn.emit(event);
    }
}

impl Reasoning {
    /// What can be handed back: reasoning that is not signed is refused.
    fn to_json(&self) -> Vec<Value> {
        let mut content = Vec::new();
        if !self.signature.is_empty() {
            let text = json!({"text": self.text, "signature": self.signature});
            content.push(json!({"reasoningContent": {"reasoningText": text}}));
        }
        if !self.redacted.is_empty() {
            let redacted = BASE64_STANDARD.encode(&self.redacted);
            content.push(json!({"reasoningContent": {"redactedContent": redacted}}));
        }
        content
    }
}

impl ServerTool {
    pub(super) fn emit(&self, turn: &mut dyn Turn) {
        let arguments = (!self.input.trim().is_empty())
            .then(|| serde_json::from_str(&self.input).unwrap_or_else(|_| self.input.as_str().into()));
        turn.emit(ModelEvent::ServerToolCall { call_id: &self.id, name: &self.name, arguments });
    }
}

impl ServerResult {
    fn to_json(&self) -> Value {
        let mut result = Map::new();
        result.insert("toolUseId".to_owned(), self.id.as_str().into());
        result.insert("content".to_owned(), self.content.clone().into());
        for (name, value) in [("type", &self.kind), ("status", &self.status)] {
            if !value.is_empty() {
                result.insert(name.to_owned(), value.as_str().into());
            }
        }
        result.into()
    }
}

impl Media {
    /// Takes a piece, and emits the one before it.
    pub(super) fn add(&mut self, data: &str, turn: &mut dyn Turn) {
        if let Some(before) = self.held.replace(data.to_owned()) {
            self.emit(&before, true, turn);
        }
    }

    pub(super) fn finish(&mut self, turn: &mut dyn Turn) {
        if let Some(last) = self.held.take() {
            self.emit(&last, false, turn);
        }
    }

    fn emit(&self, data: &str, has_more: bool, turn: &mut dyn Turn) {
        turn.emit(ModelEvent::Media {
            index: self.index,
            media_type: self.media_type.as_str().into(),
            source: MediaSource::Data(data.into()),
            has_more,
        });
    }
}

/// Arguments as an object. What the model wrote wrongly is kept, so that it can see it.
pub(super) fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(input)) => Value::Object(input),
        _ if arguments.trim().is_empty() => json!({}),
        _ => json!({"invalid_arguments": arguments}),
    }
}
