//! Requests of chat completions.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Tool, ToolChoice},
};

use super::{
    super::{
        HttpRequest, ModelRequest, Upstream, openai, options,
        rules::{Lack, ModelRule},
        vendors::{Effort, Quirks},
    },
    messages,
};

pub(super) fn build(request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
    let model = Model::of(request, &upstream.quirks);
    let quirks = model.quirks;
    let mut http = openai::post(upstream, "/chat/completions", &request.model, &Value::Null);
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("messages".into(), messages::messages(&request.messages, &model, &upstream.name)?);
    let is_called = tools(request, &model, &mut body, &mut http)?;
    sampling(request, &model, &mut body, &mut http)?;
    if let Some(format) = response_format(request, &model)? {
        body.insert("response_format".into(), format);
    }
    thinking(request, &model, is_called, &mut body, &mut http);
    for (name, value) in model.rule.map_or(&[][..], |rule| rule.adds) {
        body.insert((*name).into(), (*value).into());
    }
    if quirks.include_usage {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    options::merge(&mut body, &request.options);
    body.insert("stream".into(), true.into());
    http.body = Value::Object(body).to_string().into_bytes();
    http.set_configured_headers(upstream);
    Ok(http)
}

/// The model that is asked: its vendor's quirks, and its own.
pub(super) struct Model<'q> {
    pub quirks: &'q Quirks,
    rule: Option<&'q ModelRule>,
    is_thinking: bool,
}

impl<'q> Model<'q> {
    fn of(request: &ModelRequest, quirks: &'q Quirks) -> Self {
        let is_thinking = request.reasoning_effort.as_deref() != Some("none");
        Self { quirks, rule: ModelRule::of(quirks.model_rules, &request.model), is_thinking }
    }

    /// Whether the vendor or the model refuses this.
    pub(super) fn lacks(&self, lack: Lack) -> bool {
        let of_model = |rule: &ModelRule| {
            rule.lacks.contains(&lack) || (self.is_thinking && rule.lacks_while_thinking.contains(&lack))
        };
        self.quirks.lacks.contains(&lack) || self.rule.is_some_and(of_model)
    }

    /// An error if it is asked for and refused.
    fn require(&self, lack: Lack, is_asked: bool, field: &str, message: &'static str) -> Result<(), ErrorInfo> {
        match is_asked && self.lacks(lack) {
            true => Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field(field)),
            false => Ok(()),
        }
    }
}

/// The tools and the choice among them. Returns whether one must be called.
fn tools(
    request: &ModelRequest,
    model: &Model<'_>,
    body: &mut Map<String, Value>,
    http: &mut HttpRequest,
) -> Result<bool, ErrorInfo> {
    model.require(Lack::Tools, !request.tools.is_empty(), "tools", "this provider calls no tools here")?;
    let choice = request.tool_choice.as_ref();
    let is_called = matches!(choice, Some(ToolChoice::Required | ToolChoice::Function(_)));
    // Tools of the provider's own come with the options.
    if request.tools.is_empty() && !request.options.contains_key("tools") {
        if is_called {
            let error = ErrorInfo::new(ErrorCode::BadField, "a tool must be called, but there is none");
            return Err(error.with_field("tool_choice"));
        }
        return Ok(false);
    }
    model.require(Lack::ToolChoice, is_called, "tool_choice", "this provider cannot be told to call a tool")?;
    if model.lacks(Lack::ToolChoice) && choice == Some(&ToolChoice::None) {
        // What it does not know, it does not call.
        return Ok(false);
    }
    if !request.tools.is_empty() {
        let marks = model.quirks.cache_control;
        body.insert("tools".into(), request.tools.iter().map(|tool| self::tool(tool, marks)).collect());
    }
    if let Some(choice) = choice.filter(|_| !model.lacks(Lack::ToolChoice)) {
        body.insert("tool_choice".into(), json!(choice));
    }
    if let Some(parallel) = request.parallel_tool_calls {
        if !model.lacks(Lack::ParallelToolCalls) {
            body.insert("parallel_tool_calls".into(), parallel.into());
        } else if !parallel {
            http.warn("parallel_tool_calls", "this model decides itself how many tools it calls at a time");
        }
    }
    Ok(is_called)
}

fn tool(tool: &Tool, marks: bool) -> Value {
    let mut value = json!(tool);
    // Several vendors require parameters.
    if tool.function.parameters.is_none() {
        value["function"]["parameters"] = json!({"type": "object", "properties": {}});
    }
    if let Some(value) = value.as_object_mut().filter(|_| !marks) {
        value.remove("cache_control");
    }
    value
}

/// How tokens are drawn, and where to stop.
fn sampling(
    request: &ModelRequest,
    model: &Model<'_>,
    body: &mut Map<String, Value>,
    http: &mut HttpRequest,
) -> Result<(), ErrorInfo> {
    let quirks = model.quirks;
    let stop = request.stop.as_ref().filter(|stop| !stop.as_slice().is_empty());
    model.require(Lack::Stop, stop.is_some(), "stop", "this model takes no stop sequences")?;
    model.require(
        Lack::Logprobs,
        request.logprobs,
        "logprobs",
        "this model does not say how likely its tokens were",
    )?;
    let temperature = request.temperature.map(|temperature| {
        let clamped = temperature.clamp(0.0, quirks.max_temperature);
        if clamped != temperature && !model.lacks(Lack::Temperature) {
            let max = quirks.max_temperature;
            http.warn("temperature", format!("this provider takes 0 to {max}, so it was asked for {clamped}"));
        }
        clamped
    });
    // The default is taken by those, too, that take nothing else.
    let is_default = |value: Option<f64>| value == Some(1.0);
    let soft = [
        (Lack::Temperature, "temperature", temperature.map(Value::from), is_default(temperature)),
        (Lack::TopP, "top_p", request.top_p.map(Value::from), is_default(request.top_p)),
        (Lack::TopK, "top_k", request.top_k.map(Value::from), false),
        (Lack::Penalties, "presence_penalty", request.presence_penalty.map(Value::from), false),
        (Lack::Penalties, "frequency_penalty", request.frequency_penalty.map(Value::from), false),
        (Lack::Seed, "seed", request.seed.map(Value::from), false),
        (Lack::Logprobs, "top_logprobs", request.top_logprobs.map(Value::from), false),
    ];
    for (lack, field, value, is_default) in soft {
        let Some(value) = value else { continue };
        if field == "top_logprobs" && !request.logprobs {
            http.warn(field, "there is nothing to name them beside without `logprobs`");
        } else if !model.lacks(lack) || is_default {
            let name = if field == "seed" { quirks.seed_field } else { field };
            body.insert(name.into(), value);
        } else {
            http.warn(field, "this model takes no other than its own, so it was left out");
        }
    }
    if request.logprobs {
        body.insert("logprobs".into(), true.into());
    }
    if let Some(stop) = stop {
        body.insert("stop".into(), json!(stop));
    }
    if let Some(max_tokens) = request.max_tokens {
        body.insert(quirks.max_tokens_field.into(), max_tokens.into());
    }
    Ok(())
}

fn response_format(request: &ModelRequest, model: &Model<'_>) -> Result<Option<Value>, ErrorInfo> {
    let Some(format) = &request.response_format else { return Ok(None) };
    let field = "response_format";
    let kind = format["type"].as_str();
    model.require(Lack::JsonSchema, kind == Some("json_schema"), field, "this provider keeps to no schema")?;
    model.require(Lack::JsonObject, kind == Some("json_object"), field, "this provider wants a schema for JSON")?;
    Ok(Some(format.clone()))
}

/// How long to think. `is_called`: a tool must be called.
fn thinking(
    request: &ModelRequest,
    model: &Model<'_>,
    is_called: bool,
    body: &mut Map<String, Value>,
    http: &mut HttpRequest,
) {
    let place = model.rule.and_then(|rule| rule.effort).unwrap_or(model.quirks.effort);
    let mut effort = request.reasoning_effort.as_deref();
    let mut budget = request.reasoning_budget;
    let switch = |is_on: bool| json!({"type": if is_on { "enabled" } else { "disabled" }});
    if is_called && model.quirks.calls_without_thinking {
        let fields = [
            ("reasoning_effort", effort.is_some_and(|effort| effort != "none")),
            ("reasoning_budget", budget > Some(0)),
        ];
        for (field, _) in fields.into_iter().filter(|(_, is_asked)| *is_asked) {
            http.warn(field, "this provider thinks only where no tool must be called");
        }
        body.insert("thinking".into(), switch(false));
        return;
    }
    if effort.is_some() && model.lacks(Lack::Effort) {
        http.warn("reasoning_effort", "this model decides itself how long it thinks");
        effort = None;
    }
    let counts = matches!(place, Effort::Object | Effort::EnableThinking);
    if !counts && budget.take().is_some_and(|budget| budget > 0) {
        http.warn("reasoning_budget", "this provider counts no tokens of thinking");
    }
    if effort.is_none() && budget.is_none() {
        return;
    }
    let is_on = budget.map_or(effort != Some("none"), |budget| budget > 0);
    let effort = effort.unwrap_or("medium");
    let (name, value) = match place {
        Effort::Field => ("reasoning_effort", effort.into()),
        Effort::Object => match budget {
            Some(budget) if budget > 0 => ("reasoning", json!({"max_tokens": budget})),
            Some(_) => ("reasoning", json!({"effort": "none"})),
            None => ("reasoning", json!({"effort": effort})),
        },
        Effort::Thinking => ("thinking", switch(is_on)),
        Effort::ThinkingAndField => {
            if is_on {
                let effort = match effort {
                    "minimal" => "low",
                    "xhigh" => "max",
                    effort => effort,
                };
                body.insert("reasoning_effort".into(), effort.into());
            }
            ("thinking", switch(is_on))
        }
        Effort::EnableThinking => {
            if let Some(budget) = budget.filter(|budget| *budget > 0) {
                body.insert("thinking_budget".into(), budget.into());
            }
            ("enable_thinking", is_on.into())
        }
        Effort::PromptMode => ("prompt_mode", if is_on { "reasoning".into() } else { Value::Null }),
        Effort::TemplateArguments => {
            ("chat_template_kwargs", json!({"enable_thinking": is_on, "reasoning_effort": effort}))
        }
    };
    body.insert(name.into(), value);
}
