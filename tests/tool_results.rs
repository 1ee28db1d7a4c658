//! Promise: over every wire format, tool calls are answered in any order, once each, by any device of their owner, also
//! after a reconnect; what the model is told is what its provider takes.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use support::{
    dialogue::{Talk, Wire, result},
    key, until, with,
};
use tokenwire::tools::{ToolError, tool};

over_all_wires!(
    results_in_any_order_and_once,
    from_another_device,
    never_from_somebody_else,
    after_a_reconnect,
    after_expiry,
    content_of_several_parts,
    a_limit_on_turns,
    ended_at_calls_and_continued,
    a_cancel_while_waiting,
    a_cancel_while_the_server_runs_a_tool,
    a_result_and_a_cancel_at_once,
);

const ANN: &str = "key-of-ann-0123456789";
const BOB: &str = "key-of-bob-0123456789";
const CALLED: [&str; 3] = ["sealed Let me see. c2ln", "call call_1 {}", "call call_2 {}"];

async fn results_in_any_order_and_once(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1", "call_2"], json!({})).await;
    talk.result("call_2", "two").await;
    assert_eq!(talk.client.expect("tool_result").await["call_id"], "call_2");
    for (call_id, code) in [("call_2", "already_resolved"), ("call_3", "call_not_found")] {
        talk.result(call_id, "again").await;
        let error = talk.client.expect("error").await;
        assert_eq!((&error["code"], &error["id"]), (&json!(code), &json!("g1")));
    }
    assert_eq!(talk.server.upstream.connections(), 1, "one result is missing");
    talk.client.send(with(result("call_1", "broken"), json!({"is_error": true}))).await;
    assert_eq!(talk.client.expect("tool_result").await["is_error"], true);

    let mut model = talk.asked().await;
    let told = if matches!(wire, Wire::Anthropic | Wire::Gemini) { "error" } else { "result" };
    let lines = model.lines();
    assert_eq!(lines[1..4], CALLED);
    assert_eq!(lines[4..], [format!("{told} call_1: broken"), "result call_2: two".to_owned()], "as they were called");
    talk.result("call_1", "mended").await;
    assert_eq!(talk.client.until_error().await["code"], "already_resolved", "also in a later turn");
    model.text("Done.").await;
    model.end().await;
    let end = talk.client.end_of("g1").await;
    assert_eq!(end["usage"], json!({"input_tokens": 20, "output_tokens": 4, "source": "provider"}));
    talk.result("call_1", "late").await;
    assert_eq!(talk.client.expect("error").await["code"], "generation_ended");
}

async fn from_another_device(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1"], json!({})).await;
    let mut other = talk.server.client().await;
    // One that has not even attached.
    other.send(result("call_1", "blue")).await;
    assert_eq!(talk.client.expect("tool_result").await["content"], "blue");
    talk.finishes().await;
}

async fn never_from_somebody_else(wire: Wire) {
    let keys = |config: &mut tokenwire::config::Config| config.auth.keys = vec![key("ann", ANN), key("bob", BOB)];
    let mut talk = Talk::build(wire, keys, |builder| builder).await;
    talk.start("g1", json!({})).await;
    let mut model = talk.asked().await;
    model.tool_call("call_1", "{}").await;
    model.end().await;
    talk.client.until("tool_wait").await;
    let mut stranger = talk.server.client_with_key(BOB).await;
    stranger.send(result("call_1", "red")).await;
    assert_eq!(stranger.expect("error").await["code"], "generation_not_found");
    talk.client.nothing_comes().await;
    talk.result("call_1", "blue").await;
    talk.finishes().await;
}

async fn after_a_reconnect(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1", "call_2"], json!({})).await;
    talk.result("call_2", "two").await;
    talk.client.expect("tool_result").await;
    // A reload: nothing is left of what the page knew.
    talk.client = talk.server.client().await;
    talk.client.attach("g1", 0).await;
    assert_eq!(
        talk.client.until("tool_wait").await["call_ids"],
        json!(["call_1", "call_2"]),
        "the wait is offered again"
    );
    assert_eq!(talk.client.expect("tool_result").await["call_id"], "call_2", "and what has its result already");
    talk.result("call_1", "one").await;
    talk.client.expect("tool_result").await;
    let model = talk.asked().await;
    assert_eq!(model.lines()[4..], ["result call_1: one", "result call_2: two"]);
    model.end().await;
    talk.client.end_of("g1").await;
}

async fn after_expiry(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1"], json!({"timeouts": {"tool_ms": 30}})).await;
    let end = talk.client.end_of("g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("tool_timeout")));
    assert_eq!(end["usage"], json!({"input_tokens": 10, "output_tokens": 2, "source": "provider"}));
    talk.result("call_1", "late").await;
    assert_eq!(talk.client.expect("error").await["code"], "generation_ended");
    assert_eq!(talk.server.upstream.connections(), 1);
}

async fn content_of_several_parts(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1", "call_2"], json!({})).await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let content = json!([{"type": "text", "text": "the sky"}, image]);
    talk.client.send(with(result("call_1", ""), json!({"content": content}))).await;
    assert_eq!(talk.client.expect("tool_result").await["content"], content);
    talk.result("call_2", "two").await;
    talk.client.expect("tool_result").await;
    let model = talk.asked().await;
    let lines = model.lines();
    assert_eq!(lines[4], "result call_1: the sky");
    assert!(lines.contains(&"image".to_owned()), "the model sees it: {lines:?}");
    model.end().await;
    assert_eq!(talk.client.end_of("g1").await["type"], "finished");
}

async fn a_limit_on_turns(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1"], json!({"max_turns": 2, "tool_choice": "auto"})).await;
    talk.result("call_1", "blue").await;
    let mut model = talk.asked().await;
    model.tool_call("call_2", "{}").await;
    model.end().await;
    assert_eq!(talk.client.until("tool_call").await["index"], 1, "counted over the whole generation");
    talk.client.until("tool_wait").await;
    talk.result("call_2", "blue").await;
    let end = talk.client.end_of("g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("too_many_turns")));
    assert_eq!(end["usage"], json!({"input_tokens": 20, "output_tokens": 4, "source": "provider"}));
}

async fn ended_at_calls_and_continued(wire: Wire) {
    let mut talk = Talk::started(wire, json!({"end_at_tool_calls": true})).await;
    let mut model = talk.asked().await;
    model.reasoning("Let me see.", "c2ln").await;
    model.tool_call("call_1", "{}").await;
    model.tool_call("call_2", "{}").await;
    model.end().await;
    assert_eq!(talk.client.end_of("g1").await["reason"], "tool_calls");
    let tool = |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
    let user = json!({"role": "user", "content": "Hurry."});

    // In the other order, and with more to say.
    let messages = json!([tool("call_2", "two"), tool("call_1", "one"), user]);
    talk.start("g2", json!({"continue_from": "g1", "messages": messages})).await;
    let model = talk.asked().await;
    let lines = model.lines();
    assert_eq!(lines[1..4], CALLED);
    let mut results = lines[4..6].to_vec();
    results.sort();
    assert_eq!(results, ["result call_1: one", "result call_2: two"]);
    assert_eq!(lines[6..], ["user: Hurry."]);
    model.end().await;
    talk.client.end_of("g2").await;

    // Without any, the calls are left out, and with them what led to them.
    talk.start("g3", json!({"continue_from": "g1", "messages": [user]})).await;
    let model = talk.asked().await;
    assert_eq!(model.lines(), ["user: Hello", "user: Hurry."]);
    model.end().await;
    talk.client.end_of("g3").await;
}

async fn a_cancel_while_waiting(wire: Wire) {
    let mut talk = Talk::waiting(wire, &["call_1", "call_2"], json!({})).await;
    talk.result("call_1", "one").await;
    talk.client.expect("tool_result").await;
    talk.client.cancel("g1").await;
    let end = talk.client.end_of("g1").await;
    assert_eq!(end["type"], "cancelled");
    assert_eq!(end["usage"], json!({"input_tokens": 10, "output_tokens": 2, "source": "provider"}));
    talk.client.nothing_comes().await;

    // What was done is not forgotten; what was not is said.
    let user = json!({"role": "user", "content": "And now?"});
    talk.start("g2", json!({"continue_from": "g1", "messages": [user]})).await;
    let model = talk.asked().await;
    let lines = model.lines();
    assert_eq!(lines[1..5], [&CALLED[..], &["result call_1: one"]].concat());
    assert!(lines[5].contains(" call_2: ") && lines[6..] == ["user: And now?"], "{lines:?}");
    model.end().await;
    talk.client.end_of("g2").await;
}

async fn a_cancel_while_the_server_runs_a_tool(wire: Wire) {
    let is_running = Arc::new(AtomicBool::new(false));
    let running = is_running.clone();
    let slow = tool("slow", "Never ends.", move |_: Value, _| {
        running.store(true, Ordering::SeqCst);
        std::future::pending::<Result<String, ToolError>>()
    });
    let mut talk = Talk::build(wire, |_| {}, |builder| builder.tool(slow)).await;
    talk.start("g1", json!({})).await;
    let mut model = talk.asked().await;
    model.reasoning("Let me see.", "c2ln").await;
    model.tool_call_of("slow", "call_1", "{}").await;
    model.end().await;
    until("the tool runs", || is_running.load(Ordering::SeqCst)).await;
    talk.client.cancel("g1").await;
    assert_eq!(talk.client.end_of("g1").await["type"], "cancelled");

    // What it did is not undone, so the model is told that it was called.
    let user = json!({"role": "user", "content": "And now?"});
    talk.start("g2", json!({"continue_from": "g1", "messages": [user]})).await;
    let model = talk.asked().await;
    let lines = model.lines();
    assert_eq!(lines[1..3], CALLED[..2]);
    assert!(lines[3].contains(" call_1: ") && lines[4..] == ["user: And now?"], "{lines:?}");
    model.end().await;
    talk.client.end_of("g2").await;
}

/// Whichever is first, there is one end, and the provider is left at once.
async fn a_result_and_a_cancel_at_once(wire: Wire) {
    for is_result_first in [true, false] {
        let mut talk = Talk::waiting(wire, &["call_1"], json!({})).await;
        let cancel = json!({"type": "cancel", "id": "g1"});
        let frames =
            if is_result_first { [result("call_1", "blue"), cancel] } else { [cancel, result("call_1", "blue")] };
        for frame in frames {
            talk.client.send_unchecked(frame).await;
        }
        let end = loop {
            let frame = talk.client.next().await;
            if support::client::TERMINAL.contains(&frame["type"].as_str().unwrap()) {
                break frame;
            }
            let is_late = frame["type"] == "error" && frame["code"] == "generation_ended";
            assert!(is_late || frame["type"] == "tool_result", "{frame}");
        };
        assert_eq!(end["type"], "cancelled");
        if let Some(mut call) = talk.server.upstream.try_call() {
            call.closed().await;
        }
    }
}
