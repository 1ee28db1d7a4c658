//! What a socket was asked and answered, so that the next turn on it sends only what is new.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    super::vendors::CallIdRule,
    event::{list, text},
};

/// The largest request that is kept for comparing. A larger one is sent again as a whole.
const MAX_BYTES: usize = 256 << 10;

/// A turn that ended well.
#[derive(Debug)]
pub(super) struct Continuation {
    response_id: String,
    model: Value,
    input: Vec<Value>,
    output: Vec<Value>,
}

impl Continuation {
    /// Of the request with this body, which had so many bytes. `None`: it cannot be continued.
    pub(super) fn new(body: &Map<String, Value>, bytes: usize, response_id: &str, output: Vec<Value>) -> Option<Self> {
        let input = body.get("input")?.as_array().filter(|_| bytes <= MAX_BYTES)?.clone();
        let model = body.get("model")?.clone();
        let is_whole = !response_id.is_empty() && !output.is_empty();
        is_whole.then(|| Self { response_id: response_id.to_owned(), model, input, output })
    }

    /// What the provider knows it by.
    pub(super) fn response_id(&self) -> &str {
        &self.response_id
    }

    /// The items of a request that come after this turn. `None`: it does not go on from here.
    ///
    /// It does if it begins with the same items, and then says what was answered: in the provider's own items or
    /// in others with the same text and calls.
    pub(super) fn new_items<'b>(&self, body: &'b Map<String, Value>) -> Option<&'b [Value]> {
        if body.contains_key("previous_response_id") || body.get("model") != Some(&self.model) {
            return None;
        }
        let rest = body.get("input")?.as_array()?.strip_prefix(self.input.as_slice())?;
        let (answer, new) = rest.split_at(rest.iter().take_while(|item| is_answer(item)).count());
        let goes_on = !new.is_empty() && Said::of(answer) == Said::of(&self.output);
        goes_on.then_some(new)
    }
}

/// Whether the model or the provider said it, and not the client.
fn is_answer(item: &Value) -> bool {
    match item.get("role") {
        Some(role) => role == "assistant",
        None => !matches!(text(item, "type"), "function_call_output" | "custom_tool_call_output"),
    }
}

/// What an answer says, however it is written down.
#[derive(PartialEq)]
struct Said<'a> {
    text: String,
    /// Id, name and arguments.
    calls: Vec<(Cow<'a, str>, &'a str, &'a str)>,
}

impl<'a> Said<'a> {
    fn of(items: &'a [Value]) -> Self {
        let mut said = Self { text: String::new(), calls: Vec::new() };
        for item in items {
            let arguments = match text(item, "type") {
                "function_call" => text(item, "arguments"),
                "custom_tool_call" => text(item, "input"),
                _ => {
                    said.text.push_str(text(item, "content"));
                    list(&item["content"]).iter().for_each(|part| said.add_part(item, part));
                    continue;
                }
            };
            let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
            said.calls.push((CallIdRule::Short.apply(text(item, "call_id")), text(item, "name"), arguments));
        }
        said
    }

    fn add_part(&mut self, item: &Value, part: &Value) {
        if item.get("role").is_some_and(|role| role == "assistant") {
            self.text.push_str(text(part, "text"));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(input: Value) -> Map<String, Value> {
        json!({"model": "m", "input": input}).as_object().unwrap().clone()
    }

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": text})
    }

    fn call(arguments: &str) -> Value {
        json!({"type": "function_call", "call_id": "c1", "name": "look", "arguments": arguments})
    }

    fn message(text: &str) -> Value {
        json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
    }

    /// What is new in `input` after a turn that was asked `Hello` and answered with `output`.
    fn new_items(output: Value, input: Value) -> Option<Value> {
        let output = output.as_array().unwrap().clone();
        let continuation = Continuation::new(&body(json!([user("Hello")])), 1, "resp_1", output).unwrap();
        continuation.new_items(&body(input)).map(|items| items.into())
    }

    #[test]
    fn only_what_follows_the_answer_is_new() {
        let reasoning = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "x"});
        let result = json!({"type": "function_call_output", "call_id": "c1", "output": "blue"});
        let output = json!([reasoning, message("Let me see."), call("")]);
        let own = json!([user("Hello"), reasoning, message("Let me see."), call(""), result]);
        assert_eq!(new_items(output.clone(), own), Some(json!([result])));
        // From text and calls alone.
        let others =
            json!([user("Hello"), {"role": "assistant", "content": "Let me see."}, call("{}"), result, user("?")]);
        assert_eq!(new_items(output, others), Some(json!([result, user("?")])));
    }

    #[test]
    fn another_conversation_begins_anew() {
        let output = json!([message("Hi.")]);
        for input in [
            json!([user("Hello")]),
            json!([user("Hello"), message("Hi.")]),
            json!([user("Hello"), message("Ho."), user("?")]),
            json!([user("Hello"), message("Hi."), call("{}"), user("?")]),
            json!([user("Hey"), message("Hi."), user("?")]),
            json!([message("Hi."), user("?")]),
            json!("Hello"),
        ] {
            assert_eq!(new_items(output.clone(), input.clone()), None, "{input}");
        }
        let continuation = Continuation::new(&body(json!([])), 1, "resp_1", vec![message("Hi.")]).unwrap();
        let mut other = body(json!([message("Hi."), user("?")]));
        assert!(continuation.new_items(&other).is_some());
        other.insert("model".into(), "other".into());
        assert!(continuation.new_items(&other).is_none());
        assert!(Continuation::new(&body(json!([])), MAX_BYTES + 1, "resp_1", vec![message("Hi.")]).is_none());
        assert!(Continuation::new(&body(json!([])), 1, "", vec![message("Hi.")]).is_none());
    }
}
