//! Requests of Responses.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Message, Part, Role, Tool, ToolChoice},
};

use super::{
    super::{HttpRequest, ModelRequest, Upstream, openai, options, vendors::CallIdRule},
    event::{list, text},
};

/// The least that the API accepts as `max_output_tokens`.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// What makes reasoning fit to be handed back to a server that keeps nothing.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let is_stored = request.options.get("store") == Some(&Value::Bool(true));
    // OpenAI has a place of its own for what comes before the conversation. xAI refuses it.
    let instructions = if upstream.quirks.developer_role { leading_instructions(&request.messages) } else { 0 };
    let (before, conversation) = request.messages.split_at(instructions);
    set("model", Some(request.model.as_str().into()));
    set("instructions", (!before.is_empty()).then(|| joined(before).into()));
    set("input", Some(input(conversation, instructions, is_stored, upstream)?));
    let has_tools = !request.tools.is_empty() || request.options.contains_key("tools");
    set("tools", (!request.tools.is_empty()).then(|| request.tools.iter().map(tool).collect()));
    // A call that must be made but cannot: the provider says so.
    let is_said = |choice: &&ToolChoice| has_tools || matches!(choice, ToolChoice::Required | ToolChoice::Function(_));
    set("tool_choice", request.tool_choice.as_ref().filter(is_said).map(tool_choice));
    set("parallel_tool_calls", request.parallel_tool_calls.filter(|_| has_tools).map(Value::from));
    set("temperature", request.temperature.map(Value::from));
    set("top_p", request.top_p.map(Value::from));
    set("max_output_tokens", request.max_tokens.map(|tokens| tokens.max(MIN_OUTPUT_TOKENS).into()));
    set("reasoning", request.reasoning_effort.as_deref().map(reasoning));
    set("text", text_format(request.response_format.as_ref())?.map(|format| json!({"format": format})));
    set("top_logprobs", request.top_logprobs.filter(|_| request.logprobs).map(Value::from));
    // Every request holds the whole conversation, so nothing needs to be kept there.
    set("store", Some(false.into()));
    options::merge(&mut body, &request.options);
    include(&mut body, request, is_stored);
    body.insert("stream".into(), true.into());
    refuse_stop(request)?;

    let mut http = openai::post(upstream, "/responses", &request.model, &Value::Object(body));
    warn(&mut http, request);
    http.set_configured_headers(upstream);
    Ok(http)
}

/// The API has no stop strings. Leaving them out would give an answer that goes on past them.
fn refuse_stop(request: &ModelRequest) -> Result<(), ErrorInfo> {
    if request.stop.as_ref().is_none_or(|stop| stop.as_slice().is_empty()) {
        return Ok(());
    }
    Err(ErrorInfo::new(ErrorCode::NotSupported, "this API has no stop strings").with_field("stop"))
}

fn warn(http: &mut HttpRequest, request: &ModelRequest) {
    let left_out = [
        ("seed", request.seed.is_some()),
        ("top_k", request.top_k.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("reasoning_budget", request.reasoning_budget.is_some()),
    ];
    for (field, _) in left_out.into_iter().filter(|(_, is_asked)| *is_asked) {
        http.warn(field, "left out: this API does not have it");
    }
    if request.top_logprobs.is_some() && !request.logprobs {
        http.warn("top_logprobs", "left out: `logprobs` is not asked for");
    }
    if request.max_tokens.is_some_and(|tokens| tokens < MIN_OUTPUT_TOKENS) {
        http.warn("max_tokens", format!("raised to {MIN_OUTPUT_TOKENS}, the least that this API accepts"));
    }
    for (position, message) in request.messages.iter().enumerate() {
        if message.extra.contains_key("name") && message.role != Role::Tool {
            http.warn(format!("messages[{position}].name"), "left out: this API does not have it");
        }
    }
}

/// How many messages at the start are instructions in plain text; 0 where nothing else follows.
fn leading_instructions(messages: &[Message]) -> usize {
    let is_text = |message: &Message| match &message.content {
        Some(Content::Parts(parts)) => parts.iter().all(|part| part.as_text().is_some()),
        _ => true,
    };
    let is_instruction =
        |message: &&Message| matches!(message.role, Role::System | Role::Developer) && is_text(message);
    let count = messages.iter().take_while(is_instruction).count();
    if count == messages.len() { 0 } else { count }
}

fn joined(messages: &[Message]) -> String {
    messages.iter().map(Message::plain_text).collect::<Vec<_>>().join("\n\n")
}

/// The conversation as items. `skipped` messages came before it.
fn input(messages: &[Message], skipped: usize, is_stored: bool, upstream: &Upstream) -> Result<Value, ErrorInfo> {
    let mut items = Vec::new();
    // Their results are items of another type.
    let mut custom_calls = HashSet::new();
    for (position, message) in messages.iter().enumerate() {
        let at = |error: ErrorInfo| {
            let inner = error.field.clone().unwrap_or_default();
            error.with_field(format!("messages[{}].content{inner}", skipped + position))
        };
        match message.role {
            Role::System | Role::Developer | Role::User => {
                let role = match message.role {
                    Role::User => "user",
                    Role::Developer if upstream.quirks.developer_role => "developer",
                    _ => "system",
                };
                let content = match &message.content {
                    None => "".into(),
                    Some(content) => self::content(content).map_err(at)?,
                };
                items.push(json!({"role": role, "content": content}));
            }
            Role::Assistant => match native(message, upstream) {
                Some(answer) => {
                    let calls = answer.iter().filter(|item| text(item, "type") == "custom_tool_call");
                    custom_calls.extend(calls.map(|item| text(item, "call_id")));
                    let before = items.len();
                    items.extend(answer.iter().filter_map(|item| replayed(item, message, is_stored)));
                    // Of an answer that broke off. The API refuses reasoning without what it led to.
                    while items.len() > before && items.pop_if(|item| text(item, "type") == "reasoning").is_some() {}
                }
                None => answer(message, &mut items).map_err(at)?,
            },
            Role::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                let kind = if custom_calls.contains(id) { "custom_tool_call_output" } else { "function_call_output" };
                let output = match &message.content {
                    None => "".into(),
                    Some(content) => self::content(content).map_err(at)?,
                };
                items.push(json!({"type": kind, "call_id": CallIdRule::Short.apply(id), "output": output}));
            }
        }
    }
    Ok(Value::Array(items))
}

/// The items of an earlier answer of this provider.
fn native<'m>(message: &'m Message, upstream: &Upstream) -> Option<&'m [Value]> {
    let native = message.native.as_ref().filter(|native| native.provider == upstream.name)?;
    native.content.as_array().map(Vec::as_slice)
}

/// An item of an answer as it goes back. `None`: the server would look for what it has not kept.
fn replayed(item: &Value, message: &Message, is_stored: bool) -> Option<Value> {
    let mut item = item.clone();
    // Who approved the call may have changed its arguments.
    if text(&item, "type") == "function_call"
        && let Some(call) = message.tool_calls.iter().find(|call| call.id == text(&item, "call_id"))
        && !is_same_json(&call.function.arguments, text(&item, "arguments"))
    {
        item["arguments"] = call.function.arguments.as_str().into();
    }
    if let Some(call_id) = item.get("call_id").and_then(Value::as_str) {
        let call_id = CallIdRule::Short.apply(call_id).into_owned();
        item["call_id"] = call_id.into();
    }
    if text(&item, "type") != "reasoning" {
        return Some(item);
    }
    let is_whole = !text(&item, "encrypted_content").is_empty() || !list(&item["content"]).is_empty();
    if let Value::Object(fields) = &mut item {
        // They come like this, and are refused like this.
        fields.retain(|name, value| !value.is_null() && (name != "content" || !list(value).is_empty()));
    }
    (is_whole || is_stored).then_some(item)
}

/// Whether two texts hold the same arguments; the empty one holds none.
fn is_same_json(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(if text.trim().is_empty() { "{}" } else { text }).ok();
    one == other || read(one).is_some_and(|value| Some(value) == read(other))
}

/// An earlier answer, from its text and its calls.
fn answer(message: &Message, items: &mut Vec<Value>) -> Result<(), ErrorInfo> {
    if let Some(Content::Parts(parts)) = &message.content
        && let Some(position) = parts.iter().position(|part| part.as_text().is_none())
    {
        let error = ErrorInfo::new(ErrorCode::NotSupported, "this API takes only text in an earlier answer");
        return Err(error.with_field(format!("[{position}]")));
    }
    let text = match message.plain_text() {
        text if text.is_empty() => message.extra.get("refusal").and_then(Value::as_str).unwrap_or_default().to_owned(),
        text => text,
    };
    if !text.is_empty() {
        items.push(json!({"role": "assistant", "content": text}));
    }
    items.extend(message.tool_calls.iter().map(|call| {
        let arguments = if call.function.arguments.trim().is_empty() { "{}" } else { &call.function.arguments };
        let call_id = CallIdRule::Short.apply(&call.id);
        json!({"type": "function_call", "call_id": call_id, "name": call.function.name, "arguments": arguments})
    }));
    Ok(())
}

/// Text as a string, parts as parts. An error's field is the part's place: `[0]`.
fn content(content: &Content) -> Result<Value, ErrorInfo> {
    match content {
        Content::Text(text) => Ok(text.as_str().into()),
        Content::Parts(parts) if parts.iter().all(|part| part.as_text().is_some()) => Ok(content.plain_text().into()),
        Content::Parts(parts) => parts
            .iter()
            .enumerate()
            .map(|(position, part)| self::part(part).map_err(|error| error.with_field(format!("[{position}]"))))
            .collect(),
    }
}

fn part(part: &Part) -> Result<Value, ErrorInfo> {
    Ok(match part {
        Part::Text { text, .. } => json!({"type": "input_text", "text": text}),
        Part::ImageUrl { image_url, .. } => {
            let detail = image_url.detail.as_deref().unwrap_or("auto");
            json!({"type": "input_image", "image_url": image_url.url, "detail": detail})
        }
        Part::InputAudio { .. } => return Err(ErrorInfo::new(ErrorCode::NotSupported, "this API takes no audio")),
        Part::File { file, .. } => {
            let mut input = Map::new();
            input.insert("type".into(), "input_file".into());
            for name in ["file_id", "file_url", "file_data", "filename"] {
                if let Some(value) = file.get(name).filter(|value| value.is_string()) {
                    input.insert(name.into(), value.clone());
                }
            }
            if !["file_id", "file_url", "file_data"].iter().any(|name| input.contains_key(*name)) {
                return Err(ErrorInfo::new(ErrorCode::BadField, "expected `file_data`, `file_id` or `file_url`"));
            }
            Value::Object(input)
        }
    })
}

fn tool(tool: &Tool) -> Value {
    let function = &tool.function;
    let mut value = json!({
        "type": "function",
        "name": function.name,
        "parameters": function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        // The API's own default is true, which refuses schemas that are fine elsewhere.
        "strict": function.strict.unwrap_or(false),
    });
    if let Some(description) = &function.description {
        value["description"] = description.as_str().into();
    }
    value
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Function(name) => json!({"type": "function", "name": name}),
        choice => json!(choice),
    }
}

fn reasoning(effort: &str) -> Value {
    match effort {
        "none" => json!({"effort": effort}),
        effort => json!({"effort": effort, "summary": "auto"}),
    }
}

/// The shape of the answer, which chat completions nest one level deeper.
fn text_format(format: Option<&Value>) -> Result<Option<Value>, ErrorInfo> {
    let Some(format) = format else { return Ok(None) };
    match text(format, "type") {
        "text" => Ok(None),
        "json_object" => Ok(Some(json!({"type": "json_object"}))),
        "json_schema" => {
            let mut flat = match &format["json_schema"] {
                Value::Object(schema) => schema.clone(),
                _ => Map::new(),
            };
            flat.insert("type".into(), "json_schema".into());
            flat.entry("name").or_insert_with(|| "answer".into());
            Ok(Some(Value::Object(flat)))
        }
        _ => {
            let message = "expected the type text, json_object or json_schema";
            Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"))
        }
    }
}

/// Adds what the answer must hold beside the items themselves to what the options ask for.
fn include(body: &mut Map<String, Value>, request: &ModelRequest, is_stored: bool) {
    let mut wanted = Vec::new();
    if !is_stored && may_reason(request) {
        wanted.push(ENCRYPTED_REASONING);
    }
    if request.logprobs {
        wanted.push("message.output_text.logprobs");
    }
    if wanted.is_empty() {
        return;
    }
    if let Value::Array(include) = body.entry("include").or_insert_with(|| json!([])) {
        let missing: Vec<Value> = wanted.into_iter().map(Value::from).filter(|name| !include.contains(name)).collect();
        include.extend(missing);
    }
}

/// Whether the answer may hold reasoning. Models that cannot reason refuse to be asked for it.
fn may_reason(request: &ModelRequest) -> bool {
    if let Some(effort) = &request.reasoning_effort {
        return effort != "none";
    }
    let model = request.model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_o_series = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_gpt = model.starts_with("gpt-5") && !model.contains("chat");
    let is_grok = model.starts_with("grok-4") && !model.contains("non-reasoning");
    is_o_series || is_gpt || is_grok || model.contains("codex")
}
