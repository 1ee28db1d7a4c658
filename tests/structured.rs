//! Promise: with a JSON schema, the value arrives as it grows, the end says whether it fits, and one repair can be had.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{TestServer, start, with};

fn asking(more: Value) -> Value {
    let schema = json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
    with(with(start("g1"), json!({"response_format": format})), more)
}

#[tokio::test]
async fn a_value_grows_and_fits() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(asking(json!({}))).await;
    let mut call = server.upstream.call().await;
    client.expect("started").await;
    for (piece, path, key, value) in [("{\"city\": \"Pa", "/city", "value", "Pa"), ("ris", "/city", "append", "ris")] {
        call.text(piece).await;
        let change = client.until("object_delta").await;
        let change = if change["path"] == "" { client.until("object_delta").await } else { change };
        assert_eq!((&change["path"], &change[key]), (&json!(path), &json!(value)), "{change}");
    }
    call.text("\"}").await;
    call.finish().await;
    let object = client.until("object").await;
    assert_eq!((&object["value"], &object["valid"]), (&json!({"city": "Paris"}), &json!(true)));
    assert_eq!(client.end_of("g1").await["type"], "finished");
    assert_eq!(client.text("g1"), "{\"city\": \"Paris\"}", "the text comes, too");
}

#[tokio::test]
async fn what_does_not_fit_is_said_and_repaired_once() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(asking(json!({"repair": true}))).await;
    let mut call = server.upstream.call().await;
    call.text("{\"city\": 3}").await;
    call.finish().await;
    let object = client.until("object").await;
    assert_eq!((&object["value"], &object["valid"]), (&json!({"city": 3}), &json!(false)));
    let fault = object["errors"][0].as_str().unwrap();
    assert!(fault.starts_with("/city: "), "{fault}");
    let mut call = server.upstream.call().await;
    let asked = call.body["messages"].as_array().unwrap().last().unwrap().clone();
    assert!(asked["role"] == "user" && asked["content"].as_str().unwrap().contains(fault), "{asked}");
    call.text("no JSON").await;
    call.finish().await;
    let object = client.until("object").await;
    assert_eq!((&object["value"], &object["valid"]), (&Value::Null, &json!(false)));
    assert_eq!(client.end_of("g1").await["type"], "finished", "once is enough");
}

#[tokio::test]
async fn a_turn_that_calls_tools_is_no_value() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    client.send(asking(json!({"repair": true, "tools": tools, "end_at_tool_calls": true}))).await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    loop {
        let frame = client.next().await;
        assert_ne!(frame["type"], "object", "{frame}");
        if frame["type"] == "finished" {
            break;
        }
    }
    assert_eq!(server.upstream.connections(), 1, "there is nothing to repair");
}
