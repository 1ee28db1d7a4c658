//! Promise: messages reach a running generation at its next turn boundary, or at once; what became of them is told. An
//! ended generation, however it ended, can be continued.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{TestServer, start, with};

fn input(text: &str, more: Value) -> Value {
    with(json!({"type": "input", "id": "g1", "messages": [{"role": "user", "content": text}]}), more)
}

fn contents(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    body["messages"].as_array().unwrap().iter().map(|m| (text(&m["role"]), text(&m["content"]))).collect()
}

fn said(role: &str, content: &str) -> (String, String) {
    (role.to_owned(), content.to_owned())
}

#[tokio::test]
async fn an_input_waits_for_the_turn_boundary() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let mut call = server.upstream.call().await;
    call.text("First.").await;
    client.until_text("g1", "First.").await;
    client.send(input("Shorter, please.", json!({"input_id": "i1"}))).await;
    assert_eq!(client.expect("input_accepted").await["input_id"], "i1");
    client.send(input("Shorter, please.", json!({"input_id": "i1"}))).await;
    assert_eq!(client.expect("input_accepted").await["input_id"], "i1", "taken once");
    call.finish().await;
    let applied = client.until("input").await;
    assert_eq!((&applied["input_id"], &applied["state"]), (&json!("i1"), &json!("applied")));
    let mut call = server.upstream.call().await;
    assert_eq!(contents(&call.body)[1..], [said("assistant", "First."), said("user", "Shorter, please.")]);
    call.text("1.").await;
    call.finish().await;
    client.end_of("g1").await;
    client.send(input("Too late", json!({}))).await;
    assert_eq!(client.expect("error").await["code"], "too_late");
    client.send(input("Shorter, please.", json!({"input_id": "i1"}))).await;
    client.expect("input_accepted").await;
}

#[tokio::test]
async fn an_interrupt_cuts_the_turn_and_goes_on_from_its_text() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let mut call = server.upstream.call().await;
    call.text("Once upon a").await;
    client.until_text("g1", "Once upon a").await;
    client.send(input("In French!", json!({"interrupt": true}))).await;
    call.closed().await;
    client.until("input").await;
    let mut call = server.upstream.call().await;
    assert_eq!(contents(&call.body)[1..], [said("assistant", "Once upon a"), said("user", "In French!")]);
    call.text("Il était").await;
    call.finish().await;
    let end = client.end_of("g1").await;
    assert_eq!(end["type"], "finished");
    assert_eq!(end["usage"]["source"], "partial", "the cut turn is estimated");
}

#[tokio::test]
async fn an_interrupt_while_nothing_was_said_and_while_a_tool_is_waited_for() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    client.send(with(start("g1"), json!({"tools": [{"type": "function", "function": function}]}))).await;
    let mut call = server.upstream.call().await;
    client.send(input("Wait.", json!({"interrupt": true}))).await;
    call.closed().await;
    let mut call = server.upstream.call().await;
    assert_eq!(contents(&call.body).last().unwrap(), &said("user", "Wait."));
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    client.until("tool_wait").await;
    client.send(input("Never mind.", json!({"interrupt": true}))).await;
    let call = server.upstream.call().await;
    let messages = contents(&call.body);
    assert_eq!(messages[messages.len() - 2].0, "tool", "the call has an answer: {messages:?}");
    assert_eq!(messages.last().unwrap(), &said("user", "Never mind."));
    call.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn what_nobody_hears_any_more_is_dropped() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let mut call = server.upstream.call().await;
    call.text("a").await;
    client.until_text("g1", "a").await;
    client.send(input("More", json!({"input_id": "i1"}))).await;
    client.expect("input_accepted").await;
    client.cancel("g1").await;
    let dropped = client.until("input").await;
    assert_eq!((&dropped["input_id"], &dropped["state"]), (&json!("i1"), &json!("dropped")));
    assert_eq!(client.end_of("g1").await["type"], "cancelled");
}

#[tokio::test]
async fn any_ended_generation_can_be_continued_and_forked() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let mut call = server.upstream.call().await;
    call.text("Half an ans").await;
    client.until_text("g1", "Half an ans").await;
    client.send(with(start("g2"), json!({"continue_from": "g1"}))).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["field"]), (&json!("bad_field"), &json!("continue_from")), "it still runs");
    client.cancel("g1").await;
    client.end_of("g1").await;
    for (id, question) in [("g2", "Go on."), ("g3", "Again.")] {
        let more = json!({"continue_from": "g1", "messages": [{"role": "user", "content": question}]});
        client.send(with(start(id), more)).await;
        let mut call = server.upstream.call().await;
        let messages = contents(&call.body);
        assert_eq!(messages[1..], [said("assistant", "Half an ans"), said("user", question)], "{messages:?}");
        call.text("wer").await;
        call.finish().await;
        client.end_of(id).await;
    }
    client
        .send(with(start("g4"), json!({"continue_from": "g3", "messages": [{"role": "user", "content": "x"}]})))
        .await;
    let call = server.upstream.call().await;
    assert_eq!(contents(&call.body).len(), 5, "the whole of it");
    call.finish().await;
    client.end_of("g4").await;
}

#[tokio::test]
async fn results_of_the_last_calls_may_come_with_the_continuation() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    let tools = json!({"tools": [{"type": "function", "function": function}], "end_at_tool_calls": true});
    client.send(with(start("g1"), tools)).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    assert_eq!(client.end_of("g1").await["reason"], "tool_calls");
    let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "sky"});
    client.send(with(start("g2"), json!({"continue_from": "g1", "messages": [result]}))).await;
    let call = server.upstream.call().await;
    assert_eq!(call.body["messages"][1]["tool_calls"][0]["id"], "call_1");
    assert_eq!(contents(&call.body)[2], said("tool", "sky"));
    call.finish().await;
    client.end_of("g2").await;
    client
        .send(with(start("g3"), json!({"continue_from": "g1", "messages": [{"role": "user", "content": "x"}]})))
        .await;
    let call = server.upstream.call().await;
    assert_eq!(contents(&call.body).last().unwrap(), &said("user", "x"));
    assert!(!call.body.to_string().contains("call_1"), "a call without a result is left out");
    call.finish().await;
    client.end_of("g3").await;
}

#[tokio::test]
async fn only_so_many_turns() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"max_turns": 1}))).await;
    let mut call = server.upstream.call().await;
    call.text("a").await;
    client.until_text("g1", "a").await;
    client.send(input("More", json!({"input_id": "i1"}))).await;
    call.finish().await;
    let end = client.end_of("g1").await;
    assert_eq!(end["error"]["code"], "too_many_turns");
}
