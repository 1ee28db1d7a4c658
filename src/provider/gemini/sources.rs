//! Where an answer comes from: citations, searches and pages that were read.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokenwire_protocol::Citation;
use uuid::Uuid;

use super::super::{ModelEvent, Turn};

/// The sources of one answer. They are repeated while it grows, and emitted once.
#[derive(Debug, Default)]
pub(super) struct Sources {
    seen: HashSet<String>,
    /// The last list of sources; what is supported by them can come after it.
    chunks: Vec<Value>,
    /// The last metadata that speaks of a search.
    search: Option<Value>,
    url_context: Option<Value>,
}

impl Sources {
    /// Reads `citationMetadata`: what was recited from elsewhere.
    pub(super) fn add_citations(&mut self, metadata: &Value, turn: &mut dyn Turn) {
        // The Gemini API has the one name, Vertex AI the other.
        for key in ["citationSources", "citations"] {
            for source in metadata[key].as_array().into_iter().flatten() {
                self.emit(&source["uri"], &source["title"], None, source.clone(), turn);
            }
        }
    }

    /// Reads `groundingMetadata`: what was searched, found, and used where.
    pub(super) fn add_grounding(&mut self, metadata: Value, turn: &mut dyn Turn) {
        let list = |key: &str| metadata[key].as_array().map_or(&[][..], Vec::as_slice);
        if !list("groundingChunks").is_empty() {
            self.chunks = list("groundingChunks").to_vec();
        }
        let chunks = std::mem::take(&mut self.chunks);
        for support in list("groundingSupports") {
            let indices = support["groundingChunkIndices"].as_array().into_iter().flatten();
            for index in indices.filter_map(Value::as_u64).filter_map(|index| usize::try_from(index).ok()) {
                if let Some(chunk) = chunks.get(index) {
                    self.emit_chunk(chunk, Some(support), turn);
                }
            }
        }
        self.chunks = chunks;
        if !list("webSearchQueries").is_empty() || metadata["searchEntryPoint"].is_object() {
            self.search = Some(metadata);
        }
    }

    /// Keeps `urlContextMetadata`: which pages were read.
    pub(super) fn add_url_context(&mut self, metadata: Value) {
        self.url_context = Some(metadata);
    }

    /// Emits what is only known at the end.
    pub(super) fn finish(&mut self, turn: &mut dyn Turn) {
        // What no part of the text was traced to is a source all the same.
        for chunk in std::mem::take(&mut self.chunks) {
            if !self.seen.contains(&chunk.to_string()) {
                self.emit_chunk(&chunk, None, turn);
            }
        }
        if let Some(search) = self.search.take() {
            let arguments = search.get("webSearchQueries").map(|queries| json!({"queries": queries}));
            emit_tool("google_search", arguments, search, false, turn);
        }
        if let Some(pages) = self.url_context.take() {
            let list = pages["urlMetadata"].as_array().map_or(&[][..], Vec::as_slice);
            let urls: Vec<&Value> = list.iter().map(|page| &page["retrievedUrl"]).collect();
            let is_read = |page: &Value| page["urlRetrievalStatus"] == "URL_RETRIEVAL_STATUS_SUCCESS";
            let is_error = !list.is_empty() && !list.iter().any(is_read);
            emit_tool("url_context", Some(json!({"urls": urls})), pages.clone(), is_error, turn);
        }
    }

    fn emit_chunk(&mut self, chunk: &Value, support: Option<&Value>, turn: &mut dyn Turn) {
        // `web`, `retrievedContext`, `maps`: whatever kind it is, it has the same fields.
        let Some(inner) = chunk.as_object().and_then(|chunk| chunk.values().find(|value| value.is_object())) else {
            return;
        };
        let mut source = json!({"groundingChunk": chunk});
        if let Some(support) = support {
            source["segment"] = support["segment"].clone();
            if let Some(scores) = support.get("confidenceScores") {
                source["confidenceScores"] = scores.clone();
            }
        }
        let quote = inner["text"].as_str().map(str::to_owned);
        self.seen.insert(chunk.to_string());
        self.emit(&inner["uri"], &inner["title"], quote, source, turn);
    }

    fn emit(&mut self, url: &Value, title: &Value, quote: Option<String>, source: Value, turn: &mut dyn Turn) {
        if self.seen.insert(source.to_string()) {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            turn.emit(ModelEvent::Citation(Citation { url: text(url), title: text(title), quote, source }));
        }
    }
}

/// Emits a call of a tool of the provider's together with its result. The API gives such calls no id.
fn emit_tool(name: &str, arguments: Option<Value>, result: Value, is_error: bool, turn: &mut dyn Turn) {
    let call_id = format!("call_{}", Uuid::new_v4().simple());
    turn.emit(ModelEvent::ServerToolCall { call_id: &call_id, name, arguments });
    turn.emit(ModelEvent::ServerToolResult { call_id: &call_id, name, result, is_error });
}
