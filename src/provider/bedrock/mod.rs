//! AWS Bedrock: the Converse API, and models that are invoked in their own wire format.

mod blocks;
mod content;
mod decode;
mod invoke;
mod reasoning;
mod request;

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokenwire_protocol::ErrorInfo;

pub use self::invoke::BedrockInvoke;
use super::{Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, errors};

/// What stands for itself in a URL; everything else is encoded, `:` and `/` of a model's ARN too.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

    fn decoder(&self, _: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::ConverseDecoder::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        errors::of_response(status, body)
    }
}

/// A POST of `body` to an operation on the model. A key becomes a bearer token; without one the
/// request is signed by the upstream's authorizer.
fn post(upstream: &Upstream, model: &str, operation: &str, body: &Value) -> HttpRequest {
    let path = format!("/model/{}/{operation}", utf8_percent_encode(model, UNRESERVED));
    let mut http = HttpRequest::post(upstream, &path, body);
    http.set_header("accept", "application/vnd.amazon.eventstream");
    if let Some(key) = &upstream.key {
        http.set_header("authorization", format!("Bearer {}", key.expose()));
    }
    http.set_configured_headers(upstream);
    http
}

/// The bytes of base64; none where it is damaged.
fn decode_base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap_or_default()
}
