//! The conversation as Converse takes it.

use serde_json::{Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{CacheControl, Content, Message, Part, Role},
};

use super::{super::call_ids::CallIdRule, blocks::input, reasoning::Family};

/// The longest name of a document.
const MAX_NAME_CHARS: usize = 200;

/// Media types, the format that the API calls them, and the block that they belong in.
const FORMATS: &[(&str, &str, &str)] = &[
    ("image/png", "png", "image"),
    ("image/jpeg", "jpeg", "image"),
    ("image/jpg", "jpeg", "image"),
    ("image/gif", "gif", "image"),
    ("image/webp", "webp", "image"),
    ("application/pdf", "pdf", "document"),
    ("text/csv", "csv", "document"),
    ("application/msword", "doc", "document"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", "document"),
    ("application/vnd.ms-excel", "xls", "document"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "document"),
    ("text/html", "html", "document"),
    ("text/plain", "txt", "document"),
    ("text/markdown", "md", "document"),
    ("video/x-matroska", "mkv", "video"),
    ("video/quicktime", "mov", "video"),
    ("video/mp4", "mp4", "video"),
    ("video/webm", "webm", "video"),
    ("video/x-flv", "flv", "video"),
    ("video/mpeg", "mpeg", "video"),
    ("video/x-ms-wmv", "wmv", "video"),
    ("video/3gpp", "three_gp", "video"),
    ("audio/mpeg", "mp3", "audio"),
    ("audio/mp3", "mp3", "audio"),
    ("audio/opus", "opus", "audio"),
    ("audio/wav", "wav", "audio"),
    ("audio/x-wav", "wav", "audio"),
    ("audio/aac", "aac", "audio"),
    ("audio/flac", "flac", "audio"),
    ("audio/mp4", "mp4", "audio"),
    ("audio/ogg", "ogg", "audio"),
    ("audio/webm", "webm", "audio"),
];

/// Endings of names, where they are not the format itself.
const ENDINGS: &[(&str, &str)] =
    &[("jpg", "jpeg"), ("htm", "html"), ("markdown", "md"), ("mpg", "mpeg"), ("3gp", "three_gp")];

/// Turns messages into blocks, and keeps what must not repeat within a request.
pub(super) struct Conversation<'a> {
    family: Family,
    /// Whose native answers can be handed back.
    provider: &'a str,
    /// The names of documents so far: the API refuses two of the same.
    names: Vec<String>,
    /// What was left out, and why.
    pub warnings: Vec<(String, &'static str)>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(family: Family, provider: &'a str) -> Self {
        Self { family, provider, names: Vec::new(), warnings: Vec::new() }
    }

    /// All system messages: the API has one place for them, before the conversation.
    pub(super) fn system(&self, messages: &[Message]) -> Result<Vec<Value>, ErrorInfo> {
        let mut blocks = Vec::new();
        for (position, message) in messages.iter().enumerate() {
            if !matches!(message.role, Role::System | Role::Developer) {
                continue;
            }
            match &message.content {
                None => {}
                Some(Content::Text(text)) => blocks.extend(text_block(text)),
                Some(Content::Parts(parts)) => {
                    for (part, content) in parts.iter().enumerate() {
                        let Some(text) = content.as_text() else {
                            let error = not_supported("this provider takes nothing but text in system messages");
                            return Err(error.with_field(format!("messages[{position}].content[{part}]")));
                        };
                        blocks.extend(text_block(text));
                        self.cache(&mut blocks, content.cache_control());
                    }
                }
            }
            self.cache(&mut blocks, message.cache_control.as_ref());
        }
        Ok(blocks)
    }

    /// The rest, with neighbours of one role as one message: all results of a turn's tool calls must stand
    /// in one user message, before anything else in it.
    pub(super) fn messages(&mut self, messages: &[Message]) -> Result<Vec<Value>, ErrorInfo> {
        let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
        for (position, message) in messages.iter().enumerate() {
            let role = match message.role {
                Role::System | Role::Developer => continue,
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            let blocks = self.blocks(message, &format!("messages[{position}]"))?;
            match turns.last_mut() {
                _ if blocks.is_empty() => {}
                Some((last, turn)) if *last == role => turn.extend(blocks),
                _ => turns.push((role, blocks)),
            }
        }
        for (_, blocks) in turns.iter_mut().filter(|(role, _)| *role == "user") {
            // A stable sort, so that the order is kept otherwise.
            blocks.sort_by_key(|block| block.get("toolResult").is_none());
        }
        // Claude refuses white space at the end of an answer that it should go on with.
        if let Some(("assistant", blocks)) = turns.last_mut()
            && let Some(text) = blocks.last_mut().and_then(|block| block.get_mut("text"))
        {
            *text = text.as_str().unwrap_or_default().trim_end().into();
        }
        if turns.first().is_some_and(|(role, _)| *role == "assistant") {
            self.warn("messages[0]", "a user message was put before it: this provider wants one first");
            turns.insert(0, ("user", vec![json!({"text": "(The assistant speaks first.)"})]));
        }
        Ok(turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks})).collect())
    }

    fn blocks(&mut self, message: &Message, path: &str) -> Result<Vec<Value>, ErrorInfo> {
        if let Some(native) = &message.native
            && native.provider == self.provider
            && let Some(blocks) = native.content["content"].as_array()
            && message.role == Role::Assistant
        {
            let mut blocks = blocks.to_vec();
            blocks.iter_mut().for_each(|block| take_arguments(block, message));
            blocks.iter_mut().for_each(accept_id);
            self.cache(&mut blocks, message.cache_control.as_ref());
            return Ok(blocks);
        }
        let mut blocks = Vec::new();
        if self.family.is_claude() && message.role == Role::Assistant {
            // Thinking must come back as it was, and before all else.
            blocks.extend(thinking_blocks(message));
        }
        match &message.content {
            None => {}
            Some(Content::Text(text)) => blocks.extend(text_block(text)),
            Some(Content::Parts(parts)) => {
                for (position, part) in parts.iter().enumerate() {
                    let block = self.block(part, message.role);
                    let block = block.map_err(|error| error.with_field(format!("{path}.content[{position}]")))?;
                    blocks.extend(block);
                    if message.role != Role::Tool {
                        self.cache(&mut blocks, part.cache_control());
                    }
                }
            }
        }
        if message.role == Role::Tool {
            blocks = vec![self.result(message, blocks, path)];
        }
        for call in &message.tool_calls {
            let (id, input) = (call_id(&call.id), input(&call.function.arguments));
            blocks.push(json!({"toolUse": {"toolUseId": id, "name": call.function.name, "input": input}}));
        }
        // Inside a result there is no place for cache points.
        let in_result = message.content.as_ref().and_then(|content| match content {
            Content::Parts(parts) if message.role == Role::Tool => parts.iter().rev().find_map(Part::cache_control),
            _ => None,
        });
        self.cache(&mut blocks, message.cache_control.as_ref().or(in_result));
        Ok(blocks)
    }

    fn result(&mut self, message: &Message, content: Vec<Value>, path: &str) -> Value {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let mut result = json!({"toolUseId": call_id(id), "content": content});
        if message.extra.get("is_error") == Some(&Value::Bool(true)) {
            if self.family.takes_status() {
                result["status"] = "error".into();
            } else {
                self.warn(&format!("{path}.is_error"), "was left out: the model is not known to take it");
            }
        }
        json!({"toolResult": result})
    }

    fn block(&mut self, part: &Part, role: Role) -> Result<Option<Value>, ErrorInfo> {
        if role == Role::Assistant && part.as_text().is_none() {
            return Err(not_supported("this provider takes nothing but text in assistant messages"));
        }
        let block = match part {
            Part::Text { text, .. } => return Ok(text_block(text)),
            Part::ImageUrl { image_url, .. } => {
                let (format, kind, source) = source(&image_url.url, "")?;
                if kind != "image" {
                    return Err(not_supported("this provider takes images as PNG, JPEG, GIF or WebP"));
                }
                json!({"image": {"format": format, "source": source}})
            }
            Part::InputAudio { .. } if role == Role::Tool => {
                return Err(not_supported("this provider takes no audio in results of tools"));
            }
            Part::InputAudio { input_audio, .. } => {
                let (Some(data), Some(format)) = (input_audio["data"].as_str(), input_audio["format"].as_str()) else {
                    return Err(ErrorInfo::new(ErrorCode::BadField, "expected audio as `data` and `format`"));
                };
                json!({"audio": {"format": format, "source": {"bytes": data}}})
            }
            Part::File { file, .. } => {
                let name = file["filename"].as_str().unwrap_or_default();
                let data = file["file_data"].as_str().or(file["file_id"].as_str()).unwrap_or_default();
                let (format, kind, source) = source(data, name)?;
                let mut block = json!({"format": format, "source": source});
                if kind == "document" {
                    block["name"] = self.name(name).into();
                }
                json!({kind: block})
            }
        };
        Ok(Some(block))
    }

    /// A document's name as the API accepts it: letters, digits, single spaces, `-`, `()` and `[]`.
    fn name(&mut self, file_name: &str) -> String {
        let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
        let words: String =
            stem.chars().map(|c| if is_allowed(c) { c } else { ' ' }).take(MAX_NAME_CHARS - 8).collect();
        let mut name = words.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            name.push_str("document");
        }
        let plain = name.clone();
        let mut count = 1;
        while self.names.contains(&name) {
            count += 1;
            name = format!("{plain} ({count})");
        }
        self.names.push(name.clone());
        name
    }

    /// A cache point after what is there, for a model that has them.
    fn cache(&self, blocks: &mut Vec<Value>, cache_control: Option<&CacheControl>) {
        if let Some(cache_control) = cache_control
            && self.family.caches()
            && blocks.last().is_some_and(|block| block.get("cachePoint").is_none())
        {
            blocks.push(cache_point(cache_control, self.family));
        }
    }

    fn warn(&mut self, field: &str, message: &'static str) {
        self.warnings.push((field.to_owned(), message));
    }
}

/// A cache point. Only Claude's may say for how long.
pub(super) fn cache_point(cache_control: &CacheControl, family: Family) -> Value {
    match &cache_control.ttl {
        Some(ttl) if family.is_claude() => json!({"cachePoint": {"type": "default", "ttl": ttl}}),
        _ => json!({"cachePoint": {"type": "default"}}),
    }
}

/// A text block; none for blank text, which the API refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"text": text}))
}

/// The id of a call as the API accepts it: letters, digits, `_` and `-`, at most 64 of them.
fn call_id(id: &str) -> String {
    CallIdRule::Word.apply(&CallIdRule::Short.apply(id)).into_owned()
}

/// Who approved a call may have changed its arguments.
fn take_arguments(block: &mut Value, message: &Message) {
    let id = block["toolUse"]["toolUseId"].as_str();
    if let Some(call) = message.tool_calls.iter().find(|call| Some(call.id.as_str()) == id) {
        block["toolUse"]["input"] = input(&call.function.arguments);
    }
}

/// The ids in an answer of the provider's own are its own, but the results of its calls carry them as they
/// are accepted here.
fn accept_id(block: &mut Value) {
    for kind in ["toolUse", "toolResult"] {
        if let Some(id) = block.get_mut(kind).and_then(|block| block.get_mut("toolUseId"))
            && let Some(text) = id.as_str()
        {
            *id = call_id(text).into();
        }
    }
}

/// The thinking of an earlier answer with its signatures, in the field that other clients use for it too.
fn thinking_blocks(message: &Message) -> impl Iterator<Item = Value> {
    let blocks = message.extra.get("thinking_blocks").and_then(Value::as_array);
    blocks.into_iter().flatten().filter_map(|block| match block["type"].as_str()? {
        "thinking" => {
            let text = json!({"text": block["thinking"].as_str()?, "signature": block["signature"].as_str()?});
            Some(json!({"reasoningContent": {"reasoningText": text}}))
        }
        "redacted_thinking" => Some(json!({"reasoningContent": {"redactedContent": block["data"].as_str()?}})),
        _ => None,
    })
}

/// Format, kind of block and source of a `data:` URL or of an object in S3.
fn source(url: &str, name: &str) -> Result<(&'static str, &'static str, Value), ErrorInfo> {
    let ending = |name: &str| {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let ending = ENDINGS.iter().find(|(from, _)| *from == ending).map_or(ending, |(_, to)| (*to).to_owned());
        FORMATS.iter().find(|(_, format, _)| *format == ending).map(|(_, format, kind)| (*format, *kind))
    };
    let not_taken = || not_supported("this provider does not take files of this type");
    if url.starts_with("s3://") {
        let (format, kind) = ending(url).or_else(|| ending(name)).ok_or_else(not_taken)?;
        return Ok((format, kind, json!({"s3Location": {"uri": url}})));
    }
    let Some((head, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')) else {
        return Err(not_supported("this provider takes images and files only as base64 data: URLs, or from s3://"));
    };
    let Some(media_type) = head.strip_suffix(";base64") else {
        return Err(not_supported("this provider takes data: URLs only in base64"));
    };
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let of_type = FORMATS.iter().find(|(known, ..)| *known == media_type).map(|(_, format, kind)| (*format, *kind));
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    let format = of_type.or_else(|| ending(name)).or(is_text.then_some(("txt", "document")));
    let (format, kind) = format.ok_or_else(not_taken)?;
    Ok((format, kind, json!({"bytes": data})))
}

fn not_supported(message: &'static str) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::NotSupported, message)
}
