//! The native text of deltas: the frame that nearly every token is sent in.
//!
//! The same text as `EventFrame::to_json` makes, without building the event first.

use std::fmt::Write;

use tokenwire_protocol::GenerationId;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::log::Part;

const SEQ: &str = r#"","seq":"#;
const DELTA: &str = r#","delta":""#;
const END: &str = r#""}"#;
/// As many as the largest `u64` has.
const MAX_DIGITS: usize = 20;

/// The frame of joined deltas of one part; `seq` is the last one that they cover.
pub fn deltas(id: &GenerationId, seq: u64, part: &Part, text: &str) -> Utf8Bytes {
    let mut digits = [0; MAX_DIGITS];
    let seq = decimal(seq, &mut digits);
    let head = match part {
        Part::Text => r#"{"type":"text","id":""#,
        Part::Reasoning => r#"{"type":"reasoning","id":""#,
        Part::Refusal => r#"{"type":"refusal","id":""#,
        Part::Arguments { .. } => r#"{"type":"tool_call_delta","id":""#,
    };
    // Exactly as long as a frame without escapes is: then its one allocation is the shared one, too.
    let length = head.len() + id.as_str().len() + SEQ.len() + seq.len() + DELTA.len() + text.len() + END.len();
    let mut frame = String::with_capacity(length);
    frame.push_str(head);
    frame.push_str(id.as_str());
    frame.push_str(SEQ);
    frame.push_str(seq);
    if let Part::Arguments { index, call_id, name } = part {
        frame.push_str(r#","index":"#);
        let mut digits = [0; MAX_DIGITS];
        frame.push_str(decimal(u64::from(*index), &mut digits));
        frame.push_str(r#","call_id":""#);
        push_escaped(&mut frame, call_id);
        frame.push_str(r#"","name":""#);
        push_escaped(&mut frame, name);
        frame.push('"');
    }
    frame.push_str(DELTA);
    push_escaped(&mut frame, text);
    frame.push_str(END);
    frame.into()
}

/// A number in decimal, without the machinery of formatting: it is in every frame.
fn decimal(mut number: u64, digits: &mut [u8; MAX_DIGITS]) -> &str {
    let mut at = MAX_DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            // Digits are ASCII.
            return str::from_utf8(&digits[at..]).unwrap_or_default();
        }
    }
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
