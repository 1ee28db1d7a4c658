//! Results of MCP tools as the content of a tool's result.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents, ServerResult};
use serde_json::Value;
use tokenwire_protocol::message::{Content, ImageUrl, Part};

use crate::tools::ToolError;

/// What a server answered to a call.
pub(super) fn result(answer: ServerResult) -> Result<Content, ToolError> {
    match answer {
        ServerResult::CallToolResult(result) => tool_result(result),
        // Without any field it is a result without content.
        ServerResult::EmptyResult(_) => Ok(Content::Text(String::new())),
        _ => Err(ToolError("the tool's server answered with something that is no result of a tool".to_owned())),
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
        Some(true) => Err(ToolError(content.plain_text())),
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
        ContentBlock::Audio(audio) => left_out(&format!("audio, {}", audio.mime_type)),
        ContentBlock::ResourceLink(link) => {
            let about = link.description.map(|about| format!(": {about}")).unwrap_or_default();
            text(format!("[{}]({}){about}", link.title.unwrap_or(link.name), link.uri))
        }
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { uri, text: contents, .. } => text(format!("{uri}\n{contents}")),
            ResourceContents::BlobResourceContents { mime_type: Some(mime_type), blob, .. }
                if mime_type.starts_with("image/") =>
            {
                data_image(&mime_type, &blob)
            }
            ResourceContents::BlobResourceContents { uri, mime_type, .. } => {
                left_out(&format!("{uri}, {}", mime_type.as_deref().unwrap_or("of no known type")))
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

/// The model should know that there was something.
fn left_out(what: &str) -> Part {
    text(format!("[left out: {what}]"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn read(answer: Value) -> Result<Content, ToolError> {
        result(serde_json::from_value(answer).unwrap())
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
    fn resources_are_text_or_said_to_be_left_out() {
        let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a", "description": "first"});
        check(json!({"content": [link]}), "[a](file:///a): first");
        let resource = json!({"type": "resource", "resource": {"uri": "file:///a", "text": "A"}});
        check(json!({"content": [resource]}), "file:///a\nA");
        let blob =
            json!({"type": "resource", "resource": {"uri": "file:///z", "mimeType": "application/zip", "blob": ""}});
        check(json!({"content": [blob]}), "[left out: file:///z, application/zip]");
        check(
            json!({"content": [{"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}]}),
            "[left out: audio, audio/wav]",
        );
    }

    #[test]
    fn an_error_is_told_to_the_model() {
        let answer = json!({"content": [{"type": "text", "text": "no such file"}], "isError": true});
        assert_eq!(read(answer), Err(ToolError("no such file".to_owned())));
        assert!(read(json!({"prompts": []})).is_err());
    }
}
