//! Promise: a call that must be approved waits for it; the first decision wins, also of another device or after a
//! reload; tools of the server's run by themselves, and a cancel reaches them.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use support::{Client, TestServer, start, until, upstream::Call, with};
use tokenwire::tools::{ProposedCall, ToolError, Verdict, tool};
use tokio::sync::Semaphore;

#[derive(Deserialize, JsonSchema)]
struct City {
    /// The city's name.
    city: String,
}

/// A server with two tools of its own: one that answers, and one that never does.
async fn with_tools(is_running: Arc<Semaphore>) -> TestServer {
    let weather =
        tool("weather", "The weather, now.", async |City { city }, call: tokenwire::tools::ToolCallContext| {
            call.progress(Some(1.0), Some(2.0), Some(format!("looking at {city}")));
            if city == "Atlantis" { Err(ToolError("no such city".into())) } else { Ok(format!("{city}: sun")) }
        });
    let forever = tool("forever", "Takes its time.", move |_: Value, _| {
        let held = is_running.clone();
        async move {
            let _running = held.acquire_owned().await.map_err(|error| ToolError(error.to_string().into()))?;
            std::future::pending::<Result<String, ToolError>>().await
        }
    });
    TestServer::build(|_| {}, |builder| builder.tool(weather).tool(forever)).await
}

async fn finish_with_calls(mut call: Call) {
    call.finish_reason("tool_calls").await;
    call.usage(10, 2).await;
    call.done().await;
}

fn client_tool(id: &str) -> Value {
    let function = json!({"name": "delete", "parameters": {"type": "object"}});
    with(start(id), json!({"tools": [{"type": "function", "function": function}], "approvals": {"delete": "always"}}))
}

/// Starts `g1`, in which the model wants to delete something, and waits until somebody is asked.
async fn asked(server: &mut TestServer, client: &mut Client) {
    client.send(client_tool("g1")).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "delete", r#"{"path":"a"}"#).await;
    finish_with_calls(call).await;
    let approval = client.until("tool_approval").await;
    assert_eq!((&approval["name"], &approval["arguments"]), (&json!("delete"), &json!({"path": "a"})));
    client.nothing_comes().await;
}

fn decision(kind: &str, more: Value) -> Value {
    with(json!({"type": kind, "id": "g1", "call_id": "call_1"}), more)
}

#[tokio::test]
async fn an_approved_call_is_the_clients_to_carry_out() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    asked(&mut server, &mut client).await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "done"})).await;
    assert_eq!(client.expect("error").await["code"], "call_not_found", "not before it is approved");
    client.send(decision("approve", json!({"arguments": {"path": "b"}}))).await;
    let decided = client.expect("tool_decision").await;
    assert_eq!(
        (&decided["approved"], &decided["by"], &decided["arguments"]),
        (&json!(true), &json!("client"), &json!({"path": "b"}))
    );
    assert_eq!(client.expect("tool_wait").await["call_ids"], json!(["call_1"]));
    client.send(decision("deny", json!({}))).await;
    assert_eq!(client.expect("error").await["code"], "already_resolved");
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "done"})).await;
    client.expect("tool_result").await;
    server.upstream.call().await.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn a_denied_call_is_told_to_the_model() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    asked(&mut server, &mut client).await;
    client.send(decision("deny", json!({"reason": "not that one"}))).await;
    let decided = client.expect("tool_decision").await;
    assert_eq!((&decided["approved"], &decided["reason"]), (&json!(false), &json!("not that one")));
    let call = server.upstream.call().await;
    let told = &call.body["messages"].as_array().unwrap().last().unwrap()["content"];
    assert!(told.as_str().unwrap().contains("not that one"), "{told}");
    call.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn a_reload_is_asked_again_and_the_first_device_decides() {
    let mut server = TestServer::with(|config| config.workers = 2).await;
    let mut client = server.client().await;
    asked(&mut server, &mut client).await;
    drop(client);
    let (mut one, mut other) = (server.client().await, server.client().await);
    for device in [&mut one, &mut other] {
        device.attach("g1", 0).await;
        device.until("tool_approval").await;
    }
    for device in [&mut one, &mut other] {
        device.send(decision("deny", json!({}))).await;
    }
    let mut refused = 0;
    for device in [&mut one, &mut other] {
        loop {
            match device.next().await {
                frame if frame["type"] == "tool_decision" => break,
                frame if frame["type"] == "error" => {
                    assert_eq!(frame["code"], "already_resolved");
                    refused += 1;
                }
                frame => panic!("{frame}"),
            }
        }
    }
    assert!(refused <= 1, "the error may also come after the decision");
    server.upstream.call().await.finish().await;
}

#[tokio::test]
async fn tools_of_the_server_run_by_themselves() {
    let mut server = with_tools(Arc::new(Semaphore::new(1))).await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"server_tools": ["wea*", "wether"]}))).await;
    let mut call = server.upstream.call().await;
    let tools = call.body["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1, "only what was asked for: {tools:?}");
    assert_eq!(tools[0]["function"]["parameters"]["properties"]["city"]["description"], "The city's name.");
    call.tool_call(0, "call_1", "weather", r#"{"city":"Rome"}"#).await;
    call.tool_call(1, "call_2", "weather", r#"{"city":"Atlantis"}"#).await;
    call.tool_call(2, "call_3", "weather", r#"{"town":"Rome"}"#).await;
    finish_with_calls(call).await;
    let mut results = std::collections::BTreeMap::new();
    let (mut progress, mut warned) = (0, Vec::new());
    while results.len() < 3 {
        let frame = client.next().await;
        match frame["type"].as_str().unwrap() {
            "warning" => warned.push(frame["field"].clone()),
            "tool_result" => {
                assert_eq!(frame["by_server"], true);
                results.insert(frame["call_id"].as_str().unwrap().to_owned(), frame);
            }
            "tool_progress" => progress += 1,
            "tool_wait" => panic!("nobody has to answer: {frame}"),
            _ => {}
        }
    }
    assert!(progress >= 1);
    assert_eq!(warned, ["server_tools[1]"], "a name that is none of a tool");
    assert_eq!(results["call_1"]["content"], "Rome: sun");
    assert_eq!((&results["call_2"]["content"], &results["call_2"]["is_error"]), (&json!("no such city"), &json!(true)));
    assert!(results["call_3"]["content"].as_str().unwrap().contains("city"), "{}", results["call_3"]);
    let call = server.upstream.call().await;
    let told: Vec<_> = call.body["messages"].as_array().unwrap()[2..].iter().map(|m| m["content"].clone()).collect();
    assert_eq!(told[..2], [json!("Rome: sun"), json!("no such city")], "in the order of the calls");
    call.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn a_client_that_brings_a_tool_of_the_same_name_answers_it_itself() {
    let mut server = with_tools(Arc::new(Semaphore::new(1))).await;
    let mut client = server.client().await;
    let function = json!({"name": "weather", "description": "the client's", "parameters": {"type": "object"}});
    client.send(with(start("g1"), json!({"tools": [{"type": "function", "function": function}]}))).await;
    let mut call = server.upstream.call().await;
    let tools = call.body["tools"].as_array().unwrap();
    let weather: Vec<_> = tools.iter().filter(|tool| tool["function"]["name"] == "weather").collect();
    assert_eq!((weather.len(), &weather[0]["function"]["description"]), (1, &json!("the client's")));
    call.tool_call(0, "call_1", "weather", r#"{"city":"Rome"}"#).await;
    finish_with_calls(call).await;
    assert_eq!(client.until("tool_wait").await["call_ids"], json!(["call_1"]));
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "rain"})).await;
    let call = server.upstream.call().await;
    assert_eq!(call.body["messages"][2]["content"], "rain");
    call.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn a_cancel_reaches_a_running_tool() {
    let is_running = Arc::new(Semaphore::new(1));
    let mut server = with_tools(is_running.clone()).await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "forever", "{}").await;
    finish_with_calls(call).await;
    until("the tool runs", || is_running.available_permits() == 0).await;
    client.cancel("g1").await;
    assert_eq!(client.end_of("g1").await["type"], "cancelled");
    until("the tool is gone", || is_running.available_permits() == 1).await;
}

#[tokio::test]
async fn a_tool_of_the_servers_can_be_made_to_wait_for_approval() {
    let mut server = with_tools(Arc::new(Semaphore::new(1))).await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"approvals": {"*": "always"}}))).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "weather", r#"{"city":"Rome"}"#).await;
    finish_with_calls(call).await;
    client.until("tool_approval").await;
    client.nothing_comes().await;
    client.send(decision("approve", json!({"arguments": {"city": "Oslo"}}))).await;
    assert_eq!(client.until("tool_result").await["content"], "Oslo: sun");
    server.upstream.call().await.finish().await;
    client.end_of("g1").await;
}

/// A server whose application judges calls, with a tool that its rule wants approved and one that it does not.
async fn judged(judge: impl Fn(&ProposedCall) -> Verdict + Send + Sync + 'static) -> TestServer {
    let echo = |name: &str| tool(name, "Says it again.", async |said: Value, _| Ok(said));
    let judge = Arc::new(judge);
    TestServer::build(
        |_| {},
        |builder| {
            builder.tool(echo("guarded").approve_always()).tool(echo("free")).approve(move |call| {
                let judge = judge.clone();
                async move { judge(&call) }
            })
        },
    )
    .await
}

/// Starts `g1`, whose model calls this tool.
async fn calls(server: &mut TestServer, frame: Value, name: &str) -> Client {
    let mut client = server.client().await;
    client.send(frame).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", name, r#"{"path":"a"}"#).await;
    finish_with_calls(call).await;
    client
}

#[tokio::test]
async fn the_application_allows_what_its_tool_wants_asked() {
    let mut server = judged(|call| {
        assert!(call.is_served && call.server.is_none());
        assert_eq!((&*call.context.call_id, &call.arguments), ("call_1", &json!({"path": "a"})));
        assert_eq!(call.is_asked, call.name == "guarded");
        Verdict::Allow
    })
    .await;
    let mut client = calls(&mut server, start("g1"), "guarded").await;
    let decided = client.until("tool_decision").await;
    assert_eq!((&decided["approved"], &decided["by"]), (&json!(true), &json!("server")));
    assert_eq!(client.expect("tool_result").await["by_server"], true);
    server.upstream.call().await.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn the_application_denies_before_anybody_is_asked() {
    for (name, frame) in [("guarded", start("g1")), ("delete", client_tool("g1"))] {
        let mut server = judged(|_| Verdict::deny("not in production")).await;
        let mut client = calls(&mut server, frame, name).await;
        let decided = client.until("tool_decision").await;
        assert_eq!(
            (&decided["approved"], &decided["by"], &decided["reason"]),
            (&json!(false), &json!("server"), &json!("not in production"))
        );
        let call = server.upstream.call().await;
        let told = call.body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        assert_eq!(told, "This call is not allowed: not in production");
        call.finish().await;
        client.end_of("g1").await;
    }
}

#[tokio::test]
async fn the_application_has_a_person_asked() {
    let mut server = judged(|_| Verdict::Ask).await;
    let mut client = calls(&mut server, start("g1"), "free").await;
    client.until("tool_approval").await;
    client.send(decision("approve", json!({}))).await;
    assert_eq!(client.expect("tool_decision").await["by"], "client");
    client.expect("tool_result").await;
    server.upstream.call().await.finish().await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn who_wants_to_be_asked_is_asked_and_who_says_nothing_changes_nothing() {
    // What the application says, what the start says, the tool, and whether a person is asked.
    for (verdict, start_says, name, is_asked) in [
        (Verdict::Allow, "always", "free", true),
        (Verdict::Allow, "always", "guarded", true),
        (Verdict::Abstain, "always", "free", true),
        (Verdict::Abstain, "never", "guarded", true),
        (Verdict::Abstain, "never", "free", false),
        (Verdict::Ask, "never", "free", true),
    ] {
        let mut server = judged(move |_| verdict.clone()).await;
        let frame = with(start("g1"), json!({"approvals": {"*": start_says}}));
        let mut client = calls(&mut server, frame, name).await;
        let next = loop {
            let frame = client.next().await;
            if ["tool_approval", "tool_result"].contains(&frame["type"].as_str().unwrap()) {
                break frame;
            }
        };
        assert_eq!(next["type"] == "tool_approval", is_asked, "{next}");
    }
}

#[tokio::test]
async fn edited_arguments_are_judged_again() {
    let judge = |call: &ProposedCall| match call.arguments["path"].as_str() {
        Some("/etc/passwd") => Verdict::deny("not that file"),
        _ => Verdict::Ask,
    };
    for (path, is_allowed) in [("/etc/passwd", false), ("b", true)] {
        let mut server = judged(judge).await;
        let mut client = calls(&mut server, start("g1"), "free").await;
        client.until("tool_approval").await;
        client.send(decision("approve", json!({"arguments": {"path": path}}))).await;
        let decided = client.expect("tool_decision").await;
        let by = if is_allowed { "client" } else { "server" };
        assert_eq!((&decided["approved"], &decided["by"]), (&json!(is_allowed), &json!(by)));
        if is_allowed {
            assert_eq!(client.expect("tool_result").await["content"], r#"{"path":"b"}"#);
        }
        server.upstream.call().await.finish().await;
        client.end_of("g1").await;
    }
}

#[tokio::test]
async fn an_application_that_panics_has_denied() {
    let mut server = judged(|_| panic!("a bug in the application")).await;
    let mut client = calls(&mut server, start("g1"), "free").await;
    assert_eq!(client.until("tool_decision").await["approved"], false);
    server.upstream.call().await.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn a_cancel_reaches_an_application_that_thinks() {
    let thinks = async |_: ProposedCall| std::future::pending::<Verdict>().await;
    let free = tool("free", "Says it again.", async |said: Value, _| Ok(said));
    let mut server = TestServer::build(|_| {}, |builder| builder.tool(free).approve(thinks)).await;
    let mut client = calls(&mut server, start("g1"), "free").await;
    client.until("tool_call").await;
    client.cancel("g1").await;
    assert_eq!(client.end_of("g1").await["type"], "cancelled");
}
