//! What the demo says beyond text when it is asked to: a search with its sources, and an image.

use std::borrow::Cow;

use serde_json::{Value, json};
use tokenwire_protocol::Citation;

use super::{Cut, MediaSource, ModelEvent, Part, Speaker};

/// A drawing of the mark of this project, as SVG in base64.
const DRAWING: &str = "\
    PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI0MDAiIGhlaWdodD0iMjQwIiB2aWV3Qm94PSIw\
    IDAgNDAgMjQiPjxyZWN0IHdpZHRoPSI0MCIgaGVpZ2h0PSIyNCIgZmlsbD0iI2ZhZjhmNSIvPjxnIHN0cm9rZT0iI2I0NTIxYiIg\
    ZmlsbD0iI2I0NTIxYiI+PHBhdGggZD0iTTEgMTJoMzgiLz48Y2lyY2xlIGN4PSI5IiBjeT0iMTIiIHI9IjMiLz48Y2lyY2xlIGN4\
    PSIyMCIgY3k9IjEyIiByPSI1Ii8+PGNpcmNsZSBjeD0iMzEiIGN5PSIxMiIgcj0iMyIvPjwvZz48L3N2Zz4=";

/// Answers `/search` and `/image`. Says whether it was one of them.
pub(super) async fn answer(question: &str, speaker: &mut Speaker<'_>) -> Result<bool, Cut> {
    let question = question.trim();
    if let Some(query) = question.strip_prefix("/search") {
        search(query.trim(), speaker).await?;
    } else if question.starts_with("/image") {
        speaker.say(Part::Text, "This is the demo model; it can draw one thing only.").await?;
        speaker.event(ModelEvent::Media {
            index: 0,
            media_type: Cow::Borrowed("image/svg+xml"),
            source: MediaSource::Data(Cow::Borrowed(DRAWING)),
            has_more: false,
        });
    } else {
        return Ok(false);
    }
    Ok(true)
}

async fn search(query: &str, speaker: &mut Speaker<'_>) -> Result<(), Cut> {
    let (call_id, name) = ("search_demo", "web_search");
    speaker.event(ModelEvent::ServerToolCall { call_id, name, arguments: Some(json!({"query": query})) });
    speaker
        .say(Part::Text, "The demo model searches nothing, but this is how a search of a provider's arrives. ")
        .await?;
    let sources = [
        ("https://developer.mozilla.org/docs/Web/API/WebSocket", "WebSocket"),
        ("https://www.rfc-editor.org/rfc/rfc6455", "RFC 6455: The WebSocket Protocol"),
    ];
    let result: Vec<Value> = sources.iter().map(|(url, title)| json!({"url": url, "title": title})).collect();
    speaker.event(ModelEvent::ServerToolResult { call_id, name, result: result.into(), is_error: false });
    for (text, (url, title)) in
        ["A WebSocket carries messages both ways over one connection.", " It begins as a request of HTTP."]
            .iter()
            .zip(sources)
    {
        speaker.say(Part::Text, text).await?;
        speaker.event(ModelEvent::Citation(Citation {
            url: Some(url.to_owned()),
            title: Some(title.to_owned()),
            quote: None,
            source: json!({"url": url, "title": title}),
        }));
    }
    Ok(())
}
