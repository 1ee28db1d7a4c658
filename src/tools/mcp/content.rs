//! Results of MCP tools as the content of a tool's result.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents, ServerResult};
use serde_json::{Value, json};
use tokenwire_protocol::message::{Content, ImageUrl, Part};

use crate::tools::ToolError;

/// What a server answered to a call.
pub(super) fn result(answer: ServerResult) -> Result<Content, ToolError> {
    match answer {
        ServerResult::CallToolResult(result) => tool_result(result),
        // Without any field it is a result without content.
        ServerResult::EmptyResult(_) => Ok(Content::Text(String::new())),
        _ => Err(ToolError("the tool's server answered with something that is no result of a tool".into())),
    }
}

fn tool_result(result: CallToolResult) -> Result<Content, ToolError> {
    let mut parts: Vec<Part> = result.content.into_iter().map(part).collect();
    if let Some(structured) = result.structured_content
        && !parts.iter().filter_map(Part::as_text).any(|text| is_same(text, &structured))
    {
        parts.push(text(structured.to_string()));
    }
    let is_text = parts.iter().all(|part| part.as_text().is_some());
    let content = match is_text {
        true => Content::Text(parts.iter().filter_map(Part::as_text).collect::<Vec<_>>().join("\n")),
        false => Content::Parts(parts),
    };
    match result.is_error {
        Some(true) => Err(ToolError(content)),
        _ => Ok(content),
    }
}

/// Whether the text is the structured content once more, as servers send it for clients that know only text. What is
/// no object by itself is wrapped by the Python SDK: `{"result": ...}`.
fn is_same(text: &str, structured: &Value) -> bool {
    let wrapped = structured.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.get("result"));
    let is_text_of = |value: &Value| {
        value.as_str() == Some(text) || serde_json::from_str::<Value>(text).is_ok_and(|parsed| parsed == *value)
    };
    is_text_of(structured) || wrapped.is_some_and(is_text_of)
}

fn part(block: ContentBlock) -> Part {
    match block {
        ContentBlock::Text(block) => text(block.text),
        ContentBlock::Image(image) => data_image(&image.mime_type, &image.data),
        ContentBlock::Audio(audio) => data_audio(&audio.mime_type, audio.data),
        ContentBlock::ResourceLink(link) => {
            let kind = link.mime_type.map(|kind| format!(" ({kind})")).unwrap_or_default();
            let about = link.description.map(|about| format!(": {about}")).unwrap_or_default();
            text(format!("[{}]({}){kind}{about}", link.title.unwrap_or(link.name), link.uri))
        }
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { uri, text: contents, .. } => text(format!("{uri}\n{contents}")),
            ResourceContents::BlobResourceContents { mime_type: Some(mime_type), blob, .. }
                if mime_type.starts_with("image/") =>
            {
                data_image(&mime_type, &blob)
            }
            ResourceContents::BlobResourceContents { mime_type: Some(mime_type), blob, .. }
                if mime_type.starts_with("audio/") =>
            {
                data_audio(&mime_type, blob)
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                data_file(&uri, mime_type.as_deref().unwrap_or("application/octet-stream"), &blob)
            }
            _ => left_out("a resource"),
        },
        _ => left_out("content of an unknown kind"),
    }
}

fn text(text: String) -> Part {
    Part::Text { text, cache_control: None }
}

fn data_image(mime_type: &str, data: &str) -> Part {
    let image_url = ImageUrl { url: format!("data:{mime_type};base64,{data}"), detail: None };
    Part::ImageUrl { image_url, cache_control: None }
}

/// Audio as chat completions write it, by the name of its format: `audio/mpeg` is `mp3` there.
fn data_audio(mime_type: &str, data: String) -> Part {
    let kind = mime_type.split(';').next().unwrap_or_default().trim_start_matches("audio/").trim_start_matches("x-");
    let format = match kind {
        "mpeg" | "mpeg3" => "mp3",
        "wave" | "vnd.wave" => "wav",
        kind => kind,
    };
    let input_audio = json!({"data": data, "format": format});
    Part::InputAudio { input_audio, cache_control: None }
}

fn data_file(uri: &str, mime_type: &str, data: &str) -> Part {
    let name = uri.trim_end_matches('/').rsplit(['/', ':']).next().filter(|name| !name.is_empty()).unwrap_or("file");
    let file = json!({"filename": name, "file_data": format!("data:{mime_type};base64,{data}")});
    Part::File { file, cache_control: None }
}

/// The model should know that there was something.
fn left_out(what: &str) -> Part {
    text(format!("[left out: {what}]"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(answer: Value) -> Result<Content, ToolError> {
        result(serde_json::from_value(answer).unwrap())
    }

    fn parts(content: Value) -> Value {
        serde_json::to_value(read(json!({"content": content})).unwrap()).unwrap()
    }

    #[track_caller]
    fn check(answer: Value, expected: &str) {
        assert_eq!(read(answer).unwrap(), Content::Text(expected.to_owned()));
    }

    #[test]
    fn text_is_joined() {
        check(json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), "a\nb");
        check(json!({"content": []}), "");
        check(json!({}), "");
    }

    #[test]
    fn structured_content_is_there_once() {
        check(json!({"content": [], "structuredContent": {"a": 1}}), r#"{"a":1}"#);
        let text = json!({"type": "text", "text": "{ \"a\": 1 }"});
        check(json!({"content": [text], "structuredContent": {"a": 1}}), r#"{ "a": 1 }"#);
        let text = json!({"type": "text", "text": "one"});
        check(json!({"content": [text], "structuredContent": {"a": 1}}), "one\n{\"a\":1}");
        let text = json!({"type": "text", "text": "one"});
        check(json!({"content": [text], "structuredContent": {"result": "one"}}), "one");
        let text = json!({"type": "text", "text": "1"});
        check(json!({"content": [text], "structuredContent": {"result": 1}}), "1");
    }

    #[test]
    fn images_are_data_urls() {
        let image = json!({"type": "image", "data": "AAAA", "mimeType": "image/png"});
        let blob = json!({"type": "resource", "resource": {"uri": "x:1", "mimeType": "image/gif", "blob": "BBBB"}});
        let content = read(json!({"content": [{"type": "text", "text": "a"}, image, blob]})).unwrap();
        let Content::Parts(parts) = content else { panic!("{content:?}") };
        let parts = serde_json::to_value(&parts).unwrap();
        assert_eq!(parts[0], json!({"type": "text", "text": "a"}));
        assert_eq!(parts[1], json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}));
        assert_eq!(parts[2], json!({"type": "image_url", "image_url": {"url": "data:image/gif;base64,BBBB"}}));
    }

    #[test]
    fn resources_are_text_or_files() {
        let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a", "description": "first"});
        check(json!({"content": [link]}), "[a](file:///a): first");
        let link = json!({"type": "resource_link", "uri": "x:1", "name": "a", "title": "A", "mimeType": "image/png"});
        check(json!({"content": [link]}), "[A](x:1) (image/png)");
        let resource = json!({"type": "resource", "resource": {"uri": "file:///a", "text": "A"}});
        check(json!({"content": [resource]}), "file:///a\nA");
        let blob = json!({"uri": "file:///b/z.zip", "mimeType": "application/zip", "blob": "AAAA"});
        let file = json!({"filename": "z.zip", "file_data": "data:application/zip;base64,AAAA"});
        assert_eq!(parts(json!([{"type": "resource", "resource": blob}])), json!([{"type": "file", "file": file}]));
    }

    #[test]
    fn audio_has_the_names_of_chat_completions() {
        let audio = |kind: &str| json!({"type": "audio", "data": "AAAA", "mimeType": kind});
        for (kind, format) in
            [("audio/wav", "wav"), ("audio/x-wav", "wav"), ("audio/mpeg", "mp3"), ("audio/ogg", "ogg")]
        {
            let input_audio = json!({"data": "AAAA", "format": format});
            assert_eq!(parts(json!([audio(kind)])), json!([{"type": "input_audio", "input_audio": input_audio}]));
        }
    }

    #[test]
    fn an_error_is_told_to_the_model() {
        let answer = json!({"content": [{"type": "text", "text": "no such file"}], "isError": true});
        assert_eq!(read(answer), Err(ToolError("no such file".into())));
        let image = json!({"type": "image", "data": "AAAA", "mimeType": "image/png"});
        let ToolError(shown) = read(json!({"content": [image], "isError": true})).unwrap_err();
        assert!(matches!(&shown, Content::Parts(parts) if parts.len() == 1), "{shown:?}");
        assert!(read(json!({"prompts": []})).is_err());
    }
}
