//! UI messages become what a model is asked. Pure.
//!
//! | part | becomes |
//! | --- | --- |
//! | `text` | content |
//! | `reasoning` | `reasoning_content`, which reaches the providers that take reasoning back |
//! | `file` of a user | an image, audio or a file, by its media type |
//! | a tool's, in any state | a call and its result; one that has none gets an error for a result |
//! | `custom` of the kind `tokenwire.native` | `native`: the answer as its provider needs to see it again |
//! | `step-start` | the end of an assistant message |
//! | `steering-message` | a user message |
//! | anything else | nothing |
//!
//! Files in an answer are left out: providers take none there, and what they need to see again is in `native`.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorInfo,
    fields::{bad_field, null_is_default},
    message::{Content, ImageUrl, Message, MessageToolCall, Native, Part, Role},
};

#[cfg(test)]
mod tests;

/// The kind of the part that carries what a provider needs to see again.
pub(super) const NATIVE_KIND: &str = "tokenwire.native";

/// One message, as a page holds it.
#[derive(Deserialize)]
pub(crate) struct UiMessage {
    #[serde(default)]
    pub id: String,
    pub role: UiRole,
    #[serde(default, deserialize_with = "null_is_default")]
    pub parts: Vec<UiPart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UiRole {
    System,
    User,
    Assistant,
}

/// One part of it. Which fields it has depends on its type, and applications add types of their own.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct UiPart(Map<String, Value>);

impl UiPart {
    pub fn kind(&self) -> &str {
        self.text_of("type")
    }

    /// The tool of a tool's part.
    fn tool(&self) -> Option<&str> {
        match self.kind() {
            "dynamic-tool" => Some(self.text_of("toolName")),
            kind => kind.strip_prefix("tool-"),
        }
    }

    fn text_of(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn get(&self, path: &str) -> &Value {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| self.0.get(name)).unwrap_or(&Value::Null);
        names.fold(first, |value, name| &value[name])
    }

    fn is_executed_by_provider(&self) -> bool {
        self.get("providerExecuted") == &Value::Bool(true) && !self.is_served()
    }

    /// Whether it is the call of a tool that this server runs.
    fn is_served(&self) -> bool {
        self.get("callProviderMetadata.tokenwire.by") == "server"
    }
}

/// What a page answered to a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallAnswer {
    pub call_id: String,
    pub answer: Answered,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answered {
    Result { content: Content, is_error: bool },
    Approved,
    Denied { reason: Option<String> },
}

impl UiMessage {
    /// What its last step holds of answers to calls.
    pub fn answers(&self) -> Vec<CallAnswer> {
        let last_step = self.parts.iter().rposition(|part| part.kind() == "step-start").map_or(0, |at| at + 1);
        let answer = |part: &UiPart| {
            part.tool()?;
            let is_remote = part.get("providerExecuted") == &Value::Bool(true);
            let answer = match part.text_of("state") {
                "output-available" | "output-error" if !is_remote => {
                    let (content, is_error) = result(part);
                    Answered::Result { content, is_error }
                }
                "approval-responded" if part.get("approval.approved") == &Value::Bool(true) => Answered::Approved,
                "approval-responded" => {
                    Answered::Denied { reason: part.get("approval.reason").as_str().map(str::to_owned) }
                }
                _ => return None,
            };
            Some(CallAnswer { call_id: part.text_of("toolCallId").to_owned(), answer })
        };
        self.parts[last_step..].iter().filter_map(answer).collect()
    }
}

/// The messages as a model sees them.
///
/// # Errors
///
/// [`ErrorCode::BadField`](tokenwire_protocol::ErrorCode::BadField) with the part at fault.
pub(crate) fn to_model(messages: &[UiMessage]) -> Result<Vec<Message>, Box<ErrorInfo>> {
    let mut told = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let place = format!("messages[{at}]");
        match message.role {
            UiRole::System => {
                let texts = message.parts.iter().filter(|part| part.kind() == "text");
                let text: String = texts.map(|part| part.text_of("text")).collect();
                if !text.is_empty() {
                    told.push(Message::text(Role::System, text));
                }
            }
            UiRole::User => told.extend(user(&message.parts, &place)?),
            UiRole::Assistant => assistant(&message.parts, &place, &mut told)?,
        }
    }
    if told.is_empty() {
        return Err(bad_field("messages", "there is nothing to answer"));
    }
    Ok(told)
}

/// A user message, if anything is in it.
fn user(parts: &[UiPart], place: &str) -> Result<Option<Message>, Box<ErrorInfo>> {
    let mut content = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let place = format!("{place}.parts[{at}]");
        match part.kind() {
            "text" => content.push(Part::text(text(part, "text", &place)?)),
            "file" => content.push(file(part, &place)?),
            _ => {}
        }
    }
    let content = match &*content {
        [] => return Ok(None),
        [Part::Text { text, .. }] => Content::Text(text.clone()),
        _ => Content::Parts(content),
    };
    Ok(Some(Message { content: Some(content), ..Message::user("") }))
}

/// A file as the shape of chat completions has it.
fn file(part: &UiPart, place: &str) -> Result<Part, Box<ErrorInfo>> {
    let name = part.get("filename").as_str();
    let reference = part.get("providerReference").as_object().and_then(|ids| ids.values().find_map(Value::as_str));
    if let Some(id) = reference {
        return Ok(Part::File { file: json!({"file_id": id}), cache_control: None });
    }
    let url = text(part, "url", place)?;
    let media_type = text(part, "mediaType", place)?;
    let top = media_type.split('/').next().unwrap_or_default();
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,")).map(|(_, data)| data);
    Ok(match (top, data) {
        ("image", _) => {
            Part::ImageUrl { image_url: ImageUrl { url: url.to_owned(), detail: None }, cache_control: None }
        }
        ("audio", Some(data)) => {
            let format = match media_type.split(['/', ';']).nth(1).unwrap_or_default() {
                "mpeg" => "mp3",
                "x-wav" | "wave" => "wav",
                other => other,
            };
            Part::InputAudio { input_audio: json!({"data": data, "format": format}), cache_control: None }
        }
        _ => {
            let mut file = Map::new();
            file.insert(if url.starts_with("data:") { "file_data" } else { "file_url" }.to_owned(), url.into());
            if let Some(name) = name {
                file.insert("filename".to_owned(), name.into());
            }
            Part::File { file: file.into(), cache_control: None }
        }
    })
}

/// An answer: for each of its steps an assistant message, and the results of its calls.
fn assistant(parts: &[UiPart], place: &str, told: &mut Vec<Message>) -> Result<(), Box<ErrorInfo>> {
    let mut step = Step::default();
    for (at, part) in parts.iter().enumerate() {
        let place = format!("{place}.parts[{at}]");
        match part.kind() {
            "text" => step.text.push_str(text(part, "text", &place)?),
            "reasoning" => step.reasoning.push_str(text(part, "text", &place)?),
            "custom" if part.text_of("kind") == NATIVE_KIND => {
                let native = part.get("providerMetadata.tokenwire");
                let provider = native["provider"].as_str().unwrap_or_default().to_owned();
                step.native = Some(Box::new(Native { provider, content: native["content"].clone() }));
            }
            "step-start" => step.end(told),
            "steering-message" => {
                step.end(told);
                let parts: Vec<UiPart> = Vec::deserialize(part.get("parts"))
                    .map_err(|_| bad_field(format!("{place}.parts"), "expected a list of parts"))?;
                told.extend(user(&parts, &place)?);
            }
            _ if part.tool().is_some() => {
                text(part, "toolCallId", &place)?;
                step.call(part);
            }
            _ => {}
        }
    }
    step.end(told);
    Ok(())
}

/// What one turn of a model said.
#[derive(Default)]
struct Step {
    text: String,
    reasoning: String,
    native: Option<Box<Native>>,
    calls: Vec<MessageToolCall>,
    results: Vec<Message>,
}

impl Step {
    fn call(&mut self, part: &UiPart) {
        // The provider's own calls are in `native`. One that was cut off in its input was never made.
        if part.is_executed_by_provider() || part.text_of("state") == "input-streaming" {
            return;
        }
        let (id, tool) = (part.text_of("toolCallId"), part.tool().unwrap_or_default());
        let input = match part.get("input") {
            Value::Null => part.get("rawInput"),
            input => input,
        };
        let arguments = match input {
            Value::Null => "{}".to_owned(),
            // As the model wrote it, which is not JSON.
            Value::String(text) => text.clone(),
            input => input.to_string(),
        };
        self.calls.push(MessageToolCall::new(id, tool, arguments));
        let (content, is_error) = result(part);
        let mut message = Message::text(Role::Tool, "");
        message.content = Some(content);
        message.tool_call_id = Some(id.to_owned());
        if is_error {
            message.extra.insert("is_error".to_owned(), true.into());
        }
        self.results.push(message);
    }

    /// The next part belongs to another turn.
    fn end(&mut self, told: &mut Vec<Message>) {
        let Self { text, reasoning, native, calls, results } = std::mem::take(self);
        if text.is_empty() && calls.is_empty() && native.is_none() {
            return;
        }
        let mut message = Message::text(Role::Assistant, text);
        message.content = message.content.filter(|content| content.byte_len() > 0);
        if native.is_none() && !reasoning.is_empty() {
            message.extra.insert("reasoning_content".to_owned(), reasoning.into());
        }
        message.tool_calls = calls;
        message.native = native;
        told.push(message);
        told.extend(results);
    }
}

/// What the model is told that a call brought, and whether that is an error.
fn result(part: &UiPart) -> (Content, bool) {
    let reason = part.get("approval.reason").as_str().filter(|reason| !reason.is_empty());
    let denied = || match reason {
        Some(reason) => format!("The user did not allow this call: {reason}"),
        None => "The user did not allow this call.".to_owned(),
    };
    let error = |text: &str| (Content::Text(text.to_owned()), true);
    match part.text_of("state") {
        "output-available" => match part.get("output") {
            Value::String(text) => (Content::Text(text.clone()), false),
            output => (Content::Text(output.to_string()), false),
        },
        "output-error" => error(part.text_of("errorText")),
        "output-denied" => error(&denied()),
        "approval-responded" if part.get("approval.approved") != &Value::Bool(true) => error(&denied()),
        "approval-responded" => error("The user allowed this call, but it was not carried out. Make it again."),
        "approval-requested" => error("The user did not decide on this call."),
        _ => error("This call was not carried out."),
    }
}

/// A field that must be text.
fn text<'a>(part: &'a UiPart, name: &str, place: &str) -> Result<&'a str, Box<ErrorInfo>> {
    part.0.get(name).and_then(Value::as_str).ok_or_else(|| bad_field(format!("{place}.{name}"), "expected a string"))
}
