//! The HTTP requests for Cohere, and what of its answers goes back to it.
#![allow(clippy::unwrap_used)]

#[path = "support/request.rs"]
mod request;

use request::{Vendor, header, now_tool, tool_loop, weather_tool, with_part};
use serde_json::{Value, json};
use tokenwire::protocol::ErrorCode;

const COHERE: Vendor = Vendor("cohere");

#[test]
fn a_plain_request_asks_for_a_stream() {
    let request = COHERE.build(json!({}));
    assert_eq!(request.url, "https://api.cohere.com/v2/chat");
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert!(request.warnings.is_empty());
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": true});
    assert_eq!(COHERE.body(json!({})), body);
}

#[test]
fn every_field_has_its_place() {
    let fields = json!({
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": "A cat."},
        ],
        "tools": [weather_tool(), now_tool()], "tool_choice": "required",
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "presence_penalty": 0.25, "frequency_penalty": 0.5,
        "max_tokens": 100, "stop": "END", "seed": 7, "logprobs": true, "parallel_tool_calls": true,
        "options": {"safety_mode": "STRICT", "documents": ["facts"], "seed": 8, "stream": false},
    });
    assert_eq!(COHERE.warnings(fields.clone()), Vec::<String>::new());
    assert_eq!(
        COHERE.body(fields),
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ]},
                {"role": "assistant", "content": "A cat."},
            ],
            "tools": [
                weather_tool(),
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "tool_choice": "REQUIRED",
            "temperature": 0.5, "p": 0.9, "k": 40, "presence_penalty": 0.25, "frequency_penalty": 0.5,
            "max_tokens": 100, "stop_sequences": ["END"], "seed": 8, "logprobs": true,
            "safety_mode": "STRICT", "documents": ["facts"], "stream": true,
        })
    );
}

#[test]
fn a_tool_loop_keeps_its_shape() {
    assert_eq!(
        COHERE.body(json!({"messages": tool_loop()}))["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Rome, and what time?"},
            {"role": "assistant", "tool_calls": [
                {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
                {"id": "toolu_01", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "functions.weather:0", "content": [{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}]},
            {"role": "tool", "tool_call_id": "toolu_01", "content": "noon"},
            {"role": "user", "content": "Go on."},
        ])
    );
}

#[test]
fn a_tool_that_must_be_called_is_offered_alone() {
    let ask = |choice: Value| COHERE.body(json!({"tools": [weather_tool(), now_tool()], "tool_choice": choice}));
    let forced = ask(json!({"type": "function", "function": {"name": "weather"}}));
    assert_eq!((&forced["tools"], &forced["tool_choice"]), (&json!([weather_tool()]), &json!("REQUIRED")));
    assert_eq!(ask(json!("none"))["tool_choice"], "NONE");
    assert_eq!(ask(json!("auto")).get("tool_choice"), None);
    let unknown = json!({"tools": [now_tool()], "tool_choice": {"type": "function", "function": {"name": "x"}}});
    assert_eq!(COHERE.refusal(unknown), (ErrorCode::BadField, "tool_choice".into()));
}

#[test]
fn tools_are_strict_together() {
    let strict = |mut tool: Value| {
        tool["function"]["strict"] = true.into();
        tool
    };
    let all = json!({"tools": [strict(weather_tool())]});
    assert_eq!(COHERE.body(all.clone())["strict_tools"], true);
    assert_eq!(COHERE.body(all)["tools"], json!([weather_tool()]));
    let some = json!({"tools": [strict(weather_tool()), now_tool()]});
    assert_eq!(COHERE.warnings(some.clone()), ["tools"]);
    assert_eq!(COHERE.body(some).get("strict_tools"), None);
}

#[test]
fn effort_and_budget_become_a_limit_of_thinking() {
    let thinking = |fields: Value| COHERE.body(fields)["thinking"].clone();
    assert_eq!(thinking(json!({"reasoning_effort": "none"})), json!({"type": "disabled"}));
    assert_eq!(thinking(json!({"reasoning_effort": "low"})), json!({"type": "enabled", "token_budget": 4096}));
    assert_eq!(thinking(json!({"reasoning_effort": "high"})), json!({"type": "enabled"}));
    let both = json!({"reasoning_effort": "high", "reasoning_budget": 500});
    assert_eq!(thinking(both), json!({"type": "enabled", "token_budget": 500}));
    assert_eq!(thinking(json!({"reasoning_budget": 0})), json!({"type": "disabled"}));
    let wrong = json!({"reasoning_effort": "much"});
    assert_eq!(COHERE.refusal(wrong), (ErrorCode::BadField, "reasoning_effort".into()));
}

#[test]
fn formats_become_cohere_s() {
    let format = |format: Value| COHERE.body(json!({"response_format": format})).get("response_format").cloned();
    assert_eq!(format(json!({"type": "text"})), None);
    assert_eq!(format(json!({"type": "json_object"})), Some(json!({"type": "json_object"})));
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let wanted = json!({"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": schema}});
    assert_eq!(format(wanted), Some(json!({"type": "json_object", "json_schema": schema})));
    assert_eq!(format(json!({"type": "json_schema"})), Some(json!({"type": "json_object"})));
    let wrong = json!({"response_format": {"type": "grammar"}});
    assert_eq!(COHERE.refusal(wrong), (ErrorCode::NotSupported, "response_format".into()));
}

#[test]
fn what_can_be_left_out_is_warned_of() {
    let fields = json!({
        "top_p": 1, "presence_penalty": -1, "frequency_penalty": 2, "logprobs": true, "top_logprobs": 3,
        "parallel_tool_calls": false,
    });
    let warned = ["top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "parallel_tool_calls"];
    assert_eq!(COHERE.warnings(fields.clone()), warned);
    let body = COHERE.body(fields);
    assert_eq!((&body["p"], &body["presence_penalty"]), (&json!(0.99), &json!(0.0)));
    assert_eq!((&body["frequency_penalty"], &body["logprobs"]), (&json!(1.0), &json!(true)));
}

#[test]
fn what_cannot_be_sent_is_refused_by_the_name_of_the_field() {
    let place = || (ErrorCode::NotSupported, "messages[1].content[1]".to_owned());
    let audio = json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}});
    assert_eq!(COHERE.refusal(with_part(audio)), place());
    assert_eq!(COHERE.refusal(with_part(json!({"type": "file", "file": {"file_id": "f"}}))), place());
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let result = json!({"messages": [{"role": "tool", "tool_call_id": "a", "content": [image]}]});
    assert_eq!(COHERE.refusal(result).1, "messages[0].content[0]");
}

#[test]
fn plan_and_thinking_go_back_with_the_calls() {
    let answer = include_str!("fixtures/cohere/thinking-plan-and-tools.sse");
    let native = COHERE.decode(answer).native.unwrap();
    let expected = json!({
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm, two."}],
        "tool_plan": "I will look.",
        "tool_calls": [
            {"id": "weather_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            {"id": "now_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    });
    assert_eq!(native, expected);

    let message = |provider: &str| {
        let native = json!({"provider": provider, "content": native});
        let message = json!({"role": "assistant", "content": "x", "native": native});
        COHERE.body(json!({"messages": [{"role": "user", "content": "a"}, message]}))["messages"][1].clone()
    };
    assert_eq!(message("cohere"), expected);
    assert_eq!(message("anthropic"), json!({"role": "assistant", "content": "x"}));
    assert_eq!(COHERE.decode(include_str!("fixtures/cohere/citations-and-logprobs.sse")).native, None);
}

#[test]
fn citations_name_their_sources() {
    let answer = COHERE.decode(include_str!("fixtures/cohere/citations-and-logprobs.sse"));
    let [first, second] = &answer.citations[..] else { panic!("two citations") };
    assert_eq!((&first["url"], &first["title"]), (&json!("https://example.com/ruby"), &json!("Ruby")));
    assert_eq!((&first["source"]["start"], &first["source"]["sources"][0]["id"]), (&json!(0), &json!("doc:0")));
    assert_eq!((second.get("url"), &second["title"]), (None, &json!("Search")));
    assert_eq!(answer.logprobs, [("Matz".to_owned(), -0.5, 0), (" made it".to_owned(), -0.75, 0)]);
}

#[test]
fn models_are_listed_by_version_1() {
    let mut upstream = COHERE.upstream();
    for base_url in ["https://api.cohere.com", "https://api.cohere.com/v2/"] {
        upstream.base_url = base_url.into();
        let request = COHERE.adapter().models_request(&upstream).unwrap();
        assert_eq!(request.url, "https://api.cohere.com/v1/models?endpoint=chat&page_size=1000");
        assert!(request.body.is_empty());
        assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    }
    let list = br#"{"models":[{"name":"command-a","endpoints":["chat"]},{"name":null},{"name":"command-r"}]}"#;
    assert_eq!(COHERE.adapter().models(list).unwrap(), ["command-a", "command-r"]);
    assert_eq!(COHERE.adapter().models(b"{}").unwrap_err().code, ErrorCode::ProviderProtocol);
}
