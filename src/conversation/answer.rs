//! What a generation has added to its conversation, as messages.

use tokenwire_protocol::{
    Event, InputProgress, ToolCall,
    message::{Content, Message, MessageToolCall, Role},
};

use crate::generation::log::{Chunk, Log, Part};

/// What the model has said so far, with its tool calls, their results, and the input that was applied, each at its place.
///
/// Made of the log, so that it is there from the first token on. A call that has no result stands there, too.
pub(super) fn of(log: &Log) -> Vec<Message> {
    let mut messages = Vec::new();
    log.visit(|chunk, _| match chunk {
        Chunk::Deltas { part: Part::Text, text } => say(&mut messages, text),
        Chunk::Event { event: Event::ToolCall(call), .. } => speaking(&mut messages).tool_calls.push(made(call)),
        Chunk::Event { event: Event::ToolResult(result), .. } => {
            let mut message = Message::text(Role::Tool, "");
            message.content = Some(result.content.clone());
            message.tool_call_id = Some(result.call_id.to_string());
            messages.push(message);
        }
        Chunk::Event { event: Event::Input(input), .. } if input.state == InputProgress::Applied => {
            messages.extend(input.messages.iter().cloned());
        }
        _ => {}
    });
    messages
}

fn say(messages: &mut Vec<Message>, text: &str) {
    // What is said after a call belongs to the turn that follows.
    if messages.last().is_some_and(|message| !message.tool_calls.is_empty()) {
        messages.push(Message::text(Role::Assistant, ""));
    }
    match &mut speaking(messages).content {
        Some(Content::Text(said)) => said.push_str(text),
        content => *content = Some(Content::Text(text.to_owned())),
    }
}

/// The message that the model is at; what somebody else has said begins another one.
fn speaking(messages: &mut Vec<Message>) -> &mut Message {
    if messages.last().is_none_or(|message| message.role != Role::Assistant) {
        let mut message = Message::text(Role::Assistant, "");
        message.content = None;
        messages.push(message);
    }
    let last = messages.len() - 1;
    &mut messages[last]
}

fn made(call: &ToolCall) -> MessageToolCall {
    let arguments = match &call.arguments {
        // As the model wrote them.
        serde_json::Value::String(text) if call.invalid => text.clone(),
        arguments => arguments.to_string(),
    };
    MessageToolCall::new(&*call.call_id, &*call.name, arguments)
}
