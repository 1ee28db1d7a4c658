//! What answers of chat completions hold beside text and calls: sources, media, tools that the provider
//! runs, log probabilities.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{Citation, TokenLogprob, TopLogprob};

use super::super::{MediaSource, ModelEvent, Turn, json::List};
use super::chunk::{Audio, Logprob, Logprobs, Page};
use crate::provider::json::Text;

/// Emits each of these once, wherever and however often a vendor says it.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    /// The addresses that were cited.
    cited: Vec<String>,
    /// The annotations that were seen.
    annotations: Vec<Value>,
    /// The tools that the provider ran.
    tools: Vec<ServerTool>,
    /// How many media there were.
    media: u32,
    /// The number of the audio, if there is any.
    audio: Option<u32>,
}

#[derive(Debug)]
struct ServerTool {
    index: Option<u64>,
    call_id: String,
    is_done: bool,
}

impl Beyond {
    /// The pages that an answer is made from. `data` is the whole chunk: it is read again only when there
    /// is a new one.
    pub(super) fn take_sources(
        &mut self,
        citations: &List<Text<'_>>,
        pages: &List<Page<'_>>,
        data: &str,
        turn: &mut dyn Turn,
    ) {
        let urls = citations.0.iter().map(|url| &**url).chain(pages.0.iter().map(|page| &*page.url));
        if urls.filter(|url| !url.is_empty()).all(|url| self.cited.iter().any(|cited| cited == url)) {
            return;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else { return };
        // A page says more than its address.
        for field in ["search_results", "citations"] {
            for source in chunk[field].as_array().into_iter().flatten() {
                let url = source["url"].as_str().or(source.as_str()).unwrap_or_default();
                if url.is_empty() || self.cited.iter().any(|cited| cited == url) {
                    continue;
                }
                self.cited.push(url.to_owned());
                let text = |name: &str| source[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
                turn.emit(ModelEvent::Citation(Citation {
                    url: Some(url.to_owned()),
                    title: text("title"),
                    quote: text("snippet"),
                    source: source.clone(),
                }));
            }
        }
    }

    /// What a piece of the text is taken from.
    pub(super) fn take_annotation(&mut self, annotation: Value, turn: &mut dyn Turn) {
        if self.annotations.contains(&annotation) {
            return;
        }
        let inner = &annotation["url_citation"];
        // Some say it without the object around it.
        let said = if inner.is_object() { inner } else { &annotation };
        let text = |name: &str| said[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        turn.emit(ModelEvent::Citation(Citation {
            url: text("url"),
            title: text("title"),
            quote: text("content"),
            source: annotation.clone(),
        }));
        self.annotations.push(annotation);
    }

    /// An image by its address, or in a `data:` URL.
    pub(super) fn take_image(&mut self, url: &str, turn: &mut dyn Turn) {
        if url.is_empty() {
            return;
        }
        let index = self.media;
        self.media += 1;
        let (media_type, source) = match url.strip_prefix("data:").and_then(|url| url.split_once(";base64,")) {
            Some((media_type, data)) => (media_type, MediaSource::Data(data.into())),
            None => ("image/*", MediaSource::Url(url.into())),
        };
        let media_type = Cow::Borrowed(media_type);
        turn.emit(ModelEvent::Media { index, media_type, source, has_more: false });
    }

    /// A piece of audio. Its transcript is the text.
    pub(super) fn take_audio(&mut self, audio: &Audio<'_>, turn: &mut dyn Turn) {
        if !audio.data.is_empty() {
            let index = *self.audio.get_or_insert_with(|| {
                self.media += 1;
                self.media - 1
            });
            emit_audio(index, &audio.data, true, turn);
        }
    }

    /// A tool that the provider runs: told once when it begins, and once with its result.
    pub(super) fn take_tool(&mut self, tool: Value, answer_id: &str, turn: &mut dyn Turn) {
        let index = tool["index"].as_u64();
        let known = self.tools.iter().position(|known| index.is_some() && known.index == index);
        let name = tool["type"].as_str().or(tool["name"].as_str()).unwrap_or("tool");
        let position = known.unwrap_or_else(|| {
            let call_id = match tool["id"].as_str() {
                Some(id) if !id.is_empty() => id.to_owned(),
                _ => format!("{answer_id}-{name}-{}", self.tools.len()),
            };
            let arguments = match &tool["arguments"] {
                Value::Null => None,
                Value::String(text) => serde_json::from_str(text).ok().or_else(|| Some(text.as_str().into())),
                arguments => Some(arguments.clone()),
            };
            turn.emit(ModelEvent::ServerToolCall { call_id: &call_id, name, arguments });
            self.tools.push(ServerTool { index, call_id, is_done: false });
            self.tools.len() - 1
        });
        let known = &mut self.tools[position];
        let has_result = ["output", "search_results", "code_results", "browser_results"]
            .iter()
            .any(|field| !tool[*field].is_null() && tool[*field] != "");
        if has_result && !known.is_done {
            known.is_done = true;
            let call_id = &*known.call_id;
            turn.emit(ModelEvent::ServerToolResult { call_id, name, result: tool.clone(), is_error: false });
        }
    }

    /// The answer is whole.
    pub(super) fn end(&mut self, turn: &mut dyn Turn) {
        if let Some(index) = self.audio.take() {
            emit_audio(index, "", false, turn);
        }
    }
}

/// Streamed audio is always of this kind.
fn emit_audio(index: u32, data: &str, has_more: bool, turn: &mut dyn Turn) {
    let source = MediaSource::Data(data.into());
    turn.emit(ModelEvent::Media { index, media_type: "audio/pcm".into(), source, has_more });
}

pub(super) fn emit_logprobs(logprobs: Logprobs<'_>, turn: &mut dyn Turn) {
    let token = |logprob: Logprob<'_>| {
        let top =
            logprob.top_logprobs.0.into_iter().filter_map(|top| {
                Some(TopLogprob { token: top.token.into_cow().into_owned(), logprob: top.logprob.0? })
            });
        let top = top.collect();
        Some(TokenLogprob { token: logprob.token.into_cow().into_owned(), logprob: logprob.logprob.0?, top })
    };
    let tokens: Vec<_> = logprobs.content.0.into_iter().chain(logprobs.refusal.0).filter_map(token).collect();
    if !tokens.is_empty() {
        turn.emit(ModelEvent::Logprobs(tokens));
    }
}
