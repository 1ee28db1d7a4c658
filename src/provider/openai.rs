//! Where the requests of OpenAI's APIs go, and how they carry the key: at OpenAI, at those who speak the same, and
//! at Azure.
//!
//! | place | URL below the base URL |
//! | --- | --- |
//! | most | `/chat/completions`, `/responses`, behind the vendor's own prefix |
//! | Azure OpenAI | `/openai/v1/chat/completions`, `/openai/v1/responses` |
//! | Azure OpenAI with the date of an API version | `/openai/deployments/{model}/chat/completions?api-version=` and `/openai/responses?api-version=` |
//! | Azure AI Foundry | `/models/chat/completions?api-version=` |

use serde_json::Value;
use tokenwire_protocol::ErrorInfo;

use super::{HttpRequest, Upstream, http::encoded, model_list, vendors::Host};

/// The version of the Foundry API that is asked for where the configuration names none.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";

/// The first version of Azure OpenAI that knows what OpenAI's newer models want.
const AZURE_MODERN: &str = "2024-09-01";

/// A POST of `body`. `path` is `/chat/completions` or `/responses`.
pub(crate) fn post(upstream: &Upstream, path: &str, model: &str, body: &Value) -> HttpRequest {
    let (path, version) = place(upstream, path, model);
    let mut http = HttpRequest::post(upstream, &path, body);
    if let Some(version) = version {
        http.url.push_str("?api-version=");
        http.url.push_str(&encoded(version));
    }
    set_key(&mut http, upstream);
    http
}

/// The request that lists the models. `None`: a deployment has a name of its own, and only Azure's management
/// API knows it.
pub(crate) fn models_request(upstream: &Upstream) -> Option<HttpRequest> {
    if upstream.quirks.host != Host::Own {
        return None;
    }
    let mut http = HttpRequest::get(upstream, &format!("{}/models", upstream.quirks.prefix));
    set_key(&mut http, upstream);
    http.set_configured_headers(upstream);
    Some(http)
}

/// Reads the answer to it.
pub(crate) fn models(body: &[u8]) -> Result<Vec<String>, ErrorInfo> {
    model_list::read(body)
}

/// The path below the base URL, and the API version that is asked for.
fn place<'u>(upstream: &'u Upstream, path: &str, model: &str) -> (String, Option<&'u str>) {
    let version = upstream.api_version.as_deref();
    match (upstream.quirks.host, version) {
        (Host::Own | Host::Vertex | Host::Bedrock, _) => (format!("{}{path}", upstream.quirks.prefix), None),
        (Host::Foundry, version) => (format!("/models{path}"), Some(version.unwrap_or(FOUNDRY_VERSION))),
        (Host::Azure, Some(version)) if is_date(version) => match path {
            // A base URL may name the deployment, as that of the SDKs may.
            "/chat/completions" if upstream.base_url.contains("/deployments/") => (path.to_owned(), Some(version)),
            "/chat/completions" => (format!("/openai/deployments/{}{path}", encoded(model)), Some(version)),
            _ => (format!("/openai{path}"), Some(version)),
        },
        // Here a version is a word, such as `preview`.
        (Host::Azure, version) => (format!("/openai/v1{path}"), version),
    }
}

fn set_key(http: &mut HttpRequest, upstream: &Upstream) {
    let Some(key) = &upstream.key else { return };
    match upstream.quirks.key_header {
        Some(name) => http.set_header(name, key.expose()),
        None => http.set_header("authorization", format!("Bearer {}", key.expose())),
    }
}

/// Whether Azure OpenAI in this version lacks what OpenAI's newer models want.
pub(crate) fn is_old_azure(version: Option<&str>) -> bool {
    version.is_some_and(|version| is_date(version) && version < AZURE_MODERN)
}

fn is_date(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit())
}
