//! Requests to Gemini models, on Google's own API and on Vertex AI, compared as whole values; and what answers hold
//! beyond text.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tokenwire::{
    protocol::{Citation, ErrorCode, ErrorInfo, FinishReason},
    provider::{
        Flow, HttpRequest, MediaSource, Message, ModelEvent, ModelRequest, Secret, Turn, Upstream,
        vendors::{self, Host, Quirks},
    },
};

/// A request from the fields of a `start` frame.
fn model_request(vendor: &str, mut fields: Value) -> ModelRequest {
    let object = fields.as_object_mut().unwrap();
    object.insert("id".into(), "g".into());
    let model = object.get("model").and_then(Value::as_str).unwrap_or("gemini-2.5-flash");
    let model = format!("{vendor}/{model}");
    object.insert("model".into(), model.into());
    if let Some(options) = object.remove("options") {
        object.insert("provider_options".into(), json!({vendor: options}));
    }
    ModelRequest::from_start(serde_json::from_value(fields).unwrap(), vendor)
}

fn upstream(vendor: &str) -> Upstream {
    let vendor = vendors::vendor(vendor).unwrap();
    let is_vertex = vendor.quirks.host == Host::Vertex;
    Upstream {
        name: vendor.name.to_owned(),
        base_url: if is_vertex { "https://vertex/v1/projects/p/locations/global" } else { vendor.base_url }.to_owned(),
        key: Some(Secret::new("ya29.key")),
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: vendor.quirks,
    }
}

fn try_build(vendor: &str, fields: Value) -> Result<HttpRequest, ErrorInfo> {
    let adapter = vendors::adapter(vendors::vendor(vendor).unwrap().wire_format).unwrap();
    adapter.request(&model_request(vendor, fields), &upstream(vendor))
}

fn build(vendor: &str, fields: Value) -> HttpRequest {
    try_build(vendor, fields).unwrap()
}

fn body(vendor: &str, fields: Value) -> Value {
    serde_json::from_slice(&build(vendor, fields).body).unwrap()
}

/// The fields that were left out.
fn warned(vendor: &str, fields: Value) -> Vec<String> {
    build(vendor, fields).warnings.into_iter().map(|warning| warning.field).collect()
}

#[track_caller]
fn refused(vendor: &str, fields: Value) -> (ErrorCode, String) {
    let error = try_build(vendor, fields).unwrap_err();
    (error.code, error.field.unwrap())
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Vec<&'r str> {
    request.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "Hello"}]})
}

fn with(more: Value) -> Value {
    let mut fields = hello();
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

fn user(parts: Value) -> Value {
    json!({"messages": [{"role": "user", "content": parts}]})
}

fn weather_tool() -> Value {
    json!({"type": "function", "function": {"name": "weather", "description": "Looks outside.", "strict": true,
        "parameters": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"city": {"type": "string"}}, "additionalProperties": false}}})
}

/// A conversation with two calls, answered in the other order.
fn tool_loop(native: Option<Value>) -> Value {
    let mut answer = json!({"role": "assistant", "content": "Looking.", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
        {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
    ]});
    if let Some(native) = native {
        answer["native"] = native;
    }
    json!({"messages": [
        {"role": "user", "content": "Weather in Rome and Oslo?"},
        answer,
        {"role": "tool", "tool_call_id": "call_2", "content": "no city", "is_error": true},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "{\"sky\":"}, {"type": "text", "text": "\"blue\"}"}]},
        {"role": "user", "content": "Go on."},
    ]})
}

#[test]
fn a_plain_request() {
    let request = build("gemini", hello());
    assert_eq!(
        request.url,
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    assert_eq!(header(&request, "x-goog-api-key"), ["ya29.key"]);
    assert!(header(&request, "authorization").is_empty());
    assert_eq!(body("gemini", hello()), json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}));
}

#[test]
fn every_field_of_a_start() {
    let fields = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello", "cache_control": {"type": "ephemeral"}},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "user", "content": ""},
            {"role": "user", "content": "Bonjour"},
            {"role": "assistant", "content": "C'est "},
        ],
        "tools": [weather_tool(), {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_tokens": 100, "stop": "END", "seed": 7,
        "presence_penalty": 0.1, "frequency_penalty": 0.2, "logprobs": true, "top_logprobs": 3,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "reasoning_effort": "low",
        "options": {
            "cachedContent": "cachedContents/c", "tools": [{"googleSearch": {}}],
            "generationConfig": {"seed": 8, "mediaResolution": "MEDIA_RESOLUTION_LOW"},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        },
    });
    assert_eq!(warned("gemini", fields.clone()), Vec::<String>::new());
    assert_eq!(
        body("gemini", fields),
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "In French."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hello"}, {"text": "Bonjour"}]},
                {"role": "model", "parts": [{"text": "C'est "}]},
            ],
            "tools": [
                {"functionDeclarations": [
                    {"name": "weather", "description": "Looks outside.", "parametersJsonSchema":
                        {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": false}},
                    {"name": "now"},
                ]},
                {"googleSearch": {}},
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["now"]}},
            "generationConfig": {
                "temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 100, "stopSequences": ["END"], "seed": 8,
                "presencePenalty": 0.1, "frequencyPenalty": 0.2, "responseLogprobs": true, "logprobs": 3,
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
                "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true},
                "mediaResolution": "MEDIA_RESOLUTION_LOW",
            },
            "cachedContent": "cachedContents/c",
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        })
    );
}

#[test]
fn tool_choices() {
    for (choice, mode) in [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")] {
        let body = body("gemini", with(json!({"tools": [weather_tool()], "tool_choice": choice})));
        assert_eq!(body["toolConfig"], json!({"functionCallingConfig": {"mode": mode}}));
    }
}

#[test]
fn thinking_is_counted_or_graded() {
    let thinking = |model: &str, more: Value| {
        let mut fields = with(more);
        fields["model"] = model.into();
        body("gemini", fields)["generationConfig"]["thinkingConfig"].clone()
    };
    let effort = |model: &str, effort: &str| thinking(model, json!({"reasoning_effort": effort}));
    let budget = |tokens: u64| json!({"thinkingBudget": tokens, "includeThoughts": true});
    assert_eq!(effort("gemini-2.5-flash", "high"), budget(24_576));
    assert_eq!(effort("gemini-flash-latest", "medium"), budget(8192));
    assert_eq!(effort("gemini-2.5-flash", "none"), json!({"thinkingBudget": 0}));
    assert_eq!(effort("gemini-2.5-pro", "none"), json!({"thinkingBudget": 128}));
    assert_eq!(effort("gemini-3-pro-preview", "high"), json!({"thinkingLevel": "high", "includeThoughts": true}));
    assert_eq!(effort("gemini-3-flash-preview", "none"), json!({"thinkingLevel": "minimal"}));
    assert_eq!(effort("gemini-2.0-flash", "high"), Value::Null);
    assert_eq!(thinking("gemini-3.1-pro", json!({"reasoning_budget": 500, "reasoning_effort": "low"})), budget(500));
    assert_eq!(thinking("gemini-2.5-pro", json!({})), Value::Null);

    let warned =
        |model: &str, effort: &str| warned("gemini", with(json!({"model": model, "reasoning_effort": effort})));
    assert_eq!(warned("gemini-2.5-pro", "none"), ["reasoning_effort"]);
    assert_eq!(warned("gemini-2.0-flash", "high"), ["reasoning_effort"]);
    assert_eq!(warned("gemini-2.0-flash", "none"), Vec::<String>::new());
}

#[test]
fn what_is_harmless_is_left_out_with_a_warning() {
    let fields = json!({
        "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
        ]}],
        "tools": [weather_tool()], "parallel_tool_calls": false, "seed": 1_u64 << 40, "top_logprobs": 2,
    });
    let mut fields = warned("gemini", fields);
    fields.sort();
    assert_eq!(fields, ["messages[0].content[0].image_url.detail", "parallel_tool_calls", "seed", "top_logprobs"]);
}

#[test]
fn images_audio_and_files() {
    let parts = json!([
        {"type": "image_url", "image_url": {"url": "https://example.com/a.webp?size=1#x"}},
        {"type": "image_url", "image_url": "https://example.com/no-extension"},
        {"type": "image_url", "image_url": {"url": "data:image/png;charset=utf-8;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}},
        {"type": "file", "file": {"filename": "a.csv", "file_data": "DDDD"}},
        {"type": "file", "file": {"file_id": "files/abc"}},
        {"type": "file", "file": {"file_id": "gs://bucket/film.mp4"}},
        {"type": "file", "file": {"uri": "gs://bucket/film", "mime_type": "video/webm"}},
        {"type": "file", "file": {"file_data": "https://www.youtube.com/watch?v=abc"}},
        {"type": "text", "text": ""},
        {"type": "text", "text": "What is all this?"},
    ]);
    let file = |media_type: &str, uri: &str| json!({"fileData": {"mimeType": media_type, "fileUri": uri}});
    let inline = |media_type: &str, data: &str| json!({"inlineData": {"mimeType": media_type, "data": data}});
    assert_eq!(
        body("gemini", user(parts))["contents"][0]["parts"],
        json!([
            file("image/webp", "https://example.com/a.webp?size=1#x"),
            file("image/jpeg", "https://example.com/no-extension"),
            inline("image/png", "AAAA"),
            inline("audio/mp3", "BBBB"),
            inline("application/pdf", "CCCC"),
            inline("text/csv", "DDDD"),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
            file("video/mp4", "gs://bucket/film.mp4"),
            file("video/webm", "gs://bucket/film"),
            file("video/mp4", "https://www.youtube.com/watch?v=abc"),
            {"text": "What is all this?"},
        ])
    );
}

#[test]
fn what_cannot_be_sent_is_refused_by_the_name_of_the_field() {
    let bad = |field: &str| (ErrorCode::BadField, field.to_owned());
    let not_supported = |field: &str| (ErrorCode::NotSupported, field.to_owned());
    let part = |part: Value| user(json!([{"type": "text", "text": "a"}, part]));
    let image = |url: &str| part(json!({"type": "image_url", "image_url": {"url": url}}));
    assert_eq!(refused("gemini", image("ftp://example.com/a.png")), bad("messages[0].content[1]"));
    assert_eq!(refused("gemini", image("data:image/png,plain")), bad("messages[0].content[1]"));
    let file = part(json!({"type": "file", "file": {"filename": "a"}}));
    assert_eq!(refused("gemini", file), bad("messages[0].content[1]"));
    let audio = part(json!({"type": "input_audio", "input_audio": {}}));
    assert_eq!(refused("gemini", audio), bad("messages[0].content[1]"));
    let picture = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let system = json!({"messages": [{"role": "system", "content": [picture]}, {"role": "user", "content": "a"}]});
    assert_eq!(refused("gemini", system), not_supported("messages[0].content[0]"));
    let mut images_from_tools = tool_loop(None);
    images_from_tools["messages"][2]["content"] = json!([picture]);
    assert_eq!(refused("gemini", images_from_tools), not_supported("messages[2].content[0]"));
    let system_only = json!({"messages": [{"role": "system", "content": "a"}]});
    assert_eq!(refused("gemini", system_only), bad("messages"));
    let mut no_call = tool_loop(None);
    no_call["messages"][2]["tool_call_id"] = "call_9".into();
    assert_eq!(refused("gemini", no_call), bad("messages[2].tool_call_id"));
    let stops = json!({"stop": ["a", "b", "c", "d", "e", "f"]});
    assert_eq!(refused("gemini", with(stops)), not_supported("stop"));
    assert_eq!(refused("gemini", with(json!({"response_format": {"type": "xml"}}))), not_supported("response_format"));
    assert_eq!(refused("gemini", with(json!({"reasoning_effort": "much"}))), bad("reasoning_effort"));
    for model in ["a/b", "..", "models/../x", "a?b=c", "a#b", "a:b"] {
        assert_eq!(refused("gemini", with(json!({"model": model}))), bad("model"), "{model}");
        assert_eq!(refused("vertex", with(json!({"model": model}))), bad("model"), "{model}");
        assert_eq!(refused("vertex-anthropic", with(json!({"model": model}))), bad("model"), "{model}");
    }
}

#[test]
fn results_stand_together_in_the_order_of_their_calls() {
    let contents = |model: &str| {
        let mut fields = tool_loop(None);
        fields["model"] = model.into();
        body("gemini", fields)["contents"].clone()
    };
    let call = |city: &str| json!({"functionCall": {"name": "weather", "args": {"city": city}}});
    assert_eq!(
        contents("gemini-2.5-pro"),
        json!([
            {"role": "user", "parts": [{"text": "Weather in Rome and Oslo?"}]},
            {"role": "model", "parts": [{"text": "Looking."}, call("Rome"), call("Oslo")]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "weather", "response": {"sky": "blue"}}},
                {"functionResponse": {"name": "weather", "response": {"error": "no city"}}},
            ]},
            {"role": "user", "parts": [{"text": "Go on."}]},
        ])
    );
    // A call that another model made has no signature, and the newest models want one on the first.
    let parts = &contents("gemini-3-pro-preview")[1]["parts"];
    assert_eq!(parts[1]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(parts[2], call("Oslo"));
}

#[test]
fn images_from_tools_are_for_the_newest_models() {
    let mut fields = tool_loop(None);
    fields["model"] = "gemini-3-flash-preview".into();
    let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    fields["messages"][3]["content"] = json!([{"type": "text", "text": "Here"}, picture]);
    assert_eq!(
        body("gemini", fields)["contents"][2]["parts"][0]["functionResponse"],
        json!({"name": "weather", "response": {"output": "Here"}, "parts": [
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ]})
    );
}

#[test]
fn an_answer_goes_back_as_it_came() {
    let parts = json!([
        {"text": "Looking.", "thoughtSignature": "YQ=="},
        {"functionCall": {"name": "weather", "args": {"city": "Rome"}, "id": "call_1"}, "thoughtSignature": "Yg=="},
        {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
    ]);
    let native = |provider: &str| json!({"provider": provider, "content": {"role": "model", "parts": parts}});
    let contents = body("gemini", tool_loop(Some(native("gemini"))))["contents"].clone();
    assert_eq!(contents[1], json!({"role": "model", "parts": parts}));
    // An id of the provider's is repeated, one that was made up is not.
    assert_eq!(contents[2]["parts"][0]["functionResponse"]["id"], "call_1");
    assert_eq!(contents[2]["parts"][1]["functionResponse"].get("id"), None);

    // Vertex AI refuses ids, also those that it gave.
    let contents = body("vertex", tool_loop(Some(native("vertex"))))["contents"].clone();
    assert_eq!(contents[1]["parts"][0], parts[0]);
    assert_eq!(
        contents[1]["parts"][1],
        json!({"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "Yg=="})
    );
    assert!(!contents.to_string().contains("call_1"));

    let contents = body("gemini", tool_loop(Some(native("vertex"))))["contents"].clone();
    assert!(!contents.to_string().contains("Yg=="), "another provider's answer");
    let contents = body("gemini", tool_loop(Some(json!({"provider": "gemini", "content": "odd"}))))["contents"].clone();
    assert_eq!(contents[1]["parts"][0], json!({"text": "Looking."}));
}

#[test]
fn vertex_has_the_model_in_the_url_and_a_token() {
    let request = build("vertex", hello());
    assert_eq!(
        request.url,
        "https://vertex/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    assert_eq!(header(&request, "authorization"), ["Bearer ya29.key"]);
    assert!(header(&request, "x-goog-api-key").is_empty());
    let tuned = build("vertex", with(json!({"model": "endpoints/123"})));
    assert_eq!(tuned.url, "https://vertex/v1/projects/p/locations/global/endpoints/123:streamGenerateContent?alt=sse");

    let express = Upstream {
        key: Some(Secret::new("AIzaExpress")),
        base_url: "https://aiplatform.googleapis.com/v1".into(),
        ..upstream("vertex")
    };
    let request = vendors::adapter("gemini").unwrap().request(&model_request("vertex", hello()), &express).unwrap();
    assert_eq!(header(&request, "x-goog-api-key"), ["AIzaExpress"]);
    assert!(request.url.starts_with("https://aiplatform.googleapis.com/v1/publishers/google/models/"));
}

#[test]
fn claude_on_vertex_has_a_version_in_the_body_and_no_model() {
    let fields = with(json!({"model": "claude-sonnet-4-5@20250929"}));
    let request = build("vertex-anthropic", fields.clone());
    assert_eq!(
        request.url,
        "https://vertex/v1/projects/p/locations/global/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    );
    assert_eq!(header(&request, "authorization"), ["Bearer ya29.key"]);
    assert!(header(&request, "x-api-key").is_empty() && header(&request, "anthropic-version").is_empty());
    let body = body("vertex-anthropic", fields);
    assert_eq!((&body["anthropic_version"], &body["stream"]), (&json!("vertex-2023-10-16"), &json!(true)));
    assert_eq!(body.get("model"), None);
}

#[test]
fn models_that_generate_are_listed() {
    let adapter = vendors::adapter("gemini").unwrap();
    let request = adapter.models_request(&upstream("gemini")).unwrap();
    assert_eq!(request.url, "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000");
    assert_eq!(header(&request, "x-goog-api-key"), ["ya29.key"]);
    assert!(request.body.is_empty());
    let list = json!({"models": [
        {"name": "models/gemini-2.5-pro", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embedding-001", "supportedGenerationMethods": ["embedContent"]},
        {"name": "tunedModels/mine", "supportedGenerationMethods": ["generateContent"]},
        {},
    ]});
    assert_eq!(adapter.models(list.to_string().as_bytes()).unwrap(), ["gemini-2.5-pro", "tunedModels/mine"]);
    assert_eq!(adapter.models(b"{}").unwrap_err().code, ErrorCode::ProviderProtocol);
    assert!(adapter.models_request(&upstream("vertex")).is_none());
}

#[test]
fn an_error_says_in_its_body_how_long_to_wait() {
    let adapter = vendors::adapter("gemini").unwrap();
    let body = json!({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "21.5s"},
    ]}});
    for body in [body.clone(), json!([body])] {
        let error = adapter.error(429, body.to_string().as_bytes());
        assert_eq!((error.code, error.retry_after_ms), (ErrorCode::RateLimit, Some(21_500)));
    }
}

/// What came out of an answer, beside text.
#[derive(Default)]
struct Heard {
    events: Vec<ModelEvent<'static>>,
    calls: Vec<(String, String)>,
    text: String,
    skipped: usize,
}

impl Turn for Heard {
    fn emit(&mut self, event: ModelEvent<'_>) {
        self.events.push(match event {
            ModelEvent::Text(text) => return self.text.push_str(text),
            ModelEvent::ToolCall { name, arguments, .. } => {
                return self.calls.push((name.to_string(), arguments.to_owned()));
            }
            ModelEvent::Citation(citation) => ModelEvent::Citation(citation),
            ModelEvent::Native(content) => ModelEvent::Native(content),
            ModelEvent::Logprobs(tokens) => ModelEvent::Logprobs(tokens),
            ModelEvent::Usage(usage) => ModelEvent::Usage(usage),
            ModelEvent::Finish { reason, .. } => ModelEvent::Finish { reason, provider_reason: None },
            ModelEvent::Media { index, media_type, source, has_more } => ModelEvent::Media {
                index,
                media_type: media_type.into_owned().into(),
                source: match source {
                    MediaSource::Data(data) => MediaSource::Data(data.into_owned().into()),
                    MediaSource::Url(url) => MediaSource::Url(url.into_owned().into()),
                },
                has_more,
            },
            _ => return,
        });
    }

    fn skipped(&mut self) {
        self.skipped += 1;
    }
}

/// Decodes an answer whose messages hold these candidates.
fn decode(candidates: &[Value]) -> Heard {
    let upstream = Upstream { quirks: Quirks::default(), ..upstream("gemini") };
    let mut decoder = vendors::adapter("gemini").unwrap().decoder(&upstream);
    let mut heard = Heard::default();
    for candidate in candidates {
        let data = json!({"candidates": [candidate]}).to_string();
        assert_eq!(decoder.decode(Message { event: "", data: &data }, &mut heard).unwrap(), Flow::More);
    }
    decoder.end(&mut heard).unwrap();
    heard
}

fn candidate(parts: Value) -> Value {
    json!({"content": {"role": "model", "parts": parts}})
}

fn stop() -> Value {
    json!({"finishReason": "STOP"})
}

fn native(heard: &Heard) -> Option<&Value> {
    heard.events.iter().find_map(|event| match event {
        ModelEvent::Native(content) => Some(content),
        _ => None,
    })
}

#[test]
fn signatures_stay_where_they_were() {
    let call = |city: &str| json!({"name": "weather", "args": {"city": city}});
    let heard = decode(&[
        candidate(json!([{"text": "Hm", "thought": true}])),
        candidate(json!([{"text": ".", "thought": true}])),
        candidate(json!([{"text": "Look"}])),
        candidate(json!([{"text": "ing"}])),
        candidate(json!([{"text": ".", "thoughtSignature": "YQ=="}])),
        candidate(json!([{"text": " Now"}])),
        candidate(json!([{"functionCall": call("Rome"), "thoughtSignature": "Yg=="}, {"functionCall": call("Oslo")}])),
        candidate(json!([{"text": "", "thoughtSignature": "Yw=="}])),
        stop(),
    ]);
    assert_eq!(heard.text, "Looking. Now");
    assert_eq!(
        native(&heard).unwrap(),
        &json!({"role": "model", "parts": [
            {"text": "Hm.", "thought": true},
            {"text": "Looking"},
            {"text": ".", "thoughtSignature": "YQ=="},
            {"text": " Now"},
            {"functionCall": call("Rome"), "thoughtSignature": "Yg=="},
            {"functionCall": call("Oslo")},
            {"text": "", "thoughtSignature": "Yw=="},
        ]})
    );
    let last_two = &heard.events[heard.events.len() - 2..];
    assert!(matches!(last_two[0], ModelEvent::Native(_)));
    assert!(matches!(last_two[1], ModelEvent::Finish { reason: FinishReason::ToolCalls, .. }));

    let plain =
        decode(&[candidate(json!([{"functionCall": call("Rome")}])), candidate(json!([{"text": "a"}])), stop()]);
    assert_eq!(native(&plain), None, "nothing would be lost");
}

#[test]
fn a_call_that_comes_twice_is_one_with_its_signature() {
    let call = json!({"name": "weather", "args": {}, "id": "fc_1"});
    let signed = json!({"functionCall": call, "thoughtSignature": "YQ=="});
    let plain = json!({"functionCall": call});
    for parts in [json!([signed, plain]), json!([plain, signed])] {
        let heard = decode(&[candidate(parts), stop()]);
        assert_eq!(heard.calls.len(), 1);
        assert_eq!(native(&heard).unwrap()["parts"], json!([signed]));
    }
}

#[test]
fn a_call_in_pieces_goes_back_whole() {
    let heard = decode(&[
        candidate(json!([{"functionCall": {"name": "book", "willContinue": true}, "thoughtSignature": "YQ=="}])),
        candidate(
            json!([{"functionCall": {"partialArgs": [{"jsonPath": "$.hotel", "stringValue": "The "}], "willContinue": true}}]),
        ),
        candidate(json!([{"functionCall": {"partialArgs": [{"jsonPath": "$.hotel", "stringValue": "Inn"}]}}])),
        candidate(json!([{"functionCall": {}}])),
        stop(),
    ]);
    assert_eq!(heard.calls, [("book".to_owned(), "{\"hotel\":\"The Inn\"}".to_owned())]);
    let whole = json!({"functionCall": {"name": "book", "args": {"hotel": "The Inn"}}, "thoughtSignature": "YQ=="});
    assert_eq!(native(&heard).unwrap()["parts"], json!([whole]));
}

#[test]
fn sources_are_cited_once() {
    let grounding = json!({
        "webSearchQueries": ["capital of Italy"],
        "groundingChunks": [
            {"web": {"uri": "https://a.example", "title": "A"}},
            {"retrievedContext": {"uri": "gs://b/c.pdf", "title": "C", "text": "its words"}},
        ],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 4, "text": "Rome"}, "groundingChunkIndices": [0]}],
    });
    let recited = json!({"citationSources": [{"startIndex": 1, "endIndex": 3, "uri": "https://d.example"}]});
    let mut message = candidate(json!([{"text": "Rome"}]));
    message["groundingMetadata"] = grounding;
    message["citationMetadata"] = recited;
    let heard = decode(&[message.clone(), message, stop()]);
    let citations: Vec<&Citation> = heard
        .events
        .iter()
        .filter_map(|event| match event {
            ModelEvent::Citation(citation) => Some(citation),
            _ => None,
        })
        .collect();
    let urls: Vec<_> = citations.iter().map(|citation| citation.url.as_deref().unwrap()).collect();
    assert_eq!(urls, ["https://d.example", "https://a.example", "gs://b/c.pdf"]);
    assert_eq!(citations[1].title.as_deref(), Some("A"));
    assert_eq!(citations[1].source["segment"]["endIndex"], 4);
    assert_eq!(citations[2].quote.as_deref(), Some("its words"));
}

#[test]
fn images_audio_and_logprobs_are_events() {
    let inline = |media_type: &str, data: &str| json!({"inlineData": {"mimeType": media_type, "data": data}});
    let mut message = candidate(json!([
        inline("image/png", "AAAA"),
        {"inlineData": {"mimeType": "image/png", "data": "draft"}, "thought": true},
        inline("audio/L16", "BBBB"),
        inline("audio/L16", "CCCC"),
        {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}},
    ]));
    message["logprobsResult"] = json!({
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "b", "logProbability": -2}]}],
    });
    let heard = decode(&[message, stop()]);
    let media: Vec<_> = heard
        .events
        .iter()
        .filter_map(|event| match event {
            ModelEvent::Media { index, media_type, source: MediaSource::Data(data), has_more } => {
                Some((*index, &**media_type, &**data, *has_more))
            }
            ModelEvent::Media { index, media_type, source: MediaSource::Url(url), has_more } => {
                Some((*index, &**media_type, &**url, *has_more))
            }
            _ => None,
        })
        .collect();
    let expected = [
        (0, "image/png", "AAAA", false),
        (1, "audio/L16", "BBBB", true),
        (1, "audio/L16", "CCCC", true),
        (1, "audio/L16", "", false),
        (2, "video/mp4", "gs://b/v.mp4", false),
    ];
    assert_eq!(media, expected);
    let tokens = heard.events.iter().find_map(|event| match event {
        ModelEvent::Logprobs(tokens) => Some(tokens),
        _ => None,
    });
    let tokens = tokens.unwrap();
    assert_eq!((&*tokens[0].token, tokens[0].logprob, tokens[0].top[1].logprob), ("a", -0.5, -2.0));
}
