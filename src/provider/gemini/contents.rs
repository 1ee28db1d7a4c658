//! The conversation as `contents`.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Message, MessageToolCall, Part, Role},
};

use super::{super::Upstream, super::vendors::Host, model::Model, parts};

/// What Google documents for calls that no signature belongs to, because another model made them: newest models
/// refuse a conversation in which the first call of an answer has none.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// All system messages: the API has one place for them, before the conversation.
pub(super) fn system(messages: &[Message]) -> Result<Option<Value>, ErrorInfo> {
    let mut texts = Vec::new();
    for (position, message) in messages.iter().enumerate() {
        if !matches!(message.role, Role::System | Role::Developer) {
            continue;
        }
        if let Some(Content::Parts(parts)) = &message.content
            && let Some(part) = parts.iter().position(|part| part.as_text().is_none())
        {
            let error = ErrorInfo::new(ErrorCode::NotSupported, "this provider takes only text from the system");
            return Err(error.with_field(format!("messages[{position}].content[{part}]")));
        }
        let text = message.plain_text();
        if !text.is_empty() {
            texts.push(json!({"text": text}));
        }
    }
    Ok((!texts.is_empty()).then(|| json!({"parts": texts})))
}

/// The conversation, neighbours of one kind as one.
///
/// # Errors
///
/// [`ErrorCode::BadField`] and [`ErrorCode::NotSupported`] with the path of what cannot be sent.
pub(super) fn contents(messages: &[Message], model: Model<'_>, upstream: &Upstream) -> Result<Value, ErrorInfo> {
    let mut contents = Contents { model, upstream, turns: Vec::new(), calls: Vec::new() };
    for (position, message) in messages.iter().enumerate() {
        contents.add(message, &format!("messages[{position}]"))?;
    }
    if contents.turns.is_empty() {
        let error = ErrorInfo::new(ErrorCode::BadField, "this provider wants a message that is not the system's");
        return Err(error.with_field("messages"));
    }
    Ok(contents.turns.into_iter().map(Turn::into_content).collect())
}

struct Contents<'m> {
    model: Model<'m>,
    upstream: &'m Upstream,
    turns: Vec<Turn>,
    /// All calls so far, in order.
    calls: Vec<Call>,
}

/// What one side says until the other one does.
struct Turn {
    kind: Kind,
    parts: Vec<(usize, Value)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Model,
    /// The results of all calls of an answer stand together, apart from what the user says after them, and in the
    /// order of the calls: without ids nothing else says which is which.
    Results,
}

struct Call {
    id: String,
    name: String,
    /// Whether the provider knows it by its id.
    has_id: bool,
}

impl Turn {
    fn into_content(mut self) -> Value {
        // A stable sort. Parts that are no results are all at 0.
        self.parts.sort_by_key(|(order, _)| *order);
        let role = if self.kind == Kind::Model { "model" } else { "user" };
        let parts: Vec<Value> = self.parts.into_iter().map(|(_, part)| part).collect();
        json!({"role": role, "parts": parts})
    }
}

impl Contents<'_> {
    fn add(&mut self, message: &Message, field: &str) -> Result<(), ErrorInfo> {
        let (kind, parts) = match message.role {
            Role::System | Role::Developer => return Ok(()),
            Role::User => (Kind::User, parts::of_content(message.content.as_ref(), &format!("{field}.content"))?),
            Role::Assistant => (Kind::Model, self.answer(message, field)?),
            Role::Tool => {
                let (order, result) = self.result(message, field)?;
                self.push(Kind::Results, [(order, result)]);
                return Ok(());
            }
        };
        self.push(kind, parts.into_iter().map(|part| (0, part)));
        Ok(())
    }

    fn push(&mut self, kind: Kind, parts: impl IntoIterator<Item = (usize, Value)>) {
        let mut parts = parts.into_iter().peekable();
        // The API refuses empty contents.
        if parts.peek().is_none() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.kind == kind => turn.parts.extend(parts),
            _ => self.turns.push(Turn { kind, parts: parts.collect() }),
        }
    }

    fn answer(&mut self, message: &Message, field: &str) -> Result<Vec<Value>, ErrorInfo> {
        if let Some(parts) = self.native(message) {
            return Ok(parts);
        }
        let mut parts = parts::of_content(message.content.as_ref(), &format!("{field}.content"))?;
        for (position, call) in message.tool_calls.iter().enumerate() {
            let function = &call.function;
            let args = arguments(&function.arguments);
            let mut part = json!({"functionCall": {"name": function.name, "args": args}});
            // Of several calls in one answer only the first one has a signature.
            if position == 0 && self.model.wants_signatures() {
                part["thoughtSignature"] = NO_SIGNATURE.into();
            }
            parts.push(part);
            self.calls.push(Call { id: call.id.clone(), name: function.name.clone(), has_id: false });
        }
        Ok(parts)
    }

    /// The answer as this provider gave it.
    fn native(&mut self, message: &Message) -> Option<Vec<Value>> {
        let native = message.native.as_ref().filter(|native| native.provider == self.upstream.name)?;
        let mut parts = native.content["parts"].as_array().filter(|parts| !parts.is_empty())?.clone();
        // Vertex AI refuses ids, also those that it gave.
        let takes_ids = self.upstream.quirks.host == Host::Own;
        // It may be an older model's.
        let first_call = parts.iter_mut().find(|part| part.get("functionCall").is_some());
        if let Some(part) = first_call.filter(|part| part.get("thoughtSignature").is_none())
            && self.model.wants_signatures()
        {
            part["thoughtSignature"] = NO_SIGNATURE.into();
        }
        let mut tool_calls = message.tool_calls.iter();
        for call in parts.iter_mut().filter_map(|part| part.get_mut("functionCall")) {
            // An id that was made up stands only in the message.
            let tool_call: Option<&MessageToolCall> = tool_calls.next();
            // They may have been changed by who approved the call.
            if let Some(tool_call) = tool_call {
                call["args"] = arguments(&tool_call.function.arguments);
            }
            let own_id = call["id"].as_str().map(str::to_owned);
            if !takes_ids && let Some(call) = call.as_object_mut() {
                call.remove("id");
            }
            let name = call["name"].as_str().unwrap_or_default().to_owned();
            let id = tool_call.map(|call| call.id.clone()).or_else(|| own_id.clone()).unwrap_or_default();
            self.calls.push(Call { has_id: takes_ids && own_id.as_ref() == Some(&id), id, name });
        }
        Some(parts)
    }

    /// A result, and the position of its call.
    fn result(&self, message: &Message, field: &str) -> Result<(usize, Value), ErrorInfo> {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let position = self.calls.iter().rposition(|call| call.id == id);
        let call = position.and_then(|position| self.calls.get(position));
        let name = call.map(|call| call.name.as_str()).or_else(|| message.extra.get("name")?.as_str());
        let name = name.ok_or_else(|| {
            let error = ErrorInfo::new(ErrorCode::BadField, "no call of this conversation has this id");
            error.with_field(format!("{field}.tool_call_id"))
        })?;
        let mut response = json!({"name": name, "response": self.response(message)});
        if call.is_some_and(|call| call.has_id) {
            response["id"] = id.into();
        }
        let media = self.media(message, field)?;
        if !media.is_empty() {
            response["parts"] = media.into();
        }
        Ok((position.unwrap_or(self.calls.len()), json!({"functionResponse": response})))
    }

    /// The text of a result as the object that the API wants.
    fn response(&self, message: &Message) -> Value {
        let text = message.plain_text();
        if message.extra.get("is_error") == Some(&Value::Bool(true)) {
            return json!({"error": text});
        }
        match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => object.into(),
            _ => json!({"output": text}),
        }
    }

    /// What a result holds beside text.
    fn media(&self, message: &Message, field: &str) -> Result<Vec<Value>, ErrorInfo> {
        let Some(Content::Parts(parts)) = &message.content else { return Ok(Vec::new()) };
        let media = parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::Text { .. }));
        let media = media.map(|(position, part)| {
            let refuse = |message: &'static str| Err(ErrorInfo::new(ErrorCode::NotSupported, message));
            let part = match part {
                _ if !self.model.is_3() => refuse("this model takes only text from tools"),
                Part::InputAudio { .. } => refuse("this model takes no audio from tools"),
                part => parts::of_part(part),
            };
            part.map_err(|error| error.with_field(format!("{field}.content[{position}]")))
        });
        media.filter_map(Result::transpose).collect()
    }
}

/// Arguments as an object. What the model wrote wrongly is kept, so that it can see it.
fn arguments(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(arguments)) => arguments.into(),
        _ if arguments.trim().is_empty() => Map::new().into(),
        _ => json!({"invalid_arguments": arguments}),
    }
}
