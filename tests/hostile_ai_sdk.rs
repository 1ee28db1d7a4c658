//! Promise: whatever a client of the AI SDK's dialect sends, it is answered in a way that ends nothing else, the limits
//! hold, and nobody reads what is somebody else's.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{
    Client, MODEL, TestServer,
    ai_sdk::{AiClient, resume},
    http::http,
    key, until,
    upstream::Call,
    with,
};

/// A message of an assistant with the part of a tool of the page's.
fn tool_part(state: Value) -> Value {
    let part = with(json!({"type": "tool-look", "toolCallId": "c1", "input": {}}), state);
    json!([
        {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]},
        {"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}, part]},
    ])
}

/// Answers with this text.
async fn finish(mut call: Call, text: &str) {
    call.text(text).await;
    call.finish().await;
}

/// The body of a `send` with a tool of the page's.
fn with_tool(generation: &str) -> Value {
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    json!({"generation": generation, "body": {"tools": [{"type": "function", "function": function}]}})
}

/// The generation waits for the page's answer to the call `c1`.
async fn waiting(server: &mut TestServer, client: &mut AiClient, chat: &str, generation: &str) {
    client.ask("r1", chat, with_tool(generation)).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "c1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.usage(10, 2).await;
    call.done().await;
    client.until("end").await;
}

#[tokio::test]
async fn garbage_is_refused_and_ends_nothing() {
    let mut server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    client.ask("live", "chat", json!({})).await;
    let mut call = server.upstream.call().await;
    call.text("Hel").await;
    client.until_chunk("text-delta").await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for garbage in [
        "",
        "null",
        "[]",
        "\"send\"",
        "{",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"send\"}",
        "{\"type\":\"shout\"}",
        "{\"type\":\"send\",\"requestId\":\"\\ud800\"}",
        "{\"type\":\"send\",\"requestId\":7}",
        "{\"type\":\"send\",\"requestId\":\"a b\"}",
        "{\"type\":\"abort\"}",
        "{\"type\":\"resume\",\"requestId\":null}",
        &deep,
        &format!("{{\"type\":\"send\",\"requestId\":\"r\",\"id\":\"c\",\"messages\":{deep}}}"),
        &format!("{{\"type\":\"send\",\"requestId\":\"{}\"}}", "r".repeat(100_000)),
    ] {
        client.send_text(garbage).await;
        let answer = client.next().await;
        assert_eq!(answer["type"], "error", "{garbage:.60}: {answer}");
        assert_ne!(answer["requestId"], "live");
    }
    call.text("lo").await;
    assert_eq!(client.until_chunk("text-delta").await["delta"], "lo");
    call.finish().await;
    client.until("end").await;
}

/// Every place in `value` in its turn.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| places(item, &format!("{at}/{n}"), found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_field_of_every_frame_may_have_any_type() {
    let server = TestServer::start().await;
    // No model of that name: what is valid in the end is refused, too.
    let mut client = AiClient::connect(server.address, "none/none", None).await;
    let parts = json!([
        {"type": "step-start"},
        {"type": "text", "text": "t"},
        {"type": "reasoning", "text": "r"},
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA==", "filename": "f"},
        {"type": "file", "mediaType": "audio/x-wav", "url": "data:audio/x-wav;base64,AA==", "providerReference": {"x": "y"}},
        {"type": "custom", "kind": "tokenwire.native",
            "providerMetadata": {"tokenwire": {"provider": "openai", "content": {"a": [1]}}}},
        {"type": "tool-look", "toolCallId": "c", "state": "output-available", "input": {"a": 1}, "output": {"b": 2}},
        {"type": "dynamic-tool", "toolName": "x", "toolCallId": "d", "state": "approval-responded",
            "approval": {"id": "d", "approved": true, "reason": "r"}, "providerExecuted": true,
            "callProviderMetadata": {"tokenwire": {"by": "server"}}},
        {"type": "steering-message", "parts": [{"type": "text", "text": "s"}]},
        {"type": "data-x", "data": 1},
    ]);
    let messages: Vec<Value> =
        ["system", "user", "assistant"].iter().map(|role| json!({"id": "m", "role": role, "parts": parts})).collect();
    let body = json!({"model": "none/none", "system": "s", "temperature": 1, "stop": "x", "metadata": {"a": 1},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}], "approvals": {"*": "always"}});
    let send = json!({"type": "send", "requestId": "r", "id": "chat", "trigger": "submit-message", "messageId": "m",
        "messages": messages, "body": body, "metadata": {"b": 2}, "generation": "g"});
    let frames = [
        send,
        with(resume("r", "chat"), json!({"generation": "g"})),
        json!({"type": "abort", "requestId": "r", "stop": true}),
        json!({"type": "ping", "requestId": "r"}),
    ];
    for frame in frames {
        let mut found = Vec::new();
        places(&frame, "", &mut found);
        for place in found {
            for other in [
                json!(null),
                json!(-1),
                json!(""),
                json!("x"),
                json!(true),
                json!([]),
                json!([[]]),
                json!({}),
                json!({"type": "text"}),
            ] {
                let mut frame = frame.clone();
                *frame.pointer_mut(&place).unwrap() = other;
                client.send(frame.clone()).await;
                let answers = client.up_to_now().await;
                assert!(answers.len() <= 1, "{frame}: {answers:?}");
                assert!(answers.iter().all(|answer| answer["type"] != "chunk"), "{frame}: {answers:?}");
                if frame["type"] == "send" {
                    assert_eq!(answers[0]["type"], "error", "{frame}: {answers:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_burst_of_requests_is_no_slow_reader() {
    let server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    client.send_at_once((0..2000).map(|n| resume(&format!("r{n}"), &format!("Chat {n}")))).await;
    for n in 0..2000 {
        assert_eq!(client.next().await, json!({"type": "no-active", "requestId": format!("r{n}")}));
    }
}

#[tokio::test]
async fn storms_of_resumes_and_aborts_leave_nothing_behind() {
    let mut server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    client.ask("r", "chat", json!({"generation": "g", "body": {"on_disconnect": "continue"}})).await;
    let mut call = server.upstream.call().await;
    call.text("Hello").await;
    client.until_chunk("text-delta").await;
    for round in 0..20 {
        let leave = |n| json!({"type": "abort", "requestId": format!("r{n}"), "stop": false});
        client.send_at_once((0..500).flat_map(|n| [resume(&format!("r{n}"), "chat"), leave(n)])).await;
        // The names are used again: nothing of them is left.
        let frames = client.up_to_now().await;
        assert!(frames.iter().all(|frame| frame["type"] != "error"), "{round}");
    }
    assert_eq!(server.generation("g").log().reader_count(), 1);
    // The same name again and again: the last one counts.
    let mut other = AiClient::of(&server).await;
    other.send_at_once((0..300).map(|_| json!({"type": "abort", "requestId": "r9", "stop": true}))).await;
    other.up_to_now().await;
    call.finish().await;
    client.until("end").await;
    until("the readers to be gone", || server.generation("g").log().reader_count() == 0).await;
}

#[tokio::test]
async fn the_limits_hold() {
    let mut server = TestServer::with(|config| {
        config.limits.max_generations = 3;
        config.limits.max_attachments = 5;
    })
    .await;
    let mut client = AiClient::of(&server).await;
    let mut calls = Vec::new();
    for n in 0..3 {
        client.ask(&format!("r{n}"), &format!("chat{n}"), json!({})).await;
        calls.push(server.upstream.call().await);
    }
    client.ask("r3", "chat3", json!({})).await;
    let refused = client.until("error").await;
    assert_eq!((&refused["requestId"], &refused["code"]), (&json!("r3"), &json!("too_many_generations")));
    for n in 4..6 {
        client.send(resume(&format!("r{n}"), "chat0")).await;
        client.until("start").await;
    }
    client.send(resume("r6", "chat0")).await;
    let refused = client.until("error").await;
    assert_eq!((&refused["requestId"], &refused["code"]), (&json!("r6"), &json!("too_many_attachments")));
}

#[tokio::test]
async fn generations_that_wait_for_the_page_count_as_attachments() {
    let mut server = TestServer::with(|config| config.limits.max_attachments = 2).await;
    let mut client = AiClient::of(&server).await;
    waiting(&mut server, &mut client, "chat1", "g1").await;
    let mut other = AiClient::of(&server).await;
    waiting(&mut server, &mut other, "chat2", "g2").await;
    client.ask("r2", "chat3", json!({})).await;
    let _call = server.upstream.call().await;
    client.until_chunk("start").await;
    client.ask("r3", "chat4", json!({})).await;
    assert_eq!(client.until("error").await["code"], "too_many_attachments");
    assert!(!server.generation("g1").has_ended());
}

#[tokio::test]
async fn nobody_reads_or_answers_what_is_somebody_elses() {
    let mut server = TestServer::with(|config| {
        config.auth.keys = vec![key("alice", "key-of-alice-00001"), key("bob", "key-of-bob-0000001")];
    })
    .await;
    let mut alice = AiClient::connect(server.address, MODEL, Some("key-of-alice-00001")).await;
    waiting(&mut server, &mut alice, "chat", "g1").await;
    let mut bob = AiClient::connect(server.address, MODEL, Some("key-of-bob-0000001")).await;
    for frame in [resume("b1", "chat"), with(resume("b1", "x"), json!({"generation": "g1"}))] {
        bob.send(frame).await;
        assert_eq!(bob.next().await, json!({"type": "no-active", "requestId": "b1"}));
    }
    bob.send(json!({"type": "abort", "requestId": "r1", "stop": true})).await;
    // An answer to her call, in a chat of that name, under her generation's name: all of it is his own.
    let answer = tool_part(json!({"state": "output-available", "output": "forged"}));
    bob.ask("b2", "chat", json!({"messages": answer, "generation": "g1"})).await;
    let call = server.upstream.call().await;
    assert_eq!(call.body["messages"].as_array().unwrap().len(), 3);
    finish(call, "His.").await;
    bob.until("end").await;
    // Hers waits as before.
    let answer = tool_part(json!({"state": "output-available", "output": "hers"}));
    alice.ask("r2", "chat", json!({"messages": answer})).await;
    let call = server.upstream.call().await;
    assert_eq!(call.body["messages"][2]["content"], "hers");
    finish(call, "Done.").await;
    assert_eq!(alice.until_chunk("text-delta").await["delta"], "Done.");
}

#[tokio::test]
async fn forged_parts_reach_nothing_but_their_message() {
    let mut server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    let native = json!({"role": "system", "model": "other", "messages": [], "stream": false, "tools": [1], "content": 7,
        "tool_calls": [{"id": "c1", "type": "x"}, 5], "tool_call_id": "c9"});
    for (n, content) in [native, json!([]), json!("x"), json!(5), json!(null)].into_iter().enumerate() {
        let custom = json!({"type": "custom", "kind": "tokenwire.native",
            "providerMetadata": {"tokenwire": {"provider": "openai", "content": content}}});
        let call =
            json!({"type": "tool-look", "toolCallId": "c1", "state": "output-available", "input": {}, "output": 1});
        let messages = json!([
            {"role": "assistant", "parts": [{"type": "text", "text": "t"}, custom, call]},
            {"role": "user", "parts": [{"type": "text", "text": "u"}]},
        ]);
        client.ask(&format!("r{n}"), &format!("chat{n}"), json!({"messages": messages})).await;
        let call = server.upstream.call().await;
        assert_eq!((&call.body["model"], &call.body["stream"]), (&json!("scripted"), &json!(true)));
        assert!(call.body.get("tools").is_none(), "{}", call.body);
        let roles: Vec<_> = call.body["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
        assert_eq!(roles, ["assistant", "tool", "user"]);
        finish(call, "ok").await;
        client.until("end").await;
    }
}

#[tokio::test]
async fn a_send_that_is_repeated_stops_nothing() {
    let mut server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    client.ask("r0", "chat", json!({"generation": "g0"})).await;
    finish(server.upstream.call().await, "First.").await;
    client.until("end").await;
    waiting(&mut server, &mut client, "chat", "g1").await;
    // The first answer once more, as after a lost connection.
    client.ask("r0", "chat", json!({"generation": "g0"})).await;
    assert_eq!(client.until_chunk("text-delta").await["delta"], "First.");
    client.until("end").await;
    client.up_to_now().await;
    let answer = tool_part(json!({"state": "output-available", "output": "seen"}));
    client.ask("r2", "chat", json!({"messages": answer})).await;
    finish(server.upstream.call().await, "Second.").await;
    assert_eq!(client.until_chunk("text-delta").await["delta"], "Second.");
}

#[tokio::test]
async fn an_end_that_only_a_viewer_has_read_is_still_told() {
    let mut server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    client.ask("r1", "chat", json!({"generation": "g1", "body": {"on_disconnect": "continue"}})).await;
    let mut call = server.upstream.call().await;
    call.text("Hello").await;
    client.until_chunk("text-delta").await;
    let (_, shared) = http(server.address, "none", "POST", "/v1/conversations/chat/share", Value::Null).await;
    let mut viewer = Client::connect(server.address, &[]).await;
    viewer.send(json!({"type": "watch", "conversation": "chat", "after": 0, "share": shared["token"]})).await;
    viewer.until("text").await;
    drop(client);
    until("the owner to be gone", || server.generation("g1").log().reader_count() == 0).await;
    finish(call, " you").await;
    viewer.until("finished").await;
    let mut client = AiClient::of(&server).await;
    client.send(resume("r1", "chat")).await;
    client.until("start").await;
    client.until("end").await;
    // Now somebody has.
    client.send(resume("r1", "chat")).await;
    assert_eq!(client.next().await["type"], "no-active");
}

#[tokio::test]
async fn two_tabs_that_answer_at_once_get_the_same() {
    let mut server = TestServer::start().await;
    let mut one = AiClient::of(&server).await;
    let mut two = AiClient::of(&server).await;
    waiting(&mut server, &mut one, "chat", "g1").await;
    let answer = |output: &str| json!({"messages": tool_part(json!({"state": "output-available", "output": output}))});
    one.ask("r2", "chat", answer("one")).await;
    two.ask("r3", "chat", answer("two")).await;
    let call = server.upstream.call().await;
    assert_eq!(call.body["messages"][2]["role"], "tool");
    finish(call, "Done.").await;
    for tab in [&mut one, &mut two] {
        assert_eq!(tab.until_chunk("text-delta").await["delta"], "Done.");
        tab.until("end").await;
    }
    assert!(server.upstream.try_call().is_none());
}

#[tokio::test]
async fn a_drain_lets_waiting_generations_be_answered_and_starts_none() {
    let mut server = TestServer::start().await;
    let mut client = AiClient::of(&server).await;
    waiting(&mut server, &mut client, "chat", "g1").await;
    server.shut_down();
    client.until("going-away").await;
    client.ask("r2", "other", json!({})).await;
    assert_eq!(client.until("error").await["code"], "shutting_down");
    let answer = tool_part(json!({"state": "output-available", "output": "x"}));
    client.ask("r3", "chat", json!({"messages": answer})).await;
    finish(server.upstream.call().await, "Done.").await;
    assert_eq!(client.until_chunk("text-delta").await["delta"], "Done.");
    client.until("end").await;
    server.stopped().await;
}
