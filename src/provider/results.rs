//! Results of tools that hold more than a provider takes.
//!
//! A tool does not know which model it answers, so an image in its result must not fail the generation: where the
//! adapter refuses such a part, the model reads in its place what was left out, and the client is warned.

use std::borrow::Cow;

use tokenwire_protocol::{
    ErrorCode, ErrorInfo, Warning,
    message::{Content, Message, Part, Role},
};

use super::{Adapter, HttpRequest, ModelRequest, Upstream};

/// Parts that are refused one kind after the other; after so many kinds everything but text is left out. Each costs
/// another look at the whole conversation.
const MAX_REFUSALS: usize = 8;

/// The adapter's request, without what it refuses in results of tools.
///
/// # Errors
///
/// The adapter's, about anything else.
pub(super) fn request(
    adapter: &dyn Adapter,
    request: &ModelRequest,
    upstream: &Upstream,
) -> Result<HttpRequest, ErrorInfo> {
    let mut request = Cow::Borrowed(request);
    let mut warnings = Vec::new();
    let mut refusals = 0;
    loop {
        let error = match adapter.request(&request, upstream) {
            Ok(mut http) => {
                warnings.append(&mut http.warnings);
                http.warnings = warnings;
                return Ok(http);
            }
            Err(error) => error,
        };
        let Some(refused) = refused_part(&request.messages, &error).map(kind) else { return Err(error) };
        refusals += 1;
        let is_refused = |part: &Part| part.as_text().is_none() && (refusals > MAX_REFUSALS || kind(part) == refused);
        for (at, part) in parts_of_results(&mut request.to_mut().messages) {
            if is_refused(part) {
                warnings.push(Warning { field: at, message: format!("left out: {}", error.message) });
                *part = Part::text(format!("\n[left out: {}; {}]\n", name(part), error.message));
            }
        }
    }
}

/// The part of a tool's result that `error` is about.
fn refused_part<'m>(messages: &'m [Message], error: &ErrorInfo) -> Option<&'m Part> {
    if error.code != ErrorCode::NotSupported {
        return None;
    }
    // `messages[1].content[2]`
    let (message, part) =
        error.field.as_deref()?.strip_prefix("messages[")?.strip_suffix(']')?.split_once("].content[")?;
    let message = messages.get(message.parse::<usize>().ok()?).filter(|message| message.role == Role::Tool)?;
    match &message.content {
        Some(Content::Parts(parts)) => parts.get(part.parse::<usize>().ok()?).filter(|part| part.as_text().is_none()),
        _ => None,
    }
}

/// Every part of every tool's result, with the field where it stands.
fn parts_of_results(messages: &mut [Message]) -> impl Iterator<Item = (String, &mut Part)> {
    let results = messages.iter_mut().enumerate().filter(|(_, message)| message.role == Role::Tool);
    results.flat_map(|(position, message)| {
        let parts = match &mut message.content {
            Some(Content::Parts(parts)) => parts.as_mut_slice(),
            _ => &mut [],
        };
        parts.iter_mut().enumerate().map(move |(at, part)| (format!("messages[{position}].content[{at}]"), part))
    })
}

/// What a provider refuses together: parts of one type with one media type, or address of one scheme.
fn kind(part: &Part) -> (&'static str, String) {
    let source = |value: &serde_json::Value| {
        let fields = ["file_data", "file_url", "url"].iter().find_map(|name| value[*name].as_str());
        media_type(fields.unwrap_or_default()).to_owned()
    };
    match part {
        Part::Text { .. } => ("text", String::new()),
        Part::ImageUrl { image_url, .. } => ("an image", media_type(&image_url.url).to_owned()),
        Part::InputAudio { input_audio, .. } => {
            ("audio", input_audio["format"].as_str().unwrap_or_default().to_owned())
        }
        Part::File { file, .. } => ("a file", source(file)),
    }
}

fn name(part: &Part) -> String {
    match kind(part) {
        (what, kind) if kind.is_empty() => what.to_owned(),
        (what, kind) => format!("{what}, {kind}"),
    }
}

/// The type of a `data:` URL, or the scheme of another one.
fn media_type(url: &str) -> &str {
    match url.strip_prefix("data:") {
        Some(rest) => rest.split([';', ',']).next().unwrap_or_default(),
        None => url.split_once(':').map_or("", |(scheme, _)| scheme),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::provider::vendors;

    /// What `vendor` is asked when a tool answers with `parts`: the body, and the fields that are warned of.
    fn ask(vendor: &str, role: &str, parts: Value) -> Result<(String, Vec<String>), ErrorInfo> {
        let row = vendors::vendor(vendor).unwrap();
        let upstream = Upstream {
            name: row.name.to_owned(),
            base_url: row.base_url.to_owned(),
            key: None,
            authorizer: None,
            api_version: None,
            headers: Vec::new(),
            quirks: row.quirks,
        };
        let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let messages = json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": role, "tool_call_id": "c1", "content": parts},
        ]);
        let messages = serde_json::from_value(messages).unwrap();
        let model = if vendor == "gemini" { "gemini-3-pro" } else { "m" };
        let asked = ModelRequest { model: model.to_owned(), messages, ..ModelRequest::default() };
        let http = request(&*vendors::adapter(row.wire_format).unwrap(), &asked, &upstream)?;
        let warned = http.warnings.into_iter().map(|warning| warning.field);
        Ok((String::from_utf8(http.body).unwrap(), warned.filter(|field| field.starts_with("messages")).collect()))
    }

    fn image(kind: &str) -> Value {
        json!({"type": "image_url", "image_url": {"url": format!("data:image/{kind};base64,AAAA")}})
    }

    #[track_caller]
    fn check(vendor: &str, part: Value, is_taken: bool) {
        let text = json!({"type": "text", "text": "look"});
        let (body, warned) = ask(vendor, "tool", json!([text, part.clone(), part])).unwrap();
        assert!(body.contains("look"), "{vendor}: {body}");
        assert_eq!(body.contains("AAAA"), is_taken, "{vendor}: {body}");
        assert_eq!(body.contains("[left out: "), !is_taken, "{vendor}: {body}");
        let fields: &[&str] = if is_taken { &[] } else { &["messages[2].content[1]", "messages[2].content[2]"] };
        assert_eq!(warned, fields, "{vendor}");
    }

    #[test]
    fn images_go_where_results_take_them() {
        for vendor in ["openai-responses", "anthropic", "gemini", "bedrock", "ollama", "vllm"] {
            check(vendor, image("png"), true);
        }
        for vendor in ["openai", "cohere"] {
            check(vendor, image("png"), false);
        }
    }

    #[test]
    fn audio_and_files_are_left_out_of_results_that_cannot_hold_them() {
        let audio = json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}});
        for vendor in ["openai", "openai-responses", "anthropic", "gemini", "bedrock", "cohere", "ollama"] {
            check(vendor, audio.clone(), false);
        }
        let pdf =
            json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}});
        for (vendor, is_taken) in [("openai", false), ("anthropic", true), ("gemini", true), ("bedrock", true)] {
            check(vendor, pdf.clone(), is_taken);
        }
    }

    #[test]
    fn only_what_is_refused_is_left_out() {
        let (body, warned) = ask("bedrock", "tool", json!([image("tiff"), image("png"), image("tiff")])).unwrap();
        assert!(body.contains("png") && body.contains("AAAA"), "{body}");
        assert_eq!(warned, ["messages[2].content[0]", "messages[2].content[2]"]);
    }

    #[test]
    fn a_refusal_never_takes_more_than_some_looks() {
        let parts: Vec<Value> = (0..40).map(|kind| image(&format!("x{kind}"))).collect();
        let (_, warned) = ask("bedrock", "tool", parts.into()).unwrap();
        assert_eq!(warned.len(), 40);
    }

    #[test]
    fn what_the_user_shows_is_still_refused() {
        let error = ask("cohere", "assistant", json!([image("png")])).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::NotSupported, Some("messages[2].content[0]")));
    }
}
