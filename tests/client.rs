//! The client against a server that does exactly what the test says, frame by frame.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokenwire::{
    client::{Client, ClientError, Received},
    protocol::{
        Attach, ErrorCode, Event, GenerationId, Start, ToolResult,
        message::{Content, Message},
    },
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as WsMessage,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

#[allow(clippy::result_large_err)] // The library's signature.
fn choose_protocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let protocol = request.headers().get("sec-websocket-protocol").unwrap().clone();
    assert_eq!(protocol, "tokenwire.v1");
    response.headers_mut().insert("sec-websocket-protocol", protocol);
    Ok(response)
}

/// A listener on a free port, whose connections the test plays the server of.
struct Script {
    listener: TcpListener,
}

struct Peer {
    socket: WebSocketStream<TcpStream>,
}

impl Script {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// Takes a connection and says hello.
    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer { socket: accept_hdr_async(stream, choose_protocol).await.unwrap() };
        let limits = json!({"max_frame_bytes": 1024, "max_generations": 1, "max_attachments": 1});
        peer.say(json!({"type": "hello", "session": "s", "protocol": "tokenwire.v1", "heartbeat_seconds": 25, "limits": limits}))
            .await;
        peer
    }

    /// A client of this script, and its first connection.
    async fn connect(&self) -> (Client, Peer) {
        let url = self.url();
        let (client, peer) = tokio::join!(Client::connect(&url), self.accept());
        (client.unwrap(), peer)
    }
}

impl Peer {
    async fn say(&mut self, frame: Value) {
        self.socket.send(WsMessage::text(frame.to_string())).await.unwrap();
    }

    async fn say_event(&mut self, seq: u64, kind: &str, mut fields: Value) {
        fields["type"] = kind.into();
        fields["id"] = "g".into();
        fields["seq"] = seq.into();
        self.say(fields).await;
    }

    async fn say_started(&mut self) {
        self.say_event(1, "started", json!({"epoch": "e", "model": "m", "provider": "p"})).await;
    }

    async fn say_text(&mut self, seq: u64, delta: &str) {
        self.say_event(seq, "text", json!({"delta": delta})).await;
    }

    async fn say_finished(&mut self, seq: u64) {
        let usage = json!({"input_tokens": 1, "output_tokens": 2, "source": "provider"});
        let timing = json!({"queue_ms": 0, "total_ms": 1});
        self.say_event(seq, "finished", json!({"reason": "stop", "usage": usage, "timing": timing})).await;
    }

    async fn hear(&mut self) -> Value {
        loop {
            if let WsMessage::Text(text) = self.socket.next().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
    }
}

fn id() -> GenerationId {
    "g".parse().unwrap()
}

fn start() -> Start {
    Start::new(id(), "demo/markdown", vec![Message::user("Hi")])
}

/// What the client gives, in short.
async fn next(client: &mut Client) -> String {
    match client.next().await {
        Ok(Received::Event(frame)) => match frame.event {
            Event::Text(text) => format!("{} {}", frame.seq, text.delta),
            event => format!("{} {}", frame.seq, event.type_name()),
        },
        Ok(Received::Refused(refused)) => refused.error.code.to_string(),
        Ok(Received::Disconnected(_)) => "disconnected".to_owned(),
        Ok(Received::Reconnected) => "reconnected".to_owned(),
        Ok(Received::GoingAway(_)) => "going away".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_client_can_be_given_to_a_task() {
    fn is_send<T: Send>() {}
    is_send::<Client>();
}

#[tokio::test]
async fn events_come_in_order() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    assert_eq!(client.hello().session, "s");
    client.start(start()).await;
    let frame = peer.hear().await;
    assert_eq!((&frame["type"], &frame["id"]), (&json!("start"), &json!("g")));
    peer.say_started().await;
    peer.say_text(3, "Hello").await;
    peer.say_finished(4).await;
    assert_eq!(next(&mut client).await, "1 started");
    assert_eq!(next(&mut client).await, "3 Hello");
    assert_eq!(next(&mut client).await, "4 finished");
    client.close().await;
    assert!(matches!(peer.socket.next().await, Some(Ok(WsMessage::Close(_)))));
}

#[tokio::test]
async fn after_a_drop_the_rest_is_asked_for_and_no_event_comes_twice() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    client.start(start()).await;
    peer.say_started().await;
    peer.say_text(2, "a").await;
    assert_eq!(next(&mut client).await, "1 started");
    assert_eq!(next(&mut client).await, "2 a");
    drop(peer);
    assert!(client.is_connected());
    assert_eq!(next(&mut client).await, "disconnected");
    assert!(!client.is_connected());
    let (reconnected, mut peer) = tokio::join!(next(&mut client), script.accept());
    assert_eq!(reconnected, "reconnected");
    // A server that says too much does not confuse it.
    peer.say_text(2, "a").await;
    peer.say_text(3, "b").await;
    assert_eq!(next(&mut client).await, "3 b");
    assert_eq!(peer.hear().await, json!({"type": "attach", "id": "g", "after": 2, "epoch": "e"}));
}

#[tokio::test]
async fn what_the_server_has_not_confirmed_is_repeated_after_a_drop() {
    let script = Script::new().await;
    let (mut client, peer) = script.connect().await;
    client.start(start()).await;
    drop(peer);
    assert_eq!(next(&mut client).await, "disconnected");
    // Asked while there is no connection.
    client.cancel(&id()).await;
    let (_, mut peer) = tokio::join!(next(&mut client), script.accept());
    peer.say_started().await;
    assert_eq!(next(&mut client).await, "1 started");
    assert_eq!(peer.hear().await["type"], "start");
    assert_eq!(peer.hear().await, json!({"type": "cancel", "id": "g"}));
}

#[tokio::test]
async fn a_tool_result_is_repeated_until_it_is_taken() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    client.attach(Attach { id: id(), after: 0, epoch: None }).await;
    peer.say_started().await;
    assert_eq!(next(&mut client).await, "1 started");
    let result = ToolResult { id: id(), call_id: "c".into(), content: Content::Text("7".into()), is_error: false };
    client.tool_result(result).await;
    drop(peer);
    assert_eq!(next(&mut client).await, "disconnected");
    let (_, mut peer) = tokio::join!(next(&mut client), script.accept());
    peer.say_event(2, "tool_result", json!({"call_id": "c", "content": "7"})).await;
    // The repetition is refused because the first had arrived: nothing that the caller needs to know.
    peer.say(json!({"type": "error", "id": "g", "code": "already_resolved", "message": "m", "retryable": false})).await;
    peer.say_text(3, "b").await;
    assert_eq!(next(&mut client).await, "2 tool_result");
    assert_eq!(next(&mut client).await, "3 b");
    assert_eq!(peer.hear().await["type"], "attach");
    assert_eq!(peer.hear().await["call_id"], "c");
}

#[tokio::test]
async fn an_ended_generation_is_not_asked_for_again() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    client.start(start()).await;
    peer.say_started().await;
    peer.say_finished(2).await;
    assert_eq!(next(&mut client).await, "1 started");
    assert_eq!(next(&mut client).await, "2 finished");
    drop(peer);
    assert_eq!(next(&mut client).await, "disconnected");
    let (_, mut peer) = tokio::join!(next(&mut client), script.accept());
    client.detach(&id()).await;
    assert_eq!(peer.hear().await["type"], "detach");
}

#[tokio::test]
async fn a_refused_start_is_said_once_and_forgotten() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    client.start(start()).await;
    peer.say(json!({"type": "error", "id": "g", "code": "unknown_model", "message": "m", "retryable": false})).await;
    match client.next().await.unwrap() {
        Received::Refused(refused) => assert_eq!(refused.error.code, ErrorCode::UnknownModel),
        other => panic!("{other:?}"),
    }
    peer.say(json!({"type": "going_away", "reason": "drain", "reconnect_in_ms": 1})).await;
    assert_eq!(next(&mut client).await, "going away");
    peer.close(4001, "going away").await;
    assert_eq!(next(&mut client).await, "disconnected");
    let (_, mut peer) = tokio::join!(next(&mut client), script.accept());
    client.detach(&id()).await;
    assert_eq!(peer.hear().await["type"], "detach");
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_skipped_but_its_position_counts() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    client.start(start()).await;
    assert_eq!(peer.hear().await["type"], "start");
    peer.say_started().await;
    peer.say_event(2, "hologram", json!({})).await;
    peer.say(json!({"type": "weather"})).await;
    assert_eq!(next(&mut client).await, "1 started");
    drop(peer);
    assert_eq!(next(&mut client).await, "disconnected");
    let (_, mut peer) = tokio::join!(next(&mut client), script.accept());
    peer.say_text(3, "b").await;
    assert_eq!(next(&mut client).await, "3 b");
    assert_eq!(peer.hear().await["after"], 2);
}

#[tokio::test]
async fn a_close_code_says_whether_to_come_back() {
    let script = Script::new().await;
    let (mut client, peer) = script.connect().await;
    peer.close(4500, "not authenticated").await;
    let error = "error: the server closed the connection: not authenticated (4500)";
    assert_eq!(next(&mut client).await, error);
    assert_eq!(next(&mut client).await, error);
}

#[tokio::test]
async fn waiting_can_be_interrupted_at_any_moment() {
    let script = Script::new().await;
    let (mut client, mut peer) = script.connect().await;
    client.start(start()).await;
    drop(peer.hear().await);
    drop(peer);
    let mut seen = Vec::new();
    let server = async {
        let mut peer = script.accept().await;
        peer.say_started().await;
        peer.say_text(2, "a").await;
        peer.say_finished(3).await;
        peer
    };
    let reading = async {
        while seen.last().is_none_or(|last| last != "3 finished") {
            tokio::select! {
                biased;
                received = next(&mut client) => seen.push(received),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let ((), mut peer) = tokio::join!(reading, server);
    assert_eq!(seen, ["disconnected", "reconnected", "1 started", "2 a", "3 finished"]);
    assert_eq!(peer.hear().await["type"], "start");
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_said() {
    async fn check(url: &str, expected: &str) {
        assert_eq!(Client::connect(url).await.unwrap_err().to_string(), expected);
    }
    check("nonsense", "not a URL to connect to: it begins with ws:// or wss://").await;
    check("ftp://a", "not a URL to connect to: it begins with ws:// or wss://").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(&format!("ws://{address}")).await.unwrap_err();
    assert!(matches!(error, ClientError::Network(_)));
    let error = Client::builder("ws://127.0.0.1:1").key("a\nb").connect().await.unwrap_err();
    assert_eq!(error, ClientError::Key);
}

#[tokio::test]
async fn without_reconnecting_a_drop_is_the_end() {
    let script = Script::new().await;
    let url = script.url();
    let builder = Client::builder(&url).reconnect_for(Duration::ZERO);
    let (client, peer) = tokio::join!(builder.connect(), script.accept());
    drop(peer);
    assert!(next(&mut client.unwrap()).await.starts_with("error: "));
}

#[tokio::test]
async fn tls_needs_no_setting_up() {
    use tokio::io::AsyncReadExt;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut record = [0; 1];
        stream.read_exact(&mut record).await.unwrap();
        record[0]
    };
    let (error, first_byte) = tokio::join!(Client::connect(&url), server);
    assert!(matches!(error.unwrap_err(), ClientError::Network(_)));
    assert_eq!(first_byte, 0x16, "a TLS handshake record");
}
