//! The HTTP requests for Ollama, and what of its answers goes back to it.
#![allow(clippy::unwrap_used)]

#[path = "support/request.rs"]
mod request;

use request::{Vendor, header, now_tool, tool_loop, weather_tool, with_part};
use serde_json::{Value, json};
use tokenwire::protocol::ErrorCode;

const OLLAMA: Vendor = Vendor("ollama");

#[test]
fn a_plain_request_asks_for_a_stream() {
    let request = OLLAMA.build(json!({}));
    assert_eq!(request.url, "http://localhost:11434/api/chat");
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert_eq!(header(&request, "accept"), ["application/x-ndjson"]);
    assert!(request.warnings.is_empty());
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": true});
    assert_eq!(OLLAMA.body(json!({})), body);
}

#[test]
fn every_field_has_its_place() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let fields = json!({
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}},
                {"type": "text", "text": "this?"},
            ]},
            {"role": "assistant", "content": "A cat.", "thinking": "Whiskers."},
        ],
        "tools": [weather_tool(), now_tool()], "tool_choice": "auto",
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "presence_penalty": 0.25, "frequency_penalty": 0.5,
        "max_tokens": 100, "stop": "END", "seed": 7, "logprobs": true, "top_logprobs": 2,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
        "options": {"options": {"num_ctx": 16384, "seed": 8}, "keep_alive": "10m", "stream": false},
    });
    assert_eq!(OLLAMA.warnings(fields.clone()), Vec::<String>::new());
    assert_eq!(
        OLLAMA.body(fields),
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is this?", "images": ["AAAA"]},
                {"role": "assistant", "content": "A cat.", "thinking": "Whiskers."},
            ],
            "tools": [
                weather_tool(),
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "think": "low",
            "format": schema,
            "logprobs": true, "top_logprobs": 2,
            "options": {
                "num_predict": 100, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "presence_penalty": 0.25,
                "frequency_penalty": 0.5, "seed": 8, "stop": ["END"], "num_ctx": 16384,
            },
            "keep_alive": "10m", "stream": true,
        })
    );
}

#[test]
fn a_tool_loop_has_arguments_as_objects_and_results_with_names() {
    assert_eq!(
        OLLAMA.body(json!({"messages": tool_loop()}))["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Rome, and what time?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "functions.weather:0", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
                {"id": "toolu_01", "function": {"name": "now", "arguments": {}}},
            ]},
            {"role": "tool", "tool_call_id": "functions.weather:0", "tool_name": "weather", "content": "sunny"},
            {"role": "tool", "tool_call_id": "toolu_01", "tool_name": "now", "content": "noon"},
            {"role": "user", "content": "Go on."},
        ])
    );
    let wrong = json!({"messages": [{"role": "assistant", "tool_calls": [
        {"id": "a", "function": {"name": "now", "arguments": "{\"cut"}},
    ]}]});
    let arguments = &OLLAMA.body(wrong)["messages"][0]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(arguments, &json!({"invalid_arguments": "{\"cut"}));
}

#[test]
fn tools_are_offered_or_not() {
    let choose = |choice: Value| json!({"tools": [weather_tool()], "tool_choice": choice});
    assert_eq!(OLLAMA.body(choose(json!("auto")))["tools"], json!([weather_tool()]));
    assert_eq!(OLLAMA.body(choose(json!("none"))).get("tools"), None);
    for forced in [json!("required"), json!({"type": "function", "function": {"name": "weather"}})] {
        assert_eq!(OLLAMA.refusal(choose(forced)), (ErrorCode::NotSupported, "tool_choice".into()));
    }
}

#[test]
fn effort_and_budget_say_whether_to_think() {
    let think = |fields: Value| OLLAMA.body(fields).get("think").cloned();
    assert_eq!(think(json!({})), None);
    for (effort, expected) in [
        ("none", json!(false)),
        ("minimal", json!("low")),
        ("medium", json!("medium")),
        ("xhigh", json!("high")),
        ("max", json!("max")),
    ] {
        assert_eq!(think(json!({"reasoning_effort": effort})), Some(expected));
    }
    assert_eq!(think(json!({"reasoning_budget": 0})), Some(json!(false)));
    let budget = json!({"reasoning_budget": 100});
    assert_eq!((OLLAMA.warnings(budget.clone()), think(budget)), (vec!["reasoning_budget".into()], Some(json!(true))));
    let wrong = json!({"reasoning_effort": "much"});
    assert_eq!(OLLAMA.refusal(wrong), (ErrorCode::BadField, "reasoning_effort".into()));
    assert_eq!(think(json!({"options": {"think": true}})), Some(json!(true)));
}

#[test]
fn formats_become_ollama_s() {
    let format = |kind: &str| OLLAMA.body(json!({"response_format": {"type": kind}})).get("format").cloned();
    assert_eq!((format("text"), format("json_object")), (None, Some(json!("json"))));
    assert_eq!(format("json_schema"), Some(json!("json")), "without a schema");
    let wrong = json!({"response_format": {"type": "grammar"}});
    assert_eq!(OLLAMA.refusal(wrong), (ErrorCode::NotSupported, "response_format".into()));
}

#[test]
fn what_can_be_left_out_is_warned_of() {
    let mut strict = weather_tool();
    strict["function"]["strict"] = true.into();
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}});
    let mut fields = with_part(image);
    let more = json!({"tools": [strict], "parallel_tool_calls": false, "top_logprobs": 2});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let warned = ["messages[1].content[1].image_url.detail", "tools", "parallel_tool_calls", "top_logprobs"];
    assert_eq!(OLLAMA.warnings(fields.clone()), warned);
    assert_eq!(OLLAMA.body(fields)["tools"], json!([weather_tool()]));
}

#[test]
fn what_cannot_be_sent_is_refused_by_the_name_of_the_field() {
    for part in [
        json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
        json!({"type": "file", "file": {"file_id": "f"}}),
    ] {
        assert_eq!(OLLAMA.refusal(with_part(part)), (ErrorCode::NotSupported, "messages[1].content[1]".into()));
    }
}

#[test]
fn thinking_goes_back_with_the_calls() {
    let answer = OLLAMA.decode(include_str!("fixtures/ollama/thinking-and-tools-without-ids.ndjson"));
    let [first, second] = &answer.call_ids[..] else { panic!("two calls") };
    let native = json!({
        "role": "assistant",
        "content": "Wait.",
        "thinking": "Hm, two.",
        "tool_calls": [
            {"id": first, "function": {"name": "weather", "arguments": {"city": "Rome"}}},
            {"id": second, "function": {"name": "now", "arguments": {}}},
        ],
    });
    assert_eq!(answer.native.as_ref(), Some(&native));
    let calls = json!([{"id": first, "function": {"name": "weather", "arguments": "{}"}}]);
    let messages = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": calls, "native": {"provider": "ollama", "content": native}},
        {"role": "tool", "tool_call_id": first, "content": "sunny"},
    ]);
    let sent = OLLAMA.body(json!({"messages": messages}));
    assert_eq!(sent["messages"][1], native);
    assert_eq!(sent["messages"][2]["tool_name"], "weather");
    assert_eq!(OLLAMA.decode(include_str!("fixtures/ollama/logprobs.ndjson")).native, None);
}

#[test]
fn logprobs_have_their_alternatives() {
    let answer = OLLAMA.decode(include_str!("fixtures/ollama/logprobs.ndjson"));
    assert_eq!(answer.logprobs, [("Hi".to_owned(), -0.25, 2), ("!".to_owned(), -0.5, 0)]);
}

#[test]
fn the_base_url_may_be_that_of_chat_completions() {
    let mut upstream = OLLAMA.upstream();
    for base_url in ["http://gpu:1", "http://gpu:1/", "http://gpu:1/v1", "http://gpu:1/api"] {
        upstream.base_url = base_url.into();
        let request = OLLAMA.adapter().models_request(&upstream).unwrap();
        assert_eq!(request.url, "http://gpu:1/api/tags");
        assert!(request.body.is_empty());
    }
    let list = br#"{"models":[{"name":"qwen3:4b","model":"qwen3:4b"},{}]}"#;
    assert_eq!(OLLAMA.adapter().models(list).unwrap(), ["qwen3:4b"]);
    assert_eq!(OLLAMA.adapter().models(b"[]").unwrap_err().code, ErrorCode::ProviderProtocol);
}
