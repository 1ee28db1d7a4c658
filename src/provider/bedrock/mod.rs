//! AWS Bedrock: the Converse API, and models that are invoked in their own wire format.

mod blocks;
mod content;
mod decode;
mod invoke;
mod reasoning;
mod request;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokenwire_protocol::ErrorInfo;

pub use self::invoke::BedrockInvoke;
use super::{
    Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, anthropic::Anthropic, errors, http::encoded,
};

/// The wire format `bedrock-converse`: ConverseStream, which is the same for every model.
#[derive(Clone, Copy, Debug, Default)]
pub struct BedrockConverse;

impl Adapter for BedrockConverse {
    fn name(&self) -> &'static str {
        "bedrock-converse"
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        request::build(request, upstream)
    }

    fn prefills(&self, request: &ModelRequest) -> bool {
        // The same models do on either way.
        Anthropic.prefills(request)
    }

    fn decoder(&self, _: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::ConverseDecoder::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        errors::of_response(status, body)
    }
}

/// A POST to an operation on the model, still without a body.
pub(super) fn post(upstream: &Upstream, model: &str, operation: &str) -> HttpRequest {
    let mut http = HttpRequest::post(upstream, &format!("/model/{}/{operation}", encoded(model)), &Value::Null);
    http.set_header("accept", "application/vnd.amazon.eventstream");
    http
}

/// A key becomes a bearer token; without one the upstream's authorizer signs the request.
pub(super) fn set_key(http: &mut HttpRequest, upstream: &Upstream) {
    if let Some(key) = &upstream.key {
        http.set_header("authorization", format!("Bearer {}", key.expose()));
    }
}

/// The bytes of base64; none where it is damaged.
fn decode_base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap_or_default()
}
