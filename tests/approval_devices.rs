//! Promise: over every wire format, an approval survives a reload, the first decision of any device wins, and a call is
//! carried out, and told to the model, with the arguments that were approved.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{
    Client,
    dialogue::{Talk, Wire},
    with,
};
use tokenwire::tools::{ToolError, tool};

over_all_wires!(
    a_reload_is_asked_again,
    two_devices_race,
    edited_arguments_reach_the_model,
    edited_arguments_reach_a_tool_of_the_servers,
);

fn decision(kind: &str, more: Value) -> Value {
    with(json!({"type": kind, "id": "g1", "call_id": "call_1"}), more)
}

/// `g1` asks whether `tool` may be called.
async fn asked(talk: &mut Talk, tool: &str) {
    talk.start("g1", json!({"approvals": {tool: "always"}})).await;
    let mut model = talk.asked().await;
    model.reasoning("Let me see.", "c2ln").await;
    model.tool_call_of(tool, "call_1", r#"{"at":"sky"}"#).await;
    model.end().await;
    let approval = talk.client.until("tool_approval").await;
    assert_eq!((&approval["name"], &approval["arguments"]), (&json!(tool), &json!({"at": "sky"})));
}

async fn a_reload_is_asked_again(wire: Wire) {
    let mut talk = Talk::new(wire).await;
    asked(&mut talk, "look").await;
    talk.client = talk.server.client().await;
    talk.client.attach("g1", 0).await;
    assert_eq!(talk.client.until("tool_approval").await["call_id"], "call_1");
    talk.client.nothing_comes().await;
    talk.client.send(decision("approve", json!({}))).await;
    assert_eq!(talk.client.until("tool_decision").await["approved"], true);
    assert_eq!(talk.client.until("tool_wait").await["call_ids"], json!(["call_1"]));

    // Once more: it is decided now, and still waited for.
    talk.client = talk.server.client().await;
    talk.client.attach("g1", 0).await;
    talk.client.until("tool_decision").await;
    talk.client.until("tool_wait").await;
    talk.client.send(decision("approve", json!({}))).await;
    assert_eq!(talk.client.expect("error").await["code"], "already_resolved");
    talk.result("call_1", "blue").await;
    let model = talk.asked().await;
    assert_eq!(model.lines()[2..], [r#"call call_1 {"at":"sky"}"#, "result call_1: blue"]);
    model.end().await;
    talk.client.end_of("g1").await;
}

/// What a device sees of its decision: the one that was taken, and the error that it may get.
async fn outcome(device: &mut Client) -> (Value, Option<Value>) {
    device.send(json!({"type": "ping"})).await;
    let (mut decision, mut error, mut is_answered) = (None, None, false);
    // The answer to its own frame comes before the pong, what happened in the generation perhaps after it.
    while decision.is_none() || !is_answered {
        let frame = device.next().await;
        match frame["type"].as_str().unwrap() {
            "tool_decision" => decision = Some(frame),
            "error" => error = Some(frame["code"].clone()),
            "pong" => is_answered = true,
            _ => {}
        }
    }
    (decision.unwrap(), error)
}

async fn two_devices_race(wire: Wire) {
    let mut talk = Talk::build(wire, |config| config.workers = 2, |builder| builder).await;
    asked(&mut talk, "look").await;
    let (mut one, mut other) = (talk.server.client().await, talk.server.client().await);
    for device in [&mut one, &mut other] {
        device.attach("g1", 0).await;
        device.until("tool_approval").await;
    }
    one.send(decision("approve", json!({}))).await;
    other.send(decision("deny", json!({"reason": "no"}))).await;
    let (decided, one_error) = outcome(&mut one).await;
    let (same, other_error) = outcome(&mut other).await;
    assert_eq!(decided, same, "everybody sees the same decision");
    let refused = Some(json!("already_resolved"));
    let expected = if decided["approved"] == true { (None, refused) } else { (refused, None) };
    assert_eq!((one_error, other_error), expected, "who comes second is told");
    if decided["approved"] == true {
        talk.client.until("tool_wait").await;
        talk.result("call_1", "blue").await;
    }
    talk.finishes().await;
}

async fn edited_arguments_reach_the_model(wire: Wire) {
    let mut talk = Talk::new(wire).await;
    asked(&mut talk, "look").await;
    talk.client.send(decision("approve", json!({"arguments": {"at": "sea"}}))).await;
    assert_eq!(talk.client.until("tool_decision").await["arguments"], json!({"at": "sea"}));
    talk.client.until("tool_wait").await;
    talk.result("call_1", "grey").await;
    let told = ["user: Hello", "sealed Let me see. c2ln", r#"call call_1 {"at":"sea"}"#, "result call_1: grey"];
    let mut model = talk.asked().await;
    assert_eq!(model.lines(), told);
    model.text("Grey.").await;
    model.end().await;
    talk.client.end_of("g1").await;
    let user = json!([{"role": "user", "content": "And now?"}]);
    talk.start("g2", json!({"continue_from": "g1", "messages": user})).await;
    let model = talk.asked().await;
    assert_eq!(model.lines()[..4], told, "also in what follows");
    model.end().await;
    talk.client.end_of("g2").await;
}

async fn edited_arguments_reach_a_tool_of_the_servers(wire: Wire) {
    let echo =
        tool("echo", "Says what it is asked.", async |arguments: Value, _| Ok::<_, ToolError>(arguments.to_string()));
    let mut talk = Talk::build(wire, |_| {}, |builder| builder.tool(echo)).await;
    asked(&mut talk, "echo").await;
    talk.client.send(decision("approve", json!({"arguments": {"at": "sea"}}))).await;
    let result = talk.client.until("tool_result").await;
    assert_eq!((&result["content"], &result["by_server"]), (&json!(r#"{"at":"sea"}"#), &json!(true)));
    let model = talk.asked().await;
    assert_eq!(model.lines()[2], r#"call call_1 {"at":"sea"}"#);
    model.end().await;
    talk.client.end_of("g1").await;
}
