//! The specification is written by hand; that it leaves nothing out and that its examples are
//! right is tested.

use std::fs;

use tokenwire_protocol::{ClientFrame, CloseCode, ErrorCode, ServerFrame};

use crate::schema::{self, Direction};

fn specification() -> String {
    fs::read_to_string("SPECIFICATION.md").unwrap()
}

#[test]
fn the_specification_has_every_frame_with_every_field() {
    let text = specification();
    let (client, server) = text.split_once("\n### Server to client\n").unwrap();
    let schema = schema::schema();
    for frame in schema::frames(&schema) {
        let side = if frame.direction == Direction::Client { client } else { server };
        let title = format!("\n#### `{}`\n", frame.type_name);
        let (_, section) = side.split_once(&title).unwrap_or_else(|| panic!("no section {title}"));
        let section = section.split("\n#### ").next().unwrap();
        let fields = section.lines().filter(|line| line.starts_with("| `")).map(|row| row.split('|').nth(1).unwrap());
        let fields: String = fields.collect();
        for field in schema["$defs"][&frame.definition]["properties"].as_object().unwrap().keys() {
            assert!(field == "type" || fields.contains(&format!("`{field}`")), "{title} has no row for `{field}`");
        }
    }
}

#[test]
fn the_specification_has_every_code_with_its_meaning() {
    let text = specification();
    let answer = |yes| if yes { "yes" } else { "no" };
    let errors = ErrorCode::ALL.iter().map(|code| (format!("`{code}`"), answer(code.is_retryable()), code.meaning()));
    let closes =
        CloseCode::ALL.iter().map(|code| (code.as_u16().to_string(), answer(code.is_reconnect()), code.reason()));
    for (code, again, meaning) in errors.chain(closes) {
        let row = format!("\n| {code} | {again} | {meaning} |\n");
        assert!(text.contains(&row), "SPECIFICATION.md needs the row{row}");
    }
}

#[test]
fn every_example_in_the_specification_is_a_frame() {
    let mut count = 0;
    for line in specification().lines() {
        let (from_client, from_server, frame) = match line.split_at_checked(2) {
            Some(("> ", frame)) if frame.starts_with('{') => (true, false, frame),
            Some(("< ", frame)) if frame.starts_with('{') => (false, true, frame),
            Some((r#"{""#, _)) => (true, true, line),
            _ => continue,
        };
        let of_client = ClientFrame::parse(frame).map_err(|bad| bad.error.to_string());
        let of_server = serde_json::from_str::<ServerFrame>(frame).map_err(|error| error.to_string());
        assert!(
            (from_client && of_client.is_ok()) || (from_server && of_server.is_ok()),
            "{line}\n{of_client:?}\n{of_server:?}"
        );
        count += 1;
    }
    assert!(count > 50, "only {count} examples were found");
}
