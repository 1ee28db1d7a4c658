//! Promise: over every wire format, a generation can be steered in every state, at its next turn boundary or at once;
//! what several say comes in order, and what the model is asked next is what its provider takes.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::{
    dialogue::{Model, Talk, Wire},
    until,
};
use tokenwire::tools::{ToolError, tool};
use tokio::sync::Semaphore;

over_all_wires!(
    while_queued,
    before_the_first_token,
    in_reasoning,
    in_text,
    in_arguments,
    while_waiting_for_results,
    while_waiting_for_approval,
    while_a_server_tool_runs,
    during_a_retry,
    after_the_end,
);

/// Says two things, the second one perhaps as an interrupt.
async fn steer(talk: &mut Talk, interrupt: bool) {
    talk.input("Shorter.", false).await;
    talk.input("In French.", interrupt).await;
    for _ in 0..2 {
        talk.client.until("input_accepted").await;
    }
}

const STEERED: [&str; 2] = ["user: Shorter.", "user: In French."];

/// The next request says this after the first message, and both inputs after it; then `g1` ends.
async fn goes_on(talk: &mut Talk, expected: &[&str]) {
    for text in ["Shorter.", "In French."] {
        let input = talk.client.until("input").await;
        assert_eq!((&input["state"], &input["messages"][0]["content"]), (&json!("applied"), &json!(text)));
    }
    let mut model = talk.asked().await;
    assert_eq!(model.lines()[1..], [expected, &STEERED].concat());
    model.text("Fini.").await;
    model.end().await;
    let end = talk.client.end_of("g1").await;
    assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("stop")));
    talk.client.nothing_comes().await;
}

/// The model says something, and comes to its end, unless it is interrupted.
async fn ends(mut model: Model, interrupt: bool, text: &str) {
    if interrupt {
        return model.closed().await;
    }
    if !text.is_empty() {
        model.text(text).await;
    }
    model.end().await;
}

async fn while_queued(wire: Wire) {
    for interrupt in [false, true] {
        let mut talk = Talk::build(wire, |config| config.limits.max_running = 1, |builder| builder).await;
        let mut other = talk.server.client().await;
        other.send(wire.start("g0")).await;
        let first = talk.asked().await;
        talk.start("g1", json!({})).await;
        steer(&mut talk, interrupt).await;
        assert_eq!(talk.server.upstream.connections(), 1, "its turn has not begun");
        first.end().await;
        // The first request has it already.
        goes_on(&mut talk, &[]).await;
        assert_eq!(talk.server.upstream.connections(), 2);
    }
}

async fn before_the_first_token(wire: Wire) {
    for interrupt in [false, true] {
        let mut talk = Talk::started(wire, json!({})).await;
        let model = talk.asked().await;
        steer(&mut talk, interrupt).await;
        ends(model, interrupt, "Done.").await;
        goes_on(&mut talk, if interrupt { &[] } else { &["text: Done."] }).await;
    }
}

async fn in_reasoning(wire: Wire) {
    for interrupt in [false, true] {
        let mut talk = Talk::started(wire, json!({})).await;
        let mut model = talk.asked().await;
        match interrupt {
            true => model.open_reasoning("Let me see.").await,
            false => model.reasoning("Let me see.", "c2ln").await,
        }
        talk.client.until("reasoning").await;
        steer(&mut talk, interrupt).await;
        ends(model, interrupt, "Done.").await;
        let sealed = ["sealed Let me see. c2ln", "text: Done."];
        goes_on(&mut talk, if interrupt { &[] } else { &sealed }).await;
    }
}

async fn in_text(wire: Wire) {
    for interrupt in [false, true] {
        let mut talk = Talk::started(wire, json!({})).await;
        let mut model = talk.asked().await;
        model.text("Once upon").await;
        talk.client.until_text("g1", "Once upon").await;
        steer(&mut talk, interrupt).await;
        ends(model, interrupt, " a time.").await;
        goes_on(&mut talk, if interrupt { &["text: Once upon"] } else { &["text: Once upon a time."] }).await;
    }
}

async fn in_arguments(wire: Wire) {
    let mut talk = Talk::started(wire, json!({})).await;
    let mut model = talk.asked().await;
    model.text("I look.").await;
    model.open_tool_call("call_1", r#"{"at":"#).await;
    talk.client.until_text("g1", "I look.").await;
    steer(&mut talk, true).await;
    model.closed().await;
    goes_on(&mut talk, &["text: I look."]).await;
}

async fn while_waiting_for_results(wire: Wire) {
    let called = ["sealed Let me see. c2ln", "call call_1 {}", "call call_2 {}", "result call_1: one"];
    for interrupt in [false, true] {
        let mut talk = Talk::waiting(wire, &["call_1", "call_2"], json!({})).await;
        talk.result("call_1", "one").await;
        talk.client.expect("tool_result").await;
        steer(&mut talk, interrupt).await;
        if !interrupt {
            talk.client.nothing_comes().await;
            talk.result("call_2", "two").await;
        }
        let settled = talk.client.until("tool_result").await;
        assert_eq!(settled["call_id"], "call_2", "whoever looks on sees that nobody waits for it");
        assert_eq!((settled["is_error"] == true, settled["by_server"] == true), (interrupt, interrupt));
        let kind = if interrupt && matches!(wire, Wire::Anthropic | Wire::Gemini) { "error" } else { "result" };
        let told = format!("{kind} call_2: {}", settled["content"].as_str().unwrap());
        goes_on(&mut talk, &[&called[..], &[&told]].concat()).await;
    }
}

async fn while_waiting_for_approval(wire: Wire) {
    for interrupt in [false, true] {
        let mut talk = Talk::started(wire, json!({"approvals": {"look": "always"}})).await;
        let mut model = talk.asked().await;
        model.reasoning("Let me see.", "c2ln").await;
        model.tool_call("call_1", "{}").await;
        model.end().await;
        talk.client.until("tool_approval").await;
        steer(&mut talk, interrupt).await;
        if !interrupt {
            talk.client.send(json!({"type": "approve", "id": "g1", "call_id": "call_1"})).await;
            talk.client.until("tool_wait").await;
            talk.result("call_1", "one").await;
        } else {
            let decision = talk.client.until("tool_decision").await;
            assert_eq!((&decision["approved"], &decision["by"]), (&json!(false), &json!("server")));
        }
        for _ in 0..2 {
            talk.client.until("input").await;
        }
        talk.client.send_unchecked(json!({"type": "approve", "id": "g1", "call_id": "call_1"})).await;
        assert_eq!(talk.client.until_error().await["code"], "already_resolved");
        let model = talk.asked().await;
        let lines = model.lines();
        let at = lines.len() - 3;
        assert!(lines[at].contains(" call_1: "), "{lines:?}");
        assert_eq!(lines[at + 1..], STEERED);
    }
}

async fn while_a_server_tool_runs(wire: Wire) {
    let (is_running, released) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(0)));
    let (held, asked) = (is_running.clone(), released.clone());
    let slow = tool("slow", "Takes its time.", move |_: Value, _| {
        let (held, asked) = (held.clone(), asked.clone());
        async move {
            let _running = held.acquire_owned().await?;
            asked.acquire().await?.forget();
            Ok::<_, ToolError>("slept")
        }
    });
    let mut talk = Talk::build(wire, |_| {}, |builder| builder.tool(slow)).await;
    for (id, interrupt) in [("g1", false), ("g2", true)] {
        talk.start(id, json!({})).await;
        let mut model = talk.asked().await;
        model.reasoning("Let me see.", "c2ln").await;
        model.tool_call_of("slow", "call_1", "{}").await;
        model.end().await;
        until("the tool runs", || is_running.available_permits() == 0).await;
        talk.input_to(id, "Hurry.", interrupt).await;
        talk.client.until("input_accepted").await;
        if !interrupt {
            released.add_permits(1);
        }
        let settled = talk.client.until("tool_result").await;
        assert_eq!((settled["is_error"] == true, &settled["by_server"]), (interrupt, &json!(true)));
        until("the tool is gone", || is_running.available_permits() == 1).await;
        let mut model = talk.asked().await;
        let lines = model.lines();
        assert_eq!(lines[lines.len() - 1], "user: Hurry.");
        assert!(lines[lines.len() - 2].contains(" call_1: "), "{lines:?}");
        model.text("Done.").await;
        model.end().await;
        talk.client.end_of(id).await;
    }
}

async fn during_a_retry(wire: Wire) {
    for interrupt in [false, true] {
        let retries = |config: &mut tokenwire::config::Config| {
            config.retry.attempts = 2;
            // An interrupt does not wait for it.
            (config.retry.base_ms, config.retry.max_ms) = if interrupt { (60_000, 60_000) } else { (1, 1) };
        };
        let mut talk = Talk::build(wire, retries, |builder| builder).await;
        talk.start("g1", json!({})).await;
        talk.asked().await.status(503).await;
        talk.client.until("retry").await;
        steer(&mut talk, interrupt).await;
        if !interrupt {
            let mut model = talk.asked().await;
            assert_eq!(model.lines(), ["user: Hello"]);
            model.text("Done.").await;
            model.end().await;
        }
        goes_on(&mut talk, if interrupt { &[] } else { &["text: Done."] }).await;
    }
}

async fn after_the_end(wire: Wire) {
    let mut talk = Talk::started(wire, json!({})).await;
    talk.finishes().await;
    for interrupt in [false, true] {
        talk.input("Shorter.", interrupt).await;
        assert_eq!(talk.client.expect("error").await["code"], "too_late");
    }
    let user = json!([{"role": "user", "content": "Shorter."}]);
    talk.start("g2", json!({"continue_from": "g1", "messages": user})).await;
    let model = talk.asked().await;
    assert_eq!(model.lines(), ["user: Hello", "text: Done.", "user: Shorter."]);
    model.end().await;
    talk.client.end_of("g2").await;
}
