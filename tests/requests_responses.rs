//! Requests of Responses, and where the requests of OpenAI's APIs go, compared as whole values.
#![allow(clippy::unwrap_used)]

#[path = "support/requests.rs"]
mod support;

use serde_json::{Value, json};
use support::{body_and_warnings, header, hello, hello_with, model_request, refusal, show, upstream};
use tokenwire::{
    config::{Env, Loader},
    protocol::ErrorCode,
    provider::{HttpRequest, Upstream, vendors},
};

const OPENAI: &str = "openai-responses";

/// Responses asked of any vendor.
fn build_for(vendor: &str, fields: Value) -> HttpRequest {
    let adapter = vendors::adapter("openai-responses").unwrap();
    adapter.request(&model_request(vendor, fields), &upstream(vendor)).unwrap()
}

fn body(fields: Value) -> Value {
    support::body(OPENAI, fields)
}

#[test]
fn a_plain_request_keeps_nothing_at_the_provider() {
    let request = support::build(OPENAI, hello());
    assert_eq!(request.url, "https://api.openai.com/v1/responses");
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert_eq!(
        body(hello()),
        json!({"model": "m", "input": [{"role": "user", "content": "Hello"}], "store": false, "stream": true})
    );
}

#[test]
fn every_field_of_a_start_reaches_it() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let fields = json!({
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": "data:image/png;base64,AAAA"},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_url": "https://example.com/a.pdf"}},
            ]},
            {"role": "assistant", "content": "A cat."},
            {"role": "developer", "content": "In Greek."},
            {"role": "user", "content": [{"type": "text", "text": "Go "}, {"type": "text", "text": "on."}]},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": schema, "strict": true}},
            {"type": "function", "function": {"name": "now"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
        "parallel_tool_calls": false,
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 100,
        "logprobs": true, "top_logprobs": 3,
        "response_format": {"type": "json_schema", "json_schema": {"name": "cat", "schema": schema, "strict": true}},
        "reasoning_effort": "low",
        "options": {
            "tools": [{"type": "web_search"}], "include": ["web_search_call.action.sources"],
            "text": {"verbosity": "low"}, "service_tier": "flex", "stream": false,
        },
    });
    assert_eq!(
        body(fields),
        json!({
            "model": "gpt-5",
            "instructions": "Be brief.\n\nIn French.",
            "input": [
                {"role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                ]},
                {"role": "assistant", "content": "A cat."},
                {"role": "developer", "content": "In Greek."},
                {"role": "user", "content": "Go on."},
            ],
            "tools": [
                {"type": "function", "name": "look", "description": "Looks.", "parameters": schema, "strict": true},
                {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": false},
                {"type": "web_search"},
            ],
            "tool_choice": {"type": "function", "name": "now"},
            "parallel_tool_calls": false,
            "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 100,
            "include": ["web_search_call.action.sources", "reasoning.encrypted_content", "message.output_text.logprobs"],
            "top_logprobs": 3,
            "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "cat", "schema": schema, "strict": true}},
            "reasoning": {"effort": "low", "summary": "auto"},
            "service_tier": "flex",
            "store": false,
            "stream": true,
        })
    );
}

#[test]
fn elsewhere_instructions_stay_in_the_conversation() {
    let fields = json!({"messages": [
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"},
    ]});
    let request = build_for("xai", fields);
    assert_eq!(request.url, "https://api.x.ai/v1/responses");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body["input"],
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
    );
    assert_eq!(body.get("instructions"), None);
}

#[test]
fn what_the_api_does_not_have_is_left_out_with_a_warning() {
    let fields = hello_with(json!({
        "seed": 1, "top_k": 2, "presence_penalty": 0.1, "frequency_penalty": 0.2, "reasoning_budget": 1024,
        "top_logprobs": 2, "max_tokens": 1,
    }));
    let (body, warned) = body_and_warnings(OPENAI, fields);
    assert_eq!(
        warned,
        ["seed", "top_k", "presence_penalty", "frequency_penalty", "reasoning_budget", "top_logprobs", "max_tokens"]
    );
    assert_eq!(body["max_output_tokens"], 16);
    for name in ["seed", "top_k", "presence_penalty", "frequency_penalty", "top_logprobs", "include"] {
        assert_eq!(body.get(name), None, "{name}");
    }
    let named = json!({"messages": [{"role": "user", "name": "ann", "content": "Hello"}]});
    assert_eq!(body_and_warnings(OPENAI, named).1, ["messages[0].name"]);
}

#[test]
fn what_would_change_the_answer_is_refused_by_the_name_of_the_field() {
    let refuse = |fields: Value| refusal(OPENAI, fields);
    assert_eq!(refuse(hello_with(json!({"stop": "END"}))), (ErrorCode::NotSupported, "stop".to_owned()));
    let format = hello_with(json!({"response_format": {"type": "grammar"}}));
    assert_eq!(refuse(format), (ErrorCode::NotSupported, "response_format".to_owned()));
    let file = show(json!([{"type": "text", "text": "b"}, {"type": "file", "file": {"filename": "a.pdf"}}]));
    assert_eq!(refuse(file), (ErrorCode::BadField, "messages[1].content[1]".to_owned()));
    let image = json!({"messages": [
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
        {"role": "user", "content": "a"},
    ]});
    assert_eq!(refuse(image), (ErrorCode::NotSupported, "messages[1].content[0]".to_owned()));
    let audio = json!({"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "CC", "format": "wav"}},
    ]}]});
    assert_eq!(refuse(audio), (ErrorCode::NotSupported, "messages[0].content[0]".to_owned()));
    // An empty list asks for nothing.
    body(hello_with(json!({"stop": []})));
}

#[test]
fn encrypted_reasoning_is_asked_for_only_where_there_is_reasoning() {
    let included = |model: &str, effort: Option<&str>| {
        let mut fields = hello_with(json!({"model": model}));
        if let Some(effort) = effort {
            fields["reasoning_effort"] = effort.into();
        }
        body(fields)["include"] == json!(["reasoning.encrypted_content"])
    };
    for model in ["o3", "o4-mini", "gpt-5", "openai/gpt-5.1-codex", "grok-4-fast-reasoning"] {
        assert!(included(model, None), "{model}");
    }
    for model in ["gpt-4o", "gpt-5-chat-latest", "my-deployment", "grok-4-fast-non-reasoning", "olmo"] {
        assert!(!included(model, None), "{model}");
    }
    assert!(included("my-deployment", Some("low")));
    assert!(!included("gpt-5.1", Some("none")));
    assert_eq!(body(hello_with(json!({"reasoning_effort": "none"})))["reasoning"], json!({"effort": "none"}));
    // Then the provider keeps it.
    let stored = body(hello_with(json!({"model": "o3", "options": {"store": true}})));
    assert_eq!((&stored["store"], stored.get("include")), (&json!(true), None));
}

#[test]
fn an_answer_of_its_own_goes_back_as_it_was() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"});
    let with_nulls = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA",
        "status": null, "content": []});
    let unkept = json!({"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "Hm."}]});
    let open = json!({"type": "reasoning", "id": "rs_3", "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}]});
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"});
    let custom =
        json!({"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "sql", "input": "SELECT"});
    let native = json!({"provider": "openai-responses",
        "content": [with_nulls, unkept, open, search, call, custom]});
    let fields = json!({"messages": [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "Let me see.", "native": native, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            {"id": "call_2", "type": "function", "function": {"name": "sql", "arguments": "SELECT"}},
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": [
            {"type": "text", "text": "This:"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]},
        {"role": "tool", "tool_call_id": "call_2", "content": "1 row", "is_error": true},
    ]});
    assert_eq!(
        body(fields.clone())["input"],
        json!([
            {"role": "user", "content": "Look."},
            reasoning, open, search, call, custom,
            {"type": "function_call_output", "call_id": "call_1", "output": [
                {"type": "input_text", "text": "This:"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
            ]},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "1 row"},
        ])
    );
    let mut stored = fields.clone();
    stored["options"] = json!({"store": true});
    assert_eq!(body(stored)["input"][2], unkept);

    // That of another provider is read from its text and calls.
    let mut foreign = fields;
    foreign["messages"][1]["native"]["provider"] = "anthropic".into();
    assert_eq!(
        body(foreign)["input"].as_array().unwrap()[1..4],
        [
            json!({"role": "assistant", "content": "Let me see."}),
            json!({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}),
            json!({"type": "function_call", "call_id": "call_2", "name": "sql", "arguments": "SELECT"}),
        ]
    );
}

#[test]
fn reasoning_that_led_to_nothing_stays_here() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"});
    let native = json!({"provider": "openai-responses", "content": [reasoning]});
    let fields = json!({"messages": [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "native": native},
        {"role": "user", "content": "And?"},
    ]});
    let said = |text: &str| json!({"role": "user", "content": text});
    assert_eq!(body(fields)["input"], json!([said("Look."), said("And?")]));
}

#[test]
fn long_ids_of_other_providers_are_shortened_alike() {
    let id = "functions.look:0-".repeat(8);
    let body = body(json!({"messages": [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": "look", "arguments": " "}}]},
        {"role": "tool", "tool_call_id": id, "content": "blue"},
    ]}));
    let call = &body["input"][1];
    assert_eq!((&call["arguments"], &call["call_id"]), (&json!("{}"), &body["input"][2]["call_id"]));
    assert!(call["call_id"].as_str().unwrap().len() <= 64);
}

#[test]
fn the_shapes_of_answers_are_flat() {
    let format = |format: Value| body(hello_with(json!({"response_format": format})))["text"].clone();
    assert_eq!(format(json!({"type": "text"})), Value::Null);
    assert_eq!(format(json!({"type": "json_object"})), json!({"format": {"type": "json_object"}}));
    assert_eq!(
        format(json!({"type": "json_schema", "json_schema": {"schema": {}}})),
        json!({"format": {"type": "json_schema", "name": "answer", "schema": {}}})
    );
}

#[test]
fn models_can_be_listed() {
    let adapter = vendors::adapter("openai-responses").unwrap();
    let request = adapter.models_request(&upstream("openai-responses")).unwrap();
    assert_eq!((request.url.as_str(), request.body.len()), ("https://api.openai.com/v1/models", 0));
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert_eq!(adapter.models(br#"{"data":[{"id":"a"},{"id":"b"},{}]}"#).unwrap(), ["a", "b"]);
    assert_eq!(adapter.models(b"<html>").unwrap_err().code, ErrorCode::ProviderProtocol);
    assert!(adapter.models_request(&upstream("azure-responses")).is_none());
}

/// Where a vendor's prefix belongs to OpenAI's APIs, it does so for both.
#[test]
fn every_vendor_can_be_asked_for_responses() {
    let url = |vendor: &str| build_for(vendor, hello()).url;
    assert_eq!(url("groq"), "https://api.groq.com/openai/v1/responses");
    assert_eq!(url("cerebras"), "https://api.cerebras.ai/v1/responses");
    assert_eq!(url("openrouter"), "https://openrouter.ai/api/v1/responses");
    assert_eq!(url("deepseek"), "https://api.deepseek.com/responses");
    assert_eq!(url("lmstudio"), "http://localhost:1234/v1/responses");
    assert_eq!(url("anthropic"), "https://api.anthropic.com/responses");
}

/// The request to an Azure vendor: its URL and what says who asks.
fn azure(vendor: &str, model: &str, base_url: &str, version: Option<&str>) -> (String, Vec<(String, String)>) {
    let row = vendors::vendor(vendor).unwrap();
    let upstream =
        Upstream { base_url: base_url.to_owned(), api_version: version.map(str::to_owned), ..upstream(vendor) };
    let request = model_request(vendor, hello_with(json!({"model": model})));
    let request = vendors::adapter(row.wire_format).unwrap().request(&request, &upstream).unwrap();
    let identity = request.headers.iter().filter(|(name, _)| matches!(&**name, "authorization" | "api-key"));
    let identity = identity.map(|(name, value)| (name.to_string(), value.clone())).collect();
    (request.url, identity)
}

#[test]
fn azure_has_two_styles_of_urls() {
    let base = "https://r.openai.azure.com";
    let check = |vendor: &str, base_url: &str, version: Option<&str>, expected: &str| {
        let (url, identity) = azure(vendor, "my dep/../x", base_url, version);
        assert_eq!(url, format!("{base}{expected}"));
        assert_eq!(identity, [("api-key".to_owned(), "key".to_owned())]);
    };
    for base_url in [base, "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1/"] {
        check("azure", base_url, None, "/openai/v1/chat/completions");
        check("azure-responses", base_url, None, "/openai/v1/responses");
        check("azure-responses", base_url, Some("preview"), "/openai/v1/responses?api-version=preview");
    }
    let dated = Some("2025-03-01-preview");
    for base_url in [base, "https://r.openai.azure.com/openai"] {
        check(
            "azure",
            base_url,
            dated,
            "/openai/deployments/my%20dep%2F..%2Fx/chat/completions?api-version=2025-03-01-preview",
        );
        check("azure-responses", base_url, dated, "/openai/responses?api-version=2025-03-01-preview");
    }
    let (url, _) = azure("azure", "m", "https://r.openai.azure.com/openai/deployments/other", dated);
    assert_eq!(url, format!("{base}/openai/deployments/other/chat/completions?api-version=2025-03-01-preview"));
    let foundry = "https://r.services.ai.azure.com";
    let (url, _) = azure("azure-foundry", "m", foundry, None);
    assert_eq!(url, format!("{foundry}/models/chat/completions?api-version=2024-05-01-preview"));
    let (url, _) = azure("azure-foundry", "m", &format!("{foundry}/models"), Some("2025-04-01"));
    assert_eq!(url, format!("{foundry}/models/chat/completions?api-version=2025-04-01"));
}

/// What the environment makes of a vendor: its section.
fn section(name: &str, variables: &[(&str, &str)]) -> Option<tokenwire::config::ProviderConfig> {
    let env: Env = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Loader::new().env(env).load().unwrap().config.providers.get(name).cloned()
}

#[test]
fn azure_is_configured_by_the_variables_of_its_sdk() {
    let variables = [
        ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com"),
        ("AZURE_OPENAI_AD_TOKEN", "token"),
        ("OPENAI_API_VERSION", "2024-10-21"),
    ];
    let azure = section("azure", &variables).unwrap();
    assert_eq!(azure.base_url.as_deref(), Some("https://r.openai.azure.com"));
    assert_eq!(azure.bearer_token.as_deref(), Some("token"));
    assert_eq!(azure.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(azure.api_key, None);
    assert!(section("azure", &[("OPENAI_API_VERSION", "2024-10-21")]).is_none());
}
