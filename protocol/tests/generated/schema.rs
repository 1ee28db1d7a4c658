//! The JSON Schema: what the types derive, with one definition for each frame.

use std::{collections::BTreeSet, fmt};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use tokenwire_protocol::{ClientFrame, ServerFrame};

/// One frame of one direction, and the name of its definition.
pub struct Frame {
    pub direction: Direction,
    pub type_name: String,
    pub definition: String,
}

/// Who says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Client,
    Server,
}

impl Direction {
    /// The definition that is the union of its frames.
    pub fn union(self) -> &'static str {
        match self {
            Self::Client => "ClientFrame",
            Self::Server => "ServerFrame",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Client { "client" } else { "server" })
    }
}

/// The whole schema.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<ClientFrame>();
    generator.subschema_for::<ServerFrame>();
    let mut defs = generator.take_definitions(true);

    let event_frame = defs["EventFrame"].clone();
    let mut names = Vec::new();
    for (union, envelope) in [
        ("ClientFrame", json!({})),
        ("ConnectionFrame", json!({})),
        ("EventFrame", json!({"properties": event_frame["properties"], "required": event_frame["required"]})),
    ] {
        let variants = defs[union]["oneOf"].as_array().unwrap().clone();
        let mut references = Vec::new();
        for variant in variants {
            let (name, definition) = frame(&variant, &envelope, &defs, &names);
            references.push(json!({"$ref": format!("#/$defs/{name}")}));
            defs.insert(name.clone(), definition);
            names.push(name);
        }
        defs[union] = json!({"description": defs[union]["description"], "oneOf": references});
    }

    let client = reachable("ClientFrame", &defs);
    let used: BTreeSet<String> = client.union(&reachable("ServerFrame", &defs)).cloned().collect();
    defs.retain(|name, _| used.contains(name));
    for (name, definition) in &mut defs {
        drop_rust(definition);
        // A client may write null for a field that it leaves out; the server never does.
        if !client.contains(name) {
            drop_null(definition);
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tokenwire.v1",
        "description": "Frames of the Tokenwire protocol. Generated from the types of the crate tokenwire-protocol.",
        "anyOf": [{"$ref": "#/$defs/ClientFrame"}, {"$ref": "#/$defs/ServerFrame"}],
        "$defs": defs,
    })
}

/// Every frame of a schema.
pub fn frames(schema: &Value) -> Vec<Frame> {
    let unions =
        [("ClientFrame", Direction::Client), ("ConnectionFrame", Direction::Server), ("EventFrame", Direction::Server)];
    let mut frames = Vec::new();
    for (union, direction) in unions {
        for reference in schema["$defs"][union]["oneOf"].as_array().unwrap() {
            let definition = name_of(reference).unwrap().to_owned();
            let type_name = schema["$defs"][&definition]["properties"]["type"]["const"].as_str().unwrap().to_owned();
            frames.push(Frame { direction, type_name, definition });
        }
    }
    frames
}

/// The name that a `$ref` points to.
pub fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// One definition of a variant: its `type`, the fields around every event, and its own.
fn frame(variant: &Value, envelope: &Value, defs: &Map<String, Value>, taken: &[String]) -> (String, Value) {
    let payload_name = name_of(variant).unwrap();
    let payload = &defs[payload_name];
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in [variant, envelope, payload] {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let by_type = format!("{}Frame", pascal_case(variant["properties"]["type"]["const"].as_str().unwrap()));
    // Both sides have a `tool_result`.
    let name = if taken.contains(&by_type) { format!("{payload_name}Frame") } else { by_type };
    // A payload says more of itself than its variant does, unless it serves several.
    let is_shared = ["Delta", "TokenUsage"].contains(&payload_name);
    let description = if is_shared { &variant["description"] } else { &payload["description"] };
    let mut definition =
        json!({"description": description, "type": "object", "properties": properties, "required": required});
    // The fields that depend on one of them.
    if let Some(variants) = payload.get("oneOf") {
        definition["oneOf"] = variants.clone();
    }
    (name, definition)
}

fn pascal_case(snake_case: &str) -> String {
    snake_case.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// The definitions that `name` needs, itself included.
fn reachable(name: &str, defs: &Map<String, Value>) -> BTreeSet<String> {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(name_of(value).map(str::to_owned));
                object.values().for_each(|inner| references(inner, found));
            }
            Value::Array(array) => array.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    let mut todo = vec![name.to_owned()];
    while let Some(name) = todo.pop() {
        references(&defs[&name], &mut todo);
        if !seen.insert(name) {
            todo.retain(|name| !seen.contains(name));
        }
    }
    seen
}

/// Drops what only Rust understands: its names of number types, and links in its documentation.
fn drop_rust(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.retain(|word, argument| word != "format" || !argument.is_string());
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description = description.replace("[`", "`").replace("`]", "`");
            }
            object.values_mut().for_each(drop_rust);
        }
        Value::Array(array) => array.iter_mut().for_each(drop_rust),
        _ => {}
    }
}

/// Drops `null` from the types of a definition's fields.
fn drop_null(definition: &mut Value) {
    if let Some(variants) = definition.get_mut("oneOf").and_then(Value::as_array_mut) {
        variants.iter_mut().for_each(drop_null);
    }
    let Some(properties) = definition.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for property in properties.values_mut() {
        if let Some([kind, null]) = property["type"].as_array().map(Vec::as_slice)
            && null == "null"
        {
            property["type"] = kind.clone();
        }
        if let Some([inner, null]) = property["anyOf"].as_array().map(Vec::as_slice)
            && null["type"] == "null"
        {
            let reference = inner["$ref"].clone();
            property.as_object_mut().unwrap().remove("anyOf");
            property["$ref"] = reference;
        }
    }
}
