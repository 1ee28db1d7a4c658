//! The conversation in a provider's request: what it says, and whether the provider would take it.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::dialogue::Wire;

/// The conversation, a line for each thing that was said, the same for every wire format:
///
/// | line | |
/// | --- | --- |
/// | `user: Hello` | what the user said |
/// | `sealed Let me see. c2ln` | reasoning, and what makes it good |
/// | `text: I look.` | what the model said |
/// | `call call_1 {"at":"sky"}` | what it called, with the arguments |
/// | `result call_1: blue` | what came of it |
/// | `error call_1: no sky` | the same, where the provider is told that the tool failed. Chat completions and Responses have no word for that: `result` |
/// | `image` | an image, of the line before |
pub fn lines(wire: Wire, body: &Value) -> Vec<String> {
    match wire {
        Wire::Chat => list(&body["messages"]).flat_map(chat).collect(),
        Wire::Responses => list(&body["input"]).flat_map(responses).collect(),
        Wire::Anthropic => list(&body["messages"])
            .flat_map(|message| list(&message["content"]).flat_map(|block| anthropic(text(&message["role"]), block)))
            .collect(),
        Wire::Gemini => list(&body["contents"]).flat_map(gemini).collect(),
    }
}

/// Fails where the provider would refuse the conversation.
#[track_caller]
pub fn check(wire: Wire, body: &Value) {
    match wire {
        Wire::Chat => check_chat(body),
        Wire::Responses => check_responses(body),
        Wire::Anthropic => check_anthropic(body),
        Wire::Gemini => check_gemini(body),
    }
}

fn chat(message: &Value) -> Vec<String> {
    let role = text(&message["role"]);
    let mut lines = Vec::new();
    for detail in list(&message["reasoning_details"]) {
        lines.push(format!("sealed {} {}", text(&detail["text"]), text(&detail["signature"])));
    }
    let speaker = match role {
        "assistant" => "text".to_owned(),
        "tool" => format!("result {}", text(&message["tool_call_id"])),
        role => role.to_owned(),
    };
    match &message["content"] {
        Value::Array(parts) => lines.extend(parts.iter().map(|part| match text(&part["type"]) {
            "text" => format!("{speaker}: {}", text(&part["text"])),
            _ => "image".to_owned(),
        })),
        Value::String(content) if role != "assistant" || !content.is_empty() => {
            lines.push(format!("{speaker}: {content}"));
        }
        _ => {}
    }
    for call in list(&message["tool_calls"]) {
        lines.push(format!("call {} {}", text(&call["id"]), text(&call["function"]["arguments"])));
    }
    lines
}

fn responses(item: &Value) -> Vec<String> {
    let speaker = match (item["type"].as_str(), text(&item["role"])) {
        (Some("reasoning"), _) => {
            let summary: String = list(&item["summary"]).map(|part| text(&part["text"])).collect();
            return vec![format!("sealed {summary} {}", text(&item["encrypted_content"]))];
        }
        (Some("function_call"), _) => {
            return vec![format!("call {} {}", text(&item["call_id"]), text(&item["arguments"]))];
        }
        (Some("function_call_output"), _) => format!("result {}", text(&item["call_id"])),
        (_, "assistant") => "text".to_owned(),
        (_, role) => role.to_owned(),
    };
    match item.get("output").unwrap_or(&item["content"]) {
        Value::Array(parts) => {
            let line = |part: &Value| match text(&part["type"]) {
                "input_text" | "output_text" => format!("{speaker}: {}", text(&part["text"])),
                _ => "image".to_owned(),
            };
            parts.iter().map(line).collect()
        }
        content => vec![format!("{speaker}: {}", text(content))],
    }
}

fn anthropic(role: &str, block: &Value) -> Vec<String> {
    let speaker = if role == "assistant" { "text" } else { role };
    match text(&block["type"]) {
        "text" => vec![format!("{speaker}: {}", text(&block["text"]))],
        "thinking" => vec![format!("sealed {} {}", text(&block["thinking"]), text(&block["signature"]))],
        "tool_use" => vec![format!("call {} {}", text(&block["id"]), block["input"])],
        "tool_result" => {
            let kind = if block["is_error"] == true { "error" } else { "result" };
            let speaker = format!("{kind} {}", text(&block["tool_use_id"]));
            let line = |part: &Value| match text(&part["type"]) {
                "text" => format!("{speaker}: {}", text(&part["text"])),
                _ => "image".to_owned(),
            };
            list(&block["content"]).map(line).collect()
        }
        _ => vec!["image".to_owned()],
    }
}

fn gemini(content: &Value) -> Vec<String> {
    let speaker = if content["role"] == "model" { "text" } else { "user" };
    let mut lines: Vec<String> = Vec::new();
    let mut thought = "";
    let mut is_text = false;
    for part in list(&content["parts"]) {
        if part["thought"] == true {
            thought = text(&part["text"]);
            continue;
        }
        if let Some(seal) = part["thoughtSignature"].as_str() {
            // The thought came before the text that stands between them.
            let at = lines.len() - usize::from(lines.last().is_some_and(|line| line.starts_with("text: ")));
            lines.insert(at, format!("sealed {thought} {seal}"));
        }
        let was_text = std::mem::replace(&mut is_text, part.get("text").is_some());
        if let (true, true, "text", Some(line)) = (was_text, is_text, speaker, lines.last_mut()) {
            // Pieces of one text, of which one has the signature.
            line.push_str(text(&part["text"]));
        } else if is_text {
            lines.push(format!("{speaker}: {}", text(&part["text"])));
        } else if let Some(call) = part.get("functionCall") {
            lines.push(format!("call {} {}", text(&call["id"]), call["args"]));
        } else if let Some(result) = part.get("functionResponse") {
            let response = &result["response"];
            let (kind, told) = match response.get("error") {
                Some(error) => ("error", error),
                None => ("result", &response["output"]),
            };
            lines.push(format!("{kind} {}: {}", text(&result["id"]), text(told)));
            lines.extend(list(&result["parts"]).map(|_| "image".to_owned()));
        } else {
            lines.push("image".to_owned());
        }
    }
    lines
}

/// Each call has its result in the messages that follow it at once, and no result stands elsewhere.
fn check_chat(body: &Value) {
    let mut open = BTreeSet::new();
    for message in list(&body["messages"]) {
        if message["role"] == "tool" {
            assert!(open.remove(text(&message["tool_call_id"])), "a result of no call: {body:#}");
            continue;
        }
        assert!(open.is_empty(), "calls without a result: {body:#}");
        open.extend(list(&message["tool_calls"]).map(|call| text(&call["id"])));
        let is_empty = message["content"].as_str().is_none_or(str::is_empty) && !message["content"].is_array();
        assert!(!is_empty || !open.is_empty(), "an empty message: {body:#}");
    }
    assert!(open.is_empty(), "calls without a result: {body:#}");
}

/// Each call has its result, and reasoning comes before something that it led to.
fn check_responses(body: &Value) {
    let ids = |kind: &str| -> BTreeSet<&str> {
        list(&body["input"]).filter(|item| item["type"] == kind).map(|item| text(&item["call_id"])).collect()
    };
    assert_eq!(ids("function_call"), ids("function_call_output"), "{body:#}");
    let items: Vec<&Value> = list(&body["input"]).collect();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| item["type"] == "reasoning") {
        assert!(!text(&item["encrypted_content"]).is_empty(), "reasoning that nobody keeps: {body:#}");
        let next = items.get(at + 1).is_some_and(|next| next["role"] == "assistant" || next["type"] == "function_call");
        assert!(next, "reasoning that led to nothing: {body:#}");
    }
}

/// Roles alternate; the results of all calls stand first in the message after them; thinking is signed and never last.
fn check_anthropic(body: &Value) {
    let mut calls: Vec<&str> = Vec::new();
    for (at, message) in list(&body["messages"]).enumerate() {
        assert_eq!(message["role"], if at % 2 == 0 { "user" } else { "assistant" }, "{body:#}");
        let blocks: Vec<&Value> = list(&message["content"]).collect();
        let kinds: Vec<&str> = blocks.iter().map(|block| text(&block["type"])).collect();
        assert!(!blocks.is_empty(), "an empty message: {body:#}");
        let results: Vec<&str> = blocks.iter().map_while(|block| block["tool_use_id"].as_str()).collect();
        assert_eq!(results.len(), kinds.iter().filter(|kind| **kind == "tool_result").count(), "first: {body:#}");
        let (called, answered): (BTreeSet<_>, BTreeSet<_>) = (calls.drain(..).collect(), results.into_iter().collect());
        assert_eq!(called, answered, "each call has its result: {body:#}");
        for block in &blocks {
            match text(&block["type"]) {
                "text" => assert!(!text(&block["text"]).trim().is_empty(), "blank text: {body:#}"),
                "thinking" => assert!(!text(&block["signature"]).is_empty(), "unsigned thinking: {body:#}"),
                "tool_use" => calls.push(text(&block["id"])),
                _ => {}
            }
        }
        assert!(!kinds.last().unwrap().contains("thinking"), "thinking at the end: {body:#}");
    }
    assert!(calls.is_empty(), "calls without a result: {body:#}");
}

/// All results of an answer's calls follow it at once, by themselves; an answer's first call is signed.
fn check_gemini(body: &Value) {
    let mut calls: Vec<&Value> = Vec::new();
    for content in list(&body["contents"]) {
        let parts: Vec<&Value> = list(&content["parts"]).collect();
        assert!(!parts.is_empty(), "empty contents: {body:#}");
        let results: Vec<&Value> = parts.iter().filter_map(|part| part.get("functionResponse")).collect();
        assert!(results.is_empty() || results.len() == parts.len(), "results stand by themselves: {body:#}");
        let names = |list: &[&Value]| list.iter().map(|of| json!([of["id"], of["name"]])).collect::<Vec<_>>();
        assert_eq!(names(&results), names(&calls), "each call has its result, in their order: {body:#}");
        let called = parts.iter().filter(|part| part.get("functionCall").is_some());
        calls = called.clone().map(|part| &part["functionCall"]).collect();
        if let Some(first) = called.clone().next() {
            assert!(!text(&first["thoughtSignature"]).is_empty(), "an unsigned call: {body:#}");
        }
    }
    assert!(calls.is_empty(), "calls without a result: {body:#}");
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
