//! Cohere chat, version 2 of its API.

mod decode;
mod request;

use serde_json::Value;
use tokenwire_protocol::ErrorInfo;

use super::{Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, errors};

/// The wire format `cohere`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cohere;

impl Adapter for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        request::build(request, upstream)
    }

    fn decoder(&self, _: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::CohereDecoder::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        errors::of_response(status, body)
    }

    fn models_request(&self, upstream: &Upstream) -> Option<HttpRequest> {
        Some(request::models(upstream))
    }

    fn models(&self, body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
        let body: Value = serde_json::from_slice(body).map_err(|_| errors::unreadable())?;
        let models = body["models"].as_array().ok_or_else(errors::unreadable)?;
        Ok(models.iter().filter_map(|model| model["name"].as_str()).map(str::to_owned).collect())
    }
}
