//! One golden frame per variant, in both directions: what an encoder of any language writes and
//! a decoder of any language reads. `start.minimal.json` is another form of `start.json`.
//!
//! That no variant is without one is tested beside the schema, which knows them all.
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::Value;
use tokenwire_protocol::{ClientFrame, ServerFrame};

/// The golden frames of one direction: the file's name without `.json`, and its content.
fn golden(direction: &str) -> Vec<(String, Value)> {
    let folder = format!("golden/{direction}");
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap().strip_suffix(".json").unwrap().to_owned();
        (name, serde_json::from_str(&fs::read_to_string(entry.path()).unwrap()).unwrap())
    };
    fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect()
}

#[test]
fn every_client_frame_is_read_and_written_as_its_golden_frame() {
    for (name, golden) in golden("client") {
        let frame = ClientFrame::parse(&golden.to_string()).unwrap_or_else(|bad| panic!("{name}: {}", bad.error));
        assert_eq!(serde_json::to_value(&frame).unwrap(), golden, "{name}");
        assert_eq!(serde_json::from_value::<ClientFrame>(golden).unwrap(), frame, "{name}: derived and by hand");
    }
}

#[test]
fn every_server_frame_is_read_and_written_as_its_golden_frame() {
    for (name, golden) in golden("server") {
        let frame: ServerFrame = serde_json::from_value(golden.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(serde_json::to_value(&frame).unwrap(), golden, "{name}");
        let text = match &frame {
            ServerFrame::Event(frame) => frame.to_json(),
            ServerFrame::Connection(frame) => frame.to_json(),
        };
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), golden, "{name}: the text made by hand");
        if let ServerFrame::Event(frame) = &frame {
            assert_eq!(frame.event.type_name(), golden["type"], "{name}");
        }
    }
}

#[test]
fn unknown_fields_of_the_server_are_ignored() {
    for (name, golden) in golden("server") {
        let mut newer = golden.clone();
        newer["from_the_future"] = Value::from(vec![1, 2]);
        let frame: ServerFrame = serde_json::from_value(newer).unwrap();
        assert_eq!(serde_json::to_value(&frame).unwrap(), golden, "{name}");
    }
}
