//! Whether a value fits a schema: the words of JSON Schema that the generated one uses, and a
//! panic at any other.

use serde_json::Value;
use tokenwire_protocol::GenerationId;

/// Says why `value` does not fit `schema`, whose definitions are in `root`.
pub fn fits(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let Some(words) = schema.as_object() else {
        return if *schema == Value::Bool(false) { Err("nothing is allowed".to_owned()) } else { Ok(()) };
    };
    for (word, argument) in words {
        let arguments = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        let fitting = || arguments.iter().filter(|schema| fits(value, schema, root).is_ok()).count();
        let is_met = match word.as_str() {
            "description" | "default" | "items" | "properties" | "additionalProperties" => true,
            "$ref" => {
                fits(value, root.pointer(&argument.as_str().unwrap()[1..]).unwrap(), root)?;
                true
            }
            "type" if argument.is_array() => arguments.iter().any(|kind| is_of_type(value, kind)),
            "type" => is_of_type(value, argument),
            "const" => value == argument,
            "enum" => arguments.contains(value),
            "required" => arguments.iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "anyOf" => fitting() > 0,
            "oneOf" => fitting() == 1,
            "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
            // There is only one.
            "pattern" => value.as_str().is_none_or(|id| id.parse::<GenerationId>().is_ok()),
            _ => panic!("this check does not know `{word}`"),
        };
        if !is_met {
            return Err(format!("{value} does not meet {word}: {argument}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let of_member = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        fits(member, of_member, root).map_err(|why| format!("{name}: {why}"))?;
    }
    value.as_array().into_iter().flatten().try_for_each(|item| fits(item, &schema["items"], root))
}

fn is_of_type(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        kind => panic!("this check does not know the type {kind}"),
    }
}
