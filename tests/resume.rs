//! Promise: `seq` has no holes and no repeats on one attachment, and after any disconnect `attach`
//! gives exactly the rest; or it is said that it cannot.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Client, TestServer, start, with};

/// Attaches, and reads to the terminal event: the frames, it included.
async fn rest(client: &mut Client, id: &str, after: u64) -> Vec<Value> {
    client.attach(id, after).await;
    let mut frames = Vec::new();
    loop {
        let frame = client.next().await;
        frames.push(frame.clone());
        if support::client::TERMINAL.contains(&frame["type"].as_str().unwrap()) {
            return frames;
        }
        assert_ne!(frame["type"], "error", "{frame}");
    }
}

/// A finished generation of eight events, whose frames arrived one by one.
async fn story(server: &mut TestServer, client: &mut Client, id: &str) -> Vec<Value> {
    client.start(id).await;
    let mut frames = vec![client.expect("started").await];
    let mut call = server.upstream.call().await;
    for text in ["Once", " upon", " a", " time"] {
        call.text(text).await;
        frames.push(client.expect("text").await);
    }
    call.finish().await;
    frames.push(client.expect("usage").await);
    frames.push(client.expect("finished").await);
    assert_eq!(client.text(id), "Once upon a time");
    frames
}

/// What deltas and other events say, without saying how they were cut.
fn joined(frames: &[Value]) -> (String, Vec<Value>) {
    let text = |frame: &Value| frame["delta"].as_str().map(str::to_owned);
    let others = frames.iter().filter(|frame| frame["type"] != "text").cloned().collect();
    (frames.iter().filter_map(text).collect(), others)
}

#[tokio::test]
async fn after_every_position_of_an_ended_generation() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let frames = story(&mut server, &mut client, "g1").await;
    for after in 0..frames.len() as u64 {
        let mut fresh = server.client().await;
        let rest = rest(&mut fresh, "g1", after).await;
        assert_eq!(joined(&rest), joined(&frames[after as usize..]), "after {after}");
        fresh.nothing_comes().await;
    }
    // After the last one there is nothing, and that is no error.
    client.attach("g1", frames.len() as u64).await;
    client.nothing_comes().await;
}

#[tokio::test]
async fn after_every_position_of_a_running_generation() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    let texts = ["Once", " upon", " a", " time"];
    for text in texts {
        call.text(text).await;
        client.expect("text").await;
    }
    let mut readers = Vec::new();
    for after in 0..=5 {
        let mut reader = server.client().await;
        reader.attach("g1", after).await;
        if after < 5 {
            reader.until("text").await;
        }
        readers.push((after, reader));
    }
    call.text(" there").await;
    call.finish().await;
    let end = client.end_of("g1").await;
    for (after, mut reader) in readers {
        assert_eq!(reader.end_of("g1").await, end);
        let expected: String = texts.iter().skip((after as usize).saturating_sub(1)).copied().collect();
        assert_eq!(reader.text("g1"), expected + " there", "after {after}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_again_and_again_loses_nothing() {
    let mut server = TestServer::with(|config| config.workers = 2).await;
    let mut client = server.client().await;
    let epoch = client.started("g1").await["epoch"].clone();
    let mut call = server.upstream.call().await;
    let (mut text, mut seq, mut expected) = (String::new(), 1, String::new());
    for round in 0..20 {
        // One piece is seen, one is on its way when the connection breaks.
        for piece in [format!("{round}:seen "), format!("{round}:unseen ")] {
            call.text(&piece).await;
            expected.push_str(&piece);
        }
        client.until("text").await;
        text.push_str(client.text("g1"));
        seq = client.seq("g1").max(seq);
        drop(client);
        client = server.client().await;
        client.send(json!({"type": "attach", "id": "g1", "after": seq, "epoch": epoch})).await;
    }
    call.finish().await;
    client.end_of("g1").await;
    text.push_str(client.text("g1"));
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_reader_that_is_behind_gets_merged_frames_with_the_last_seq() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    story(&mut server, &mut client, "g1").await;
    let rest = rest(&mut client, "g1", 2).await;
    let texts: Vec<_> = rest.iter().filter(|frame| frame["type"] == "text").collect();
    assert_eq!(texts, [&json!({"type": "text", "id": "g1", "seq": 5, "delta": " upon a time"})]);
}

#[tokio::test]
async fn only_adjacent_deltas_of_one_part_are_merged() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    let delta = |delta: Value| json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    for piece in ["hm", ", well"] {
        call.data(&delta(json!({"reasoning_content": piece}))).await;
    }
    for piece in ["a", "b"] {
        call.text(piece).await;
    }
    call.tool_call(0, "call_1", "look", "{\"x\":").await;
    call.data(&delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}))).await;
    call.tool_call(1, "call_2", "look", "{}").await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    client.until("tool_wait").await;

    let mut late = server.client().await;
    late.attach("g1", 0).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(kind, _)| kind != "tool_wait") {
        let frame = late.next().await;
        seen.push((frame["type"].as_str().unwrap().to_owned(), frame["delta"].clone()));
    }
    let deltas: Vec<_> = seen.iter().filter(|(_, delta)| !delta.is_null()).collect();
    let expected =
        [("reasoning", "hm, well"), ("text", "ab"), ("tool_call_delta", "{\"x\":1}"), ("tool_call_delta", "{}")];
    assert_eq!(deltas.len(), expected.len(), "{seen:?}");
    for ((kind, delta), expected) in deltas.into_iter().zip(expected) {
        assert_eq!((kind.as_str(), delta.as_str().unwrap()), expected);
    }
}

#[tokio::test]
async fn two_tabs_see_the_same() {
    let mut server = TestServer::with(|config| config.workers = 2).await;
    let mut first = server.client().await;
    first.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    first.until_text("g1", "Once").await;
    let mut second = server.client().await;
    second.attach("g1", 0).await;
    second.until_text("g1", "Once").await;
    call.text(" upon").await;
    assert_eq!(first.next().await, second.next().await);
    call.finish().await;
    assert_eq!(first.end_of("g1").await, second.end_of("g1").await);
}

#[tokio::test]
async fn attaching_again_moves_the_place() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    client.attach("g1", 0).await;
    client.expect("started").await;
    client.until_text("g1", "Once").await;
    call.finish().await;
    client.end_of("g1").await;
    client.nothing_comes().await;
}

#[tokio::test]
async fn a_position_of_another_epoch_is_a_gap() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let epoch = story(&mut server, &mut client, "g1").await[0]["epoch"].clone();
    client.send(json!({"type": "attach", "id": "g1", "after": 2, "epoch": "other"})).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["field"], &error["id"]), (&json!("gap"), &json!("epoch"), &json!("g1")));
    client.send(json!({"type": "attach", "id": "g1", "after": 5, "epoch": epoch})).await;
    client.expect("usage").await;
    client.expect("finished").await;
}

#[tokio::test]
async fn a_position_beyond_the_log_is_a_gap() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let last = story(&mut server, &mut client, "g1").await.len() as u64;
    client.attach("g1", last + 1).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["field"]), (&json!("gap"), &json!("after")));
    client.nothing_comes().await;
}

#[tokio::test]
async fn a_position_that_is_no_longer_kept_is_a_gap() {
    let mut server = TestServer::with(|config| config.retention.log_bytes = 1).await;
    let mut client = server.client().await;
    let last = story(&mut server, &mut client, "g1").await.len() as u64;
    client.attach("g1", 1).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("gap"), &json!("g1")));
    // Not silence, and not a part of it: nothing follows, until a position that is kept.
    client.nothing_comes().await;
    client.attach("g1", last - 1).await;
    client.expect("finished").await;
}

#[tokio::test]
async fn what_never_was_is_not_found() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.attach("never", 0).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("generation_not_found"), &json!("never")));
    assert_eq!(error["retryable"], false);
}

/// Attaches until the generation is forgotten.
async fn forgotten(client: &mut Client, id: &str) {
    support::within("forgetting", async {
        loop {
            client.attach(id, 0).await;
            let frame = client.next().await;
            if frame["type"] == "error" {
                assert_eq!(frame["code"], "generation_not_found");
                return;
            }
            client.end_of(id).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_ended_generation_is_forgotten_in_time_and_its_name_is_free_again() {
    let mut server = TestServer::with(|config| config.retention.seconds = 1).await;
    let mut client = server.client().await;
    let first = story(&mut server, &mut client, "g1").await;
    forgotten(&mut client, "g1").await;
    let second = story(&mut server, &mut client, "g1").await;
    assert_ne!(first[0]["epoch"], second[0]["epoch"]);
}

#[tokio::test]
async fn the_oldest_are_forgotten_when_all_together_are_too_large() {
    let mut server = TestServer::with(|config| config.retention.total_bytes = 2000).await;
    let mut client = server.client().await;
    for id in ["g1", "g2", "g3", "g4", "g5"] {
        story(&mut server, &mut client, id).await;
    }
    forgotten(&mut client, "g1").await;
    assert!(!rest(&mut client, "g5", 0).await.is_empty());
}

#[tokio::test]
async fn a_start_sent_again_while_it_runs_repeats_nothing() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    client.send(with(start("g1"), json!({"model": "openai/other"}))).await;
    client.nothing_comes().await;
    call.text(" upon").await;
    client.until_text("g1", "Once upon").await;
    call.finish().await;
    client.end_of("g1").await;
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn a_start_sent_again_on_another_connection_replays() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let started = client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    drop(client);
    let mut client = server.client().await;
    client.start("g1").await;
    assert_eq!(client.expect("started").await, started);
    client.until_text("g1", "Once").await;
    call.finish().await;
    let end = client.end_of("g1").await;
    // Ended and kept: the same again, and nothing is paid twice.
    client.start("g1").await;
    assert_eq!(client.expect("started").await, started);
    assert_eq!(client.end_of("g1").await, end);
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn starts_of_one_name_at_the_same_time_are_one() {
    let mut server = TestServer::with(|config| config.workers = 2).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(server.client().await);
    }
    for client in &mut clients {
        client.start("g1").await;
    }
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    call.finish().await;
    let mut ends = Vec::new();
    for client in &mut clients {
        ends.push(client.end_of("g1").await);
        assert_eq!(client.text("g1"), "Hi");
    }
    assert!(ends.iter().all(|end| *end == ends[0]));
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn detaching_stops_the_frames_and_not_the_generation() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"on_disconnect": "continue"}))).await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    client.detach("g1").await;
    call.text(" upon").await;
    client.nothing_comes().await;
    call.finish().await;
    client.attach("g1", 2).await;
    client.end_of("g1").await;
    assert_eq!(client.text("g1"), " upon");
    // Detaching from what one is not attached to is no error.
    client.detach("g1").await;
    client.detach("never").await;
}

#[tokio::test]
async fn left_alone_it_is_cancelled_after_the_grace_period() {
    let mut server = TestServer::with(|config| config.timeouts.disconnect_grace_ms = 50).await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    call.text("Once").await;
    client.until_text("g1", "Once").await;
    client.close().await;
    call.closed().await;
    let mut client = server.client().await;
    client.attach("g1", 2).await;
    let end = client.expect("cancelled").await;
    assert_eq!(end["by"], "disconnect");
}

#[tokio::test]
async fn detached_from_it_is_cancelled_too() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"on_disconnect": {"cancel_after_ms": 20}}))).await;
    let mut call = server.upstream.call().await;
    client.until("started").await;
    client.detach("g1").await;
    call.closed().await;
}

#[tokio::test]
async fn somebody_attached_in_time_keeps_it_going() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"on_disconnect": {"cancel_after_ms": 2000}}))).await;
    let mut call = server.upstream.call().await;
    client.until("started").await;
    drop(client);
    let mut client = server.client().await;
    client.attach("g1", 1).await;
    client.nothing_comes().await;
    // Longer than the grace period: the clock has stopped. This one wait is what is tested.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    call.text("Still here").await;
    client.until_text("g1", "Still here").await;
    call.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn one_that_shall_continue_is_complete_when_somebody_comes_back() {
    let mut server = TestServer::with(|config| config.timeouts.disconnect_grace_ms = 1).await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"on_disconnect": "continue"}))).await;
    client.until("started").await;
    let mut call = server.upstream.call().await;
    drop(client);
    call.text("Nobody").await;
    call.text(" listens").await;
    call.finish().await;
    let mut client = server.client().await;
    client.attach("g1", 1).await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
    assert_eq!(client.text("g1"), "Nobody listens");
}
