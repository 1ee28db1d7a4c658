//! The event streams among the fixtures are made of the readable files beside them.
//!
//! A line of `NAME.frames` is the type of an event and its payload, or `!` and the type of an exception. The payload
//! of a `chunk` is put into base64, as Bedrock does with what it passes on. `@cut 7` takes as many bytes from the end
//! of what was made so far, and `@flip 40` changes one, so far from the end. After a change:
//! `TOKENWIRE_WRITE_FIXTURES=1 cargo test --test bedrock_fixtures`.
#![allow(clippy::unwrap_used)]

#[path = "support/event_stream.rs"]
mod event_stream;

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

fn made_of(frames: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for line in frames.lines() {
        let (kind, payload) = line.split_once(' ').unwrap();
        let from_end = || bytes.len() - payload.parse::<usize>().unwrap();
        match kind {
            "@cut" => bytes.truncate(from_end()),
            "@flip" => {
                let at = from_end();
                bytes[at] ^= 1;
            }
            "chunk" => {
                let chunk = json!({"bytes": BASE64_STANDARD.encode(payload), "p": "abcdefgh"});
                bytes.extend(event_stream::event(kind, chunk.to_string().as_bytes()));
            }
            _ => bytes.extend(match kind.strip_prefix('!') {
                Some(kind) => event_stream::exception(kind, payload.as_bytes()),
                None => event_stream::event(kind, payload.as_bytes()),
            }),
        }
    }
    bytes
}

#[test]
fn the_streams_are_made_of_their_frames() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bedrock");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "frames") {
            count += 1;
            let (made, stream) = (made_of(&fs::read_to_string(&path).unwrap()), path.with_extension("eventstream"));
            if std::env::var_os("TOKENWIRE_WRITE_FIXTURES").is_some() {
                fs::write(&stream, &made).unwrap();
            }
            assert_eq!(fs::read(&stream).ok(), Some(made), "{}", stream.display());
        }
    }
    assert!(count > 10, "{count} streams");
}
