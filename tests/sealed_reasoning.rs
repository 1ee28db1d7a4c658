//! Promise: over every wire format, reasoning that only its provider can check is handed back as it was, over tool
//! turns, continuations, cancels and interrupts; and what is left of a cut turn never makes a request that the
//! provider refuses.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::dialogue::{Talk, Wire};

over_all_wires!(
    over_several_turns_and_a_continuation,
    after_a_cancel_in_the_middle,
    after_an_interrupt_in_reasoning,
    after_an_interrupt_in_text,
    after_an_interrupt_in_arguments,
    no_call_takes_the_index_of_one_that_was_cut,
    every_request_is_the_one_before_and_what_is_new,
);

/// What the conversation says of the first turn of [`Talk::waiting`], with the result of its call.
const FIRST_TURN: [&str; 4] = ["user: Hello", "sealed Let me see. c2ln", "call call_1 {}", "result call_1: blue"];

/// The second turn of a generation runs, after one with a call.
async fn second_turn(wire: Wire) -> (Talk, support::dialogue::Model) {
    let mut talk = Talk::waiting(wire, &["call_1"], json!({})).await;
    talk.result("call_1", "blue").await;
    let model = talk.asked().await;
    assert_eq!(model.lines(), FIRST_TURN);
    (talk, model)
}

async fn continued(talk: &mut Talk, from: &str, id: &str) -> Vec<String> {
    let user = json!([{"role": "user", "content": "And now?"}]);
    talk.start(id, json!({"continue_from": from, "messages": user})).await;
    let mut model = talk.asked().await;
    let lines = model.lines();
    model.text("Done.").await;
    model.end().await;
    talk.client.end_of(id).await;
    lines
}

async fn over_several_turns_and_a_continuation(wire: Wire) {
    let (mut talk, mut model) = second_turn(wire).await;
    model.reasoning("Blue, so I look again.", "bW9yZQ==").await;
    model.text("One moment.").await;
    model.tool_call("call_2", r#"{"at":"sea"}"#).await;
    model.end().await;
    talk.client.until("tool_wait").await;
    talk.result("call_2", "grey").await;
    let mut model = talk.asked().await;
    let lines = model.lines();
    assert_eq!(lines[..4], FIRST_TURN);
    let (sealed, text) = ("sealed Blue, so I look again. bW9yZQ==", "text: One moment.");
    let call = r#"call call_2 {"at":"sea"}"#;
    assert_eq!(lines[4..], [sealed, text, call, "result call_2: grey"]);
    model.reasoning("That is all.", "bGFzdA==").await;
    model.text("Blue and grey.").await;
    model.end().await;
    talk.client.end_of("g1").await;

    // All of it again, and once more from there.
    let mut expected = lines;
    expected.extend(["sealed That is all. bGFzdA==", "text: Blue and grey.", "user: And now?"].map(str::to_owned));
    assert_eq!(continued(&mut talk, "g1", "g2").await, expected);
    expected.extend(["text: Done.", "user: And now?"].map(str::to_owned));
    assert_eq!(continued(&mut talk, "g2", "g3").await, expected);
}

async fn after_a_cancel_in_the_middle(wire: Wire) {
    let (mut talk, mut model) = second_turn(wire).await;
    model.reasoning("Blue, so I look again.", "bW9yZQ==").await;
    model.text("It is").await;
    talk.client.until_text("g1", "It is").await;
    talk.client.cancel("g1").await;
    model.closed().await;
    talk.client.end_of("g1").await;
    let lines = continued(&mut talk, "g1", "g2").await;
    assert_eq!(lines[..4], FIRST_TURN);
    assert_eq!(lines[4..], ["text: It is", "user: And now?"]);
}

/// Interrupts the turn, and returns what the conversation says after the first turn.
async fn interrupted(talk: &mut Talk, mut model: support::dialogue::Model) -> Vec<String> {
    talk.input("Stop that.", true).await;
    model.closed().await;
    assert_eq!(talk.client.until("input").await["state"], "applied");
    let model = talk.asked().await;
    let lines = model.lines();
    assert_eq!(lines[..4], FIRST_TURN);
    model.end().await;
    talk.client.end_of("g1").await;
    lines[4..].to_vec()
}

async fn after_an_interrupt_in_reasoning(wire: Wire) {
    for is_sealed in [false, true] {
        let (mut talk, mut model) = second_turn(wire).await;
        match is_sealed {
            true => model.reasoning("Blue, so", "bW9yZQ==").await,
            false => model.open_reasoning("Blue, so").await,
        }
        talk.client.until("reasoning").await;
        assert_eq!(interrupted(&mut talk, model).await, ["user: Stop that."]);
    }
}

async fn after_an_interrupt_in_text(wire: Wire) {
    for (text, left) in [("It is ", Some("text: It is ")), ("\n\n", None)] {
        let (mut talk, mut model) = second_turn(wire).await;
        model.reasoning("Blue, so", "bW9yZQ==").await;
        model.text(text).await;
        talk.client.until_text("g1", text).await;
        let expected: Vec<&str> = left.into_iter().chain(["user: Stop that."]).collect();
        assert_eq!(interrupted(&mut talk, model).await, expected);
    }
}

async fn after_an_interrupt_in_arguments(wire: Wire) {
    let (mut talk, mut model) = second_turn(wire).await;
    model.reasoning("Blue, so", "bW9yZQ==").await;
    model.text("I look again.").await;
    model.tool_call("call_2", "{}").await;
    model.open_tool_call("call_3", r#"{"at":"s"#).await;
    // Gemini's calls are shown when they are whole.
    let shown = if wire == Wire::Gemini { "call_2" } else { "call_3" };
    while talk.client.until("tool_call_delta").await["call_id"] != shown {}
    assert_eq!(interrupted(&mut talk, model).await, ["text: I look again.", "user: Stop that."]);
    talk.result("call_2", "late").await;
    assert_eq!(talk.client.until_error().await["code"], "generation_ended");
}

async fn no_call_takes_the_index_of_one_that_was_cut(wire: Wire) {
    let (mut talk, mut model) = second_turn(wire).await;
    model.open_tool_call("call_2", r#"{"at":"s"#).await;
    let mut indexes: Vec<Value> = vec![json!(0)];
    if wire != Wire::Gemini {
        indexes.push(talk.client.until("tool_call_delta").await["index"].clone());
    }
    talk.input("Stop that.", true).await;
    model.closed().await;
    let mut model = talk.asked().await;
    model.tool_call("call_3", "{}").await;
    model.end().await;
    indexes.push(talk.client.until("tool_call").await["index"].clone());
    let expected: Vec<Value> = (0..indexes.len()).map(Value::from).collect();
    assert_eq!(indexes, expected);
}

/// Providers bill less for a conversation whose beginning they have read before.
async fn every_request_is_the_one_before_and_what_is_new(wire: Wire) {
    let mut talk = Talk::started(wire, json!({})).await;
    let (mut before, mut sizes) = (Vec::new(), Vec::new());
    for number in 10..20 {
        let mut model = talk.asked().await;
        let lines = model.lines();
        assert_eq!(lines[..before.len()], before[..]);
        sizes.push(model.body().to_string().len());
        before = lines;
        model.reasoning("Let me see.", "c2ln").await;
        model.tool_call(&format!("call_{number}"), r#"{"at":"sky"}"#).await;
        model.end().await;
        talk.client.until("tool_wait").await;
        talk.result(&format!("call_{number}"), "blue").await;
    }
    let grown: Vec<usize> = sizes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(grown.iter().all(|bytes| *bytes == grown[1]), "each turn adds as much: {grown:?}");
}
