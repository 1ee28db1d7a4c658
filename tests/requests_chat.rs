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
        "model": "gpt-4.1",
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
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "parallel_tool_calls": false,
        "logprobs": true, "top_logprobs": 2,
        "response_format": {"type": "json_object"}, "reasoning_effort": "low",
        "options": {"service_tier": "flex", "seed": 8, "stream": false},
    });
    assert_eq!(
        body("openai", fields),
        json!({
            "model": "gpt-4.1",
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
            "presence_penalty": 0.5, "frequency_penalty": -0.5, "parallel_tool_calls": false,
            "logprobs": true, "top_logprobs": 2,
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
    let deepseek = body("deepseek", fields.clone());
    assert_eq!((&deepseek["thinking"], &deepseek["reasoning_effort"]), (&json!({"type": "enabled"}), &json!("high")));
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
fn models_that_think_take_no_sampling() {
    let sampling = json!({"temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.5});
    let ask = |vendor: &str, model: &str, extra: Value| {
        let mut fields = hello_with(sampling.clone());
        fields["model"] = model.into();
        fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body_and_warnings(vendor, fields)
    };
    let all = ["temperature", "top_p", "presence_penalty", "frequency_penalty"];
    for (vendor, model) in
        [("openai", "o3"), ("openai", "gpt-5-mini"), ("github", "openai/gpt-5"), ("moonshot", "kimi-k2.5")]
    {
        let (body, warned) = ask(vendor, model, json!({}));
        assert_eq!(warned, all, "{model}");
        assert!(all.iter().all(|field| body.get(*field).is_none()), "{model}");
    }
    assert_eq!(ask("openai", "gpt-5.1", json!({"reasoning_effort": "none"})).1, all[2..]);
    assert_eq!(ask("xai", "grok-4", json!({})).1, all[2..]);
    assert!(ask("openai", "gpt-5-chat-latest", json!({})).1.is_empty());
    let default = body_and_warnings("openai", hello_with(json!({"model": "o3", "temperature": 1, "top_p": 1})));
    assert_eq!((&default.0["temperature"], default.1.len()), (&json!(1.0), 0));
    for (field, value) in [("stop", json!("x")), ("logprobs", json!(true))] {
        let refused = refusal("openai", hello_with(json!({"model": "o3", field: value})));
        assert_eq!(refused, (ErrorCode::NotSupported, field.to_owned()));
    }
}

#[test]
fn what_a_vendor_lacks_is_left_out_with_a_warning() {
    let check = |vendor: &str, fields: Value, warned: &[&str]| {
        let (body, is) = body_and_warnings(vendor, hello_with(fields));
        assert_eq!(is, warned, "{vendor}");
        body
    };
    check(
        "openai",
        json!({"top_k": 5, "reasoning_budget": 1000, "top_logprobs": 2}),
        &["top_k", "top_logprobs", "reasoning_budget"],
    );
    let hot = json!({"temperature": 1.8});
    assert_eq!(check("mistral", hot.clone(), &["temperature"])["temperature"], 1.5);
    assert_eq!(check("moonshot", hot.clone(), &["temperature"])["temperature"], 1.0);
    assert_eq!(check("openai", hot, &[])["temperature"], 1.8);
    assert_eq!(check("vllm", json!({"top_k": 5}), &[])["top_k"], 5);
    assert_eq!(check("deepseek", json!({"seed": 1}), &["seed"]).get("seed"), None);
    let tools = json!({"tools": [weather_tool()], "parallel_tool_calls": false});
    assert_eq!(check("deepseek", tools.clone(), &["parallel_tool_calls"]).get("parallel_tool_calls"), None);
    assert_eq!(check("groq", tools, &[])["parallel_tool_calls"], false);
    assert_eq!(check("groq", json!({"parallel_tool_calls": false}), &[]).get("parallel_tool_calls"), None);
    check("xai", json!({"model": "grok-code-fast-1", "reasoning_effort": "low"}), &["reasoning_effort"]);
}

#[test]
fn what_would_not_be_what_was_asked_for_is_refused() {
    let check = |vendor: &str, fields: Value, field: &str| {
        assert_eq!(refusal(vendor, fields), (ErrorCode::NotSupported, field.to_owned()), "{vendor}");
    };
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}});
    for vendor in ["deepseek", "zhipu"] {
        check(vendor, hello_with(schema.clone()), "response_format");
    }
    check("perplexity", hello_with(json!({"response_format": {"type": "json_object"}})), "response_format");
    check("perplexity", hello_with(json!({"tools": [weather_tool()]})), "tools");
    check("perplexity", json!({"messages": tool_loop()}), "messages[2]");
    check("perplexity", hello_with(json!({"stop": "x"})), "stop");
    check("mistral", hello_with(json!({"logprobs": true})), "logprobs");
    check("zhipu", hello_with(json!({"tools": [weather_tool()], "tool_choice": "required"})), "tool_choice");
    let part = "messages[1].content[0]";
    check("deepseek", show(json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])), part);
    check("groq", show(json!([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}])), part);
    check("groq", show(json!([{"type": "file", "file": {"file_id": "f"}}])), part);
    let mut messages = tool_loop();
    messages[4]["content"] = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]);
    check("openai", json!({"messages": messages}), "messages[4].content[0]");
    let unknown = refusal("openai", hello_with(json!({"tool_choice": "required"})));
    assert_eq!(unknown, (ErrorCode::BadField, "tool_choice".to_owned()));
    let zhipu = body("zhipu", hello_with(json!({"tools": [weather_tool()], "tool_choice": "none"})));
    assert_eq!((zhipu.get("tools"), zhipu.get("tool_choice")), (None, None));
}

#[test]
fn thinking_is_asked_for_in_the_words_of_each_vendor() {
    let ask = |vendor: &str, fields: Value| {
        let (body, warned) = body_and_warnings(vendor, hello_with(fields));
        assert!(warned.is_empty(), "{warned:?}");
        body
    };
    let budget = json!({"reasoning_budget": 2000, "reasoning_effort": "low"});
    assert_eq!(ask("openrouter", budget.clone())["reasoning"], json!({"max_tokens": 2000}));
    let qwen = ask("dashscope", budget);
    assert_eq!((&qwen["enable_thinking"], &qwen["thinking_budget"]), (&json!(true), &json!(2000)));
    assert_eq!(ask("dashscope", json!({"reasoning_budget": 0}))["enable_thinking"], false);
    assert_eq!(ask("openrouter", json!({"reasoning_budget": 0}))["reasoning"], json!({"effort": "none"}));
    let off = ask("deepseek", json!({"reasoning_effort": "none"}));
    assert_eq!((&off["thinking"]["type"], off.get("reasoning_effort")), (&json!("disabled"), None));
    assert_eq!(ask("deepseek", json!({"reasoning_effort": "xhigh"}))["reasoning_effort"], "max");
    let magistral = ask("mistral", json!({"model": "magistral-medium-latest", "reasoning_effort": "high"}));
    assert_eq!((&magistral["prompt_mode"], magistral.get("reasoning_effort")), (&json!("reasoning"), None));
    assert_eq!(ask("mistral", json!({"reasoning_effort": "high"}))["reasoning_effort"], "high");
    assert_eq!(ask("groq", json!({"model": "qwen/qwen3-32b"}))["reasoning_format"], "parsed");
    assert_eq!(ask("groq", json!({"model": "openai/gpt-oss-120b"})).get("reasoning_format"), None);
}

#[test]
fn deepseek_calls_a_tool_that_it_must_without_thinking() {
    let fields = json!({"tools": [weather_tool()], "tool_choice": "required", "reasoning_effort": "high"});
    let (body, warned) = body_and_warnings("deepseek", hello_with(fields));
    assert_eq!((&body["tool_choice"], &body["thinking"]), (&json!("required"), &json!({"type": "disabled"})));
    assert_eq!((body.get("reasoning_effort"), &*warned), (None, &["reasoning_effort".to_owned()][..]));
}

#[test]
fn mistral_gets_documents_audio_and_nothing_that_it_does_not_know() {
    let fields = json!({"messages": [
        {"role": "user", "name": "ann", "metadata": {}, "content": [
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
            {"type": "file", "file": {"file_id": "f"}},
            {"type": "input_audio", "input_audio": {"data": "BB", "format": "wav"}},
        ]},
        {"role": "assistant", "content": "It says", "reasoning_content": "Hm."},
    ]});
    assert_eq!(
        body("mistral", fields)["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "document_url", "document_url": "data:application/pdf;base64,AA", "document_name": "a.pdf"},
                {"type": "file", "file_id": "f"},
                {"type": "input_audio", "input_audio": "BB"},
            ]},
            // To be gone on with.
            {"role": "assistant", "content": "It says", "prefix": true},
        ])
    );
}

#[test]
fn hints_for_the_cache_go_to_those_who_take_them() {
    let mark = json!({"type": "ephemeral"});
    let mut tool = weather_tool();
    tool["cache_control"] = mark.clone();
    let fields = json!({"tools": [tool], "messages": [
        {"role": "system", "content": "Be brief.", "cache_control": mark},
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}, {"type": "text", "text": "b"}]},
    ]});
    let taken = body("openrouter", fields.clone());
    assert_eq!(taken["messages"][0]["content"], json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]));
    assert_eq!(taken["messages"][1]["content"][0]["cache_control"], mark);
    assert_eq!(taken["tools"][0]["cache_control"], mark);
    let dropped = build("openai", fields);
    assert!(dropped.warnings.is_empty());
    assert!(!String::from_utf8(dropped.body).unwrap().contains("cache_control"));
}

#[test]
fn what_a_vendor_gave_for_itself_is_put_back() {
    let ask = |vendor: &str, native: Value, provider: &str| {
        let calls = json!([
            {"id": "a", "function": {"name": "weather", "arguments": "{}"}},
            {"id": "b", "function": {"name": "weather", "arguments": "{}"}},
        ]);
        let native = json!({"provider": provider, "content": native});
        let message = json!({"role": "assistant", "content": "Hm.", "tool_calls": calls, "native": native});
        body(vendor, json!({"messages": [{"role": "user", "content": "c"}, message]}))["messages"][1].clone()
    };
    let details = json!([{"type": "reasoning.encrypted", "data": "x", "index": 0}]);
    let message = ask("openrouter", json!({"reasoning_details": details}), "openrouter");
    assert_eq!((&message["reasoning_details"], &message["content"]), (&details, &json!("Hm.")));
    assert_eq!(message.get("native"), None);
    let other = ask("deepseek", json!({"reasoning_details": details}), "openrouter");
    assert_eq!(other.get("reasoning_details"), None);

    let signature = json!({"google": {"thought_signature": "s"}});
    let message = ask("vllm", json!({"tool_calls": [{"id": "b", "extra_content": signature}]}), "vllm");
    assert_eq!(
        (message["tool_calls"][0].get("extra_content"), &message["tool_calls"][1]["extra_content"]),
        (None, &signature)
    );
    assert_eq!(message["tool_calls"][1]["function"]["name"], "weather");

    let thinking = json!({"type": "thinking", "thinking": [{"type": "text", "text": "Well."}]});
    let message = ask("mistral", json!({"content": [thinking]}), "mistral");
    assert_eq!(message["content"], json!([thinking, {"type": "text", "text": "Hm."}]));
    let message = ask("openai", json!({"audio": {"id": "audio_1"}, "content": null}), "openai");
    assert_eq!((&message["audio"], &message["content"]), (&json!({"id": "audio_1"}), &Value::Null));
}

#[test]
fn models_are_listed() {
    let url = |vendor: &str| {
        let adapter = vendors::adapter("openai-chat").unwrap();
        adapter.models_request(&upstream(vendor)).unwrap().url
    };
    assert_eq!(url("openai"), "https://api.openai.com/v1/models");
    assert_eq!(url("groq"), "https://api.groq.com/openai/v1/models");
}
