//! Promise: a route spreads generations over its upstreams, and asks somebody else when one fails; text that was
//! shown stays, and an answer that breaks off is gone on with as if nothing had happened, where the route says so.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{
    Client, TestServer, Upstream, provider_at, start,
    upstream::{Call, Unreachable},
    with, within,
};
use tokenwire::config::{PriceConfig, ProviderConfig, RouteConfig, RouteUpstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A server with the route `r`, whose upstream is `a` and whose fallbacks are `b` and `c`.
struct Routed {
    server: TestServer,
    b: Upstream,
    c: Upstream,
}

impl Routed {
    async fn start(change: impl FnOnce(&mut RouteConfig)) -> Self {
        Self::with(change, |_| {}).await
    }

    async fn with(
        change: impl FnOnce(&mut RouteConfig),
        change_config: impl FnOnce(&mut tokenwire::config::Config),
    ) -> Self {
        let (b, c) = (Upstream::start().await, Upstream::start().await);
        let server = TestServer::with(|config| {
            let openai = config.providers.remove("openai").unwrap();
            config.providers.insert("a".into(), chat(openai));
            config.providers.insert("b".into(), chat(provider_at(b.address)));
            config.providers.insert("c".into(), chat(provider_at(c.address)));
            let mut route = RouteConfig {
                upstreams: vec![upstream("a/one", 1)],
                fallbacks: vec!["b/two".into(), "c/three".into()],
                ..RouteConfig::default()
            };
            change(&mut route);
            config.routes.insert("r".into(), route);
            change_config(config);
        })
        .await;
        Self { server, b, c }
    }

    async fn client(&self) -> Client {
        self.server.client().await
    }

    /// The next request to `a`.
    async fn a(&mut self) -> Call {
        self.server.upstream.call().await
    }
}

fn chat(provider: ProviderConfig) -> ProviderConfig {
    ProviderConfig { wire_format: Some("openai-chat".into()), ..provider }
}

fn upstream(model: &str, weight: u32) -> RouteUpstream {
    RouteUpstream { model: model.into(), weight }
}

fn routed(id: &str) -> Value {
    with(start(id), json!({"model": "r"}))
}

/// Answers in full.
async fn answer(mut call: Call, text: &str) {
    call.text(text).await;
    call.finish().await;
}

/// Reads a `retry`, and checks who is tried.
async fn switched(client: &mut Client, provider: &str, code: &str) -> Value {
    let retry = client.until("retry").await;
    assert_eq!((&retry["provider"], &retry["reason"]["code"]), (&json!(provider), &json!(code)), "{retry}");
    retry
}

async fn finished(client: &mut Client, id: &str) -> Value {
    let end = client.end_of(id).await;
    assert_eq!(end["type"], "finished", "{end}");
    end
}

async fn failed(client: &mut Client, id: &str, code: &str) -> Value {
    let end = client.end_of(id).await;
    assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!(code)), "{end}");
    end
}

#[tokio::test]
async fn upstreams_are_asked_in_proportion_to_their_weights() {
    let mut routed_server = Routed::start(|route| {
        route.upstreams = vec![upstream("a/one", 2), upstream("b/two", 1)];
        route.fallbacks = Vec::new();
    })
    .await;
    let mut client = routed_server.client().await;
    let mut asked = String::new();
    for number in 0..6 {
        let id = format!("g{number}");
        client.send(routed(&id)).await;
        let started = client.expect("started").await;
        asked += started["provider"].as_str().unwrap();
        let call = match started["provider"].as_str() {
            Some("a") => routed_server.a().await,
            _ => routed_server.b.call().await,
        };
        assert_eq!(call.body["model"], started["model"]);
        answer(call, "Hi").await;
        finished(&mut client, &id).await;
    }
    assert_eq!(asked, "abaaba");
}

#[tokio::test]
async fn an_error_in_which_another_one_can_help_goes_to_the_fallback() {
    let errors = [
        (401, "authentication"),
        (402, "quota"),
        (403, "permission"),
        (404, "model_not_found"),
        (429, "rate_limit"),
        (500, "provider_error"),
        (503, "overloaded"),
    ];
    for (status, code) in errors {
        let mut routed_server = Routed::start(|_| {}).await;
        let mut client = routed_server.client().await;
        client.send(routed("g1")).await;
        let started = client.expect("started").await;
        assert_eq!((&started["provider"], &started["model"]), (&json!("a"), &json!("one")));
        routed_server.a().await.status(status, &[], "").await;
        let retry = switched(&mut client, "b", code).await;
        assert_eq!((&retry["attempt"], &retry["model"], &retry["delay_ms"]), (&json!(2), &json!("two"), &json!(0)));
        assert_eq!((&retry["continues"], &retry["reason"]["provider"]), (&Value::Null, &json!("a")));
        let call = routed_server.b.call().await;
        assert_eq!(call.body["model"], "two");
        answer(call, "Hi").await;
        let end = finished(&mut client, "g1").await;
        assert_eq!(end["usage"], json!({"input_tokens": 7, "output_tokens": 5, "source": "provider"}));
        assert_eq!(client.text("g1"), "Hi");
    }
}

#[tokio::test]
async fn a_fault_of_the_request_goes_nowhere_unless_the_route_says_so() {
    let too_long = r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
    let mut routed_server = Routed::start(|_| {}).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    routed_server.a().await.status(400, &[], "{}").await;
    failed(&mut client, "g1", "invalid_request").await;
    client.send(routed("g2")).await;
    routed_server.a().await.status(400, &[], too_long).await;
    failed(&mut client, "g2", "context_too_long").await;

    let mut routed_server = Routed::start(|route| route.fallback_on = Some(vec!["context_too_long".into()])).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    routed_server.a().await.status(400, &[], too_long).await;
    switched(&mut client, "b", "context_too_long").await;
    answer(routed_server.b.call().await, "Hi").await;
    finished(&mut client, "g1").await;
    client.send(routed("g2")).await;
    routed_server.a().await.status(503, &[], "").await;
    failed(&mut client, "g2", "overloaded").await;
}

#[tokio::test]
async fn who_cannot_be_reached_or_says_nothing_is_left_for_the_next_one() {
    let unreachable = Unreachable::start().await;
    let mut routed_server = Routed::with(
        |route| {
            route.upstreams = vec![upstream("far/away", 1)];
            route.defaults.timeouts.connect_ms = Some(500);
            route.defaults.timeouts.first_token_ms = Some(1500);
        },
        |config| {
            config.providers.insert("far".into(), chat(provider_at(unreachable.address)));
        },
    )
    .await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    switched(&mut client, "b", "connect_timeout").await;
    let mut silent = routed_server.b.call().await;
    silent.respond_sse().await;
    switched(&mut client, "c", "first_token_timeout").await;
    silent.closed().await;
    answer(routed_server.c.call().await, "Hi").await;
    let end = finished(&mut client, "g1").await;
    // The silent one may have read the prompt of 5 bytes; the unreachable one has not.
    assert_eq!(end["usage"], json!({"input_tokens": 9, "output_tokens": 5, "source": "partial"}));
}

#[tokio::test]
async fn what_an_upstream_cannot_do_the_fallback_may() {
    let mut routed_server = Routed::with(
        |route| route.upstreams = vec![upstream("deaf/claude-3-5-haiku", 1)],
        |config| {
            let deaf = config.providers["a"].clone();
            config.providers.insert("deaf".into(), ProviderConfig { wire_format: Some("anthropic".into()), ..deaf });
        },
    )
    .await;
    let mut client = routed_server.client().await;
    let audio = json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}});
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "Listen"}, audio]}]);
    client.send(with(routed("g1"), json!({"messages": messages}))).await;
    switched(&mut client, "b", "not_supported").await;
    answer(routed_server.b.call().await, "Hi").await;
    let end = finished(&mut client, "g1").await;
    assert_eq!(end["usage"]["source"], "provider", "what was never sent costs nothing: {end}");
    assert_eq!(routed_server.server.upstream.connections(), 0);
}

#[tokio::test]
async fn the_same_is_asked_again_before_the_fallback() {
    let mut routed_server = Routed::with(
        |_| {},
        |config| {
            config.retry.attempts = 2;
            config.retry.base_ms = 1;
        },
    )
    .await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    routed_server.a().await.status(503, &[], "").await;
    switched(&mut client, "a", "overloaded").await;
    routed_server.a().await.status(503, &[], "").await;
    assert_eq!(switched(&mut client, "b", "overloaded").await["attempt"], 3);
    // A limit is not waited for while somebody else is left.
    routed_server.b.call().await.status(429, &[("retry-after-ms", "1")], "").await;
    assert_eq!(switched(&mut client, "c", "rate_limit").await["delay_ms"], 0);
    routed_server.c.call().await.status(429, &[("retry-after-ms", "2")], "").await;
    assert_eq!(switched(&mut client, "c", "rate_limit").await["delay_ms"], 2);
    answer(routed_server.c.call().await, "Hi").await;
    finished(&mut client, "g1").await;
}

#[tokio::test]
async fn when_all_are_dead_the_last_error_is_the_end() {
    let mut routed_server = Routed::start(|_| {}).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    routed_server.a().await.status(503, &[], "").await;
    routed_server.b.call().await.reset();
    routed_server.c.call().await.status(500, &[], r#"{"error":{"message":"the last one"}}"#).await;
    let end = failed(&mut client, "g1", "provider_error").await;
    assert_eq!((&end["error"]["provider"], &end["error"]["message"]), (&json!("c"), &json!("the last one")));
}

#[tokio::test]
async fn who_failed_is_passed_over_while_it_rests() {
    let mut routed_server = Routed::start(|route| {
        route.cool_down_after = 2;
        route.cool_down_seconds = 3600;
    })
    .await;
    let mut client = routed_server.client().await;
    for id in ["g1", "g2"] {
        client.send(routed(id)).await;
        assert_eq!(client.expect("started").await["provider"], "a");
        routed_server.a().await.status(503, &[], "").await;
        answer(routed_server.b.call().await, "Hi").await;
        finished(&mut client, id).await;
    }
    // Another connection is served by the same memory.
    let mut other = routed_server.client().await;
    other.send(routed("g3")).await;
    assert_eq!(other.expect("started").await["provider"], "b");
    routed_server.b.call().await.status(503, &[], "").await;
    switched(&mut other, "c", "overloaded").await;
    routed_server.c.call().await.status(503, &[], "").await;
    // It comes last, before there is no answer at all.
    switched(&mut other, "a", "overloaded").await;
    answer(routed_server.a().await, "Hi").await;
    finished(&mut other, "g3").await;
    other.send(routed("g4")).await;
    assert_eq!(other.expect("started").await["provider"], "a", "who has answered rests no more");
}

#[tokio::test]
async fn who_says_how_long_it_is_limited_rests_that_long() {
    let mut routed_server = Routed::start(|_| {}).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    routed_server.a().await.status(429, &[("retry-after", "600")], "").await;
    answer(routed_server.b.call().await, "Hi").await;
    finished(&mut client, "g1").await;
    client.send(routed("g2")).await;
    assert_eq!(client.expect("started").await["provider"], "b");
}

#[tokio::test]
async fn a_tool_loop_stays_with_who_answered() {
    let mut routed_server = Routed::start(|_| {}).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    routed_server.a().await.status(503, &[], "").await;
    let mut call = routed_server.b.call().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    client.until("tool_wait").await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "sunny"})).await;
    let call = routed_server.b.call().await;
    assert_eq!(call.body["messages"][2]["content"], "sunny");
    // If it fails there, the others are asked, from the first one on.
    call.status(503, &[], "").await;
    switched(&mut client, "a", "overloaded").await;
    let call = routed_server.a().await;
    assert_eq!((&call.body["model"], &call.body["messages"][2]["content"]), (&json!("one"), &json!("sunny")));
    answer(call, "Sun").await;
    finished(&mut client, "g1").await;
}

#[tokio::test]
async fn defaults_and_options_are_those_of_the_target() {
    let mut routed_server = Routed::start(|route| {
        route.defaults.system = Some("Be brief.".into());
        route.defaults.temperature = Some(0.5);
        route.defaults.max_tokens = Some(100);
        route.defaults.provider_options = json!({"b": {"service_tier": "flex"}}).as_object().unwrap().clone();
    })
    .await;
    let mut client = routed_server.client().await;
    let own = json!({"temperature": 0.9, "provider_options": {"a": {"user": "ann"}}});
    client.send(with(routed("g1"), own)).await;
    let call = routed_server.a().await;
    assert_eq!(call.body["messages"][0], json!({"role": "system", "content": "Be brief."}));
    assert_eq!((&call.body["temperature"], &call.body["max_tokens"]), (&json!(0.9), &json!(100)));
    assert_eq!((&call.body["user"], &call.body["service_tier"]), (&json!("ann"), &Value::Null));
    call.status(503, &[], "").await;
    let call = routed_server.b.call().await;
    assert_eq!((&call.body["temperature"], &call.body["max_tokens"]), (&json!(0.9), &json!(100)));
    assert_eq!((&call.body["user"], &call.body["service_tier"]), (&Value::Null, &json!("flex")));
    answer(call, "Hi").await;
    finished(&mut client, "g1").await;
}

#[tokio::test]
async fn a_route_may_be_named_like_a_model_and_is_listed() {
    let mut routed_server = Routed::with(
        |_| {},
        |config| {
            let route = config.routes["r"].clone();
            config.routes.insert("a/one".into(), route);
            for provider in config.providers.values_mut() {
                provider.models = vec!["m".into()];
            }
        },
    )
    .await;
    let mut client = routed_server.client().await;
    client.send(with(start("g1"), json!({"model": "a/one"}))).await;
    routed_server.a().await.status(503, &[], "").await;
    switched(&mut client, "b", "overloaded").await;
    answer(routed_server.b.call().await, "Hi").await;
    finished(&mut client, "g1").await;
    client.send(with(start("g2"), json!({"model": "q"}))).await;
    let refused = client.expect("error").await;
    assert_eq!(refused["code"], "unknown_model");
    assert!(refused["message"].as_str().unwrap().contains("one of a/one, r, "), "{refused}");
    client.send(with(routed("g3"), json!({"upstream": {"api_key": "own"}}))).await;
    let refused = client.expect("error").await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("not_supported"), &json!("upstream")));
    let mut connection = TcpStream::connect(routed_server.server.address).await.unwrap();
    let host = routed_server.server.address;
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the models", connection.read_to_string(&mut answer)).await.unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let first: Vec<_> = body["data"].as_array().unwrap()[..2].iter().map(|model| &model["id"]).collect();
    assert_eq!(first, ["a/one", "r"]);
}

#[tokio::test]
async fn nothing_changes_after_text_was_shown() {
    let mut routed_server = Routed::start(|_| {}).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.text("Once").await;
    call.cut().await;
    failed(&mut client, "g1", "network").await;
    assert_eq!(client.text("g1"), "Once");
    assert_eq!(routed_server.b.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_gone_on_with() {
    let mut routed_server = Routed::start(|route| route.continuation = true).await;
    let mut client = routed_server.client().await;
    client.send(with(routed("g1"), json!({"accumulate": true, "max_tokens": 100}))).await;
    let mut call = routed_server.a().await;
    call.text("The quick brown").await;
    client.until_text("g1", "The quick brown").await;
    call.cut().await;
    let retry = switched(&mut client, "b", "network").await;
    assert_eq!((&retry["continues"], &retry["delay_ms"]), (&json!(true), &json!(0)));
    let mut call = routed_server.b.call().await;
    let messages = &call.body["messages"];
    assert_eq!(messages[1], json!({"role": "assistant", "content": "The quick brown"}));
    assert_eq!(messages[2]["role"], "user");
    let instruction = messages[2]["content"].as_str().unwrap();
    assert!(instruction.contains("<last_words>The quick brown</last_words>"), "{instruction}");
    assert_eq!(call.body["max_tokens"], 96);
    // The first words come in pieces, and are held back until it is clear that they are a repetition.
    for piece in ["The", " quick ", "brown fox", " jumps"] {
        call.text(piece).await;
    }
    client.until_text("g1", "The quick brown fox jumps").await;
    // Nor is that the end: an error inside the stream.
    call.data(&json!({"error": {"type": "overloaded_error", "message": "Overloaded"}})).await;
    call.closed().await;
    assert_eq!(switched(&mut client, "c", "overloaded").await["continues"], true);
    let mut call = routed_server.c.call().await;
    assert_eq!(call.body["messages"][1]["content"], "The quick brown fox jumps");
    call.text(" over").await;
    call.finish().await;
    let usage = client.until("usage").await;
    let end = finished(&mut client, "g1").await;
    assert_eq!(end["text"], "The quick brown fox jumps over");
    assert_eq!(client.text("g1"), "The quick brown fox jumps over");
    // 4 tokens of the first answer, 7 of the second one with what it repeated; the last one was counted.
    assert_eq!(end["usage"]["output_tokens"], 4 + 7 + 5);
    assert_eq!(end["usage"]["source"], "partial");
    for field in ["input_tokens", "output_tokens", "source"] {
        assert_eq!(usage[field], end["usage"][field], "the usage of the turn is that of all its attempts");
    }
}

#[tokio::test]
async fn a_joined_answer_goes_into_the_next_turn_as_one() {
    let mut routed_server = Routed::start(|route| route.continuation = true).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.text("Let me ").await;
    client.until_text("g1", "Let me ").await;
    call.cut().await;
    let mut call = routed_server.b.call().await;
    call.text("Let me").await;
    call.text(" look.").await;
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    client.until("tool_wait").await;
    assert_eq!(client.text("g1"), "Let me look.");
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "sunny"})).await;
    let call = routed_server.b.call().await;
    let messages = call.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "nothing is left of the instruction: {messages:?}");
    assert_eq!((&messages[1]["content"], &messages[2]["content"]), (&json!("Let me look."), &json!("sunny")));
    answer(call, "Sun").await;
    finished(&mut client, "g1").await;
}

#[tokio::test]
async fn silence_in_the_middle_is_gone_on_with_too() {
    let mut routed_server = Routed::start(|route| {
        route.continuation = true;
        route.defaults.timeouts.idle_ms = Some(1000);
    })
    .await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.text("One, ").await;
    switched(&mut client, "b", "idle_timeout").await;
    call.closed().await;
    answer(routed_server.b.call().await, "One, two.").await;
    finished(&mut client, "g1").await;
    assert_eq!(client.text("g1"), "One, two.");
}

#[tokio::test]
async fn alone_an_upstream_goes_on_with_its_own_answer() {
    let mut routed_server = Routed::with(
        |route| {
            route.continuation = true;
            route.fallbacks = Vec::new();
        },
        |config| {
            config.retry.attempts = 2;
            config.retry.base_ms = 1;
        },
    )
    .await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.text("One, ").await;
    client.until_text("g1", "One, ").await;
    call.end().await;
    assert_eq!(switched(&mut client, "a", "truncated").await["continues"], true);
    let mut call = routed_server.a().await;
    call.text("One, two, ").await;
    client.until_text("g1", "One, two, ").await;
    call.end().await;
    failed(&mut client, "g1", "truncated").await;
    assert_eq!(client.text("g1"), "One, two, ");
}

#[tokio::test]
async fn a_model_that_takes_the_beginning_is_given_it() {
    let mut routed_server = Routed::with(
        |route| {
            route.continuation = true;
            route.fallbacks = vec!["claude/claude-haiku-4-5".into()];
        },
        |config| {
            let b = config.providers["b"].clone();
            config.providers.insert("claude".into(), ProviderConfig { wire_format: Some("anthropic".into()), ..b });
        },
    )
    .await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.text("The quick ").await;
    client.until_text("g1", "The quick ").await;
    call.cut().await;
    let mut call = routed_server.b.call().await;
    let messages = call.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["content"][0]["text"], "The quick");
    let events = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " brown"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " fox"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ];
    for event in events {
        call.send(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).as_bytes()).await;
    }
    call.end().await;
    finished(&mut client, "g1").await;
    assert_eq!(client.text("g1"), "The quick brown fox");
}

#[tokio::test]
async fn what_cannot_be_gone_on_with_fails() {
    // A tool call that has begun.
    let mut routed_server = Routed::start(|route| route.continuation = true).await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.text("Let me look").await;
    call.tool_call(0, "call_1", "look", "{\"pla").await;
    client.until("tool_call_delta").await;
    call.cut().await;
    failed(&mut client, "g1", "network").await;
    // An answer that must be JSON.
    client.send(with(routed("g2"), json!({"response_format": {"type": "json_object"}}))).await;
    let mut call = routed_server.a().await;
    call.text("{\"a\":").await;
    client.until_text("g2", "{\"a\":").await;
    call.cut().await;
    failed(&mut client, "g2", "network").await;
    assert_eq!(routed_server.b.connections(), 0);
}

#[tokio::test]
async fn the_timeout_of_the_whole_generation_ends_it_in_any_attempt() {
    let mut routed_server = Routed::start(|route| route.continuation = true).await;
    let mut client = routed_server.client().await;
    client.send(with(routed("g1"), json!({"timeouts": {"total_ms": 2500}}))).await;
    let mut call = routed_server.a().await;
    call.text("One").await;
    client.until_text("g1", "One").await;
    call.cut().await;
    let mut call = routed_server.b.call().await;
    failed(&mut client, "g1", "generation_timeout").await;
    call.closed().await;
    assert_eq!(routed_server.c.connections(), 0);
}

#[tokio::test]
async fn a_cancel_ends_a_fallback_a_wait_and_a_continuation() {
    let mut routed_server = Routed::with(
        |route| {
            route.continuation = true;
            route.fallbacks = vec!["b/two".into()];
        },
        |config| {
            config.retry.attempts = 2;
            config.retry.base_ms = 60_000;
            config.retry.max_ms = 60_000;
        },
    )
    .await;
    let mut client = routed_server.client().await;
    // At a fallback that has not answered.
    client.send(routed("g1")).await;
    routed_server.a().await.status(429, &[], "").await;
    let mut call = routed_server.b.call().await;
    client.cancel("g1").await;
    assert_eq!(client.end_of("g1").await["type"], "cancelled");
    call.closed().await;
    // While it waits before the next attempt.
    client.send(routed("g2")).await;
    routed_server.a().await.status(503, &[], "").await;
    switched(&mut client, "a", "overloaded").await;
    client.cancel("g2").await;
    assert_eq!(client.end_of("g2").await["type"], "cancelled");
    // In a continuation whose first words are held back: they were never shown.
    client.send(routed("g3")).await;
    let mut call = routed_server.a().await;
    call.text("Once upon").await;
    client.until_text("g3", "Once upon").await;
    call.cut().await;
    let mut call = routed_server.b.call().await;
    call.text("Once").await;
    client.cancel("g3").await;
    let end = client.end_of("g3").await;
    assert_eq!((&end["type"], client.text("g3")), (&json!("cancelled"), "Once upon"));
    call.closed().await;
    client.nothing_comes().await;
}

/// A server whose provider has two keys.
async fn with_two_keys() -> TestServer {
    TestServer::with(|config| {
        let openai = config.providers.get_mut("openai").unwrap();
        openai.api_key = None;
        openai.api_keys = vec!["first".into(), "second".into()];
    })
    .await
}

#[tokio::test]
async fn keys_take_turns() {
    let mut server = with_two_keys().await;
    let mut client = server.client().await;
    for (number, key) in ["first", "second", "first"].into_iter().enumerate() {
        let id = format!("g{number}");
        client.start(&id).await;
        let call = server.upstream.call().await;
        assert_eq!(call.headers["authorization"], format!("Bearer {key}"));
        answer(call, "Hi").await;
        finished(&mut client, &id).await;
    }
}

#[tokio::test]
async fn a_key_that_is_limited_or_refused_rests_and_nobody_notices() {
    for status in [401, 402, 429] {
        let mut server = with_two_keys().await;
        let mut client = server.client().await;
        client.started("g1").await;
        let call = server.upstream.call().await;
        assert_eq!(call.headers["authorization"], "Bearer first");
        call.status(status, &[], "").await;
        let call = server.upstream.call().await;
        assert_eq!(call.headers["authorization"], "Bearer second");
        answer(call, "Hi").await;
        assert_eq!(client.next().await["type"], "text", "no retry is told");
        let end = finished(&mut client, "g1").await;
        assert_eq!(end["usage"]["source"], "provider");
        for id in ["g2", "g3"] {
            client.start(id).await;
            let call = server.upstream.call().await;
            assert_eq!(call.headers["authorization"], "Bearer second", "the first one rests");
            answer(call, "Hi").await;
            finished(&mut client, id).await;
        }
    }
}

#[tokio::test]
async fn when_every_key_is_refused_the_error_is_the_last_ones() {
    let mut server = with_two_keys().await;
    let mut client = server.client().await;
    client.started("g1").await;
    server.upstream.call().await.status(401, &[], r#"{"error":{"message":"bad key first"}}"#).await;
    server.upstream.call().await.status(401, &[], r#"{"error":{"message":"bad key second"}}"#).await;
    let end = failed(&mut client, "g1", "authentication").await;
    assert_eq!(end["error"]["message"], "bad key ***", "no key is repeated");
}

#[tokio::test]
async fn tokens_cost_what_the_configuration_says() {
    let price = |input, output| PriceConfig {
        input,
        output,
        cached: None,
        cache_write: None,
        input_audio: None,
        output_audio: None,
    };
    let mut routed_server = Routed::with(
        |route| route.continuation = true,
        |config| {
            config.prices.insert("a/*".into(), price(100.0, 1000.0));
            config.prices.insert("b/two".into(), price(1.0, 10.0));
        },
    )
    .await;
    let mut client = routed_server.client().await;
    client.send(routed("g1")).await;
    let mut call = routed_server.a().await;
    call.tool_call(0, "call_1", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.usage(1000, 100).await;
    call.done().await;
    // 1000 at 100 and 100 at 1000 for a million.
    assert_eq!(client.until("usage").await["cost"], json!(0.2));
    client.until("tool_wait").await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "sunny"})).await;
    routed_server.a().await.status(503, &[], "").await;
    let mut call = routed_server.b.call().await;
    call.text("Sun").await;
    call.usage(2000, 200).await;
    call.finish_reason("stop").await;
    call.done().await;
    assert_eq!(client.until("usage").await["cost"], json!(0.004));
    assert_eq!(finished(&mut client, "g1").await["usage"]["cost"], json!(0.204));
    // What was only estimated has a cost, too: 5 bytes in, 8 out.
    client.send(routed("g2")).await;
    let mut call = routed_server.a().await;
    call.text("Once upo").await;
    client.until_text("g2", "Once upo").await;
    client.cancel("g2").await;
    let end = client.end_of("g2").await;
    assert_eq!((&end["usage"]["cost"], &end["usage"]["source"]), (&json!(0.0022), &json!("estimated")));
    within("the end of the call", call.closed()).await;
    // A sum of which a part is unknown is no bill.
    client.send(routed("g3")).await;
    let mut call = routed_server.a().await;
    call.text("One, ").await;
    client.until_text("g3", "One, ").await;
    call.cut().await;
    routed_server.b.call().await.status(503, &[], "").await;
    answer(routed_server.c.call().await, "One, two.").await;
    let end = finished(&mut client, "g3").await;
    assert_eq!((&end["usage"]["cost"], client.text("g3")), (&Value::Null, "One, two."));
}
