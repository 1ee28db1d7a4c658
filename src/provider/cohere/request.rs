//! Requests of Cohere chat.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Message, MessageToolCall, Part, Role, Tool, ToolChoice},
};

use super::super::{HttpRequest, ModelRequest, Upstream, call_ids::CallIdRule, options, request::is_empty_for};

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    // Its body comes last: what is left out of it is noted on the way.
    let mut http = HttpRequest::post(upstream, "/v2/chat", &Value::Null);
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    set("model", Some(request.model.as_str().into()));
    set("messages", Some(messages(&request.messages, upstream)?));
    if !request.tools.is_empty() {
        let (tools, choice) = tool_choice(&request.tools, request.tool_choice.as_ref())?;
        set("strict_tools", strict_tools(&tools, &mut http).then_some(true.into()));
        set("tools", Some(tools.into_iter().map(tool).collect()));
        set("tool_choice", choice.map(Value::from));
    }
    set("temperature", request.temperature.map(Value::from));
    set("p", clamp(request.top_p, 0.01, 0.99, "top_p", &mut http).map(Value::from));
    set("k", request.top_k.map(Value::from));
    let presence = clamp(request.presence_penalty, 0.0, 1.0, "presence_penalty", &mut http);
    set("presence_penalty", presence.map(Value::from));
    let frequency = clamp(request.frequency_penalty, 0.0, 1.0, "frequency_penalty", &mut http);
    set("frequency_penalty", frequency.map(Value::from));
    set("max_tokens", request.max_tokens.map(Value::from));
    let stops = request.stop.as_ref().map(|stop| stop.as_slice()).unwrap_or_default();
    set("stop_sequences", (!stops.is_empty()).then(|| json!(stops)));
    set("seed", request.seed.map(Value::from));
    set("response_format", response_format(request)?);
    set("thinking", thinking(request)?);
    set("logprobs", request.logprobs.then_some(true.into()));
    options::merge(&mut body, &request.options);
    body.insert("stream".into(), true.into());

    if request.top_logprobs.is_some_and(|count| count > 0) {
        http.warn("top_logprobs", "this provider names no other tokens beside those it chose");
    }
    if request.parallel_tool_calls == Some(false) {
        http.warn("parallel_tool_calls", "this provider decides itself how many tools are called in one turn");
    }
    http.body = Value::Object(body).to_string().into_bytes();
    authorize(&mut http, upstream);
    Ok(http)
}

/// The request that lists the models for chat.
pub(super) fn models(upstream: &Upstream) -> HttpRequest {
    // They are listed by version 1 of the API only.
    let base_url = upstream.base_url.trim_end_matches('/').trim_end_matches("/v2");
    let upstream = Upstream { base_url: base_url.to_owned(), ..upstream.clone() };
    let mut http = HttpRequest::get(&upstream, "/v1/models?endpoint=chat&page_size=1000");
    authorize(&mut http, &upstream);
    http
}

fn authorize(http: &mut HttpRequest, upstream: &Upstream) {
    if let Some(key) = &upstream.key {
        http.set_header("authorization", format!("Bearer {}", key.expose()));
    }
    http.set_configured_headers(upstream);
}

fn messages(messages: &[Message], upstream: &Upstream) -> Result<Value, ErrorInfo> {
    let says_something = |(_, message): &(usize, &Message)| !is_empty_for(message, &upstream.name);
    let messages = messages.iter().enumerate().filter(says_something);
    messages.map(|(position, message)| self::message(message, position, upstream)).collect()
}

fn message(message: &Message, position: usize, upstream: &Upstream) -> Result<Value, ErrorInfo> {
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
    match &message.content {
        Some(Content::Parts(parts)) => {
            let parts = parts.iter().enumerate().map(|(at, part)| {
                self::part(part, message.role).map_err(|what| {
                    ErrorInfo::new(ErrorCode::NotSupported, what)
                        .with_field(format!("messages[{position}].content[{at}]"))
                })
            });
            fields.insert("content".into(), parts.collect::<Result<Vec<_>, _>>()?.into());
        }
        Some(Content::Text(text)) if !text.is_empty() || message.tool_calls.is_empty() => {
            fields.insert("content".into(), text.as_str().into());
        }
        None if message.tool_calls.is_empty() => {
            fields.insert("content".into(), "".into());
        }
        _ => {}
    }
    let call_ids = upstream.quirks.call_ids;
    if !message.tool_calls.is_empty() {
        fields.insert("tool_calls".into(), tool_calls(&message.tool_calls, call_ids));
    }
    // Cohere's own field, in conversations that were held with it elsewhere.
    if let Some(plan @ Value::String(_)) = message.extra.get("tool_plan") {
        fields.insert("tool_plan".into(), plan.clone());
    }
    if let Some(id) = &message.tool_call_id {
        fields.insert("tool_call_id".into(), call_ids.apply(id).into());
    }
    Ok(Value::Object(fields))
}

/// A part of a message's content, or why it cannot be sent.
fn part(part: &Part, role: Role) -> Result<Value, &'static str> {
    match part {
        Part::Text { text, .. } => Ok(json!({"type": "text", "text": text})),
        Part::ImageUrl { image_url, .. } if role == Role::User => {
            Ok(json!({"type": "image_url", "image_url": image_url}))
        }
        Part::ImageUrl { .. } => Err("this provider takes images only in messages of the user"),
        Part::InputAudio { .. } => Err("this provider takes no audio"),
        Part::File { .. } => Err("this provider takes no files"),
    }
}

/// The calls of an assistant message.
pub(super) fn tool_calls(calls: &[MessageToolCall], call_ids: CallIdRule) -> Value {
    let call = |call: &MessageToolCall| {
        let function = &call.function;
        let arguments = if function.arguments.trim().is_empty() { "{}" } else { &function.arguments };
        json!({
            "id": call_ids.apply(&call.id),
            "type": "function",
            "function": {"name": function.name, "arguments": arguments},
        })
    };
    calls.iter().map(call).collect()
}

/// The tools to offer, and Cohere's word for the choice. It cannot be told which tool to call, so it is
/// offered that one alone.
fn tool_choice<'t>(
    tools: &'t [Tool],
    choice: Option<&ToolChoice>,
) -> Result<(Vec<&'t Tool>, Option<&'static str>), ErrorInfo> {
    let all = tools.iter().collect();
    Ok(match choice {
        None | Some(ToolChoice::Auto) => (all, None),
        Some(ToolChoice::None) => (all, Some("NONE")),
        Some(ToolChoice::Required) => (all, Some("REQUIRED")),
        Some(ToolChoice::Function(name)) => {
            let tool = tools.iter().find(|tool| tool.function.name == *name).ok_or_else(|| {
                ErrorInfo::new(ErrorCode::BadField, "no tool of this name is in `tools`").with_field("tool_choice")
            })?;
            (vec![tool], Some("REQUIRED"))
        }
    })
}

/// Whether the arguments must follow the schemas. Cohere promises that for all tools or for none.
fn strict_tools(tools: &[&Tool], http: &mut HttpRequest) -> bool {
    let is_strict = |tool: &&Tool| tool.function.strict == Some(true);
    let all = tools.iter().all(is_strict);
    if !all && tools.iter().any(is_strict) {
        http.warn("tools", "this provider is strict with all tools or with none, and not all of these are strict");
    }
    all
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

/// The nearest number that Cohere takes, with a warning when it is another one.
fn clamp(value: Option<f64>, min: f64, max: f64, field: &str, http: &mut HttpRequest) -> Option<f64> {
    let value = value?;
    let clamped = value.clamp(min, max);
    if clamped != value {
        http.warn(field, format!("this provider takes {min} to {max}, so it was asked for {clamped}"));
    }
    Some(clamped)
}

fn response_format(request: &ModelRequest) -> Result<Option<Value>, ErrorInfo> {
    let Some(format) = &request.response_format else { return Ok(None) };
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(json!({"type": "json_object"}))),
        Some("json_schema") => {
            let mut value = json!({"type": "json_object"});
            if let schema @ Value::Object(_) = &format["json_schema"]["schema"] {
                value["json_schema"] = schema.clone();
            }
            Ok(Some(value))
        }
        _ => {
            let message = "this provider takes no response format but text, json_object and json_schema";
            Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"))
        }
    }
}

/// Cohere's models think or do not, with or without a limit. So an effort becomes a limit.
fn thinking(request: &ModelRequest) -> Result<Option<Value>, ErrorInfo> {
    let limit = match (request.reasoning_budget, request.reasoning_effort.as_deref()) {
        (Some(tokens), _) => tokens,
        (None, None) => return Ok(None),
        (None, Some("none")) => 0,
        (None, Some("minimal")) => 1024,
        (None, Some("low")) => 4096,
        (None, Some("medium")) => 8192,
        (None, Some("high" | "xhigh" | "max")) => return Ok(Some(json!({"type": "enabled"}))),
        (None, Some(_)) => {
            let message = "expected none, minimal, low, medium, high, xhigh or max";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
        }
    };
    Ok(Some(match limit {
        0 => json!({"type": "disabled"}),
        tokens => json!({"type": "enabled", "token_budget": tokens}),
    }))
}
