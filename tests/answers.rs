//! What answers of chat completions and of Anthropic hold beside text and calls, compared as whole values.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use serde_json::{Value, json};
use tokenwire::provider::{
    Flow, MediaSource, ModelEvent, Turn, Upstream,
    framing::Splitter,
    vendors::{self, Quirks},
};

/// What comes whole, in order.
#[derive(Default)]
struct Heard(Vec<Value>);

impl Turn for Heard {
    fn emit(&mut self, event: ModelEvent<'_>) {
        self.0.push(match event {
            ModelEvent::ServerToolCall { call_id, name, arguments } => json!({"call": [call_id, name, arguments]}),
            ModelEvent::ServerToolResult { call_id, name, result, is_error } => {
                json!({"result": [call_id, name, result, is_error]})
            }
            ModelEvent::Citation(citation) => json!({"citation": citation}),
            ModelEvent::Media { index, media_type, source, has_more } => match source {
                MediaSource::Data(data) => json!({"media": [index, media_type, data, has_more]}),
                MediaSource::Url(url) => json!({"media": [index, media_type, {"url": url}, has_more]}),
            },
            ModelEvent::Logprobs(tokens) => json!({"logprobs": tokens}),
            ModelEvent::Native(content) => json!({"native": content}),
            ModelEvent::Usage(usage) => json!({"audio": [usage.input_audio_tokens, usage.output_audio_tokens]}),
            _ => return,
        });
    }
}

fn heard(name: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).with_extension("sse");
    let vendor = vendors::vendor(name.split('/').next().unwrap());
    let upstream = Upstream {
        name: "test".to_owned(),
        base_url: String::new(),
        key: None,
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: vendor.map_or(Quirks::default(), |vendor| vendor.quirks),
    };
    let adapter = vendors::adapter(vendor.map_or("openai-chat", |vendor| vendor.wire_format)).unwrap();
    let (mut heard, mut decoder) = (Heard::default(), adapter.decoder(&upstream));
    let mut splitter = Splitter::new(adapter.framing(), 1 << 20);
    let flow = splitter.push(&fs::read(file).unwrap(), &mut |message| decoder.decode(message, &mut heard)).unwrap();
    if flow == Flow::More {
        splitter.finish(&mut |message| decoder.decode(message, &mut heard)).unwrap();
    }
    decoder.end(&mut heard).unwrap();
    // Usage counts where it has audio only.
    heard.0.retain(|event| event["audio"] != json!([null, null]));
    heard.0
}

#[test]
fn openrouter_gets_its_reasoning_back_in_one_piece() {
    let details = json!([
        {"type": "reasoning.text", "text": "Let me look.", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "Again.", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "b3BhcXVl", "id": "rs_1", "format": "openai-responses-v1", "index": 2, "odd": [1]},
    ]);
    assert_eq!(heard("openrouter/reasoning-details-and-a-call"), [json!({"native": {"reasoning_details": details}})]);
}

#[test]
fn images_and_sources_come_once() {
    let citation =
        json!({"url": "https://example.com/a", "title": "A", "content": "quoted", "start_index": 0, "end_index": 3});
    let source = json!({"type": "url_citation", "url_citation": citation});
    assert_eq!(
        heard("openrouter/images-sources-and-files"),
        [
            json!({"citation": {"url": "https://example.com/a", "title": "A", "quote": "quoted", "source": source}}),
            json!({"media": [0, "image/png", "iVBORw0KGgo=", false]}),
            json!({"media": [1, "image/*", {"url": "https://example.com/b.png"}, false]}),
            // What was read out of the file need not be read again.
            json!({"native": {"annotations": [{"type": "file", "file": {"hash": "h", "name": "a.pdf", "content": []}}]}}),
        ]
    );
    let page = json!({"title": "A", "url": "https://example.com/a", "date": null, "snippet": "About a."});
    assert_eq!(
        heard("perplexity/sources-in-every-chunk"),
        [
            json!({"citation": {"url": "https://example.com/a", "title": "A", "quote": "About a.", "source": page}}),
            json!({"citation": {"url": "https://example.com/b", "source": "https://example.com/b"}}),
        ]
    );
}

#[test]
fn audio_comes_in_pieces() {
    assert_eq!(
        heard("openai/audio-with-its-transcript"),
        [
            json!({"media": [0, "audio/pcm", "AAEC", true]}),
            json!({"media": [0, "audio/pcm", "AwQF", true]}),
            json!({"audio": [15, 25]}),
            json!({"media": [0, "audio/pcm", "", false]}),
            json!({"native": {"audio": {"id": "audio_1"}, "content": null}}),
        ]
    );
}

#[test]
fn tokens_come_with_their_probabilities() {
    let top = json!([{"token": "Hi", "logprob": -0.25}, {"token": "Hey", "logprob": -2.0}]);
    assert_eq!(
        heard("openai/log-probabilities"),
        [
            json!({"logprobs": [{"token": "Hi", "logprob": -0.25, "top": top}]}),
            json!({"logprobs": [{"token": "!", "logprob": -1.0}]}),
        ]
    );
}

#[test]
fn tools_that_groq_runs_are_told_once_with_and_once_without_their_results() {
    let found = json!({"index": 0, "type": "search", "arguments": "{\"query\": \"a\"}", "output": "Found.",
        "search_results": {"results": [{"title": "A", "url": "https://example.com/a"}]}});
    let ran = json!({"index": 1, "type": "python", "arguments": "print(1)", "output": "1"});
    assert_eq!(
        heard("groq/tools-that-it-runs"),
        [
            json!({"call": ["c1-search-0", "search", {"query": "a"}]}),
            json!({"result": ["c1-search-0", "search", found, false]}),
            json!({"call": ["c1-python-1", "python", "print(1)"]}),
            json!({"result": ["c1-python-1", "python", ran, false]}),
        ]
    );
}

#[test]
fn thoughts_go_back_to_mistral_gemini_and_deepseek() {
    let thinking =
        json!({"type": "thinking", "thinking": [{"type": "text", "text": "Rome is old."}], "signature": "c2ln"});
    assert_eq!(
        heard("mistral/thinking-and-references"),
        [
            json!({"citation": {"source": {"type": "reference", "reference_ids": [3, "x"]}}}),
            json!({"native": {"content": [thinking]}}),
        ]
    );
    let signature = json!({"google": {"thought_signature": "c2ln"}});
    assert_eq!(
        heard("gateways/signatures-of-thoughts-on-calls"),
        [json!({"native": {"tool_calls": [{"id": "call_1", "extra_content": signature}]}})]
    );
    let native = &heard("deepseek/reasoning-and-cache")[0]["native"];
    assert!(native["reasoning_content"].as_str().is_some_and(|reasoning| !reasoning.is_empty()), "{native}");
    // It takes none, so none is kept.
    assert!(heard("groq/tools-that-it-runs").iter().all(|event| event.get("native").is_none()));
}

#[test]
fn an_answer_of_anthropics_goes_back_whole() {
    let result = json!([{"type": "web_search_result", "url": "https://example.com/a", "title": "A", "encrypted_content": "b3BhcXVl"}]);
    let failure = json!({"type": "code_execution_tool_result_error", "error_code": "unavailable"});
    let citation = json!({"type": "web_search_result_location", "cited_text": "An a.", "url": "https://example.com/a",
        "title": "A", "encrypted_index": "aWR4"});
    let blocks = json!([
        {"type": "text", "text": "I search."},
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": result},
        {"type": "server_tool_use", "id": "srvtoolu_2", "name": "code_execution", "input": {"code": "1/0"}},
        {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": failure},
        {"type": "text", "text": "An a.", "citations": [citation]},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
    ]);
    assert_eq!(
        heard("anthropic/search-with-citations"),
        [
            json!({"call": ["srvtoolu_1", "web_search", {"query": "a"}]}),
            json!({"result": ["srvtoolu_1", "web_search", result, false]}),
            json!({"call": ["srvtoolu_2", "code_execution", {"code": "1/0"}]}),
            json!({"result": ["srvtoolu_2", "code_execution", failure, true]}),
            json!({"citation": {"url": "https://example.com/a", "title": "A", "quote": "An a.", "source": citation}}),
            json!({"native": {"content": blocks, "container": "container_1"}}),
        ]
    );
    // Text and calls are told by the conversation.
    assert_eq!(heard("anthropic/text-and-cache"), Vec::<Value>::new());
}
