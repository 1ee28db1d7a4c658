//! What it costs to turn a provider's bytes into events: framing, decoding, and both.
//!
//! `cargo bench --bench decode`. An iteration of `decode` is one message, whose size stands in its name; those
//! of the others are 64. Text should allocate nothing.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use tokenwire::provider::{
    Decoder, Flow, Framing, Message, ModelEvent, Secret, Turn, Upstream,
    framing::Splitter,
    vendors::{self, Quirks},
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Messages of each kind, as many as come with one read when it goes fast.
const MESSAGES: usize = 64;

/// A turn that only looks.
struct Seen(usize);

impl Turn for Seen {
    fn emit(&mut self, event: ModelEvent<'_>) {
        if let ModelEvent::Text(delta) | ModelEvent::Reasoning(delta) | ModelEvent::ToolCallDelta { delta, .. } = event
        {
            self.0 += divan::black_box(delta).len();
        }
    }
}

/// What streams are made of.
#[derive(Clone, Copy)]
struct Sample {
    format: &'static str,
    name: &'static str,
    /// The event's type, where the framing has one.
    event: &'static str,
    /// `$` is a word, `%` padding and `#` a number, different in each message.
    data: &'static str,
    /// What must have come before.
    before: &'static [&'static str],
}

/// A row of [`SAMPLES`].
const fn sample(format: &'static str, name: &'static str, event: &'static str, data: &'static str) -> Sample {
    Sample { format, name, event, data, before: &[] }
}

/// The same, after other messages.
const fn after(before: &'static [&'static str], sample: Sample) -> Sample {
    Sample { before, ..sample }
}

const SAMPLES: &[Sample] = &[
    sample(
        "openai-chat",
        "text",
        "",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":" $"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    ),
    sample(
        "openai-chat",
        "text with escapes",
        "",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":"$"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    ),
    sample(
        "openai-chat",
        "text with padding",
        "",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":" $"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"%"}"#,
    ),
    sample(
        "openai-chat",
        "reasoning twice",
        "",
        r#"{"id":"gen-1760000000-abcdefghijklmnopqrst","provider":"Some","model":"some/model-1","object":"chat.completion.chunk","created":1760000000,"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":" $","reasoning_details":[{"type":"reasoning.text","text":" $","format":"unknown","index":0}]},"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}"#,
    ),
    sample(
        "openai-chat",
        "arguments",
        "",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"weather","arguments":"$"}}]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    ),
    sample(
        "openai-responses",
        "text",
        "response.output_text.delta",
        r#"{"type":"response.output_text.delta","sequence_number":#,"item_id":"msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9","output_index":0,"content_index":0,"delta":" $","logprobs":[],"obfuscation":"%"}"#,
    ),
    sample(
        "openai-responses",
        "reasoning",
        "response.reasoning_summary_text.delta",
        r#"{"type":"response.reasoning_summary_text.delta","sequence_number":#,"item_id":"rs_0a1b2c3d4e5f60718293a4b5c6d7e8f9","output_index":0,"summary_index":0,"delta":" $","obfuscation":"%"}"#,
    ),
    after(
        &[
            r#"{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"weather"}}"#,
        ],
        sample(
            "openai-responses",
            "arguments",
            "response.function_call_arguments.delta",
            r#"{"type":"response.function_call_arguments.delta","sequence_number":#,"item_id":"fc_0a1b2c3d4e5f60718293a4b5c6d7e8f9","output_index":0,"delta":"$","obfuscation":"%"}"#,
        ),
    ),
    sample(
        "anthropic",
        "text",
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" $"}}"#,
    ),
    sample(
        "anthropic",
        "text with padding",
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" $"}        ,"p":"%"}"#,
    ),
    sample(
        "anthropic",
        "reasoning",
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" $"}}"#,
    ),
    after(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#,
        ],
        sample(
            "anthropic",
            "arguments",
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"$"}}"#,
        ),
    ),
    sample(
        "gemini",
        "text",
        "",
        r#"{"candidates":[{"content":{"parts":[{"text":" $"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":#,"totalTokenCount":#,"promptTokensDetails":[{"modality":"TEXT","tokenCount":8}]},"modelVersion":"gemini-2.5-flash","responseId":"a1B2c3D4e5F6g7H8i9J0"}"#,
    ),
    sample(
        "gemini",
        "reasoning",
        "",
        r#"{"candidates":[{"content":{"parts":[{"thought":true,"text":" $"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":8,"totalTokenCount":#,"promptTokensDetails":[{"modality":"TEXT","tokenCount":8}],"thoughtsTokenCount":#},"modelVersion":"gemini-2.5-flash","responseId":"a1B2c3D4e5F6g7H8i9J0"}"#,
    ),
    sample("bedrock-converse", "text", "contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":" $"},"p":"%"}"#),
    sample(
        "bedrock-converse",
        "reasoning",
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":" $"}},"p":"%"}"#,
    ),
    sample(
        "bedrock-invoke",
        "text",
        "chunk",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" $"}}"#,
    ),
    sample(
        "cohere",
        "text",
        "content-delta",
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" $"}}}}"#,
    ),
    sample(
        "cohere",
        "reasoning",
        "content-delta",
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":" $"}}}}"#,
    ),
    sample(
        "ollama",
        "text",
        "",
        r#"{"model":"qwen3","created_at":"2025-11-03T17:04:05.678#Z","message":{"role":"assistant","content":" $"},"done":false}"#,
    ),
    sample(
        "ollama",
        "reasoning",
        "",
        r#"{"model":"qwen3","created_at":"2025-11-03T17:04:05.678#Z","message":{"role":"assistant","content":"","thinking":" $"},"done":false}"#,
    ),
];

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.messages().iter().map(String::len).sum();
        write!(f, "{}: {}, {} bytes", self.format, self.name, bytes / MESSAGES)
    }
}

impl Sample {
    fn messages(&self) -> Vec<String> {
        let words = match self.name.ends_with("escapes") {
            true => ["the", r"\n\n", r#"\"wire"#, r#"\""#, "every", r".\n", r"\u00e9", r"\\"],
            false => ["the", "wire", "carries", "every", "token", "once", "and", "in"],
        };
        (0..MESSAGES)
            .map(|n| {
                let data = self.data.replace('$', words[n % 8]).replace('#', &(100 + n).to_string());
                match self.format {
                    "bedrock-invoke" => {
                        format!(r#"{{"bytes":"{}","p":"{}"}}"#, STANDARD.encode(data), &"xyzabc"[n % 6..])
                    }
                    _ => data.replace('%', &"xyzabc"[n % 6..]),
                }
            })
            .collect()
    }

    /// A decoder that has seen what comes before, and the first messages.
    fn decoder(&self) -> Box<dyn Decoder> {
        let mut decoder = vendors::adapter(self.format).unwrap().decoder(&upstream());
        let messages = self.messages();
        for data in self.before.iter().copied().chain(messages.iter().map(String::as_str)) {
            let event = if self.before.contains(&data) { "" } else { self.event };
            decoder.decode(Message { event, data }, &mut Seen(0)).unwrap();
        }
        decoder
    }

    fn framing(&self) -> Framing {
        vendors::adapter(self.format).unwrap().framing()
    }

    /// The messages as they come from the provider.
    fn bytes(&self) -> Vec<u8> {
        let messages = self.messages();
        let framed = messages.iter().flat_map(|data| match self.framing() {
            Framing::EventStream => frame(self.event, data),
            Framing::Ndjson => format!("{data}\n").into_bytes(),
            _ if self.event.is_empty() => format!("data: {data}\n\n").into_bytes(),
            _ => format!("event: {}\ndata: {data}\n\n", self.event).into_bytes(),
        });
        framed.collect()
    }
}

/// A frame of an AWS event stream.
fn frame(event: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", event), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(name.len() as u8);
        headers.extend(name.as_bytes());
        headers.push(7);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let total = (headers.len() + payload.len() + 16) as u32;
    let mut frame = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn samples() -> impl Iterator<Item = Sample> {
    SAMPLES.iter().copied().filter(|sample| vendors::adapter(sample.format).is_some())
}

fn upstream() -> Upstream {
    Upstream {
        name: "bench".into(),
        base_url: String::new(),
        key: None::<Secret>,
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: Quirks::default(),
    }
}

/// Messages to events.
#[divan::bench(args = samples())]
fn decode(bencher: Bencher<'_, '_>, sample: Sample) {
    let (mut decoder, messages, event) = (sample.decoder(), sample.messages(), sample.event);
    let mut seen = Seen(0);
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % MESSAGES;
        decoder.decode(Message { event, data: divan::black_box(&messages[next]) }, &mut seen).unwrap()
    });
}

/// Bytes to messages, in one piece.
#[divan::bench(args = samples().filter(|sample| sample.name == "text"))]
fn split(bencher: Bencher<'_, '_>, sample: Sample) {
    let bytes = sample.bytes();
    let mut splitter = Splitter::new(sample.framing(), 1 << 20);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        splitter.push(divan::black_box(&bytes), &mut |message| {
            divan::black_box(message.data);
            Ok(Flow::More)
        })
    });
}

/// Bytes to events, in pieces of 1400 bytes, so that every fifth message is cut in two.
#[divan::bench(args = samples().filter(|sample| sample.name == "text"))]
fn split_and_decode(bencher: Bencher<'_, '_>, sample: Sample) {
    let (bytes, mut decoder) = (sample.bytes(), sample.decoder());
    let mut splitter = Splitter::new(sample.framing(), 1 << 20);
    let mut seen = Seen(0);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        for piece in divan::black_box(&bytes).chunks(1400) {
            splitter.push(piece, &mut |message| decoder.decode(message, &mut seen)).unwrap();
        }
    });
}
