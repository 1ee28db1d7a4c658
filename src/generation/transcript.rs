//! What a generation's conversation may look like, so that a provider takes it.

use tokenwire_protocol::message::{Content, Message, Role};

/// Leaves out the last tool calls if one of them has no result: a provider would refuse the conversation. What was
/// said beside them stays.
pub(super) fn drop_unanswered(messages: &mut Vec<Message>) {
    let Some(at) = messages.iter().rposition(|message| message.role == Role::Assistant) else { return };
    let has_result = |id: &str| messages[at..].iter().any(|message| message.tool_call_id.as_deref() == Some(id));
    if messages[at].tool_calls.iter().all(|call| has_result(&call.id)) {
        return;
    }
    messages.truncate(at + 1);
    let answer = &mut messages[at];
    answer.tool_calls.clear();
    // It holds the calls, too.
    answer.native = None;
    if answer.content.as_ref().is_none_or(|content| content.byte_len() == 0) {
        messages.pop();
    }
}

/// How many bytes of text and arguments the messages hold.
pub(super) fn byte_len(messages: &[Message]) -> usize {
    let bytes = |message: &Message| {
        let calls: usize = message.tool_calls.iter().map(|call| call.function.arguments.len()).sum();
        message.content.as_ref().map_or(0, Content::byte_len) + calls
    };
    messages.iter().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(messages: Value, expected: Value) {
        let mut messages: Vec<Message> = serde_json::from_value(messages).unwrap();
        drop_unanswered(&mut messages);
        assert_eq!(serde_json::to_value(messages).unwrap(), expected);
    }

    #[test]
    fn calls_without_a_result_are_left_out() {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let asked = json!({"role": "user", "content": "q"});
        let called = json!({"role": "assistant", "content": "wait", "tool_calls": [call("a"), call("b")]});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
        let said = json!({"role": "assistant", "content": "wait"});
        check(json!([asked]), json!([asked]));
        check(json!([asked, called]), json!([asked, said]));
        check(json!([asked, called, result("a")]), json!([asked, said]));
        let whole = json!([asked, called, result("b"), result("a")]);
        check(whole.clone(), whole);
        check(json!([asked, {"role": "assistant", "tool_calls": [call("a")]}]), json!([asked]));
    }
}
