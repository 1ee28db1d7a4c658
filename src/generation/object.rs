//! A JSON value that grows as its text arrives.
//!
//! The text comes in pieces that end anywhere: inside a key, a number, an escape. [`Growing`] reads each
//! piece once and says what it changed, so that whoever applies the changes in order holds the value as far as
//! it is known. Text is shown as it grows; numbers, `true`, `false`, `null` and keys once they are whole.
//!
//! What stands before the first `{` or `[` is skipped, and so is what follows the value: some models put a
//! fence or a sentence around it. Text that is no JSON ends the changes; what was said stays, unless a fence follows:
//! the sentence before it had a bracket.

use std::ops::Range;

use serde_json::Value;
use tokenwire_protocol::{Object, ObjectDelta, message::Message};

/// Most faults of a value that are told.
const MAX_FAULTS: usize = 5;
/// Most characters of one.
const MAX_FAULT_CHARS: usize = 200;

/// Containers inside each other, past which nothing is shown any more. The parser of the whole value has the same limit.
const MAX_DEPTH: usize = 127;

/// The value that an answer is to be made of, and the schema that it has to fit.
#[derive(Debug)]
pub(super) struct Structured {
    growing: Growing,
    /// `None`: any value is good, or nobody can read the schema.
    schema: Option<jsonschema::Validator>,
}

impl Structured {
    /// What a `response_format` asks for. `None`: text.
    pub fn new(response_format: &Value) -> Option<Self> {
        let schema = match response_format["type"].as_str()? {
            "json_object" => None,
            "json_schema" => {
                let schema = &response_format["json_schema"]["schema"];
                jsonschema::validator_for(schema)
                    // What the error says repeats the client's schema.
                    .inspect_err(|_| tracing::debug!("a schema that cannot be read"))
                    .ok()
            }
            _ => return None,
        };
        Some(Self { growing: Growing::new(), schema })
    }

    /// Another turn begins, and with it another value.
    pub fn begin(&mut self) {
        self.growing = Growing::new();
    }

    /// Reads the next piece: what it changed.
    pub fn push(&mut self, piece: &str) -> Vec<ObjectDelta> {
        let mut changes = Vec::new();
        self.growing.push(piece, &mut |change| changes.push(change));
        changes
    }

    /// The value that `text`, all of it, comes to; and what to say to the model when it does not fit.
    pub fn end(&self, text: &str) -> (Object, Option<Message>) {
        let value = self.growing.value(text);
        let errors: Vec<String> = match (&value, &self.schema) {
            (None, _) => vec!["the answer is not valid JSON".to_owned()],
            (Some(_), None) => Vec::new(),
            (Some(value), Some(schema)) => {
                schema.iter_errors(value).take(MAX_FAULTS).map(|error| fault(&error)).collect()
            }
        };
        let repair = (!errors.is_empty()).then(|| {
            let faults = errors.join("\n- ");
            Message::user(format!(
                "Your answer does not fit the schema:\n- {faults}\nGive the whole answer again, corrected, and nothing else."
            ))
        });
        (Object { value: value.unwrap_or_default(), valid: errors.is_empty(), errors }, repair)
    }
}

fn fault(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let text = if path.is_empty() { error.to_string() } else { format!("{path}: {error}") };
    text.chars().take(MAX_FAULT_CHARS).collect()
}

/// Reads the text of one value.
#[derive(Debug)]
pub(super) struct Growing {
    /// The containers that are open, the outermost first.
    open: Vec<Container>,
    state: State,
    /// The JSON Pointer of the value that is being read.
    path: String,
    /// A key, a number or a word so far.
    token: String,
    /// The piece of the text that is being read, as far as it is not said yet.
    text: String,
    /// Whether a part of the text was said.
    is_text_said: bool,
    /// The hexadecimal digits of an escape.
    digits: String,
    /// The first half of a character that is escaped as two.
    high: Option<u16>,
    /// Backticks in a row, after text that is no JSON: three of them begin a fence.
    ticks: u8,
    /// Bytes of text that were read.
    read: usize,
    /// Where the value stands in the text.
    range: Range<usize>,
}

#[derive(Debug)]
enum Container {
    Object,
    /// With the index of the element that is being read.
    Array(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the value.
    Before,
    /// A value must begin; in an array that has just begun it may end instead.
    Value { may_close: bool },
    /// A key must begin; in an object that has just begun it may end instead.
    Key { may_close: bool },
    /// After a key.
    Colon,
    /// After a value.
    Comma,
    /// Inside a text or a key.
    Text { is_key: bool, escape: Escape },
    /// Inside a number or a word.
    Word,
    /// The value is whole.
    Done,
    /// It is no JSON.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    /// After a backslash.
    Begun,
    /// In the digits of a `\u`.
    Unicode,
}

impl Growing {
    pub fn new() -> Self {
        Self {
            open: Vec::new(),
            state: State::Before,
            path: String::new(),
            token: String::new(),
            text: String::new(),
            is_text_said: false,
            digits: String::new(),
            high: None,
            ticks: 0,
            read: 0,
            range: 0..0,
        }
    }

    /// Reads the next piece, and says what it changed.
    pub fn push(&mut self, piece: &str, say: &mut dyn FnMut(ObjectDelta)) {
        for (at, c) in piece.char_indices() {
            if self.state == State::Done {
                break;
            }
            if self.state != State::Broken && self.take(c, self.read + at, say).is_none() {
                self.state = State::Broken;
            }
            if self.state == State::Broken {
                self.find_fence(c);
            }
        }
        self.read += piece.len();
        self.say_text(say);
    }

    /// The value, when it is whole. `text` is all that was pushed.
    pub fn value(&self, text: &str) -> Option<Value> {
        (self.state == State::Done).then(|| serde_json::from_str(text.get(self.range.clone())?).ok())?
    }

    /// Reads one character. `None`: it may not stand there.
    fn take(&mut self, c: char, at: usize, say: &mut dyn FnMut(ObjectDelta)) -> Option<()> {
        let is_space = matches!(c, ' ' | '\t' | '\n' | '\r');
        match self.state {
            State::Before if matches!(c, '{' | '[') => {
                self.range.start = at;
                self.begin(c, say)?;
            }
            State::Before => {}
            State::Text { is_key, escape } => self.take_text(c, is_key, escape, say)?,
            State::Word if c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.') => {
                // Longer ones are no number that anybody can read.
                (self.token.len() < 512).then_some(())?;
                self.token.push(c);
            }
            State::Word => {
                let value = serde_json::from_str(&self.token).ok()?;
                say(ObjectDelta { path: self.path.clone(), value: Some(value), append: None });
                self.end_value();
                return self.take(c, at, say);
            }
            _ if is_space => {}
            State::Value { may_close: true } if c == ']' => self.close(at)?,
            State::Value { .. } => self.begin(c, say)?,
            State::Key { may_close: true } if c == '}' => self.close(at)?,
            State::Key { .. } if c == '"' => {
                self.token.clear();
                self.state = State::Text { is_key: true, escape: Escape::No };
            }
            State::Colon if c == ':' => self.state = State::Value { may_close: false },
            State::Comma => self.take_comma(c, at)?,
            State::Key { .. } | State::Colon | State::Done | State::Broken => return None,
        }
        Some(())
    }

    /// After text that is no JSON: looks for the line that begins a fence.
    fn find_fence(&mut self, c: char) {
        match c {
            '`' => self.ticks = (self.ticks + 1).min(3),
            '\n' if self.ticks == 3 => *self = Self { read: self.read, ..Self::new() },
            // The name of a language.
            c if self.ticks == 3 && c.is_ascii_alphanumeric() => {}
            _ => self.ticks = 0,
        }
    }

    fn begin(&mut self, c: char, say: &mut dyn FnMut(ObjectDelta)) -> Option<()> {
        let container = match c {
            '{' => Container::Object,
            '[' => Container::Array(0),
            '"' => {
                self.text.clear();
                self.is_text_said = false;
                self.state = State::Text { is_key: false, escape: Escape::No };
                return Some(());
            }
            '-' | '0'..='9' | 't' | 'f' | 'n' => {
                self.token.clear();
                self.token.push(c);
                self.state = State::Word;
                return Some(());
            }
            _ => return None,
        };
        (self.open.len() < MAX_DEPTH).then_some(())?;
        let (value, state) = match container {
            Container::Object => (Value::Object(serde_json::Map::new()), State::Key { may_close: true }),
            Container::Array(_) => (Value::Array(Vec::new()), State::Value { may_close: true }),
        };
        say(ObjectDelta { path: self.path.clone(), value: Some(value), append: None });
        if let Container::Array(index) = container {
            self.path.push_str(&format!("/{index}"));
        }
        self.open.push(container);
        self.state = state;
        Some(())
    }

    fn take_comma(&mut self, c: char, at: usize) -> Option<()> {
        match (c, self.open.last_mut()?) {
            ('}', Container::Object) | (']', Container::Array(_)) => self.close(at)?,
            (',', Container::Object) => self.state = State::Key { may_close: false },
            (',', Container::Array(index)) => {
                *index += 1;
                let segment = format!("/{index}");
                self.leave_segment();
                self.path.push_str(&segment);
                self.state = State::Value { may_close: false };
            }
            _ => return None,
        }
        Some(())
    }

    /// The innermost container ends with the character at `at`.
    fn close(&mut self, at: usize) -> Option<()> {
        if let Container::Array(_) = self.open.pop()? {
            self.leave_segment();
        }
        self.end_value();
        if self.open.is_empty() {
            self.range.end = at + 1;
            self.state = State::Done;
        }
        Some(())
    }

    /// A value of the innermost container is whole.
    fn end_value(&mut self) {
        if let Some(Container::Object) = self.open.last() {
            self.leave_segment();
        }
        self.state = State::Comma;
    }

    /// Takes the last segment off the path.
    fn leave_segment(&mut self) {
        let end = self.path.rfind('/').unwrap_or(0);
        self.path.truncate(end);
    }

    fn take_text(&mut self, c: char, is_key: bool, escape: Escape, say: &mut dyn FnMut(ObjectDelta)) -> Option<()> {
        let mut next = Escape::No;
        match (escape, c) {
            (Escape::No, '"') => {
                self.end_half(is_key);
                self.end_text(is_key, say);
                return Some(());
            }
            (Escape::No, '\\') => next = Escape::Begun,
            // A control character may not stand in a text as it is.
            (Escape::No, '\0'..='\u{1f}') => return None,
            (Escape::No, c) => self.put(c, is_key),
            (Escape::Begun, 'u') => {
                self.digits.clear();
                next = Escape::Unicode;
            }
            (Escape::Begun, c) => {
                let meant = match c {
                    '"' | '\\' | '/' => c,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    _ => return None,
                };
                self.put(meant, is_key);
            }
            (Escape::Unicode, c) => {
                c.is_ascii_hexdigit().then_some(())?;
                self.digits.push(c);
                match self.digits.len() {
                    4 => self.put_unit(u16::from_str_radix(&self.digits, 16).ok()?, is_key),
                    _ => next = Escape::Unicode,
                }
            }
        }
        self.state = State::Text { is_key, escape: next };
        Some(())
    }

    /// A character of the text or key.
    fn put(&mut self, c: char, is_key: bool) {
        self.end_half(is_key);
        if is_key { self.token.push(c) } else { self.text.push(c) }
    }

    /// An escaped UTF-16 code unit of the text or key.
    fn put_unit(&mut self, unit: u16, is_key: bool) {
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let c = char::decode_utf16([high, unit]).next().and_then(Result::ok);
                self.put(c.unwrap_or(char::REPLACEMENT_CHARACTER), is_key);
            }
            (before, unit) => {
                self.high = before;
                self.end_half(is_key);
                match unit {
                    0xd800..=0xdbff => self.high = Some(unit),
                    unit => self.put(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER), is_key),
                }
            }
        }
    }

    /// Half a character that stays without the other one.
    fn end_half(&mut self, is_key: bool) {
        if self.high.take().is_some() {
            self.put(char::REPLACEMENT_CHARACTER, is_key);
        }
    }

    fn end_text(&mut self, is_key: bool, say: &mut dyn FnMut(ObjectDelta)) {
        if is_key {
            self.path.push('/');
            self.path.push_str(&self.token.replace('~', "~0").replace('/', "~1"));
            self.state = State::Colon;
            return;
        }
        if !self.is_text_said && self.text.is_empty() {
            say(ObjectDelta { path: self.path.clone(), value: Some("".into()), append: None });
        }
        self.say_text(say);
        self.end_value();
    }

    /// Says what of a text was read and not said yet.
    fn say_text(&mut self, say: &mut dyn FnMut(ObjectDelta)) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let (value, append) = match std::mem::replace(&mut self.is_text_said, true) {
            false => (Some(text.into()), None),
            true => (None, Some(text)),
        };
        say(ObjectDelta { path: self.path.clone(), value, append });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Does what a client does.
    fn apply(value: &mut Value, delta: &ObjectDelta) {
        let ObjectDelta { path, value: new, append } = delta;
        if let Some(piece) = append {
            let Value::String(text) = value.pointer_mut(path).unwrap() else { panic!("no text at {path}") };
            text.push_str(piece);
            return;
        }
        let new = new.clone().unwrap();
        let Some((parent, key)) = path.rsplit_once('/') else {
            *value = new;
            return;
        };
        match value.pointer_mut(parent).unwrap() {
            Value::Object(object) => {
                object.insert(key.replace("~1", "/").replace("~0", "~"), new);
            }
            Value::Array(list) => {
                assert_eq!(key.parse(), Ok(list.len()), "elements come in order");
                list.push(new);
            }
            other => panic!("{other} holds nothing"),
        }
    }

    /// What the changes come to, and the whole value.
    fn read(pieces: &[&str]) -> (Value, Option<Value>) {
        let mut growing = Growing::new();
        let mut value = Value::Null;
        for piece in pieces {
            growing.push(piece, &mut |delta| apply(&mut value, &delta));
        }
        (value, growing.value(&pieces.concat()))
    }

    fn cuts(text: &str) -> impl Iterator<Item = (&str, &str)> {
        (0..=text.len()).filter(|&at| text.is_char_boundary(at)).map(|at| text.split_at(at))
    }

    /// Whole, byte by byte and cut anywhere, `text` grows to `expected`.
    #[track_caller]
    fn grows_to(text: &str, expected: &Value) {
        let chars: Vec<String> = text.chars().map(String::from).collect();
        let chars: Vec<&str> = chars.iter().map(String::as_str).collect();
        let all = cuts(text).map(|(head, tail)| vec![head, tail]).chain([vec![text], chars]);
        for pieces in all {
            assert_eq!(read(&pieces), (expected.clone(), Some(expected.clone())), "{pieces:?}");
        }
    }

    #[test]
    fn awkward_values_grow_to_what_they_are() {
        for text in [
            r#"{}"#,
            r#"[]"#,
            r#" { "a" : [ ] , "b" : { } } "#,
            r#"{"":{"":""}}"#,
            r#"{"a/b":{"~":{"~1":1}}}"#,
            r#"[[[1,2],[]],[{"a":[{}]}],-1.5e+3,0,true,false,null,"x"]"#,
            r#"{"quote":"\"","back":"\\","slash":"\/","all":"\b\f\n\r\t"}"#,
            r#"{"é😀":"naïve 東京 👩‍🚀","escaped":"\u00e9\ud83d\ude00\u0000"}"#,
            r#"{"dup":1,"dup":2}"#,
            r#"{"dup":{"a":[1]},"dup":[{"b":2}],"dup":{"c":3}}"#,
            r#"{"n":-0,"z":0.0,"m":-1e-2,"p":1E+2,"l":[-1,0,10]}"#,
            r#"{"\u0061\ud83d\ude00":1}"#,
            r#"{"mixed":"a\ud83d\ude00b\u0041\n\\u0041"}"#,
            "{\"del\":\"\u{7f}\u{2028}\",\"\u{feff}\":1}",
            "[\t1\r\n,\n2 ]",
            r#"{"n":12345678901234567890,"f":0.1,"e":1E5}"#,
            r#"["","a","",{"k":""}]"#,
        ] {
            grows_to(text, &serde_json::from_str(text).unwrap());
        }
    }

    #[test]
    fn what_stands_around_the_value_is_skipped() {
        grows_to("```json\n{\"a\":1}\n```", &json!({"a": 1}));
        grows_to("Here it is: [1] and that was {it}", &json!([1]));
        grows_to("\u{feff}\n\n{\"a\":1}{\"b\":2}", &json!({"a": 1}));
        grows_to("```\n[]\n```\n", &json!([]));
        grows_to("`json` of it: {\"a\":\"```\"}```", &json!({"a": "```"}));
        // A sentence with brackets, and then the value in a fence.
        grows_to("The {value} of [x]:\n\n```json\n{\"a\":1}\n```", &json!({"a": 1}));
        grows_to("{'a': 1} or rather:\n```\n{\"a\":1}\n```", &json!({"a": 1}));
    }

    #[test]
    fn text_is_shown_as_it_grows() {
        let mut deltas = Vec::new();
        let mut growing = Growing::new();
        for piece in ["{\"ci", "ty\": \"Pa", "", "ri", "s\", \"n\": 1", "2}"] {
            growing.push(piece, &mut |delta| deltas.push(serde_json::to_value(delta).unwrap()));
        }
        assert_eq!(
            deltas,
            [
                json!({"path": "", "value": {}}),
                json!({"path": "/city", "value": "Pa"}),
                json!({"path": "/city", "append": "ri"}),
                json!({"path": "/city", "append": "s"}),
                json!({"path": "/n", "value": 12}),
            ]
        );
    }

    #[test]
    fn what_is_cut_or_wrong_keeps_what_was_said_and_is_no_value() {
        for (text, expected) in [
            ("", Value::Null),
            ("no value at all", Value::Null),
            (r#"{"a":1,"b":"half"#, json!({"a": 1, "b": "half"})),
            (r#"{"a":1,"b":tru"#, json!({"a": 1})),
            (r#"{"a":1,"b":trux}"#, json!({"a": 1})),
            (r#"{"a":1,"b":TRUE}"#, json!({"a": 1})),
            (r#"{"a":1,"b":NaN}"#, json!({"a": 1})),
            (r#"{"a":1,"b":None}"#, json!({"a": 1})),
            // A number is shown once it is whole, and these never are.
            (r#"{"a":1,"b":1e"#, json!({"a": 1})),
            (r#"{"a":1,"b":1e}"#, json!({"a": 1})),
            (r#"{"a":1,"b":-"#, json!({"a": 1})),
            (r#"{"a":1,"b":-}"#, json!({"a": 1})),
            (r#"{"a":1,"b":1.}"#, json!({"a": 1})),
            (r#"{"a":1,"b":.5}"#, json!({"a": 1})),
            (r#"{"a":1,"b":+1}"#, json!({"a": 1})),
            (r#"{"a":1,"b":01}"#, json!({"a": 1})),
            (r#"{"a":1,"b":0x1}"#, json!({"a": 1})),
            (r#"{"a":1,"b":1e999}"#, json!({"a": 1})),
            (r#"[1,]"#, json!([1])),
            (r#"[,1]"#, json!([])),
            (r#"[1 2]"#, json!([1])),
            (r#"{"a"}"#, json!({})),
            (r#"{"a":}"#, json!({})),
            (r#"{"a"::1}"#, json!({})),
            (r#"{,}"#, json!({})),
            (r#"{a:1}"#, json!({})),
            (r#"{"a":1"#, json!({})),
            (r#"{"a":1 // the first"#, json!({"a": 1})),
            (r#"{"a":"half \u00"#, json!({"a": "half "})),
            (r#"{"a":"half \ud83d"#, json!({"a": "half "})),
            (r#"{"a":"half \ud83d\u"#, json!({"a": "half "})),
            (r#"{"a":"\u12g4"}"#, json!({})),
            (r#"{"a":"b\"#, json!({"a": "b"})),
            (r#"]"#, Value::Null),
            (r#""only text""#, Value::Null),
            (r#"42"#, Value::Null),
            ("```json\n```", Value::Null),
            ("{the} value is missing ```", json!({})),
            (r#"{"a":1,}"#, json!({"a": 1})),
            (r#"{"a":1 "b":2}"#, json!({"a": 1})),
            (r#"{"a":[1,2}"#, json!({"a": [1, 2]})),
            (r#"{"a":"\x"}"#, json!({})),
            (r#"{'a':1}"#, json!({})),
            ("{\"a\":\"line\nbreak\"}", json!({"a": "line"})),
        ] {
            for (head, tail) in cuts(text) {
                assert_eq!(read(&[head, tail]).1, None, "{head} {tail}");
            }
            assert_eq!(read(&[text]).0, expected, "{text}");
        }
        // Half of a pair is shown as a replacement; the strict parser of the whole refuses it.
        assert_eq!(read(&[r#"["\ud83d!","\ude00"]"#]), (json!(["\u{fffd}!", "\u{fffd}"]), None));
    }

    #[test]
    fn a_schema_of_a_clients_does_no_harm() {
        let nested = (0..100).fold(json!({}), |inner, _| json!({"a": inner}));
        for schema in [
            json!({"$ref": "#"}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"properties": {"a": {"$ref": "#"}}}),
            json!({"$ref": "https://example.com/schema"}),
            json!({"properties": {"s": {"pattern": "^(a|a)*$"}}}),
            json!({"properties": {"s": {"pattern": "^(?=(a+)+$)(a+)+$"}}}),
            json!(7),
        ] {
            let format = json!({"type": "json_schema", "json_schema": {"schema": schema}});
            let Some(mut structured) = Structured::new(&format) else { continue };
            for value in [nested.clone(), json!({"s": format!("{}!", "a".repeat(40))})] {
                let text = value.to_string();
                structured.begin();
                structured.push(&text);
                structured.end(&text);
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(read(&[&deep(MAX_DEPTH)]).1, serde_json::from_str(&deep(MAX_DEPTH)).unwrap());
        assert_eq!(read(&[&deep(MAX_DEPTH + 1)]).1, None);
        assert_eq!(read(&[&"{\"a\":".repeat(100_000)]).1, None);
    }

    #[test]
    fn a_long_list_is_read_once() {
        let list: Value = (0..50_000).map(|n| json!({"n": n})).collect();
        let text = list.to_string();
        let pieces: Vec<&str> = text.as_bytes().chunks(7).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        let mut growing = Growing::new();
        let mut changes = 0;
        for piece in pieces {
            growing.push(piece, &mut |_| changes += 1);
        }
        assert_eq!((changes, growing.value(&text)), (1 + 2 * 50_000, Some(list)));
        let number = "1".repeat(100_000);
        assert_eq!(read(&[&format!("[{number}]")]), (json!([]), None), "nor is a number of any length kept");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_grows_to_itself(value in any_json(), pretty in any::<bool>(), cut in any::<prop::sample::Index>()) {
            let value = json!({"root": value});
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let at = (0..=cut.index(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            let (head, tail) = text.split_at(at);
            prop_assert_eq!(read(&[head, tail]), (value.clone(), Some(value)));
        }
    }
}
