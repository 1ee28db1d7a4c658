//! Google's Gemini models: the Gemini API, and the same wire format on Vertex AI.
//!
//! An answer is a list of *parts*: text, thoughts, calls, images. A part can carry a *thought signature*, without
//! which the newest models refuse to go on; so the parts of an answer with signatures go back as they came.

mod answer;
mod calls;
mod chunk;
mod contents;
mod decode;
mod model;
mod parts;
mod request;
mod sources;

use serde_json::Value;
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{Adapter, Decoder, Framing, HttpRequest, ModelRequest, Upstream, errors, vendors::Host};

/// The wire format `gemini`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gemini;

impl Adapter for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// What a gateway that drops `alt=sse` gives.
    fn json_framing(&self) -> Option<Framing> {
        Some(Framing::JsonArray)
    }

    fn request(&self, request: &ModelRequest, upstream: &Upstream) -> Result<HttpRequest, ErrorInfo> {
        request::build(request, upstream)
    }

    fn decoder(&self, _: &Upstream) -> Box<dyn Decoder> {
        Box::new(decode::GeminiDecoder::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorInfo {
        let mut error = errors::of_response(status, body);
        error.retry_after_ms = error.retry_after_ms.or_else(|| retry_delay(body));
        error
    }

    fn models_request(&self, upstream: &Upstream) -> Option<HttpRequest> {
        // Vertex AI has no list of what a project may ask for.
        (upstream.quirks.host == Host::Own).then(|| request::models(upstream))
    }

    fn models(&self, body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
        let no_list = || ErrorInfo::new(ErrorCode::ProviderProtocol, "the provider's list of models cannot be read");
        let body: Value = serde_json::from_slice(body).map_err(|_| no_list())?;
        let models = body["models"].as_array().ok_or_else(no_list)?.iter();
        let generates = |model: &&Value| {
            let methods = model["supportedGenerationMethods"].as_array();
            methods.is_some_and(|methods| methods.iter().any(|method| method == "generateContent"))
        };
        let name = |model: &Value| {
            let name = model["name"].as_str()?;
            Some(name.strip_prefix("models/").unwrap_or(name).to_owned())
        };
        Ok(models.filter(generates).filter_map(name).collect())
    }
}

/// How long the error asks to wait: Google says it in the body, as `"retryDelay": "21.5s"`.
fn retry_delay(body: &[u8]) -> Option<u64> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    if body.is_array() {
        body = body[0].take();
    }
    let details = body["error"]["details"].as_array()?;
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64)
}
