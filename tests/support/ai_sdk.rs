//! A client of `/v1/ai-sdk` that checks, on every frame, what the AI SDK's own transport relies on.

use std::{collections::HashMap, net::SocketAddr};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{MODEL, TestServer, with, within};

/// One connection.
pub struct AiClient {
    socket: WebSocketStream<TcpStream>,
    /// The number of the next chunk of each request.
    sequences: HashMap<String, u64>,
}

impl AiClient {
    pub async fn connect(address: SocketAddr, model: &str, key: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/v1/ai-sdk?model={model}").into_client_request().unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("authorization", HeaderValue::from_str(&format!("Bearer {key}")).unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = within("the upgrade", client_async(request, stream)).await.unwrap();
        Self { socket, sequences: HashMap::new() }
    }

    pub async fn of(server: &TestServer) -> Self {
        Self::connect(server.address, MODEL, None).await
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends any text.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        within("room for a frame", self.socket.send(Message::text(text.into()))).await.unwrap();
    }

    /// Sends these frames in as few packets as possible.
    pub async fn send_at_once(&mut self, frames: impl Iterator<Item = Value>) {
        for frame in frames {
            within("room for a frame", self.socket.feed(Message::text(frame.to_string()))).await.unwrap();
        }
        within("room for frames", self.socket.flush()).await.unwrap();
    }

    /// Asks for an answer to a user's message.
    pub async fn ask(&mut self, request: &str, chat: &str, more: Value) {
        self.send(with(ask(request, chat), more)).await;
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        loop {
            match within("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    self.check(&frame);
                    return frame;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a frame, not {other:?}"),
            }
        }
    }

    /// Reads up to the next frame of this type.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads up to the next chunk of this type.
    pub async fn until_chunk(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            assert!(frame["type"] == "chunk" || frame["type"] == "start", "waited for {kind}, got {frame}");
            if frame["chunk"]["type"] == kind {
                return frame["chunk"].clone();
            }
        }
    }

    /// Everything up to the answer to a ping that is sent now.
    pub async fn up_to_now(&mut self) -> Vec<Value> {
        self.send(json!({"type": "ping", "requestId": "now"})).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            if frame == json!({"type": "pong", "requestId": "now"}) {
                return frames;
            }
            frames.push(frame);
        }
    }

    fn check(&mut self, frame: &Value) {
        let request = frame["requestId"].as_str().unwrap_or_else(|| panic!("no string requestId in {frame}"));
        match frame["type"].as_str().unwrap() {
            "chunk" => {
                let expected = self.sequences.entry(request.to_owned()).or_default();
                assert_eq!(frame["sequence"], *expected, "{frame}");
                *expected += 1;
            }
            // Its name may be used again, also by one that was left.
            "start" | "end" | "error" => {
                self.sequences.remove(request);
            }
            _ => {}
        }
    }
}

/// A `send` with one message of a user.
pub fn ask(request: &str, chat: &str) -> Value {
    let message = json!({"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]});
    json!({"type": "send", "requestId": request, "id": chat, "trigger": "submit-message", "messages": [message]})
}

/// A `resume` of a chat.
pub fn resume(request: &str, chat: &str) -> Value {
    json!({"type": "resume", "requestId": request, "id": chat})
}
