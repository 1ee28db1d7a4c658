//! Requests of `streamGenerateContent`.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Message, Part, Tool, ToolChoice},
};

use super::{
    super::{HttpRequest, ModelRequest, Upstream, google, options, vendors::Host},
    contents,
    model::Model,
};

/// The most stop strings that the API takes.
const MAX_STOPS: usize = 5;

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let model = Model::new(&request.model);
    let (config, mut warnings) = generation_config(request, model)?;
    let mut body = Map::new();
    body.insert("contents".into(), contents::contents(&request.messages, model, upstream)?);
    if let Some(system) = contents::system(&request.messages)? {
        body.insert("systemInstruction".into(), system);
    }
    if !request.tools.is_empty() {
        let declarations: Vec<Value> = request.tools.iter().map(declaration).collect();
        body.insert("tools".into(), json!([{"functionDeclarations": declarations}]));
        if let Some(choice) = &request.tool_choice {
            body.insert("toolConfig".into(), json!({"functionCallingConfig": function_calling(choice)}));
        }
        if request.parallel_tool_calls == Some(false) {
            let message = "this provider cannot be kept from calling several tools in one turn";
            warnings.push(("parallel_tool_calls".to_owned(), message));
        }
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), config.into());
    }
    warnings.extend(image_details(&request.messages));
    options::merge(&mut body, &request.options);

    let path = match upstream.quirks.host {
        Host::Own | Host::Azure | Host::Foundry => {
            format!("/v1beta/{}", google::model_path(&request.model, &["models", "tunedModels"])?)
        }
        // Bedrock has no Gemini.
        Host::Vertex | Host::Bedrock => {
            format!("/{}", google::model_path(&request.model, &["publishers/google/models", "endpoints"])?)
        }
    };
    let mut http = HttpRequest::post(upstream, &format!("{path}:streamGenerateContent?alt=sse"), &Value::Object(body));
    for (field, message) in warnings {
        http.warn(field, message);
    }
    google::set_key(&mut http, upstream);
    http.set_configured_headers(upstream);
    Ok(http)
}

/// The request that lists the models.
pub(super) fn models(upstream: &Upstream) -> HttpRequest {
    let mut http = HttpRequest::get(upstream, "/v1beta/models?pageSize=1000");
    google::set_key(&mut http, upstream);
    http.set_configured_headers(upstream);
    http
}

/// A tool. The schema goes into the field that takes JSON Schema as it is: the older one takes a small part of it, and
/// refuses a request for any word beyond that.
fn declaration(tool: &Tool) -> Value {
    let function = &tool.function;
    let mut declaration = json!({"name": function.name});
    if let Some(description) = &function.description {
        declaration["description"] = description.as_str().into();
    }
    if let Some(schema) = &function.parameters
        && has_properties(schema)
    {
        declaration["parametersJsonSchema"] = without_dialect(schema);
    }
    declaration
}

/// An object without properties is refused: such a tool has no parameters.
fn has_properties(schema: &Value) -> bool {
    let is_plain_object = schema["type"] == "object"
        && schema.as_object().is_some_and(|schema| {
            schema.keys().all(|key| {
                matches!(
                    key.as_str(),
                    "type" | "properties" | "required" | "additionalProperties" | "$schema" | "title" | "description"
                )
            })
        });
    let is_empty = schema["properties"].as_object().is_none_or(Map::is_empty);
    schema.is_object() && !(is_plain_object && is_empty)
}

/// Without the word that says which JSON Schema it is.
fn without_dialect(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    schema
}

fn function_calling(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Function(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    }
}

type Warnings = Vec<(String, &'static str)>;

fn generation_config(request: &ModelRequest, model: Model<'_>) -> Result<(Map<String, Value>, Warnings), ErrorInfo> {
    let mut warnings = Warnings::new();
    let stops = request.stop.as_ref().map(|stop| stop.as_slice()).unwrap_or_default();
    if stops.len() > MAX_STOPS {
        let error = ErrorInfo::new(ErrorCode::NotSupported, "this provider takes at most 5 stop strings");
        return Err(error.with_field("stop"));
    }
    let seed = request.seed.and_then(|seed| i32::try_from(seed).ok());
    if request.seed.is_some() && seed.is_none() {
        warnings.push(("seed".to_owned(), "this provider takes only seeds of 32 bits"));
    }
    if request.top_logprobs.is_some() && !request.logprobs {
        warnings.push(("top_logprobs".to_owned(), "it counts only together with `logprobs`"));
    }
    let (thinking, warning) = model.thinking(request)?;
    let asked_by = if request.reasoning_budget.is_some() { "reasoning_budget" } else { "reasoning_effort" };
    warnings.extend(warning.map(|message| (asked_by.to_owned(), message)));
    let (format, schema) = response_format(request.response_format.as_ref())?;
    let fields = [
        ("temperature", request.temperature.map(Value::from)),
        ("topP", request.top_p.map(Value::from)),
        ("topK", request.top_k.map(Value::from)),
        ("maxOutputTokens", request.max_tokens.map(Value::from)),
        ("stopSequences", (!stops.is_empty()).then(|| json!(stops))),
        ("seed", seed.map(Value::from)),
        ("presencePenalty", request.presence_penalty.map(Value::from)),
        ("frequencyPenalty", request.frequency_penalty.map(Value::from)),
        ("responseMimeType", format.map(Value::from)),
        ("responseJsonSchema", schema),
        ("responseLogprobs", request.logprobs.then_some(Value::Bool(true))),
        ("logprobs", request.top_logprobs.filter(|top| request.logprobs && *top > 0).map(Value::from)),
        ("thinkingConfig", thinking),
    ];
    let config = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Ok((config, warnings))
}

/// The media type of the answer, and its schema.
fn response_format(format: Option<&Value>) -> Result<(Option<&'static str>, Option<Value>), ErrorInfo> {
    const JSON: &str = "application/json";
    let Some(format) = format else { return Ok((None, None)) };
    match format["type"].as_str() {
        Some("text") => Ok((None, None)),
        Some("json_object") => Ok((Some(JSON), None)),
        Some("json_schema") => {
            let schema = &format["json_schema"]["schema"];
            Ok((Some(JSON), schema.is_object().then(|| without_dialect(schema))))
        }
        _ => {
            let message = "this provider takes no response format but text, json_object and json_schema";
            Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("response_format"))
        }
    }
}

/// How closely to look at an image can be said for all of them only.
fn image_details(messages: &[Message]) -> Warnings {
    let mut warnings = Warnings::new();
    for (position, message) in messages.iter().enumerate() {
        let Some(Content::Parts(parts)) = &message.content else { continue };
        for (part_position, part) in parts.iter().enumerate() {
            if let Part::ImageUrl { image_url, .. } = part
                && image_url.detail.as_deref().is_some_and(|detail| detail != "auto")
            {
                let field = format!("messages[{position}].content[{part_position}].image_url.detail");
                let message = "this provider takes it for all images at once, as `generationConfig.mediaResolution`";
                warnings.push((field, message));
            }
        }
    }
    warnings
}
