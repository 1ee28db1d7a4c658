//! What holds for any message of a page's, and for any events.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use tokenwire_protocol::{
    Event, Start,
    message::{Message, Role},
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    chunks::Chunks,
    messages::{UiMessage, to_model},
};
use crate::{
    generation::log::{Chunk, Part},
    provider::{ModelRequest, Secret, Upstream, vendors},
};

/// Any JSON that a page may put anywhere.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        select(vec!["", "x", "{", "{\"a\":1}", "data:,", "ü"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((select(vec!["text", "provider", "content", "parts", "approved", "by", "x"]), inner), 0..3)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A part of a message: mostly with the fields that its type has, some of them anything.
fn part() -> impl Strategy<Value = Value> {
    let kinds = vec![
        "text",
        "reasoning",
        "file",
        "custom",
        "step-start",
        "steering-message",
        "dynamic-tool",
        "tool-look",
        "tool-",
        "source-url",
        "data-x",
        "",
    ];
    let states = vec![
        "input-streaming",
        "input-available",
        "output-available",
        "output-error",
        "output-denied",
        "approval-requested",
        "approval-responded",
        "other",
    ];
    let fields = (select(kinds), select(states), select(vec!["c1", "c2", "c3"]), any::<bool>(), any::<bool>());
    (
        fields,
        any_json(),
        vec((select(vec!["text", "input", "output", "providerMetadata", "approval"]), any_json()), 0..2),
    )
        .prop_map(|((kind, state, id, flag, is_mine), json, others)| {
            let by = if flag { "server" } else { "provider" };
            let mut part = json!({
                "type": kind, "state": state, "toolCallId": id, "toolName": "look", "text": "t", "input": {"a": 1},
                "output": json, "errorText": "e", "kind": "tokenwire.native", "url": "data:image/png;base64,AAAA",
                "mediaType": "image/png", "parts": [{"type": "text", "text": "s"}], "approval": {"approved": flag},
                "providerMetadata": {"tokenwire": {"provider": "openai", "content": json}},
            });
            if !is_mine {
                part["providerExecuted"] = true.into();
                part["callProviderMetadata"] = json!({"tokenwire": {"by": by}});
            }
            for (name, value) in others {
                part[name] = value;
            }
            part
        })
}

fn messages() -> impl Strategy<Value = Value> {
    let message = (select(vec!["system", "user", "assistant"]), vec(part(), 0..6));
    vec(message, 0..6).prop_map(|messages| {
        let message = |(role, parts)| json!({"id": "m", "role": role, "parts": parts});
        messages.into_iter().map(message).collect()
    })
}

/// Every call has its result behind it, and every result its call before it; no answer is empty.
fn check_messages(messages: &[Message]) {
    let mut due: Vec<&str> = Vec::new();
    for message in messages {
        if message.role == Role::Tool {
            assert_eq!(message.tool_call_id.as_deref(), Some(due.remove(0)));
            continue;
        }
        assert!(due.is_empty(), "{due:?} have no result");
        due = message.tool_calls.iter().map(|call| call.id.as_str()).collect();
        let says = message.content.as_ref().is_some_and(|content| content.byte_len() > 0);
        assert!(message.role != Role::Assistant || says || !due.is_empty() || message.native.is_some());
    }
    assert!(due.is_empty(), "{due:?} have no result");
}

/// No wire format has trouble with them.
fn check_requests(messages: &[Message]) {
    for name in ["openai", "anthropic", "gemini", "cohere", "ollama", "openai-responses", "bedrock"] {
        let Some(vendor) = vendors::vendor(name) else { continue };
        let start = json!({"id": "g", "model": format!("{name}/m"), "messages": messages});
        let start: Start = serde_json::from_value(start).unwrap();
        let upstream = Upstream {
            name: "openai".to_owned(),
            base_url: vendor.base_url.to_owned(),
            key: Some(Secret::new("key")),
            authorizer: None,
            api_version: None,
            headers: Vec::new(),
            quirks: vendor.quirks,
        };
        let request = ModelRequest::from_start(start, name);
        let Ok(request) = vendors::adapter(vendor.wire_format).unwrap().request(&request, &upstream) else { continue };
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        if let Some(model) = body.get("model") {
            assert_eq!(model, "m", "what a page puts into its messages stays there");
        }
    }
}

/// A stretch of text, an event, or a moment in which nothing more is there.
#[derive(Clone, Debug)]
enum Said {
    Text(Part, String),
    Event(Value),
    Idle,
}

fn said() -> impl Strategy<Value = Said> {
    let usage =
        json!({"type": "usage", "input_tokens": 3, "output_tokens": 2, "cached_tokens": 1, "source": "provider"});
    let input = json!({"type": "input", "input_id": "i", "state": "applied",
        "messages": [{"role": "user", "content": "u"}]});
    let retry = json!({"type": "retry", "attempt": 2, "provider": "p", "model": "m", "continues": false, "delay_ms": 0,
        "reason": {"code": "truncated", "message": "m", "retryable": true}});
    let fixed = vec![
        usage,
        input,
        retry,
        json!({"type": "citation", "url": "https://example.com", "source": "x"}),
        json!({"type": "media", "index": 0, "media_type": "image/png", "data": "AAAA", "has_more": true}),
        json!({"type": "media", "index": 0, "media_type": "image/png", "data": "AAAA", "has_more": false}),
        json!({"type": "native", "provider": "p", "content": {}}),
        json!({"type": "warning", "field": "f", "message": "m"}),
    ];
    let part = select(vec![Part::Text, Part::Reasoning, Part::Refusal]);
    let call = (select(vec!["c1", "c2", "c3"]), select(vec!["look", "add"]), 0..9_usize, any::<bool>());
    prop_oneof![
        (part, "[a-z]{1,8}").prop_map(|(part, text)| Said::Text(part, text)),
        select(fixed).prop_map(Said::Event),
        Just(Said::Idle),
        call.prop_map(|(id, name, kind, flag)| {
            let about = |kind: &str, more: Value| {
                let mut event = json!({"type": kind, "call_id": id});
                event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                Said::Event(event)
            };
            match kind {
                0 => Said::Text(Part::Arguments { index: 0, call_id: id.into(), name: name.into() }, "{}".to_owned()),
                1 => about("tool_call", json!({"index": 0, "name": name, "arguments": {}, "invalid": flag})),
                2 => about("tool_approval", json!({"name": name, "arguments": {}})),
                3 => about("tool_decision", json!({"approved": flag, "by": "client", "arguments": {"b": 2}})),
                4 => Said::Event(json!({"type": "tool_wait", "call_ids": [id]})),
                5 => about("tool_result", json!({"content": "r", "is_error": flag, "by_server": name == "add"})),
                6 => about("server_tool_call", json!({"call_id": format!("p{id}"), "name": "web"})),
                7 => about(
                    "server_tool_result",
                    json!({"call_id": format!("p{id}"), "name": "web", "result": {}, "is_error": flag}),
                ),
                _ => about("tool_progress", json!({"progress": 1.0})),
            }
        }),
    ]
}

fn end(kind: u8) -> Value {
    let usage = json!({"input_tokens": 3, "output_tokens": 2, "cached_tokens": 1, "source": "provider"});
    let mut end = match kind {
        0 => json!({"type": "finished", "reason": "stop"}),
        1 => json!({"type": "finished", "reason": "tool_calls"}),
        2 => json!({"type": "cancelled", "by": "client"}),
        _ => json!({"type": "failed", "error": {"code": "internal", "message": "m", "retryable": false}}),
    };
    end["usage"] = usage;
    end["timing"] = json!({"queue_ms": 0, "total_ms": 9});
    end
}

/// The messages of one generation as requests get them: a new one begins where the last one has ended.
fn read(said: &[Said], end: Value) -> Vec<Vec<Value>> {
    let mut chunks = Chunks::new("m1", "g1", vec!["add".into()]);
    let mut requests = Vec::new();
    let mut out = Vec::new();
    let mut whole = HashSet::new();
    let started = json!({"type": "started", "epoch": "e", "model": "m", "provider": "p"});
    let all = [Said::Event(started)].into_iter().chain(said.iter().cloned()).chain([Said::Event(end)]);
    for said in all {
        match said {
            // The arguments of a call come before everything that is done about it.
            Said::Text(Part::Arguments { call_id, .. }, _) if whole.contains(&*call_id) => {}
            Said::Text(part, text) => chunks.read(&Chunk::Deltas { part: &part, text: &text }, &mut out),
            Said::Event(event) => {
                whole.extend(event["call_id"].as_str().or(event["call_ids"][0].as_str()).map(str::to_owned));
                let event: Event = serde_json::from_value(event).unwrap();
                chunks.read(&Chunk::Event { event: &event, frame: &Utf8Bytes::from_static("") }, &mut out);
            }
            Said::Idle => {
                if chunks.idle(&mut out) {
                    requests.push(std::mem::take(&mut out));
                    chunks.go_on(&HashSet::from(["c1", "c2"]), &mut out);
                }
            }
        }
    }
    requests.push(out);
    let parsed = |request: Vec<String>| request.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    requests.into_iter().map(parsed).collect()
}

/// What the AI SDK relies on when it puts a message together.
#[derive(Default)]
struct Sdk {
    /// The calls of the message: they stay from request to request.
    calls: HashSet<String>,
}

impl Sdk {
    fn check(&mut self, chunks: &[Value]) {
        let mut open: HashMap<String, &str> = HashMap::new();
        let mut used = HashSet::new();
        let mut streaming = HashSet::new();
        let (mut is_in_step, mut is_over) = (false, false);
        assert_eq!(chunks[0]["type"], "start");
        for chunk in chunks {
            let text = |name: &str| chunk[name].as_str().unwrap().to_owned();
            let kind = chunk["type"].as_str().unwrap();
            assert!(!is_over || matches!(kind, "abort" | "error"), "{chunk} comes after the end");
            match kind {
                "start-step" => assert!(!std::mem::replace(&mut is_in_step, true)),
                "finish-step" => {
                    assert!(std::mem::replace(&mut is_in_step, false));
                    assert!(open.is_empty(), "{open:?} outlive their step");
                }
                "text-start" | "reasoning-start" => {
                    assert!(is_in_step && open.is_empty());
                    assert!(used.insert(text("id")), "{chunk} has an id that was used");
                    open.insert(text("id"), &kind[..4]);
                }
                "text-delta" | "reasoning-delta" => assert_eq!(open.get(&text("id")), Some(&&kind[..4]), "{chunk}"),
                "text-end" | "reasoning-end" => assert_eq!(open.remove(&text("id")), Some(&kind[..4]), "{chunk}"),
                "tool-input-start" => {
                    streaming.insert(text("toolCallId"));
                    self.calls.insert(text("toolCallId"));
                }
                "tool-input-delta" => assert!(streaming.contains(&text("toolCallId")), "{chunk}"),
                "tool-input-available" | "tool-input-error" => {
                    self.calls.insert(text("toolCallId"));
                }
                "tool-approval-request" | "tool-output-available" | "tool-output-error" | "tool-output-denied" => {
                    assert!(self.calls.contains(&text("toolCallId")), "{chunk} has no input");
                }
                "tool-approval-response" => assert!(self.calls.contains(&text("approvalId")), "{chunk}"),
                "finish" => {
                    assert!(!is_in_step && open.is_empty());
                    is_over = true;
                }
                _ => {}
            }
        }
        assert!(is_over);
    }
}

/// The chunks with adjacent deltas of one part joined.
fn joined(chunks: Vec<Value>) -> Vec<Value> {
    let mut joined: Vec<Value> = Vec::new();
    for chunk in chunks {
        if let Some(last) = joined.last_mut()
            && last["delta"].is_string()
            && (&last["type"], &last["id"]) == (&chunk["type"], &chunk["id"])
        {
            let text = last["delta"].as_str().unwrap().to_owned() + chunk["delta"].as_str().unwrap();
            last["delta"] = text.into();
            continue;
        }
        joined.push(chunk);
    }
    joined
}

proptest! {
    #[test]
    fn any_messages_become_what_providers_take(messages in messages()) {
        let messages: Vec<UiMessage> = serde_json::from_value(messages).unwrap();
        if let Ok(told) = to_model(&messages) {
            check_messages(&told);
            check_requests(&told);
        }
    }

    #[test]
    fn any_events_become_what_the_sdk_takes(said in vec(said(), 0..60), kind in 0..4_u8) {
        let mut sdk = Sdk::default();
        for request in read(&said, end(kind)) {
            sdk.check(&request);
        }
    }

    #[test]
    fn how_deltas_are_joined_changes_nothing(said in vec(said(), 0..60), kind in 0..4_u8) {
        let letters = said.iter().flat_map(|said| match said {
            Said::Text(part @ (Part::Text | Part::Reasoning | Part::Refusal), text) => {
                text.chars().map(|letter| Said::Text(part.clone(), letter.to_string())).collect()
            }
            said => vec![said.clone()],
        });
        let letters: Vec<_> = letters.collect();
        let whole: Vec<_> = read(&said, end(kind)).into_iter().map(joined).collect();
        let pieces: Vec<_> = read(&letters, end(kind)).into_iter().map(joined).collect();
        prop_assert_eq!(whole, pieces);
    }
}
