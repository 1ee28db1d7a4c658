//! The conversation as chat completions want it.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{CacheControl, Content, Message, Part, Role},
};

use super::{
    super::{request::is_empty_for, rules::Lack, vendors::PartShape},
    request::Model,
};

/// The messages, with what `provider` gave for itself put back into its answers.
pub(super) fn messages(messages: &[Message], model: &Model<'_>, provider: &str) -> Result<Value, ErrorInfo> {
    let last = messages.len().saturating_sub(1);
    let message = |(position, message): (usize, &Message)| {
        let mut fields = self::message(message, &messages[..position], model)?;
        if let Some(native) = message.native.as_ref().filter(|native| native.provider == provider) {
            put_back(&mut fields, &native.content, message, model);
        }
        // To go on with an answer, and not to begin another one.
        if position == last
            && message.role == Role::Assistant
            && message.tool_calls.is_empty()
            && let Some(field) = model.quirks.prefill_field
        {
            fields.entry(field).or_insert(true.into());
        }
        Ok(Value::Object(fields))
    };
    let says_something = |(_, message): &(usize, &Message)| !is_empty_for(message, provider);
    messages.iter().enumerate().filter(says_something).map(message).collect()
}

fn message(message: &Message, before: &[Message], model: &Model<'_>) -> Result<Map<String, Value>, ErrorInfo> {
    let quirks = model.quirks;
    let position = before.len();
    if (message.role == Role::Tool || !message.tool_calls.is_empty()) && model.lacks(Lack::Tools) {
        let error = ErrorInfo::new(ErrorCode::NotSupported, "this provider calls no tools here");
        return Err(error.with_field(format!("messages[{position}]")));
    }
    let mut fields = message.extra.clone();
    if let Some(known) = quirks.message_fields {
        fields.retain(|name, _| known.contains(&name.as_str()));
    }
    if !quirks.takes_reasoning {
        // Several vendors refuse a request that holds reasoning.
        for name in ["reasoning_content", "reasoning", "reasoning_details"] {
            fields.remove(name);
        }
    }
    // The first is for Anthropic: see its requests. This shape has no place for the second: the content says
    // that the tool failed.
    for name in ["thinking_blocks", "is_error"] {
        fields.remove(name);
    }
    let role = match message.role {
        Role::Developer if quirks.developer_role => "developer",
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    fields.insert("role".into(), role.into());
    if let Some(content) = content(message, position, model)? {
        fields.insert("content".into(), content);
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            let arguments = if call.function.arguments.trim().is_empty() { "{}" } else { &call.function.arguments };
            json!({
                "id": quirks.call_ids.apply(&call.id),
                "type": "function",
                "function": {"name": call.function.name, "arguments": arguments},
            })
        });
        fields.insert("tool_calls".into(), calls.collect());
    }
    if let Some(id) = &message.tool_call_id {
        fields.insert("tool_call_id".into(), quirks.call_ids.apply(id).into());
        if quirks.name_in_tool_result
            && let Some(name) = called_name(before, id)
        {
            fields.entry("name").or_insert_with(|| name.into());
        }
    }
    Ok(fields)
}

fn content(message: &Message, position: usize, model: &Model<'_>) -> Result<Option<Value>, ErrorInfo> {
    // A mark stands on a part.
    let marks = model.quirks.cache_control;
    let mark = message.cache_control.as_ref().filter(|_| marks);
    Ok(match &message.content {
        Some(Content::Text(text)) => Some(match mark {
            Some(mark) if !text.is_empty() => json!([{"type": "text", "text": text, "cache_control": mark}]),
            _ => text.as_str().into(),
        }),
        Some(Content::Parts(parts)) => {
            let is_marked = mark.is_some() || (marks && parts.iter().any(|part| part.cache_control().is_some()));
            if message.role == Role::Tool && !is_marked && parts.iter().all(|part| part.as_text().is_some()) {
                // Only text is portable in the result of a tool.
                return Ok(Some(message.plain_text().into()));
            }
            let part = |(at, part): (usize, &Part)| {
                let mut value = self::part(part, message.role, model).map_err(|message| {
                    let place = format!("messages[{position}].content[{at}]");
                    ErrorInfo::new(ErrorCode::NotSupported, message).with_field(place)
                })?;
                set_mark(&mut value, part.cache_control().filter(|_| marks));
                Ok(value)
            };
            let mut parts = parts.iter().enumerate().map(part).collect::<Result<Vec<Value>, ErrorInfo>>()?;
            if let Some(last) = parts.last_mut() {
                set_mark(last, mark);
            }
            Some(parts.into())
        }
        // Left out beside calls: some chat templates stumble over `null` there.
        None => message.tool_calls.is_empty().then(|| "".into()),
    })
}

/// A part of a message's content, or why it cannot be sent.
fn part(part: &Part, role: Role, model: &Model<'_>) -> Result<Value, &'static str> {
    let is_mistral = model.quirks.parts == PartShape::Mistral;
    match part {
        Part::Text { text, .. } => Ok(json!({"type": "text", "text": text})),
        _ if role == Role::Tool && model.lacks(Lack::MediaInResults) => {
            Err("this provider takes only text in results of tools")
        }
        Part::ImageUrl { .. } if model.lacks(Lack::Images) => Err("this provider takes no images"),
        Part::ImageUrl { image_url, .. } => Ok(json!({"type": "image_url", "image_url": image_url})),
        Part::InputAudio { .. } if model.lacks(Lack::Audio) => Err("this provider takes no audio"),
        Part::InputAudio { input_audio, .. } if is_mistral => {
            let data = input_audio.get("data").unwrap_or(input_audio);
            Ok(json!({"type": "input_audio", "input_audio": data}))
        }
        Part::InputAudio { input_audio, .. } => Ok(json!({"type": "input_audio", "input_audio": input_audio})),
        Part::File { .. } if model.lacks(Lack::Files) => Err("this provider takes no files"),
        Part::File { file, .. } if is_mistral => {
            if let Some(id) = file["file_id"].as_str() {
                return Ok(json!({"type": "file", "file_id": id}));
            }
            let mut document = json!({"type": "document_url", "document_url": file["file_data"]});
            if let Some(name) = file["filename"].as_str() {
                document["document_name"] = name.into();
            }
            Ok(document)
        }
        Part::File { file, .. } => Ok(json!({"type": "file", "file": file})),
    }
}

fn set_mark(part: &mut Value, mark: Option<&CacheControl>) {
    if let Some(mark) = mark {
        part["cache_control"] = json!(mark);
    }
}

/// Puts into an answer what its vendor gave for itself: see [`HandBack`](super::hand_back::HandBack).
fn put_back(fields: &mut Map<String, Value>, native: &Value, message: &Message, model: &Model<'_>) {
    for (name, value) in native.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("role" | "tool_call_id", _) => {}
            ("tool_calls", Value::Array(extras)) => {
                for extra in extras {
                    let id = extra["id"].as_str().map(|id| model.quirks.call_ids.apply(id)).unwrap_or_default();
                    let calls = fields.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten();
                    for call in calls.filter(|call| call["id"] == *id).filter_map(Value::as_object_mut) {
                        let extra = extra.as_object().into_iter().flatten().filter(|(name, _)| *name != "id");
                        call.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
                    }
                }
            }
            // Parts before the text.
            ("content", Value::Array(parts)) => {
                let mut parts = parts.clone();
                let text = message.plain_text();
                if !text.is_empty() {
                    parts.push(json!({"type": "text", "text": text}));
                }
                fields.insert(name.clone(), parts.into());
            }
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The name of the tool that the call `id` called.
fn called_name<'m>(messages: &'m [Message], id: &str) -> Option<&'m str> {
    let mut calls = messages.iter().rev().flat_map(|message| &message.tool_calls);
    calls.find(|call| call.id == id).map(|call| call.function.name.as_str())
}
