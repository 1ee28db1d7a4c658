//! Requests of Anthropic Messages.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Message, Part, Role, Tool, ToolChoice},
};

use super::super::{HttpRequest, ModelRequest, Upstream, call_ids::CallIdRule, google, options, vendors::Host};

/// The most tokens of an answer when the request does not say: the API wants a number. Thinking
/// comes on top. Fits every model from Claude 3.5 on.
pub const DEFAULT_MAX_TOKENS: u64 = 8192;

/// The least that the API accepts as a thinking budget.
const MIN_THINKING_TOKENS: u64 = 1024;

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let thinking = thinking(request)?;
    match upstream.quirks.host {
        Host::Own | Host::Azure | Host::Foundry => set("model", Some(request.model.as_str().into())),
        Host::Vertex => set("anthropic_version", Some("vertex-2023-10-16".into())),
    }
    set("max_tokens", Some(max_tokens(request, &thinking).into()));
    set("system", system(&request.messages));
    set("messages", Some(messages(&request.messages)?));
    if !request.tools.is_empty() {
        set("tools", Some(request.tools.iter().map(tool).collect()));
        set("tool_choice", request.tool_choice.as_ref().map(tool_choice));
    }
    // The API refuses both of these beside thinking.
    if thinking.is_off() {
        set("temperature", request.temperature.map(Value::from));
        set("top_p", request.top_p.map(Value::from));
    }
    let stops = request.stop.as_ref().map(|stop| stop.as_slice()).unwrap_or_default();
    set("stop_sequences", (!stops.is_empty()).then(|| json!(stops)));
    set("thinking", thinking.field());
    set("output_config", output_config(request, &thinking)?);
    options::merge(&mut body, &request.options);
    body.insert("stream".into(), true.into());

    let mut http = match upstream.quirks.host {
        Host::Own | Host::Azure | Host::Foundry => {
            let mut http = HttpRequest::post(upstream, "/v1/messages", &Value::Object(body));
            http.set_header("anthropic-version", "2023-06-01");
            if let Some(key) = &upstream.key {
                http.set_header("x-api-key", key.expose());
            }
            http
        }
        Host::Vertex => {
            let path = google::model_path(&request.model, &["publishers/anthropic/models"])?;
            let mut http = HttpRequest::post(upstream, &format!("/{path}:streamRawPredict"), &Value::Object(body));
            google::set_key(&mut http, upstream);
            http
        }
    };
    http.set_configured_headers(upstream);
    Ok(http)
}

/// All system messages: the API has one place for them, before the conversation.
fn system(messages: &[Message]) -> Option<Value> {
    let is_system = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
    let texts: Vec<String> = messages.iter().filter(is_system).map(Message::plain_text).collect();
    let text = texts.join("\n\n");
    (!text.trim().is_empty()).then(|| text.into())
}

/// The conversation, with neighbours of one role as one message: all results of a turn's tool calls
/// must stand in one user message, before anything else in it.
fn messages(messages: &[Message]) -> Result<Value, ErrorInfo> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for (position, message) in messages.iter().enumerate() {
        let role = match message.role {
            Role::System | Role::Developer => continue,
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let blocks = blocks(message).map_err(|error| error.with_field(format!("messages[{position}].content")))?;
        match turns.last_mut() {
            Some((last, turn)) if *last == role => turn.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    for (_, blocks) in &mut turns {
        // A stable sort, so that the order is kept otherwise.
        blocks.sort_by_key(|block| block["type"] != "tool_result");
    }
    // The API refuses white space at the end of an answer that it should go on with.
    if let Some(("assistant", blocks)) = turns.last_mut()
        && let Some(block) = blocks.last_mut()
        && let Some(text) = block["text"].as_str()
    {
        block["text"] = text.trim_end().into();
    }
    let turns = turns.into_iter().filter(|(_, blocks)| !blocks.is_empty());
    Ok(turns.map(|(role, blocks)| json!({"role": role, "content": blocks})).collect())
}

fn blocks(message: &Message) -> Result<Vec<Value>, ErrorInfo> {
    let content = match &message.content {
        None => Vec::new(),
        Some(Content::Text(text)) => text_block(text).into_iter().collect(),
        Some(Content::Parts(parts)) => {
            parts.iter().filter_map(|part| block(part).transpose()).collect::<Result<_, _>>()?
        }
    };
    if message.role == Role::Tool {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let mut result = json!({"type": "tool_result", "tool_use_id": CallIdRule::Word.apply(id), "content": content});
        if message.extra.get("is_error") == Some(&Value::Bool(true)) {
            result["is_error"] = true.into();
        }
        return Ok(vec![result]);
    }
    // Thinking must come back as it was, and before all else.
    let mut blocks = thinking_blocks(message).to_vec();
    blocks.extend(content);
    for call in &message.tool_calls {
        let name = &call.function.name;
        blocks.push(json!({
            "type": "tool_use",
            "id": CallIdRule::Word.apply(&call.id),
            "name": name,
            "input": input(&call.function.arguments),
        }));
    }
    Ok(blocks)
}

/// The thinking of an earlier answer with its signatures, in the field that other clients use for it too.
fn thinking_blocks(message: &Message) -> &[Value] {
    message.extra.get("thinking_blocks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Arguments as an object. What the model wrote wrongly is kept, so that it can see it.
pub(super) fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(input)) => Value::Object(input),
        _ if arguments.trim().is_empty() => json!({}),
        _ => json!({"invalid_arguments": arguments}),
    }
}

/// A text block; none for empty text, which the API refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn block(part: &Part) -> Result<Option<Value>, ErrorInfo> {
    let not_supported = |what: &'static str| ErrorInfo::new(ErrorCode::NotSupported, what);
    match part {
        Part::Text { text, .. } => Ok(text_block(text)),
        Part::ImageUrl { image_url, .. } => {
            let source = source(&image_url.url).ok_or_else(|| {
                ErrorInfo::new(ErrorCode::BadField, "an image is neither an https: nor a base64 data: URL")
            })?;
            Ok(Some(json!({"type": "image", "source": source})))
        }
        Part::File { file, .. } => {
            let source = file["file_data"].as_str().and_then(source);
            let source = source.ok_or_else(|| not_supported("this provider takes files only as a base64 data: URL"))?;
            let mut document = json!({"type": "document", "source": source});
            if let Some(name) = file["filename"].as_str() {
                document["title"] = name.into();
            }
            Ok(Some(document))
        }
        Part::InputAudio { .. } => Err(not_supported("this provider takes no audio")),
    }
}

fn source(url: &str) -> Option<Value> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Some(json!({"type": "url", "url": url}));
    }
    let (media_type, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(json!({"type": "base64", "media_type": media_type, "data": data}))
}

fn tool(tool: &Tool) -> Value {
    let function = &tool.function;
    let schema = function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut value = json!({"name": function.name, "input_schema": schema});
    if let Some(description) = &function.description {
        value["description"] = description.as_str().into();
    }
    value
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Function(name) => json!({"type": "tool", "name": name}),
    }
}

/// How the model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinking {
    /// Not asked for, or not possible in this request.
    Off,
    /// With at most that many tokens.
    Budget(u64),
    /// As long as it likes, with an effort. What models from 4.6 on want.
    Adaptive(&'static str),
}

impl Thinking {
    fn is_off(self) -> bool {
        self == Self::Off
    }

    fn field(self) -> Option<Value> {
        match self {
            Self::Off => None,
            Self::Budget(tokens) => Some(json!({"type": "enabled", "budget_tokens": tokens})),
            Self::Adaptive(_) => Some(json!({"type": "adaptive"})),
        }
    }
}

fn thinking(request: &ModelRequest) -> Result<Thinking, ErrorInfo> {
    let (effort, budget) = match request.reasoning_effort.as_deref() {
        None | Some("none") => return Ok(Thinking::Off),
        Some("minimal") => ("low", MIN_THINKING_TOKENS),
        Some("low") => ("low", 4096),
        Some("medium") => ("medium", 8192),
        Some("high") => ("high", 16_384),
        Some("xhigh") => ("xhigh", 24_576),
        Some("max") => ("max", 24_576),
        Some(_) => {
            let message = "expected none, minimal, low, medium, high, xhigh or max";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
        }
    };
    // The API refuses thinking beside a tool that must be called.
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_))) {
        return Ok(Thinking::Off);
    }
    if version(&request.model) >= (4, 6) {
        return Ok(Thinking::Adaptive(effort));
    }
    // It also wants to see the thinking that led to the calls whose results it is given.
    let is_answered = |message: &&Message| message.role == Role::User;
    let in_tool_loop = request.messages.iter().rev().take_while(|message| !is_answered(message));
    if in_tool_loop.clone().any(|message| !message.tool_calls.is_empty() && thinking_blocks(message).is_empty()) {
        return Ok(Thinking::Off);
    }
    // The budget must be below `max_tokens`.
    let budget = request.max_tokens.map_or(budget, |max| budget.min(max.saturating_sub(1)));
    Ok(if budget < MIN_THINKING_TOKENS { Thinking::Off } else { Thinking::Budget(budget) })
}

fn max_tokens(request: &ModelRequest, thinking: &Thinking) -> u64 {
    request.max_tokens.unwrap_or(match thinking {
        Thinking::Off => DEFAULT_MAX_TOKENS,
        Thinking::Budget(tokens) => DEFAULT_MAX_TOKENS + tokens,
        Thinking::Adaptive(_) => 4 * DEFAULT_MAX_TOKENS,
    })
}

fn output_config(request: &ModelRequest, thinking: &Thinking) -> Result<Option<Value>, ErrorInfo> {
    let mut config = Map::new();
    if let Thinking::Adaptive(effort) = thinking {
        config.insert("effort".into(), (*effort).into());
    }
    match request.response_format.as_ref().map(|format| (format["type"].as_str(), format)) {
        None | Some((Some("text"), _)) => {}
        Some((Some("json_schema"), format)) => {
            let schema = format["json_schema"]["schema"].clone();
            config.insert("format".into(), json!({"type": "json_schema", "schema": schema}));
        }
        Some(_) => {
            let message = "this provider takes no response format but text and json_schema";
            return Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"));
        }
    }
    Ok((!config.is_empty()).then_some(Value::Object(config)))
}

/// The version in a model's name: `claude-opus-4-6` is 4.6, `claude-3-7-sonnet-20250219` 3.7. 0.0 for other names.
fn version(model: &str) -> (u8, u8) {
    if !model.contains("claude") {
        return (0, 0);
    }
    let mut numbers = model.split(['-', '.', '@', ':']).skip_while(|part| part.parse::<u8>().is_err());
    let mut number = || numbers.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}
