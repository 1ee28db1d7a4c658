//! Requests of chat completions.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorInfo,
    message::{Content, Message, Role, Tool},
};

use super::super::{
    HttpRequest, ModelRequest, Upstream, openai, options,
    vendors::{Effort, Quirks},
};

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let quirks = &upstream.quirks;
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("messages".into(), messages(&request.messages, quirks));
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        if let Some(choice) = &request.tool_choice {
            body.insert("tool_choice".into(), json!(choice));
        }
    }
    let fields = [
        ("temperature", request.temperature.map(Value::from)),
        ("top_p", request.top_p.map(Value::from)),
        (quirks.max_tokens_field, request.max_tokens.map(Value::from)),
        ("stop", request.stop.as_ref().filter(|stop| !stop.as_slice().is_empty()).map(|stop| json!(stop))),
        (quirks.seed_field, request.seed.map(Value::from)),
        ("response_format", request.response_format.clone()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    }
    if let Some(effort) = &request.reasoning_effort {
        let (name, value) = reasoning(quirks.effort, effort);
        body.insert(name.into(), value);
    }
    if quirks.include_usage {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    options::merge(&mut body, &request.options);
    body.insert("stream".into(), true.into());

    let mut http = openai::post(upstream, "/chat/completions", &request.model, &Value::Object(body));
    http.set_configured_headers(upstream);
    Ok(http)
}

fn messages(messages: &[Message], quirks: &Quirks) -> Value {
    messages
        .iter()
        .enumerate()
        .map(|(position, message)| self::message(message, &messages[..position], quirks))
        .collect()
}

fn message(message: &Message, before: &[Message], quirks: &Quirks) -> Value {
    let mut fields = message.extra.clone();
    // This shape has no place for it: the content says that the tool failed.
    fields.remove("is_error");
    if !quirks.takes_reasoning {
        // Several vendors refuse a request that holds reasoning.
        for name in ["reasoning_content", "reasoning", "reasoning_details"] {
            fields.remove(name);
        }
    }
    // These are for Anthropic: see its requests.
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
    match &message.content {
        // Only text is portable in the result of a tool.
        Some(Content::Parts(parts))
            if message.role == Role::Tool && parts.iter().all(|part| part.as_text().is_some()) =>
        {
            fields.insert("content".into(), message.plain_text().into());
        }
        Some(content) => {
            fields.insert("content".into(), json!(content));
        }
        // Left out beside calls: some chat templates stumble over `null` there.
        None if message.tool_calls.is_empty() => {
            fields.insert("content".into(), "".into());
        }
        None => {}
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
    Value::Object(fields)
}

/// The name of the tool that the call `id` called.
fn called_name<'m>(messages: &'m [Message], id: &str) -> Option<&'m str> {
    let mut calls = messages.iter().rev().flat_map(|message| &message.tool_calls);
    calls.find(|call| call.id == id).map(|call| call.function.name.as_str())
}

fn tool(tool: &Tool) -> Value {
    let mut value = json!(tool);
    // Several vendors require parameters.
    if tool.function.parameters.is_none() {
        value["function"]["parameters"] = json!({"type": "object", "properties": {}});
    }
    value
}

fn reasoning(field: Effort, effort: &str) -> (&'static str, Value) {
    let is_on = effort != "none";
    match field {
        Effort::Field => ("reasoning_effort", effort.into()),
        Effort::Object => ("reasoning", json!({"effort": effort})),
        Effort::Thinking => ("thinking", json!({"type": if is_on { "enabled" } else { "disabled" }})),
        Effort::EnableThinking => ("enable_thinking", is_on.into()),
        Effort::TemplateArguments => {
            ("chat_template_kwargs", json!({"enable_thinking": is_on, "reasoning_effort": effort}))
        }
    }
}
