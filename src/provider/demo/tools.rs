//! The demo's tool calls: which tool, with which arguments, and what it says to the results.

use std::{fmt::Write as _, sync::Arc};

use serde_json::{Map, Value, json};
use tokenwire_protocol::message::{Message, Role, Tool, ToolChoice, ToolFunction};

use super::{ModelRequest, contains_word, script::Rng};

/// A call that the demo makes.
pub(super) struct Call {
    pub(super) id: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) arguments: String,
}

/// The calls that the question asks for; one for each place that it names. `None`: it asks for no tool.
pub(super) fn calls(request: &ModelRequest, question: &str, rng: &mut Rng) -> Option<Vec<Call>> {
    let tool = &choose(request, question)?.function;
    let mut places = places(question);
    if places.is_empty() || !properties(tool).any(|(name, _)| is_place(name)) {
        places = vec!["Paris".to_owned()];
    }
    let call = |place: &String| Call {
        id: format!("call_{:012x}", rng.next() >> 16).into(),
        name: tool.name.as_str().into(),
        arguments: arguments(tool, question, place),
    };
    Some(places.iter().map(call).collect())
}

fn choose<'a>(request: &'a ModelRequest, question: &str) -> Option<&'a Tool> {
    let tools = &request.tools;
    match &request.tool_choice {
        Some(ToolChoice::None) => None,
        Some(ToolChoice::Function(name)) => tools.iter().find(|tool| tool.function.name == *name),
        Some(ToolChoice::Required) => named_in(tools, question).or(tools.first()),
        Some(ToolChoice::Auto) | None => named_in(tools, question).or_else(|| {
            let asked = ["tool", "tools", "weather"].iter().any(|word| contains_word(question, word));
            tools.first().filter(|_| asked)
        }),
    }
}

/// The tool whose name, or a longer word of it, stands in the question: `weather` names `get_weather`.
fn named_in<'a>(tools: &'a [Tool], question: &str) -> Option<&'a Tool> {
    tools.iter().find(|tool| {
        let name = &tool.function.name;
        question.contains(name.as_str())
            || name.split(['_', '-']).any(|word| word.len() > 4 && contains_word(question, word))
    })
}

/// The places after "in": `in Paris and New York?` has two. At most three.
fn places(question: &str) -> Vec<String> {
    let Some((_, rest)) = question.split_once(" in ") else { return Vec::new() };
    rest.split([',', '?', '.', '!', ';', '\n'])
        .flat_map(|part| part.split(" and "))
        .map(|part| {
            let words = part.split_whitespace().skip_while(|&word| word == "and");
            let names = words.take_while(|word| word.starts_with(char::is_uppercase));
            names.collect::<Vec<_>>().join(" ")
        })
        .filter(|place| !place.is_empty())
        .take(3)
        .collect()
}

fn is_place(name: &str) -> bool {
    ["city", "location", "place", "town"].iter().any(|word| contains_word(name, word))
}

/// The properties of the tool's parameters that a call must have, or all of them where none is required.
fn properties(tool: &ToolFunction) -> impl Iterator<Item = (&String, &Value)> {
    let parameters = tool.parameters.as_ref();
    let required = parameters.and_then(|schema| schema.get("required")).and_then(Value::as_array);
    let properties = parameters.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter(move |(name, _)| required.is_none_or(|list| list.iter().any(|entry| entry == name.as_str())))
}

fn arguments(tool: &ToolFunction, question: &str, place: &str) -> String {
    let arguments: Map<String, Value> = properties(tool)
        .map(|(name, schema)| (name.clone(), if is_place(name) { json!(place) } else { argument(schema, question) }))
        .collect();
    Value::Object(arguments).to_string()
}

/// A value that fits a property's schema.
fn argument(schema: &Value, question: &str) -> Value {
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("number" | "integer") => schema.get("minimum").cloned().unwrap_or(json!(3)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some("null") => Value::Null,
        _ => json!(question.chars().take(80).collect::<String>()),
    }
}

/// The results after the last user message, each with its tool's name.
pub(super) fn results(messages: &[Message]) -> Vec<(&str, String)> {
    let asked_at = messages.iter().rposition(|message| message.role == Role::User).map_or(0, |at| at + 1);
    let since = messages.get(asked_at..).unwrap_or_default();
    since
        .iter()
        .filter(|message| message.role == Role::Tool)
        .map(|message| {
            let calls = since.iter().flat_map(|message| &message.tool_calls);
            let call = calls.into_iter().find(|call| Some(&call.id) == message.tool_call_id.as_ref());
            (call.map_or("the tool", |call| call.function.name.as_str()), message.plain_text())
        })
        .collect()
}

/// An answer that shows the results: an object as a table, anything else as a quote.
pub(super) fn tell(results: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, content) in results {
        let _ = write!(text, "`{name}` answered:\n\n");
        match serde_json::from_str(content) {
            Ok(Value::Object(fields)) if !fields.is_empty() => {
                text.push_str("| Field | Value |\n| --- | --- |\n");
                for (field, value) in fields.iter().take(20) {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let _ = writeln!(text, "| {} | {} |", cell(field), cell(&value));
                }
                text.push('\n');
            }
            _ => {
                for line in content.lines().take(10) {
                    let _ = writeln!(text, "> {}", line.chars().take(200).collect::<String>());
                }
                text.push('\n');
            }
        }
    }
    text.push_str(
        "I am a **demo** and run without a model, so I only repeat what the tool said. \
         A model would now draw its conclusions.",
    );
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").chars().take(200).collect()
}
