//! Reads providers' errors: those before a stream and those inside one.
//!
//! Vendors agree on nothing but JSON, and not all on that. So the shape is searched for a
//! message, for words (`type`, `code`, `status`) and for a number, and those decide the code:
//! words first, then the message, then the HTTP status.

use serde_json::{Map, Value};
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::error_words;

/// The longest message that is passed on, in characters. Long ones repeat the request.
const MAX_MESSAGE_CHARS: usize = 300;
/// The longest code of a provider's that is passed on. What is longer is no code.
const MAX_CODE_BYTES: usize = 64;
/// The longest id of a request that is passed on.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Reads an answer that is an error before any stream.
pub(crate) fn of_response(status: u16, body: &[u8]) -> ErrorInfo {
    let text = String::from_utf8_lossy(body);
    let mut report = match serde_json::from_str::<Value>(&text) {
        Ok(body) => Report::read(&body),
        // A gateway's page says nothing that the status does not say.
        Err(_) if text.trim_start().starts_with('<') => Report::default(),
        Err(_) => Report { message: text.into_owned(), ..Report::default() },
    };
    report.status = Some(status);
    report.into_error()
}

/// Reads an error inside a stream. `None`: the message is no error.
///
/// It is judged by its own words: that the stream began with status 200 means nothing.
pub(crate) fn of_message(message: &Value) -> Option<ErrorInfo> {
    is_error(message).then(|| Report::read(message).into_error())
}

/// Reads a message that is known to be an error, because its event is named so.
pub(crate) fn of_error_event(data: &str) -> ErrorInfo {
    let report = match serde_json::from_str(data) {
        Ok(data) => Report::read(&data),
        Err(_) => Report { message: data.to_owned(), ..Report::default() },
    };
    report.into_error()
}

/// Reads an error whose type stands beside its message: an exception of AWS.
pub(crate) fn of_exception(kind: &str, data: &str) -> ErrorInfo {
    let mut report = match serde_json::from_str(data) {
        Ok(data) => Report::read(&data),
        Err(_) => Report { message: data.to_owned(), ..Report::default() },
    };
    report.add_word(kind);
    report.into_error()
}

/// The error of a turn whose finish reason says that the provider failed.
pub(crate) fn of_finish_reason(reason: &str) -> ErrorInfo {
    let message = format!("the provider stopped with the reason {reason}");
    let mut report = Report { message, ..Report::default() };
    report.add_word(reason);
    report.into_error()
}

/// An id under which a provider knows a request; `None` for what cannot be one.
pub(crate) fn request_id(text: &str) -> Option<String> {
    let text = text.trim();
    let is_id =
        !text.is_empty() && text.len() <= MAX_REQUEST_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_id.then(|| text.to_owned())
}

/// The error of a message that cannot be read.
pub(crate) fn unreadable() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::ProviderProtocol, "a message of the provider's is not JSON")
}

fn is_error(message: &Value) -> bool {
    let Some(object) = message.as_object() else {
        return message.as_array().and_then(|list| list.first()).is_some_and(is_error);
    };
    let says = |key: &str, value: &str| object.get(key).and_then(Value::as_str) == Some(value);
    ["error", "errors", "error_message", "error_type", "detail"].iter().any(|key| object.get(*key).is_some_and(is_set))
        || says("object", "error")
        || says("type", "error")
        || (object.contains_key("message") && object.contains_key("code"))
}

/// What an error says about itself.
#[derive(Debug, Default)]
struct Report {
    message: String,
    /// Types, codes and statuses, in lower case.
    words: Vec<String>,
    /// The first of them that says something, as the provider wrote it.
    code: Option<String>,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    request_id: Option<String>,
}

impl Report {
    fn read(value: &Value) -> Self {
        let mut report = Self::default();
        report.add(value, 8);
        report
    }

    /// Adds what `value` says. The outermost message counts. `depth` bounds how deep errors are
    /// nested: gateways wrap each other's, also as JSON text in a message.
    fn add(&mut self, value: &Value, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Object(object) => self.add_object(object, depth),
            Value::Array(list) => list.iter().take(1).for_each(|value| self.add(value, depth)),
            Value::String(text) => self.add_text(text, depth),
            _ => {}
        }
    }

    fn add_object(&mut self, object: &Map<String, Value>, depth: usize) {
        for key in ["code", "type", "__type", "status", "error_type", "status_code", "statusCode"] {
            match object.get(key) {
                Some(Value::String(word)) => self.add_word(word),
                Some(Value::Number(number)) => self.add_status(number.as_u64()),
                _ => {}
            }
        }
        for key in ["request_id", "requestId"] {
            let id = object.get(key).and_then(Value::as_str).and_then(request_id);
            self.request_id = self.request_id.take().or(id);
        }
        // Google's details say how long to wait, in a duration as text.
        for detail in object.get("details").and_then(Value::as_array).into_iter().flatten() {
            let delay = detail.get("retryDelay").and_then(Value::as_str).and_then(milliseconds);
            self.retry_after_ms = self.retry_after_ms.or(delay);
        }
        // `msg` and not the rest of a validation error: the rest repeats the input.
        for key in ["error", "errors", "message", "error_message", "msg", "detail", "title"] {
            if let Some(value) = object.get(key).filter(|value| is_set(value)) {
                self.add(value, depth);
            }
        }
        // What the provider behind OpenRouter said.
        if let Some(raw) = object.get("metadata").and_then(|metadata| metadata.get("raw")) {
            let mut inner = Self::default();
            inner.add(raw, depth);
            if !inner.message.is_empty() && inner.message != self.message {
                self.message = format!("{}: {}", self.message, inner.message);
            }
            self.words.extend(inner.words);
            self.retry_after_ms = self.retry_after_ms.or(inner.retry_after_ms);
        }
    }

    fn add_text(&mut self, text: &str, depth: usize) {
        if text.trim_start().starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str::<Value>(text)
            && value.is_object() | value.is_array()
        {
            self.add(&value, depth);
        } else if self.message.is_empty() {
            self.message.push_str(text);
        }
    }

    fn add_word(&mut self, word: &str) {
        match word.parse() {
            Ok(number) => self.add_status(Some(number)),
            Err(_) => self.words.push(word.to_ascii_lowercase()),
        }
        if self.code.is_none() && is_code(word) {
            self.code = Some(word.to_owned());
        }
    }

    fn add_status(&mut self, number: Option<u64>) {
        let status = number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status));
        self.status = self.status.or(status);
    }

    fn into_error(self) -> ErrorInfo {
        let code = error_words::code(&self.words, &self.message.to_ascii_lowercase(), self.status);
        let message = match (short(&self.message), self.status) {
            (message, _) if !message.is_empty() => message,
            (_, Some(status)) => format!("the provider answered with status {status}"),
            _ => "the provider reported an error without saying which".to_owned(),
        };
        let mut error = ErrorInfo::new(code, message);
        error.status = self.status;
        error.provider_code = self.code;
        error.retry_after_ms = self.retry_after_ms;
        error.request_id = self.request_id;
        if code == ErrorCode::ProviderError
            && let Some(status) = self.status
        {
            error.retryable = matches!(status, 408 | 409 | 424 | 425 | 500 | 502..=504 | 520..=524 | 529);
        }
        error
    }
}

/// Whether a word is a code: one token, which is no status, and says more than that this is an error.
fn is_code(word: &str) -> bool {
    let is_token = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    let is_status = word.parse().is_ok_and(|number: u16| (100..600).contains(&number));
    let is_empty = word.is_empty() || word.eq_ignore_ascii_case("error");
    is_token && !is_status && !is_empty && word.len() <= MAX_CODE_BYTES && !looks_like_key(word)
}

/// A duration as Google writes it: `21s`, `0.5s`.
fn milliseconds(duration: &str) -> Option<u64> {
    let seconds: f64 = duration.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64)
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    }
}

/// The message on one line, without keys, cut to [`MAX_MESSAGE_CHARS`].
fn short(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = redact(&line);
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Replaces what looks like a key. Vendors repeat the key that they refuse.
fn redact(message: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    let mut redacted = String::with_capacity(message.len());
    let mut is_after_bearer = false;
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        let is_key = is_word(first) && (is_after_bearer || looks_like_key(part));
        redacted.push_str(if is_key { "***" } else { part });
        if is_word(first) {
            is_after_bearer = part.eq_ignore_ascii_case("bearer");
        }
        rest = tail;
    }
    redacted
}

fn looks_like_key(word: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "sk-", "sk_", "rk-", "pk-", "gsk_", "xai-", "pplx-", "hf_", "csk-", "fw_", "tgp_", "nvapi-", "r8_", "ghp_",
        "gho_", "AIza", "ya29.", "AKIA", "ASIA", "eyJ",
    ];
    let word = word.trim_end_matches('.');
    let is_dense = |word: &str| {
        word.len() >= 32
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !word.contains(['-', '_', '.'])
    };
    (word.len() >= 8 && PREFIXES.iter().any(|prefix| word.starts_with(prefix))) || is_dense(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(status: u16, body: &str) -> ErrorInfo {
        of_response(status, body.as_bytes())
    }

    #[test]
    fn keys_are_not_repeated() {
        for key in ["sk-proj-abcdef", "gsk_1234567890", "AIzaSyA1234567890", "0123456789abcdef0123456789abcdef"] {
            let body = format!(r#"{{"error":{{"message":"Invalid API key: '{key}', see the docs"}}}}"#);
            assert_eq!(of_text(401, &body).message, "Invalid API key: '***', see the docs");
        }
        let bearer = of_text(400, r#"{"message":"bad header: Authorization: Bearer abc.def-1"}"#);
        assert_eq!(bearer.message, "bad header: Authorization: Bearer ***");
        let model = "model: accounts/fireworks/models/llama-v3p1-405b-instruct at api.example.com";
        assert_eq!(of_text(404, model).message, model);
    }

    #[test]
    fn messages_are_one_short_line() {
        assert_eq!(of_text(500, "a\n\n b\tc").message, "a b c");
        let long = of_text(400, &"é ".repeat(1000)).message;
        assert_eq!(long.chars().count(), MAX_MESSAGE_CHARS + 1);
        assert_eq!(of_text(502, "<html>Bad Gateway</html>").message, "the provider answered with status 502");
        assert_eq!(of_text(500, "").message, "the provider answered with status 500");
    }

    #[test]
    fn the_input_of_a_validation_error_is_not_repeated() {
        let error = of_text(422, r#"{"detail":[{"loc":["body"],"msg":"too long","input":"the prompt"}]}"#);
        assert_eq!((error.code, &*error.message), (ErrorCode::InvalidRequest, "too long"));
    }

    #[test]
    fn json_inside_a_message_is_read_too() {
        let error =
            of_text(400, r#"{"error":{"message":"{\"error\":{\"message\":\"prompt is too long\",\"code\":400}}"}}"#);
        assert_eq!((error.code, &*error.message), (ErrorCode::ContextTooLong, "prompt is too long"));
    }

    #[test]
    fn only_what_can_help_is_tried_again() {
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 520, 524, 529] {
            assert!(of_text(status, "{}").retryable, "{status}");
        }
        for status in [400, 401, 402, 403, 404, 413, 422, 501] {
            assert!(!of_text(status, "{}").retryable, "{status}");
        }
        assert!(!of_text(429, r#"{"error":{"code":"insufficient_quota"}}"#).retryable);
        assert!(!of_text(500, r#"{"error":{"type":"context_length_exceeded"}}"#).retryable);
    }

    #[test]
    fn the_providers_own_code_is_kept() {
        let check = |body: &str, code: Option<&str>| {
            assert_eq!(of_text(400, body).provider_code.as_deref(), code, "{body}");
        };
        check(r#"{"error":{"code":"insufficient_quota","type":"quota_error"}}"#, Some("insufficient_quota"));
        check(r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Some("overloaded_error"));
        check(r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#, Some("RESOURCE_EXHAUSTED"));
        check(r#"{"error":{"code":"1113","message":"x"}}"#, Some("1113"));
        check(r#"{"code":"Client specified an invalid argument","error":"x"}"#, None);
        check(r#"{"error":{"code":"400","type":null}}"#, None);
        check(r#"{"error":{"code":"sk-proj-abcdefghij"}}"#, None);
    }

    #[test]
    fn a_provider_that_ran_out_of_time_says_so_in_many_ways() {
        for status in [408, 504, 524] {
            assert_eq!(of_text(status, "").code, ErrorCode::ProviderTimeout, "{status}");
        }
        for body in [r#"{"error":{"type":"timeout_error"}}"#, r#"{"error":{"status":"DEADLINE_EXCEEDED"}}"#] {
            let error = of_text(500, body);
            assert_eq!((error.code, error.retryable), (ErrorCode::ProviderTimeout, true), "{body}");
        }
        assert_eq!(of_finish_reason("TIMEOUT").code, ErrorCode::ProviderTimeout);
        assert_eq!(of_exception("modelTimeoutException", "{}").code, ErrorCode::ProviderTimeout);
    }

    #[test]
    fn how_long_to_wait_and_the_id_may_stand_in_the_body() {
        let details = r#"[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"21.5s"}]"#;
        let error = of_text(429, &format!(r#"{{"error":{{"code":429,"message":"x","details":{details}}}}}"#));
        assert_eq!(error.retry_after_ms, Some(21_500));
        let error = of_text(500, r#"{"type":"error","error":{"type":"api_error"},"request_id":"req_1"}"#);
        assert_eq!(error.request_id.as_deref(), Some("req_1"));
        for id in ["", "a b", "\u{e9}", &"x".repeat(129)] {
            assert_eq!(request_id(id), None);
        }
    }

    #[test]
    fn an_error_in_a_stream_is_judged_by_its_own_words() {
        let check = |message: &str, code: ErrorCode, status: Option<u16>| {
            let error = serde_json::from_str(message).ok().and_then(|message| of_message(&message));
            assert_eq!(error.map(|error| (error.code, error.status)), Some((code, status)), "{message}");
        };
        check(r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#, ErrorCode::Overloaded, None);
        check(r#"{"error":{"code":"502","message":"x"},"choices":[]}"#, ErrorCode::ProviderError, Some(502));
        check(r#"{"error":{"type":"invalid_request_error","message":"x"}}"#, ErrorCode::InvalidRequest, None);
        check(r#"{"error":{"message":"too many tokens: 9"}}"#, ErrorCode::ContextTooLong, None);
        check(r#"{"error":"x"}"#, ErrorCode::ProviderError, None);
        check(r#"[{"error":{"status":"RESOURCE_EXHAUSTED","code":429}}]"#, ErrorCode::RateLimit, Some(429));
        for message in [r#"{"error":null,"choices":[]}"#, r#"{"error":{}}"#, r#"{"message":"hi"}"#, "1"] {
            assert!(serde_json::from_str(message).is_ok_and(|message| of_message(&message).is_none()), "{message}");
        }
    }
}
