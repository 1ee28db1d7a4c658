//! What a client may get wrong: each bad frame has one answer, which names the field and repeats
//! no value.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenwire_protocol::{
    Cancel, ClientFrame, ErrorCode, OnDisconnect, Ping, Start,
    message::{Content, Message},
};

/// What a frame is answered with, which field is named (`-` for none), what the message says,
/// and the frame. `START` stands for the beginning of a start that is right so far.
#[rustfmt::skip]
const BAD: &[(ErrorCode, &str, &str, &str)] = &[
    (ErrorCode::BadJson, "-", "not valid JSON", r#""#),
    (ErrorCode::BadJson, "-", "not valid JSON", r#"hello"#),
    (ErrorCode::BadJson, "-", "not valid JSON", r#"{"type":"ping""#),
    (ErrorCode::BadJson, "-", "trailing", r#"{"type":"ping"} {"type":"ping"}"#),
    (ErrorCode::BadJson, "-", "a frame is a JSON object", r#"null"#),
    (ErrorCode::BadJson, "-", "a frame is a JSON object", r#"3"#),
    (ErrorCode::BadJson, "-", "a frame is a JSON object", r#""ping""#),
    (ErrorCode::BadJson, "-", "a frame is a JSON object", r#"[{"type":"ping"}]"#),
    (ErrorCode::BadJson, "-", "a frame is a JSON object", r#"["ping"]"#),
    (ErrorCode::BadJson, "-", "a frame is a JSON object", r#" ["detach","g1"]"#),

    (ErrorCode::BadField, "type", "missing", r#"{}"#),
    (ErrorCode::BadField, "type", "missing", r#"{"id":"g1"}"#),
    (ErrorCode::BadField, "type", "missing", r#"{"type":null}"#),
    (ErrorCode::BadField, "type", "expected a string, not an integer", r#"{"type":7}"#),
    (ErrorCode::BadField, "type", "expected a string, not an array", r#"{"type":["ping"]}"#),
    (ErrorCode::BadField, "type", "more than once", r#"{"type":"ping","type":"ping"}"#),
    (ErrorCode::UnknownType, "type", "start, cancel, attach", r#"{"type":"stop"}"#),
    (ErrorCode::UnknownType, "type", "start, cancel, attach", r#"{"type":"Ping"}"#),
    (ErrorCode::UnknownType, "type", "start, cancel, attach", r#"{"type":"started","id":"g1"}"#),

    (ErrorCode::BadField, "id", "missing", r#"{"type":"start","model":"m","messages":[{"role":"user"}]}"#),
    (ErrorCode::BadField, "id", "1 to 128", r#"{"type":"start","id":"","model":"m"}"#),
    (ErrorCode::BadField, "id", "1 to 128", r#"{"type":"start","id":"a b","model":"m"}"#),
    (ErrorCode::BadField, "id", "1 to 128", r#"{"type":"start","id":"a\"b","model":"m"}"#),
    (ErrorCode::BadField, "id", "1 to 128", r#"{"type":"start","id":"ä","model":"m"}"#),
    (ErrorCode::BadField, "id", "expected a string", r#"{"type":"start","id":4,"model":"m"}"#),
    (ErrorCode::BadField, "id", "more than once", r#"{"type":"start","id":"g1","id":"g2","model":"m"}"#),
    (ErrorCode::BadField, "model", "missing", r#"{"type":"start","id":"g1","messages":[{"role":"user"}]}"#),
    (ErrorCode::BadField, "model", "empty", r#"{"type":"start","id":"g1","model":"","messages":[{"role":"user"}]}"#),
    (ErrorCode::BadField, "model", "expected a string", r#"{"type":"start","id":"g1","model":null}"#),
    (ErrorCode::BadField, "messages", "at least one", r#"{"type":"start","id":"g1","model":"m"}"#),
    (ErrorCode::BadField, "messages", "at least one", r#"{"type":"start","id":"g1","model":"m","messages":[]}"#),
    (ErrorCode::BadField, "messages", "expected an array, not a string", r#"START "messages":"hi"}"#),
    (ErrorCode::BadField, "messages", "expected an array, not an object", r#"START "messages":{"role":"user"}}"#),
    (ErrorCode::BadField, "messages[0]", "expected an object, not a string", r#"START "messages":["hi"]}"#),
    (ErrorCode::BadField, "messages[0].role", "missing", r#"START "messages":[{"content":"hi"}]}"#),
    (ErrorCode::BadField, "messages[0].role", "`user`", r#"START "messages":[{"role":"robot"}]}"#),
    (ErrorCode::BadField, "messages[1].role", "not a valid value", r#"START "messages":[{"role":"user"},{"role":1}]}"#),
    (ErrorCode::BadField, "messages[0].content", "a string or a list of content parts",
        r#"START "messages":[{"role":"user","content":5}]}"#),
    (ErrorCode::BadField, "messages[0].content[0].type", "missing",
        r#"START "messages":[{"role":"user","content":[{"text":"hi"}]}]}"#),
    (ErrorCode::BadField, "messages[0].content[0].type", "`image_url`",
        r#"START "messages":[{"role":"user","content":[{"type":"video"}]}]}"#),
    (ErrorCode::BadField, "messages[0].content[0].text", "missing",
        r#"START "messages":[{"role":"user","content":[{"type":"text"}]}]}"#),
    (ErrorCode::BadField, "messages[0].content[1].text", "expected a string, not an integer",
        r#"START "messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":9}]}]}"#),
    (ErrorCode::BadField, "messages[0].content[0].image_url.url", "missing",
        r#"START "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"detail":"low"}}]}]}"#),
    (ErrorCode::BadField, "messages[0].content[0].image_url", "`url`",
        r#"START "messages":[{"role":"user","content":[{"type":"image_url","image_url":7}]}]}"#),
    (ErrorCode::BadField, "messages[0].tool_calls[0].function.arguments", "missing",
        r#"START "messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f"}}]}]}"#),
    (ErrorCode::BadField, "tools[0].function.name", "missing", r#"START "tools":[{"function":{}}]}"#),
    (ErrorCode::BadField, "tool_choice", "auto", r#"START "tool_choice":"maybe"}"#),
    (ErrorCode::BadField, "temperature", "expected a number, not a string", r#"START "temperature":"hot"}"#),
    (ErrorCode::BadField, "max_tokens", "a whole number, 0 or more, not an integer", r#"START "max_tokens":-1}"#),
    (ErrorCode::BadField, "max_tokens", "not a number with a fraction", r#"START "max_tokens":1.5}"#),
    (ErrorCode::BadField, "stop", "a string or a list of strings", r#"START "stop":5}"#),
    (ErrorCode::BadField, "on_disconnect", "`continue`", r#"START "on_disconnect":"explode"}"#),
    (ErrorCode::BadField, "on_disconnect.cancel_after_ms", "a whole number",
        r#"START "on_disconnect":{"cancel_after_ms":"1"}}"#),
    (ErrorCode::BadField, "timeouts.idle_ms", "a whole number", r#"START "timeouts":{"idle_ms":"1s"}}"#),
    (ErrorCode::BadField, "accumulate", "expected a boolean, not a string", r#"START "accumulate":"yes"}"#),
    (ErrorCode::BadField, "metadata", "expected an object, not an array", r#"START "metadata":[]}"#),

    (ErrorCode::BadField, "id", "all", r#"{"type":"cancel"}"#),
    (ErrorCode::BadField, "id", "all", r#"{"type":"cancel","all":false}"#),
    (ErrorCode::BadField, "id", "1 to 128", r#"{"type":"cancel","id":"no spaces"}"#),
    (ErrorCode::BadField, "reason", "expected a string", r#"{"type":"cancel","id":"g1","reason":5}"#),
    (ErrorCode::BadField, "id", "missing", r#"{"type":"attach"}"#),
    (ErrorCode::BadField, "after", "a whole number", r#"{"type":"attach","id":"g1","after":-1}"#),
    (ErrorCode::BadField, "after", "a whole number, 0 or more, not a string", r#"{"type":"attach","id":"g1","after":"7"}"#),
    (ErrorCode::BadField, "epoch", "expected a string", r#"{"type":"attach","id":"g1","epoch":7}"#),
    (ErrorCode::BadField, "id", "missing", r#"{"type":"detach"}"#),
    (ErrorCode::BadField, "call_id", "missing", r#"{"type":"tool_result","id":"g1","content":"x"}"#),
    (ErrorCode::BadField, "content", "missing", r#"{"type":"tool_result","id":"g1","call_id":"c"}"#),
    (ErrorCode::BadField, "content", "a string or a list of content parts",
        r#"{"type":"tool_result","id":"g1","call_id":"c","content":{"a":1}}"#),
    (ErrorCode::BadField, "messages", "missing", r#"{"type":"input","id":"g1"}"#),
    (ErrorCode::BadField, "messages", "at least one", r#"{"type":"input","id":"g1","messages":[]}"#),
    (ErrorCode::BadField, "nonce", "number out of range", r#"{"type":"ping","nonce":1e999}"#),
    (ErrorCode::BadField, "nonce", "not a valid value", r#"{"type":"ping","nonce":"\ud800"}"#),
];

#[test]
fn a_bad_frame_is_answered_with_its_code_and_the_field_at_fault() {
    for (code, field, message, text) in BAD {
        let text = text.replace("START", r#"{"type":"start","id":"g1","model":"m","#);
        let error = ClientFrame::parse(&text).expect_err(&text).error;
        assert_eq!(error.code, *code, "{text}: {error}");
        assert_eq!(error.field.as_deref().unwrap_or("-"), *field, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_bad_frame_is_answered_with_the_id_where_that_could_be_read() {
    let id_of = |text| ClientFrame::parse(text).unwrap_err().id.map(|id| id.to_string());
    assert_eq!(id_of(r#"{"id":"g1"}"#).as_deref(), Some("g1"));
    assert_eq!(id_of(r#"{"id":"g1","type":"stop"}"#).as_deref(), Some("g1"));
    assert_eq!(id_of(r#"{"type":"start","model":7,"id":"g1"}"#).as_deref(), Some("g1"));
    assert_eq!(id_of(r#"{"type":"start","id":"not valid"}"#), None);
    assert_eq!(id_of(r#"{"type":"start","id":{"a":1}}"#), None);
    assert_eq!(id_of("[]"), None);
}

#[test]
fn unknown_fields_are_ignored_and_null_counts_as_left_out() {
    let plain = json!({"type": "start", "id": "g1", "model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let mut full = plain.clone();
    full["from_the_future"] = json!({"a": [1, 2]});
    let options = "tools tool_choice end_at_tool_calls temperature top_p max_tokens stop seed response_format \
                   reasoning_effort provider_options on_disconnect timeouts metadata continue_from accumulate";
    for option in options.split_whitespace() {
        full[option] = Value::Null;
    }
    full["messages"][0]["tool_calls"] = Value::Null;
    assert_eq!(ClientFrame::parse(&full.to_string()), ClientFrame::parse(&plain.to_string()));

    let ping = ClientFrame::parse(r#" {"nonce":null,"type":"p\u0069ng","all":7} "#);
    assert_eq!(ping, Ok(ClientFrame::Ping(Ping { nonce: None })));
}

#[test]
fn a_chat_completions_payload_pastes_in() {
    let frame = json!({
        "type": "start", "id": "g1", "model": "openai/gpt-4.1", "stream": true, "n": 1,
        "max_completion_tokens": 9, "stop": "END", "user": "u",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {"type": "image_url", "image_url": "https://example.com/cat.png"},
            ]},
            {"role": "assistant", "content": null, "refusal": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat", "tool_calls": null},
        ],
    });
    let ClientFrame::Start(start) = ClientFrame::parse(&frame.to_string()).unwrap() else { panic!("a start") };
    assert_eq!(start.max_tokens, Some(9));
    assert_eq!(start.messages.len(), 4);
    assert_eq!(start.messages[1].extra["name"], "ann");
    assert_eq!(start.messages[1].plain_text(), "what is this?");
    assert_eq!(start.messages[2].content, None);
    assert_eq!(start.messages[3].content, Some(Content::Text("a cat".into())));
}

#[test]
fn what_a_rust_client_writes_is_read_back() {
    let start = Start {
        on_disconnect: Some(OnDisconnect::CancelAfterMs(5)),
        ..Start::new("g1".parse().unwrap(), "demo", vec![Message::user("hi")])
    };
    let cancel = Cancel { id: None, all: true, reason: None };
    for frame in [ClientFrame::Start(Box::new(start)), ClientFrame::Cancel(cancel)] {
        let text = serde_json::to_string(&frame).unwrap();
        assert_eq!(ClientFrame::parse(&text), Ok(frame), "{text}");
    }
}

/// Prompts that hold the very words by which errors are taken apart.
const CANARIES: &[&str] = &[
    "CANARY",
    "CANARY at line 1 column 2",
    "x, expected CANARY",
    "`, expected CANARY",
    "missing field `CANARY`",
    "expected CANARY",
    "CANARY`, \"quoted\", expected one of `a`",
];

#[test]
fn no_error_repeats_a_value_of_the_frame() {
    let mut errors = 0;
    for entry in std::fs::read_dir("golden/client").unwrap() {
        let frame: Value = serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        for canary in CANARIES {
            for value in [json!(canary), json!([canary]), json!([[canary]]), json!({"type": canary, "role": canary})] {
                for frame in with_each_value_replaced(&frame, &value) {
                    if let Err(bad) = ClientFrame::parse(&frame.to_string()) {
                        let answer = serde_json::to_string(&*bad.error).unwrap();
                        assert!(!answer.contains("CANARY"), "{frame} -> {answer}");
                        errors += 1;
                    }
                }
            }
        }
    }
    assert!(errors > 500, "only {errors} of the frames were bad");
}

/// Copies of `frame`, each with `value` in the place of another one of its values.
fn with_each_value_replaced(frame: &Value, value: &Value) -> Vec<Value> {
    let members: Vec<String> = match frame {
        Value::Object(object) => object.keys().cloned().collect(),
        Value::Array(array) => (0..array.len()).map(|at| at.to_string()).collect(),
        _ => Vec::new(),
    };
    let mut copies = vec![value.clone()];
    for member in members.iter().map(|member| format!("/{member}")) {
        for inner in with_each_value_replaced(&frame.pointer(&member).unwrap().clone(), value) {
            let mut copy = frame.clone();
            *copy.pointer_mut(&member).unwrap() = inner;
            copies.push(copy);
        }
    }
    copies
}

#[test]
fn an_answer_stays_small_whatever_was_sent() {
    let long = "k".repeat(100_000);
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let frames = [
        json!({"type": long, "id": long, "model": long}),
        json!({"type": "start", "id": "g1", "model": "m", "metadata": {long.as_str(): deep}}),
        json!({"type": "start", "id": "g1", "model": "m", "messages": long}),
        json!({"type": "start", "id": "g1", "model": "m", "messages": [{"role": long}]}),
    ];
    for frame in frames {
        let error = ClientFrame::parse(&frame.to_string()).unwrap_err().error;
        assert!(serde_json::to_string(&error).unwrap().len() < 500, "{error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] =
        &["type", "id", "messages", "role", "content", "text", "tools", "function", "timeouts", "image_url"];
    let key = prop_oneof!["[a-z]{0,4}", prop::sample::select(KEYS).prop_map(str::to_owned)].boxed();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let object = prop::collection::btree_map(key.clone(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn parse_never_panics_on_text(text in ".*") {
        let _ = ClientFrame::parse(&text);
    }

    #[test]
    fn parse_never_panics_on_json(value in any_json(), kind in prop::sample::select(ClientFrame::TYPES)) {
        let _ = ClientFrame::parse(&value.to_string());
        if let Value::Object(mut object) = value {
            object.insert("type".into(), kind.into());
            let _ = ClientFrame::parse(&Value::Object(object).to_string());
        }
    }

    #[test]
    fn a_frame_that_is_cut_is_not_json(at in 0usize..1500) {
        let text = std::fs::read_to_string("golden/client/start.json").unwrap();
        if at < text.trim_end().len() && text.is_char_boundary(at) {
            let code = ClientFrame::parse(&text[..at]).unwrap_err().error.code;
            prop_assert_eq!(code, ErrorCode::BadJson);
        }
    }
}
