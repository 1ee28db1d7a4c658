//! What requests of all wire formats have in common.

use std::borrow::Cow;

use serde_json::Value;

use super::{HttpRequest, Upstream};

impl HttpRequest {
    /// A POST of `body` to `path` below the upstream's base URL, asking for an event stream.
    pub(crate) fn post(upstream: &Upstream, path: &str, body: &Value) -> Self {
        Self {
            url: format!("{}{path}", upstream.base_url.trim_end_matches('/')),
            headers: vec![
                ("content-type".into(), "application/json".to_owned()),
                ("accept".into(), "text/event-stream".to_owned()),
            ],
            body: body.to_string().into_bytes(),
        }
    }

    /// Sets a header, in place of one of the same name. `name` is in lower case.
    pub(crate) fn set_header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
    }

    /// Sets the headers that the upstream is configured with, so that they win over the adapter's.
    pub(crate) fn set_configured_headers(&mut self, upstream: &Upstream) {
        for (name, value) in &upstream.headers {
            self.set_header(name.to_ascii_lowercase(), value.as_str());
        }
    }
}
