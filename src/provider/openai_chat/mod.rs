//! OpenAI chat completions, and the many vendors that speak it.
//!
//! What a vendor wants differently in a request is data ([`Quirks`](super::vendors::Quirks)).
//! In answers there are no quirks: the decoder takes reasoning, tool calls, usage and errors
//! from every place where some vendor puts them.

mod beyond;
mod chunk;
mod decode;
mod hand_back;
mod messages;
mod request;
mod usage;

use tokenwire_protocol::ErrorInfo;

use super::{Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, errors, openai};

/// The wire format `openai-chat`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiChat;

impl Adapter for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        request::build(request, upstream)
    }

    fn decoder(&self, upstream: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::ChatDecoder::new(upstream.quirks.takes_reasoning))
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        errors::of_response(status, body)
    }

    fn models_request(&self, upstream: &Upstream) -> Option<HttpRequest> {
        openai::models_request(upstream)
    }

    fn models(&self, body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
        openai::models(body)
    }
}
