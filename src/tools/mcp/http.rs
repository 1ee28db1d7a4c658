//! An MCP server behind streamable HTTP.

use std::error::Error;

use reqwest::{
    Client,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use rmcp::transport::{
    StreamableHttpClientTransport,
    streamable_http_client::{AuthRequiredError, StreamableHttpClientTransportConfig},
};
use url::Url;

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

/// Why a server cannot be reached: the innermost cause, in which there is no URL, since that may hold a password.
pub(super) fn reason(error: &(dyn Error + 'static), url: Option<&str>) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        if inner.is::<AuthRequiredError>() {
            return "HTTP 401: it wants other credentials".to_owned();
        }
        cause = inner;
    }
    let mut reason = cause.to_string();
    // Nor should there be one, should a cause have it all the same.
    if let Some(url) = url {
        reason = reason.replace(url, "its URL");
        if let Ok(url) = Url::parse(url) {
            reason = reason.replace(url.as_str(), "its URL");
        }
    }
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => reason[..end].to_owned() + " ...",
        None => reason,
    }
}
