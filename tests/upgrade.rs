//! Promise: who may connect is decided before the upgrade, and a connection that breaks the rules
//! of HTTP or WebSocket is closed with the code that says so, at its own cost only.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;
use support::{Client, TestServer, key, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// A connection without a library in between.
struct Raw(TcpStream);

impl Raw {
    async fn connect(server: &TestServer) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads up to the end of an answer's head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the head of an answer", self.0.read_u8()).await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// The next WebSocket frame: its opcode and payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 2];
        within("a WebSocket frame", self.0.read_exact(&mut start)).await.unwrap();
        let length = match start[1] {
            126 => self.0.read_u16().await.unwrap() as usize,
            short => short as usize,
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        (start[0] & 0xf, payload)
    }

    /// Reads frames up to the close frame: its code.
    async fn close_code(&mut self) -> u16 {
        loop {
            if let (8, payload) = self.frame().await {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }

    /// Reads to the end of the connection.
    async fn ended(&mut self) {
        let mut rest = Vec::new();
        let _ = within("the end of the connection", self.0.read_to_end(&mut rest)).await;
    }
}

/// An upgrade request with more header lines.
fn request(host: &str, lines: &str) -> String {
    format!(
        "GET /v1/stream HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// The head of the answer to an upgrade request.
async fn answer(server: &TestServer, host: &str, lines: &str) -> String {
    let mut raw = Raw::connect(server).await;
    raw.write(request(host, lines).as_bytes()).await;
    raw.head().await
}

/// A masked frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

async fn upgraded(server: &TestServer) -> Raw {
    let mut raw = Raw::connect(server).await;
    raw.write(request("localhost", "").as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.frame().await.0, 1, "hello");
    raw
}

#[tokio::test]
async fn pages_of_other_origins_may_not_connect() {
    let server = TestServer::with(|config| config.allowed_origins = vec!["https://app.example.com".into()]).await;
    for origin in ["https://app.example.com", "http://localhost:3000", "http://127.0.0.1"] {
        let head = answer(&server, "localhost", &format!("origin: {origin}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{origin}: {head}");
    }
    for origin in ["https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com"] {
        let head = answer(&server, "localhost", &format!("origin: {origin}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{origin}: {head}");
    }
    let twice = answer(&server, "localhost", "origin: http://localhost\r\norigin: https://evil.example\r\n").await;
    assert!(twice.starts_with("HTTP/1.1 403 "), "{twice}");
}

#[tokio::test]
async fn pages_of_allowed_origins_read_the_http_routes_and_no_others() {
    let server = TestServer::with(|config| config.allowed_origins = vec!["https://app.example.com".into()]).await;
    let ask = async |request: &str, origin: &str, lines: &str| {
        let mut raw = Raw::connect(&server).await;
        let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\n{lines}\r\n");
        raw.write(request.as_bytes()).await;
        raw.head().await
    };
    let head = ask("GET /v1/conversations", "https://app.example.com", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("access-control-allow-origin: https://app.example.com\r\n"), "{head}");
    assert!(!head.contains("access-control-allow-credentials"), "{head}");
    let wanted =
        "access-control-request-method: PATCH\r\naccess-control-request-headers: authorization,content-type\r\n";
    let head = ask("OPTIONS /v1/conversations/c1", "https://app.example.com", wanted).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("access-control-allow-methods: GET,POST,PATCH,DELETE\r\n"), "{head}");
    assert!(head.contains("access-control-allow-headers: authorization,content-type,tokenwire-share\r\n"), "{head}");
    for request in ["GET /v1/conversations", "OPTIONS /v1/conversations/c1"] {
        let head = ask(request, "https://evil.example", wanted).await;
        assert!(head.starts_with("HTTP/1.1 403 ") && !head.contains("access-control"), "{head}");
    }
}

#[tokio::test]
async fn names_that_are_not_its_own_are_refused_on_every_route() {
    let server = TestServer::start().await;
    for host in ["localhost", "127.0.0.1:8080", "[::1]:1"] {
        assert!(answer(&server, host, "").await.starts_with("HTTP/1.1 101 "), "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1"] {
        assert!(answer(&server, host, "").await.starts_with("HTTP/1.1 403 "), "{host}");
        let mut raw = Raw::connect(&server).await;
        raw.write(format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 403 "), "{host}");
    }
}

#[tokio::test]
async fn a_key_comes_in_a_header_or_in_a_subprotocol_and_never_goes_back() {
    let server = TestServer::with(|config| config.auth.keys = vec![key("ann", "key-of-ann-000001")]).await;
    for lines in [
        "authorization: Bearer key-of-ann-000001\r\n",
        "authorization: bearer key-of-ann-000001\r\n",
        "sec-websocket-protocol: tokenwire.v1, tokenwire.bearer.key-of-ann-000001\r\n",
        "sec-websocket-protocol: tokenwire.bearer.key-of-ann-000001\r\nsec-websocket-protocol: tokenwire.v1\r\n",
    ] {
        let head = answer(&server, "localhost", lines).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{lines}{head}");
        assert!(!head.contains("key-of-ann-000001"), "{head}");
    }
    for lines in [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: Bearer\r\n",
        "authorization: Basic key-of-ann-000001\r\n",
        "sec-websocket-protocol: tokenwire.v1\r\n",
        "sec-websocket-protocol: tokenwire.v1, tokenwire.bearer.wrong\r\n",
        "cookie: key=key-of-ann-000001\r\n",
    ] {
        let head = answer(&server, "localhost", lines).await;
        assert!(head.starts_with("HTTP/1.1 401 "), "{lines}{head}");
    }
}

#[tokio::test]
async fn the_subprotocol_is_echoed_when_it_is_offered() {
    let server = TestServer::start().await;
    for (lines, echoed) in [
        ("", None),
        ("sec-websocket-protocol: tokenwire.v1\r\n", Some("tokenwire.v1")),
        ("sec-websocket-protocol: other, tokenwire.v1\r\n", Some("tokenwire.v1")),
        ("sec-websocket-protocol: tokenwire.v1, tokenwire.bearer.x\r\n", Some("tokenwire.v1")),
        ("sec-websocket-protocol: other\r\n", None),
    ] {
        let head = answer(&server, "localhost", lines).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        let header = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(header, echoed, "{lines}");
    }
}

#[tokio::test]
async fn what_is_no_upgrade_gets_an_http_answer() {
    let server = TestServer::start().await;
    for (request, status) in [
        ("GET /v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), "426"),
        ("POST /v1/stream HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".to_owned(), "405"),
        (request("localhost", "").replace("websocket-version: 13", "websocket-version: 8"), "426"),
        ("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), "200"),
        ("GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), "404"),
    ] {
        let mut raw = Raw::connect(&server).await;
        raw.write(request.as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{head}");
    }
}

#[tokio::test]
async fn a_frame_right_behind_the_request_is_not_lost() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(&server).await;
    let mut bytes = request("localhost", "").into_bytes();
    bytes.extend(frame(0x81, br#"{"type":"ping","nonce":1}"#));
    raw.write(&bytes).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.frame().await.0, 1, "hello");
    assert_eq!(raw.frame().await.1, br#"{"type":"pong","nonce":1}"#);
}

#[tokio::test]
async fn only_so_many_connections_are_taken() {
    let server = TestServer::with(|config| config.limits.max_connections = 2).await;
    let one = server.client().await;
    let mut two = server.client().await;
    let refused = answer(&server, "localhost", "").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    two.nothing_comes().await;
    one.close().await;
    // Its place is free when the server has noticed.
    let free = async { while !answer(&server, "localhost", "").await.starts_with("HTTP/1.1 101 ") {} };
    within("a free place", free).await;
}

#[tokio::test]
async fn a_request_that_does_not_come_is_cut() {
    let server = TestServer::start().await;
    let mut silent = Raw::connect(&server).await;
    let mut half = Raw::connect(&server).await;
    half.write(b"GET /v1/stream HTTP/1.1\r\nhost: localhost\r\n").await;
    let begun_at = Instant::now();
    tokio::join!(silent.ended(), half.ended());
    assert!(begun_at.elapsed() < Duration::from_secs(15), "{:?}", begun_at.elapsed());
}

#[tokio::test]
async fn broken_framing_closes_with_1002() {
    let server = TestServer::start().await;
    let unmasked = [&[0x81, 2][..], b"{}"].concat();
    let reserved_opcode = frame(0x83, b"{}");
    let reserved_bit = frame(0xc1, b"{}");
    let fragmented_ping = frame(0x09, b"");
    for bytes in [unmasked, reserved_opcode, reserved_bit, fragmented_ping] {
        let mut raw = upgraded(&server).await;
        raw.write(&bytes).await;
        assert_eq!(raw.close_code().await, 1002, "{bytes:?}");
        raw.ended().await;
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_closes_with_1007() {
    let server = TestServer::start().await;
    let mut raw = upgraded(&server).await;
    raw.write(&frame(0x81, b"{\"type\":\"\xff\"}")).await;
    assert_eq!(raw.close_code().await, 1007);
    raw.ended().await;
}

#[tokio::test]
async fn a_frame_that_only_says_that_it_is_huge_closes_with_1009() {
    let server = TestServer::start().await;
    let mut raw = upgraded(&server).await;
    raw.write(&[0x81, 0xff, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await;
    let (opcode, error) = raw.frame().await;
    assert_eq!(opcode, 1);
    assert!(String::from_utf8(error).unwrap().contains("frame_too_large"));
    assert_eq!(raw.close_code().await, 1009);
    raw.ended().await;
}

#[tokio::test]
async fn a_message_in_fragments_is_one_frame_and_its_limit_is_one_too() {
    let server = TestServer::with(|config| config.limits.max_frame_bytes = 1024).await;
    let mut raw = upgraded(&server).await;
    raw.write(&frame(0x01, br#"{"type":"pi"#)).await;
    raw.write(&frame(0x89, b"between")).await;
    raw.write(&frame(0x80, br#"ng"}"#)).await;
    assert_eq!(raw.frame().await, (10, b"between".to_vec()));
    assert_eq!(raw.frame().await, (1, br#"{"type":"pong"}"#.to_vec()));
    raw.write(&frame(0x01, &[b'x'; 100])).await;
    for _ in 0..10 {
        raw.write(&frame(0x00, &[b'x'; 100])).await;
    }
    assert_eq!(raw.close_code().await, 1009);
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let server = TestServer::start().await;
    let mut raw = upgraded(&server).await;
    raw.write(&frame(0x88, &1000u16.to_be_bytes())).await;
    assert_eq!(raw.close_code().await, 1000);
    raw.ended().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.send_message(Message::Ping(Bytes::from_static(b"are you there?"))).await;
    let pong = within("a pong", client.socket().next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"are you there?")));
    for nonce in [json!(null), json!(7), json!("x"), json!({"a": [1]})] {
        client.send(json!({"type": "ping", "nonce": nonce})).await;
        let pong = client.expect("pong").await;
        assert_eq!(pong.get("nonce").cloned().unwrap_or_default(), nonce);
    }
}

#[tokio::test]
async fn a_dead_peer_is_noticed_and_a_living_one_is_left_alone() {
    let server = TestServer::with(|config| config.limits.heartbeat_seconds = 1).await;
    let mut alive = server.client().await;
    assert_eq!(alive.hello["heartbeat_seconds"], 1);
    let mut dead = upgraded(&server).await;
    let mut pings = 0;
    let living = async {
        // Its library answers the pings by itself.
        while pings < 4 {
            if let Some(Ok(Message::Ping(_))) = within("a ping", alive.socket().next()).await {
                pings += 1;
            }
        }
        alive.nothing_comes().await;
    };
    let (code, ()) = tokio::join!(dead.close_code(), living);
    assert_eq!(code, 4003);
    dead.ended().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_let_go() {
    let server = TestServer::start().await;
    let mut client = Client::connect(server.address, &[]).await;
    client.started("g1").await;
    let generation = server.generation("g1");
    assert_eq!(generation.log().reader_count(), 1);
    drop(client);
    support::until("letting go of the cut connection", || generation.log().reader_count() == 0).await;
}
