//! Anthropic Messages.

mod content;
mod decode;
mod messages;
mod request;
mod thinking;

use tokenwire_protocol::ErrorInfo;

pub use self::request::DEFAULT_MAX_TOKENS;
// What Claude takes is the same on Bedrock's own wire format.
pub(super) use self::{
    request::{has_schemas, sampling},
    thinking::{Thinking, version},
};
use super::{Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, errors, model_list};

/// The wire format `anthropic`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anthropic;

impl Adapter for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        request::build(request, upstream)
    }

    fn prefills(&self, request: &ModelRequest) -> bool {
        request::prefills(request)
    }

    fn decoder(&self, _: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::MessagesDecoder::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        errors::of_response(status, body)
    }

    fn models_request(&self, upstream: &Upstream) -> Option<HttpRequest> {
        request::models(upstream)
    }

    fn models(&self, body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
        model_list::read(body)
    }
}
