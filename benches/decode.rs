//! What it costs to turn a provider's bytes into events: framing, decoding, and both.
//!
//! `cargo bench --bench decode`. One iteration is 64 messages; `item/s` counts messages. There
//! should be no allocations for plain text.
#![allow(clippy::unwrap_used, missing_docs)]

use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use tokenwire::provider::{
    Adapter, Flow, Framing, Message, ModelEvent, Secret, Turn, Upstream,
    framing::Splitter,
    vendors::{self, Quirks},
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Messages per iteration, as many as come with one read when it goes fast.
const MESSAGES: usize = 64;

/// A turn that only looks.
struct Seen(usize);

impl Turn for Seen {
    fn emit(&mut self, event: ModelEvent<'_>) {
        if let ModelEvent::Text(text) | ModelEvent::Reasoning(text) = event {
            self.0 += divan::black_box(text).len();
        }
    }
}

/// `(wire format, name, message)`: what streams are made of. `$` is a word and `%` padding, both
/// different in each message.
const SAMPLES: &[(&str, &str, &str)] = &[
    (
        "openai-chat",
        "text",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":" $"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    ),
    (
        "openai-chat",
        "text with escapes",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":"$"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    ),
    (
        "openai-chat",
        "text with padding",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":" $"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"%"}"#,
    ),
    (
        "openai-chat",
        "reasoning twice",
        r#"{"id":"gen-1760000000-abcdefghijklmnopqrst","provider":"Some","model":"some/model-1","object":"chat.completion.chunk","created":1760000000,"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":" $","reasoning_details":[{"type":"reasoning.text","text":" $","format":"unknown","index":0}]},"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}"#,
    ),
    (
        "openai-chat",
        "tool call",
        r#"{"id":"chatcmpl-BpJBM4XqgLRpLxmTeun39ESCNhQwb","object":"chat.completion.chunk","created":1751568164,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"weather","arguments":"$"}}]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    ),
    ("anthropic", "text", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" $"}}"#),
    (
        "anthropic",
        "text with padding",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" $"}        ,"p":"%"}"#,
    ),
];

fn names() -> impl Iterator<Item = String> {
    SAMPLES.iter().map(|(format, name, _)| format!("{format}: {name}"))
}

fn sample(name: &str) -> (std::sync::Arc<dyn Adapter>, Vec<String>) {
    let (format, _, message) =
        SAMPLES.iter().find(|(format, sample, _)| name == format!("{format}: {sample}")).unwrap();
    let words = match name.ends_with("escapes") {
        true => ["the", r"\n\n", r#"\"wire"#, r#"\""#, "every", r".\n", r"\u00e9", r"\\"],
        false => ["the", "wire", "carries", "every", "token", "once", "and", "in"],
    };
    let messages = (0..MESSAGES).map(|n| message.replace('$', words[n % 8]).replace('%', &"xyzabc"[n % 6..]));
    (vendors::adapter(format).unwrap(), messages.collect())
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
#[divan::bench(args = names())]
fn decode(bencher: Bencher<'_, '_>, name: &str) {
    let (adapter, messages) = sample(name);
    let mut decoder = adapter.decoder(&upstream());
    let mut seen = Seen(0);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        for data in divan::black_box(&messages) {
            decoder.decode(Message { event: "", data }, &mut seen).unwrap();
        }
    });
}

/// Bytes to messages, in one piece.
#[divan::bench(args = [Framing::Sse, Framing::Ndjson])]
fn split(bencher: Bencher<'_, '_>, framing: Framing) {
    let (before, after) = match framing {
        Framing::Sse => ("data: ", "\n\n"),
        _ => ("", "\n"),
    };
    let bytes = format!("{before}{}{after}", SAMPLES[0].2).repeat(MESSAGES);
    let mut splitter = Splitter::new(framing, 1 << 20);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        splitter.push(divan::black_box(bytes.as_bytes()), &mut |message| {
            divan::black_box(message.data);
            Ok(Flow::More)
        })
    });
}

/// Bytes to events, in pieces of 1400 bytes, so that every fifth message is cut in two.
#[divan::bench(args = names())]
fn split_and_decode(bencher: Bencher<'_, '_>, name: &str) {
    let (adapter, messages) = sample(name);
    let bytes: String = messages.iter().map(|data| format!("data: {data}\n\n")).collect();
    let mut splitter = Splitter::new(adapter.framing(), 1 << 20);
    let mut decoder = adapter.decoder(&upstream());
    let mut seen = Seen(0);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        for piece in divan::black_box(bytes.as_bytes()).chunks(1400) {
            splitter.push(piece, &mut |message| decoder.decode(message, &mut seen)).unwrap();
        }
    });
}
