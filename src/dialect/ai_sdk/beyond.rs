//! Sources and files in the chunks of a UI message.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokenwire_protocol::{Citation, Media};

use super::{chunks::put, metadata::known};

/// The ids of the sources that were named, by address or title.
#[derive(Default)]
pub(super) struct Sources(HashMap<String, String>);

impl Sources {
    /// Adds the source, if it is new, and returns what the text says of it.
    pub fn cite(&mut self, citation: &Citation, out: &mut Vec<String>) -> Value {
        let Citation { url, title, quote, source } = citation;
        let name = url.as_ref().or(title.as_ref()).map_or("source", String::as_str);
        let mut cited = match url {
            Some(url) => json!({"type": "source", "sourceType": "url", "url": url, "title": title}),
            None => json!({"type": "source", "sourceType": "document", "mediaType": "text/plain", "title": name}),
        };
        let next = self.0.len() + 1;
        let id = self.0.entry(name.to_owned()).or_insert_with(|| {
            let id = format!("source-{next}");
            let mut chunk = match url {
                Some(url) => json!({"type": "source-url", "url": url, "title": title}),
                None => json!({"type": "source-document", "mediaType": "text/plain", "title": name}),
            };
            chunk["sourceId"] = id.as_str().into();
            let mut chunk = known(chunk);
            chunk["providerMetadata"] = json!({"tokenwire": {"source": source}});
            put(out, chunk);
            id
        });
        cited["id"] = id.as_str().into();
        known(json!({"source": cited, "citedText": quote}))
    }
}

/// The bytes of media that more pieces follow of.
#[derive(Default)]
pub(super) struct Pieces(HashMap<u32, Vec<u8>>);

impl Pieces {
    /// The chunk of the whole file, with its last piece.
    pub fn file(&mut self, media: &Media) -> Option<Value> {
        let Media { index, media_type, data, url, has_more } = media;
        let url = match (data, url) {
            (Some(data), _) if !has_more && !self.0.contains_key(index) => {
                format!("data:{media_type};base64,{data}")
            }
            (Some(data), _) => {
                // Each piece stands for itself.
                self.0.entry(*index).or_default().extend(BASE64_STANDARD.decode(data).unwrap_or_default());
                if *has_more {
                    return None;
                }
                let bytes = self.0.remove(index).unwrap_or_default();
                format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(bytes))
            }
            (None, Some(url)) => url.clone(),
            (None, None) => return None,
        };
        Some(json!({"type": "file", "mediaType": media_type, "url": url}))
    }
}
