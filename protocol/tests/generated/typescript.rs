//! TypeScript types, written from the JSON Schema: an interface for each object, and a union of
//! interfaces that `frame.type` tells apart.

use std::fmt::Write;

use serde_json::Value;

use crate::schema::name_of;

/// The declarations, one for each definition of the schema.
pub fn declarations(schema: &Value) -> String {
    let mut out = String::from(
        "// Types of the Tokenwire protocol, tokenwire.v1. Generated from the types of the crate\n\
         // tokenwire-protocol; the file is not edited by hand.\n",
    );
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        out.push('\n');
        comment(&mut out, "", definition);
        if definition["properties"].is_object() && alternatives(definition).is_some() {
            // Some of its fields depend on one of them.
            let variants = union_or_type(definition).replace('\n', "\n  ");
            writeln!(out, "export type {name} = {} & ({variants}\n);", object(definition, "")).unwrap();
        } else if definition["properties"].is_object() {
            writeln!(out, "export interface {name} {}", object(definition, "")).unwrap();
        } else {
            writeln!(out, "export type {name} ={};", union_or_type(definition)).unwrap();
        }
    }
    out
}

/// The right side of a type: each alternative of a union on its own line, with its comment.
fn union_or_type(schema: &Value) -> String {
    let Some(alternatives) = alternatives(schema) else { return format!(" {}", type_of(schema, "")) };
    let mut out = String::new();
    for alternative in alternatives {
        out.push('\n');
        comment(&mut out, "  ", alternative);
        write!(out, "  | {}", type_of(alternative, "  ")).unwrap();
    }
    out
}

/// The type of a value. `indent` is that of the line on which it begins.
fn type_of(schema: &Value, indent: &str) -> String {
    if let Some(name) = name_of(schema) {
        return name.to_owned();
    }
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return join(values.iter().map(Value::to_string));
    }
    if let Some(alternatives) = alternatives(schema) {
        return join(alternatives.iter().map(|alternative| type_of(alternative, indent)));
    }
    match &schema["type"] {
        Value::Array(kinds) => join(kinds.iter().map(|kind| plain_type(kind.as_str().unwrap()))),
        Value::String(kind) if kind == "object" && schema["properties"].is_object() => object(schema, indent),
        Value::String(kind) if kind == "array" => match type_of(&schema["items"], indent) {
            item if item.contains(' ') => format!("({item})[]"),
            item => format!("{item}[]"),
        },
        Value::String(kind) => plain_type(kind),
        _ => "unknown".to_owned(),
    }
}

/// An object's fields in braces, `type` and what is required first.
fn object(schema: &Value, indent: &str) -> String {
    let properties = schema["properties"].as_object().unwrap();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
    let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
    let mut out = String::from("{\n");
    for name in required.iter().copied().chain(optional) {
        let property = &properties[name];
        let inner = format!("{indent}  ");
        comment(&mut out, &inner, property);
        let mark = if required.contains(&name) { "" } else { "?" };
        writeln!(out, "{inner}{name}{mark}: {};", type_of(property, &inner)).unwrap();
    }
    if schema["additionalProperties"] == true {
        writeln!(out, "{indent}  [other: string]: unknown;").unwrap();
    }
    write!(out, "{indent}}}").unwrap();
    out
}

fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"].as_array().or(schema["anyOf"].as_array())
}

fn plain_type(kind: &str) -> String {
    match kind {
        "integer" | "number" => "number",
        "object" => "Record<string, unknown>",
        "array" => "unknown[]",
        kind => kind,
    }
    .to_owned()
}

fn join(types: impl Iterator<Item = String>) -> String {
    types.collect::<Vec<_>>().join(" | ")
}

/// The description as a doc comment.
fn comment(out: &mut String, indent: &str, schema: &Value) {
    let Some(description) = schema["description"].as_str() else { return };
    if description.contains('\n') {
        writeln!(out, "{indent}/**").unwrap();
        for line in description.lines() {
            writeln!(out, "{}", format!("{indent} * {line}").trim_end()).unwrap();
        }
        writeln!(out, "{indent} */").unwrap();
    } else {
        writeln!(out, "{indent}/** {description} */").unwrap();
    }
}
