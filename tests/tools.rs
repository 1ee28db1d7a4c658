//! Promise: tool calls are announced, waited for, answered once, and the generation goes on.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Client, TestServer, start, upstream::Call, with};

/// A start with a tool.
fn with_tool(id: &str) -> Value {
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    with(start(id), json!({"tools": [{"type": "function", "function": function}]}))
}

fn result(call_id: &str, content: &str) -> Value {
    json!({"type": "tool_result", "id": "g1", "call_id": call_id, "content": content})
}

/// Ends a turn in which the model called tools.
async fn finish_with_calls(mut call: Call) {
    call.finish_reason("tool_calls").await;
    call.usage(10, 2).await;
    call.done().await;
}

/// Starts `g1`, in which the model calls these, and waits for `tool_wait`.
async fn waiting(server: &mut TestServer, client: &mut Client, calls: &[&str]) {
    client.send(with_tool("g1")).await;
    let mut call = server.upstream.call().await;
    for (index, id) in calls.iter().enumerate() {
        call.tool_call(index as u32, id, "look", "{}").await;
    }
    finish_with_calls(call).await;
    assert_eq!(client.until("tool_wait").await["call_ids"], json!(calls));
}

#[tokio::test]
async fn a_round_trip() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with_tool("g1")).await;
    let mut call = server.upstream.call().await;
    assert_eq!(call.body["tools"][0]["function"]["name"], "look");
    client.expect("started").await;
    call.text("Let me see.").await;
    client.expect("text").await;
    call.tool_call(0, "call_1", "look", "{\"at\":").await;
    let delta = client.expect("tool_call_delta").await;
    assert_eq!(
        delta,
        json!({"type": "tool_call_delta", "id": "g1", "seq": 3, "index": 0, "call_id": "call_1", "name": "look",
            "delta": "{\"at\":"})
    );
    call.tool_call(0, "call_1", "look", "\"sky\"}").await;
    assert_eq!(client.expect("tool_call_delta").await["delta"], "\"sky\"}");
    finish_with_calls(call).await;
    let whole = client.expect("tool_call").await;
    assert_eq!(
        whole,
        json!({"type": "tool_call", "id": "g1", "seq": 5, "index": 0, "call_id": "call_1", "name": "look",
            "arguments": {"at": "sky"}})
    );
    client.expect("usage").await;
    assert_eq!(client.expect("tool_wait").await["call_ids"], json!(["call_1"]));
    client.nothing_comes().await;
    assert_eq!(server.upstream.connections(), 1, "it waits");

    client.send(result("call_1", "blue")).await;
    let taken = client.expect("tool_result").await;
    assert_eq!(taken, json!({"type": "tool_result", "id": "g1", "seq": 8, "call_id": "call_1", "content": "blue"}));
    let mut call = server.upstream.call().await;
    let messages = call.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[1]["content"], "Let me see.");
    assert_eq!(messages[1]["tool_calls"][0]["id"], "call_1");
    assert_eq!(messages[1]["tool_calls"][0]["function"], json!({"name": "look", "arguments": "{\"at\":\"sky\"}"}));
    assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "call_1", "content": "blue"}));
    call.text("It is blue.").await;
    call.finish().await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("stop")));
    // The sum over both turns.
    assert_eq!(end["usage"], json!({"input_tokens": 17, "output_tokens": 7, "source": "provider"}));
}

#[tokio::test]
async fn results_come_in_any_order_and_the_first_one_wins() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    waiting(&mut server, &mut client, &["call_1", "call_2"]).await;
    client.send(result("call_2", "two")).await;
    assert_eq!(client.expect("tool_result").await["call_id"], "call_2");
    client.send(result("call_2", "another two")).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("already_resolved"), &json!("g1")));
    client.send(result("call_3", "three")).await;
    assert_eq!(client.expect("error").await["code"], "call_not_found");
    client.nothing_comes().await;
    assert_eq!(server.upstream.connections(), 1, "one result is missing");
    client.send(with(result("call_1", "broken"), json!({"is_error": true}))).await;
    let taken = client.expect("tool_result").await;
    assert_eq!((&taken["call_id"], &taken["is_error"]), (&json!("call_1"), &json!(true)));
    let call = server.upstream.call().await;
    let results = &call.body["messages"].as_array().unwrap()[2..];
    assert_eq!(results[0]["tool_call_id"], "call_1", "in the order of the calls");
    assert_eq!((&results[1]["tool_call_id"], &results[1]["content"]), (&json!("call_2"), &json!("two")));
    call.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn another_tab_answers_and_every_viewer_sees_it() {
    let mut server = TestServer::with(|config| config.workers = 2).await;
    let mut client = server.client().await;
    waiting(&mut server, &mut client, &["call_1"]).await;
    let mut other = server.client().await;
    other.attach("g1", 0).await;
    other.until("tool_wait").await;
    other.send(result("call_1", "from the other tab")).await;
    assert_eq!(client.expect("tool_result").await, other.expect("tool_result").await);
    let mut call = server.upstream.call().await;
    call.text("Thanks").await;
    call.finish().await;
    assert_eq!(client.end_of("g1").await, other.end_of("g1").await);
}

#[tokio::test]
async fn it_waits_through_a_reconnect() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    waiting(&mut server, &mut client, &["call_1"]).await;
    let seq = client.seq("g1");
    drop(client);
    let mut client = server.client().await;
    client.attach("g1", seq).await;
    client.send(result("call_1", "back again")).await;
    client.expect("tool_result").await;
    server.upstream.call().await.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn a_generation_can_end_at_its_tool_calls() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(with_tool("g1"), json!({"end_at_tool_calls": true}))).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    finish_with_calls(call).await;
    client.until("tool_call").await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("tool_calls")));
    client.send(result("call_1", "late")).await;
    assert_eq!(client.expect("error").await["code"], "generation_ended");
}

#[tokio::test]
async fn results_that_do_not_come_in_time() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(with_tool("g1"), json!({"timeouts": {"tool_ms": 50}}))).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    finish_with_calls(call).await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("tool_timeout")));
    assert_eq!(end["usage"]["source"], "provider");
}

#[tokio::test]
async fn waiting_for_tools_does_not_count_in_the_total() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(with_tool("g1"), json!({"timeouts": {"total_ms": 1500}}))).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    finish_with_calls(call).await;
    client.until("tool_wait").await;
    // Longer than the total allows: the clock has stopped. This one wait is what is tested.
    tokio::time::sleep(std::time::Duration::from_millis(1800)).await;
    client.send(result("call_1", "slow")).await;
    server.upstream.call().await.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn arguments_that_are_not_json_are_passed_on_as_they_are() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(with_tool("g1"), json!({"end_at_tool_calls": true}))).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{\"at\": sky").await;
    finish_with_calls(call).await;
    let whole = client.until("tool_call").await;
    assert_eq!((&whole["arguments"], &whole["invalid"]), (&json!("{\"at\": sky"), &json!(true)));
}

#[tokio::test]
async fn a_tool_loop_has_an_end() {
    let mut server = TestServer::with(|config| config.limits.max_turns = 2).await;
    let mut client = server.client().await;
    waiting(&mut server, &mut client, &["call_1"]).await;
    client.send(result("call_1", "again")).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_2", "look", "{}").await;
    finish_with_calls(call).await;
    // Calls are counted over the whole generation.
    assert_eq!(client.until("tool_call").await["index"], 1);
    client.until("tool_wait").await;
    client.send(result("call_2", "again")).await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("too_many_turns")));
}
