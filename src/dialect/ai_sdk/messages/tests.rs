#![allow(clippy::unwrap_used)]

use super::*;

fn told(messages: Value) -> Result<Value, Box<ErrorInfo>> {
    let messages: Vec<UiMessage> = serde_json::from_value(messages).unwrap();
    to_model(&messages).map(|messages| serde_json::to_value(messages).unwrap())
}

/// What a question and an answer of these parts become, without the question.
#[track_caller]
fn check(parts: Value, expected: Value) {
    let question = json!({"role": "user", "parts": [{"type": "text", "text": "q"}]});
    let messages = told(json!([question, {"role": "assistant", "parts": parts}])).unwrap();
    assert_eq!(messages.as_array().unwrap()[1..], *expected.as_array().unwrap());
}

fn call(state: &str, more: Value) -> Value {
    let mut part = json!({
        "type": "tool-look", "toolCallId": "c1", "state": state, "input": {"at": "sky"},
    });
    part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    part
}

/// What becomes of the call that [`call`] makes.
#[track_caller]
fn check_call(state: &str, more: Value, content: &str, is_error: bool) {
    let mut result = json!({"role": "tool", "tool_call_id": "c1", "content": content});
    if is_error {
        result["is_error"] = true.into();
    }
    check(json!([call(state, more)]), json!([made("look"), result]));
}

fn made(name: &str) -> Value {
    let function = json!({"name": name, "arguments": "{\"at\":\"sky\"}"});
    json!({"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]})
}

#[test]
fn text_reasoning_and_steps() {
    check(json!([{"type": "text", "text": "a"}]), json!([{"role": "assistant", "content": "a"}]));
    check(
        json!([
            {"type": "step-start"}, {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"},
            {"type": "text", "text": "b"}, {"type": "step-start"}, {"type": "text", "text": "c"},
        ]),
        json!([
            {"role": "assistant", "content": "ab", "reasoning_content": "hm"},
            {"role": "assistant", "content": "c"},
        ]),
    );
    check(json!([{"type": "step-start"}, {"type": "text", "text": ""}]), json!([]));
}

#[test]
fn tools_in_every_state() {
    check(json!([call("input-streaming", json!({}))]), json!([]));
    check_call("input-available", json!({}), "This call was not carried out.", true);
    let approval = |more: Value| json!({"approval": more});
    let undecided = "The user did not decide on this call.";
    check_call("approval-requested", approval(json!({"id": "c1"})), undecided, true);
    let allowed = "The user allowed this call, but it was not carried out. Make it again.";
    check_call("approval-responded", approval(json!({"id": "c1", "approved": true})), allowed, true);
    let denied = "The user did not allow this call: too dear";
    let no = approval(json!({"id": "c1", "approved": false, "reason": "too dear"}));
    check_call("approval-responded", no.clone(), denied, true);
    check_call("output-denied", no, denied, true);
    check_call("output-denied", json!({}), "The user did not allow this call.", true);
    check_call("output-available", json!({"output": "blue"}), "blue", false);
    check_call("output-available", json!({"output": {"colour": "blue"}}), "{\"colour\":\"blue\"}", false);
    check_call("output-available", json!({}), "null", false);
    check_call("output-error", json!({"errorText": "dark"}), "dark", true);
}

#[test]
fn tools_of_others() {
    let dynamic = json!({
        "type": "dynamic-tool", "toolName": "look", "output": "blue", "providerExecuted": true,
        "callProviderMetadata": {"tokenwire": {"by": "server"}},
    });
    check_call("output-available", dynamic.clone(), "blue", false);
    let mut by_provider = dynamic;
    by_provider["callProviderMetadata"] = json!({"tokenwire": {"by": "provider"}});
    check(json!([call("output-available", by_provider)]), json!([]));
    // The arguments as the model wrote them.
    let broken = json!({"input": null, "rawInput": "{\"at", "errorText": "no JSON"});
    let mut expected = made("look");
    expected["tool_calls"][0]["function"]["arguments"] = "{\"at".into();
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "no JSON", "is_error": true});
    check(json!([call("output-error", broken)]), json!([expected, result]));
}

#[test]
fn what_else_an_answer_holds() {
    let native = json!({
        "type": "custom", "kind": "tokenwire.native",
        "providerMetadata": {"tokenwire": {"provider": "anthropic", "content": [1]}},
    });
    check(
        json!([native, {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}]),
        json!([{"role": "assistant", "content": "a", "native": {"provider": "anthropic", "content": [1]}}]),
    );
    check(
        json!([
            {"type": "text", "text": "a"},
            {"type": "steering-message", "id": "i", "parts": [{"type": "text", "text": "shorter"}]},
            {"type": "text", "text": "b"},
        ]),
        json!([
            {"role": "assistant", "content": "a"}, {"role": "user", "content": "shorter"},
            {"role": "assistant", "content": "b"},
        ]),
    );
    check(
        json!([
            {"type": "data-weather", "data": 1}, {"type": "source-url", "sourceId": "s", "url": "u"},
            {"type": "file", "mediaType": "image/png", "url": "u"}, {"type": "custom", "kind": "a.b"},
            {"type": "of-tomorrow", "text": {"not": "text"}},
        ]),
        json!([]),
    );
}

#[test]
fn questions() {
    let check = |parts: Value, expected: Value| {
        let told = told(json!([
            {"role": "system", "parts": [{"type": "text", "text": "be"}, {"type": "text", "text": " brief"}]},
            {"role": "user", "parts": parts},
        ]));
        assert_eq!(told.unwrap()[1]["content"], expected);
    };
    let file = |media_type: &str, url: &str| json!({"type": "file", "mediaType": media_type, "url": url});
    check(json!([{"type": "text", "text": "q"}]), json!("q"));
    check(json!([file("image/*", "https://a/b")]), json!([{"type": "image_url", "image_url": {"url": "https://a/b"}}]));
    check(
        json!([file("audio/x-wav", "data:audio/x-wav;base64,AA")]),
        json!([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]),
    );
    check(
        json!([file("application/pdf", "https://a/b.pdf")]),
        json!([{"type": "file", "file": {"file_url": "https://a/b.pdf"}}]),
    );
    let mut stored = file("application/pdf", "");
    stored["providerReference"] = json!({"openai": "file-1"});
    check(json!([stored]), json!([{"type": "file", "file": {"file_id": "file-1"}}]));
}

#[test]
fn a_part_that_is_wrong_is_named() {
    let check = |messages: Value, field: &str| {
        assert_eq!(told(messages).unwrap_err().field.as_deref(), Some(field));
    };
    check(json!([{"role": "user", "parts": [{"type": "text"}]}]), "messages[0].parts[0].text");
    check(json!([{"role": "user", "parts": [{"type": "file", "url": 1}]}]), "messages[0].parts[0].url");
    check(json!([{"role": "assistant", "parts": [{"type": "tool-look"}]}]), "messages[0].parts[0].toolCallId");
    check(json!([{"role": "user", "parts": []}]), "messages");
}

#[test]
fn answers_are_those_of_the_last_step() {
    let answers = |parts: Value| {
        let message: UiMessage = serde_json::from_value(json!({"role": "assistant", "parts": parts})).unwrap();
        message.answers()
    };
    let result = |content: &str, is_error| {
        let content = Content::Text(content.to_owned());
        vec![CallAnswer { call_id: "c1".to_owned(), answer: Answered::Result { content, is_error } }]
    };
    let answered = call("output-available", json!({"output": "blue"}));
    assert_eq!(answers(json!([answered])), result("blue", false));
    assert_eq!(answers(json!([call("output-error", json!({"errorText": "dark"}))])), result("dark", true));
    assert_eq!(answers(json!([answered, {"type": "step-start"}, {"type": "text", "text": "a"}])), []);
    assert_eq!(answers(json!([call("input-available", json!({}))])), []);
    assert_eq!(answers(json!([call("output-available", json!({"output": 1, "providerExecuted": true}))])), []);
    let decided = |approval: Value| answers(json!([call("approval-responded", json!({"approval": approval}))]));
    assert_eq!(decided(json!({"approved": true}))[0].answer, Answered::Approved);
    let denied = Answered::Denied { reason: Some("no".to_owned()) };
    assert_eq!(decided(json!({"approved": false, "reason": "no"}))[0].answer, denied);
}
