//! What goes wrong between the server and a provider, in every wire format, on real sockets: each fault ends in
//! the right terminal event, after the right number of requests, with what was shown kept and a bill.
#![allow(clippy::unwrap_used)]

mod support;

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use support::{Client, TestServer, event_stream, upstream::Call, with, within};
use tokenwire::{
    config::{Config, ProviderConfig, WIRE_FORMATS},
    provider::{Framing, vendors},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_rustls::{TlsAcceptor, rustls};

/// A wire format, and what its provider sends. A message is its event and its data; what reports an error in
/// an AWS event stream has `exception:` before its type.
struct Format {
    name: &'static str,
    content_type: &'static str,
    /// An answer that says `Hello`.
    answer: &'static [(&'static str, &'static str)],
    /// So many of its messages say `Hel`.
    hel: usize,
    /// An error inside a stream after which another attempt makes sense, and what it becomes.
    error: (&'static str, &'static str),
    error_code: &'static str,
    /// Whether each message is wrapped as base64, as Bedrock does with what it passes on.
    is_wrapped: bool,
}

const FORMATS: &[Format] = &[
    Format {
        name: "openai-chat",
        content_type: "text/event-stream",
        answer: &[
            ("", r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}"#),
            ("", r#"{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#),
            ("", r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#),
            ("", r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}"#),
            ("", "[DONE]"),
        ],
        hel: 1,
        error: ("", r#"{"error":{"message":"busy","type":"overloaded_error"}}"#),
        error_code: "overloaded",
        is_wrapped: false,
    },
    Format {
        name: "openai-responses",
        content_type: "text/event-stream",
        answer: &[
            ("response.created", r#"{"type":"response.created","response":{"id":"r","status":"in_progress"}}"#),
            (
                "response.output_item.added",
                r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"m","type":"message","role":"assistant","content":[]}}"#,
            ),
            (
                "response.output_text.delta",
                r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"item_id":"m","delta":"Hel"}"#,
            ),
            (
                "response.output_text.delta",
                r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"item_id":"m","delta":"lo"}"#,
            ),
            (
                "response.completed",
                r#"{"type":"response.completed","response":{"id":"r","status":"completed","output":[],"usage":{"input_tokens":7,"output_tokens":5}}}"#,
            ),
        ],
        hel: 3,
        error: ("error", r#"{"type":"error","code":"server_error","message":"busy"}"#),
        error_code: "provider_error",
        is_wrapped: false,
    },
    Format {
        name: "anthropic",
        content_type: "text/event-stream",
        answer: ANTHROPIC_ANSWER,
        hel: 3,
        error: ("error", r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#),
        error_code: "overloaded",
        is_wrapped: false,
    },
    Format {
        name: "gemini",
        content_type: "text/event-stream",
        answer: &[
            ("", r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hel"}]},"index":0}]}"#),
            (
                "",
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"lo"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":5}}"#,
            ),
        ],
        hel: 1,
        error: ("", r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"busy"}}"#),
        error_code: "overloaded",
        is_wrapped: false,
    },
    Format {
        name: "bedrock-converse",
        content_type: "application/vnd.amazon.eventstream",
        answer: &[
            ("messageStart", r#"{"role":"assistant"}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hel"}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"lo"}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("messageStop", r#"{"stopReason":"end_turn"}"#),
            ("metadata", r#"{"usage":{"inputTokens":7,"outputTokens":5,"totalTokens":12}}"#),
        ],
        hel: 2,
        error: ("exception:serviceUnavailableException", r#"{"message":"busy"}"#),
        error_code: "overloaded",
        is_wrapped: false,
    },
    Format {
        name: "bedrock-invoke",
        content_type: "application/vnd.amazon.eventstream",
        answer: ANTHROPIC_ANSWER,
        hel: 3,
        error: ("exception:serviceUnavailableException", r#"{"message":"busy"}"#),
        error_code: "overloaded",
        is_wrapped: true,
    },
    Format {
        name: "cohere",
        content_type: "text/event-stream",
        answer: &[
            ("message-start", r#"{"type":"message-start","id":"c"}"#),
            ("content-delta", r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hel"}}}}"#),
            ("content-delta", r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"lo"}}}}"#),
            (
                "message-end",
                r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":7,"output_tokens":5}}}}"#,
            ),
            ("", "[DONE]"),
        ],
        hel: 2,
        error: ("message-end", r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"busy"}}"#),
        error_code: "provider_error",
        is_wrapped: false,
    },
    Format {
        name: "ollama",
        content_type: "application/x-ndjson",
        answer: &[
            ("", r#"{"message":{"role":"assistant","content":"Hel"},"done":false}"#),
            ("", r#"{"message":{"role":"assistant","content":"lo"},"done":false}"#),
            ("", r#"{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":5}"#),
        ],
        hel: 1,
        error: ("", r#"{"error":"busy"}"#),
        error_code: "provider_error",
        is_wrapped: false,
    },
];

const ANTHROPIC_ANSWER: &[(&str, &str)] = &[
    ("message_start", r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}"#),
    ("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
    ("content_block_delta", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#),
    ("content_block_delta", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#),
    ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
    ("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#),
    ("message_stop", r#"{"type":"message_stop"}"#),
];

impl Format {
    /// The bytes of one message.
    fn message(&self, event: &str, data: &[u8]) -> Vec<u8> {
        let framing = vendors::adapter(self.name).unwrap().framing();
        match framing {
            Framing::Sse if event.is_empty() => [b"data: ", data, b"\n\n"].concat(),
            Framing::Sse => [b"event: ", event.as_bytes(), b"\ndata: ", data, b"\n\n"].concat(),
            Framing::Ndjson => [data, b"\n"].concat(),
            Framing::EventStream => match event.strip_prefix("exception:") {
                Some(kind) => event_stream::exception(kind, data),
                None if self.is_wrapped => {
                    let payload = json!({"bytes": BASE64.encode(data)}).to_string();
                    event_stream::event("chunk", payload.as_bytes())
                }
                None => event_stream::event(event, data),
            },
            Framing::JsonArray => unreachable!("no wire format has it alone"),
        }
    }

    /// The bytes of these messages of the answer.
    fn messages(
        &self,
        range: impl std::slice::SliceIndex<[(&'static str, &'static str)], Output = [(&'static str, &'static str)]>,
    ) -> Vec<u8> {
        self.answer[range].iter().flat_map(|(event, data)| self.message(event, data.as_bytes())).collect()
    }

    fn error(&self) -> Vec<u8> {
        self.message(self.error.0, self.error.1.as_bytes())
    }

    /// What says `lo`, with these bytes as its data.
    fn next(&self, data: &[u8]) -> Vec<u8> {
        self.message(self.answer[self.hel].0, data)
    }

    /// A head without a length and without pieces.
    fn head(&self, version: &str, more: &str) -> Vec<u8> {
        format!("{version} 200 OK\r\ncontent-type: {}\r\n{more}connection: close\r\n\r\n", self.content_type)
            .into_bytes()
    }

    /// Answers well.
    async fn answer(&self, mut call: Call) {
        call.respond(self.content_type).await;
        call.send(&self.messages(..)).await;
        call.end().await;
    }
}

/// A server and a client; each wire format is a provider of its name.
struct Bench {
    server: TestServer,
    client: Client,
    /// How many generations were started.
    started: u32,
    /// The last of them.
    id: String,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(|upstream| format!("http://{upstream}"), change).await
    }

    async fn with_providers_at(base_url: impl Fn(SocketAddr) -> String) -> Self {
        Self::build(base_url, |_| {}).await
    }

    async fn build(base_url: impl Fn(SocketAddr) -> String, change: impl FnOnce(&mut Config)) -> Self {
        let configure = |config: &mut Config, upstream| {
            config.retry.attempts = 2;
            config.retry.base_ms = 0;
            config.retry.max_ms = 500;
            for format in FORMATS {
                let section = ProviderConfig {
                    wire_format: Some(format.name.to_owned()),
                    base_url: Some(base_url(upstream)),
                    api_key: Some("upstream-key".to_owned()),
                    ..ProviderConfig::default()
                };
                config.providers.insert(format.name.to_owned(), section);
            }
            change(config);
        };
        let server = TestServer::build_at(configure, |builder| builder).await;
        let client = server.client().await;
        Self { server, client, started: 0, id: String::new() }
    }

    /// Starts a generation with the format's provider.
    async fn ask(&mut self, format: &Format, more: Value) {
        self.started += 1;
        self.id = format!("{}-{}", format.name, self.started);
        let start = with(support::start(&self.id), json!({"model": format!("{}/m", format.name)}));
        self.client.send(with(start, more)).await;
    }

    /// Waits until the client has read this text.
    async fn until_text(&mut self, text: &str) {
        self.client.until_text(&self.id, text).await;
    }

    async fn call(&mut self) -> Call {
        self.server.upstream.call().await
    }

    /// The format's provider says `Hel`, and the client has read it.
    async fn hel(&mut self, format: &Format) -> Call {
        self.ask(format, json!({})).await;
        let mut call = self.call().await;
        call.respond(format.content_type).await;
        call.send(&format.messages(..format.hel)).await;
        self.until_text("Hel").await;
        call
    }

    /// Every format's generation fails like this, in any order; no request may be left over.
    async fn all_failed(&mut self, code: &str) {
        let mut failed = 0;
        while failed < FORMATS.len() {
            let frame = self.client.next().await;
            let kind = frame["type"].as_str().unwrap();
            assert!(!matches!(kind, "finished" | "retry" | "error"), "{frame}");
            if kind == "failed" {
                assert_eq!(frame["error"]["code"], code, "{frame}");
                assert!(frame["usage"]["source"].is_string(), "{frame}");
                failed += 1;
            }
        }
        assert!(self.server.upstream.try_call().is_none(), "one request too many");
    }

    /// Reads up to the end; no request may be left over.
    async fn end(&mut self, format: &Format) -> End {
        let mut retries = Vec::new();
        loop {
            let frame = self.client.next().await;
            match frame["type"].as_str().unwrap() {
                "retry" => retries.push(frame),
                "finished" | "failed" => {
                    assert!(self.server.upstream.try_call().is_none(), "{}: one request too many", format.name);
                    let text = self.client.text(&self.id).to_owned();
                    return End { format: format.name, frame, retries, text };
                }
                "error" | "cancelled" => panic!("{}: {frame}", format.name),
                _ => {}
            }
        }
    }
}

/// How a generation ended.
struct End {
    format: &'static str,
    frame: Value,
    retries: Vec<Value>,
    text: String,
}

impl End {
    /// It failed like this, after so many retries, with this text shown.
    #[track_caller]
    fn failed(&self, code: &str, retries: usize, text: &str) {
        let Self { format, frame, .. } = self;
        assert_eq!((&frame["type"], &frame["error"]["code"]), (&json!("failed"), &json!(code)), "{format}: {frame}");
        assert_eq!(frame["error"]["provider"], *format, "{frame}");
        assert_eq!((self.retries.len(), &*self.text), (retries, text), "{format}: {frame}");
        let usage = &frame["usage"];
        assert!(usage["source"].is_string(), "{format}: no bill: {frame}");
        assert_eq!(usage["output_tokens"].as_u64().unwrap() > 0, !text.is_empty(), "{format}: {frame}");
    }

    /// It said `Hello`, after so many retries.
    #[track_caller]
    fn finished(&self, retries: usize) {
        let Self { format, frame, .. } = self;
        assert_eq!((&frame["type"], &frame["reason"]), (&json!("finished"), &json!("stop")), "{format}: {frame}");
        assert_eq!((self.retries.len(), &*self.text), (retries, "Hello"), "{format}: {frame}");
        // What an attempt that was lost has cost can only be estimated.
        let sources = if retries == 0 { &["provider"][..] } else { &["provider", "partial"] };
        let usage = &frame["usage"];
        assert_eq!(usage["output_tokens"], 5, "{format}: {frame}");
        assert!(sources.contains(&usage["source"].as_str().unwrap()), "{format}: {frame}");
    }
}

#[test]
fn every_wire_format_has_a_row() {
    let mut rows: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    let mut wire_formats = WIRE_FORMATS.to_vec();
    rows.sort_unstable();
    wire_formats.sort_unstable();
    assert_eq!(rows, wire_formats);
}

#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut bench = Bench::with_providers_at(|_| format!("http://{closed}")).await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        bench.end(format).await.failed("network", 1, "");
    }
}

#[tokio::test]
async fn tls_with_a_server_that_has_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await.unwrap();
        }
    });
    let mut bench = Bench::with_providers_at(|_| format!("https://{address}")).await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        bench.end(format).await.failed("network", 1, "");
    }
    answering.abort();
}

#[tokio::test]
async fn tls_with_a_certificate_that_nobody_vouches_for() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut handshakes = 0;
        while handshakes < 2 * FORMATS.len() {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err(), "the server took the certificate");
            handshakes += 1;
        }
    });
    let mut bench = Bench::with_providers_at(|_| format!("https://{address}")).await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        bench.end(format).await.failed("network", 1, "");
    }
    within("every handshake", accepting).await.unwrap();
}

#[tokio::test]
async fn statuses_become_codes() {
    let mut bench = Bench::start().await;
    for (status, code, is_retried) in [
        (401, "authentication", false),
        (403, "permission", false),
        (404, "model_not_found", false),
        (413, "context_too_long", false),
        (307, "provider_error", false),
        (500, "provider_error", true),
        (529, "overloaded", true),
    ] {
        for format in FORMATS {
            bench.ask(format, json!({})).await;
            let requests = if is_retried { 2 } else { 1 };
            for _ in 0..requests {
                let headers = [("content-type", "application/json"), ("location", "http://127.0.0.1:1/")];
                bench.call().await.status(status, &headers, r#"{"message":"no"}"#).await;
            }
            let end = bench.end(format).await;
            end.failed(code, requests - 1, "");
            assert_eq!(end.frame["error"]["status"], status);
            if status >= 400 {
                assert_eq!(end.frame["usage"]["input_tokens"], 0, "a refused request costs nothing");
            }
        }
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let mut bench = Bench::start().await;
    for (header, value, delay_ms) in
        [("retry-after", "0", 0), ("retry-after", "0.03", 30), ("retry-after-ms", "20", 20)]
    {
        for format in FORMATS {
            bench.ask(format, json!({})).await;
            bench.call().await.status(429, &[(header, value)], r#"{"message":"slow down"}"#).await;
            let call = bench.call().await;
            format.answer(call).await;
            let end = bench.end(format).await;
            end.finished(1);
            assert_eq!(end.retries[0]["delay_ms"], delay_ms, "{}", format.name);
            assert_eq!(end.retries[0]["reason"]["code"], "rate_limit");
        }
    }
}

#[tokio::test]
async fn too_long_a_wait_is_left_to_the_client() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        bench.call().await.status(429, &[("retry-after", "7")], r#"{"message":"slow down"}"#).await;
        let end = bench.end(format).await;
        end.failed("rate_limit", 0, "");
        assert_eq!(
            (&end.frame["error"]["retry_after_ms"], &end.frame["error"]["retryable"]),
            (&json!(7000), &json!(true))
        );
    }
}

#[tokio::test]
async fn silence_before_the_first_token() {
    let mut bench = Bench::start_with(|config| config.retry.attempts = 1).await;
    // At the same time, so that each can have the time that a busy machine needs to send a request.
    for format in FORMATS {
        bench.ask(format, json!({"timeouts": {"first_token_ms": 1500}})).await;
    }
    let mut calls = Vec::new();
    for number in 0..FORMATS.len() {
        let mut call = bench.call().await;
        if number % 2 == 0 {
            call.respond("text/event-stream").await;
        }
        calls.push(call);
    }
    bench.all_failed("first_token_timeout").await;
    for mut call in calls {
        call.closed().await;
    }
}

#[tokio::test]
async fn silence_between_two_tokens() {
    let mut bench = Bench::start_with(|config| config.retry.attempts = 1).await;
    let mut calls = Vec::new();
    for format in FORMATS {
        bench.ask(format, json!({"timeouts": {"idle_ms": 100}})).await;
        let mut call = bench.call().await;
        call.respond(format.content_type).await;
        call.send(&format.messages(..format.hel)).await;
        calls.push(call);
    }
    bench.all_failed("idle_timeout").await;
    for mut call in calls {
        call.closed().await;
    }
}

#[tokio::test]
async fn a_reset_in_mid_token() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        let mut call = bench.hel(format).await;
        let next = format.next(format.answer[format.hel].1.as_bytes());
        call.send(&next[..next.len() / 2]).await;
        call.reset();
        bench.end(format).await.failed("network", 0, "Hel");
    }
}

#[tokio::test]
async fn a_reset_before_anything_was_shown_is_tried_again() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        call.respond(format.content_type).await;
        call.reset();
        let call = bench.call().await;
        format.answer(call).await;
        bench.end(format).await.finished(1);
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_is_not_tried_again() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        let mut call = bench.hel(format).await;
        call.send(&format.error()).await;
        let end = bench.end(format).await;
        end.failed(format.error_code, 0, "Hel");
        assert_eq!((&end.frame["error"]["message"], &end.frame["error"]["retryable"]), (&json!("busy"), &json!(true)));
    }
}

#[tokio::test]
async fn an_error_instead_of_the_first_token_is_tried_again() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        call.respond(format.content_type).await;
        call.send(&format.error()).await;
        let call = bench.call().await;
        format.answer(call).await;
        let end = bench.end(format).await;
        end.finished(1);
        assert_eq!(end.retries[0]["reason"]["code"], format.error_code);
    }
}

#[tokio::test]
async fn text_that_is_cut_in_a_character() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        // By the end of the body.
        let mut call = bench.hel(format).await;
        let (event, data) = format.answer[format.hel];
        let next = format.message(event, data.replace("lo", "l🦀").as_bytes());
        // In base64 there is no character to cut.
        let cut = next.windows(2).position(|bytes| bytes == b"\xF0\x9F").map_or(next.len() / 2, |at| at + 2);
        call.send(&next[..cut]).await;
        call.end().await;
        bench.end(format).await.failed("truncated", 0, "Hel");
    }
    for format in FORMATS {
        // By the end of the message.
        let mut call = bench.hel(format).await;
        let (head, tail) = format.answer[format.hel].1.split_once("lo").unwrap();
        call.send(&format.next(&[head.as_bytes(), b"l\xF0\x9F", tail.as_bytes()].concat())).await;
        bench.end(format).await.failed("provider_protocol", 0, "Hel");
    }
}

#[tokio::test]
async fn a_message_that_is_not_json() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        let mut call = bench.hel(format).await;
        call.send(&format.next(br#"{"delta": {"text": "lo"#)).await;
        bench.end(format).await.failed("provider_protocol", 0, "Hel");
    }
}

#[tokio::test]
async fn a_message_without_an_end() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        let mut call = bench.hel(format).await;
        // A frame says first how long it is.
        let head = match format.content_type {
            "application/vnd.amazon.eventstream" => format.next(&vec![b' '; 9 << 20]),
            "text/event-stream" => b"data: {\"text\": \"".to_vec(),
            _ => b"{\"text\": \"".to_vec(),
        };
        let filler = vec![b'x'; 1 << 20];
        // It stops reading when that is too much.
        for chunk in head.chunks(1 << 20).chain(std::iter::repeat(&*filler)).take(16) {
            let head = format!("{:x}\r\n", chunk.len());
            if !call.raw(&[head.as_bytes(), chunk, b"\r\n"].concat()).await {
                break;
            }
        }
        bench.end(format).await.failed("provider_protocol", 0, "Hel");
    }
}

#[tokio::test]
async fn compression_that_was_not_asked_for() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        for head in ["HTTP/1.1 200 OK", "HTTP/1.1 400 X"] {
            bench.ask(format, json!({})).await;
            let mut call = bench.call().await;
            assert!(!call.headers.contains_key("accept-encoding"));
            let head = format!(
                "{head}\r\ncontent-type: {}\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n",
                format.content_type
            );
            call.raw(&[head.as_bytes(), b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56"].concat()).await;
            call.cut().await;
            let end = bench.end(format).await;
            let code = if head.contains("200") { "provider_protocol" } else { "invalid_request" };
            end.failed(code, 0, "");
            assert!(end.frame["error"]["message"].as_str().unwrap().is_ascii(), "{}", end.frame);
        }
    }
}

#[tokio::test]
async fn chunks_of_one_byte() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        call.respond(format.content_type).await;
        let bytes = format.messages(..);
        let chunks: Vec<u8> = bytes.iter().flat_map(|byte| [b"1\r\n".as_slice(), &[*byte], b"\r\n"].concat()).collect();
        // The heads of chunks are cut, too.
        for piece in chunks.chunks(7) {
            call.raw(piece).await;
        }
        call.raw(b"0\r\n\r\n").await;
        bench.end(format).await.finished(0);
    }
}

#[tokio::test]
async fn a_body_that_ends_early() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        let said = format.messages(..format.hel);
        let length = format!("content-length: {}\r\n", said.len() + 10);
        call.raw(&[format.head("HTTP/1.1", &length), said].concat()).await;
        bench.until_text("Hel").await;
        call.cut().await;
        bench.end(format).await.failed("network", 0, "Hel");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        call.raw(&[format.head("HTTP/1.0", ""), format.messages(..)].concat()).await;
        call.cut().await;
        bench.end(format).await.finished(0);

        // Whether it is whole only the provider's own end says.
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        call.raw(&[format.head("HTTP/1.0", ""), format.messages(..format.hel)].concat()).await;
        call.cut().await;
        bench.end(format).await.failed("truncated", 0, "Hel");
    }
}

#[tokio::test]
async fn an_empty_body_is_tried_again() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let mut call = bench.call().await;
        call.respond(format.content_type).await;
        call.end().await;
        let call = bench.call().await;
        format.answer(call).await;
        let end = bench.end(format).await;
        end.finished(1);
        assert_eq!(end.retries[0]["reason"]["code"], "truncated", "{}", format.name);
    }
}

#[tokio::test]
async fn a_page_instead_of_a_stream() {
    let mut bench = Bench::start().await;
    for format in FORMATS {
        bench.ask(format, json!({})).await;
        let page = "<html><body>Sign in</body></html>";
        bench.call().await.status(200, &[("content-type", "text/html; charset=utf-8")], page).await;
        bench.end(format).await.failed("provider_protocol", 0, "");
    }
}

#[tokio::test]
async fn json_instead_of_a_stream() {
    let mut bench = Bench::start().await;
    // Of these, JSON may be what is streamed.
    let takes_no_json = |format: &&Format| !matches!(format.name, "ollama" | "gemini");
    for format in FORMATS.iter().filter(takes_no_json) {
        for (body, code) in [
            (r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#, "rate_limit"),
            (r#"{"choices":[{"message":{"content":"Hello"}}]}"#, "provider_protocol"),
        ] {
            bench.ask(format, json!({})).await;
            bench.call().await.status(200, &[("content-type", "application/json")], body).await;
            bench.end(format).await.failed(code, 0, "");
        }
    }
}
