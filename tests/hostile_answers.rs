//! Answers that no provider should send: they may fail, but never panic, and events keep their rules.
#![allow(clippy::unwrap_used)]

#[path = "support/event_stream.rs"]
mod event_stream;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenwire::{
    config::WIRE_FORMATS,
    protocol::ErrorCode,
    provider::{
        Flow, Framing, ModelEvent, Turn, Upstream,
        framing::Splitter,
        vendors::{self, Quirks},
    },
};

/// Checks what holds for every turn.
#[derive(Default)]
struct Rules {
    calls: Vec<(String, String, bool)>,
    is_finished: bool,
}

impl Turn for Rules {
    fn emit(&mut self, event: ModelEvent<'_>) {
        assert!(!self.is_finished, "{event:?} after the finish");
        match event {
            ModelEvent::Text(text) | ModelEvent::Reasoning(text) | ModelEvent::Refusal(text) => {
                assert!(!text.is_empty());
            }
            ModelEvent::ToolCallDelta { index, call_id, name, delta } => {
                assert!(!call_id.is_empty() && !name.is_empty());
                if index as usize == self.calls.len() {
                    assert!(self.calls.iter().all(|(id, ..)| **call_id != *id), "two calls have the id {call_id}");
                    self.calls.push((call_id.to_string(), String::new(), false));
                }
                let (id, arguments, is_whole) = &mut self.calls[index as usize];
                assert!(**call_id == *id && !*is_whole);
                arguments.push_str(delta);
            }
            ModelEvent::ToolCall { index, call_id, arguments, .. } => {
                let (id, deltas, is_whole) = &mut self.calls[index as usize];
                assert!(**call_id == *id && *deltas == arguments && !*is_whole);
                *is_whole = true;
            }
            ModelEvent::Usage(_) => {}
            ModelEvent::Finish { .. } => self.is_finished = true,
            _ => {}
        }
    }
}

fn decode(wire_format: &str, pieces: &[&[u8]]) -> Result<Rules, ErrorCode> {
    let upstream = Upstream {
        name: "any".into(),
        base_url: String::new(),
        key: None,
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: Quirks::default(),
    };
    let adapter = vendors::adapter(wire_format).unwrap();
    let mut decoder = adapter.decoder(&upstream);
    let mut splitter = Splitter::new(adapter.framing(), 10_000);
    let mut turn = Rules::default();
    let mut run = || {
        for piece in pieces {
            if splitter.push(piece, &mut |message| decoder.decode(message, &mut turn))? == Flow::Done {
                return decoder.end(&mut turn);
            }
        }
        splitter.finish(&mut |message| decoder.decode(message, &mut turn))?;
        decoder.end(&mut turn)
    };
    run().map_err(|error| error.code)?;
    assert!(turn.is_finished, "an answer that ended well has a finish");
    assert!(turn.calls.iter().all(|(.., is_whole)| *is_whole), "its calls are whole");
    Ok(turn)
}

/// The messages in the framing of the wire format, with the end mark of those that have one.
fn body(wire_format: &str, messages: &[Value], is_done: bool) -> Vec<u8> {
    let text = match vendors::adapter(wire_format).unwrap().framing() {
        Framing::Sse => messages
            .iter()
            .map(|message| format!("data: {message}\n\n"))
            .chain(is_done.then(|| "data: [DONE]\n\n".to_owned()))
            .collect(),
        Framing::Ndjson => messages.iter().map(|message| format!("{message}\n")).collect(),
        Framing::JsonArray => Value::from(messages).to_string(),
        Framing::EventStream => {
            // Their type stands in a header: it is taken from what the message would say about itself.
            let kind = |message: &Value| message["type"].as_str().unwrap_or("contentBlockDelta").to_owned();
            let frames =
                messages.iter().map(|message| event_stream::event(&kind(message), message.to_string().as_bytes()));
            return frames.flatten().collect();
        }
    };
    text.into_bytes()
}

/// JSON of any shape, mostly under the names that mean something.
fn value() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "choices",
        "delta",
        "index",
        "finish_reason",
        "content",
        "reasoning",
        "reasoning_details",
        "text",
        "refusal",
        "tool_calls",
        "function",
        "function_call",
        "id",
        "name",
        "arguments",
        "usage",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "error",
        "message",
        "code",
        "type",
        "thinking",
        "partial_json",
        "content_block",
        "input",
        "stop_reason",
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "metadata",
        "event",
        "response",
        "done",
        "done_reason",
        "logprobs",
        "prompt_eval_count",
        "eval_count",
        "tool_plan",
        "citations",
        "sources",
        "tokens",
        "billed_units",
        "contentBlockIndex",
        "start",
        "toolUse",
        "toolUseId",
        "toolResult",
        "reasoningContent",
        "signature",
        "redactedContent",
        "citation",
        "image",
        "format",
        "source",
        "bytes",
        "stopReason",
        "inputTokens",
        "candidates",
        "parts",
        "thought",
        "thoughtSignature",
        "functionCall",
        "args",
        "partialArgs",
        "jsonPath",
        "stringValue",
        "willContinue",
        "executableCode",
        "codeExecutionResult",
        "inlineData",
        "finishReason",
        "promptFeedback",
        "blockReason",
        "groundingMetadata",
        "groundingChunks",
        "groundingSupports",
        "groundingChunkIndices",
    ];
    const WORDS: &[&str] = &[
        "",
        "a",
        "b",
        "0",
        "é",
        "\"\n",
        "stop",
        "error",
        "tool_calls",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_start",
        "message_delta",
        "message_stop",
        "text",
        "text_delta",
        "thinking_delta",
        "input_json_delta",
        "tool_use",
        "server_tool_use",
        "end_turn",
        "content-delta",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "message-end",
        "COMPLETE",
        "STOP",
        "$.a[0]",
        "ERROR",
        "{}",
        "{\"error\":\"x\"}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0), Just(1), any::<i64>()].prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((prop::sample::select(NAMES), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

/// A message that looks like one of the wire format's, with anything inside.
fn message() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => value(),
        2 => (value(), value()).prop_map(|(delta, rest)| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": rest}]})),
        1 => (value(), value()).prop_map(|(call, other)| json!({"choices": [{"delta": {"tool_calls": [call, other]}}]})),
        1 => value().prop_map(|usage| json!({"choices": [], "usage": usage})),
        2 => (value(), value()).prop_map(|(part, rest)| {
            json!({"candidates": [{"content": {"parts": [part, rest]}, "finishReason": "STOP", "groundingMetadata": rest}]})
        }),
        1 => (value(), any::<bool>()).prop_map(|(piece, goes_on)| {
            let call = json!({"name": "f", "partialArgs": [piece], "willContinue": goes_on});
            json!({"candidates": [{"content": {"parts": [{"functionCall": call}]}}]})
        }),
        2 => (0..3_u8, value()).prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        2 => (0..3_u8, value()).prop_map(|(index, block)| json!({"type": "content_block_start", "index": index, "content_block": block})),
        1 => (0..3_u8).prop_map(|index| json!({"type": "content_block_stop", "index": index})),
        1 => value().prop_map(|delta| json!({"type": "message_delta", "delta": delta, "usage": delta})),
        2 => (0..3_u8, value()).prop_map(|(index, content)| {
            json!({"type": "content-delta", "index": index, "delta": {"message": {"content": content}}, "logprobs": content})
        }),
        2 => (0..3_u8, value(), any::<bool>()).prop_map(|(index, call, is_start)| {
            let kind = if is_start { "tool-call-start" } else { "tool-call-delta" };
            json!({"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}})
        }),
        1 => value().prop_map(|plan| json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": plan}}})),
        1 => value().prop_map(|source| json!({"type": "citation-start", "delta": {"message": {"citations": source}}})),
        2 => (0..3_u8, value()).prop_map(|(index, delta)| json!({"contentBlockIndex": index, "delta": delta})),
        2 => (0..3_u8, value()).prop_map(|(index, start)| {
            json!({"type": "contentBlockStart", "contentBlockIndex": index, "start": start})
        }),
        2 => (0..3_u8, value(), value(), value()).prop_map(|(index, id, name, kind)| {
            let tool = json!({"toolUseId": id, "name": name, "type": kind});
            json!({"type": "contentBlockStart", "contentBlockIndex": index, "start": {"toolUse": tool}})
        }),
        1 => (0..3_u8).prop_map(|index| json!({"type": "contentBlockStop", "contentBlockIndex": index})),
        2 => (value(), value()).prop_map(|(call, other)| json!({"message": {"content": other, "tool_calls": [call, other]}})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_taken_or_refused(mut messages in prop::collection::vec(message(), 0..12), is_done in any::<bool>()) {
        if is_done {
            messages.push(json!({"type": "message_stop", "done": true}));
            messages.push(json!({"type": "messageStop", "stopReason": "end_turn"}));
            messages.push(json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}));
        }
        for wire_format in WIRE_FORMATS {
            let _ = decode(wire_format, &[&body(wire_format, &messages, is_done)]);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8), text in "(data: ?|[{}\\[\\]\",:\\\\u0-9a-dN\n])*") {
        let mut pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        pieces.insert(0, text.as_bytes());
        for wire_format in WIRE_FORMATS {
            let _ = decode(wire_format, &pieces);
            let error = vendors::adapter(wire_format).unwrap().error(500, &pieces.concat());
            prop_assert!(!error.message.is_empty());
        }
    }
}
