//! Promise: what a provider says beyond text reaches the client, nothing of a request is dropped silently, and its own
//! messages can be had.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::{TestServer, start, with};
use tokenwire::config::ProviderConfig;

#[tokio::test]
async fn raw_messages_come_before_the_events_they_became() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"raw": true}))).await;
    let mut call = server.upstream.call().await;
    client.expect("started").await;
    call.text("Hi").await;
    let raw = client.expect("raw").await;
    assert_eq!(raw["data"]["choices"][0]["delta"]["content"], "Hi");
    assert_eq!(client.expect("text").await["delta"], "Hi");
    call.finish().await;
    let mut seen = Vec::new();
    loop {
        let frame = client.next().await;
        match frame["type"].as_str().unwrap() {
            "raw" => seen.push(frame["data"].clone()),
            "finished" => break,
            _ => {}
        }
    }
    assert_eq!(seen.last().unwrap(), &json!("[DONE]"), "what is not JSON comes as text");
}

#[tokio::test]
async fn a_citation_and_the_log_probabilities_come_with_the_text() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"logprobs": true, "top_logprobs": 1}))).await;
    let mut call = server.upstream.call().await;
    assert_eq!((&call.body["logprobs"], &call.body["top_logprobs"]), (&json!(true), &json!(1)));
    let source = json!({"type": "url_citation", "url_citation": {"url": "https://example.com/a", "title": "A"}});
    let token =
        json!({"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Yo", "logprob": -1.5}]});
    let choice =
        json!({"index": 0, "delta": {"content": "Hi", "annotations": [source]}, "logprobs": {"content": [token]}});
    call.data(&json!({"choices": [choice]})).await;
    let mut said = std::collections::BTreeMap::new();
    while said.len() < 3 {
        let frame = client.next().await;
        if frame["type"] != "started" {
            said.insert(frame["type"].as_str().unwrap().to_owned(), frame);
        }
    }
    assert_eq!(said["text"]["delta"], "Hi");
    let tokens = json!([{"token": "Hi", "logprob": -0.5, "top": [{"token": "Yo", "logprob": -1.5}]}]);
    assert_eq!(said["logprobs"]["tokens"], tokens);
    let citation = &said["citation"];
    assert_eq!((&citation["url"], &citation["title"]), (&json!("https://example.com/a"), &json!("A")));
    call.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn what_is_left_out_is_said_once_and_what_cannot_be_done_is_never_sent() {
    let mut server = TestServer::with(|config| {
        let upstream = config.providers["openai"].clone();
        config.providers.insert("anthropic".to_owned(), ProviderConfig { wire_format: None, ..upstream });
    })
    .await;
    let mut client = server.client().await;
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    client.send(with(start("g1"), json!({"model": "anthropic/m", "seed": 7, "tools": [tool]}))).await;
    for turn in 0..2 {
        let mut call = server.upstream.call().await;
        assert_eq!(call.body["seed"], json!(null));
        let call_block = json!({"type": "tool_use", "id": "call_1", "name": "look", "input": {}});
        for event in [
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": call_block}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ] {
            call.send(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).as_bytes()).await;
        }
        call.end().await;
        if turn == 0 {
            assert_eq!(client.until("warning").await["field"], "seed");
        }
        loop {
            let frame = client.next().await;
            assert_ne!(frame["type"], "warning", "{frame}");
            if frame["type"] == "tool_wait" {
                break;
            }
        }
        client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "sky"})).await;
    }
    client.cancel("g1").await;
    client.end_of("g1").await;
    let asked = server.upstream.connections();

    client.send(with(start("g2"), json!({"model": "anthropic/m", "logprobs": true}))).await;
    let end = client.end_of("g2").await;
    assert_eq!((&end["error"]["code"], &end["error"]["field"]), (&json!("not_supported"), &json!("logprobs")));
    assert_eq!(server.upstream.connections(), asked, "nothing was sent");
}
