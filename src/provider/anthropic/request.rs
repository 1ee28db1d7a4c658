//! Requests of Anthropic Messages.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Tool, ToolChoice},
};

use super::{
    super::{HttpRequest, ModelRequest, Upstream, bedrock, google, options, vendors::Host},
    messages::{self, Conversation},
    thinking::{Thinking, version},
};

/// The most tokens of an answer when the request does not say: the API wants a number. Thinking
/// comes on top. Fits every model from Claude 3.5 on.
pub const DEFAULT_MAX_TOKENS: u64 = 8192;

/// What Claude 3 models write at most.
const OLD_MAX_TOKENS: u64 = 4096;

/// The most marks of what is worth caching. The API refuses more.
const MAX_CACHE_MARKS: usize = 4;

/// What switches on files that were uploaded before.
const FILES_BETA: &str = "files-api-2025-04-14";

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let mut http = match upstream.quirks.host {
        Host::Own | Host::Azure | Host::Foundry => HttpRequest::post(upstream, "/v1/messages", &Value::Null),
        Host::Vertex => {
            let path = google::model_path(&request.model, &["publishers/anthropic/models"])?;
            HttpRequest::post(upstream, &format!("/{path}:streamRawPredict"), &Value::Null)
        }
        Host::Bedrock => bedrock::post(upstream, &request.model, "invoke-with-response-stream"),
    };
    let mut body = body(request, upstream, &mut http)?;
    if upstream.quirks.host != Host::Bedrock {
        body.insert("stream".into(), true.into());
    }
    // The SDKs' name for a header.
    let betas = body.remove("betas");
    authorize(&mut http, upstream);
    add_betas(&mut http, betas.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
    if upstream.quirks.host == Host::Bedrock
        && let Some(betas) = http.take_header("anthropic-beta")
    {
        let betas = betas.split(',').map(str::trim).collect();
        body.entry("anthropic_beta").or_insert(betas);
    }
    http.body = Value::Object(body).to_string().into_bytes();
    Ok(http)
}

/// The request that lists the models. `None`: Vertex and Bedrock have no such list.
pub(super) fn models(upstream: &Upstream) -> Option<HttpRequest> {
    if matches!(upstream.quirks.host, Host::Vertex | Host::Bedrock) {
        return None;
    }
    let mut http = HttpRequest::get(upstream, "/v1/models?limit=1000");
    authorize(&mut http, upstream);
    Some(http)
}

fn authorize(http: &mut HttpRequest, upstream: &Upstream) {
    match upstream.quirks.host {
        Host::Own | Host::Azure | Host::Foundry => {
            http.set_header("anthropic-version", "2023-06-01");
            if let Some(key) = &upstream.key {
                http.set_header("x-api-key", key.expose());
            }
        }
        Host::Vertex => google::set_key(http, upstream),
        Host::Bedrock => bedrock::set_key(http, upstream),
    }
    let betas = http.header("anthropic-beta").map(str::to_owned);
    http.set_configured_headers(upstream);
    add_betas(http, betas.iter().flat_map(|betas| betas.split(',')));
}

/// Names more features that are not for everybody yet, beside those that are named already.
fn add_betas<'b>(http: &mut HttpRequest, betas: impl IntoIterator<Item = &'b str>) {
    let mut all = http.header("anthropic-beta").unwrap_or_default().to_owned();
    for beta in betas {
        if !all.split(',').any(|other| other.trim() == beta) {
            let comma = if all.is_empty() { "" } else { "," };
            all.push_str(comma);
            all.push_str(beta);
        }
    }
    if !all.is_empty() {
        http.set_header("anthropic-beta", all);
    }
}

/// The body, but for `stream`. What it leaves out is said in `http`, whose header `anthropic-beta` it sets.
fn body(request: &ModelRequest, upstream: &Upstream, http: &mut HttpRequest) -> Result<Map<String, Value>, ErrorInfo> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let thinking = Thinking::of(request, &upstream.name, http)?;
    let Conversation { system, messages, container, has_file_ids } = messages::conversation(request, &upstream.name)?;
    if has_file_ids {
        add_betas(http, [FILES_BETA]);
    }
    match upstream.quirks.host {
        Host::Own | Host::Azure | Host::Foundry => set("model", Some(request.model.as_str().into())),
        Host::Vertex => set("anthropic_version", Some("vertex-2023-10-16".into())),
        Host::Bedrock => set("anthropic_version", Some("bedrock-2023-05-31".into())),
    }
    set("max_tokens", Some(max_tokens(request, thinking).into()));
    set("system", system);
    set("messages", Some(messages));
    set("container", container.map(Value::from));
    if !request.tools.is_empty() {
        set(
            "tools",
            Some(request.tools.iter().enumerate().map(|(at, tool)| self::tool(tool, at, request, http)).collect()),
        );
    }
    set("tool_choice", tool_choice(request)?);
    for (name, value) in sampling(request, thinking, http) {
        set(name, value);
    }
    let stops = request.stop.as_ref().map(|stop| stop.as_slice()).unwrap_or_default();
    set("stop_sequences", (!stops.is_empty()).then(|| json!(stops)));
    set("thinking", thinking.field(&request.model));
    set("output_config", output_config(request, thinking)?);
    drop_what_is_unknown(request, http)?;
    limit_cache_marks(&mut body);
    options::merge(&mut body, &request.options);
    Ok(body)
}

/// What the API has no field for.
fn drop_what_is_unknown(request: &ModelRequest, http: &mut HttpRequest) -> Result<(), ErrorInfo> {
    if request.logprobs {
        let message = "this provider does not say how likely its tokens were";
        return Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("logprobs"));
    }
    let unknown = [
        ("seed", request.seed.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("top_logprobs", request.top_logprobs.is_some()),
    ];
    for (field, _) in unknown.into_iter().filter(|(_, is_set)| *is_set) {
        http.warn(field, "this provider has no such setting, so it was left out");
    }
    Ok(())
}

/// Temperature and its like, as far as the model takes them.
pub(in crate::provider) fn sampling(
    request: &ModelRequest,
    thinking: Thinking,
    http: &mut HttpRequest,
) -> [(&'static str, Option<Value>); 3] {
    let ModelRequest { mut temperature, mut top_p, mut top_k, .. } = *request;
    let version = version(&request.model);
    let refusal = match () {
        () if version >= (4, 7) => Some("this model takes none, so it was left out"),
        // Only the default is taken beside thinking, and it need not be sent.
        () if !thinking.is_off() => Some("this provider takes none beside thinking, so it was left out"),
        () => None,
    };
    if let Some(refusal) = refusal {
        let given = [
            ("temperature", temperature.is_some_and(|t| t != 1.0)),
            ("top_p", top_p.is_some()),
            ("top_k", top_k.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, is_set)| *is_set) {
            http.warn(field, refusal);
        }
        (temperature, top_p, top_k) = (None, None, None);
    }
    if let Some(value) = &mut temperature {
        let clamped = value.clamp(0.0, 1.0);
        if clamped != *value {
            http.warn("temperature", format!("this provider takes 0 to 1, so it was asked for {clamped}"));
        }
        *value = clamped;
    }
    if temperature.is_some() && top_p.is_some() && version >= (4, 1) {
        http.warn("top_p", "this model takes no top_p beside a temperature, so it was left out");
        top_p = None;
    }
    [
        ("temperature", temperature.map(Value::from)),
        ("top_p", top_p.map(Value::from)),
        ("top_k", top_k.map(Value::from)),
    ]
}

fn tool(tool: &Tool, at: usize, request: &ModelRequest, http: &mut HttpRequest) -> Value {
    let function = &tool.function;
    let schema = function.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut value = json!({"name": function.name, "input_schema": schema});
    if let Some(description) = &function.description {
        value["description"] = description.as_str().into();
    }
    match function.strict {
        Some(true) if has_schemas(&request.model) => value["strict"] = true.into(),
        Some(true) => {
            http.warn(format!("tools[{at}].function.strict"), "this model does not promise to keep to schemas")
        }
        _ => {}
    }
    if let Some(cache_control) = &tool.cache_control {
        value["cache_control"] = json!(cache_control);
    }
    value
}

fn tool_choice(request: &ModelRequest) -> Result<Option<Value>, ErrorInfo> {
    // Tools of the provider's own come with the options.
    if request.tools.is_empty() && !request.options.contains_key("tools") {
        return match request.tool_choice {
            None | Some(ToolChoice::Auto | ToolChoice::None) => Ok(None),
            Some(_) => {
                let message = "a tool must be called, but there is none";
                Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("tool_choice"))
            }
        };
    }
    let is_one_at_a_time = request.parallel_tool_calls == Some(false);
    let mut choice = match &request.tool_choice {
        None if !is_one_at_a_time => return Ok(None),
        Some(ToolChoice::None) => return Ok(Some(json!({"type": "none"}))),
        None | Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::Required) => json!({"type": "any"}),
        Some(ToolChoice::Function(name)) => json!({"type": "tool", "name": name}),
    };
    if is_one_at_a_time {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Ok(Some(choice))
}

/// Whether the model takes the beginning of its answer: those from 4.6 on do not. It does not think then.
pub(super) fn prefills(request: &ModelRequest) -> bool {
    ((3, 0)..(4, 6)).contains(&version(&request.model))
}

fn max_tokens(request: &ModelRequest, thinking: Thinking) -> u64 {
    request.max_tokens.unwrap_or(match thinking {
        Thinking::Off if version(&request.model) == (3, 0) => OLD_MAX_TOKENS,
        Thinking::Off => DEFAULT_MAX_TOKENS,
        Thinking::Budget(tokens) => DEFAULT_MAX_TOKENS + tokens,
        Thinking::Adaptive(_) => 4 * DEFAULT_MAX_TOKENS,
    })
}

fn output_config(request: &ModelRequest, thinking: Thinking) -> Result<Option<Value>, ErrorInfo> {
    let mut config = Map::new();
    if let Thinking::Adaptive(effort) = thinking {
        config.insert("effort".into(), effort.into());
    }
    let refuse =
        |message: &'static str| Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"));
    match request.response_format.as_ref().map(|format| (format["type"].as_str(), format)) {
        None | Some((Some("text"), _)) => {}
        Some((Some("json_schema"), format)) if has_schemas(&request.model) => {
            let schema = format["json_schema"]["schema"].clone();
            config.insert("format".into(), json!({"type": "json_schema", "schema": schema}));
        }
        Some((Some("json_schema"), _)) => return refuse("this model does not keep to schemas"),
        Some(_) => return refuse("this provider takes no response format but text and json_schema"),
    }
    Ok((!config.is_empty()).then_some(Value::Object(config)))
}

/// Whether the model keeps to JSON schemas: Claude models from 4.1 on. Other models may.
pub(in crate::provider) fn has_schemas(model: &str) -> bool {
    let version = version(model);
    version == (0, 0) || version >= (4, 1)
}

/// Takes away the first marks when there are too many: the later ones hold for more.
fn limit_cache_marks(body: &mut Map<String, Value>) {
    let mut marked: Vec<&mut Value> = Vec::new();
    // In the order in which the API reads them. Fields of a map are borrowed one by one.
    let (mut tools, mut system, mut messages) = (None, None, None);
    for (name, value) in body.iter_mut() {
        match name.as_str() {
            "tools" => tools = value.as_array_mut(),
            "system" => system = value.as_array_mut(),
            "messages" => messages = value.as_array_mut(),
            _ => {}
        }
    }
    marked.extend(tools.into_iter().flatten());
    marked.extend(system.into_iter().flatten());
    for message in messages.into_iter().flatten() {
        marked.extend(message["content"].as_array_mut().into_iter().flatten());
    }
    marked.retain(|block| block.get("cache_control").is_some());
    let surplus = marked.len().saturating_sub(MAX_CACHE_MARKS);
    for block in marked.into_iter().take(surplus) {
        if let Some(block) = block.as_object_mut() {
            block.remove("cache_control");
        }
    }
}
