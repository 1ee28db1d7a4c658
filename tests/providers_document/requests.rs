//! What can be asked for: every field of a start is tried on every vendor.

use serde_json::{Value, json};
use tokenwire::{
    protocol::ErrorInfo,
    provider::{
        HttpRequest, ModelRequest, Secret, Upstream,
        vendors::{self, VENDORS, Vendor},
    },
};

use crate::table;

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Sent,
    LeftOut,
    Refused,
    /// Neither sent nor warned of, which no adapter may do.
    Ignored,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Sent => "yes",
            Self::LeftOut => "warning",
            Self::Refused => "error",
            Self::Ignored => "IGNORED",
        }
    }
}

/// What is tried: its name in the table, the fields of a start that go before it, and those that ask for it.
type Feature = (&'static str, Value, Value);

fn features() -> Vec<Feature> {
    let tools = json!({"tools": [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}},
    ]});
    let one_tool = json!({"type": "function", "function": {"name": "weather"}});
    let image = |url: &str| part(json!({"type": "image_url", "image_url": {"url": url}}));
    let file = |file: Value| part(json!({"type": "file", "file": file}));
    let pdf = json!({"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="});
    let audio = json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}});
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": {
        "type": "object", "properties": {}, "additionalProperties": false,
    }}});
    let none = || json!({});
    vec![
        ("images, inline", none(), image("data:image/png;base64,iVBORw0KGgo=")),
        ("images, by URL", none(), image("https://example.com/cat.png")),
        ("files (PDF), inline", none(), file(pdf)),
        ("files, by the provider's id", none(), file(json!({"file_id": "file-1"}))),
        ("audio, inline", none(), part(audio)),
        ("tools", none(), tools.clone()),
        ("`tool_choice`: required", tools.clone(), json!({"tool_choice": "required"})),
        ("`tool_choice`: one tool", tools.clone(), json!({"tool_choice": one_tool})),
        ("`tool_choice`: none", tools.clone(), json!({"tool_choice": "none"})),
        ("`parallel_tool_calls`: false", tools, json!({"parallel_tool_calls": false})),
        ("`response_format`: JSON schema", none(), json!({"response_format": schema})),
        ("`response_format`: any JSON", none(), json!({"response_format": {"type": "json_object"}})),
        ("`reasoning_effort`", none(), json!({"reasoning_effort": "high"})),
        ("`reasoning_budget`", none(), json!({"reasoning_budget": 2048})),
        ("`temperature`", none(), json!({"temperature": 0.5})),
        ("`top_p`", none(), json!({"top_p": 0.5})),
        ("`top_k`", none(), json!({"top_k": 5})),
        ("`presence_penalty`", none(), json!({"presence_penalty": 0.5})),
        ("`frequency_penalty`", none(), json!({"frequency_penalty": 0.5})),
        ("`max_tokens`", none(), json!({"max_tokens": 99})),
        ("`stop`", none(), json!({"stop": ["END"]})),
        ("`seed`", none(), json!({"seed": 7})),
        ("`logprobs`", none(), json!({"logprobs": true})),
        ("`top_logprobs`", json!({"logprobs": true}), json!({"top_logprobs": 2})),
    ]
}

/// A message of the user's that is this part.
fn part(part: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [part]}]})
}

fn upstream(vendor: &Vendor) -> Upstream {
    Upstream {
        name: vendor.name.to_owned(),
        base_url: vendor.base_url.to_owned(),
        key: Some(Secret::new("key")),
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: vendor.quirks,
    }
}

pub fn lists_models(vendor: &Vendor) -> bool {
    vendors::adapter(vendor.wire_format).unwrap().models_request(&upstream(vendor)).is_some()
}

fn outcome(vendor: &Vendor, (_, before, asked): &Feature) -> Outcome {
    let (Ok(without), with) = (build(vendor, &[before]), build(vendor, &[before, asked])) else {
        return Outcome::Refused;
    };
    match with {
        Err(_) => Outcome::Refused,
        Ok(with) if with.warnings.len() > without.warnings.len() => Outcome::LeftOut,
        Ok(with) if with.body == without.body => Outcome::Ignored,
        Ok(_) => Outcome::Sent,
    }
}

/// The vendor's request for a plain question and these fields.
fn build(vendor: &Vendor, fields: &[&Value]) -> Result<HttpRequest, ErrorInfo> {
    let model = vendor.models.first().copied().unwrap_or("some-model");
    let mut start = json!({
        "id": "g", "model": format!("{}/{model}", vendor.name), "messages": [{"role": "user", "content": "Hello"}],
    });
    for fields in fields {
        start.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    let request = ModelRequest::from_start(serde_json::from_value(start).unwrap(), vendor.name);
    vendors::adapter(vendor.wire_format).unwrap().request(&request, &upstream(vendor))
}

/// The first vendor of each wire format, which stands for it.
pub fn formats() -> Vec<&'static Vendor> {
    let mut formats: Vec<&Vendor> = Vec::new();
    for vendor in VENDORS {
        if formats.iter().all(|other| other.wire_format != vendor.wire_format) {
            formats.push(vendor);
        }
    }
    formats
}

pub fn section() -> String {
    let formats = formats();
    let names = formats.iter().map(|vendor| format!("`{}`", vendor.wire_format));
    let head: Vec<String> = [String::new()].into_iter().chain(names).collect();
    let row = |feature: &Feature| {
        let cells = formats.iter().map(|vendor| outcome(vendor, feature).word().to_owned());
        [feature.0.to_owned()].into_iter().chain(cells).collect()
    };
    table(&head, &features().iter().map(row).collect::<Vec<_>>())
}

/// Where a vendor does not do as the first of its wire format does.
pub fn departures() -> String {
    let formats = formats();
    let mut lines = String::new();
    for vendor in VENDORS {
        let first = formats.iter().find(|first| first.wire_format == vendor.wire_format).unwrap();
        let differing: Vec<String> = features()
            .iter()
            .filter_map(|feature| {
                let is = outcome(vendor, feature);
                (is != outcome(first, feature)).then(|| format!("{}: {}", feature.0, is.word()))
            })
            .collect();
        if !differing.is_empty() {
            lines += &format!("- `{}`: {}\n", vendor.name, differing.join("; "));
        }
    }
    if lines.is_empty() { "None does.\n".to_owned() } else { lines }
}

/// Every field is sent, warned of or refused, by every vendor.
#[test]
fn nothing_is_ignored() {
    let mut ignored = Vec::new();
    for vendor in VENDORS {
        for feature in features() {
            if outcome(vendor, &feature) == Outcome::Ignored {
                ignored.push(format!("{}: {}", vendor.name, feature.0));
            }
        }
    }
    assert!(ignored.is_empty(), "{ignored:#?}");
}
