//! A `send` becomes a `start`. Pure.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorInfo, Start,
    fields::{self, bad_field},
    message::{Message, Role},
};

use super::{
    Settings, conversation_of,
    frames::{Send, Trigger},
    messages::{self, CallAnswer, UiMessage, UiRole},
};
use crate::generation::{Generation, short_random};

/// The fields of a `start` that the body of a `send` may have, with the same meaning. An application's own fields
/// stand beside them, and are ignored.
const BODY_FIELDS: &[&str] = &[
    "model",
    "tools",
    "tool_choice",
    "end_at_tool_calls",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "response_format",
    "reasoning_effort",
    "reasoning_budget",
    "upstream",
    "provider_options",
    "on_disconnect",
    "timeouts",
    "metadata",
    "server_tools",
    "approvals",
    "max_turns",
    "repair",
];

/// In the metadata of a generation: what this dialect needs to know of it later.
const METADATA: &str = "ai_sdk";

impl Send {
    /// What the page answered to the calls of the message that the answer goes on with.
    pub fn answers(&self) -> Vec<CallAnswer> {
        self.continued().map(UiMessage::answers).unwrap_or_default()
    }

    /// The assistant message that the answer goes on with, if it does.
    fn continued(&self) -> Option<&UiMessage> {
        if self.trigger == Trigger::RegenerateMessage {
            return None;
        }
        let named = self.messages.iter().rfind(|message| Some(&message.id) == self.message_id.as_ref());
        named.or(self.messages.last()).filter(|message| message.role == UiRole::Assistant)
    }

    /// What is asked of the model.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::BadField`](tokenwire_protocol::ErrorCode::BadField): the error names it.
    pub fn into_start(self, settings: &Settings) -> Result<Start, Box<ErrorInfo>> {
        let mut messages = messages::to_model(&self.messages)?;
        let continued = self.continued().map(|message| message.id.clone()).filter(|id| !id.is_empty());
        let Self { id: chat, mut body, metadata, generation, .. } = self;
        match body.remove("system") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => messages.insert(0, Message::text(Role::System, text)),
            Some(_) => return Err(bad_field("body.system", "expected a string")),
        }
        let fields = body.into_iter().filter(|(name, value)| BODY_FIELDS.contains(&name.as_str()) && !value.is_null());
        let mut start = read_fields(fields.collect(), settings)?;
        start.id = match generation {
            Some(id) => id,
            None => short_random().parse().unwrap_or(start.id),
        };
        start.messages = messages;
        start.conversation = Some(conversation_of(&chat));
        if let Value::Object(metadata) = metadata {
            for (name, value) in metadata {
                start.metadata.entry(name).or_insert(value);
            }
        }
        let mut own = json!({"chat": chat});
        if let Some(id) = continued {
            own["message"] = id.into();
        }
        start.metadata.insert(METADATA.to_owned(), own);
        Ok(start)
    }
}

/// Reads the body's fields as those of a native frame, so that the same is valid in both.
fn read_fields(mut body: Map<String, Value>, settings: &Settings) -> Result<Start, Box<ErrorInfo>> {
    body.entry("model").or_insert_with(|| settings.model.as_str().into());
    body.insert("id".to_owned(), "-".into());
    fields::fields(&Value::Object(body).to_string()).map_err(|mut error| {
        error.field = error.field.map(|field| format!("body.{field}"));
        error
    })
}

/// The id of the message that a generation writes, or goes on with.
pub(super) fn message_id(generation: &Generation) -> &str {
    let continued = generation.metadata().get(METADATA).and_then(|own| own["message"].as_str());
    continued.unwrap_or(generation.id().as_str())
}
