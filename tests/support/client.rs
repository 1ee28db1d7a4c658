//! A WebSocket client that checks, on every frame, what is promised of all of them.

use std::{collections::HashMap, net::SocketAddr};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};

use super::{start, within};

/// Frames that may cover more than one event.
const DELTAS: &[&str] = &["text", "reasoning", "refusal", "tool_call_delta"];
/// Frames after which a log has no more.
pub const TERMINAL: &[&str] = &["finished", "cancelled", "failed"];

/// One connection.
pub struct Client {
    pub hello: Value,
    socket: WebSocketStream<TcpStream>,
    /// What this connection is attached to: the last seq that came.
    attached: HashMap<String, u64>,
    /// The joined text deltas of each generation since it was last attached.
    texts: HashMap<String, String>,
    /// The conversations that it watches: the last seq that came.
    watched: HashMap<String, u64>,
    nonce: u64,
}

impl Client {
    /// Connects, with these headers, and reads `hello`.
    pub async fn connect(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), address, headers).await
    }

    /// Connects with a receive buffer as small as it gets, so that not reading is felt soon.
    pub async fn connect_with_small_buffer(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::over(socket.connect(address).await.unwrap(), address, &[]).await
    }

    async fn over(stream: TcpStream, address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("ws://{address}/v1/stream").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(
                name.parse::<tokio_tungstenite::tungstenite::http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            );
        }
        let (socket, _) = within("the upgrade", client_async(request, stream)).await.unwrap();
        let mut client = Self {
            hello: Value::Null,
            socket,
            attached: HashMap::new(),
            texts: HashMap::new(),
            watched: HashMap::new(),
            nonce: 0,
        };
        client.hello = client.next().await;
        assert_eq!(client.hello["type"], "hello");
        client
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        let id = frame["id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str() {
            Some("start") if !self.attached.contains_key(&id) => self.expect_from(id, 0),
            Some("watch") => {
                let conversation = frame["conversation"].as_str().unwrap().to_owned();
                self.watched.insert(conversation, frame["after"].as_u64().unwrap_or(0));
            }
            Some("attach") => self.expect_from(id, frame["after"].as_u64().unwrap_or(0)),
            _ => {}
        }
        self.send_message(Message::text(frame.to_string())).await;
    }

    /// Sends any message.
    pub async fn send_message(&mut self, message: Message) {
        within("room for a frame", self.socket.send(message)).await.unwrap();
    }

    /// Sends any message, as long as the connection is there.
    pub async fn try_send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// Starts the scripted model.
    pub async fn start(&mut self, id: &str) {
        self.send(start(id)).await;
    }

    /// Starts the scripted model, and waits until the generation is there.
    pub async fn started(&mut self, id: &str) -> Value {
        self.start(id).await;
        self.until("started").await
    }

    /// Cancels a generation.
    pub async fn cancel(&mut self, id: &str) {
        self.send(json!({"type": "cancel", "id": id})).await;
    }

    /// Attaches to a generation.
    pub async fn attach(&mut self, id: &str, after: u64) {
        self.send(json!({"type": "attach", "id": id, "after": after})).await;
    }

    /// Watches a conversation.
    pub async fn watch(&mut self, conversation: &str, after: u64) {
        self.send(json!({"type": "watch", "conversation": conversation, "after": after})).await;
    }

    /// From now on any position of the conversation may come: it is another one of that name.
    pub fn forget_position(&mut self, conversation: &str) {
        self.watched.insert(conversation.to_owned(), 0);
    }

    /// Sends a frame that will be refused.
    pub async fn send_unchecked(&mut self, frame: Value) {
        self.send_message(Message::text(frame.to_string())).await;
    }

    /// Reads up to the next error.
    pub async fn until_error(&mut self) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == "error" {
                return frame;
            }
        }
    }

    /// Detaches from a generation, and reads what was on its way.
    pub async fn detach(&mut self, id: &str) {
        self.send(json!({"type": "detach", "id": id})).await;
        self.send(json!({"type": "ping"})).await;
        while self.next().await["type"] != "pong" {}
        self.attached.remove(id);
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        match self.next_message().await {
            Some(Ok(Message::Text(text))) => {
                let frame = serde_json::from_str(&text).unwrap();
                self.check(&frame);
                frame
            }
            other => panic!("expected a frame, not {other:?}"),
        }
    }

    /// The next frame, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// Reads up to the next frame of this type. An error or another end on the way fails the test.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
            let found = frame["type"].as_str().unwrap();
            assert!(found != "error" && !TERMINAL.contains(&found), "waited for {kind}, got {frame}");
        }
    }

    /// Reads until the text of a generation is at least as long as `text`, and compares.
    pub async fn until_text(&mut self, id: &str, text: &str) {
        while self.text(id).len() < text.len() {
            self.next().await;
        }
        assert_eq!(self.text(id), text);
    }

    /// Reads up to the terminal event of a generation.
    pub async fn end_of(&mut self, id: &str) -> Value {
        loop {
            let frame = self.next().await;
            assert_ne!(frame["type"], "error", "waited for the end of {id}, got {frame}");
            if frame["id"] == id && TERMINAL.contains(&frame["type"].as_str().unwrap()) {
                return frame;
            }
        }
    }

    /// The joined text deltas of a generation since this connection attached to it.
    pub fn text(&self, id: &str) -> &str {
        self.texts.get(id).map_or("", String::as_str)
    }

    /// The last seq that came of a generation to which this connection is attached.
    pub fn seq(&self, id: &str) -> u64 {
        self.attached[id]
    }

    /// Checks that nothing more comes: neither of what was sent so far nor of what happened so far.
    ///
    /// The server answers in order, so an answered ping means that everything before it was taken;
    /// the second one gives what that caused the time to be written.
    pub async fn nothing_comes(&mut self) {
        for _ in 0..2 {
            self.nonce += 1;
            let nonce = self.nonce;
            self.send(json!({"type": "ping", "nonce": nonce})).await;
            assert_eq!(self.next().await, json!({"type": "pong", "nonce": nonce}));
        }
    }

    /// Closes properly.
    pub async fn close(mut self) {
        self.send_message(Message::Close(None)).await;
        while let Some(Ok(_)) = self.next_message().await {}
    }

    /// Reads up to the server's close frame. The frames before it are checked.
    pub async fn closed(&mut self) -> CloseFrame {
        loop {
            match self.next_message().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    // The answer to it leaves with the next read.
                    while let Some(Ok(_)) = self.next_message().await {}
                    return frame;
                }
                Some(Ok(Message::Text(text))) => self.check(&serde_json::from_str(&text).unwrap()),
                other => panic!("expected a close frame, not {other:?}"),
            }
        }
    }

    /// The next message that is no ping or pong.
    pub async fn next_message(&mut self) -> Option<Result<Message, Error>> {
        loop {
            match within("a frame", self.socket.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    }

    /// The socket, for what no well-behaved client does.
    pub fn socket(&mut self) -> &mut WebSocketStream<TcpStream> {
        &mut self.socket
    }

    /// From now on the events of this generation after that position come.
    pub fn expect_from(&mut self, id: String, after: u64) {
        self.texts.insert(id.clone(), String::new());
        self.attached.insert(id, after);
    }

    /// What is promised of every frame: no hole, no repeat, nothing of what was not asked for, and
    /// nothing after the end.
    pub fn check(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        let id = frame["id"].as_str().unwrap_or_default().to_owned();
        let Some(seq) = frame["seq"].as_u64() else { return };
        if kind == "conversation" {
            return self.check_change(frame, seq);
        }
        let Some(last) = self.attached.get_mut(&id) else { panic!("not attached to this: {frame}") };
        if DELTAS.contains(&kind) {
            assert!(seq > *last, "repeated: {frame} after seq {last}");
        } else {
            assert_eq!(seq, *last + 1, "a hole or a repeat: {frame} after seq {last}");
        }
        *last = seq;
        assert_eq!(kind == "started", seq == 1, "{frame}");
        if kind == "text" {
            self.texts.get_mut(&id).unwrap().push_str(frame["delta"].as_str().unwrap());
        }
        if TERMINAL.contains(&kind) {
            self.attached.remove(&id);
        }
    }

    /// What is promised of every change of a conversation: no repeat, and its generation's events follow from the
    /// first one.
    fn check_change(&mut self, frame: &Value, seq: u64) {
        let conversation = frame["conversation"].as_str().unwrap();
        let Some(last) = self.watched.get_mut(conversation) else { panic!("does not watch this: {frame}") };
        assert!(seq > *last, "repeated: {frame} after seq {last}");
        *last = seq;
        match (frame["change"].as_str().unwrap(), frame["id"].as_str()) {
            ("generation", Some(id)) if !self.attached.contains_key(id) => self.expect_from(id.to_owned(), 0),
            ("deleted", _) => {
                self.watched.remove(conversation);
            }
            _ => {}
        }
    }
}
