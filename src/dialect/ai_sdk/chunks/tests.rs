#![allow(clippy::unwrap_used)]

use tokenwire_protocol::{Delta as TextDelta, ToolCallDelta};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::*;

/// Reads these events; the word `idle` stands for the moment in which nothing more is there.
fn said(chunks: &mut Chunks, events: &[Value]) -> Vec<Value> {
    let mut out = Vec::new();
    for event in events {
        if event == "idle" {
            chunks.idle(&mut out);
            continue;
        }
        let event: Event = serde_json::from_value(event.clone()).unwrap();
        let part = match &event {
            Event::Text(TextDelta { delta }) => Some((Part::Text, delta)),
            Event::Reasoning(TextDelta { delta }) => Some((Part::Reasoning, delta)),
            Event::Refusal(TextDelta { delta }) => Some((Part::Refusal, delta)),
            Event::ToolCallDelta(ToolCallDelta { index, call_id, name, delta }) => {
                Some((Part::Arguments { index: *index, call_id: call_id.clone(), name: name.clone() }, delta))
            }
            _ => None,
        };
        match &part {
            Some((part, text)) => chunks.read(&Chunk::Deltas { part, text }, &mut out),
            None => {
                let frame = Utf8Bytes::from_static("");
                chunks.read(&Chunk::Event { event: &event, frame: &frame }, &mut out);
            }
        }
    }
    out.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect()
}

fn chunks() -> Chunks {
    Chunks::new("m1", "g1", vec!["add".into()])
}

#[track_caller]
fn check(events: &[Value], expected: &[Value]) {
    assert_eq!(said(&mut chunks(), events), expected);
}

/// Only what they are, in order.
fn kinds(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect()
}

fn text(delta: &str) -> Value {
    json!({"type": "text", "delta": delta})
}

fn usage() -> Value {
    json!({"input_tokens": 3, "output_tokens": 2, "cached_tokens": 1, "source": "provider"})
}

fn turn_ends() -> Value {
    let mut usage = usage();
    usage["type"] = "usage".into();
    usage
}

fn finished(reason: &str) -> Value {
    json!({"type": "finished", "reason": reason, "usage": usage(), "timing": {"queue_ms": 0, "total_ms": 9}})
}

fn call(name: &str) -> Value {
    json!({"type": "tool_call", "index": 0, "call_id": "c1", "name": name, "arguments": {"a": 1}})
}

fn result(content: Value, by_server: bool) -> Value {
    json!({"type": "tool_result", "call_id": "c1", "content": content, "by_server": by_server})
}

#[test]
fn a_whole_answer() {
    check(
        &[
            json!({"type": "started", "epoch": "e", "model": "m", "provider": "p"}),
            json!({"type": "reasoning", "delta": "hm"}),
            text("a"),
            text("b"),
            turn_ends(),
            finished("stop"),
        ],
        &[
            json!({"type": "start", "messageId": "m1", "messageMetadata": {"generationId": "g1", "model": "m", "provider": "p"}}),
            json!({"type": "start-step"}),
            json!({"type": "reasoning-start", "id": "reasoning-1"}),
            json!({"type": "reasoning-delta", "id": "reasoning-1", "delta": "hm"}),
            json!({"type": "reasoning-end", "id": "reasoning-1"}),
            json!({"type": "text-start", "id": "text-2"}),
            json!({"type": "text-delta", "id": "text-2", "delta": "a"}),
            json!({"type": "text-delta", "id": "text-2", "delta": "b"}),
            json!({"type": "text-end", "id": "text-2"}),
            json!({"type": "finish-step"}),
            json!({"type": "finish", "finishReason": "stop", "messageMetadata": {
                "finishReason": "stop",
                "usage": {
                    "inputTokens": 3, "outputTokens": 2, "totalTokens": 5, "source": "provider",
                    "inputTokenDetails": {"cacheReadTokens": 1}, "outputTokenDetails": {},
                },
                "timing": {"queueMs": 0, "totalMs": 9},
            }}),
        ],
    );
}

#[test]
fn reasons() {
    for (reason, expected) in [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool-calls"),
        ("content_filter", "content-filter"),
        ("refusal", "content-filter"),
        ("pause", "other"),
        ("other", "other"),
    ] {
        assert_eq!(said(&mut chunks(), &[finished(reason)])[0]["finishReason"], expected);
    }
}

#[test]
fn a_call_is_offered_to_the_page_when_nothing_else_is_to_come() {
    let delta =
        |delta: &str| json!({"type": "tool_call_delta", "index": 0, "call_id": "c1", "name": "look", "delta": delta});
    let wait = json!({"type": "tool_wait", "call_ids": ["c1"]});
    let before = [delta(""), delta("{\"a\":1}"), call("look"), turn_ends(), wait.clone()];
    let shown = [
        json!({"type": "start-step"}),
        json!({"type": "tool-input-start", "toolCallId": "c1", "toolName": "look"}),
        json!({"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "{\"a\":1}"}),
    ];
    let offered = json!({"type": "tool-input-available", "toolCallId": "c1", "toolName": "look", "input": {"a": 1}});
    let end = json!({
        "type": "finish", "finishReason": "tool-calls", "messageMetadata": {"finishReason": "tool-calls"},
    });
    let live = [&before[..], &[json!("idle")]].concat();
    check(&live, &[&shown[..], &[offered, json!({"type": "finish-step"}), end]].concat());
    // Read again when it has its result, it is not.
    let replay = [&before[..], &[result(json!("{\"b\":2}"), false), json!("idle"), text("a")]].concat();
    let output = json!({"type": "tool-output-available", "toolCallId": "c1", "output": {"b": 2}});
    let rest = [output, json!({"type": "finish-step"}), json!({"type": "start-step"})];
    assert_eq!(said(&mut chunks(), &replay)[..6], [&shown[..], &rest[..]].concat());
    // While a tool of the server's runs beside it, the answer goes on.
    let mut beside = call("add");
    beside["call_id"] = "c2".into();
    let both = [call("look"), beside, turn_ends(), wait, json!("idle")];
    assert_eq!(*kinds(&said(&mut chunks(), &both)).last().unwrap(), "tool-input-available");
}

#[test]
fn a_call_that_the_page_answered_goes_on_in_its_message() {
    let mut chunks = chunks();
    said(&mut chunks, &[call("look"), turn_ends(), json!({"type": "tool_wait", "call_ids": ["c1"]})]);
    let mut out = Vec::new();
    chunks.go_on(&HashSet::from(["c1"]), &mut out);
    assert_eq!(out, [r#"{"messageId":"m1","type":"start"}"#]);
    let rest = said(&mut chunks, &[json!("idle"), result(json!("blue"), false), json!("idle"), text("a")]);
    assert_eq!(kinds(&rest), ["tool-output-available", "start-step", "text-start", "text-delta"]);
}

#[test]
fn tools_that_run_elsewhere() {
    let by = |by: &str| json!({"tokenwire": {"by": by}});
    check(
        &[call("add"), result(json!("3"), true)],
        &[
            json!({"type": "start-step"}),
            json!({"type": "tool-input-start", "toolCallId": "c1", "toolName": "add", "providerExecuted": true,
                "dynamic": true, "providerMetadata": by("server")}),
            json!({"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "{\"a\":1}"}),
            json!({"type": "tool-input-available", "toolCallId": "c1", "toolName": "add", "input": {"a": 1},
                "providerExecuted": true, "dynamic": true, "providerMetadata": by("server")}),
            json!({"type": "tool-output-available", "toolCallId": "c1", "output": "3", "providerExecuted": true,
                "dynamic": true}),
        ],
    );
    // A result whose call was never told has one here: the page would break without it.
    let result = json!({"type": "server_tool_result", "call_id": "s1", "name": "web_search", "result": [1]});
    check(
        &[result],
        &[
            json!({"type": "start-step"}),
            json!({"type": "tool-input-available", "toolCallId": "s1", "toolName": "web_search", "input": {},
                "providerExecuted": true, "dynamic": true, "providerMetadata": by("provider")}),
            json!({"type": "tool-output-available", "toolCallId": "s1", "output": [1], "providerExecuted": true,
                "dynamic": true}),
        ],
    );
}

#[test]
fn approvals() {
    let approval = json!({"type": "tool_approval", "call_id": "c1", "name": "add", "arguments": {"a": 1}});
    let decision = |approved| json!({"type": "tool_decision", "call_id": "c1", "approved": approved, "by": "client"});
    let asked = [call("add"), turn_ends(), approval];
    let events = [&asked[..], &[json!("idle")]].concat();
    let shown = said(&mut chunks(), &events);
    assert_eq!(kinds(&shown[4..]), ["tool-approval-request", "finish-step", "finish"]);
    assert_eq!(shown[4]["approvalId"], "c1");
    for (approved, expected) in
        [(true, &["tool-approval-response"][..]), (false, &["tool-approval-response", "tool-output-denied"])]
    {
        let events = [&asked[..], &[decision(approved), json!("idle")]].concat();
        assert_eq!(kinds(&said(&mut chunks(), &events)[5..]), expected);
    }
}

#[test]
fn decisions_of_the_application() {
    let decision = |approved| json!({"type": "tool_decision", "call_id": "c1", "approved": approved, "by": "server", "reason": "no"});
    let shown = said(&mut chunks(), &[call("add"), turn_ends(), decision(false)]);
    assert_eq!(kinds(&shown[4..]), ["tool-approval-request", "tool-approval-response", "tool-output-denied"]);
    assert_eq!((&shown[4]["isAutomatic"], &shown[5]["reason"]), (&json!(true), &json!("no")));
    assert_eq!(said(&mut chunks(), &[call("add"), turn_ends(), decision(true)]).len(), 4);
}

#[test]
fn sources_are_named_once_and_cited_where_they_count() {
    let cite =
        |quote: &str| json!({"type": "citation", "url": "https://a", "title": "A", "quote": quote, "source": {}});
    let shown = said(&mut chunks(), &[text("a"), cite("x"), cite("y"), turn_ends()]);
    assert_eq!(kinds(&shown), ["start-step", "text-start", "text-delta", "source-url", "text-end"]);
    let cited: Vec<_> = shown[4]["citations"].as_array().unwrap().iter().map(|cited| &cited["citedText"]).collect();
    assert_eq!(cited, ["x", "y"]);
    let document = json!({"type": "citation", "title": "A book", "source": {}});
    assert_eq!(said(&mut chunks(), &[document])[1]["type"], "source-document");
}

#[test]
fn media_in_pieces_become_one_file() {
    let piece = |data: &str, has_more| json!({"type": "media", "index": 0, "media_type": "audio/pcm", "data": data, "has_more": has_more});
    let shown = said(&mut chunks(), &[piece("YQ==", true), piece("Yg==", false)]);
    assert_eq!(shown[1..], [json!({"type": "file", "mediaType": "audio/pcm", "url": "data:audio/pcm;base64,YWI="})]);
}

#[test]
fn other_ends() {
    let cancelled =
        json!({"type": "cancelled", "by": "client", "usage": usage(), "timing": {"queue_ms": 0, "total_ms": 9}});
    let shown = said(&mut chunks(), &[text("a"), cancelled]);
    assert_eq!(kinds(&shown[3..]), ["text-end", "finish-step", "message-metadata", "finish", "abort"]);
    let error = json!({"code": "overloaded", "message": "too much", "retryable": true});
    let failed = json!({"type": "failed", "error": error, "usage": usage(), "timing": {"queue_ms": 0, "total_ms": 9}});
    let shown = said(&mut chunks(), &[text("a"), failed]);
    assert_eq!(kinds(&shown[3..]), ["text-end", "finish-step", "finish", "error"]);
    assert_eq!(shown[6]["errorText"], "too much");
    assert_eq!(shown[5]["messageMetadata"]["error"]["code"], "overloaded");
}

#[test]
fn an_interrupt_leaves_no_call_open() {
    let input = json!({"type": "input", "input_id": "i1", "state": "applied",
        "messages": [{"role": "user", "content": "stop that"}]});
    let shown =
        said(&mut chunks(), &[call("look"), turn_ends(), json!({"type": "tool_wait", "call_ids": ["c1"]}), input]);
    assert_eq!(kinds(&shown[3..]), ["tool-output-error", "finish-step", "steering-message"]);
    assert_eq!(shown[5]["parts"], json!([{"type": "text", "text": "stop that"}]));
}
