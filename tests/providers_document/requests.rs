//! What can be asked for: every field of a start is tried on every vendor.

use std::{collections::BTreeSet, sync::LazyLock};

use serde_json::{Value, json};
use tokenwire::{
    protocol::ErrorInfo,
    provider::{
        HttpRequest, ModelRequest, Secret, Upstream,
        vendors::{self, VENDORS, Vendor},
    },
};

use crate::{code_list, table};

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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
        ("files, by the provider's id", none(), file(json!({"file_id": "files/1"}))),
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

/// What becomes of each feature at each vendor: with all of its models, each outcome once, the best one first.
static TRIED: LazyLock<Vec<Vec<BTreeSet<Outcome>>>> = LazyLock::new(|| {
    let features = features();
    let outcomes = |vendor: &Vendor, feature: &Feature| {
        let models = if vendor.models.is_empty() { &["some-model"] } else { vendor.models };
        models.iter().map(|model| outcome(vendor, model, feature)).collect()
    };
    VENDORS.iter().map(|vendor| features.iter().map(|feature| outcomes(vendor, feature)).collect()).collect()
});

/// `yes or error`.
fn words(outcomes: &BTreeSet<Outcome>) -> String {
    outcomes.iter().map(|outcome| outcome.word()).collect::<Vec<_>>().join(" or ")
}

fn outcome(vendor: &Vendor, model: &str, (_, before, asked): &Feature) -> Outcome {
    let (Ok(without), with) = (build(vendor, model, &[before]), build(vendor, model, &[before, asked])) else {
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
fn build(vendor: &Vendor, model: &str, fields: &[&Value]) -> Result<HttpRequest, ErrorInfo> {
    let mut start = json!({
        "id": "g", "model": format!("{}/{model}", vendor.name), "messages": [{"role": "user", "content": "Hello"}],
    });
    for fields in fields {
        start.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    let request = ModelRequest::from_start(serde_json::from_value(start).unwrap(), vendor.name);
    vendors::adapter(vendor.wire_format).unwrap().request(&request, &upstream(vendor))
}

/// The wire formats in the order of their vendors.
pub fn wire_formats() -> Vec<&'static str> {
    let mut formats: Vec<&str> = Vec::new();
    for vendor in VENDORS {
        if !formats.contains(&vendor.wire_format) {
            formats.push(vendor.wire_format);
        }
    }
    formats
}

/// What most vendors of a wire format do with a feature, of equally many the first.
fn usual(wire_format: &str, feature: usize) -> &'static BTreeSet<Outcome> {
    let tried = VENDORS.iter().zip(TRIED.iter()).filter(|(vendor, _)| vendor.wire_format == wire_format);
    let all: Vec<_> = tried.map(|(_, outcomes)| &outcomes[feature]).collect();
    let votes = |outcomes: &BTreeSet<Outcome>| all.iter().filter(|other| **other == outcomes).count();
    // The last of the best wins.
    all.iter().rev().max_by_key(|outcomes| votes(outcomes)).unwrap()
}

pub fn section() -> String {
    let formats = wire_formats();
    let head: Vec<String> =
        [String::new()].into_iter().chain(formats.iter().map(|format| format!("`{format}`"))).collect();
    let row = |(position, (name, ..)): (usize, Feature)| {
        let cells = formats.iter().map(|format| words(usual(format, position)));
        [name.to_owned()].into_iter().chain(cells).collect()
    };
    table(&head, &features().into_iter().enumerate().map(row).collect::<Vec<_>>())
}

/// Where a vendor does not do as most of its wire format do.
pub fn departures() -> String {
    let mut departures: Vec<(String, Vec<&str>)> = Vec::new();
    for (vendor, outcomes) in VENDORS.iter().zip(TRIED.iter()) {
        let differs = |position: &usize| outcomes[*position] != *usual(vendor.wire_format, *position);
        let differing: Vec<String> = (0..outcomes.len())
            .filter(differs)
            .map(|position| format!("{}: {}", features()[position].0, words(&outcomes[position])))
            .collect();
        let differing = differing.join("; ");
        match departures.iter_mut().find(|(other, _)| *other == differing) {
            _ if differing.is_empty() => {}
            Some((_, names)) => names.push(vendor.name),
            None => departures.push((differing, vec![vendor.name])),
        }
    }
    let line = |(differing, names): (String, Vec<&str>)| format!("- {}: {differing}\n", code_list(names));
    departures.into_iter().map(line).collect()
}

/// Every field is sent, warned of or refused, by every vendor.
#[test]
fn nothing_is_ignored() {
    for (vendor, outcomes) in VENDORS.iter().zip(TRIED.iter()) {
        for (feature, outcomes) in features().iter().zip(outcomes) {
            assert!(!outcomes.contains(&Outcome::Ignored), "{}: {} is ignored", vendor.name, feature.0);
        }
    }
}
