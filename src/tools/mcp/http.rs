//! An MCP server behind streamable HTTP.

use std::error::Error;

use reqwest::{
    Client,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use rmcp::transport::{
    StreamableHttpClientTransport,
    streamable_http_client::{AuthRequiredError, StreamableHttpClientTransportConfig, StreamableHttpError},
};

use crate::{
    config::McpConfig,
    provider::connect::{self, Reach},
};

/// The longest reason that is told.
const MAX_REASON_CHARS: usize = 300;

/// The transport to `url`. Connects when it is used.
pub(super) fn transport(url: &str, config: &McpConfig) -> Result<StreamableHttpClientTransport<Client>, String> {
    let client = connect::client(Reach::Anywhere).map_err(|error| error.message.to_string())?;
    let bearer = config.bearer_token.iter().map(|token| (AUTHORIZATION.as_str(), format!("Bearer {token}")));
    let headers = config.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).chain(bearer);
    let headers = headers
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name cannot be sent")?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| "a header's value cannot be sent")?;
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect::<Result<_, &str>>()?;
    let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// Why a server cannot be reached: the innermost cause. An error of the HTTP client is none, since it names the URL,
/// which may hold a password.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = inner_cause(cause) {
        if inner.is::<AuthRequiredError>() {
            return "HTTP 401: it wants other credentials".to_owned();
        }
        cause = inner;
    }
    let reason = match cause.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "it did not answer in time".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => cause.to_string(),
    };
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => reason[..end].to_owned() + " ...",
        None => reason,
    }
}

fn inner_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // This one does not say that the client's error is its cause.
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(client)) => Some(client),
        _ => error.source(),
    }
}
