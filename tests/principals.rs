//! Promise: a client never sees, cancels or answers another principal's generation; asking gives
//! the same answer as one that does not exist.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Client, TestServer, key, start};

async fn server() -> TestServer {
    TestServer::with(|config| {
        config.auth.keys =
            vec![key("ann", "key-of-ann-000001"), key("ann", "key-of-ann-000002"), key("bob", "key-of-bob-000001")]
    })
    .await
}

/// The answer to a frame about `id`, with the id taken out.
async fn answer(client: &mut Client, mut frame: Value, id: &str) -> Value {
    frame["id"] = id.into();
    client.send(frame).await;
    let mut answer = client.expect("error").await;
    assert_eq!(answer["id"], id);
    answer["id"] = Value::Null;
    answer
}

#[tokio::test]
async fn another_principals_generation_looks_like_one_that_does_not_exist() {
    let mut server = server().await;
    let mut ann = server.client_with_key("key-of-ann-000001").await;
    ann.started("running").await;
    let mut call = server.upstream.call().await;
    ann.started("waiting").await;
    let mut asking = server.upstream.call().await;
    asking.tool_call(0, "call_1", "look", "{}").await;
    asking.finish_reason("tool_calls").await;
    asking.done().await;
    ann.until("tool_wait").await;
    let epoch = ann.started("ended").await["epoch"].clone();
    server.upstream.call().await.finish().await;
    ann.end_of("ended").await;

    let mut bob = server.client_with_key("key-of-bob-000001").await;
    for frame in [
        json!({"type": "attach", "after": 0}),
        json!({"type": "attach", "after": 1, "epoch": epoch}),
        json!({"type": "attach", "after": 1_000_000}),
        json!({"type": "tool_result", "call_id": "call_1", "content": "x"}),
        json!({"type": "input", "messages": [{"role": "user", "content": "x"}]}),
    ] {
        let nothing = answer(&mut bob, frame.clone(), "never").await;
        assert_eq!(nothing["code"], "generation_not_found");
        for id in ["running", "waiting", "ended"] {
            assert_eq!(answer(&mut bob, frame.clone(), id).await, nothing, "{frame}");
        }
    }
    for frame in [
        json!({"type": "cancel", "id": "running"}),
        json!({"type": "cancel", "id": "waiting"}),
        json!({"type": "cancel", "id": "ended"}),
        json!({"type": "cancel", "id": "never"}),
        json!({"type": "cancel", "all": true}),
        json!({"type": "detach", "id": "running"}),
    ] {
        bob.send(frame).await;
        bob.nothing_comes().await;
    }
    // Ann has noticed nothing.
    call.text("Still here").await;
    ann.until_text("running", "Still here").await;
    call.finish().await;
    ann.end_of("running").await;
    ann.send(json!({"type": "tool_result", "id": "waiting", "call_id": "call_1", "content": "ann's"})).await;
    assert_eq!(ann.expect("tool_result").await["content"], "ann's");
}

#[tokio::test]
async fn two_principals_may_use_the_same_name() {
    let mut server = server().await;
    let mut ann = server.client_with_key("key-of-ann-000001").await;
    let of_ann = ann.started("g1").await;
    let mut anns = server.upstream.call().await;
    let mut bob = server.client_with_key("key-of-bob-000001").await;
    let of_bob = bob.started("g1").await;
    let mut bobs = server.upstream.call().await;
    assert_ne!(of_ann["epoch"], of_bob["epoch"]);
    anns.text("for ann").await;
    ann.until_text("g1", "for ann").await;
    bobs.text("for bob").await;
    bob.until_text("g1", "for bob").await;
    bob.cancel("g1").await;
    bobs.closed().await;
    assert_eq!(bob.end_of("g1").await["type"], "cancelled");
    anns.finish().await;
    assert_eq!(ann.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn a_cancel_before_the_start_counts_for_its_own_principal_only() {
    let mut server = server().await;
    let mut bob = server.client_with_key("key-of-bob-000001").await;
    bob.cancel("g1").await;
    bob.nothing_comes().await;
    let mut ann = server.client_with_key("key-of-ann-000001").await;
    ann.started("g1").await;
    server.upstream.call().await.finish().await;
    assert_eq!(ann.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn keys_of_one_principal_share_its_generations() {
    let mut server = server().await;
    let mut ann = server.client_with_key("key-of-ann-000001").await;
    ann.started("g1").await;
    let mut call = server.upstream.call().await;
    let mut too = server.client_with_key("key-of-ann-000002").await;
    too.attach("g1", 0).await;
    too.expect("started").await;
    too.cancel("g1").await;
    call.closed().await;
    assert_eq!(ann.end_of("g1").await, too.end_of("g1").await);
}

#[tokio::test]
async fn no_frame_holds_a_key() {
    let mut server = server().await;
    let mut ann = server.client_with_key("key-of-ann-000001").await;
    ann.send(start("g1")).await;
    let body = r#"{"error":{"message":"Incorrect API key provided: upstream-key"}}"#;
    server.upstream.call().await.status(401, &[("content-type", "application/json")], body).await;
    let end = ann.end_of("g1").await;
    for frame in [&ann.hello, &end] {
        for secret in ["key-of-ann-000001", "upstream-key"] {
            assert!(!frame.to_string().contains(secret), "{frame}");
        }
    }
}
