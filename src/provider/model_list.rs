//! Reads lists of models, which vendors of chat completions write in a few ways.

use serde_json::Value;
use tokenwire_protocol::ErrorInfo;

use super::errors;

/// Parts of names of models that do not chat. Several vendors list theirs without saying what they are for.
const OTHER_PURPOSES: &[&str] = &[
    "embed",
    "rerank",
    "whisper",
    "tts",
    "transcribe",
    "dall-e",
    "gpt-image",
    "sora",
    "moderation",
    "realtime",
    "babbage",
    "davinci",
    "stable-diffusion",
    "flux",
    "-ocr",
    "guard",
];

/// The names of the models that chat: of `{"data": [{"id"}]}`, `{"models": [{"name"}]}` or the list alone.
///
/// # Errors
///
/// [`ErrorCode::ProviderProtocol`](tokenwire_protocol::ErrorCode::ProviderProtocol) for anything else.
pub(crate) fn read(body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
    let body: Value = serde_json::from_slice(body).map_err(|_| errors::unreadable())?;
    let list = [&body, &body["data"], &body["models"]].into_iter().find_map(Value::as_array);
    let models = list.ok_or_else(errors::unreadable)?;
    let name = |model: &Value| {
        let name = ["id", "name"].iter().find_map(|field| model[*field].as_str()).or(model.as_str())?;
        (!name.is_empty() && chats(model, name)).then(|| name.to_owned())
    };
    Ok(models.iter().filter_map(name).collect())
}

fn chats(model: &Value, name: &str) -> bool {
    // Mistral, GitHub Copilot, Together, Fireworks and OpenRouter say it.
    let capabilities = &model["capabilities"];
    if let Some(chats) = capabilities["completion_chat"].as_bool().or(model["supports_chat"].as_bool()) {
        return chats;
    }
    if let Some(purpose) = capabilities["type"].as_str().or(model["type"].as_str()) {
        // Anthropic says `model`, and OpenAI's `object` is elsewhere.
        return ["chat", "language", "code", "model", "text", "llm"].contains(&purpose);
    }
    if let Some(outputs) = model["architecture"]["output_modalities"].as_array() {
        return outputs.iter().any(|output| output == "text");
    }
    let name = name.to_ascii_lowercase();
    !OTHER_PURPOSES.iter().any(|purpose| name.contains(purpose))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::read;

    #[test]
    fn models_that_chat_are_listed() {
        let check = |body: &str, expected: &[&str]| assert_eq!(read(body.as_bytes()).unwrap(), expected, "{body}");
        check(
            r#"{"object":"list","data":[{"id":"gpt-5"},{"id":"text-embedding-3-small"},{"id":"whisper-1"}]}"#,
            &["gpt-5"],
        );
        check(r#"{"data":[{"type":"model","id":"claude-opus-4-6"}],"has_more":false}"#, &["claude-opus-4-6"]);
        check(r#"[{"id":"a/b","type":"chat"},{"id":"c","type":"image"}]"#, &["a/b"]);
        check(r#"{"models":[{"name":"llama"},"plain",{"id":""}]}"#, &["llama", "plain"]);
        check(r#"{"data":[{"id":"m","capabilities":{"completion_chat":false}}]}"#, &[]);
        assert!(read(b"{}").is_err() && read(b"<html>").is_err());
    }
}
