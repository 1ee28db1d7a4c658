//! Recognises messages that differ from an earlier one in nothing but one text.
//!
//! Most messages of a stream do: 280 bytes of id, model and nulls around a word. When the bytes
//! before and after the text are the same as in a message that was parsed, and what is between them
//! is the inside of a JSON string, then parsing would give the same but for the text. Comparing
//! takes a tenth of the time of parsing. OpenAI, Mistral and Bedrock pad each message with a random text,
//! and OpenAI numbers those of Responses: these may differ, too. Messages that differ elsewhere are parsed every time.

use std::borrow::Cow;

use super::{ModelEvent, Turn};

/// What the text of such messages is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Text,
    Reasoning,
}

/// The fields that only hide how long a message's text is: OpenAI's, and that of Mistral and Bedrock.
const PADDINGS: [&str; 2] = [r#""obfuscation":""#, r#""p":""#];

/// The field that counts the messages of Responses.
const NUMBER: &str = r#""sequence_number":"#;

/// The last message that was parsed and held one text and nothing else, without what may differ.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// What the message begins with. Empty until one is learned.
    start: String,
    /// What may differ, and what follows it. A string's quotes belong to what is around it.
    rest: [(Hole, String); 3],
    /// How many of these there are. The others are kept for their memory.
    holes: usize,
    kind: Kind,
}

/// What may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hole {
    #[default]
    Text,
    Padding,
    Number,
}

impl Template {
    /// Emits the text of a message that is like the learned one; `false` if it is not.
    pub(crate) fn emit(&self, data: &str, turn: &mut dyn Turn) -> bool {
        let Some((text, kind)) = self.read(data) else { return false };
        kind.emit(&text, turn);
        true
    }

    /// The text of a message that is like the learned one, and what it is.
    pub(crate) fn read<'a>(&self, data: &'a str) -> Option<(Cow<'a, str>, Kind)> {
        let text = self.text(data)?;
        if text.bytes().all(is_plain) {
            return Some((Cow::Borrowed(text), self.kind));
        }
        // With the quotes around it.
        let start = offset(data, text);
        let text = serde_json::from_str::<String>(&data[start - 1..start + text.len() + 1]).ok()?;
        Some((Cow::Owned(text), self.kind))
    }

    /// The inside of the string that is the text of a message like the learned one.
    fn text<'a>(&self, data: &'a str) -> Option<&'a str> {
        let mut data = data.strip_prefix(&self.start).filter(|_| !self.start.is_empty())?;
        let mut text = None;
        for (hole, literal) in &self.rest[..self.holes] {
            let (inside, after) = data.split_at(hole.bytes(data)?);
            match hole {
                Hole::Text => text = Some(inside),
                Hole::Padding if !inside.bytes().all(is_plain) => return None,
                Hole::Padding | Hole::Number => {}
            }
            data = after.strip_prefix(literal)?;
        }
        text.filter(|_| data.is_empty())
    }

    /// Learns from a parsed message that held `text` and nothing else that matters. Does nothing, and
    /// says so with `false`, for text that is not a part of `data`, because it held escapes.
    pub(crate) fn learn(&mut self, data: &str, text: &str, kind: Kind) -> bool {
        let at = offset(data, text);
        let (Some(before), Some(after)) = (data.get(..at), data.get(at.wrapping_add(text.len())..)) else {
            return false;
        };
        if !before.ends_with('"') || !after.starts_with('"') {
            return false;
        }
        let after_at = at + text.len();
        let padding = PADDINGS.iter().find_map(|padding| Some(after_at + after.find(padding)? + padding.len()));
        let padding = padding.map(|at| (at, Hole::Padding));
        let number = before.find(NUMBER).or_else(|| Some(after_at + after.find(NUMBER)?));
        let number = number.map(|at| (at + NUMBER.len(), Hole::Number));
        let mut holes = [Some((at, Hole::Text)), padding, number];
        holes.sort_by_key(|hole| hole.map(|(at, _)| at));

        self.kind = kind;
        self.holes = 0;
        let mut end = 0;
        for (at, hole) in holes.into_iter().flatten() {
            let Some(bytes) = hole.bytes(&data[at..]) else { continue };
            self.literal(&data[end..at]);
            self.rest[self.holes].0 = hole;
            self.holes += 1;
            end = at + bytes;
        }
        self.literal(&data[end..]);
        true
    }

    /// Sets what follows the last hole, or what the message begins with.
    fn literal(&mut self, literal: &str) {
        let place = match self.holes.checked_sub(1) {
            Some(last) => &mut self.rest[last].1,
            None => &mut self.start,
        };
        place.clear();
        place.push_str(literal);
    }
}

impl Hole {
    /// How many bytes of `data` it takes from its start; `None` if it cannot begin there.
    fn bytes(self, data: &str) -> Option<usize> {
        match self {
            Self::Text | Self::Padding => inside_bytes(data),
            Self::Number => {
                let digits = data.bytes().take_while(u8::is_ascii_digit).count();
                (digits == 1 || (digits > 1 && !data.starts_with('0'))).then_some(digits)
            }
        }
    }
}

/// Where `part` begins in `data`; past its end if it is no part of it.
fn offset(data: &str, part: &str) -> usize {
    (part.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize)
}

/// How many bytes of `text` belong to the string whose opening quote came before; `None` if it does not end.
fn inside_bytes(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', text.as_bytes().get(from..)?)?;
        if text.as_bytes()[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

impl Kind {
    /// Emits `text`, unless it is empty.
    pub(crate) fn emit(self, text: &str, turn: &mut dyn Turn) {
        if text.is_empty() {
            return;
        }
        turn.emit(match self {
            Self::Text => ModelEvent::Text(text),
            Self::Reasoning => ModelEvent::Reasoning(text),
        });
    }
}

/// Whether the byte stands for itself inside a JSON string.
fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Heard(Vec<String>);

    impl Turn for Heard {
        fn emit(&mut self, event: ModelEvent<'_>) {
            self.0.push(format!("{event:?}"));
        }
    }

    /// What a template that learned `learned` emits for `data`.
    fn emit(learned: &str, data: &str) -> Option<Vec<String>> {
        let mut template = Template::default();
        let start = learned.find("\"t\":\"").unwrap() + 5;
        let length = learned[start..].find('"').unwrap();
        template.learn(learned, &learned[start..start + length], Kind::Text);
        let mut heard = Heard(Vec::new());
        template.emit(data, &mut heard).then_some(heard.0)
    }

    #[test]
    fn only_the_text_may_differ() {
        let learned = r#"{"a":1,"t":"one","b":null}"#;
        let texts = |text: &str| Some(vec![format!("Text({text:?})")]);
        assert_eq!(emit(learned, r#"{"a":1,"t":" two é","b":null}"#), texts(" two é"));
        assert_eq!(emit(learned, r#"{"a":1,"t":"\"\n\u00e9\\","b":null}"#), texts("\"\n\u{e9}\\"));
        assert_eq!(emit(learned, r#"{"a":1,"t":"","b":null}"#), Some(Vec::new()));
        for other in [
            r#"{"a":2,"t":"two","b":null}"#,
            r#"{"a":1,"t":"two","b":1}"#,
            r#"{"a":1,"t":"two","c":"x","b":null}"#,
            r#"{"a":1,"t":"\","b":null}"#,
            r#"{"a":1,"t":"\ud83d","b":null}"#,
            r#"{"a":1,"t":","b":null}"#,
            "",
        ] {
            assert_eq!(emit(learned, other), None, "{other}");
        }
    }

    #[test]
    fn padding_may_differ_too() {
        let learned = r#"{"t":"one","obfuscation":"Kq3","b":null}"#;
        let text = Some(vec![r#"Text("two")"#.to_owned()]);
        assert_eq!(emit(learned, r#"{"t":"two","obfuscation":"x","b":null}"#), text);
        assert_eq!(emit(learned, r#"{"t":"two","obfuscation":"","b":null}"#), text);
        for other in [
            r#"{"t":"two","obfuscation":"x","c":null}"#,
            r#"{"t":"two","obfuscation":"x","error":{"x":"y","b":null}"#,
            r#"{"t":"two","obfuscation":"\","b":null}"#,
            r#"{"t":"two","obfuscation":null,"b":null}"#,
            r#"{"t":"two","b":null}"#,
        ] {
            assert_eq!(emit(learned, other), None, "{other}");
        }
    }

    #[test]
    fn numbers_of_messages_may_differ_too() {
        let text = Some(vec![r#"Text("two")"#.to_owned()]);
        for (learned, like, others) in [
            (
                r#"{"sequence_number":9,"t":"one","obfuscation":"Kq3"}"#,
                r#"{"sequence_number":10,"t":"two","obfuscation":"x"}"#,
                [
                    r#"{"sequence_number":,"t":"two","obfuscation":"x"}"#,
                    r#"{"sequence_number":01,"t":"two","obfuscation":"x"}"#,
                    r#"{"sequence_number":-1,"t":"two","obfuscation":"x"}"#,
                ],
            ),
            (
                r#"{"t":"one","logprobs":[],"sequence_number":0}"#,
                r#"{"t":"two","logprobs":[],"sequence_number":12}"#,
                [
                    r#"{"t":"two","logprobs":[1],"sequence_number":12}"#,
                    r#"{"t":"two","logprobs":[],"sequence_number":1.5}"#,
                    r#"{"t":"two","logprobs":[],"sequence_number":"1"}"#,
                ],
            ),
        ] {
            assert_eq!(emit(learned, like), text, "{like}");
            for other in others {
                assert_eq!(emit(learned, other), None, "{other}");
            }
        }
    }

    #[test]
    fn nothing_is_learned_at_first_or_from_text_with_escapes() {
        let mut heard = Heard(Vec::new());
        let mut template = Template::default();
        assert!(!template.emit("\"", &mut heard));
        template.learn(r#"{"t":"a\n"}"#, &String::from("a\n"), Kind::Text);
        assert!(!template.emit(r#"{"t":"a"}"#, &mut heard));
    }

    proptest! {
        #[test]
        fn a_template_says_what_parsing_says(text in any::<String>(), inside in any::<String>()) {
            let data = serde_json::json!({"a": 1, "t": text, "z": null}).to_string();
            let expected = (!text.is_empty()).then(|| format!("Text({text:?})"));
            let learned = r#"{"a":1,"t":"one","z":null}"#;
            prop_assert_eq!(emit(learned, &data), Some(expected.into_iter().collect()));

            let raw = format!("{{\"a\":1,\"t\":\"{inside}\",\"z\":null}}");
            let is_json = serde_json::from_str::<serde_json::Value>(&raw).is_ok();
            if emit(learned, &raw).is_some() {
                prop_assert!(is_json, "{}", raw);
            }
        }
    }
}
