//! Reading a frame's fields so that a failure names the one at fault and repeats no value.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{ErrorCode, ErrorInfo, id::InvalidId};

/// The longest path that an error frame repeats, in characters: a client's own keys can be in it.
const MAX_PATH_CHARS: usize = 200;

/// Checks that a frame is one JSON object, without looking into it.
///
/// # Errors
///
/// [`ErrorCode::BadJson`].
pub fn object(text: &str) -> Result<(), Box<ErrorInfo>> {
    let bad_json = |message: String| Err(Box::new(ErrorInfo::new(ErrorCode::BadJson, message)));
    match serde_json::from_str::<IgnoredAny>(text) {
        // The parser's words for broken syntax are fixed ones.
        Err(error) => bad_json(format!("not valid JSON: {error}")),
        // A derived structure would also take its fields in order, from an array.
        Ok(_) if !text.trim_ascii_start().starts_with('{') => bad_json("a frame is a JSON object".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// Reads the fields of a JSON object.
///
/// # Errors
///
/// [`ErrorCode::BadField`] with the path of the first field that has no valid value.
pub fn fields<T: DeserializeOwned>(text: &str) -> Result<T, Box<ErrorInfo>> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (field, message) = explain(error.path().to_string(), &error.inner().to_string());
        bad_field(field, message)
    })
}

/// An error that names the field at fault.
pub fn bad_field(field: impl Into<String>, message: impl Into<String>) -> Box<ErrorInfo> {
    let field: String = field.into().chars().take(MAX_PATH_CHARS).collect();
    Box::new(ErrorInfo::new(ErrorCode::BadField, message.into()).with_field(field))
}

/// What the parser says, in fixed words, of a value that is valid JSON and cannot be read nevertheless.
const OWN_WORDS: &[&str] = &["number out of range", "recursion limit exceeded"];

/// Reads `null` as the type's default, as an [`Option`] does by itself.
pub fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Turns serde's path and message into a field and a sentence.
///
/// Serde quotes the value at fault (`invalid type: string "my prompt", expected u64`), which may
/// hold anything, the words that are looked for here included. So nothing is cut out of a
/// message: only parts that are known to come from the types are taken into the sentence.
fn explain(path: String, message: &str) -> (String, String) {
    // The position means nothing to a client that built the frame from an object.
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    let behind = |prefix: &str| message.strip_prefix(prefix);
    let member = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };

    if let Some(name) = behind("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        (member(name), format!("`{name}` is missing"))
    } else if let Some(name) = behind("duplicate field `").and_then(|rest| rest.strip_suffix('`')) {
        (member(name), format!("`{name}` is there more than once"))
    } else if let Some((_, expected)) = behind("unknown variant `").and_then(|rest| rest.rsplit_once("`, expected ")) {
        (path, format!("expected {expected}"))
    } else if let Some((found, expected)) = behind("invalid ").and_then(|rest| rest.rsplit_once(", expected ")) {
        let found = found.split_once(": ").map_or("", |(_, value)| value);
        let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
        let not = if kind.is_empty() { String::new() } else { format!(", not {}", in_json_words(kind)) };
        (path, format!("expected {}{not}", in_json_words(expected)))
    } else if (message.starts_with("expected ") && message != "expected value")
        || OWN_WORDS.contains(&message)
        || message == InvalidId.to_string()
    {
        (path, message.to_owned())
    } else {
        (path, "not a valid value".to_owned())
    }
}

/// What serde calls a type, in the words of somebody who writes JSON.
fn in_json_words(name: &str) -> &str {
    match name {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "integer" => "an integer",
        "floating point" => "a number with a fraction",
        "boolean" => "a boolean",
        "string" => "a string",
        "a sequence" | "sequence" => "an array",
        "a map" | "map" => "an object",
        _ if name.starts_with("struct ") => "an object",
        _ => name,
    }
}
