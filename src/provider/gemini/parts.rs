//! What messages hold, as parts.

use serde_json::{Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Part},
};

/// The parts of a message's content. `field` is the content's path.
///
/// # Errors
///
/// [`ErrorCode::BadField`] with the path of a part that cannot be read.
pub(super) fn of_content(content: Option<&Content>, field: &str) -> Result<Vec<Value>, ErrorInfo> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(of_text(text).into_iter().collect()),
        Some(Content::Parts(parts)) => parts
            .iter()
            .enumerate()
            .filter_map(|(position, part)| {
                of_part(part).map_err(|error| error.with_field(format!("{field}[{position}]"))).transpose()
            })
            .collect(),
    }
}

/// None for empty text, which the API refuses in a message of its own.
fn of_text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"text": text}))
}

pub(super) fn of_part(part: &Part) -> Result<Option<Value>, ErrorInfo> {
    match part {
        Part::Text { text, .. } => Ok(of_text(text)),
        Part::ImageUrl { image_url, .. } => of_url(&image_url.url, None, "image/jpeg").map(Some),
        Part::InputAudio { input_audio, .. } => {
            let data = input_audio["data"].as_str().ok_or_else(|| bad("audio has no `data`"))?;
            if data.starts_with("data:") {
                return of_data_url(data).map(Some);
            }
            let format = input_audio["format"].as_str().unwrap_or("wav");
            Ok(Some(inline(&format!("audio/{format}"), data)))
        }
        Part::File { file, .. } => of_file(file).map(Some),
    }
}

/// A document, a video, anything: inline, or by the address of an uploaded or public file.
fn of_file(file: &Value) -> Result<Value, ErrorInfo> {
    let text = |keys: &[&str]| keys.iter().find_map(|key| file[*key].as_str()).filter(|text| !text.is_empty());
    let name = text(&["filename"]);
    let media_type = text(&["mime_type", "media_type", "format"]).filter(|media_type| media_type.contains('/'));
    let media_type = media_type.or_else(|| name.and_then(media_type_of));
    let Some(data) = text(&["file_data"]) else {
        let uri = text(&["file_id", "file_uri", "uri", "url", "file_url"]);
        let uri = uri.ok_or_else(|| bad("a file has neither `file_data` nor `file_id`"))?;
        return match media_type {
            // An uploaded file has its type; others need one.
            None if is_uploaded(uri) => Ok(json!({"fileData": {"fileUri": uploaded(uri)}})),
            _ => of_url(uri, media_type, "application/octet-stream"),
        };
    };
    if data.starts_with("data:") {
        of_data_url(data)
    } else if data.contains("://") {
        of_url(data, media_type, "application/octet-stream")
    } else {
        let media_type =
            media_type.ok_or_else(|| bad("a file needs a data: URL, or a `filename` that says its type"))?;
        Ok(inline(media_type, data))
    }
}

/// The API itself fetches what an address names. It wants to know the type before.
fn of_url(url: &str, media_type: Option<&str>, otherwise: &'static str) -> Result<Value, ErrorInfo> {
    if url.starts_with("data:") {
        return of_data_url(url);
    }
    let is_known = ["https://", "http://", "gs://"].iter().any(|scheme| url.starts_with(scheme));
    if !is_known && !is_uploaded(url) {
        return Err(bad("expected an https:, gs: or base64 data: URL, or the name of an uploaded file"));
    }
    let is_video_page = url.contains("youtube.com/watch") || url.contains("youtu.be/");
    let guessed = if is_video_page { Some("video/mp4") } else { media_type_of(url) };
    let media_type = media_type.or(guessed).unwrap_or(otherwise);
    Ok(json!({"fileData": {"mimeType": media_type, "fileUri": uploaded(url)}}))
}

/// Whether it names a file that was uploaded to the Gemini API: `files/abc`.
fn is_uploaded(uri: &str) -> bool {
    uri.starts_with("files/") || uri.contains("generativelanguage.googleapis.com/")
}

fn uploaded(uri: &str) -> String {
    if uri.starts_with("files/") {
        format!("https://generativelanguage.googleapis.com/v1beta/{uri}")
    } else {
        uri.to_owned()
    }
}

fn of_data_url(url: &str) -> Result<Value, ErrorInfo> {
    let parts = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let parts = parts.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    let (head, data) = parts.ok_or_else(|| bad("a data: URL is not base64"))?;
    let media_type = head.split(';').next().unwrap_or_default();
    if media_type.is_empty() {
        return Err(bad("a data: URL does not say its type"));
    }
    Ok(inline(media_type, data))
}

fn inline(media_type: &str, data: &str) -> Value {
    json!({"inlineData": {"mimeType": media_type, "data": data}})
}

fn bad(message: &'static str) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::BadField, message)
}

/// The type that the end of a name or of an address's path says.
fn media_type_of(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "avif" => "image/avif",
        "bmp" => "image/bmp",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "txt" | "text" | "log" => "text/plain",
        "md" | "markdown" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "xml" => "text/xml",
        "rtf" => "text/rtf",
        "js" | "mjs" => "text/javascript",
        "py" => "text/x-python",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "aiff" => "audio/aiff",
        "aac" => "audio/aac",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "m4a" => "audio/m4a",
        "mp4" => "video/mp4",
        "mpeg" | "mpg" => "video/mpeg",
        "mov" => "video/mov",
        "avi" => "video/avi",
        "flv" => "video/x-flv",
        "webm" => "video/webm",
        "wmv" => "video/wmv",
        "3gp" | "3gpp" => "video/3gpp",
        _ => return None,
    })
}
