//! The requests of chat completions, compared as whole values.
#![allow(clippy::unwrap_used)]

#[path = "support/requests.rs"]
mod support;

use serde_json::{Value, json};
use support::{
    body, body_and_warnings, build, header, hello, hello_with, model_request, refusal, show, tool_loop, upstream,
    weather_tool,
};
use tokenwire::{
    protocol::ErrorCode,
    provider::{
        Upstream,
        vendors::{self, Quirks},
    },
};

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
