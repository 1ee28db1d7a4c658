//! Requests of ConverseStream.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Tool, ToolChoice},
};

use super::{
    super::{HttpRequest, ModelRequest, Upstream, anthropic, options},
    content::{Conversation, cache_point},
    post,
    reasoning::{self, Family, Thinking},
    set_key,
};

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let mut http = post(upstream, &request.model, "converse-stream");
    let family = Family::of(&request.model);
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| {
        let is_empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty && !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    refuse(request)?;
    let mut thinking = reasoning::thinking(request, family, &upstream.name, &mut http)?;
    let mut conversation = Conversation::new(family, &upstream.name);
    set("system", conversation.system(&request.messages)?.into());
    let messages = conversation.messages(&request.messages)?;
    for (field, message) in conversation.warnings {
        http.warn(field, message);
    }
    set("toolConfig", tool_config(request, &messages, family, &mut http));
    set("messages", messages.into());
    let sampling = sampling(request, family, &mut thinking, &mut http);
    set("inferenceConfig", inference_config(request, &thinking, sampling, &mut http).into());
    set("outputConfig", output_config(request, &thinking)?.into());
    set("additionalModelRequestFields", thinking.fields.into());
    options::merge(&mut body, &request.options);

    set_key(&mut http, upstream);
    http.set_configured_headers(upstream);
    http.body = Value::Object(body).to_string().into_bytes();
    Ok(http)
}

/// What the API cannot do at all.
fn refuse(request: &ModelRequest) -> Result<(), ErrorInfo> {
    if request.logprobs {
        let message = "this provider does not say how likely tokens were";
        return Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("logprobs"));
    }
    Ok(())
}

fn inference_config(
    request: &ModelRequest,
    thinking: &Thinking,
    sampling: [(&'static str, Option<Value>); 2],
    http: &mut HttpRequest,
) -> Map<String, Value> {
    let mut config = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    set("maxTokens", request.max_tokens.or(thinking.max_tokens()).map(Value::from));
    for (name, value) in sampling {
        set(name, value);
    }
    let stops = request.stop.as_ref().map(|stop| stop.as_slice()).unwrap_or_default();
    set("stopSequences", (!stops.is_empty()).then(|| json!(stops)));
    for (field, is_set) in [
        ("seed", request.seed.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("top_logprobs", request.top_logprobs.is_some()),
    ] {
        if is_set {
            http.warn(field, "was left out: this provider does not take it");
        }
    }
    config
}

fn output_config(request: &ModelRequest, thinking: &Thinking) -> Result<Map<String, Value>, ErrorInfo> {
    let mut config = Map::new();
    if let Some(anthropic::Thinking::Adaptive(effort)) = thinking.claude {
        config.insert("effort".to_owned(), effort.into());
    }
    match request.response_format.as_ref().map(|format| (format["type"].as_str(), &format["json_schema"])) {
        None | Some((Some("text"), _)) => {}
        Some((Some("json_schema"), _)) if !anthropic::has_schemas(&request.model) => {
            let error = ErrorInfo::new(ErrorCode::NotSupported, "this model does not keep to schemas");
            return Err(error.with_field("response_format"));
        }
        Some((Some("json_schema"), format)) => {
            let mut schema = json!({"schema": format["schema"].to_string()});
            for name in ["name", "description"] {
                if let Some(text) = format[name].as_str() {
                    schema[name] = text.into();
                }
            }
            let format = json!({"type": "json_schema", "structure": {"jsonSchema": schema}});
            config.insert("textFormat".to_owned(), format);
        }
        Some(_) => {
            let message = "this provider takes no response format but text and json_schema";
            return Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"));
        }
    }
    Ok(config)
}

/// Temperature and nucleus sampling for `inferenceConfig`, and the fields of the model's own with its `top_k`.
fn sampling(
    request: &ModelRequest,
    family: Family,
    thinking: &mut Thinking,
    http: &mut HttpRequest,
) -> [(&'static str, Option<Value>); 2] {
    if let Some(claude) = thinking.claude {
        let [(_, temperature), (_, top_p), (name, top_k)] = anthropic::sampling(request, claude, http);
        thinking.fields.extend(top_k.map(|top_k| (name.to_owned(), top_k)));
        return [("temperature", temperature), ("topP", top_p)];
    }
    match (request.top_k, family) {
        (Some(top_k), Family::Nova { .. }) => {
            thinking.fields.insert("inferenceConfig".to_owned(), json!({"topK": top_k}));
        }
        (Some(_), _) => http.warn("top_k", "was left out: the model is not known to take it"),
        (None, _) => {}
    }
    let mut temperature = request.temperature;
    if temperature.is_some_and(|temperature| temperature > 1.0) {
        http.warn("temperature", "was lowered to 1, the most that this provider takes");
        temperature = Some(1.0);
    }
    [("temperature", temperature.map(Value::from)), ("topP", request.top_p.map(Value::from))]
}

/// The tools, also where none may be called: the API wants them as long as the conversation holds calls.
fn tool_config(request: &ModelRequest, messages: &[Value], family: Family, http: &mut HttpRequest) -> Value {
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        http.warn("parallel_tool_calls", "was left out: this provider does not take it");
    }
    let is_none = request.tool_choice == Some(ToolChoice::None);
    let mut tools: Vec<Value> = Vec::new();
    if !is_none || !called(messages).is_empty() {
        for tool in &request.tools {
            tools.push(tool_spec(tool));
            // Only Claude caches tools.
            if let Some(cache_control) = tool.cache_control.as_ref().filter(|_| family.is_claude() && family.caches()) {
                tools.push(cache_point(cache_control, family));
            }
        }
        if tools.is_empty() {
            let names = called(messages);
            if !names.is_empty() {
                http.warn("tools", "those of earlier calls were added: this provider wants them, and may call them");
            }
            let schema = json!({"json": {"type": "object"}});
            tools.extend(names.iter().map(|name| json!({"toolSpec": {"name": name, "inputSchema": schema}})));
        } else if is_none {
            http.warn("tool_choice", "was left out: with earlier calls this provider wants tools, and may call them");
        }
    }
    if tools.is_empty() {
        return Value::Null;
    }
    match &request.tool_choice {
        _ if request.tools.is_empty() => json!({"tools": tools}),
        None | Some(ToolChoice::None) => json!({"tools": tools}),
        Some(ToolChoice::Auto) => json!({"tools": tools, "toolChoice": {"auto": {}}}),
        Some(ToolChoice::Required) => json!({"tools": tools, "toolChoice": {"any": {}}}),
        Some(ToolChoice::Function(name)) => json!({"tools": tools, "toolChoice": {"tool": {"name": name}}}),
    }
}

/// The names of the tools that were called in the conversation.
fn called(messages: &[Value]) -> Vec<&str> {
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    let mut names: Vec<&str> = blocks.filter_map(|block| block["toolUse"]["name"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn tool_spec(tool: &Tool) -> Value {
    let function = &tool.function;
    let schema = function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut spec = json!({"name": function.name, "inputSchema": {"json": schema}});
    if let Some(description) = function.description.as_ref().filter(|description| !description.is_empty()) {
        spec["description"] = description.as_str().into();
    }
    if let Some(strict) = function.strict {
        spec["strict"] = strict.into();
    }
    json!({"toolSpec": spec})
}
