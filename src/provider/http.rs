//! What requests of all wire formats have in common.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokenwire_protocol::Warning;

use super::{HttpRequest, Upstream};

impl HttpRequest {
    /// A POST of `body` to the upstream, asking for an event stream. `path` is the wire format's.
    pub(crate) fn post(upstream: &Upstream, path: &str, body: &Value) -> Self {
        Self {
            url: join(&upstream.base_url, path),
            headers: vec![
                ("content-type".into(), "application/json".to_owned()),
                ("accept".into(), "text/event-stream".to_owned()),
            ],
            body: body.to_string().into_bytes(),
            warnings: Vec::new(),
        }
    }

    /// A GET at the upstream, asking for JSON. `path` is the wire format's.
    pub(crate) fn get(upstream: &Upstream, path: &str) -> Self {
        Self {
            url: join(&upstream.base_url, path),
            headers: vec![("accept".into(), "application/json".to_owned())],
            body: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Says that `field` of the start frame was left out or changed, and why.
    pub(crate) fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning { field: field.into(), message: message.into() });
    }

    /// Sets a header, in place of one of the same name. `name` is in lower case.
    pub(crate) fn set_header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
    }

    /// The value of a header. `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Takes a header away. `name` is in lower case.
    pub(crate) fn take_header(&mut self, name: &str) -> Option<String> {
        let at = self.headers.iter().position(|(other, _)| other == name)?;
        Some(self.headers.remove(at).1)
    }

    /// Sets the headers that the upstream is configured with, so that they win over the adapter's.
    pub(crate) fn set_configured_headers(&mut self, upstream: &Upstream) {
        for (name, value) in &upstream.headers {
            self.set_header(name.to_ascii_lowercase(), value.as_str());
        }
    }
}

/// `text` as one step of a path or one value of a query. Names of models come from clients.
pub(crate) fn encoded(text: &str) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

    // Dots alone would be steps up, also when they are encoded, so these are encoded twice.
    let is_step = !text.is_empty() && text.bytes().all(|byte| byte == b'.');
    if is_step { text.replace('.', "%252E") } else { utf8_percent_encode(text, PLAIN).to_string() }
}

/// The base URL and the path, without repeating what the one ends and the other begins with.
///
/// Vendors' SDKs disagree on whether `/v1` belongs to the base URL, and so do the people who set
/// it: `https://api.anthropic.com` and `https://api.anthropic.com/v1` both work.
fn join(base_url: &str, path: &str) -> String {
    let base_url = base_url.trim_end_matches('/');
    let mut ends = path.rmatch_indices('/').map(|(at, _)| at);
    let shared = ends.find(|at| base_url.ends_with(&path[..*at])).unwrap_or(0);
    format!("{base_url}{}", &path[shared..])
}

#[cfg(test)]
mod tests {
    use super::{encoded, join};

    #[test]
    fn a_name_stays_one_step_of_the_path() {
        assert_eq!(encoded("gpt-4.1_mini~x"), "gpt-4.1_mini~x");
        assert_eq!(encoded("../a?b=é"), "..%2Fa%3Fb%3D%C3%A9");
        assert_eq!(encoded(".."), "%252E%252E");
    }

    #[test]
    fn a_base_url_may_hold_the_start_of_the_path() {
        for base_url in ["https://api.groq.com", "https://api.groq.com/", "https://api.groq.com/openai/v1"] {
            let url = join(base_url, "/openai/v1/chat/completions");
            assert_eq!(url, "https://api.groq.com/openai/v1/chat/completions");
        }
        assert_eq!(join("http://localhost:1/v1", "/chat/completions"), "http://localhost:1/v1/chat/completions");
        assert_eq!(join("https://proxy/anthropic/v1/", "/v1/messages"), "https://proxy/anthropic/v1/messages");
    }
}
