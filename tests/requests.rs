//! The HTTP requests that the adapters build, compared as whole values.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tokenwire::{
    protocol::ErrorCode,
    provider::{
        HttpRequest, ModelRequest, Secret, Upstream,
        vendors::{self, Quirks},
    },
};

/// A request from the fields of a `start` frame.
fn model_request(vendor: &str, mut fields: Value) -> ModelRequest {
    let object = fields.as_object_mut().unwrap();
    object.insert("id".into(), "g".into());
    let model = format!("{vendor}/{}", object.get("model").and_then(Value::as_str).unwrap_or("m"));
    object.insert("model".into(), model.into());
    if let Some(options) = object.remove("options") {
        object.insert("provider_options".into(), json!({vendor: options}));
    }
    ModelRequest::from_start(serde_json::from_value(fields).unwrap(), vendor)
}

fn upstream(vendor: &str) -> Upstream {
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

fn build(vendor: &str, fields: Value) -> HttpRequest {
    let adapter = vendors::adapter(vendors::vendor(vendor).unwrap().wire_format).unwrap();
    adapter.request(&model_request(vendor, fields), &upstream(vendor)).unwrap()
}

fn body(vendor: &str, fields: Value) -> Value {
    serde_json::from_slice(&build(vendor, fields).body).unwrap()
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Vec<&'r str> {
    request.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "Hello"}]})
}

/// A conversation with two tool calls, both answered.
fn tool_loop() -> Value {
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

fn weather_tool() -> Value {
    json!({"type": "function", "function": {"name": "weather", "description": "Looks outside.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})
}

#[test]
fn a_plain_chat_request_asks_for_a_stream_with_usage() {
    let request = build("openai", hello());
    assert_eq!(request.url, "https://api.openai.com/v1/chat/completions");
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert_eq!(header(&request, "content-type"), ["application/json"]);
    assert_eq!(
        body("openai", hello()),
        json!({
            "model": "m",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn every_field_of_a_start_reaches_chat_completions() {
    let fields = json!({
        "model": "gpt-5",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": "https://example.com/a.png"},
            ]},
        ],
        "tools": [weather_tool(), {"type": "function", "function": {"name": "now"}}],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 100, "stop": ["\n"], "seed": 7,
        "response_format": {"type": "json_object"}, "reasoning_effort": "low",
        "options": {"service_tier": "flex", "seed": 8, "stream": false},
    });
    assert_eq!(
        body("openai", fields),
        json!({
            "model": "gpt-5",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "name": "ann", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ]},
            ],
            "tools": [
                weather_tool(),
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "tool_choice": {"type": "function", "function": {"name": "now"}},
            "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 100, "stop": ["\n"], "seed": 8,
            "response_format": {"type": "json_object"}, "reasoning_effort": "low",
            "service_tier": "flex",
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn a_tool_loop_keeps_its_shape_in_chat_completions() {
    let body = body("openai", json!({"messages": tool_loop()}));
    let assistant = json!({"role": "assistant", "tool_calls": [
        {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
        {"id": "toolu_01", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]});
    assert_eq!(body["messages"][2], assistant);
    assert_eq!(body["messages"][3], json!({"role": "tool", "tool_call_id": "functions.weather:0", "content": "sunny"}));
}

#[test]
fn vendors_get_what_they_want() {
    let fields = json!({
        "messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}],
        "max_tokens": 5, "seed": 1, "reasoning_effort": "high",
    });
    let mistral = body("mistral", fields.clone());
    assert_eq!((&mistral["max_tokens"], &mistral["random_seed"]), (&json!(5), &json!(1)));
    assert_eq!(mistral.get("stream_options"), None);
    assert_eq!(mistral.get("seed"), None);
    assert_eq!(mistral["messages"][0]["role"], "system");

    assert_eq!(body("openrouter", fields.clone())["reasoning"], json!({"effort": "high"}));
    assert_eq!(body("deepseek", fields.clone())["thinking"], json!({"type": "enabled"}));
    assert_eq!(body("dashscope", fields.clone())["enable_thinking"], true);
    let template_arguments = json!({"enable_thinking": true, "reasoning_effort": "high"});
    assert_eq!(body("vllm", fields.clone())["chat_template_kwargs"], template_arguments);
    assert_eq!(body("groq", fields.clone())["max_completion_tokens"], 5);
    assert_eq!(build("groq", fields).url, "https://api.groq.com/openai/v1/chat/completions");
}

#[test]
fn mistral_gets_ids_and_names_that_it_accepts() {
    let body = body("mistral", json!({"messages": tool_loop()}));
    let messages = body["messages"].as_array().unwrap();
    for (position, name) in [(0, "weather"), (1, "now")] {
        let call = &messages[2]["tool_calls"][position];
        let result = &messages[3 + position];
        let id = call["id"].as_str().unwrap();
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(result["tool_call_id"], call["id"]);
        assert_eq!(result["name"], name);
    }
    assert_ne!(messages[2]["tool_calls"][0]["id"], messages[2]["tool_calls"][1]["id"]);
}

#[test]
fn reasoning_goes_back_only_where_it_is_wanted() {
    let fields = json!({"messages": tool_loop()});
    assert_eq!(body("deepseek", fields.clone())["messages"][2]["reasoning_content"], "Two calls.");
    assert_eq!(body("groq", fields)["messages"][2].get("reasoning_content"), None);
}

#[test]
fn configured_headers_win() {
    let mut upstream = upstream("openai");
    upstream.headers = vec![("Authorization".into(), "Basic x".into()), ("X-Title".into(), "t".into())];
    let adapter = vendors::adapter("openai-chat").unwrap();
    let request = adapter.request(&model_request("openai", hello()), &upstream).unwrap();
    assert_eq!(header(&request, "authorization"), ["Basic x"]);
    assert_eq!(header(&request, "x-title"), ["t"]);
    assert!(!format!("{request:?}").contains("Basic"));
}

#[test]
fn a_server_without_a_key_gets_no_authorization() {
    let upstream = Upstream {
        key: None,
        base_url: "http://localhost:1/v1/".into(),
        quirks: Quirks::default(),
        ..upstream("vllm")
    };
    let request =
        vendors::adapter("openai-chat").unwrap().request(&model_request("openai", hello()), &upstream).unwrap();
    assert_eq!(request.url, "http://localhost:1/v1/chat/completions");
    assert!(header(&request, "authorization").is_empty());
}

#[test]
fn a_plain_anthropic_request_says_how_much_may_be_written() {
    let request = build("anthropic", hello());
    assert_eq!(request.url, "https://api.anthropic.com/v1/messages");
    assert_eq!(header(&request, "x-api-key"), ["key"]);
    assert_eq!(header(&request, "anthropic-version"), ["2023-06-01"]);
    assert!(header(&request, "authorization").is_empty());
    assert_eq!(
        body("anthropic", hello()),
        json!({
            "model": "m",
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
            "stream": true,
        })
    );
}

#[test]
fn every_field_of_a_start_reaches_anthropic() {
    let fields = json!({
        "model": "claude-sonnet-4-5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "text", "text": ""},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
            ]},
            {"role": "developer", "content": "In French."},
            {"role": "assistant", "content": "C'est \n"},
        ],
        "tools": [weather_tool(), {"type": "function", "function": {"name": "now"}}],
        "tool_choice": "required",
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 100, "stop": "END", "seed": 7,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "options": {"metadata": {"user_id": "u"}, "top_k": 5},
    });
    assert_eq!(
        body("anthropic", fields),
        json!({
            "model": "claude-sonnet-4-5",
            "max_tokens": 100,
            "system": "Be brief.\n\nIn French.",
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
                ]},
                {"role": "assistant", "content": [{"type": "text", "text": "C'est"}]},
            ],
            "tools": [
                {"name": "weather", "description": "Looks outside.", "input_schema": weather_tool()["function"]["parameters"]},
                {"name": "now", "input_schema": {"type": "object", "properties": {}}},
            ],
            "tool_choice": {"type": "any"},
            "temperature": 0.5, "top_p": 0.9, "stop_sequences": ["END"],
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "metadata": {"user_id": "u"}, "top_k": 5,
            "stream": true,
        })
    );
}

#[test]
fn results_of_tools_stand_in_one_message_before_all_else() {
    let body = body("anthropic", json!({"messages": tool_loop()}));
    let id = body["messages"][1]["content"][0]["id"].clone();
    assert!(id.as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "Weather in Rome and Oslo?"}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": id, "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "toolu_01", "name": "now", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}]},
                {"type": "tool_result", "tool_use_id": "toolu_01", "content": [{"type": "text", "text": "noon"}], "is_error": true},
                {"type": "text", "text": "Go on."},
            ]},
        ])
    );
}

#[test]
fn effort_becomes_thinking() {
    let ask = |model: &str, extra: Value| {
        let mut fields = hello();
        fields["model"] = model.into();
        fields["reasoning_effort"] = "medium".into();
        fields["temperature"] = 0.5.into();
        fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body("anthropic", fields)
    };
    let old = ask("claude-3-7-sonnet-20250219", json!({}));
    assert_eq!(old["thinking"], json!({"type": "enabled", "budget_tokens": 8192}));
    assert_eq!(old["max_tokens"], 16_384);
    assert_eq!(old.get("temperature"), None);

    let new = ask("claude-opus-4-6", json!({}));
    assert_eq!(new["thinking"], json!({"type": "adaptive"}));
    assert_eq!(new["output_config"], json!({"effort": "medium"}));

    let small = ask("claude-sonnet-4-20250514", json!({"max_tokens": 2000}));
    assert_eq!((&small["max_tokens"], &small["thinking"]["budget_tokens"]), (&json!(2000), &json!(1999)));
    for without in [
        ask("claude-sonnet-4-5", json!({"max_tokens": 500})),
        ask("claude-sonnet-4-5", json!({"reasoning_effort": "none"})),
        ask("claude-sonnet-4-5", json!({"tools": [weather_tool()], "tool_choice": "required"})),
        ask("claude-sonnet-4-5", json!({"messages": tool_loop().as_array().unwrap()[..5]})),
    ] {
        assert_eq!(without.get("thinking"), None);
        assert_eq!(without["temperature"], 0.5);
    }
}

#[test]
fn thinking_goes_back_with_its_signature() {
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    let mut messages = tool_loop();
    messages[2]["thinking_blocks"] = json!([thinking]);
    let fields =
        json!({"model": "claude-sonnet-4-5", "reasoning_effort": "low", "messages": messages.as_array().unwrap()[..5]});
    let anthropic = body("anthropic", fields.clone());
    assert_eq!(anthropic["messages"][1]["content"][0], thinking);
    assert_eq!(anthropic["thinking"]["budget_tokens"], 4096);
    assert_eq!(body("openai", fields)["messages"][2].get("thinking_blocks"), None);
}

#[test]
fn what_anthropic_cannot_carry_is_refused_by_the_name_of_the_field() {
    let refuse = |fields: Value| {
        let error =
            vendors::adapter("anthropic").unwrap().request(&model_request("anthropic", fields), &upstream("anthropic"));
        let error = error.unwrap_err();
        (error.code, error.field.unwrap())
    };
    let part =
        |part: Value| json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": [part]}]});
    let with = |name: &str, value: Value| {
        let mut fields = hello();
        fields[name] = value;
        fields
    };
    let content = "messages[1].content".to_owned();
    let audio = part(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}));
    assert_eq!(refuse(audio), (ErrorCode::NotSupported, content.clone()));
    let image = part(json!({"type": "image_url", "image_url": {"url": "ftp://example.com"}}));
    assert_eq!(refuse(image), (ErrorCode::BadField, content.clone()));
    let file = part(json!({"type": "file", "file": {"file_id": "f"}}));
    assert_eq!(refuse(file), (ErrorCode::NotSupported, content));
    let format = with("response_format", json!({"type": "json_object"}));
    assert_eq!(refuse(format), (ErrorCode::NotSupported, "response_format".to_owned()));
    let effort = with("reasoning_effort", json!("much"));
    assert_eq!(refuse(effort), (ErrorCode::BadField, "reasoning_effort".to_owned()));
}
