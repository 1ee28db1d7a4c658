//! Builds the HTTP requests of the adapters, from the fields of a `start` frame.
#![allow(dead_code, clippy::unwrap_used)]

use serde_json::{Value, json};
use tokenwire::{
    protocol::{ErrorCode, Warning},
    provider::{HttpRequest, ModelRequest, Secret, Upstream, vendors},
};

/// A request from the fields of a `start` frame; `options` are those for the vendor.
pub fn model_request(vendor: &str, mut fields: Value) -> ModelRequest {
    let object = fields.as_object_mut().unwrap();
    object.insert("id".into(), "g".into());
    let model = format!("{vendor}/{}", object.get("model").and_then(Value::as_str).unwrap_or("m"));
    object.insert("model".into(), model.into());
    if let Some(options) = object.remove("options") {
        object.insert("provider_options".into(), json!({vendor: options}));
    }
    ModelRequest::from_start(serde_json::from_value(fields).unwrap(), vendor)
}

pub fn upstream(vendor: &str) -> Upstream {
    let vendor = vendors::vendor(vendor).unwrap();
    Upstream {
        name: vendor.name.to_owned(),
        base_url: vendor.base_url.to_owned(),
        key: Some(Secret::new("key")),
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: vendor.quirks,
    }
}

pub fn build(vendor: &str, fields: Value) -> HttpRequest {
    let adapter = vendors::adapter(vendors::vendor(vendor).unwrap().wire_format).unwrap();
    adapter.request(&model_request(vendor, fields), &upstream(vendor)).unwrap()
}

pub fn body(vendor: &str, fields: Value) -> Value {
    serde_json::from_slice(&build(vendor, fields).body).unwrap()
}

/// The body, and the fields that were warned about.
pub fn body_and_warnings(vendor: &str, fields: Value) -> (Value, Vec<String>) {
    let request = build(vendor, fields);
    let warned = request.warnings.into_iter().map(|Warning { field, .. }| field).collect();
    (serde_json::from_slice(&request.body).unwrap(), warned)
}

/// Why the request is refused, and which field is at fault.
pub fn refusal(vendor: &str, fields: Value) -> (ErrorCode, String) {
    let adapter = vendors::adapter(vendors::vendor(vendor).unwrap().wire_format).unwrap();
    let error = adapter.request(&model_request(vendor, fields), &upstream(vendor)).unwrap_err();
    (error.code, error.field.unwrap())
}

pub fn header<'r>(request: &'r HttpRequest, name: &str) -> Vec<&'r str> {
    request.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

pub fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "Hello"}]})
}

/// A greeting with more fields.
pub fn hello_with(fields: Value) -> Value {
    let mut hello = hello();
    hello.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    hello
}

/// A conversation whose last message is of these parts.
pub fn show(parts: Value) -> Value {
    json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": parts}]})
}

/// A conversation with two tool calls, both answered.
pub fn tool_loop() -> Value {
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Rome and Oslo?"},
        {"role": "assistant", "reasoning_content": "Two calls.", "tool_calls": [
            {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            {"id": "toolu_01", "type": "function", "function": {"name": "now", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "functions.weather:0", "content": [{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}]},
        {"role": "tool", "tool_call_id": "toolu_01", "content": "noon", "is_error": true},
        {"role": "user", "content": "Go on."},
    ])
}

pub fn weather_tool() -> Value {
    json!({"type": "function", "function": {"name": "weather", "description": "Looks outside.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})
}
