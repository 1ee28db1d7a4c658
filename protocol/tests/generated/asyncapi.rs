//! The AsyncAPI document: the server's one channel and every message on it. Payloads are
//! references into the JSON Schema, examples are the golden frames.

use serde_json::{Map, Value, json};
use tokenwire_protocol::SUBPROTOCOL;

use crate::{
    Golden,
    schema::{Direction, frames},
};

/// The document.
pub fn document(schema: &Value, golden: &[Golden]) -> Value {
    let frames = frames(schema);
    let mut messages = Map::new();
    for frame in &frames {
        let description = schema["$defs"][&frame.definition]["description"].as_str().unwrap();
        let (summary, _) = description.split_once(['\n', ':']).unwrap_or((description, ""));
        let examples: Vec<Value> = golden
            .iter()
            .filter(|golden| golden.is_of(frame))
            .map(|golden| json!({"name": golden.file, "payload": golden.frame}))
            .collect();
        let message = json!({
            "name": frame.type_name,
            "summary": summary,
            "description": description,
            "contentType": "application/json",
            "payload": {"$ref": format!("schema/tokenwire.schema.json#/$defs/{}", frame.definition)},
            "examples": examples,
        });
        messages.insert(frame.definition.clone(), message);
    }
    let references = |prefix: &str, direction: Option<Direction>| {
        let wanted = frames.iter().filter(|frame| direction.is_none_or(|direction| direction == frame.direction));
        let reference = |name: &str| (name.to_owned(), json!({"$ref": format!("{prefix}{name}")}));
        wanted.map(|frame| reference(&frame.definition)).collect::<Map<String, Value>>()
    };
    let operation = |action: &str, direction: Direction, summary: &str| {
        let messages = references("#/channels/stream/messages/", Some(direction));
        json!({
            "action": action,
            "channel": {"$ref": "#/channels/stream"},
            "summary": summary,
            "messages": messages.values().collect::<Vec<_>>(),
        })
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tokenwire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One WebSocket between an interactive UI and any LLM, as the server sees it: it receives \
                what clients send, and sends what they receive. SPECIFICATION.md beside this document is the \
                specification for humans. Generated from the types of the crate tokenwire-protocol.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8080",
                "protocol": "ws",
                "description": "The address at which a server without configuration listens.",
            },
        },
        "channels": {
            "stream": {
                "address": "/v1/stream",
                "description": format!(
                    "Text frames, one JSON object each. The subprotocol {SUBPROTOCOL} is optional. A server with \
                     keys wants `Authorization: Bearer <key>`, or the subprotocol `tokenwire.bearer.<key>` from a \
                     browser."
                ),
                "messages": references("#/components/messages/", None),
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            },
        },
        "operations": {
            "receiveClientFrame": operation("receive", Direction::Client, "What a client may say."),
            "sendServerFrame": operation("send", Direction::Server, "What the server says."),
        },
        "components": {"messages": messages},
    })
}
