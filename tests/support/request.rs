//! What the tests of one wire format's requests have in common. Included by path, without the server.
#![allow(dead_code, clippy::unwrap_used)]

use serde_json::{Value, json};
use tokenwire::{
    protocol::{ErrorCode, ErrorInfo},
    provider::{
        Adapter, Flow, HttpRequest, ModelEvent, ModelRequest, Secret, Turn, Upstream, framing::Splitter, vendors,
    },
};

/// A vendor, and what it is asked.
pub struct Vendor(pub &'static str);

impl Vendor {
    pub fn adapter(&self) -> std::sync::Arc<dyn Adapter> {
        vendors::adapter(vendors::vendor(self.0).unwrap().wire_format).unwrap()
    }

    pub fn upstream(&self) -> Upstream {
        let vendor = vendors::vendor(self.0).unwrap();
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

    /// The request for a start frame with these fields; `options` are the vendor's.
    pub fn try_build(&self, fields: Value) -> Result<HttpRequest, ErrorInfo> {
        let mut frame =
            json!({"id": "g", "model": format!("{}/m", self.0), "messages": [{"role": "user", "content": "Hello"}]});
        let object = frame.as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
        if let Some(options) = object.remove("options") {
            object.insert("provider_options".into(), json!({self.0: options}));
        }
        let request = ModelRequest::from_start(serde_json::from_value(frame).unwrap(), self.0);
        self.adapter().request(&request, &self.upstream())
    }

    pub fn build(&self, fields: Value) -> HttpRequest {
        self.try_build(fields).unwrap()
    }

    pub fn body(&self, fields: Value) -> Value {
        serde_json::from_slice(&self.build(fields).body).unwrap()
    }

    /// The fields that were warned of.
    pub fn warnings(&self, fields: Value) -> Vec<String> {
        self.build(fields).warnings.into_iter().map(|warning| warning.field).collect()
    }

    /// The code and the field of a refusal.
    pub fn refusal(&self, fields: Value) -> (ErrorCode, String) {
        let error = self.try_build(fields).unwrap_err();
        (error.code, error.field.unwrap())
    }

    /// What the vendor's answer becomes: the events that come whole, as they are.
    pub fn decode(&self, answer: &str) -> Whole {
        self.decode_bytes(answer.as_bytes())
    }

    /// The same for an answer that is no text.
    pub fn decode_bytes(&self, answer: &[u8]) -> Whole {
        let adapter = self.adapter();
        let mut decoder = adapter.decoder(&self.upstream());
        let mut whole = Whole::default();
        let mut splitter = Splitter::new(adapter.framing(), 1 << 20);
        let flow = splitter.push(answer, &mut |message| decoder.decode(message, &mut whole)).unwrap();
        if flow == Flow::More {
            splitter.finish(&mut |message| decoder.decode(message, &mut whole)).unwrap();
        }
        decoder.end(&mut whole).unwrap();
        whole
    }
}

/// The events of an answer that are neither text nor calls nor usage.
#[derive(Default)]
pub struct Whole {
    pub native: Option<Value>,
    pub citations: Vec<Value>,
    /// Token and logarithm, and how many others stand beside it.
    pub logprobs: Vec<(String, f64, usize)>,
    pub call_ids: Vec<String>,
}

impl Turn for Whole {
    fn emit(&mut self, event: ModelEvent<'_>) {
        match event {
            ModelEvent::Native(native) => assert!(self.native.replace(native).is_none(), "one in a turn"),
            ModelEvent::Citation(citation) => self.citations.push(serde_json::to_value(citation).unwrap()),
            ModelEvent::Logprobs(tokens) => {
                self.logprobs.extend(tokens.into_iter().map(|token| (token.token, token.logprob, token.top.len())));
            }
            ModelEvent::ToolCall { call_id, .. } => self.call_ids.push(call_id.to_string()),
            _ => {}
        }
    }
}

pub fn header<'r>(request: &'r HttpRequest, name: &str) -> Vec<&'r str> {
    request.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

/// A conversation with two tool calls, both answered.
pub fn tool_loop() -> Value {
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Rome, and what time?"},
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
    json!({"type": "function", "function": {
        "name": "weather", "description": "Looks outside.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }})
}

pub fn now_tool() -> Value {
    json!({"type": "function", "function": {"name": "now"}})
}

/// A user message with this one part after a text.
pub fn with_part(part: Value) -> Value {
    json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}, part]}]})
}
