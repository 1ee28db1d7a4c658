//! Calls of tools that the provider runs itself, as items of a Responses answer.
//!
//! Their types are open, so what is here follows their names:
//!
//! | item | becomes |
//! | --- | --- |
//! | `X_call`, and every type that is not known | a call when it begins, a result when it is done |
//! | one whose arguments come in pieces | the call when they are whole |
//! | one whose result is another item, or the client's to give | the call when it is done |
//! | `X_call_output`, `X_output` | the result of such a call |

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    super::{ModelEvent, Turn},
    event::text,
};

/// Items whose arguments come in pieces after their beginning.
const ARGUMENTS_FOLLOW: &[&str] = &["mcp_call", "code_interpreter_call"];

/// Items that hold a call without its result.
const RESULT_APART: &[&str] = &[
    "tool_search_call",
    "shell_call",
    "local_shell_call",
    "apply_patch_call",
    "computer_call",
    "mcp_approval_request",
];

/// Fields that say what a tool is asked.
const ARGUMENTS: &[&str] =
    &["server_label", "name", "arguments", "action", "actions", "operation", "queries", "code", "input"];

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct ServerTools {
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    /// Its item's position in the answer.
    position: usize,
    id: String,
    name: String,
    /// What a result that is another item repeats.
    link: String,
    /// The item as it began, until the call is announced.
    item: Option<Value>,
    has_result: bool,
}

impl ServerTools {
    /// An item begins.
    pub(super) fn begin(&mut self, position: usize, item: Value, turn: &mut dyn Turn) {
        let kind = text(&item, "type");
        if kind.ends_with("_output") {
            return;
        }
        let waits = ARGUMENTS_FOLLOW.contains(&kind) || RESULT_APART.contains(&kind);
        let id = match text(&item, "id") {
            "" => format!("call_{}", Uuid::new_v4().simple()),
            id => id.to_owned(),
        };
        let name = kind.strip_suffix("_call").unwrap_or(kind).to_owned();
        let link = text(&item, "call_id").to_owned();
        let mut call = Call { position, id, name, link, item: Some(item), has_result: false };
        if !waits {
            call.announce(turn);
        }
        self.calls.push(call);
    }

    /// The arguments of the item there are whole: `value` is its field `name`.
    pub(super) fn arguments(&mut self, position: usize, name: &str, value: &str, turn: &mut dyn Turn) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.position == position) {
            if let Some(Value::Object(item)) = &mut call.item {
                item.insert(name.to_owned(), value.into());
            }
            call.announce(turn);
        }
    }

    /// An item is whole.
    pub(super) fn end(&mut self, position: usize, item: &Value, turn: &mut dyn Turn) {
        let kind = text(item, "type");
        if let Some(name) = kind.strip_suffix("_output") {
            return self.result_apart(name.strip_suffix("_call").unwrap_or(name), item, turn);
        }
        if !self.calls.iter().any(|call| call.position == position) {
            self.begin(position, item.clone(), turn);
        }
        let Some(call) = self.calls.iter_mut().find(|call| call.position == position) else { return };
        if call.item.is_some() {
            call.item = Some(item.clone());
            call.announce(turn);
        }
        if !RESULT_APART.contains(&kind) && !call.has_result {
            call.has_result = true;
            emit_result(&call.id, &call.name, item, turn);
        }
    }

    fn result_apart(&mut self, name: &str, item: &Value, turn: &mut dyn Turn) {
        let link = text(item, "call_id");
        let is_linked = |call: &&mut Call| !link.is_empty() && call.link == link;
        let is_next = |call: &&mut Call| call.name == name && !call.has_result;
        let call = match self.calls.iter_mut().find(is_linked) {
            Some(call) => Some(call),
            None => self.calls.iter_mut().find(is_next),
        };
        match call {
            Some(call) => {
                call.has_result = true;
                emit_result(&call.id, name, item, turn);
            }
            None => emit_result(text(item, "id"), name, item, turn),
        }
    }
}

impl Call {
    /// Emits the call, once.
    fn announce(&mut self, turn: &mut dyn Turn) {
        if let Some(item) = self.item.take() {
            let arguments = arguments(&item);
            turn.emit(ModelEvent::ServerToolCall { call_id: &self.id, name: &self.name, arguments });
        }
    }
}

/// What the tool is asked, as far as the item says so.
fn arguments(item: &Value) -> Option<Value> {
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    };
    let mut arguments = Map::new();
    for &name in ARGUMENTS {
        if let Some(value) = item.get(name).filter(|value| is_said(value)) {
            // JSON as text is easier to read as JSON.
            let parsed =
                value.as_str().filter(|_| name == "arguments").and_then(|text| serde_json::from_str(text).ok());
            arguments.insert(name.to_owned(), parsed.unwrap_or_else(|| value.clone()));
        }
    }
    (!arguments.is_empty()).then_some(Value::Object(arguments))
}

fn emit_result(call_id: &str, name: &str, item: &Value, turn: &mut dyn Turn) {
    let mut result = item.clone();
    if name == "image_generation"
        && let Value::Object(result) = &mut result
    {
        // The image has an event of its own.
        result.remove("result");
    }
    let is_error = text(item, "status") == "failed" || item.get("error").is_some_and(|error| !error.is_null());
    turn.emit(ModelEvent::ServerToolResult { call_id, name, result, is_error });
}
