//! Promise: over the provider's own WebSocket a turn is what it is over HTTP, and the socket is kept for the next.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod support;

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Client, TestServer, provider_at, start, with, within};
use tokenwire::config::Config;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

/// A provider that takes sockets.
struct Provider {
    listener: TcpListener,
    address: SocketAddr,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// A server that asks it.
    async fn server(&self) -> TestServer {
        TestServer::with(|config| self.configure(config)).await
    }

    fn configure(&self, config: &mut Config) {
        let mut section = provider_at(self.address);
        section.websocket = true;
        config.providers.insert("openai-responses".into(), section);
    }

    /// The next connection, which becomes a socket.
    async fn accept(&self) -> Socket {
        let (stream, _) = within("a connection to the provider", self.listener.accept()).await.unwrap();
        let mut asked = None;
        let look = |request: &Request, response: Response| {
            asked = Some(request.clone());
            Ok(response)
        };
        let stream = accept_hdr_async(stream, look).await.unwrap();
        Socket { asked: asked.unwrap(), stream }
    }

    /// The next connection, which is refused.
    async fn refuse(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let (stream, _) = within("a connection to the provider", self.listener.accept()).await.unwrap();
        let refuse = |_: &Request, _: Response| {
            let mut refusal = ErrorResponse::new(Some(body.to_owned()));
            *refusal.status_mut() = status.try_into().unwrap();
            for (name, value) in headers {
                let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
                refusal.headers_mut().insert(name, value.parse().unwrap());
            }
            refusal.headers_mut().insert("content-length", body.len().into());
            Err(refusal)
        };
        accept_hdr_async(stream, refuse).await.unwrap_err();
    }

    /// Nobody else connects.
    async fn nobody_comes(&self) {
        let waited = tokio::time::timeout(std::time::Duration::from_millis(100), self.listener.accept()).await;
        assert!(waited.is_err(), "another connection to the provider");
    }
}

/// One socket, as the provider has it.
struct Socket {
    asked: Request,
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// The next frame.
    async fn frame(&mut self) -> Value {
        loop {
            match within("a frame to the provider", self.stream.next()).await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn send(&mut self, event: Value) {
        self.stream.send(Message::text(event.to_string())).await.unwrap();
    }

    async fn text(&mut self, text: &str) {
        self.send(json!({"type": "response.output_text.delta", "output_index": 0, "delta": text})).await;
    }

    /// Ends the response with these items.
    async fn complete(&mut self, id: &str, output: Value) {
        let usage = json!({"input_tokens": 7, "output_tokens": 5});
        let response = json!({"id": id, "status": "completed", "output": output, "usage": usage});
        self.send(json!({"type": "response.completed", "response": response})).await;
    }

    /// A whole answer of one text.
    async fn answer(&mut self, id: &str, text: &str) {
        self.text(text).await;
        self.complete(id, json!([message(text)])).await;
    }

    /// Waits until the server closes it.
    async fn closed(&mut self) {
        let next = within("the server closing its socket to the provider", self.stream.next()).await;
        assert!(!matches!(next, Some(Ok(Message::Text(_) | Message::Binary(_)))), "{next:?}");
    }
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

fn ask(id: &str) -> Value {
    with(start(id), json!({"model": "openai-responses/m"}))
}

async fn finished(client: &mut Client, id: &str) -> Value {
    let end = client.end_of(id).await;
    assert_eq!(end["type"], "finished", "{end}");
    end
}

async fn failed(client: &mut Client, id: &str) -> Value {
    let end = client.end_of(id).await;
    assert_eq!(end["type"], "failed", "{end}");
    end["error"].clone()
}

#[tokio::test]
async fn a_socket_is_kept_from_turn_to_turn() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut socket = provider.accept().await;
    assert_eq!(socket.asked.uri().path(), "/v1/responses");
    assert_eq!(socket.asked.headers()["authorization"], "Bearer upstream-key");
    assert!(!socket.asked.headers().contains_key("content-type"));
    let input = json!([{"role": "user", "content": "Hello"}]);
    assert_eq!(socket.frame().await, json!({"type": "response.create", "model": "m", "input": input, "store": false}));
    socket.text("Hi").await;
    assert_eq!(client.until("text").await["delta"], "Hi");
    socket.complete("resp_1", json!([message("Hi")])).await;
    let end = finished(&mut client, "g1").await;
    assert_eq!(end["usage"], json!({"input_tokens": 7, "output_tokens": 5, "source": "provider"}));

    // Another conversation: nothing of the first is gone on with.
    client.send(ask("g2")).await;
    let frame = socket.frame().await;
    assert_eq!((frame.get("previous_response_id"), &frame["input"]), (None, &input));
    socket.answer("resp_2", "Hi again").await;
    finished(&mut client, "g2").await;
    provider.nobody_comes().await;
}

#[tokio::test]
async fn a_tool_loop_sends_only_what_is_new() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    client.send(with(ask("g1"), json!({"tools": [{"type": "function", "function": function}]}))).await;
    let mut socket = provider.accept().await;
    let whole = socket.frame().await;
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"});
    socket.complete("resp_1", json!([reasoning, call])).await;
    client.until("tool_wait").await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "blue"})).await;

    let frame = socket.frame().await;
    let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "blue"});
    assert_eq!((&frame["previous_response_id"], &frame["input"]), (&json!("resp_1"), &json!([result])));
    assert_eq!(frame["tools"], whole["tools"]);

    // The provider has forgotten: all of it, on the same socket.
    let error = json!({"type": "invalid_request_error", "code": "previous_response_not_found", "message": "No."});
    socket.send(json!({"type": "error", "status": 400, "error": error})).await;
    let frame = socket.frame().await;
    let input = json!([{"role": "user", "content": "Hello"}, reasoning, call, result]);
    assert_eq!((frame.get("previous_response_id"), &frame["input"]), (None, &input));
    socket.answer("resp_2", "It is blue.").await;
    finished(&mut client, "g1").await;
}

#[tokio::test]
async fn a_socket_that_the_provider_has_closed_is_replaced() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut socket = provider.accept().await;
    socket.frame().await;
    socket.answer("resp_1", "Hi").await;
    finished(&mut client, "g1").await;

    // Closed when it is asked, as one is whose closing has not arrived yet.
    client.send(ask("g2")).await;
    socket.frame().await;
    drop(socket);
    let mut socket = provider.accept().await;
    socket.frame().await;
    socket.answer("resp_2", "Hi again").await;
    finished(&mut client, "g2").await;

    // Closed for its age.
    client.send(ask("g3")).await;
    socket.frame().await;
    let error =
        json!({"type": "invalid_request_error", "code": "websocket_connection_limit_reached", "message": "Old."});
    socket.send(json!({"type": "error", "status": 400, "error": error})).await;
    let mut socket = provider.accept().await;
    socket.frame().await;
    socket.answer("resp_3", "And again").await;
    finished(&mut client, "g3").await;
}

#[tokio::test]
async fn generations_at_once_have_sockets_of_their_own() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut first = provider.accept().await;
    first.frame().await;
    client.send(ask("g2")).await;
    let mut second = provider.accept().await;
    second.frame().await;
    second.answer("resp_2", "Two").await;
    finished(&mut client, "g2").await;
    first.answer("resp_1", "One").await;
    finished(&mut client, "g1").await;
}

#[tokio::test]
async fn cancelling_closes_the_socket() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut socket = provider.accept().await;
    socket.frame().await;
    socket.text("A long").await;
    client.until("text").await;
    client.send(json!({"type": "cancel", "id": "g1"})).await;
    assert_eq!(client.end_of("g1").await["type"], "cancelled");
    socket.closed().await;
}

#[tokio::test]
async fn an_error_frame_ends_the_turn() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut socket = provider.accept().await;
    socket.frame().await;
    let error = json!({"type": "requests", "code": "rate_limit_exceeded", "message": "Slower.",
        "headers": {"retry-after": "2"}});
    socket.send(json!({"type": "error", "status": 429, "error": error})).await;
    let error = failed(&mut client, "g1").await;
    assert_eq!((&error["code"], &error["status"]), (&json!("rate_limit"), &json!(429)));
    assert_eq!((&error["retry_after_ms"], &error["message"]), (&json!(2000), &json!("Slower.")));
    socket.closed().await;
}

#[tokio::test]
async fn a_socket_that_closes_in_the_middle_is_a_truncated_answer() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut socket = provider.accept().await;
    socket.frame().await;
    socket.text("Half").await;
    client.until("text").await;
    socket.stream.close(None).await.unwrap();
    assert_eq!(failed(&mut client, "g1").await["code"], "truncated");
}

#[tokio::test]
async fn a_refused_handshake_is_read_as_over_http() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    provider.refuse(401, &[], r#"{"error":{"message":"Incorrect API key: upstream-key"}}"#).await;
    let error = failed(&mut client, "g1").await;
    assert_eq!((&error["code"], &error["status"]), (&json!("authentication"), &json!(401)));
    assert!(!error["message"].as_str().unwrap().contains("upstream-key"), "{error}");

    client.send(ask("g2")).await;
    provider.refuse(503, &[("retry-after", "3")], "{}").await;
    let error = failed(&mut client, "g2").await;
    assert_eq!((&error["code"], &error["retry_after_ms"]), (&json!("overloaded"), &json!(3000)));

    client.send(ask("g3")).await;
    provider.refuse(404, &[], "").await;
    let error = failed(&mut client, "g3").await;
    assert_eq!(error["code"], "provider_protocol");
    assert!(error["message"].as_str().unwrap().contains("`websocket`"), "{error}");
}

#[tokio::test]
async fn raw_messages_and_unknown_frames_are_no_harm() {
    let provider = Provider::start().await;
    let server = provider.server().await;
    let mut client = server.client().await;
    client.send(with(ask("g1"), json!({"raw": true}))).await;
    let mut socket = provider.accept().await;
    socket.frame().await;
    socket.stream.send(Message::Binary(vec![1, 2].into())).await.unwrap();
    socket.stream.send(Message::Ping(vec![3].into())).await.unwrap();
    socket.send(json!({"type": "response.queue.moved", "place": 3})).await;
    assert_eq!(client.until("raw").await["data"], json!({"type": "response.queue.moved", "place": 3}));
    socket.answer("resp_1", "Hi").await;
    finished(&mut client, "g1").await;
}
