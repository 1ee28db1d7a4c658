//! One scenario over every wire format: what a model says is rendered as its provider sends it, and what a provider
//! is asked is read back as lines that are the same for all of them.
//!
//! ```ignore
//! over_all_wires!(a_round_trip);
//!
//! async fn a_round_trip(wire: Wire) {
//!     let mut talk = Talk::started(wire, json!({})).await;
//!     let mut model = talk.asked().await;
//!     model.reasoning("Let me see.", "c2ln").await;
//!     model.tool_call("call_1", r#"{"at":"sky"}"#).await;
//!     model.end().await;
//!     talk.client.until("tool_wait").await;
//!     talk.result("call_1", "blue").await;
//!     let model = talk.asked().await;
//!     assert_eq!(model.lines()[1..], ["sealed Let me see. c2ln", r#"call call_1 {"at":"sky"}"#, "result call_1: blue"]);
//! }
//! ```
//!
//! Every request is held against the rules of its provider: see [`super::wire_rules`].
#![allow(dead_code, clippy::unwrap_used)]

use serde_json::{Value, json};
use tokenwire::{
    config::{Config, ProviderConfig},
    server::ServerBuilder,
};

use super::{Client, TestServer, start, upstream::Call, wire_rules, with};

/// A wire format, and a provider that speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Chat completions, with the signed reasoning of OpenRouter.
    Chat,
    /// Responses, with encrypted reasoning.
    Responses,
    /// Anthropic Messages, with signed thinking.
    Anthropic,
    /// Gemini, with thought signatures.
    Gemini,
}

/// Makes a test for each wire format of functions that take one.
#[macro_export]
macro_rules! over_all_wires {
    ($($scenario:ident),* $(,)?) => {$(
        mod $scenario {
            use super::support::dialogue::Wire;

            #[tokio::test]
            async fn chat() {
                super::$scenario(Wire::Chat).await;
            }

            #[tokio::test]
            async fn responses() {
                super::$scenario(Wire::Responses).await;
            }

            #[tokio::test]
            async fn anthropic() {
                super::$scenario(Wire::Anthropic).await;
            }

            #[tokio::test]
            async fn gemini() {
                super::$scenario(Wire::Gemini).await;
            }
        }
    )*};
}

impl Wire {
    pub fn provider(self) -> &'static str {
        match self {
            Self::Chat => "openrouter",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    pub fn model(self) -> String {
        let model = match self {
            Self::Chat => "m",
            Self::Responses => "gpt-5",
            Self::Anthropic => "claude-sonnet-4-5",
            Self::Gemini => "gemini-3-pro-preview",
        };
        format!("{}/{model}", self.provider())
    }

    /// Puts the provider where the scripted upstream is.
    pub fn configure(self, config: &mut Config) {
        let upstream = config.providers["openai"].clone();
        config.providers.insert(self.provider().to_owned(), ProviderConfig { wire_format: None, ..upstream });
    }

    /// A start of this provider's model, with a tool `look` and reasoning.
    pub fn start(self, id: &str) -> Value {
        let function = json!({"name": "look", "parameters": {"type": "object"}});
        let tools = json!([{"type": "function", "function": function}]);
        with(start(id), json!({"model": self.model(), "tools": tools, "reasoning_effort": "low"}))
    }
}

/// A server whose provider speaks a wire format, and a client of it.
pub struct Talk {
    pub wire: Wire,
    pub server: TestServer,
    pub client: Client,
}

impl Talk {
    /// With a server of the default configuration.
    pub async fn new(wire: Wire) -> Self {
        Self::build(wire, |_| {}, |builder| builder).await
    }

    /// With another configuration and more. Where there are keys, the client has the first one.
    pub async fn build(
        wire: Wire,
        change: impl FnOnce(&mut Config),
        extend: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let mut key = None;
        let configure = |config: &mut Config| {
            wire.configure(config);
            change(config);
            key = config.auth.keys.first().and_then(|key| key.key.clone());
        };
        let server = TestServer::build(configure, extend).await;
        let client = match key {
            Some(key) => server.client_with_key(&key).await,
            None => server.client().await,
        };
        Self { wire, server, client }
    }

    /// `g1` runs, with these fields in its start.
    pub async fn started(wire: Wire, fields: Value) -> Self {
        let mut talk = Self::new(wire).await;
        talk.start("g1", fields).await;
        talk
    }

    pub async fn start(&mut self, id: &str, fields: Value) {
        self.client.send(with(self.wire.start(id), fields)).await;
    }

    /// `g1` waits for the results of these calls, which the model made after some signed reasoning.
    pub async fn waiting(wire: Wire, calls: &[&str], fields: Value) -> Self {
        let mut talk = Self::started(wire, fields).await;
        let mut model = talk.asked().await;
        model.reasoning("Let me see.", "c2ln").await;
        for call in calls {
            model.tool_call(call, "{}").await;
        }
        model.end().await;
        assert_eq!(talk.client.until("tool_wait").await["call_ids"], json!(calls));
        talk
    }

    /// The next request, which the provider would take.
    pub async fn asked(&mut self) -> Model {
        let call = self.server.upstream.call().await;
        wire_rules::check(self.wire, &call.body);
        Model { wire: self.wire, call, block: None, next_index: 0, calls: 0, items: Vec::new(), seal: None, parts: 0 }
    }

    pub async fn result(&mut self, call_id: &str, content: &str) {
        self.client.send(result(call_id, content)).await;
    }

    pub async fn input(&mut self, text: &str, interrupt: bool) {
        self.input_to("g1", text, interrupt).await;
    }

    pub async fn input_to(&mut self, id: &str, text: &str, interrupt: bool) {
        let messages = json!([{"role": "user", "content": text}]);
        self.client.send(json!({"type": "input", "id": id, "messages": messages, "interrupt": interrupt})).await;
    }

    /// The model is asked once more, says that it is done, and `g1` finishes.
    pub async fn finishes(&mut self) -> Value {
        let mut model = self.asked().await;
        model.text("Done.").await;
        model.end().await;
        let end = self.client.end_of("g1").await;
        assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("stop")), "{end}");
        end
    }
}

/// A result of a call of `g1`.
pub fn result(call_id: &str, content: &str) -> Value {
    json!({"type": "tool_result", "id": "g1", "call_id": call_id, "content": content})
}

/// One request, and the model that answers it.
pub struct Model {
    wire: Wire,
    call: Call,
    /// What is being said: what kind of block, and its content so far.
    block: Option<(Block, String)>,
    next_index: u64,
    calls: u32,
    /// The whole items of a Responses answer.
    items: Vec<Value>,
    /// Gemini's signature: it comes with the first call, or else with the end.
    seal: Option<String>,
    parts: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Block {
    Text,
    Thinking { seal: String },
    Call { id: String, name: String },
}

impl Model {
    /// The body of the request.
    pub fn body(&self) -> &Value {
        &self.call.body
    }

    /// The conversation of the request: see [`wire_rules::lines`].
    pub fn lines(&self) -> Vec<String> {
        wire_rules::lines(self.wire, &self.call.body)
    }

    /// Reasoning that must be handed back.
    pub async fn reasoning(&mut self, text: &str, seal: &str) {
        self.begin(Block::Thinking { seal: seal.to_owned() }).await;
        self.say_reasoning(text).await;
        self.close_block().await;
    }

    /// Reasoning that has not come to its end.
    pub async fn open_reasoning(&mut self, text: &str) {
        self.begin(Block::Thinking { seal: "never".to_owned() }).await;
        self.say_reasoning(text).await;
    }

    /// A piece of the answer's text.
    pub async fn text(&mut self, text: &str) {
        self.begin(Block::Text).await;
        self.put(text);
        match self.wire {
            Wire::Chat => self.call.text(text).await,
            Wire::Responses => self.event(json!({"type": "response.output_text.delta", "delta": text})).await,
            Wire::Anthropic => self.delta(json!({"type": "text_delta", "text": text})).await,
            Wire::Gemini => self.part(json!({"text": text})).await,
        }
    }

    /// A whole call of `look`.
    pub async fn tool_call(&mut self, id: &str, arguments: &str) {
        self.tool_call_of("look", id, arguments).await;
    }

    /// A whole call.
    pub async fn tool_call_of(&mut self, name: &str, id: &str, arguments: &str) {
        if self.wire == Wire::Gemini {
            self.close_block().await;
            self.calls += 1;
            let args: Value = serde_json::from_str(arguments).unwrap();
            return self.part(json!({"functionCall": {"id": id, "name": name, "args": args}})).await;
        }
        self.begin_call(name, id, arguments).await;
        self.close_block().await;
    }

    /// A call of `look` whose arguments have not come to their end.
    pub async fn open_tool_call(&mut self, id: &str, arguments: &str) {
        self.begin_call("look", id, arguments).await;
    }

    async fn begin_call(&mut self, name: &str, id: &str, arguments: &str) {
        self.begin(Block::Call { id: id.to_owned(), name: name.to_owned() }).await;
        self.put(arguments);
        self.calls += 1;
        match self.wire {
            Wire::Chat => self.call.tool_call(self.calls - 1, id, name, arguments).await,
            Wire::Responses => {
                self.event(json!({"type": "response.function_call_arguments.delta", "delta": arguments})).await;
            }
            Wire::Anthropic => self.delta(json!({"type": "input_json_delta", "partial_json": arguments})).await,
            Wire::Gemini => {
                let piece = json!({"jsonPath": "$.at", "stringValue": arguments, "willContinue": true});
                let call = json!({"id": id, "name": name, "partialArgs": [piece], "willContinue": true});
                self.part(json!({"functionCall": call})).await;
            }
        }
    }

    /// The natural end: of calls, or of an answer without any. Costs 10 tokens in and 2 out.
    pub async fn end(mut self) {
        self.close_block().await;
        let has_calls = self.calls > 0;
        match self.wire {
            Wire::Chat => {
                self.call.finish_reason(if has_calls { "tool_calls" } else { "stop" }).await;
                self.call.usage(10, 2).await;
                return self.call.done().await;
            }
            Wire::Responses => {
                let usage = json!({"input_tokens": 10, "output_tokens": 2});
                let response = json!({"id": "resp_1", "status": "completed", "output": self.items, "usage": usage});
                self.send(json!({"type": "response.completed", "response": response})).await;
            }
            Wire::Anthropic => {
                self.begin_message().await;
                let reason = if has_calls { "tool_use" } else { "end_turn" };
                let usage = json!({"output_tokens": 2});
                self.send(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})).await;
                self.send(json!({"type": "message_stop"})).await;
            }
            Wire::Gemini => {
                let usage = json!({"promptTokenCount": 10, "candidatesTokenCount": 2});
                let mut last = json!({"text": ""});
                if let Some(seal) = self.seal.take() {
                    last["thoughtSignature"] = seal.into();
                }
                let candidate = json!({"content": {"parts": [last]}, "finishReason": "STOP"});
                self.call.data(&json!({"candidates": [candidate], "usageMetadata": usage})).await;
            }
        }
        self.call.end().await;
    }

    /// Refuses the request.
    pub async fn status(self, status: u16) {
        self.call.status(status, &[], r#"{"error":{"message":"busy"}}"#).await;
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        self.call.closed().await;
    }

    async fn say_reasoning(&mut self, text: &str) {
        self.put(text);
        match self.wire {
            Wire::Chat => {
                let detail = json!({"type": "reasoning.text", "text": text, "index": 0});
                self.detail(detail).await;
            }
            Wire::Responses => {
                self.event(json!({"type": "response.reasoning_summary_text.delta", "delta": text})).await;
            }
            Wire::Anthropic => self.delta(json!({"type": "thinking_delta", "thinking": text})).await,
            Wire::Gemini => self.part(json!({"text": text, "thought": true})).await,
        }
    }

    async fn begin(&mut self, block: Block) {
        if self.block.as_ref().is_some_and(|(open, _)| *open == Block::Text && block == Block::Text) {
            return;
        }
        self.close_block().await;
        match (self.wire, &block) {
            (Wire::Anthropic, _) => {
                self.begin_message().await;
                let content = match &block {
                    Block::Text => json!({"type": "text", "text": ""}),
                    Block::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
                    Block::Call { id, name } => {
                        json!({"type": "tool_use", "id": id, "name": name, "input": {}})
                    }
                };
                self.event(json!({"type": "content_block_start", "content_block": content})).await;
            }
            (Wire::Responses, _) => {
                let item = self.item(&block, "");
                self.event(json!({"type": "response.output_item.added", "item": item})).await;
            }
            _ => {}
        }
        self.block = Some((block, String::new()));
    }

    async fn close_block(&mut self) {
        let Some((block, content)) = self.block.take() else { return };
        match self.wire {
            Wire::Chat => {
                if let Block::Thinking { seal } = block {
                    self.detail(json!({"type": "reasoning.text", "signature": seal, "index": 0})).await;
                }
            }
            Wire::Responses => {
                let item = self.item(&block, &content);
                self.event(json!({"type": "response.output_item.done", "item": item})).await;
                self.items.push(item);
            }
            Wire::Anthropic => {
                if let Block::Thinking { seal } = block {
                    self.delta(json!({"type": "signature_delta", "signature": seal})).await;
                }
                self.event(json!({"type": "content_block_stop"})).await;
            }
            Wire::Gemini => {
                if let Block::Thinking { seal } = block {
                    self.seal = Some(seal);
                }
            }
        }
        self.next_index += 1;
    }

    fn put(&mut self, piece: &str) {
        self.block.as_mut().unwrap().1.push_str(piece);
    }

    /// An item of a Responses answer.
    fn item(&self, block: &Block, content: &str) -> Value {
        let id = format!("item_{}", self.next_index);
        match block {
            Block::Text => {
                let content = json!([{"type": "output_text", "text": content, "annotations": []}]);
                json!({"type": "message", "id": id, "role": "assistant", "status": "completed", "content": content})
            }
            Block::Thinking { seal } => {
                let summary = json!([{"type": "summary_text", "text": content}]);
                json!({"type": "reasoning", "id": id, "summary": summary, "encrypted_content": seal})
            }
            Block::Call { id: call_id, name } => {
                json!({"type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": content})
            }
        }
    }

    async fn begin_message(&mut self) {
        if std::mem::replace(&mut self.parts, 1) == 0 {
            let usage = json!({"input_tokens": 10, "output_tokens": 1});
            self.send(json!({"type": "message_start", "message": {"usage": usage}})).await;
        }
    }

    async fn delta(&mut self, delta: Value) {
        self.event(json!({"type": "content_block_delta", "delta": delta})).await;
    }

    async fn detail(&mut self, detail: Value) {
        let delta = json!({"reasoning_details": [detail]});
        self.call.data(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})).await;
    }

    async fn part(&mut self, mut part: Value) {
        if part.get("functionCall").is_some()
            && let Some(seal) = self.seal.take()
        {
            part["thoughtSignature"] = seal.into();
        }
        self.call.data(&json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]})).await;
    }

    /// Sends an event about the block that is open.
    async fn event(&mut self, event: Value) {
        let index = if self.wire == Wire::Responses { "output_index" } else { "index" };
        self.send(with(event, json!({index: self.next_index}))).await;
    }

    async fn send(&mut self, event: Value) {
        let kind = event["type"].as_str().unwrap();
        self.call.send(format!("event: {kind}\ndata: {event}\n\n").as_bytes()).await;
    }
}
