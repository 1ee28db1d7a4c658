//! The conversation as Anthropic Messages wants it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{CacheControl, Content, Message, Part, Role},
};

use super::super::{ModelRequest, call_ids::CallIdRule};

/// The parts of a request that the conversation becomes.
pub(super) struct Conversation {
    /// All system messages: the API has one place for them, before the conversation.
    pub system: Option<Value>,
    pub messages: Value,
    /// Where tools of the provider's ran, if the conversation is to go on there.
    pub container: Option<String>,
    /// Whether it names files that were uploaded before.
    pub has_file_ids: bool,
}

/// The conversation, with neighbours of one role as one message: all results of a turn's tool calls
/// must stand in one user message, before anything else in it. An answer of `provider`'s own is sent as it was.
pub(super) fn conversation(request: &ModelRequest, provider: &str) -> Result<Conversation, ErrorInfo> {
    let mut said: Vec<(&'static str, Vec<Value>)> = Vec::new();
    let mut container = None;
    for (position, message) in request.messages.iter().enumerate() {
        let role = match message.role {
            Role::System | Role::Developer => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut blocks = match native_blocks(message, provider) {
            Some(blocks) => replay(blocks, message),
            None => blocks(message, position)?,
        };
        if let Some(native) = message.native.as_ref().filter(|native| native.provider == provider) {
            container = native.content["container"].as_str().map(str::to_owned).or(container);
        }
        // A mark on the message is one on its end. Thinking cannot carry one.
        if let Some(mark) = &message.cache_control
            && let Some(block) = blocks.iter_mut().rfind(|block| !is_thinking(block))
        {
            block["cache_control"] = json!(mark);
        }
        push(&mut said, role, blocks);
    }
    let mut turns = Vec::new();
    let last = said.len().saturating_sub(1);
    for (position, (role, mut blocks)) in said.into_iter().enumerate() {
        if role == "assistant" {
            close(&mut blocks, position == last);
        }
        push(&mut turns, role, blocks);
    }
    for (_, blocks) in turns.iter_mut().filter(|(role, _)| *role == "user") {
        // A stable sort, so that the order is kept otherwise.
        blocks.sort_by_key(|block| block["type"] != "tool_result");
    }
    // The API refuses white space at the end of an answer that it should go on with.
    if let Some(("assistant", blocks)) = turns.last_mut()
        && let Some(block) = blocks.last_mut()
        && let Some(text) = block["text"].as_str()
    {
        block["text"] = text.trim_end().into();
    }
    let has_file_ids = turns.iter().flat_map(|(_, blocks)| blocks).any(names_file);
    let messages = turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks})).collect();
    Ok(Conversation { system: system(&request.messages)?, messages, container, has_file_ids })
}

/// Adds what one side says: to what it said last, where the other side has not spoken since.
fn push(turns: &mut Vec<(&'static str, Vec<Value>)>, role: &'static str, blocks: Vec<Value>) {
    match turns.last_mut() {
        _ if blocks.is_empty() => {}
        Some((last, turn)) if *last == role => turn.extend(blocks),
        _ => turns.push((role, blocks)),
    }
}

/// Takes off an answer what the API refuses in one that broke off: thinking that led to nothing, and calls of the
/// provider's own tools without a result. The last answer may still get these.
fn close(blocks: &mut Vec<Value>, is_last: bool) {
    if !is_last {
        let results: Vec<Value> = blocks.iter().filter_map(|block| block.get("tool_use_id").cloned()).collect();
        let is_server_call = |block: &Value| block["type"] == "server_tool_use" || block["type"] == "mcp_tool_use";
        blocks.retain(|block| !is_server_call(block) || results.contains(&block["id"]));
    }
    while blocks.pop_if(|block| is_thinking(block)).is_some() {}
}

fn system(messages: &[Message]) -> Result<Option<Value>, ErrorInfo> {
    let mut blocks = Vec::new();
    let mut is_marked = false;
    for (position, message) in messages.iter().enumerate() {
        if !matches!(message.role, Role::System | Role::Developer) {
            continue;
        }
        let before = blocks.len();
        match &message.content {
            None => {}
            Some(Content::Text(text)) => blocks.extend(text_block(text)),
            Some(Content::Parts(parts)) => {
                for (at, part) in parts.iter().enumerate() {
                    let text = part.as_text().ok_or_else(|| {
                        let message = "this provider takes only text in a system message";
                        ErrorInfo::new(ErrorCode::NotSupported, message).with_field(place(position, at))
                    })?;
                    if let Some(mut block) = text_block(text) {
                        mark(&mut block, part.cache_control());
                        blocks.push(block);
                    }
                }
            }
        }
        if let (Some(hint), Some(block)) = (&message.cache_control, blocks[before..].last_mut()) {
            block["cache_control"] = json!(hint);
        }
        is_marked |= blocks[before..].iter().any(|block| block.get("cache_control").is_some());
        // Without marks the messages are joined; their parts belong together.
        if !is_marked && blocks.len() > before + 1 {
            let text: String =
                blocks.drain(before..).filter_map(|block| block["text"].as_str().map(str::to_owned)).collect();
            blocks.extend(text_block(&text));
        }
    }
    if is_marked {
        return Ok(Some(blocks.into()));
    }
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let text = texts.join("\n\n");
    Ok((!text.trim().is_empty()).then(|| text.into()))
}

/// The blocks of an answer as `provider` gave them; `None` if it gave none with this message.
pub(super) fn native_blocks<'m>(message: &'m Message, provider: &str) -> Option<&'m [Value]> {
    let native = message.native.as_ref().filter(|native| native.provider == provider)?;
    native.content["content"].as_array().map(Vec::as_slice)
}

/// The thinking of an earlier answer with its signatures, in the field that other clients use for it too.
pub(super) fn thinking_blocks(message: &Message) -> &[Value] {
    message.extra.get("thinking_blocks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The blocks unchanged, but for ids that are changed in results, too, and arguments that the calls were not carried
/// out with.
fn replay(blocks: &[Value], message: &Message) -> Vec<Value> {
    let mut blocks = blocks.to_vec();
    for block in blocks.iter_mut().filter(|block| block["type"] == "tool_use") {
        let Some(id) = block["id"].as_str() else { continue };
        let call = message.tool_calls.iter().find(|call| call.id == id);
        let input = call.map(|call| input(&call.function.arguments));
        block["id"] = CallIdRule::Word.apply(id).into();
        if let Some(input) = input {
            block["input"] = input;
        }
    }
    blocks
}

fn blocks(message: &Message, position: usize) -> Result<Vec<Value>, ErrorInfo> {
    let content = match &message.content {
        None => Vec::new(),
        Some(Content::Text(text)) => text_block(text).into_iter().collect(),
        Some(Content::Parts(parts)) => {
            let blocks = parts.iter().enumerate().map(|(at, part)| {
                let block = block(part).map_err(|error| error.with_field(place(position, at)));
                block.map(|block| {
                    block.map(|mut block| {
                        mark(&mut block, part.cache_control());
                        block
                    })
                })
            });
            blocks.filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
    };
    if message.role == Role::Tool {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let mut result = json!({"type": "tool_result", "tool_use_id": CallIdRule::Word.apply(id), "content": content});
        if message.extra.get("is_error") == Some(&Value::Bool(true)) {
            result["is_error"] = true.into();
        }
        return Ok(vec![result]);
    }
    // Thinking must come back as it was, and before all else.
    let mut blocks = match message.role {
        Role::Assistant => thinking_blocks(message).to_vec(),
        _ => Vec::new(),
    };
    blocks.extend(content);
    for call in &message.tool_calls {
        let name = &call.function.name;
        blocks.push(json!({
            "type": "tool_use",
            "id": CallIdRule::Word.apply(&call.id),
            "name": name,
            "input": input(&call.function.arguments),
        }));
    }
    Ok(blocks)
}

/// Arguments as an object. What the model wrote wrongly is kept, so that it can see it.
pub(super) fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(input)) => Value::Object(input),
        _ if arguments.trim().is_empty() => json!({}),
        _ => json!({"invalid_arguments": arguments}),
    }
}

/// A text block; none for blank text, which the API refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn block(part: &Part) -> Result<Option<Value>, ErrorInfo> {
    match part {
        Part::Text { text, .. } => Ok(text_block(text)),
        Part::ImageUrl { image_url, .. } => {
            let source = url_source(&image_url.url).or_else(|| base64_source(&image_url.url)).ok_or_else(|| {
                ErrorInfo::new(ErrorCode::BadField, "an image is neither an https: nor a base64 data: URL")
            })?;
            Ok(Some(json!({"type": "image", "source": source})))
        }
        Part::File { file, .. } => document(file).map(Some),
        Part::InputAudio { .. } => Err(ErrorInfo::new(ErrorCode::NotSupported, "this provider takes no audio")),
    }
}

/// A file: by the id of an upload, by its address, or as a `data:` URL with a PDF, text or an image.
fn document(file: &Value) -> Result<Value, ErrorInfo> {
    let refuse = |code: ErrorCode, message: &'static str| Err(ErrorInfo::new(code, message));
    let mut kind = "document";
    let source = if let Some(id) = file["file_id"].as_str() {
        json!({"type": "file", "file_id": id})
    } else {
        let data = file["file_data"].as_str().or_else(|| file["file_url"].as_str()).or_else(|| file["url"].as_str());
        let Some(data) = data else {
            return refuse(ErrorCode::BadField, "a file needs `file_data` or `file_id`");
        };
        if let Some(source) = url_source(data) {
            source
        } else if let Some((media_type, data)) = data_url(data) {
            match media_type.split(';').next().unwrap_or_default() {
                "application/pdf" => json!({"type": "base64", "media_type": "application/pdf", "data": data}),
                image if image.starts_with("image/") => {
                    kind = "image";
                    json!({"type": "base64", "media_type": image, "data": data})
                }
                text if text.starts_with("text/") || text == "application/json" => {
                    let text = BASE64_STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                    let Some(text) = text else {
                        return refuse(ErrorCode::BadField, "the file is not text in UTF-8 and base64");
                    };
                    json!({"type": "text", "media_type": "text/plain", "data": text})
                }
                _ => return refuse(ErrorCode::NotSupported, "this provider takes PDF files, text and images only"),
            }
        } else {
            return refuse(ErrorCode::BadField, "a file is neither an https: nor a base64 data: URL");
        }
    };
    let mut document = Map::new();
    document.insert("type".into(), kind.into());
    document.insert("source".into(), source);
    if kind == "document" {
        let fields = [("title", &file["filename"]), ("citations", &file["citations"]), ("context", &file["context"])];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
            document.insert(name.into(), value.clone());
        }
    }
    Ok(document.into())
}

fn url_source(url: &str) -> Option<Value> {
    let is_url = url.starts_with("https://") || url.starts_with("http://");
    is_url.then(|| json!({"type": "url", "url": url}))
}

fn base64_source(url: &str) -> Option<Value> {
    let (media_type, data) = data_url(url)?;
    Some(json!({"type": "base64", "media_type": media_type, "data": data}))
}

fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

fn mark(block: &mut Value, hint: Option<&CacheControl>) {
    if let Some(hint) = hint {
        block["cache_control"] = json!(hint);
    }
}

fn is_thinking(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

fn names_file(block: &Value) -> bool {
    let inner = block["content"].as_array().into_iter().flatten();
    block["source"]["type"] == "file" || inner.into_iter().any(|block| block["source"]["type"] == "file")
}

fn place(message: usize, part: usize) -> String {
    format!("messages[{message}].content[{part}]")
}
