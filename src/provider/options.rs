//! A request's fields for one provider alone: put into its body as they are.

use serde_json::{Map, Value};

/// Puts `options` into the body of a request. They win over what is there, but leave beside them what they do
/// not name: objects are merged, and `tools` are added to the request's own, so that a provider's own
/// tools can stand beside the client's.
pub(crate) fn merge(body: &mut Map<String, Value>, options: &Map<String, Value>) {
    for (name, option) in options {
        match (body.get_mut(name), option) {
            (Some(Value::Object(inner)), Value::Object(option)) => merge(inner, option),
            (Some(Value::Array(tools)), Value::Array(more)) if name == "tools" => tools.extend(more.iter().cloned()),
            _ => {
                body.insert(name.clone(), option.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_win_and_leave_the_rest() {
        let mut body = json!({
            "temperature": 1, "generationConfig": {"topK": 1, "seed": 2}, "tools": [{"name": "a"}], "stop": ["x"],
        });
        let options = json!({
            "temperature": 0, "generationConfig": {"topK": 3}, "tools": [{"type": "web_search"}], "stop": ["y"],
            "service_tier": "flex",
        });
        if let (Some(body), Some(options)) = (body.as_object_mut(), options.as_object()) {
            merge(body, options);
        }
        assert_eq!(
            body,
            json!({
                "temperature": 0, "generationConfig": {"topK": 3, "seed": 2},
                "tools": [{"name": "a"}, {"type": "web_search"}], "stop": ["y"], "service_tier": "flex",
            })
        );
    }
}
