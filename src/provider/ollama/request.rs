//! Requests of Ollama's own chat.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Message, MessageToolCall, Part, Role, Tool, ToolChoice},
};

use super::super::{HttpRequest, ModelRequest, Upstream, options, request::is_empty_for};

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    // Its body comes last: what is left out of it is noted on the way.
    let mut http = HttpRequest::post(&at_root(upstream), "/api/chat", &Value::Null);
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("messages".into(), messages(&request.messages, upstream)?);
    warn_of_details(&request.messages, &mut http);
    if offers_tools(request)? {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        if request.tools.iter().any(|tool| tool.function.strict == Some(true)) {
            http.warn("tools", "this provider does not promise that arguments follow the schema");
        }
    }
    let fields = [
        ("think", think(request, &mut http)?),
        ("format", format(request)?),
        ("logprobs", request.logprobs.then_some(true.into())),
        ("top_logprobs", request.top_logprobs.filter(|_| request.logprobs).map(Value::from)),
        ("options", options(request)),
    ];
    body.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    options::merge(&mut body, &request.options);
    body.insert("stream".into(), true.into());

    if request.parallel_tool_calls == Some(false) {
        http.warn("parallel_tool_calls", "this provider decides itself how many tools are called in one turn");
    }
    if request.top_logprobs.is_some() && !request.logprobs {
        http.warn("top_logprobs", "it counts only together with `logprobs`");
    }
    http.body = Value::Object(body).to_string().into_bytes();
    http.set_header("accept", "application/x-ndjson");
    authorize(&mut http, upstream);
    Ok(http)
}

/// The request that lists the models that were pulled.
pub(super) fn models(upstream: &Upstream) -> HttpRequest {
    let mut http = HttpRequest::get(&at_root(upstream), "/api/tags");
    authorize(&mut http, upstream);
    http
}

/// The upstream without the `/v1` at which Ollama speaks chat completions: the variable is set to that, too.
fn at_root(upstream: &Upstream) -> Upstream {
    let base_url = upstream.base_url.trim_end_matches('/');
    let base_url = base_url.strip_suffix("/v1").unwrap_or(base_url);
    Upstream { base_url: base_url.to_owned(), ..upstream.clone() }
}

fn authorize(http: &mut HttpRequest, upstream: &Upstream) {
    if let Some(key) = &upstream.key {
        http.set_header("authorization", format!("Bearer {}", key.expose()));
    }
    http.set_configured_headers(upstream);
}

fn messages(messages: &[Message], upstream: &Upstream) -> Result<Value, ErrorInfo> {
    let message = |(position, message)| self::message(message, position, &messages[..position], upstream);
    let says_something = |(_, message): &(usize, &Message)| !is_empty_for(message, &upstream.name);
    messages.iter().enumerate().filter(says_something).map(message).collect()
}

fn message(message: &Message, position: usize, before: &[Message], upstream: &Upstream) -> Result<Value, ErrorInfo> {
    if let Some(native) = &message.native
        && native.provider == upstream.name
    {
        return Ok(native.content.clone());
    }
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut fields = Map::new();
    fields.insert("role".into(), role.into());
    // A string always: text and images have a field each.
    fields.insert("content".into(), message.plain_text().into());
    let images = images(message, position)?;
    if !images.is_empty() {
        fields.insert("images".into(), images.into());
    }
    if !message.tool_calls.is_empty() {
        fields.insert("tool_calls".into(), tool_calls(&message.tool_calls));
    }
    // Ollama's own field, in conversations that were held with it elsewhere.
    if let Some(thinking @ Value::String(_)) = message.extra.get("thinking") {
        fields.insert("thinking".into(), thinking.clone());
    }
    if let Some(id) = &message.tool_call_id {
        fields.insert("tool_call_id".into(), id.as_str().into());
        let mut calls = before.iter().rev().flat_map(|message| &message.tool_calls);
        if let Some(call) = calls.find(|call| call.id == *id) {
            fields.insert("tool_name".into(), call.function.name.as_str().into());
        }
    }
    Ok(Value::Object(fields))
}

/// The images of a message, in base64. An error for what is neither that nor text.
fn images(message: &Message, position: usize) -> Result<Vec<Value>, ErrorInfo> {
    let Some(Content::Parts(parts)) = &message.content else { return Ok(Vec::new()) };
    let mut images = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let image = match part {
            Part::Text { .. } => continue,
            Part::ImageUrl { image_url, .. } => {
                let data = image_url.url.strip_prefix("data:").and_then(|url| url.split_once(";base64,"));
                data.map(|(_, data)| Value::from(data)).ok_or("this provider takes images only as base64 data: URLs")
            }
            Part::InputAudio { .. } => Err("this provider takes no audio"),
            Part::File { .. } => Err("this provider takes no files"),
        };
        images.push(image.map_err(|what| {
            ErrorInfo::new(ErrorCode::NotSupported, what).with_field(format!("messages[{position}].content[{at}]"))
        })?);
    }
    Ok(images)
}

/// Ollama cannot be told how closely to look at an image.
fn warn_of_details(messages: &[Message], http: &mut HttpRequest) {
    for (position, message) in messages.iter().enumerate() {
        let Some(Content::Parts(parts)) = &message.content else { continue };
        for (at, part) in parts.iter().enumerate() {
            if let Part::ImageUrl { image_url, .. } = part
                && image_url.detail.as_deref().is_some_and(|detail| detail != "auto")
            {
                let field = format!("messages[{position}].content[{at}].image_url.detail");
                http.warn(field, "this provider has no such choice");
            }
        }
    }
}

/// The calls of an assistant message. Versions without ids ignore them.
pub(super) fn tool_calls(calls: &[MessageToolCall]) -> Value {
    let call = |call: &MessageToolCall| {
        let function = &call.function;
        json!({"id": call.id, "function": {"name": function.name, "arguments": arguments(&function.arguments)}})
    };
    calls.iter().map(call).collect()
}

/// Arguments as an object. What the model wrote wrongly is kept, so that it can see it.
fn arguments(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(arguments)) => Value::Object(arguments),
        _ if arguments.trim().is_empty() => json!({}),
        _ => json!({"invalid_arguments": arguments}),
    }
}

/// Whether the tools are offered: that is all the choice that Ollama knows.
fn offers_tools(request: &ModelRequest) -> Result<bool, ErrorInfo> {
    match request.tool_choice {
        None | Some(ToolChoice::Auto) => Ok(!request.tools.is_empty()),
        Some(ToolChoice::None) => Ok(false),
        Some(ToolChoice::Required | ToolChoice::Function(_)) => {
            let message = "this provider cannot make the model call a tool";
            Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("tool_choice"))
        }
    }
}

fn tool(tool: &Tool) -> Value {
    let function = &tool.function;
    let parameters = function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut value = json!({"type": "function", "function": {"name": function.name, "parameters": parameters}});
    if let Some(description) = &function.description {
        value["function"]["description"] = description.as_str().into();
    }
    value
}

/// Whether to think, and how hard. Models that only think or do not take every level as yes.
fn think(request: &ModelRequest, http: &mut HttpRequest) -> Result<Option<Value>, ErrorInfo> {
    if request.reasoning_budget.is_some_and(|tokens| tokens > 0) {
        http.warn("reasoning_budget", "this provider does not limit how long a model thinks");
    }
    Ok(match (request.reasoning_effort.as_deref(), request.reasoning_budget) {
        (_, Some(0)) | (Some("none"), _) => Some(false.into()),
        (Some("minimal" | "low"), _) => Some("low".into()),
        (Some("medium"), _) => Some("medium".into()),
        (Some("high" | "xhigh"), _) => Some("high".into()),
        (Some("max"), _) => Some("max".into()),
        (Some(_), _) => {
            let message = "expected none, minimal, low, medium, high, xhigh or max";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
        }
        (None, Some(_)) => Some(true.into()),
        (None, None) => None,
    })
}

fn format(request: &ModelRequest) -> Result<Option<Value>, ErrorInfo> {
    let Some(format) = &request.response_format else { return Ok(None) };
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some("json".into())),
        Some("json_schema") => match &format["json_schema"]["schema"] {
            schema @ Value::Object(_) => Ok(Some(schema.clone())),
            _ => Ok(Some("json".into())),
        },
        _ => {
            let message = "this provider takes no response format but text, json_object and json_schema";
            Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"))
        }
    }
}

/// What bounds and draws the answer. `num_ctx`, the size of the context, is left to the model's own
/// settings; Ollama cuts off the start of what does not fit.
fn options(request: &ModelRequest) -> Option<Value> {
    let stops = request.stop.as_ref().map(|stop| stop.as_slice()).unwrap_or_default();
    let fields = [
        ("num_predict", request.max_tokens.map(Value::from)),
        ("temperature", request.temperature.map(Value::from)),
        ("top_p", request.top_p.map(Value::from)),
        ("top_k", request.top_k.map(Value::from)),
        ("presence_penalty", request.presence_penalty.map(Value::from)),
        ("frequency_penalty", request.frequency_penalty.map(Value::from)),
        ("seed", request.seed.map(Value::from)),
        ("stop", (!stops.is_empty()).then(|| json!(stops))),
    ];
    let options: Map<_, _> = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    (!options.is_empty()).then_some(Value::Object(options))
}
