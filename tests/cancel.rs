//! Promise: a `cancel` in each state ends in one terminal event, closes the connection to the
//! provider at once, and leaves every other generation alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{
    Client, TestServer, provider_at, start,
    upstream::{Call, Unreachable},
    with,
};

/// Reads the `cancelled` of a generation, and checks that it is the only end that there is.
async fn cancelled(client: &mut Client, id: &str) -> Value {
    let end = client.end_of(id).await;
    assert_eq!((&end["type"], &end["by"]), (&json!("cancelled"), &json!("client")), "{end}");
    client.nothing_comes().await;
    client.attach(id, 0).await;
    assert_eq!(client.end_of(id).await, end);
    client.nothing_comes().await;
    end
}

/// A generation beside the one that is cancelled, to see that it is left alone.
struct Bystander(Call);

impl Bystander {
    async fn start(server: &mut TestServer, client: &mut Client) -> Self {
        client.started("bystander").await;
        let mut call = server.upstream.call().await;
        call.text("still ").await;
        client.until_text("bystander", "still ").await;
        Self(call)
    }

    async fn goes_on(mut self, client: &mut Client) {
        self.0.text("here").await;
        client.until_text("bystander", "still here").await;
        self.0.finish().await;
        assert_eq!(client.end_of("bystander").await["type"], "finished");
    }
}

#[tokio::test]
async fn before_it_is_started_from_another_connection() {
    let mut server = TestServer::start().await;
    let mut other = server.client().await;
    other.send(json!({"type": "cancel", "id": "g1", "reason": "changed my mind"})).await;
    other.nothing_comes().await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    let before = server.upstream.connections();
    client.start("g1").await;
    client.expect("started").await;
    let end = cancelled(&mut client, "g1").await;
    assert_eq!((&end["seq"], &end["reason"]), (&json!(2), &json!("changed my mind")));
    assert_eq!(end["usage"], json!({"input_tokens": 0, "output_tokens": 0, "source": "estimated"}));
    bystander.goes_on(&mut client).await;
    assert_eq!(server.upstream.connections(), before, "no provider is contacted");
}

#[tokio::test]
async fn at_once_after_the_start() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.start("g1").await;
    client.cancel("g1").await;
    client.expect("started").await;
    cancelled(&mut client, "g1").await;
    bystander.goes_on(&mut client).await;
}

#[tokio::test]
async fn while_it_is_queued() {
    let mut server = TestServer::with(|config| config.limits.max_running = 1).await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.started("g1").await;
    client.started("g2").await;
    client.cancel("g1").await;
    cancelled(&mut client, "g1").await;
    assert_eq!(server.upstream.connections(), 1, "no provider is contacted");
    bystander.goes_on(&mut client).await;
    // The one behind it in the queue is next.
    server.upstream.call().await.finish().await;
    assert_eq!(client.end_of("g2").await["type"], "finished");
}

#[tokio::test]
async fn while_the_provider_is_connected_to() {
    let unreachable = Unreachable::start().await;
    let mut server = TestServer::with(|config| {
        let mut slow = provider_at(unreachable.address);
        slow.wire_format = Some("openai-chat".into());
        config.providers.insert("unreachable".into(), slow);
    })
    .await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.send(with(start("g1"), json!({"model": "unreachable/m"}))).await;
    client.expect("started").await;
    client.cancel("g1").await;
    let end = cancelled(&mut client, "g1").await;
    assert!(end["timing"]["total_ms"].as_u64().unwrap() < 5_000, "{end}");
    bystander.goes_on(&mut client).await;
}

#[tokio::test]
async fn before_the_provider_has_answered() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    client.cancel("g1").await;
    call.closed().await;
    cancelled(&mut client, "g1").await;
    bystander.goes_on(&mut client).await;
}

#[tokio::test]
async fn before_the_first_token() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.respond_sse().await;
    client.nothing_comes().await;
    client.cancel("g1").await;
    call.closed().await;
    let end = cancelled(&mut client, "g1").await;
    assert_eq!(end["usage"], json!({"input_tokens": 2, "output_tokens": 0, "source": "estimated"}));
    bystander.goes_on(&mut client).await;
}

#[tokio::test]
async fn while_it_streams() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once upon").await;
    client.until_text("g1", "Once upon").await;
    let asked_at = Instant::now();
    client.cancel("g1").await;
    call.closed().await;
    // The model is silent: a cancel does not wait for its next token.
    assert!(asked_at.elapsed() < Duration::from_secs(2), "{:?}", asked_at.elapsed());
    let end = cancelled(&mut client, "g1").await;
    assert_eq!(client.text("g1"), "Once upon", "text that was delivered is never taken back");
    assert_eq!(end["seq"], 3);
    bystander.goes_on(&mut client).await;
}

#[tokio::test]
async fn while_it_waits_for_a_tool_result() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    client.until("tool_wait").await;
    client.cancel("g1").await;
    cancelled(&mut client, "g1").await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "late"})).await;
    assert_eq!(client.expect("error").await["code"], "generation_ended");
    bystander.goes_on(&mut client).await;
    assert_eq!(server.upstream.connections(), 2, "there is no further turn");
}

#[tokio::test]
async fn while_it_waits_for_another_attempt() {
    let mut server = TestServer::with(|config| {
        config.retry.attempts = 3;
        config.retry.base_ms = 60_000;
        config.retry.max_ms = 60_000;
    })
    .await;
    let mut client = server.client().await;
    let bystander = Bystander::start(&mut server, &mut client).await;
    client.started("g1").await;
    server.upstream.call().await.status(503, &[], "").await;
    client.until("retry").await;
    client.cancel("g1").await;
    cancelled(&mut client, "g1").await;
    bystander.goes_on(&mut client).await;
    assert_eq!(server.upstream.connections(), 2, "there is no further attempt");
}

#[tokio::test]
async fn during_another_attempt() {
    let mut server = TestServer::with(|config| {
        config.retry.attempts = 3;
        config.retry.base_ms = 1;
    })
    .await;
    let mut client = server.client().await;
    client.started("g1").await;
    server.upstream.call().await.status(503, &[], "").await;
    let mut call = server.upstream.call().await;
    client.cancel("g1").await;
    call.closed().await;
    cancelled(&mut client, "g1").await;
}

#[tokio::test]
async fn after_it_has_ended() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    for (id, kind) in [("finished", "finished"), ("failed", "failed"), ("cancelled", "cancelled")] {
        client.started(id).await;
        let call = server.upstream.call().await;
        match kind {
            "finished" => call.finish().await,
            "failed" => call.cut().await,
            _ => client.cancel(id).await,
        }
        let end = client.end_of(id).await;
        client.cancel(id).await;
        client.nothing_comes().await;
        client.attach(id, 0).await;
        assert_eq!(client.end_of(id).await, end, "the end that there is stays");
        assert_eq!(end["type"], kind);
    }
}

#[tokio::test]
async fn twice_is_once_and_the_first_reason_stays() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let _call = server.upstream.call().await;
    let long = "ä".repeat(300);
    client.send(json!({"type": "cancel", "id": "g1", "reason": long})).await;
    client.send(json!({"type": "cancel", "id": "g1", "reason": "second"})).await;
    let end = cancelled(&mut client, "g1").await;
    assert_eq!(end["reason"], json!("ä".repeat(128)), "256 bytes are kept");
}

#[tokio::test]
async fn from_a_connection_that_is_not_attached() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    let mut other = server.client().await;
    other.cancel("g1").await;
    other.nothing_comes().await;
    call.closed().await;
    cancelled(&mut client, "g1").await;
}

#[tokio::test]
async fn all_stops_what_the_connection_is_attached_to_and_nothing_else() {
    let mut server = TestServer::start().await;
    let mut other = server.client().await;
    let bystander = Bystander::start(&mut server, &mut other).await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut one = server.upstream.call().await;
    client.started("g2").await;
    let mut two = server.upstream.call().await;
    client.send(json!({"type": "cancel", "all": true, "reason": "closing the tab"})).await;
    one.closed().await;
    two.closed().await;
    let mut ended = Vec::new();
    for _ in 0..2 {
        let end = client.next().await;
        assert_eq!((&end["type"], &end["reason"]), (&json!("cancelled"), &json!("closing the tab")), "{end}");
        ended.push(end["id"].clone());
    }
    ended.sort_by_key(|id| id.to_string());
    assert_eq!(ended, [json!("g1"), json!("g2")]);
    client.nothing_comes().await;
    bystander.goes_on(&mut other).await;
}

#[tokio::test]
async fn of_many_at_once_each_ends_once() {
    let mut server = TestServer::with(|config| config.workers = 2).await;
    let mut client = server.client().await;
    let ids: Vec<String> = (0..30).map(|n| format!("g{n}")).collect();
    let mut calls = Vec::new();
    for id in &ids {
        client.start(id).await;
        calls.push(server.upstream.call().await);
    }
    for id in &ids {
        client.cancel(id).await;
        client.cancel(id).await;
    }
    for call in &mut calls {
        call.closed().await;
    }
    let mut ended = 0;
    while ended < ids.len() {
        ended += usize::from(client.next().await["type"] == "cancelled");
    }
    client.nothing_comes().await;
}
