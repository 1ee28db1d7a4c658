//! Promise: an accepted `start` gets exactly one `started` and exactly one terminal event, whatever
//! happens; and every ending has a bill.
//!
//! Holes, repeats, and frames after the end are checked on every frame by the client of `support`.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Client, TestServer, provider_at, start, upstream::Unreachable, with};
use tokenwire::{
    protocol::ErrorInfo,
    provider::{BoxFuture, ModelRequest, Provider, Turn},
};

/// The end of a generation whose beginning was seen, and proof that nothing follows.
async fn the_end(client: &mut Client, id: &str) -> Value {
    let end = client.end_of(id).await;
    assert!(end["timing"]["total_ms"].is_u64(), "{end}");
    assert!(end["usage"]["source"].is_string(), "{end}");
    client.nothing_comes().await;
    // It is the only one in the log, too.
    client.attach(id, 0).await;
    client.expect("started").await;
    assert_eq!(client.end_of(id).await, end);
    end
}

fn usage(input_tokens: u64, output_tokens: u64, source: &str) -> Value {
    json!({"input_tokens": input_tokens, "output_tokens": output_tokens, "source": source})
}

#[tokio::test]
async fn success() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let started = client.started("g1").await;
    assert_eq!((&started["model"], &started["provider"]), (&json!("scripted"), &json!("openai")));
    let mut call = server.upstream.call().await;
    assert_eq!(call.path, "/v1/chat/completions");
    assert_eq!(call.headers["authorization"], "Bearer upstream-key");
    assert_eq!(call.body["model"], "scripted");
    assert_eq!(call.body["messages"], json!([{"role": "user", "content": "Hello"}]));

    call.text("Hi").await;
    assert_eq!(client.expect("text").await, json!({"type": "text", "id": "g1", "seq": 2, "delta": "Hi"}));
    call.text(" there").await;
    assert_eq!(client.expect("text").await, json!({"type": "text", "id": "g1", "seq": 3, "delta": " there"}));
    call.finish().await;
    let counted = client.expect("usage").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("stop")));
    assert_eq!(end["usage"], usage(7, 5, "provider"));
    assert_eq!(counted["output_tokens"], 5);
    assert!(end["timing"]["first_token_ms"].is_u64());
    assert_eq!(end.get("text"), None);
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn an_answer_without_a_single_delta_ends_too() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    server.upstream.call().await.finish().await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!(end["type"], "finished");
    assert_eq!(end["timing"].get("first_token_ms"), None);
}

#[tokio::test]
async fn generations_on_one_connection_end_each_for_itself() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut one = server.upstream.call().await;
    client.started("g2").await;
    let mut two = server.upstream.call().await;
    two.text("two").await;
    client.until_text("g2", "two").await;
    one.text("one").await;
    client.until_text("g1", "one").await;
    two.cut().await;
    assert_eq!(the_end(&mut client, "g2").await["type"], "failed");
    one.finish().await;
    assert_eq!(the_end(&mut client, "g1").await["type"], "finished");
}

#[tokio::test]
async fn the_terminal_event_repeats_the_text_when_asked_to() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    for (id, ending) in [("g1", "finished"), ("g2", "cancelled"), ("g3", "failed")] {
        client.send(with(start(id), json!({"accumulate": true}))).await;
        let mut call = server.upstream.call().await;
        call.text("Hi").await;
        call.text(" there").await;
        client.until_text(id, "Hi there").await;
        match ending {
            "finished" => call.finish().await,
            "cancelled" => client.cancel(id).await,
            _ => call.cut().await,
        }
        let end = the_end(&mut client, id).await;
        assert_eq!((&end["type"], &end["text"]), (&json!(ending), &json!("Hi there")));
    }
}

#[tokio::test]
async fn an_error_before_the_stream() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let body =
        r#"{"error":{"message":"bad key upstream-key","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    server.upstream.call().await.status(401, &[("content-type", "application/json")], body).await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!(end["type"], "failed");
    let error = &end["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("authentication"), &json!(false)));
    assert_eq!((&error["provider"], &error["status"]), (&json!("openai"), &json!(401)));
    assert!(!end.to_string().contains("upstream-key"), "{end}");
    assert_eq!(end["usage"], usage(0, 0, "estimated"));
}

#[tokio::test]
async fn an_error_inside_the_stream_leaves_what_was_shown() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    call.data(&json!({"error": {"message": "The server is overloaded", "type": "server_error", "code": 503}})).await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!(end["type"], "failed");
    assert_eq!(end["error"]["code"], "overloaded");
    assert_eq!(client.text("g1"), "Once");
    // "Hello" is two tokens at four bytes each, "Once" is one.
    assert_eq!(end["usage"], usage(2, 1, "estimated"));
    call.closed().await;
}

#[tokio::test]
async fn a_stream_that_stops_before_its_own_end_has_failed() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    for (id, code) in [("end", "truncated"), ("cut", "network"), ("reset", "network")] {
        client.started(id).await;
        let mut call = server.upstream.call().await;
        call.text("Once").await;
        client.until_text(id, "Once").await;
        match id {
            "end" => call.end().await,
            "cut" => call.cut().await,
            _ => call.reset(),
        }
        let end = the_end(&mut client, id).await;
        assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!(code)), "{id}");
        assert_eq!(end["usage"], usage(2, 1, "estimated"));
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_connected_to() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = TestServer::with(|config| {
        config.providers.insert("openai".into(), provider_at(nobody));
    })
    .await;
    let mut client = server.client().await;
    client.started("g1").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("network")));
    assert_eq!(end["error"]["retryable"], true);
}

#[tokio::test]
async fn the_connect_timeout() {
    let unreachable = Unreachable::start().await;
    let server = TestServer::with(|config| {
        config.providers.insert("openai".into(), provider_at(unreachable.address));
    })
    .await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"timeouts": {"connect_ms": 50}}))).await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("connect_timeout")));
}

#[tokio::test]
async fn the_first_token_timeout() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"timeouts": {"first_token_ms": 1000}}))).await;
    let mut call = server.upstream.call().await;
    call.respond_sse().await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("first_token_timeout")));
    call.closed().await;
}

#[tokio::test]
async fn the_idle_timeout() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"timeouts": {"idle_ms": 100}}))).await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("idle_timeout")));
    assert_eq!(client.text("g1"), "Once");
    call.closed().await;
}

#[tokio::test]
async fn the_timeout_of_the_whole_generation() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"timeouts": {"total_ms": 1500}}))).await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("generation_timeout")));
    assert!(end["timing"]["total_ms"].as_u64().unwrap() >= 1500, "{end}");
    call.closed().await;
}

#[tokio::test]
async fn a_retry_is_told_and_shows_nothing_twice() {
    let mut server = TestServer::with(|config| {
        config.retry.attempts = 3;
        config.retry.base_ms = 1;
    })
    .await;
    let mut client = server.client().await;
    client.started("g1").await;
    server.upstream.call().await.status(503, &[], "").await;
    let retry = client.expect("retry").await;
    assert_eq!((&retry["seq"], &retry["attempt"], &retry["provider"]), (&json!(2), &json!(2), &json!("openai")));
    assert_eq!(retry["reason"]["status"], 503);
    server.upstream.call().await.status(429, &[("retry-after-ms", "3")], "").await;
    let retry = client.expect("retry").await;
    assert_eq!((&retry["attempt"], &retry["delay_ms"]), (&json!(3), &json!(3)));
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    call.finish().await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!(end["type"], "finished");
    assert_eq!(client.text("g1"), "Hi");
    // Refused attempts cost nothing.
    assert_eq!(end["usage"], usage(7, 5, "provider"));
}

#[tokio::test]
async fn the_last_attempt_fails_with_its_own_error() {
    let mut server = TestServer::with(|config| {
        config.retry.attempts = 2;
        config.retry.base_ms = 1;
    })
    .await;
    let mut client = server.client().await;
    client.started("g1").await;
    server.upstream.call().await.status(503, &[], "").await;
    client.expect("retry").await;
    server.upstream.call().await.status(500, &[], "").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["status"]), (&json!("failed"), &json!(500)));
}

#[tokio::test]
async fn nothing_is_retried_once_something_was_shown() {
    let mut server = TestServer::with(|config| {
        config.retry.attempts = 3;
        config.retry.base_ms = 1;
    })
    .await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    call.cut().await;
    assert_eq!(the_end(&mut client, "g1").await["type"], "failed");
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn a_wait_that_is_longer_than_the_limit_is_not_waited() {
    let mut server = TestServer::with(|config| config.retry.attempts = 3).await;
    let mut client = server.client().await;
    client.started("g1").await;
    server.upstream.call().await.status(429, &[("retry-after", "3600")], "").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("rate_limit")));
    assert_eq!(end["error"]["retry_after_ms"], 3_600_000);
}

#[tokio::test]
async fn a_full_log_fails_its_generation_and_stops_the_provider() {
    let mut server = TestServer::with(|config| config.limits.max_log_bytes = 4096).await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"accumulate": true}))).await;
    let mut call = server.upstream.call().await;
    for _ in 0..5 {
        call.text(&"x".repeat(1000)).await;
    }
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("log_full")));
    assert_eq!(end["text"].as_str(), Some(client.text("g1")));
    assert!(client.text("g1").len() >= 2000);
    call.closed().await;
}

#[tokio::test]
async fn a_cancel_has_a_bill() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once upon a time").await;
    client.until_text("g1", "Once upon a time").await;
    client.send(json!({"type": "cancel", "id": "g1", "reason": "enough"})).await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["by"], &end["reason"]), (&json!("cancelled"), &json!("client"), &json!("enough")));
    assert_eq!(end["usage"], usage(2, 4, "estimated"));
}

#[tokio::test]
async fn a_disconnect_ends_in_the_log() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"on_disconnect": {"cancel_after_ms": 20}}))).await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    drop(client);
    call.closed().await;
    let mut client = server.client().await;
    client.attach("g1", 0).await;
    client.expect("started").await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["by"]), (&json!("cancelled"), &json!("disconnect")));
    assert_eq!(end["usage"], usage(2, 1, "estimated"));
}

#[tokio::test]
async fn a_count_that_comes_before_the_break_is_used() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    call.usage(100, 50).await;
    call.cut().await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!(end["type"], "failed");
    assert_eq!(end["usage"], usage(100, 50, "partial"));
}

#[tokio::test]
async fn a_provider_that_panics() {
    struct Panics;
    impl Provider for Panics {
        fn name(&self) -> &str {
            "panics"
        }
        fn run<'a>(&'a self, _: &'a ModelRequest, _: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
            panic!("a bug in a provider")
        }
    }
    let server = TestServer::build(|_| {}, |builder| builder.provider(Panics)).await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"model": "panics/m"}))).await;
    let end = the_end(&mut client, "g1").await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("internal")));
}

#[tokio::test]
async fn a_shutdown_lets_a_generation_end() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    server.shut_down();
    assert!(client.expect("going_away").await["reconnect_in_ms"].is_u64());
    client.start("g2").await;
    let refused = client.expect("error").await;
    assert_eq!((&refused["code"], &refused["id"]), (&json!("shutting_down"), &json!("g2")));
    call.text("Hi").await;
    call.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
    assert_eq!(u16::from(client.closed().await.code), 4001);
    server.stopped().await;
}

#[tokio::test]
async fn a_shutdown_cancels_what_does_not_end() {
    let mut server = TestServer::with(|config| config.limits.drain_seconds = 0).await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    client.expect("text").await;
    server.shut_down();
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["by"]), (&json!("cancelled"), &json!("server")));
    assert_eq!(u16::from(client.closed().await.code), 4001);
    call.closed().await;
    server.stopped().await;
}
