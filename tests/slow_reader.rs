//! Promise: a client that stops reading costs bounded memory and nobody else anything; when its
//! socket is closed, it attaches again and gets exactly the rest.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;

use serde_json::json;
use support::{Client, TestServer, start, until, upstream::Call, with};
use tokio_tungstenite::tungstenite::Message;

/// More than the kernels keep between a server and a client with a small buffer.
const FLOOD_BYTES: usize = 8 << 20;
const PIECE_BYTES: usize = 32 << 10;

/// Sends [`FLOOD_BYTES`] of text as fast as it is taken. Returns the text.
async fn flood(call: &mut Call) -> String {
    let mut text = String::with_capacity(FLOOD_BYTES);
    while text.len() < FLOOD_BYTES {
        let mut piece = String::with_capacity(PIECE_BYTES);
        while piece.len() < PIECE_BYTES {
            write!(piece, "{} ", text.len() + piece.len()).unwrap();
        }
        call.text(&piece).await;
        text.push_str(&piece);
    }
    text
}

/// Everything that reaches a client before its connection ends, and how it ends.
async fn drain(client: &mut Client) -> Option<u16> {
    loop {
        match client.next_message().await {
            Some(Ok(Message::Text(text))) => client.check(&serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn it_is_closed_and_attaches_again_and_gets_exactly_the_rest() {
    let mut server = TestServer::with(|config| {
        config.limits.write_timeout_seconds = 3;
        config.retention.log_bytes = 2 * FLOOD_BYTES as u64;
    })
    .await;
    let mut stalled = Client::connect_with_small_buffer(server.address).await;
    stalled.send(with(start("g1"), json!({"on_disconnect": "continue"}))).await;
    let epoch = stalled.expect("started").await["epoch"].clone();
    let mut call = server.upstream.call().await;
    let mut other = server.client().await;
    other.attach("g1", 0).await;
    other.expect("started").await;
    let log = server.generation("g1").log().clone();
    assert_eq!(log.reader_count(), 2);
    let (text, (), closed) = tokio::join!(
        flood(&mut call),
        async {
            while other.text("g1").len() < FLOOD_BYTES {
                other.next().await;
            }
        },
        async {
            // It reads nothing until the server has given up on it.
            until("giving up on the stalled client", || log.reader_count() == 1).await;
            drain(&mut stalled).await
        }
    );
    assert!(other.text("g1") == text, "the other reader has all of it, while one reads nothing");
    assert_eq!(closed, Some(4002));
    let (seq, seen) = (stalled.seq("g1"), stalled.text("g1").to_owned());
    assert!(seen.len() < text.len(), "it was closed before it had everything");
    call.finish().await;

    let mut again = server.client().await;
    again.send(json!({"type": "attach", "id": "g1", "after": seq, "epoch": epoch})).await;
    assert_eq!(again.end_of("g1").await["type"], "finished");
    assert!(seen + again.text("g1") == text, "the rest, the whole rest, and nothing twice");
}

#[tokio::test]
async fn its_cancel_is_read_while_nothing_can_be_written_to_it() {
    let mut server = TestServer::with(|config| config.limits.write_timeout_seconds = 60).await;
    let mut stalled = Client::connect_with_small_buffer(server.address).await;
    stalled.started("g1").await;
    let mut call = server.upstream.call().await;
    let mut other = server.client().await;
    other.attach("g1", 0).await;
    tokio::join!(flood(&mut call), async {
        while other.text("g1").len() < FLOOD_BYTES {
            other.next().await;
        }
    });
    stalled.cancel("g1").await;
    call.closed().await;
    assert_eq!(other.end_of("g1").await["type"], "cancelled");
    // And what it did not read is still there for it.
    assert_eq!(stalled.end_of("g1").await["type"], "cancelled");
    assert!(stalled.text("g1") == other.text("g1"));
}

#[tokio::test]
async fn others_get_every_token_at_once_while_one_is_stalled() {
    let mut server = TestServer::with(|config| config.limits.write_timeout_seconds = 60).await;
    let mut stalled = Client::connect_with_small_buffer(server.address).await;
    stalled.started("g1").await;
    let mut flooding = server.upstream.call().await;
    flood(&mut flooding).await;
    // Same server, same thread: of the same generation, and of another one.
    let mut client = server.client().await;
    client.attach("g1", 0).await;
    while client.text("g1").len() < FLOOD_BYTES {
        client.next().await;
    }
    client.started("g2").await;
    let mut call = server.upstream.call().await;
    for n in 0..100 {
        call.text(&format!("{n} ")).await;
        assert_eq!(client.expect("text").await["delta"], format!("{n} "), "each in a frame of its own");
        flooding.text(&format!("{n} ")).await;
        assert_eq!(client.expect("text").await["delta"], format!("{n} "));
    }
}

#[tokio::test]
async fn it_gets_fewer_and_larger_frames_when_it_reads_again() {
    const DELTAS: usize = 100_000;
    let mut server = TestServer::with(|config| config.limits.write_timeout_seconds = 60).await;
    let mut slow = Client::connect_with_small_buffer(server.address).await;
    slow.started("g1").await;
    let mut call = server.upstream.call().await;
    let mut text = String::new();
    for batch in 0..100 {
        let mut events = String::new();
        for n in 0..DELTAS / 100 {
            let piece = format!("{batch}.{n} ");
            let chunk = json!({"choices": [{"index": 0, "delta": {"content": piece}}]});
            write!(events, "data: {chunk}\n\n").unwrap();
            text.push_str(&piece);
        }
        call.send(events.as_bytes()).await;
    }
    call.finish().await;
    let mut frames = 0;
    while slow.next().await["type"] != "finished" {
        frames += 1;
    }
    assert!(slow.text("g1") == text);
    assert!(frames < DELTAS / 2, "{frames} frames for {DELTAS} deltas");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn many_of_them_take_no_more_memory_than_one() {
    const READERS: usize = 50;
    let mut server = TestServer::with(|config| config.limits.write_timeout_seconds = 60).await;
    let mut client = server.client().await;
    client.started("g1").await;
    let mut call = server.upstream.call().await;
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        let mut reader = Client::connect_with_small_buffer(server.address).await;
        reader.attach("g1", 0).await;
        reader.expect("started").await;
        stalled.push(reader);
    }
    let before = resident_bytes();
    tokio::join!(flood(&mut call), async {
        while client.text("g1").len() < FLOOD_BYTES {
            client.next().await;
        }
    });
    let grown = resident_bytes().saturating_sub(before);
    // The log, the texts that this test itself keeps, and what a debug build wastes; a copy for each reader
    // would be 400 MiB.
    assert!(grown < 100 << 20, "grown by {} MiB", grown >> 20);
    client.cancel("g1").await;
    for reader in stalled.iter_mut().take(2) {
        assert_eq!(reader.end_of("g1").await["type"], "cancelled");
        assert!(reader.text("g1") == client.text("g1"));
    }
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn one_that_sends_without_reading_is_closed_too() {
    let server = TestServer::with(|config| config.limits.write_timeout_seconds = 60).await;
    let mut client = Client::connect_with_small_buffer(server.address).await;
    let ping = json!({"type": "ping", "nonce": "x".repeat(100_000)}).to_string();
    // Its answers are queued up to a bound.
    let sent = async {
        loop {
            if client.try_send(Message::text(ping.clone())).await.is_err() {
                return;
            }
        }
    };
    support::within("being closed", sent).await;
}
