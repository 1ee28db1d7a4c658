//! OpenAI Responses, and the vendors that speak it: Azure, xAI, OpenRouter, DeepSeek, LM Studio, vLLM ...
//!
//! An answer is a list of items: messages, reasoning, tool calls, and calls of tools that the provider runs
//! itself. They arrive in events, in pieces, and each of them a second time when it is whole.

mod continuation;
mod decode;
mod event;
mod items;
mod pool;
mod request;
mod server_tools;
pub(super) mod socket;

use tokenwire_protocol::ErrorInfo;

use super::{Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, errors, openai};

/// The wire format `openai-responses`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiResponses;

impl Adapter for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        request::build(request, upstream)
    }

    fn decoder(&self, _: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::ResponsesDecoder::default())
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
