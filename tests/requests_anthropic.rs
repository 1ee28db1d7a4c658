//! The requests of Anthropic Messages, compared as whole values.
#![allow(clippy::unwrap_used)]

#[path = "support/requests.rs"]
mod support;

use serde_json::{Value, json};
use support::{
    body, body_and_warnings, build, header, hello, hello_with, model_request, refusal, show, tool_loop, upstream,
    weather_tool,
};
use tokenwire::{protocol::ErrorCode, provider::vendors};

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
        "temperature": 0.5, "top_k": 5, "max_tokens": 100, "stop": "END",
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "options": {"metadata": {"user_id": "u"}},
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
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
            "temperature": 0.5, "top_k": 5, "stop_sequences": ["END"],
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "metadata": {"user_id": "u"},
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
fn a_budget_is_sent_where_models_count() {
    let ask = |model: &str, extra: Value| {
        let mut fields = hello_with(extra);
        fields["model"] = model.into();
        body_and_warnings("anthropic", fields)
    };
    let (old, warned) = ask("claude-sonnet-4-5", json!({"reasoning_budget": 3000, "reasoning_effort": "high"}));
    assert_eq!((&old["thinking"]["budget_tokens"], &old["max_tokens"]), (&json!(3000), &json!(11_192)));
    assert!(warned.is_empty(), "{warned:?}");
    let (last, _) = ask("claude-opus-4-6", json!({"reasoning_budget": 3000}));
    assert_eq!(last["thinking"], json!({"type": "enabled", "budget_tokens": 3000}));
    let (new, warned) = ask("claude-opus-4-7", json!({"reasoning_budget": 30_000, "temperature": 0.5}));
    assert_eq!(new["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!((&new["output_config"]["effort"], new.get("temperature")), (&json!("high"), None));
    assert_eq!(warned, ["reasoning_budget", "temperature"]);
    assert_eq!(ask("claude-sonnet-4-5", json!({"reasoning_budget": 0})).0.get("thinking"), None);
    let (_, warned) = ask("claude-sonnet-4-5", json!({"reasoning_budget": 500}));
    assert_eq!(warned, ["reasoning_budget"]);
}

#[test]
fn what_can_be_left_out_is_left_out_with_a_warning() {
    let fields = json!({
        "seed": 7, "presence_penalty": 0.5, "frequency_penalty": 0.5, "top_logprobs": 2,
        "temperature": 1.5, "top_p": 0.9, "model": "claude-sonnet-4-5",
    });
    let (body, warned) = body_and_warnings("anthropic", hello_with(fields));
    assert_eq!(warned, ["temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "top_logprobs"]);
    assert_eq!((&body["temperature"], body.get("top_p"), body.get("seed")), (&json!(1.0), None, None));
    let (body, warned) = body_and_warnings(
        "anthropic",
        hello_with(json!({"model": "claude-sonnet-4-20250514", "temperature": 0.5, "top_p": 0.9})),
    );
    assert_eq!((&body["top_p"], warned.len()), (&json!(0.9), 0));
}

#[test]
fn tools_may_be_called_one_at_a_time() {
    let choice = |fields: Value| body("anthropic", hello_with(fields)).get("tool_choice").cloned();
    let tools = json!([weather_tool()]);
    let alone = choice(json!({"tools": tools, "parallel_tool_calls": false}));
    assert_eq!(alone, Some(json!({"type": "auto", "disable_parallel_tool_use": true})));
    assert_eq!(choice(json!({"tools": tools, "parallel_tool_calls": true})), None);
    let none = choice(json!({"tools": tools, "tool_choice": "none", "parallel_tool_calls": false}));
    assert_eq!(none, Some(json!({"type": "none"})));
    assert_eq!(choice(json!({"parallel_tool_calls": false, "tool_choice": "auto"})), None);
    let error = refusal("anthropic", hello_with(json!({"tool_choice": "required"})));
    assert_eq!(error, (ErrorCode::BadField, "tool_choice".to_owned()));
}

#[test]
fn hints_for_the_cache_stand_where_they_were_given() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let mut tool = weather_tool();
    tool["cache_control"] = json!({"type": "ephemeral"});
    let mut fields = json!({
        "tools": [tool],
        "messages": [
            {"role": "system", "content": "One."},
            {"role": "system", "content": [
                {"type": "text", "text": "Two."},
                {"type": "text", "text": "Three.", "cache_control": mark},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "Four.", "cache_control": mark},
                {"type": "text", "text": "Five."},
            ]},
            {"role": "assistant", "content": "Six.", "cache_control": mark},
            {"role": "user", "content": "Seven."},
        ],
    });
    let four = body("anthropic", fields.clone());
    assert_eq!(four["tools"][0]["cache_control"], json!({"type": "ephemeral"}));
    assert_eq!(
        four["system"],
        json!([
            {"type": "text", "text": "One."},
            {"type": "text", "text": "Two."},
            {"type": "text", "text": "Three.", "cache_control": mark},
        ])
    );
    assert_eq!(four["messages"][0]["content"][0]["cache_control"], mark);
    assert_eq!(four["messages"][1]["content"], json!([{"type": "text", "text": "Six.", "cache_control": mark}]));

    // One more than the API takes: the one that holds for the least goes.
    fields["messages"][4]["cache_control"] = mark.clone();
    let five = body("anthropic", fields);
    assert_eq!(five["tools"][0].get("cache_control"), None);
    assert_eq!(five["messages"][2]["content"][0]["cache_control"], mark);
}

#[test]
fn files_are_documents() {
    let file = |file: Value| {
        let request = build("anthropic", show(json!([{"type": "file", "file": file}])));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let beta = header(&request, "anthropic-beta").first().map(|beta| (*beta).to_owned());
        (body["messages"][0]["content"][1].clone(), beta)
    };
    let (text, _) = file(json!({"file_data": "data:text/csv;base64,YSxi", "filename": "a.csv"}));
    let source = json!({"type": "text", "media_type": "text/plain", "data": "a,b"});
    assert_eq!(text, json!({"type": "document", "source": source, "title": "a.csv"}));
    let (page, _) = file(json!({"file_data": "https://example.com/a.pdf", "citations": {"enabled": true}}));
    let source = json!({"type": "url", "url": "https://example.com/a.pdf"});
    assert_eq!(page, json!({"type": "document", "source": source, "citations": {"enabled": true}}));
    let (upload, beta) = file(json!({"file_id": "file_1"}));
    assert_eq!(upload, json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}}));
    assert_eq!(beta.as_deref(), Some("files-api-2025-04-14"));
    let (image, beta) = file(json!({"file_data": "data:image/png;base64,AA"}));
    assert_eq!(image["type"], "image");
    assert_eq!(beta, None);
}

#[test]
fn features_that_are_not_for_everybody_are_named_in_the_header() {
    let mut upstream = upstream("anthropic");
    upstream.headers = vec![("Anthropic-Beta".into(), "a,b".into())];
    let mut fields = show(json!([{"type": "file", "file": {"file_id": "f"}}]));
    fields["options"] = json!({"betas": ["b", "c"]});
    let adapter = vendors::adapter("anthropic").unwrap();
    let request = adapter.request(&model_request("anthropic", fields), &upstream).unwrap();
    assert_eq!(header(&request, "anthropic-beta"), ["a,b,files-api-2025-04-14,c"]);
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap().get("betas"), None);
}

#[test]
fn results_of_tools_may_hold_images() {
    let fields = json!({"messages": [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "cache_control": {"type": "ephemeral"}, "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        ]},
    ]});
    let source = json!({"type": "base64", "media_type": "image/png", "data": "AA"});
    assert_eq!(
        body("anthropic", fields)["messages"][2]["content"],
        json!([{
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [{"type": "image", "source": source}],
            "cache_control": {"type": "ephemeral"},
        }])
    );
}

#[test]
fn an_answer_of_its_own_goes_back_as_it_was() {
    let blocks = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "a"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    ]);
    let ask = |provider: &str| {
        let native = json!({"provider": provider, "content": {"content": blocks, "container": "c1"}});
        let calls = json!([{"id": "toolu_1", "function": {"name": "weather", "arguments": "{}"}}]);
        let messages = json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "native": native, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "c"},
        ]);
        body("anthropic", json!({"model": "claude-sonnet-4-5", "reasoning_effort": "low", "messages": messages}))
    };
    let own = ask("anthropic");
    assert_eq!(own["messages"][1], json!({"role": "assistant", "content": blocks}));
    assert_eq!((&own["container"], &own["thinking"]["budget_tokens"]), (&json!("c1"), &json!(4096)));
    let other = ask("bedrock");
    assert_eq!(other["messages"][1]["content"][0], json!({"type": "text", "text": "b"}));
    assert_eq!((other.get("container"), other.get("thinking")), (None, None), "the thinking is missing");
}

#[test]
fn of_an_answer_that_broke_off_only_what_is_taken_goes_back() {
    let messages = |blocks: Value, after: Value| {
        let native = json!({"provider": "anthropic", "content": {"content": blocks}});
        let mut messages =
            vec![json!({"role": "user", "content": "a"}), json!({"role": "assistant", "native": native})];
        messages.extend(after.as_array().unwrap().clone());
        body("anthropic", json!({"messages": messages}))["messages"].clone()
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    let user = json!({"role": "user", "content": "b"});
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});

    // Thinking alone leaves nothing, and what the user says next stands with what was said before.
    let both = json!([{"role": "user", "content": [text("a"), text("b")]}]);
    assert_eq!(messages(json!([thinking]), json!([user])), both);
    assert_eq!(messages(json!([text("c"), thinking]), json!([user]))[1]["content"], json!([text("c")]));
    // A search is kept with its result, and while it may still get one.
    assert_eq!(messages(json!([text("c"), search]), json!([user]))[1]["content"], json!([text("c")]));
    assert_eq!(messages(json!([search, found]), json!([user]))[1]["content"], json!([search, found]));
    assert_eq!(messages(json!([thinking, search]), json!([]))[1]["content"], json!([thinking, search]));
}

#[test]
fn blank_text_is_left_out() {
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "\n\n"}]);
    let body = body("anthropic", json!({"messages": messages}));
    assert_eq!(body["messages"], json!([{"role": "user", "content": [{"type": "text", "text": "a"}]}]));
}

#[test]
fn models_are_listed() {
    let adapter = vendors::adapter("anthropic").unwrap();
    let request = adapter.models_request(&upstream("anthropic")).unwrap();
    assert_eq!((&*request.url, request.body.len()), ("https://api.anthropic.com/v1/models?limit=1000", 0));
    assert_eq!(header(&request, "x-api-key"), ["key"]);
    let models = adapter.models(br#"{"data":[{"type":"model","id":"claude-opus-4-6"}],"has_more":false}"#).unwrap();
    assert_eq!(models, ["claude-opus-4-6"]);
}

#[test]
fn what_anthropic_cannot_carry_is_refused_by_the_name_of_the_field() {
    let refuse = |fields: Value| refusal("anthropic", fields);
    let part = |part: Value| refuse(show(json!([{"type": "text", "text": "a"}, part])));
    let content = "messages[1].content[1]".to_owned();
    let audio = part(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}));
    assert_eq!(audio, (ErrorCode::NotSupported, content.clone()));
    let image = part(json!({"type": "image_url", "image_url": {"url": "ftp://example.com"}}));
    assert_eq!(image, (ErrorCode::BadField, content.clone()));
    for (file, code) in [
        (json!({}), ErrorCode::BadField),
        (json!({"file_data": "AAAA"}), ErrorCode::BadField),
        (json!({"file_data": "data:text/plain;base64,/w=="}), ErrorCode::BadField),
        (json!({"file_data": "data:application/zip;base64,AAAA"}), ErrorCode::NotSupported),
    ] {
        assert_eq!(part(json!({"type": "file", "file": file})), (code, content.clone()));
    }
    for (field, value, code) in [
        ("response_format", json!({"type": "json_object"}), ErrorCode::NotSupported),
        ("reasoning_effort", json!("much"), ErrorCode::BadField),
        ("logprobs", json!(true), ErrorCode::NotSupported),
    ] {
        assert_eq!(refuse(hello_with(json!({field: value}))), (code, field.to_owned()));
    }
    let format = json!({"type": "json_schema", "json_schema": {"schema": {}}});
    let old = refuse(hello_with(json!({"model": "claude-3-5-haiku-20241022", "response_format": format})));
    assert_eq!(old, (ErrorCode::NotSupported, "response_format".to_owned()));
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let system = refuse(json!({"messages": [{"role": "system", "content": [image]}]}));
    assert_eq!(system, (ErrorCode::NotSupported, "messages[0].content[0]".to_owned()));
}
