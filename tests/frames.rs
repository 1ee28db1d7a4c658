//! Promise: a bad frame gets an `error` that names the field, and the connection and the other
//! generations go on. Only a frame over the size limit closes it.
//!
//! What is wrong with a frame in itself is tested in the protocol crate, in far more cases. Here:
//! that the answer comes, and what only the server can know.
#![allow(clippy::unwrap_used)]

mod support;

use futures_util::SinkExt;
use serde_json::{Value, json};
use support::{TestServer, start, with};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

#[tokio::test]
async fn a_bad_frame_is_answered_and_nothing_else_changes() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    let long_id = "x".repeat(129);
    let bad: &[(&str, &str, Value)] = &[
        ("hello", "bad_json", Value::Null),
        ("[]", "bad_json", Value::Null),
        ("{}", "bad_field", json!("type")),
        (r#"{"type":"stop","id":"g1"}"#, "unknown_type", json!("type")),
        (r#"{"type":"start","id":"g2"}"#, "bad_field", json!("model")),
        (r#"{"type":"start","id":"g2","model":"m","messages":[{"role":"x"}]}"#, "bad_field", json!("messages[0].role")),
        (&format!(r#"{{"type":"cancel","id":"{long_id}"}}"#), "bad_field", json!("id")),
        (r#"{"type":"cancel"}"#, "bad_field", json!("id")),
        (r#"{"type":"attach","id":"g1","after":"1"}"#, "bad_field", json!("after")),
    ];
    for (text, code, field) in bad {
        client.send_message(Message::text(*text)).await;
        let error = client.expect("error").await;
        assert_eq!((&error["code"], &error["field"]), (&json!(code), field), "{text}: {error}");
        assert_eq!(error["retryable"], false);
    }
    client.send_message(Message::binary(r#"{"type":"ping"}"#)).await;
    assert_eq!(client.expect("error").await["code"], "binary_frame");
    client.nothing_comes().await;
    call.text("Still here").await;
    client.until_text("g1", "Still here").await;
    call.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn a_start_that_cannot_be_done_is_refused_and_its_name_stays_free() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let refused = [
        (json!({"model": "nobody/m"}), "unknown_model", "model"),
        (json!({"model": "openai"}), "unknown_model", "model"),
        (json!({"model": "openai/"}), "unknown_model", "model"),
        (json!({"timeouts": {"total_ms": 0}}), "bad_field", "timeouts.total_ms"),
        (json!({"timeouts": {"idle_ms": 3_600_001}}), "bad_field", "timeouts.idle_ms"),
        (json!({"continue_from": "g0"}), "generation_not_found", "continue_from"),
        (json!({"max_turns": 0}), "bad_field", "max_turns"),
    ];
    for (more, code, field) in refused {
        client.send(with(start("g1"), more.clone())).await;
        let error = client.expect("error").await;
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(field)), "{more}");
        assert_eq!(error["id"], "g1");
    }
    client.started("g1").await;
    server.upstream.call().await.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn frames_about_a_generation_that_does_not_exist() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for frame in [
        json!({"type": "attach", "id": "never", "after": 0}),
        json!({"type": "tool_result", "id": "never", "call_id": "c", "content": "x"}),
        json!({"type": "input", "id": "never", "messages": [{"role": "user", "content": "x"}]}),
    ] {
        client.send(frame.clone()).await;
        let error = client.expect("error").await;
        assert_eq!((&error["code"], &error["id"]), (&json!("generation_not_found"), &json!("never")), "{frame}");
    }
}

#[tokio::test]
async fn a_connection_runs_only_so_many_generations() {
    let mut server = TestServer::with(|config| config.limits.max_generations = 2).await;
    let mut client = server.client().await;
    assert_eq!(client.hello["limits"]["max_generations"], 2);
    client.started("g1").await;
    let call = server.upstream.call().await;
    client.started("g2").await;
    client.start("g3").await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("too_many_generations"), &json!(true)));
    // Repeating one that runs is no new one.
    client.start("g2").await;
    client.nothing_comes().await;
    // Another connection has its own limit.
    server.client().await.started("g4").await;
    call.finish().await;
    client.end_of("g1").await;
    client.started("g3").await;
}

#[tokio::test]
async fn a_connection_is_attached_to_only_so_many_generations() {
    let server = TestServer::with(|config| config.limits.max_attachments = 2).await;
    let mut client = server.client().await;
    client.started("g1").await;
    client.started("g2").await;
    let mut other = server.client().await;
    other.started("g3").await;
    client.start("g4").await;
    assert_eq!(client.expect("error").await["code"], "too_many_attachments");
    client.attach("g3", 0).await;
    assert_eq!(client.expect("error").await["code"], "too_many_attachments");
    // Moving one's place in a generation is no new attachment.
    client.attach("g2", 0).await;
    client.expect("started").await;
    client.detach("g1").await;
    client.attach("g3", 0).await;
    client.expect("started").await;
}

#[tokio::test]
async fn a_frame_over_the_size_limit_is_answered_and_closes_the_connection() {
    let mut server = TestServer::with(|config| config.limits.max_frame_bytes = 2000).await;
    let mut client = server.client().await;
    assert_eq!(client.hello["limits"]["max_frame_bytes"], 2000);
    let mut other = server.client().await;
    other.started("g1").await;
    let mut call = server.upstream.call().await;
    // As large as it may be.
    let mut frame = json!({"type": "ping", "nonce": ""});
    frame["nonce"] = "x".repeat(2000 - frame.to_string().len()).into();
    client.send(frame).await;
    client.expect("pong").await;
    client.send(json!({"type": "ping", "nonce": "x".repeat(2000)})).await;
    assert_eq!(client.expect("error").await["code"], "frame_too_large");
    assert_eq!(u16::from(client.closed().await.code), 1009);
    call.text("Still here").await;
    other.until_text("g1", "Still here").await;
}

#[tokio::test]
async fn a_far_too_large_frame_is_answered_too_while_it_is_still_being_sent() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    // What does not fit into the kernels' buffers cannot be sent, since nobody reads it.
    let large = Message::text("x".repeat(32 << 20));
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), client.socket().send(large)).await;
    assert_eq!(client.expect("error").await["code"], "frame_too_large");
    let CloseFrame { code, .. } = client.closed().await;
    assert_eq!(u16::from(code), 1009);
}

#[tokio::test]
async fn ids_are_compared_as_they_are() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    for id in ["a", "A", "a.b_c:d-e", &"x".repeat(128)] {
        client.started(id).await;
        server.upstream.call().await.finish().await;
        client.end_of(id).await;
    }
    assert_eq!(server.upstream.connections(), 4);
}
