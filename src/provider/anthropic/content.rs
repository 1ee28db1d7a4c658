//! The blocks of an answer, kept until its end: the API wants some of them back as they were.

use serde_json::{Map, Value, json};
use tokenwire_protocol::Citation;

use super::super::{ModelEvent, Turn, tool_calls::ToolCalls};

/// The most that is kept of one answer, in bytes. A larger one is not handed back.
const MAX_CONTENT_BYTES: usize = 16 << 20;

/// The blocks of one answer.
///
/// Most answers need not come back: those of plain text and calls are told by the conversation. Signed
/// thinking and what ran at the provider is not in it, and then the whole answer must come back,
/// in its order. What makes that so can come after the text, so the text is always kept.
#[derive(Debug, Default)]
pub(super) struct Content {
    blocks: Vec<Block>,
    /// Where the provider's tools ran, if they did.
    container: Option<String>,
    bytes: usize,
}

#[derive(Debug)]
struct Block {
    /// The provider's index.
    index: u64,
    /// The block as it began, with what was added to it.
    value: Map<String, Value>,
    /// The pieces of its text, thinking or input.
    text: String,
    is_closed: bool,
}

impl Content {
    /// A block begins. Emits what is whole already.
    pub(super) fn start(&mut self, index: u64, value: Map<String, Value>, turn: &mut dyn Turn) {
        for citation in value.get("citations").and_then(Value::as_array).into_iter().flatten() {
            emit_citation(citation, turn);
        }
        let block = Block { index, value, text: String::new(), is_closed: false };
        if let Some(tool) = block.kind().strip_suffix("_tool_result") {
            self.emit_result(&block, tool, turn);
        }
        self.bytes += block.value.values().map(value_bytes).sum::<usize>();
        self.blocks.push(block);
    }

    /// A piece of the block's text, thinking or input.
    pub(super) fn push_text(&mut self, index: u64, text: &str) {
        self.bytes += text.len();
        if self.bytes > MAX_CONTENT_BYTES {
            return;
        }
        if let Some(block) = self.find(index) {
            block.text.push_str(text);
        }
    }

    /// A piece of a field that the block carries beside its text: a signature.
    pub(super) fn push_field(&mut self, index: u64, name: &str, text: &str) {
        self.bytes += text.len();
        if self.bytes > MAX_CONTENT_BYTES {
            return;
        }
        let Some(block) = self.find(index) else { return };
        match block.value.get_mut(name) {
            Some(Value::String(field)) => field.push_str(text),
            _ => {
                block.value.insert(name.to_owned(), text.into());
            }
        }
    }

    /// A citation of what the block says.
    pub(super) fn push_citation(&mut self, index: u64, citation: Value, turn: &mut dyn Turn) {
        emit_citation(&citation, turn);
        self.bytes += value_bytes(&citation);
        if self.bytes > MAX_CONTENT_BYTES {
            return;
        }
        let Some(block) = self.find(index) else { return };
        match block.value.get_mut("citations") {
            Some(Value::Array(citations)) => citations.push(citation),
            _ => {
                block.value.insert("citations".to_owned(), json!([citation]));
            }
        }
    }

    /// A block ends. Emits what is whole now.
    pub(super) fn stop(&mut self, index: u64, turn: &mut dyn Turn) {
        if let Some(block) = self.find(index)
            && !std::mem::replace(&mut block.is_closed, true)
            && block.is_server_call()
        {
            let (call_id, name) = (block.text_field("id"), block.text_field("name"));
            turn.emit(ModelEvent::ServerToolCall { call_id, name, arguments: Some(block.input()) });
        }
    }

    /// Where the provider's tools run.
    pub(super) fn set_container(&mut self, container: Option<&Value>) {
        if let Some(id) = container.and_then(|container| container.get("id")).and_then(Value::as_str) {
            self.container = Some(id.to_owned());
        }
    }

    /// The answer as the API wants to see it again: `{content, container?}`. `None` where the conversation
    /// tells all of it.
    pub(super) fn into_native(mut self, calls: &ToolCalls, turn: &mut dyn Turn) -> Option<Value> {
        // Some gateways never close their blocks.
        for position in 0..self.blocks.len() {
            self.stop(self.blocks[position].index, turn);
        }
        if self.bytes > MAX_CONTENT_BYTES || !self.blocks.iter().any(Block::is_opaque) {
            return None;
        }
        let blocks = self.blocks.into_iter().filter_map(|block| block.finish(calls));
        let mut native = json!({"content": blocks.collect::<Value>()});
        if let Some(container) = self.container {
            native["container"] = container.into();
        }
        Some(native)
    }

    fn find(&mut self, index: u64) -> Option<&mut Block> {
        self.blocks.iter_mut().rfind(|block| block.index == index)
    }

    fn emit_result(&self, block: &Block, tool: &str, turn: &mut dyn Turn) {
        let call_id = block.text_field("tool_use_id");
        let call = self.blocks.iter().find(|block| block.is_server_call() && block.text_field("id") == call_id);
        let content = block.value.get("content");
        let kind = content.and_then(|content| content.get("type")).and_then(Value::as_str).unwrap_or_default();
        turn.emit(ModelEvent::ServerToolResult {
            call_id,
            name: call.map_or(tool, |call| call.text_field("name")),
            result: content.cloned().unwrap_or_default(),
            is_error: block.value.get("is_error") == Some(&Value::Bool(true)) || kind.ends_with("_error"),
        });
    }
}

impl Block {
    fn kind(&self) -> &str {
        self.text_field("type")
    }

    fn text_field(&self, name: &str) -> &str {
        self.value.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether this is a call of a tool that the provider runs itself.
    fn is_server_call(&self) -> bool {
        matches!(self.kind(), "server_tool_use" | "mcp_tool_use")
    }

    /// Whether a message made of text and calls would lose this. Every type that is not known is kept:
    /// it may matter.
    fn is_opaque(&self) -> bool {
        match self.kind() {
            "text" => false,
            "thinking" => !self.text_field("signature").is_empty(),
            // A call by code that runs at the provider must come back with the code.
            "tool_use" => self.value.get("caller").is_some_and(|caller| caller["type"] != "direct"),
            _ => true,
        }
    }

    /// Arguments as an object. The API sends `{}` in the block's start and the input in pieces after
    /// it; some gateways send it in the start, and no pieces.
    fn input(&self) -> Value {
        match self.text.trim().is_empty() {
            true => self.value.get("input").cloned().unwrap_or_else(|| json!({})),
            false => super::messages::input(&self.text),
        }
    }

    /// The block as the API takes it; `None` for what it refuses.
    fn finish(mut self, calls: &ToolCalls) -> Option<Value> {
        let field = match self.kind() {
            "text" => "text",
            // Cut before its signature came.
            "thinking" if self.text_field("signature").is_empty() => return None,
            "thinking" => "thinking",
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                let input = self.input();
                self.value.insert("input".to_owned(), input);
                if self.kind() == "tool_use"
                    && let Some(id) = calls.shown_id(self.index)
                {
                    self.value.insert("id".to_owned(), (**id).into());
                }
                return Some(self.value.into());
            }
            _ => return Some(self.value.into()),
        };
        let text = self.text_field(field).to_owned() + &self.text;
        if field == "text" && text.trim().is_empty() {
            return None;
        }
        self.value.insert(field.to_owned(), text.into());
        Some(self.value.into())
    }
}

fn emit_citation(citation: &Value, turn: &mut dyn Turn) {
    let text = |name: &str| citation.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    turn.emit(ModelEvent::Citation(Citation {
        // A search result of the application's names its source, which need not be an address.
        url: text("url").or_else(|| text("source").filter(is_url)),
        title: text("title").or_else(|| text("document_title")),
        quote: text("cited_text"),
        source: citation.clone(),
    }));
}

/// About how many bytes of memory a value holds: its strings.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(value_bytes).sum(),
        Value::Object(object) => object.iter().map(|(name, value)| name.len() + value_bytes(value)).sum(),
        _ => 8,
    }
}
