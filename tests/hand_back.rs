//! Promise: what a provider must see again after a tool call reaches it unchanged, in the same generation.
#![allow(clippy::unwrap_used)]

#[path = "support/requests.rs"]
mod requests;
mod support;

use serde_json::{Value, json};
use support::{Client, TestServer, with};
use tokenwire::config::ProviderConfig;

/// A server whose provider `name` is the scripted upstream.
async fn server(name: &'static str) -> TestServer {
    TestServer::with(move |config| {
        let upstream = config.providers["openai"].clone();
        config.providers.insert(name.to_owned(), ProviderConfig { wire_format: None, ..upstream });
    })
    .await
}

/// Runs a turn that is answered with `events`, answers its one tool call, and returns the messages of the next turn.
async fn round_trip(name: &'static str, events: &[Value], fields: Value) -> Value {
    let mut server = server(name).await;
    let mut client: Client = server.client().await;
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    let start = with(support::start("g1"), json!({"model": format!("{name}/m"), "tools": [tool]}));
    client.send(with(start, fields)).await;
    let mut call = server.upstream.call().await;
    for event in events {
        match event["type"].as_str() {
            Some(kind) => call.send(format!("event: {kind}\ndata: {event}\n\n").as_bytes()).await,
            None => call.data(event).await,
        }
    }
    call.end().await;
    let native = client.until("native").await;
    assert_eq!(native["provider"], name);
    client.until("tool_wait").await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "blue"})).await;
    let call = server.upstream.call().await;
    let messages = call.body["messages"].clone();
    drop(call);
    messages
}

fn chunk(delta: Value, finish_reason: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
}

fn call() -> Value {
    let function = json!({"name": "look", "arguments": "{}"});
    chunk(json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}), Value::Null)
}

#[tokio::test]
async fn deepseek_sees_its_reasoning_again() {
    let events = [
        chunk(json!({"reasoning_content": "Let me "}), Value::Null),
        chunk(json!({"reasoning_content": "see."}), Value::Null),
        chunk(json!({"content": "I look."}), Value::Null),
        call(),
        chunk(json!({}), "tool_calls".into()),
    ];
    let messages = round_trip("deepseek", &events, json!({})).await;
    assert_eq!(messages[1]["reasoning_content"], "Let me see.");
    assert_eq!((&messages[1]["content"], &messages[1]["tool_calls"][0]["id"]), (&json!("I look."), &json!("call_1")));
    assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "call_1", "content": "blue"}));
}

#[tokio::test]
async fn openrouter_sees_its_details_again() {
    let detail = |detail: Value| chunk(json!({"reasoning_details": [detail]}), Value::Null);
    let events = [
        detail(json!({"type": "reasoning.text", "text": "Let me ", "index": 0})),
        detail(json!({"type": "reasoning.text", "text": "see.", "signature": "c2ln", "index": 0})),
        detail(json!({"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 1})),
        call(),
        chunk(json!({}), "tool_calls".into()),
    ];
    let messages = round_trip("openrouter", &events, json!({})).await;
    assert_eq!(
        messages[1]["reasoning_details"],
        json!([
            {"type": "reasoning.text", "text": "Let me see.", "signature": "c2ln", "index": 0},
            {"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 1},
        ])
    );
}

#[tokio::test]
async fn anthropic_sees_its_thinking_again() {
    let start =
        |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let events = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Let me "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "see."})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        start(1, json!({"type": "redacted_thinking", "data": "b3BhcXVl"})),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "call_1", "name": "look", "input": {}})),
        stop(2),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let messages = round_trip("anthropic", &events, json!({"reasoning_effort": "low"})).await;
    assert_eq!(
        messages[1],
        json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
            {"type": "tool_use", "id": "call_1", "name": "look", "input": {}},
        ]})
    );
    assert_eq!(messages[2]["content"][0]["tool_use_id"], "call_1");
}

#[tokio::test]
async fn an_answer_that_the_provider_paused_goes_on_by_itself() {
    let mut server = server("anthropic").await;
    let mut client = server.client().await;
    client.send(with(support::start("g1"), json!({"model": "anthropic/m"}))).await;
    let mut call = server.upstream.call().await;
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    for event in [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": search}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "pause_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ] {
        call.send(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).as_bytes()).await;
    }
    call.end().await;
    let call = server.upstream.call().await;
    let last = call.body["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["role"], &last["content"][0]["id"]), (&json!("assistant"), &json!("srvtoolu_1")), "{last}");
    drop(call);
}

#[test]
fn an_answer_in_another_vendors_form_alone_is_left_out() {
    let other = json!({"provider": "somebody-else", "content": {"x": 1}});
    let said = |native: Value| {
        json!({"messages": [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "", "native": native},
            {"role": "user", "content": "second"},
        ]})
    };
    for vendor in ["openai", "openai-responses", "anthropic", "gemini", "bedrock", "cohere", "ollama", "mistral"] {
        let body = requests::body(vendor, said(other.clone()));
        let is_answer = |message: &Value| message["role"] == "assistant" || message["role"] == "model";
        let list = ["messages", "input", "contents"].iter().find_map(|name| body[*name].as_array()).unwrap();
        assert!(!list.iter().any(is_answer), "{vendor}: {body}");
        let text = body.to_string();
        assert!(text.contains("first") && text.contains("second"), "{vendor}: {body}");
    }
}
