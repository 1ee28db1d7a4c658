//! What a model is asked: messages and tools in the widely used chat-completions shape.
//!
//! Existing payloads paste in. Fields that are not named here are kept (`extra`) and passed
//! on to providers that speak the same shape.

use std::{fmt, io};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

use crate::fields::null_is_default;

/// One message of the conversation.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. May be left out only in an assistant message with `tool_calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The tool calls that an assistant message made.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<MessageToolCall>,
    /// In a `tool` message: the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// In an assistant message: what the `native` event of its turn carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Box<Native>>,
    /// Up to here, the conversation is worth caching at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Other fields of the chat-completions shape, such as `name` or `reasoning_content`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A message that is plain text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(Content::Text(text.into())),
            tool_calls: Vec::new(),
            tool_call_id: None,
            native: None,
            cache_control: None,
            extra: Map::new(),
        }
    }

    /// A user message that is plain text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(Role::User, text)
    }

    /// The text of the message, its text parts joined; other parts are left out.
    pub fn plain_text(&self) -> String {
        self.content.as_ref().map(Content::plain_text).unwrap_or_default()
    }

    /// How many bytes it has as JSON, with everything that it holds.
    pub fn byte_len(&self) -> usize {
        struct Counter(usize);
        impl io::Write for Counter {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += bytes.len();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut counter = Counter(0);
        // Counting cannot fail, and a message is JSON.
        let _ = serde_json::to_writer(&mut counter, self);
        counter.0
    }
}

impl fmt::Debug for Message {
    /// Prompts never reach a log: the content is shown as its size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("content_bytes", &self.content.as_ref().map_or(0, Content::byte_len))
            .field("tool_calls", &self.tool_calls.len())
            .finish_non_exhaustive()
    }
}

/// An answer as its own provider needs to see it again: reasoning with its signatures, encrypted items,
/// and whatever else must come back unchanged.
///
/// It is opaque. A client that sends the conversation itself gives it back as `native` in the assistant
/// message, beside `content` and `tool_calls`; within a generation the server does. The provider
/// that made it gets this in place of those; any other provider gets those.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Native {
    /// The provider that can read it.
    pub provider: String,
    /// The answer in the provider's wire format.
    pub content: Value,
}

impl fmt::Debug for Native {
    /// It holds what was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// A hint that everything up to here comes again, and is worth caching at the provider. Providers that
/// cache by themselves, or not at all, ignore it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct CacheControl {
    /// Always `ephemeral`.
    #[serde(default = "ephemeral", rename = "type")]
    pub kind: String,
    /// For how long: `5m` or `1h`. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

fn ephemeral() -> String {
    "ephemeral".to_owned()
}

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions of the application.
    System,
    /// Instructions of the application, as newer OpenAI models name them. Other providers get `system`.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// The content of a message: plain text, or a list of parts.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text, images and files in order.
    Parts(Vec<Part>),
}

impl Content {
    /// The text, its text parts joined; other parts are left out.
    pub fn plain_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts.iter().filter_map(Part::as_text).collect(),
        }
    }

    /// How many bytes of text, URLs and inline data this holds.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Parts(parts) => parts.iter().map(Part::byte_len).sum(),
        }
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.byte_len())
    }
}

// Written by hand because a derived untagged enum would say only that nothing matched, and
// the promise is that an error names the field.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of content parts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// One part of a message's content.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Up to here, the conversation is worth caching at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// An image, by `https:` or `data:` URL.
    ImageUrl {
        /// Where the image is.
        image_url: ImageUrl,
        /// Up to here, the conversation is worth caching at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// Audio, inline.
    InputAudio {
        /// `{data, format}` as the provider takes it.
        input_audio: Value,
        /// Up to here, the conversation is worth caching at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// A file, inline or by id.
    File {
        /// `{file_data, filename}` or `{file_id}` as the provider takes it.
        file: Value,
        /// Up to here, the conversation is worth caching at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
}

impl Part {
    /// A part that is text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), cache_control: None }
    }

    /// The hint of this part, if it has one.
    pub fn cache_control(&self) -> Option<&CacheControl> {
        match self {
            Self::Text { cache_control, .. }
            | Self::ImageUrl { cache_control, .. }
            | Self::InputAudio { cache_control, .. }
            | Self::File { cache_control, .. } => cache_control.as_ref(),
        }
    }

    /// The text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    fn byte_len(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.len(),
            Self::ImageUrl { image_url, .. } => image_url.url.len(),
            Self::InputAudio { input_audio: value, .. } | Self::File { file: value, .. } => value.to_string().len(),
        }
    }
}

// Written by hand because a derived one buffers the part before it looks at its fields, and an
// error would name only the part.
impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Kind {
            Text,
            ImageUrl,
            InputAudio,
            File,
        }
        #[derive(Deserialize)]
        struct Fields {
            #[serde(rename = "type")]
            kind: Kind,
            text: Option<String>,
            image_url: Option<ImageUrl>,
            input_audio: Option<Value>,
            file: Option<Value>,
            cache_control: Option<CacheControl>,
        }
        let Fields { kind, text, image_url, input_audio, file, cache_control } = Fields::deserialize(deserializer)?;
        let missing = de::Error::missing_field;
        Ok(match kind {
            Kind::Text => Self::Text { text: text.ok_or_else(|| missing("text"))?, cache_control },
            Kind::ImageUrl => {
                Self::ImageUrl { image_url: image_url.ok_or_else(|| missing("image_url"))?, cache_control }
            }
            Kind::InputAudio => {
                Self::InputAudio { input_audio: input_audio.ok_or_else(|| missing("input_audio"))?, cache_control }
            }
            Kind::File => Self::File { file: file.ok_or_else(|| missing("file"))?, cache_control },
        })
    }
}

/// Where an image is, and how closely the model should look.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ImageUrl {
    /// An `https:` URL, or `data:image/png;base64,...`.
    pub url: String,
    /// `low`, `high` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

// Some clients send the URL as a plain string.
impl<'de> Deserialize<'de> for ImageUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            url: String,
            detail: Option<String>,
        }
        struct ImageUrlVisitor;
        impl<'de> Visitor<'de> for ImageUrlVisitor {
            type Value = ImageUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a `url`, or a URL")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<ImageUrl, E> {
                Ok(ImageUrl { url: url.to_owned(), detail: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ImageUrl, A::Error> {
                let Fields { url, detail } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ImageUrl { url, detail })
            }
        }
        deserializer.deserialize_any(ImageUrlVisitor)
    }
}

/// A tool call inside an assistant message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct MessageToolCall {
    /// The call's id, which the `tool` message with the result repeats.
    pub id: String,
    /// Always `function`.
    #[serde(default = "function", rename = "type")]
    pub kind: String,
    /// What was called.
    pub function: MessageFunction,
}

impl MessageToolCall {
    /// A call of the function `name` with `arguments`, which is JSON text.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let function = MessageFunction { name: name.into(), arguments: arguments.into() };
        Self { id: id.into(), kind: self::function(), function }
    }
}

/// The function of a [`MessageToolCall`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct MessageFunction {
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

impl fmt::Debug for MessageFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.name, self.arguments.len())
    }
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct Tool {
    /// Always `function`.
    #[serde(default = "function", rename = "type")]
    pub kind: String,
    /// The function.
    pub function: ToolFunction,
    /// Up to here, the tools are worth caching at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
}

/// The function of a [`Tool`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub struct ToolFunction {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the arguments. Left out: no arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Whether the arguments must follow the schema exactly, where the provider can promise that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

fn function() -> String {
    "function".to_owned()
}

/// Whether and which tool the model must call.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice {
    /// The model decides. `"auto"`.
    Auto,
    /// No tool. `"none"`.
    None,
    /// Some tool. `"required"`.
    Required,
    /// This tool. `{"type":"function","function":{"name":"..."}}`.
    Function(String),
}

impl Serialize for ToolChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::None => serializer.serialize_str("none"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => {
                serde_json::json!({"type": "function", "function": {"name": name}}).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str =
            "expected \"auto\", \"none\", \"required\" or {\"type\":\"function\",\"function\":{\"name\":...}}";
        match Value::deserialize(deserializer)? {
            Value::String(choice) => match choice.as_str() {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "required" | "any" => Ok(Self::Required),
                _ => Err(de::Error::custom(EXPECTED)),
            },
            choice => choice
                .pointer("/function/name")
                .and_then(Value::as_str)
                .map(|name| Self::Function(name.to_owned()))
                .ok_or_else(|| de::Error::custom(EXPECTED)),
        }
    }
}

#[cfg(feature = "generate")]
impl schemars::JsonSchema for ToolChoice {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ToolChoice".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Whether and which tool the model must call.",
            "oneOf": [
                {"enum": ["auto", "none", "required"]},
                {
                    "type": "object",
                    "required": ["type", "function"],
                    "properties": {
                        "type": {"const": "function"},
                        "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
                    }
                }
            ]
        })
    }
}

/// One string or a list of strings at which the model stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum Stop {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Stop {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(stop) => std::slice::from_ref(stop),
            Self::Many(stops) => stops,
        }
    }
}
