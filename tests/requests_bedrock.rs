//! The HTTP requests for AWS Bedrock, and what of its answers goes back to it.
#![allow(clippy::unwrap_used)]

#[path = "support/event_stream.rs"]
mod event_stream;
#[path = "support/request.rs"]
mod request;

use event_stream::event;
use request::{Vendor, Whole, header, now_tool, tool_loop, weather_tool, with_part};
use serde_json::{Value, json};
use tokenwire::protocol::ErrorCode;

const CONVERSE: Vendor = Vendor("bedrock");
const INVOKE: Vendor = Vendor("bedrock-anthropic");

const CLAUDE: &str = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const CLAUDE_3: &str = "bedrock/anthropic.claude-3-haiku-20240307-v1:0";
const CLAUDE_NEW: &str = "bedrock/global.anthropic.claude-opus-4-6-v1";
const NOVA: &str = "bedrock/us.amazon.nova-2-lite-v1:0";
const GPT_OSS: &str = "bedrock/openai.gpt-oss-120b-1:0";

/// `fields` for another model.
fn ask(model: &str, mut fields: Value) -> Value {
    fields["model"] = model.into();
    fields
}

fn text(text: &str) -> Value {
    json!({"text": text})
}

fn user(content: Value) -> Value {
    json!([{"role": "user", "content": content}])
}

#[test]
fn a_plain_request_names_the_model_in_its_url() {
    let request = CONVERSE.build(ask(CLAUDE, json!({})));
    assert_eq!(
        request.url,
        "https://bedrock-runtime.{region}.amazonaws.com/model/\
         us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"
    );
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert_eq!(header(&request, "content-type"), ["application/json"]);
    assert_eq!(header(&request, "accept"), ["application/vnd.amazon.eventstream"]);
    assert!(request.warnings.is_empty());
    assert_eq!(CONVERSE.body(json!({})), json!({"messages": user(json!([text("Hello")]))}));

    let arn = "bedrock/arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2";
    let url = CONVERSE.build(ask(arn, json!({}))).url;
    let encoded = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2";
    assert!(url.ends_with(&format!("/model/{encoded}/converse-stream")), "{url}");
}

#[test]
fn every_field_has_its_place() {
    let fields = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "text", "text": " \n"},
                {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "s3://bucket/a/b.webp"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "Q1_report: v2.pdf"}},
                {"type": "file", "file": {"file_data": "data:text/x-log;base64,CCCC", "filename": "Q1 report v2.log"}},
                {"type": "file", "file": {"file_data": "data:application/octet-stream;base64,DDDD", "filename": "a.docx"}},
                {"type": "file", "file": {"file_id": "s3://bucket/clip.3gp"}},
                {"type": "input_audio", "input_audio": {"data": "EEEE", "format": "wav"}},
            ]},
            {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": "And?"},
            {"role": "user", "content": "Say more."},
        ],
        "tools": [weather_tool(), {"type": "function", "function": {"name": "now", "strict": true}}],
        "tool_choice": "required",
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_tokens": 100, "stop": "END",
        "parallel_tool_calls": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "cat", "schema": {"type": "object"}}},
        "options": {
            "inferenceConfig": {"topP": 0.8}, "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        },
    });
    let fields = ask(CLAUDE, fields);
    assert_eq!(CONVERSE.warnings(fields.clone()), ["top_p"], "newer Claude models take it or the temperature");
    let name = "Q1 report v2";
    let document = |format: &str, name: &str, bytes: &str| json!({"document": {"format": format, "name": name, "source": {"bytes": bytes}}});
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    assert_eq!(
        CONVERSE.body(fields),
        json!({
            "system": [text("Be brief."), text("Be kind.")],
            "messages": [
                {"role": "user", "content": [
                    text("What is this?"),
                    {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}},
                    {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/a/b.webp"}}}},
                    document("pdf", name, "BBBB"),
                    document("txt", &format!("{name} (2)"), "CCCC"),
                    document("docx", "a", "DDDD"),
                    {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://bucket/clip.3gp"}}}},
                    {"audio": {"format": "wav", "source": {"bytes": "EEEE"}}},
                ]},
                {"role": "assistant", "content": [text("A cat.")]},
                {"role": "user", "content": [text("And?"), text("Say more.")]},
            ],
            "toolConfig": {
                "tools": [
                    {"toolSpec": {"name": "weather", "description": "Looks outside.", "inputSchema": {"json": schema}}},
                    {"toolSpec": {"name": "now", "strict": true,
                        "inputSchema": {"json": {"type": "object", "properties": {}}}}},
                ],
                "toolChoice": {"any": {}},
            },
            "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "topP": 0.8, "stopSequences": ["END"]},
            "outputConfig": {"textFormat": {"type": "json_schema",
                "structure": {"jsonSchema": {"name": "cat", "schema": "{\"type\":\"object\"}"}}}},
            "additionalModelRequestFields": {"top_k": 40},
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        })
    );
}

#[test]
fn a_tool_loop_goes_back_in_order() {
    let body = CONVERSE.body(ask(CLAUDE, json!({"messages": tool_loop(), "tools": [weather_tool(), now_tool()]})));
    let id = &body["messages"][1]["content"][0]["toolUse"]["toolUseId"];
    assert!(id.as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [text("Weather in Rome, and what time?")]},
            {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": id, "name": "weather", "input": {"city": "Rome"}}},
                {"toolUse": {"toolUseId": "toolu_01", "name": "now", "input": {}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": id, "content": [text("sun"), text("ny")]}},
                {"toolResult": {"toolUseId": "toolu_01", "content": [text("noon")], "status": "error"}},
                text("Go on."),
            ]},
        ])
    );
    // Only Claude and Nova know of failed tools.
    let fields = ask("bedrock/mistral.large", json!({"messages": tool_loop(), "tools": [now_tool()]}));
    assert_eq!(CONVERSE.warnings(fields.clone()), ["messages[4].is_error"]);
    assert_eq!(CONVERSE.body(fields)["messages"][2]["content"][1]["toolResult"].get("status"), None);
}

#[test]
fn tool_choices() {
    let choice = |choice: Value| CONVERSE.body(json!({"tools": [now_tool()], "tool_choice": choice}));
    assert_eq!(choice(json!("auto"))["toolConfig"]["toolChoice"], json!({"auto": {}}));
    let named = json!({"type": "function", "function": {"name": "now"}});
    assert_eq!(choice(named)["toolConfig"]["toolChoice"], json!({"tool": {"name": "now"}}));
    assert_eq!(choice(json!("none")).get("toolConfig"), None);

    // With calls in the conversation the API wants tools in any case.
    let fields = json!({"messages": tool_loop(), "tools": [weather_tool()], "tool_choice": "none"});
    assert_eq!(CONVERSE.warnings(ask(CLAUDE, fields.clone())), ["tool_choice"]);
    let config = &CONVERSE.body(fields)["toolConfig"];
    assert_eq!((config["tools"].as_array().unwrap().len(), config.get("toolChoice")), (1, None));
    let fields = ask(CLAUDE, json!({"messages": tool_loop()}));
    assert_eq!(CONVERSE.warnings(fields.clone()), ["tools"]);
    let spec = |name: &str| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
    assert_eq!(CONVERSE.body(fields)["toolConfig"], json!({"tools": [spec("now"), spec("weather")]}));
}

#[test]
fn what_can_be_cached_is_marked() {
    let cached = json!({"type": "ephemeral"});
    let fields = json!({
        "messages": [
            {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": cached}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "now", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "noon", "cache_control": cached}]},
        ],
        "tools": [{"type": "function", "function": {"name": "now"}, "cache_control": cached}],
    });
    let point = json!({"cachePoint": {"type": "default"}});
    let body = CONVERSE.body(ask(CLAUDE, fields.clone()));
    assert_eq!(body["system"], json!([text("Be brief."), {"cachePoint": {"type": "default", "ttl": "1h"}}]));
    assert_eq!(body["messages"][0]["content"], json!([text("a"), point, text("b")]));
    assert_eq!(body["messages"][2]["content"][1], point);
    assert_eq!(body["toolConfig"]["tools"][1], point);
    let body = CONVERSE.body(ask(NOVA, fields.clone()));
    assert_eq!(body["system"][1], point);
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    for model in [CLAUDE_3, GPT_OSS] {
        assert!(!CONVERSE.body(ask(model, fields.clone())).to_string().contains("cachePoint"), "{model}");
    }
}

#[test]
fn every_family_thinks_in_its_own_way() {
    let body = |model: &str, fields: Value| CONVERSE.body(ask(model, fields));
    let effort = |model: &str, effort: &str| body(model, json!({"reasoning_effort": effort}));
    let claude = effort(CLAUDE, "low");
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 4096}});
    assert_eq!(claude["additionalModelRequestFields"], thinking);
    assert_eq!(claude["inferenceConfig"], json!({"maxTokens": 12_288}));
    let bounded = body(CLAUDE, json!({"reasoning_budget": 9000, "max_tokens": 5000}));
    assert_eq!(bounded["additionalModelRequestFields"]["thinking"]["budget_tokens"], 4999);
    assert_eq!(bounded["inferenceConfig"], json!({"maxTokens": 5000}));
    let new = effort(CLAUDE_NEW, "max");
    assert_eq!(new["additionalModelRequestFields"], json!({"thinking": {"type": "adaptive"}}));
    assert_eq!(new["outputConfig"], json!({"effort": "max"}));
    let nova = effort(NOVA, "minimal");
    let config = json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}});
    assert_eq!(nova["additionalModelRequestFields"], config);
    assert_eq!(effort(GPT_OSS, "max")["additionalModelRequestFields"], json!({"reasoning_effort": "high"}));
    assert_eq!(effort(CLAUDE, "none").get("additionalModelRequestFields"), None);
}

#[test]
fn what_cannot_be_asked_is_warned_of() {
    let check = |model: &str, fields: Value, warnings: &[&str]| {
        assert_eq!(CONVERSE.warnings(ask(model, fields)), warnings, "{model}");
    };
    let everything = json!({
        "seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.5, "top_logprobs": 2, "top_k": 3, "temperature": 1.5,
        "parallel_tool_calls": false, "tools": [now_tool()], "reasoning_effort": "low", "reasoning_budget": 2000,
    });
    let all = [
        "reasoning_budget",
        "reasoning_effort",
        "parallel_tool_calls",
        "top_k",
        "temperature",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
    ];
    check("bedrock/mistral.large", everything.clone(), &all);
    assert_eq!(CONVERSE.body(everything)["inferenceConfig"], json!({"temperature": 1.0}));

    let sampling = json!({"reasoning_effort": "low", "temperature": 0.5, "top_p": 0.5, "top_k": 5});
    check(CLAUDE, sampling.clone(), &["temperature", "top_p", "top_k"]);
    check(NOVA, sampling, &[]);
    check(CLAUDE, json!({"reasoning_effort": "low", "max_tokens": 1000}), &["reasoning_effort"]);
    check(
        CLAUDE,
        json!({"reasoning_budget": 2000, "tools": [now_tool()], "tool_choice": "required"}),
        &["reasoning_budget"],
    );
    check(CLAUDE_3, json!({"reasoning_effort": "low"}), &["reasoning_effort"]);
    let no_thoughts =
        json!({"messages": tool_loop().as_array().unwrap()[..5], "tools": [now_tool()], "reasoning_effort": "low"});
    check(CLAUDE, no_thoughts.clone(), &["reasoning_effort"]);
    check(CLAUDE_NEW, no_thoughts, &[]);

    let first = json!({"messages": [{"role": "assistant", "content": "Hi! "}]});
    check(CLAUDE, first.clone(), &["messages[0]"]);
    let messages = CONVERSE.body(first)["messages"].clone();
    assert_eq!((&messages[0]["role"], &messages[1]["content"]), (&json!("user"), &json!([text("Hi!")])));
}

#[test]
fn what_it_cannot_do_is_refused() {
    let not_supported = |field: &str| (ErrorCode::NotSupported, field.to_owned());
    for url in
        ["https://example.com/a.png", "data:image/tiff;base64,AA", "data:image/png,AA", "data:text/plain;base64,AA"]
    {
        let image = with_part(json!({"type": "image_url", "image_url": {"url": url}}));
        assert_eq!(CONVERSE.refusal(image), not_supported("messages[1].content[1]"), "{url}");
    }
    for file in [json!({"file_id": "file-1"}), json!({"file_data": "data:application/zip;base64,AA"})] {
        let file = with_part(json!({"type": "file", "file": file}));
        assert_eq!(CONVERSE.refusal(file), not_supported("messages[1].content[1]"));
    }
    let audio = with_part(json!({"type": "input_audio", "input_audio": {"data": "AA"}}));
    assert_eq!(CONVERSE.refusal(audio), (ErrorCode::BadField, "messages[1].content[1]".to_owned()));
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}});
    for role in ["system", "assistant"] {
        let fields = json!({"messages": [{"role": "user", "content": "a"}, {"role": role, "content": [image]}]});
        assert_eq!(CONVERSE.refusal(fields), not_supported("messages[1].content[0]"), "{role}");
    }
    assert_eq!(CONVERSE.refusal(json!({"logprobs": true})), not_supported("logprobs"));
    assert_eq!(CONVERSE.refusal(json!({"response_format": {"type": "json_object"}})), not_supported("response_format"));
    let effort = CONVERSE.refusal(json!({"reasoning_effort": "very"}));
    assert_eq!(effort, (ErrorCode::BadField, "reasoning_effort".to_owned()));
}

/// An answer with signed and hidden reasoning, text, a tool of the provider's and one of the client's.
fn answer() -> Vec<u8> {
    let start = |index: u32, start: Value| ("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
    let delta = |index: u32, delta: Value| ("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
    let stop = |index: u32| ("contentBlockStop", json!({"contentBlockIndex": index}));
    let reasoning = |fields: Value| json!({"reasoningContent": fields});
    let events = [
        ("messageStart", json!({"role": "assistant"})),
        delta(0, reasoning(json!({"text": "Let "}))),
        delta(0, reasoning(json!({"text": "me"}))),
        delta(0, reasoning(json!({"text": " see."}))),
        delta(0, reasoning(json!({"signature": "c2ln"}))),
        stop(0),
        delta(1, reasoning(json!({"redactedContent": "AA=="}))),
        delta(1, reasoning(json!({"redactedContent": "AQI="}))),
        stop(1),
        start(2, json!({"toolUse": {"toolUseId": "s1", "name": "nova_code_interpreter", "type": "server_tool_use"}})),
        delta(2, json!({"toolUse": {"input": "{\"snippet\":"}})),
        delta(2, json!({"toolUse": {"input": "\"1+1\"}"}})),
        stop(2),
        start(
            3,
            json!({"toolResult": {"toolUseId": "s1", "type": "nova_code_interpreter_result", "status": "success"}}),
        ),
        delta(3, json!({"toolResult": [{"json": {"stdOut": "2"}}]})),
        stop(3),
        delta(4, json!({"text": "It "})),
        delta(4, json!({"text": "is"})),
        delta(4, json!({"text": " 2"})),
        delta(
            4,
            json!({"citation": {"title": "Sums", "location": {"web": {"url": "https://example.com/sums"}},
            "sourceContent": [{"text": "1+1"}, {"text": " is 2"}]}}),
        ),
        stop(4),
        delta(5, json!({"text": " "})),
        stop(5),
        start(6, json!({"toolUse": {"toolUseId": "t.1", "name": "now"}})),
        delta(6, json!({"toolUse": {"input": ""}})),
        stop(6),
        ("messageStop", json!({"stopReason": "tool_use"})),
        ("metadata", json!({"usage": {"inputTokens": 1, "outputTokens": 2}})),
    ];
    events.iter().flat_map(|(kind, payload)| event(kind, payload.to_string().as_bytes())).collect()
}

#[test]
fn what_is_opaque_comes_back_as_it_was() {
    let Whole { native, citations, call_ids, .. } = CONVERSE.decode_bytes(&answer());
    let native = native.unwrap();
    assert_eq!(
        native["content"],
        json!([
            {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "AAEC"}},
            {"toolUse": {"toolUseId": "s1", "name": "nova_code_interpreter", "input": {"snippet": "1+1"},
                "type": "server_tool_use"}},
            {"toolResult": {"toolUseId": "s1", "type": "nova_code_interpreter_result", "status": "success",
                "content": [{"json": {"stdOut": "2"}}]}},
            text("It is 2"),
            {"toolUse": {"toolUseId": "t.1", "name": "now", "input": {}}},
        ])
    );
    assert_eq!(call_ids, ["t.1"]);
    assert_eq!(citations[0]["url"], "https://example.com/sums");
    assert_eq!((&citations[0]["title"], &citations[0]["quote"]), (&json!("Sums"), &json!("1+1 is 2")));

    let conversation = |provider: &str| {
        let call = json!({"id": "t.1", "type": "function", "function": {"name": "now", "arguments": ""}});
        json!({
            "messages": [
                {"role": "user", "content": "1+1?"},
                {"role": "assistant", "content": "It is 2 ", "tool_calls": [call],
                    "native": {"provider": provider, "content": native}},
                {"role": "tool", "tool_call_id": "t.1", "content": "noon"},
            ],
            "tools": [now_tool()], "reasoning_effort": "low",
        })
    };
    let body = CONVERSE.body(ask(CLAUDE, conversation("bedrock")));
    let id = body["messages"][2]["content"][0]["toolResult"]["toolUseId"].clone();
    let mut expected = native["content"].clone();
    expected[5]["toolUse"]["toolUseId"] = id;
    assert_eq!(body["messages"][1]["content"], expected);
    assert_eq!(CONVERSE.warnings(ask(CLAUDE, conversation("bedrock"))), Vec::<String>::new());

    // A call is told as it was carried out, also where that is not how the model wrote it.
    let mut edited = conversation("bedrock");
    edited["messages"][1]["tool_calls"][0]["function"]["arguments"] = r#"{"zone":"UTC"}"#.into();
    let body = CONVERSE.body(ask(CLAUDE, edited));
    expected[5]["toolUse"]["input"] = json!({"zone": "UTC"});
    assert_eq!(body["messages"][1]["content"], expected);

    // What another provider said is told in its words only.
    let body = CONVERSE.body(ask(CLAUDE, conversation("anthropic")));
    assert_eq!(body["messages"][1]["content"].as_array().unwrap().len(), 2);
}

#[test]
fn thinking_in_the_field_of_other_clients_goes_back_to_claude() {
    let blocks = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "AA=="},
    ]);
    let messages = json!([
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking_blocks": blocks}, {"role": "user", "content": "c"},
    ]);
    assert_eq!(
        CONVERSE.body(ask(CLAUDE, json!({"messages": messages})))["messages"][1]["content"],
        json!([
            {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "AA=="}},
            text("b"),
        ])
    );
    assert_eq!(CONVERSE.body(ask(NOVA, json!({"messages": messages})))["messages"][1]["content"], json!([text("b")]));
}

#[test]
fn claude_can_be_invoked_in_its_own_wire_format() {
    let fields = json!({
        "model": "bedrock-anthropic/anthropic.claude-3-haiku-20240307-v1:0", "max_tokens": 5, "top_k": 3,
        "options": {"anthropic_beta": ["x-1"]},
    });
    let request = INVOKE.build(fields.clone());
    assert_eq!(
        request.url,
        "https://bedrock-runtime.{region}.amazonaws.com/model/\
         anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with-response-stream"
    );
    assert_eq!(header(&request, "authorization"), ["Bearer key"]);
    assert_eq!(header(&request, "x-api-key"), Vec::<&str>::new());
    assert_eq!(header(&request, "anthropic-version"), Vec::<&str>::new());
    let body = INVOKE.body(fields);
    assert_eq!(body["anthropic_version"], "bedrock-2023-05-31");
    assert_eq!((&body["max_tokens"], &body["anthropic_beta"]), (&json!(5), &json!(["x-1"])));
    assert_eq!((body.get("model"), body.get("stream")), (None, None));

    let image = with_part(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}));
    assert_eq!(INVOKE.refusal(image), (ErrorCode::NotSupported, "messages[1].content[1]".to_owned()));
}
