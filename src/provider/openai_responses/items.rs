//! The items of an answer: which one an event is about, and what of an item that is whole was not heard yet.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{
    super::{ModelEvent, Turn, template::Kind, tool_calls::Piece},
    decode::ResponsesDecoder,
    event::{StreamEvent, citation, list, logprobs, text},
};

/// The most items of one answer. What providers really send is below 100.
const MAX_ITEMS: usize = 2048;
/// The most bytes of whole items that are kept for the next turn. Images are a few MiB each.
const MAX_ITEM_BYTES: usize = 64 << 20;

/// An item of the answer. Its position among them is its key: `output_index` is missing in some events,
/// and ids differ from event to event behind some gateways.
#[derive(Debug, Default)]
pub(super) struct Item {
    index: Option<u64>,
    id: String,
    /// What came in pieces.
    pub heard: Heard,
    /// The item, when it is whole.
    pub whole: Option<Value>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub text: bool,
    /// Whole texts of its parts, without pieces before.
    whole_text: bool,
    pub reasoning: bool,
    pub refusal: bool,
    arguments: bool,
    pub citations: bool,
    image: bool,
}

impl ResponsesDecoder {
    /// Takes what came only with the end: all of it from servers that send no items before, nothing from others.
    pub(super) fn take_output(&mut self, output: Vec<Value>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if self.items.iter().any(|item| item.whole.is_some()) {
            return Ok(());
        }
        let is_silent = self.items.is_empty();
        for (index, item) in output.into_iter().enumerate() {
            let index = Some(index as u64);
            match self.find_exact(index, text(&item, "id")) {
                Some(position) => self.end_item(position, item, turn)?,
                None if is_silent => {
                    let position = self.open(index, text(&item, "id"))?;
                    self.end_item(position, item, turn)?;
                }
                // Counted differently than before, so nobody knows what of it is new.
                None => {}
            }
        }
        Ok(())
    }

    /// The item that an event is about. An event may come before the item itself.
    pub(super) fn position(&mut self, event: &StreamEvent<'_>) -> Result<usize, ErrorInfo> {
        match self.find(event.output_index.0, &event.item_id) {
            Some(position) => Ok(position),
            None => self.open(event.output_index.0, &event.item_id),
        }
    }

    pub(super) fn find(&self, index: Option<u64>, id: &str) -> Option<usize> {
        let last = || self.items.len().checked_sub(1).filter(|_| index.is_none() && id.is_empty());
        self.find_exact(index, id).or_else(last)
    }

    fn find_exact(&self, index: Option<u64>, id: &str) -> Option<usize> {
        match index {
            Some(_) => self.items.iter().rposition(|item| item.index == index),
            None if id.is_empty() => None,
            None => self.items.iter().rposition(|item| item.id == id),
        }
    }

    pub(super) fn open(&mut self, index: Option<u64>, id: &str) -> Result<usize, ErrorInfo> {
        if self.items.len() >= MAX_ITEMS {
            return Err(too_large());
        }
        self.items.push(Item { index, id: id.to_owned(), ..Item::default() });
        Ok(self.items.len() - 1)
    }

    pub(super) fn begin_item(&mut self, position: usize, item: Value, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        match text(&item, "type") {
            "message" | "reasoning" | "compaction" | "" => Ok(()),
            // Its arguments follow, even where they are here already.
            "function_call" | "custom_tool_call" => self.add_call(position, &item, "", turn),
            _ => {
                self.server_tools.begin(position, item, turn);
                Ok(())
            }
        }
    }

    pub(super) fn end_item(&mut self, position: usize, item: Value, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if self.item_bytes > MAX_ITEM_BYTES {
            return Err(too_large());
        }
        if self.items[position].whole.is_some() {
            return Ok(());
        }
        match text(&item, "type") {
            "message" => self.fill_message(position, &item, turn),
            "reasoning" => self.fill_reasoning(position, &item, turn),
            "compaction" | "" => {}
            "function_call" | "custom_tool_call" => {
                let whole = if text(&item, "type") == "function_call" { "arguments" } else { "input" };
                let arguments = match &item[whole] {
                    Value::String(arguments) => Cow::Borrowed(arguments.as_str()),
                    Value::Null => Cow::Borrowed(""),
                    arguments => Cow::Owned(arguments.to_string()),
                };
                let arguments = if self.items[position].heard.arguments { "" } else { &arguments };
                self.add_call(position, &item, arguments, turn)?;
                self.tool_calls.close(position as u64, turn);
            }
            kind => {
                if kind == "image_generation_call" && !self.items[position].heard.image {
                    self.items[position].heard.image = true;
                    self.emit_image(text(&item, "result"), text(&item, "output_format"), turn);
                }
                self.server_tools.end(position, &item, turn);
            }
        }
        self.items[position].whole = Some(item);
        Ok(())
    }

    fn fill_message(&mut self, position: usize, item: &Value, turn: &mut dyn Turn) {
        let heard = self.items[position].heard;
        for part in list(&item["content"]) {
            match text(part, "type") {
                "refusal" if !heard.refusal => self.refuse(position, text(part, "refusal"), turn),
                "output_text" if !heard.text && !heard.whole_text => {
                    Kind::Text.emit(text(part, "text"), turn);
                    let tokens = logprobs(&part["logprobs"]);
                    if !tokens.is_empty() {
                        turn.emit(ModelEvent::Logprobs(tokens));
                    }
                }
                _ => {}
            }
            if !heard.citations {
                for annotation in list(&part["annotations"]) {
                    turn.emit(ModelEvent::Citation(citation(annotation.clone())));
                }
            }
        }
    }

    /// The summary, or else the reasoning itself: servers that send both mean the same by them.
    fn fill_reasoning(&mut self, position: usize, item: &Value, turn: &mut dyn Turn) {
        if self.items[position].heard.reasoning {
            return;
        }
        let summary = list(&item["summary"]);
        for part in if summary.is_empty() { list(&item["content"]) } else { summary } {
            Kind::Reasoning.emit(text(part, "text"), turn);
        }
    }

    pub(super) fn fill_text(&mut self, position: usize, text: &str, turn: &mut dyn Turn) {
        let heard = &mut self.items[position].heard;
        if !heard.text {
            heard.whole_text = true;
            Kind::Text.emit(text, turn);
        }
    }

    pub(super) fn refuse(&mut self, position: usize, text: &str, turn: &mut dyn Turn) {
        self.items[position].heard.refusal = true;
        if !text.is_empty() {
            self.is_refused = true;
            turn.emit(ModelEvent::Refusal(text));
        }
    }

    fn add_call(
        &mut self,
        position: usize,
        item: &Value,
        arguments: &str,
        turn: &mut dyn Turn,
    ) -> Result<(), ErrorInfo> {
        let index = Some(position as u64);
        if self.tool_calls.shown_id(position as u64).is_some() {
            // The ids of one call can differ from event to event.
            return self.tool_calls.add(Piece { index, arguments, ..Piece::default() }, turn);
        }
        let id = match text(item, "call_id") {
            "" => text(item, "id"),
            call_id => call_id,
        };
        self.tool_calls.add(Piece { index, id, name: text(item, "name"), arguments }, turn)
    }

    pub(super) fn add_arguments(
        &mut self,
        position: usize,
        arguments: &str,
        turn: &mut dyn Turn,
    ) -> Result<(), ErrorInfo> {
        if arguments.is_empty() {
            return Ok(());
        }
        self.items[position].heard.arguments = true;
        self.tool_calls.add(Piece { index: Some(position as u64), arguments, ..Piece::default() }, turn)
    }

    pub(super) fn fill_arguments(
        &mut self,
        position: usize,
        arguments: &str,
        turn: &mut dyn Turn,
    ) -> Result<(), ErrorInfo> {
        if self.items[position].heard.arguments { Ok(()) } else { self.add_arguments(position, arguments, turn) }
    }
}

fn too_large() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::ProviderProtocol, "the provider's answer is too large")
}
