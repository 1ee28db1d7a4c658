//! Function calls of an answer: whole, or with arguments that come in pieces.

use serde_json::{Map, Value};
use tokenwire_protocol::{ErrorCode, ErrorInfo};
use uuid::Uuid;

use super::{
    super::{
        Turn,
        tool_calls::{Piece, ToolCalls},
    },
    answer::Answer,
};

/// The most bytes of a call that comes in pieces.
const MAX_BYTES: usize = 8 << 20;
/// The deepest place in the arguments that a piece may name.
const MAX_DEPTH: usize = 64;

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tool_calls: ToolCalls,
    count: u64,
    /// Those that have an id of the provider's.
    known: Vec<KnownCall>,
    open: Option<OpenCall>,
}

#[derive(Debug)]
struct KnownCall {
    id: String,
    name: String,
    /// Where it is in the answer.
    position: usize,
}

/// A call that goes on. Its pieces say where in the arguments they belong.
#[derive(Debug, Default)]
struct OpenCall {
    id: String,
    name: String,
    args: Value,
    signature: Option<Value>,
    bytes: usize,
}

impl Calls {
    pub(super) fn any(&self) -> bool {
        self.tool_calls.any()
    }

    /// Takes a part that holds a `functionCall`.
    ///
    /// A call is whole unless it says that it goes on. Pieces have no name; a piece that does not say that
    /// more follow is the last, and mostly empty. The same call can come twice, with its signature only once.
    pub(super) fn add(&mut self, part: Value, answer: &mut Answer, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let call = &part["functionCall"];
        let text = |key: &str| call[key].as_str().unwrap_or_default();
        let goes_on = call["willContinue"] == true;
        let pieces = call["partialArgs"].as_array().map_or(&[][..], Vec::as_slice);
        let is_piece =
            self.open.as_ref().is_some_and(|open| text("name").is_empty() || (open.id == text("id") && open.has_id()));
        if !is_piece {
            self.close(answer, turn)?;
            if text("name").is_empty() {
                // The end of a call that has ended.
                return Ok(());
            }
            if !goes_on && pieces.is_empty() {
                return self.add_whole(part, answer, turn);
            }
            self.open =
                Some(OpenCall { id: text("id").to_owned(), name: text("name").to_owned(), ..OpenCall::default() });
        }
        if let Some(open) = &mut self.open {
            open.add(&part)?;
            if !goes_on {
                self.close(answer, turn)?;
            }
        }
        Ok(())
    }

    fn add_whole(&mut self, part: Value, answer: &mut Answer, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let text = |key: &str| part["functionCall"][key].as_str().unwrap_or_default().to_owned();
        let (id, name) = (text("id"), text("name"));
        if let Some(known) = self.known.iter().find(|known| known.id == id && known.name == name) {
            answer.sign(known.position, &part["thoughtSignature"]);
            return Ok(());
        }
        self.show(&id, &name, &part["functionCall"]["args"], turn)?;
        self.tool_calls.close(self.count, turn);
        let position = answer.push(part);
        if !id.is_empty() {
            self.known.push(KnownCall { id, name, position });
        }
        Ok(())
    }

    /// The open call is whole.
    pub(super) fn close(&mut self, answer: &mut Answer, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        match self.open.take() {
            Some(open) => self.add_whole(open.into_part(), answer, turn),
            None => Ok(()),
        }
    }

    /// The stream was cut: shows what there is of the open call, without closing it.
    pub(super) fn show_open(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        match self.open.take() {
            Some(open) => self.show(&open.id, &open.name, &open.args, turn),
            None => Ok(()),
        }
    }

    fn show(&mut self, id: &str, name: &str, args: &Value, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        self.count += 1;
        let made_up = if id.is_empty() { format!("call_{}", Uuid::new_v4().simple()) } else { String::new() };
        let id = if id.is_empty() { &made_up } else { id };
        let arguments = match args {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            args => args.to_string(),
        };
        self.tool_calls.add(Piece { index: Some(self.count), id, name, arguments: &arguments }, turn)
    }
}

impl OpenCall {
    fn has_id(&self) -> bool {
        !self.id.is_empty()
    }

    fn add(&mut self, part: &Value) -> Result<(), ErrorInfo> {
        if self.signature.is_none() {
            self.signature = part.get("thoughtSignature").cloned();
        }
        let call = &part["functionCall"];
        if call["args"].is_object() {
            self.args = call["args"].clone();
        }
        for piece in call["partialArgs"].as_array().into_iter().flatten() {
            let path = piece["jsonPath"].as_str().unwrap_or_default();
            self.bytes += path.len() + piece["stringValue"].as_str().map_or(8, str::len);
            if self.bytes > MAX_BYTES {
                return Err(ErrorInfo::new(ErrorCode::ProviderProtocol, "the provider's tool calls are too large"));
            }
            if let (Some(place), Some(value)) = (place(&mut self.args, path), value(piece)) {
                match (place, value) {
                    (Value::String(text), Value::String(more)) => text.push_str(&more),
                    (place, value) => *place = value,
                }
            }
        }
        Ok(())
    }

    /// The part as it would have come at once.
    fn into_part(self) -> Value {
        let args = if self.args.is_null() { Value::Object(Map::new()) } else { self.args };
        let mut part = serde_json::json!({"functionCall": {"name": self.name, "args": args}});
        if !self.id.is_empty() {
            part["functionCall"]["id"] = self.id.into();
        }
        if let Some(signature) = self.signature {
            part["thoughtSignature"] = signature;
        }
        part
    }
}

/// The value of a piece; of a text it is a part.
fn value(piece: &Value) -> Option<Value> {
    let value = ["stringValue", "numberValue", "boolValue"].iter().find_map(|key| piece.get(*key));
    value.cloned().or_else(|| piece.get("nullValue").map(|_| Value::Null))
}

/// The place that a path like `$.cities[0].name` names, made where it is not there yet. `None` for a path that cannot
/// be followed.
fn place<'v>(args: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    let mut place = args;
    let mut rest = path.strip_prefix('$')?;
    for _ in 0..MAX_DEPTH {
        if rest.is_empty() {
            return Some(place);
        }
        let (step, tail) = step(rest)?;
        rest = tail;
        place = match step {
            Step::Key(key) => {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                place.as_object_mut()?.entry(key).or_insert(Value::Null)
            }
            Step::Index(index) => {
                if place.is_null() {
                    *place = Value::Array(Vec::new());
                }
                let list = place.as_array_mut()?;
                if index >= list.len() {
                    list.push(Value::Null);
                }
                let index = index.min(list.len() - 1);
                list.get_mut(index)?
            }
        };
    }
    None
}

enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// The first step of a path, `.name`, `[0]` or `['name']`, and the rest.
fn step(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        return Some((Step::Key(&rest[..end]), &rest[end..]));
    }
    let rest = path.strip_prefix('[')?;
    if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let (key, rest) = rest[1..].split_once(quote)?;
        return Some((Step::Key(key), rest.strip_prefix(']')?));
    }
    let (index, rest) = rest.split_once(']')?;
    Some((Step::Index(index.parse().ok()?), rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_find_their_places() {
        let mut call = OpenCall::default();
        let pieces = json!([
            {"jsonPath": "$.name", "stringValue": "Ro", "willContinue": true},
            {"jsonPath": "$.name", "stringValue": "me"},
            {"jsonPath": "$.cities[0].days", "numberValue": 3},
            {"jsonPath": "$.cities[1]['is big']", "boolValue": true},
            {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
            {"jsonPath": "$.name.below", "stringValue": "text has no places"},
            {"jsonPath": "cities", "stringValue": "no path"},
            {"jsonPath": "$.list[4294967295]", "numberValue": 1},
        ]);
        let added = call.add(&json!({"functionCall": {"partialArgs": pieces}}));
        assert_eq!(added, Ok(()));
        let expected = json!({"name": "Rome", "cities": [{"days": 3}, {"is big": true}], "none": null, "list": [1]});
        assert_eq!(call.args, expected);
    }
}
