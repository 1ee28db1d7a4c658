//! The native text of deltas: the frame that nearly every token is sent in.
//!
//! The same text as `EventFrame::to_json` makes, without building the event first.

use std::fmt::Write;

use tokenwire_protocol::GenerationId;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::log::Part;

/// The frame of joined deltas of one part; `seq` is the last one that they cover.
pub fn deltas(id: &GenerationId, seq: u64, part: &Part, text: &str) -> Utf8Bytes {
    let mut frame = String::with_capacity(64 + id.as_str().len() + text.len());
    frame.push_str(match part {
        Part::Text => r#"{"type":"text","id":""#,
        Part::Reasoning => r#"{"type":"reasoning","id":""#,
        Part::Refusal => r#"{"type":"refusal","id":""#,
        Part::Arguments { .. } => r#"{"type":"tool_call_delta","id":""#,
    });
    frame.push_str(id.as_str());
    frame.push_str(r#"","seq":"#);
    push_number(&mut frame, seq);
    if let Part::Arguments { index, call_id, name } = part {
        frame.push_str(r#","index":"#);
        push_number(&mut frame, u64::from(*index));
        frame.push_str(r#","call_id":""#);
        push_escaped(&mut frame, call_id);
        frame.push_str(r#"","name":""#);
        push_escaped(&mut frame, name);
        frame.push('"');
    }
    frame.push_str(r#","delta":""#);
    push_escaped(&mut frame, text);
    frame.push_str("\"}");
    frame.into()
}

fn push_number(frame: &mut String, number: u64) {
    // Writing to a string cannot fail.
    let _ = write!(frame, "{number}");
}

/// Escapes as JSON demands: `"`, `\` and the control characters; everything else as it stands.
fn push_escaped(frame: &mut String, text: &str) {
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        frame.push_str(&text[clean..at]);
        clean = at + 1;
        match byte {
            b'"' => frame.push_str("\\\""),
            b'\\' => frame.push_str("\\\\"),
            b'\n' => frame.push_str("\\n"),
            b'\r' => frame.push_str("\\r"),
            b'\t' => frame.push_str("\\t"),
            _ => {
                let _ = write!(frame, "\\u{byte:04x}");
            }
        }
    }
    frame.push_str(&text[clean..]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokenwire_protocol::{Delta, Event, EventFrame, ToolCallDelta};

    use super::*;

    proptest! {
        #[test]
        fn a_delta_frame_is_what_the_protocol_crate_encodes(text in any::<String>(), name in any::<String>(), seq in any::<u64>()) {
            let id: GenerationId = "g1".parse().expect("a valid id");
            let (call_id, name): (Arc<str>, Arc<str>) = ("call\"1".into(), name.into());
            let delta = Delta { delta: text.clone() };
            let arguments = ToolCallDelta { index: 3, call_id: call_id.clone(), name: name.clone(), delta: text.clone() };
            for (part, event) in [
                (Part::Text, Event::Text(delta.clone())),
                (Part::Reasoning, Event::Reasoning(delta.clone())),
                (Part::Refusal, Event::Refusal(delta.clone())),
                (Part::Arguments { index: 3, call_id: call_id.clone(), name: name.clone() }, Event::ToolCallDelta(arguments.clone())),
            ] {
                let expected: serde_json::Value = serde_json::from_str(&EventFrame { id: id.clone(), seq, event }.to_json())?;
                let actual: serde_json::Value = serde_json::from_str(&deltas(&id, seq, &part, &text))?;
                prop_assert_eq!(actual, expected);
            }
        }
    }
}
