//! What a generation's conversation may look like, so that a provider takes it.

use tokenwire_protocol::message::{Message, Role};

use super::ToolAnswer;

/// Closes the last tool calls, as far as they have no result: a provider would refuse the conversation. Where one has
/// a result, the others are said to have none; where none has, the calls are left out, and what was said beside them
/// stays.
pub(super) fn close_calls(messages: &mut Vec<Message>) {
    let Some(at) = messages.iter().rposition(|message| message.role == Role::Assistant) else { return };
    let (before, results) = messages.split_at_mut(at + 1);
    let Some(answer) = before.last_mut() else { return };
    let has_result = |id: &str| results.iter().any(|message| message.tool_call_id.as_deref() == Some(id));
    let open: Vec<&str> = answer.tool_calls.iter().map(|call| call.id.as_str()).filter(|id| !has_result(id)).collect();
    if open.is_empty() {
        return;
    }
    if open.len() < answer.tool_calls.len() {
        let open: Vec<Message> = open.into_iter().map(no_result).collect();
        let end = at + 1 + results.iter().take_while(|message| message.role == Role::Tool).count();
        messages.splice(end..end, open);
        return;
    }
    answer.tool_calls.clear();
    // It holds the calls, too.
    answer.native = None;
    if answer.content.as_ref().is_none_or(|content| content.byte_len() == 0) {
        messages.remove(at);
    }
}

/// What the model is told of a call that nobody answered.
fn no_result(call_id: &str) -> Message {
    ToolAnswer::failed("The conversation went on before this call had a result.").into_message(call_id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(messages: Value, expected: Value) {
        let mut messages: Vec<Message> = serde_json::from_value(messages).unwrap();
        close_calls(&mut messages);
        assert_eq!(serde_json::to_value(messages).unwrap(), expected);
    }

    #[test]
    fn calls_without_a_result_are_closed() {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let asked = json!({"role": "user", "content": "q"});
        let called = json!({"role": "assistant", "content": "wait", "tool_calls": [call("a"), call("b")]});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
        let said = json!({"role": "assistant", "content": "wait"});
        check(json!([asked]), json!([asked]));
        check(json!([asked, called]), json!([asked, said]));
        let none = json!({"role": "tool", "tool_call_id": "b", "is_error": true,
            "content": "The conversation went on before this call had a result."});
        check(json!([asked, called, result("a"), asked]), json!([asked, called, result("a"), none, asked]));
        let whole = json!([asked, called, result("b"), result("a")]);
        check(whole.clone(), whole);
        check(json!([asked, {"role": "assistant", "tool_calls": [call("a")]}]), json!([asked]));
    }
}
