//! What a connection, a generation and a token cost, in numbers that do not depend on what else the machine does: bytes
//! of heap, allocations, bytes on the wire.
//!
//! The test is the client and the provider at once, on one thread and without allocating anything while it counts.
//! So what is counted is the server's. The limits are a little above what it takes; whoever goes over one has made
//! every connection, generation or token dearer.
#![allow(clippy::unwrap_used)]

use std::{
    alloc::System,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};
use tokenwire::{
    config::{Config, ProviderConfig},
    server::Server,
};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const DEADLINE: Duration = Duration::from_secs(20);
/// How many are opened to count what one of them costs.
const MANY: usize = 64;
/// Opened before that, so that what is set up once, and tables that grow by doubling, are not counted.
const BEFORE: usize = 192;
const TOKENS: usize = 256;

/// One test, since the heap is counted for the whole process.
#[test]
fn a_connection_a_generation_and_a_token_cost_little() {
    let provider = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = start_server(provider.local_addr().unwrap());

    let mut clients = Vec::with_capacity(BEFORE + MANY);
    clients.extend((0..BEFORE).map(|_| Client::connect(server)));
    let before = settled(&mut clients);
    clients.extend((0..MANY).map(|_| Client::connect(server)));
    let after = settled(&mut clients);
    let connection = held(after, before) / MANY as isize;

    let mut answers = Vec::with_capacity(BEFORE + MANY);
    for client in &mut clients[..BEFORE] {
        answers.push(client.start(&provider));
    }
    let before = settled(&mut clients);
    for client in &mut clients[BEFORE..] {
        answers.push(client.start(&provider));
    }
    let after = settled(&mut clients);
    let generation = held(after, before) / MANY as isize;

    let (client, answer) = (&mut clients[0], &mut answers[0]);
    let before = HEAP.stats();
    let mut bytes = 0;
    for _ in 0..TOKENS {
        answer.write_all(TOKEN).unwrap();
        bytes += client.read_frame();
    }
    let after = HEAP.stats();
    let allocations = (after.allocations - before.allocations) as f64 / TOKENS as f64;
    let bytes = bytes as f64 / TOKENS as f64;

    let found = format!(
        "a connection takes {connection} bytes, a running generation {generation} more, \
         a token {allocations:.2} allocations and a frame of {bytes:.1} bytes"
    );
    println!("{found}");
    assert!(connection <= 4_300 && generation <= 39_000, "{found}");
    assert!(allocations <= 1.1 && bytes <= 55.0, "{found}");
}

/// A server that asks the provider at `upstream`, on a thread of its own.
fn start_server(upstream: SocketAddr) -> SocketAddr {
    let provider = ProviderConfig {
        base_url: Some(format!("http://{upstream}/v1")),
        api_key: Some("key".to_owned()),
        ..ProviderConfig::default()
    };
    let mut config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), workers: 1, ..Config::default() };
    config.providers.insert("openai".into(), provider);
    let (bound, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::builder().config(config).bind().await.unwrap();
            bound.send(server.local_addr()).unwrap();
            server.run(std::future::pending()).await.unwrap();
        });
    });
    address.recv_timeout(DEADLINE).unwrap()
}

/// Bytes that are held at the second moment and were not at the first.
fn held(after: Stats, before: Stats) -> isize {
    let held = |stats: Stats| stats.bytes_allocated as isize - stats.bytes_deallocated as isize;
    held(after) - held(before)
}

/// The heap when the server's worker has done all that it was given so far.
fn settled(clients: &mut [Client]) -> Stats {
    for _ in 0..2 {
        clients[0].send(r#"{"type":"ping"}"#);
        clients[0].read_frame();
    }
    HEAP.stats()
}

const REQUEST: &[u8] = b"GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// One chunk with one event, of 217 bytes.
const TOKEN: &[u8] = b"d9\r\n\
    data: {\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1751900000,\"model\":\"gpt-5\",\
    \"system_fingerprint\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\" tok\"},\"finish_reason\":null}],\"p\":\"012345\"}\n\n\r\n";

struct Client(TcpStream);

impl Client {
    /// A connection that has read its `hello`.
    fn connect(server: SocketAddr) -> Self {
        let mut client = Self(TcpStream::connect(server).unwrap());
        client.0.set_nodelay(true).unwrap();
        client.0.set_read_timeout(Some(DEADLINE)).unwrap();
        client.0.write_all(REQUEST).unwrap();
        read_head(&mut client.0);
        client.read_frame();
        client
    }

    /// Starts a generation, and reads its first token. Returns the provider's side.
    fn start(&mut self, provider: &TcpListener) -> TcpStream {
        let id = self.0.local_addr().unwrap().port();
        self.send(&format!(
            r#"{{"type":"start","id":"{id}","model":"openai/m","messages":[{{"role":"user","content":"Hi"}}]}}"#
        ));
        let (mut answer, _) = provider.accept().unwrap();
        answer.set_nodelay(true).unwrap();
        answer.set_read_timeout(Some(DEADLINE)).unwrap();
        read_head(&mut answer);
        answer.write_all(ANSWER).unwrap();
        self.read_frame();
        answer.write_all(TOKEN).unwrap();
        self.read_frame();
        answer
    }

    fn send(&mut self, text: &str) {
        let mut frame = [0; 256];
        assert!(text.len() < 126, "longer frames have a longer header");
        frame[..2].copy_from_slice(&[0x81, 0x80 | text.len() as u8]);
        frame[6..][..text.len()].copy_from_slice(text.as_bytes());
        self.0.write_all(&frame[..6 + text.len()]).unwrap();
    }

    /// Reads one frame. Returns its bytes on the wire.
    fn read_frame(&mut self) -> usize {
        let mut bytes = [0; 512];
        self.0.read_exact(&mut bytes[..2]).unwrap();
        let (header, length) = match bytes[1] {
            126 => {
                self.0.read_exact(&mut bytes[..2]).unwrap();
                (4, u16::from_be_bytes([bytes[0], bytes[1]]).into())
            }
            length => (2, length.into()),
        };
        self.0.read_exact(&mut bytes[..length]).unwrap();
        header + length
    }
}

/// Reads the head of a request or an answer, and nothing after it.
fn read_head(stream: &mut TcpStream) {
    let (mut last, mut byte) = ([0; 4], [0]);
    while last != *b"\r\n\r\n" {
        stream.read_exact(&mut byte).unwrap();
        last.rotate_left(1);
        last[3] = byte[0];
    }
}
