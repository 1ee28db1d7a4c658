//! Tool calls in the chunks of a UI message.
//!
//! A client's tool is offered to the page (`tool-input-available`) only while it is open at the end of the log: pages
//! carry a call out when they see that chunk, and one that was answered must not be carried out again by a replay.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Value, json};
use tokenwire_protocol::{
    ServerToolCall, ServerToolResult, ToolApproval, ToolCall, ToolDecision, ToolResultTaken, ToolWait, message::Content,
};

use super::chunks::put;

/// The calls of one message.
pub(super) struct Calls {
    /// The tools that the server runs.
    served: Vec<Arc<str>>,
    list: Vec<Call>,
    /// The ids of the provider's own.
    of_provider: Vec<Arc<str>>,
}

struct Call {
    id: Arc<str>,
    name: Arc<str>,
    arguments: Value,
    is_invalid: bool,
    is_served: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody but the server and the model has to do with it.
    Said,
    /// Somebody has to decide on it.
    Approval,
    /// A client has to answer it.
    Waiting,
    /// The page knows that.
    Offered,
    Answered,
}

impl Calls {
    pub fn new(served: Vec<Arc<str>>) -> Self {
        Self { served, list: Vec::new(), of_provider: Vec::new() }
    }

    /// Whether the call was said and has no answer.
    pub fn is_open(&self, id: &str) -> bool {
        self.list.iter().any(|call| &*call.id == id && call.state != State::Answered)
    }

    /// A piece of a call's arguments.
    pub fn delta(&mut self, id: &Arc<str>, name: &Arc<str>, delta: &str, out: &mut Vec<String>) {
        self.begin(id, name, out);
        if !delta.is_empty() {
            put(out, json!({"type": "tool-input-delta", "toolCallId": id, "inputTextDelta": delta}));
        }
    }

    /// A whole call.
    pub fn said(&mut self, said: &ToolCall, out: &mut Vec<String>) {
        if !self.is_open(&said.call_id) {
            let text = match &said.arguments {
                Value::String(text) if said.invalid => text.clone(),
                arguments => arguments.to_string(),
            };
            self.delta(&said.call_id, &said.name, &text, out);
        }
        let Some(call) = self.find(&said.call_id) else { return };
        call.arguments = said.arguments.clone();
        call.is_invalid = said.invalid;
        if call.is_served {
            put(out, call.input());
        }
    }

    pub fn approval(&mut self, ToolApproval { call_id, .. }: &ToolApproval, out: &mut Vec<String>) {
        let Some(call) = self.find(call_id) else { return };
        call.state = State::Approval;
        // A call is decided on once: its id is good for that, too.
        put(out, json!({"type": "tool-approval-request", "approvalId": call_id, "toolCallId": call_id}));
    }

    pub fn decision(&mut self, decision: &ToolDecision, out: &mut Vec<String>) {
        let ToolDecision { call_id, approved, arguments, reason, .. } = decision;
        let Some(call) = self.find(call_id) else { return };
        let is_asked = call.state == State::Approval;
        if !is_asked && !approved {
            // The application's own code has denied it: a page knows only denials of what was asked.
            let request = json!({"type": "tool-approval-request", "approvalId": call_id, "toolCallId": call_id});
            put(out, with(request, "isAutomatic", true));
        }
        if is_asked || !approved {
            let response = json!({"type": "tool-approval-response", "approvalId": call_id, "approved": approved});
            put(out, if let Some(reason) = reason { with(response, "reason", reason.as_str()) } else { response });
        }
        call.state = if *approved { State::Said } else { State::Answered };
        if !approved {
            put(out, json!({"type": "tool-output-denied", "toolCallId": call_id}));
        }
        if let Some(arguments) = arguments {
            call.arguments = arguments.clone();
            call.is_invalid = false;
            if call.is_served {
                put(out, call.input());
            }
        }
    }

    /// These are a client's to answer.
    pub fn wait(&mut self, wait: &ToolWait) {
        for call in self.list.iter_mut().filter(|call| wait.call_ids.contains(&call.id)) {
            call.state = State::Waiting;
        }
    }

    pub fn result(&mut self, result: &ToolResultTaken, out: &mut Vec<String>) {
        let ToolResultTaken { call_id, content, is_error, by_server } = result;
        let Some(call) = self.find(call_id) else { return };
        call.state = State::Answered;
        let chunk = match is_error {
            true => json!({"type": "tool-output-error", "toolCallId": call_id, "errorText": content.plain_text()}),
            false => json!({"type": "tool-output-available", "toolCallId": call_id, "output": output(content)}),
        };
        put(out, if *by_server { executed(chunk) } else { chunk });
    }

    /// The provider calls a tool of its own.
    pub fn provider_said(&mut self, call: &ServerToolCall, out: &mut Vec<String>) {
        let ServerToolCall { call_id, name, arguments } = call;
        self.of_provider.push(call_id.clone());
        let input = arguments.clone().unwrap_or_else(|| json!({}));
        let chunk = json!({"type": "tool-input-available", "toolCallId": call_id, "toolName": name, "input": input});
        put(out, executed(owned(chunk, "provider")));
    }

    pub fn provider_result(&mut self, result: &ServerToolResult, out: &mut Vec<String>) {
        let ServerToolResult { call_id, name, result, is_error } = result;
        if !self.of_provider.contains(call_id) {
            // A page takes no output without its input.
            let call = ServerToolCall { call_id: call_id.clone(), name: name.clone(), arguments: None };
            self.provider_said(&call, out);
        }
        let text = || result.as_str().map_or_else(|| result.to_string(), str::to_owned);
        put(
            out,
            executed(match is_error {
                true => json!({"type": "tool-output-error", "toolCallId": call_id, "errorText": text()}),
                false => json!({"type": "tool-output-available", "toolCallId": call_id, "output": result}),
            }),
        );
    }

    /// Somebody interrupted: what has no answer gets none.
    pub fn interrupt(&mut self, out: &mut Vec<String>) {
        for call in self.list.iter_mut().filter(|call| call.state != State::Answered) {
            call.state = State::Answered;
            let text = "The user interrupted before this call had a result.";
            put(out, json!({"type": "tool-output-error", "toolCallId": call.id, "errorText": text}));
        }
    }

    /// Offers the page the calls that the generation waits for.
    pub fn offer_waiting(&mut self, out: &mut Vec<String>) {
        self.offer(State::Waiting, out);
    }

    /// Offers the page the calls at which the generation has ended.
    pub fn offer_said(&mut self, out: &mut Vec<String>) {
        self.offer(State::Said, out);
    }

    /// Whether nobody but the page has anything to do.
    pub fn wait_for_page(&self) -> bool {
        let is = |state| self.list.iter().any(|call| call.state == state);
        (is(State::Offered) || is(State::Approval)) && !is(State::Said)
    }

    /// The page knows what was said so far, and has answered these.
    pub fn go_on(&mut self, answered: &HashSet<&str>) {
        for call in &mut self.list {
            call.state = match call.state {
                State::Approval | State::Waiting if answered.contains(&*call.id) => State::Said,
                State::Waiting => State::Offered,
                state => state,
            };
        }
    }

    fn offer(&mut self, state: State, out: &mut Vec<String>) {
        for call in self.list.iter_mut().filter(|call| call.state == state && !call.is_served) {
            call.state = State::Offered;
            put(out, call.input());
        }
    }

    fn begin(&mut self, id: &Arc<str>, name: &Arc<str>, out: &mut Vec<String>) {
        if self.is_open(id) {
            return;
        }
        let is_served = self.served.contains(name);
        put(out, of(json!({"type": "tool-input-start", "toolCallId": id, "toolName": name}), is_served));
        let (id, name) = (id.clone(), name.clone());
        self.list.push(Call { id, name, arguments: Value::Null, is_invalid: false, is_served, state: State::Said });
    }

    fn find(&mut self, id: &str) -> Option<&mut Call> {
        self.list.iter_mut().rfind(|call| &*call.id == id)
    }
}

impl Call {
    /// The chunk with its whole input.
    fn input(&self) -> Value {
        let Self { id, name, arguments, is_invalid, is_served, .. } = self;
        let mut chunk = json!({"toolCallId": id, "toolName": name, "input": arguments});
        if *is_invalid && !is_served {
            chunk["type"] = "tool-input-error".into();
            chunk["errorText"] = "The model wrote arguments that are not valid JSON.".into();
        } else {
            chunk["type"] = "tool-input-available".into();
        }
        of(chunk, *is_served)
    }
}

/// The chunk of a call of the page's or of the server's own.
fn of(chunk: Value, is_served: bool) -> Value {
    if is_served { executed(owned(chunk, "server")) } else { chunk }
}

/// Says whose call it is, for when it comes back with the message.
fn owned(chunk: Value, by: &str) -> Value {
    with(chunk, "providerMetadata", json!({"tokenwire": {"by": by}}))
}

/// The page does not carry it out, and its types do not know it.
fn executed(chunk: Value) -> Value {
    with(with(chunk, "providerExecuted", true), "dynamic", true)
}

fn with(mut chunk: Value, field: &str, value: impl Into<Value>) -> Value {
    chunk[field] = value.into();
    chunk
}

/// What a tool answered, as a page shows it: an object or a list where the text is one.
fn output(content: &Content) -> Value {
    match content {
        Content::Text(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
        }
        Content::Text(text) => text.as_str().into(),
        Content::Parts(parts) => json!(parts),
    }
}
