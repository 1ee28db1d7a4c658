//! Claude on Bedrock in Anthropic's own wire format: InvokeModelWithResponseStream.

use base64::{Engine, prelude::BASE64_STANDARD};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Content, Part},
};

use super::super::{
    Adapter, Decoder, Flow, Framing, HttpRequest, Message, ModelRequest, Turn, Upstream,
    anthropic::Anthropic,
    errors,
    event_stream::EXCEPTION,
    json::{Text, lenient_object},
    vendors::{Host, Quirks},
};

/// The wire format `bedrock-invoke`: Anthropic's messages, each in base64 in a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct BedrockInvoke;

impl Adapter for BedrockInvoke {
    fn name(&self) -> &'static str {
        "bedrock-invoke"
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        refuse_urls(request)?;
        Anthropic.request(request, &on_bedrock(upstream))
    }

    fn prefills(&self, request: &ModelRequest) -> bool {
        Anthropic.prefills(request)
    }

    fn decoder(&self, upstream: &Upstream) -> Box<dyn Decoder> {
        Box::new(InvokeDecoder { anthropic: Anthropic.decoder(upstream), message: Vec::new() })
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        errors::of_response(status, body)
    }
}

/// The upstream, whichever vendor it is a row of.
fn on_bedrock(upstream: &Upstream) -> Upstream {
    Upstream { quirks: Quirks { host: Host::Bedrock, ..upstream.quirks }, ..upstream.clone() }
}

/// Anthropic itself fetches images; Bedrock does not.
fn refuse_urls(request: &ModelRequest) -> Result<(), ErrorInfo> {
    for (message, content) in request.messages.iter().enumerate() {
        let Some(Content::Parts(parts)) = &content.content else { continue };
        let is_url = |part: &Part| {
            let url = match part {
                Part::ImageUrl { image_url, .. } => Some(image_url.url.as_str()),
                Part::File { file, .. } => file["file_data"].as_str().or(file["file_id"].as_str()),
                Part::Text { .. } | Part::InputAudio { .. } => None,
            };
            url.is_some_and(|url| !url.starts_with("data:"))
        };
        if let Some(part) = parts.iter().position(is_url) {
            let error = ErrorInfo::new(
                ErrorCode::NotSupported,
                "this provider takes images and files only as a base64 data: URL",
            );
            return Err(error.with_field(format!("messages[{message}].content[{part}]")));
        }
    }
    Ok(())
}

/// Takes Anthropic's messages out of their frames.
struct InvokeDecoder {
    anthropic: Box<dyn Decoder>,
    /// The last message; kept for its room.
    message: Vec<u8>,
}

lenient_object! {
    struct Chunk<'a> {
        bytes: Text<'a>,
    }
}

impl Decoder for InvokeDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        if let Some(kind) = message.event.strip_prefix(EXCEPTION) {
            return Err(errors::of_exception(kind, message.data));
        }
        if message.event != "chunk" {
            turn.skipped();
            return Ok(Flow::More);
        }
        let chunk: Chunk<'_> = serde_json::from_str(message.data).map_err(|_| errors::unreadable())?;
        self.message.clear();
        BASE64_STANDARD.decode_vec(&*chunk.bytes, &mut self.message).map_err(|_| errors::unreadable())?;
        let data = std::str::from_utf8(&self.message).map_err(|_| errors::unreadable())?;
        self.anthropic.decode(Message { event: "", data }, turn)
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        self.anthropic.end(turn)
    }
}
