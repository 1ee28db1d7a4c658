//! What the types alone cannot say: ranges, formats, and keys that need each other.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;

use super::{
    Config, ConfigError, ProviderConfig,
    error::{KeyPath, Problem},
    mcp, prices, routes,
};
use crate::provider::{
    HostRule,
    vendors::{VENDORS, vendor},
};

/// The shortest key of a client. Shorter ones can be guessed.
pub const MIN_KEY_CHARS: usize = 16;

/// The wire formats that a provider may be configured with.
pub const WIRE_FORMATS: &[&str] = &[
    "openai-chat",
    "openai-responses",
    "anthropic",
    "gemini",
    "bedrock-converse",
    "bedrock-invoke",
    "cohere",
    "ollama",
];

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Every number that can be configured, with the least and the most it may be.
pub(super) const RANGES: &[(&str, u64, u64)] = &[
    ("workers", 0, 1024),
    ("limits.max_frame_bytes", 1 << 10, 64 << 20),
    ("limits.max_generations", 1, 1_000_000),
    ("limits.max_attachments", 1, 1_000_000),
    ("limits.max_connections", 1, 10_000_000),
    ("limits.max_running", 1, 10_000_000),
    ("limits.max_log_bytes", 1 << 10, 1 << 30),
    ("limits.max_turns", 1, 10_000),
    ("limits.heartbeat_seconds", 1, 3600),
    ("limits.write_timeout_seconds", 1, 600),
    ("limits.drain_seconds", 0, 3600),
    ("timeouts.connect_ms", 1, DAY_MS),
    ("timeouts.first_token_ms", 1, DAY_MS),
    ("timeouts.idle_ms", 1, DAY_MS),
    ("timeouts.total_ms", 1, DAY_MS),
    ("timeouts.tool_ms", 1, DAY_MS),
    ("timeouts.limit_ms", 1, DAY_MS),
    ("timeouts.disconnect_grace_ms", 0, DAY_MS),
    ("retention.seconds", 0, 30 * 24 * 60 * 60),
    ("retention.log_bytes", 0, 1 << 30),
    ("retention.total_bytes", 0, 1 << 40),
    ("retention.conversations", 1, 1_000_000),
    ("retention.conversation_bytes", 0, 1 << 30),
    ("retention.total_conversation_bytes", 0, 1 << 40),
    ("retry.attempts", 1, 20),
    ("retry.base_ms", 0, 10 * 60 * 1000),
    ("retry.max_ms", 0, 10 * 60 * 1000),
    ("model_list.cache_seconds", 1, 7 * 24 * 60 * 60),
    ("model_list.retry_seconds", 1, 7 * 24 * 60 * 60),
    ("ai_sdk.max_frame_bytes", 1 << 10, 1 << 30),
];

/// The range of a number, by its path.
pub(super) fn range(path: &KeyPath) -> Option<(u64, u64)> {
    let path = path.to_string();
    RANGES.iter().find(|(key, ..)| *key == path).map(|&(_, min, max)| (min, max))
}

impl Config {
    /// Checks what the types alone cannot say. Configuration that was loaded from a file has
    /// passed this; call it for one that was made in code.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, not only the first of it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_with(&[])
    }

    /// The same, for a server to which providers are added in code: routes may lead to these names, too.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, not only the first of it.
    pub fn validate_with(&self, own_providers: &[&str]) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        self.check_numbers(&mut problems);
        self.check_reach(&mut problems);
        self.check_keys(&mut problems);
        self.check_client_upstreams(&mut problems);
        for (name, provider) in &self.providers {
            check_provider(name, provider, &mut problems);
        }
        routes::check(self, own_providers, &mut problems);
        prices::check(self, &mut problems);
        mcp::check(self, &mut problems);
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    fn check_numbers(&self, problems: &mut Vec<Problem>) {
        let values = self.scalars();
        for &(path, min, max) in RANGES {
            let Some(value) = values.get(path).and_then(Value::as_u64) else { continue };
            if !(min..=max).contains(&value) {
                problems.push(Problem::new(path.into(), format!("expected {min} to {max}, not {value}")));
            }
        }
        for key in ["connect_ms", "first_token_ms", "idle_ms", "total_ms", "tool_ms"] {
            let value = values.get(&format!("timeouts.{key}")).and_then(Value::as_u64).unwrap_or_default();
            let limit = self.timeouts.limit_ms;
            if value > limit {
                let problem = Problem::new(
                    KeyPath::default().key("timeouts").key(key),
                    format!("{value} is more than `timeouts.limit_ms`, which is {limit}"),
                );
                problems.push(problem.with_fix("raise the limit or lower this"));
            }
        }
        if self.retry.base_ms > self.retry.max_ms {
            let (base, max) = (self.retry.base_ms, self.retry.max_ms);
            let message = format!("{base} is more than `retry.max_ms`, which is {max}");
            problems.push(Problem::new("retry.base_ms".into(), message));
        }
    }

    /// Who can reach the server, and from which pages.
    fn check_reach(&self, problems: &mut Vec<Problem>) {
        if !is_loopback(self.listen) && self.auth.keys.is_empty() && !self.insecure_no_auth {
            let message = format!("{} can be reached from other machines, and no key is configured", self.listen);
            problems.push(Problem::new("listen".into(), message).with_fix(
                "add a key (`tokenwire hash-key` makes one), or listen on 127.0.0.1, \
                 or allow everybody with `insecure_no_auth = true`",
            ));
        }
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            if !is_origin(origin) {
                let key = KeyPath::from("allowed_origins").index(index);
                let message = "expected `scheme://host` or `scheme://host:port` in lower case, without a path";
                problems.push(Problem::new(key, message).with_fix("for example `https://app.example.com`"));
            }
        }
        for (index, host) in self.allowed_hosts.iter().enumerate() {
            let has_port = host.rfind(':').is_some_and(|at| !host[at..].contains(']'));
            if has_port || !is_host(host) {
                let key = KeyPath::from("allowed_hosts").index(index);
                let message = "expected a host name in lower case, without scheme, port and path";
                problems.push(Problem::new(key, message).with_fix("for example `chat.example.com`"));
            }
        }
    }

    fn check_client_upstreams(&self, problems: &mut Vec<Problem>) {
        let section = &self.client_upstreams;
        for (key, hosts, is_private) in
            [("hosts", &section.hosts, false), ("private_hosts", &section.private_hosts, true)]
        {
            for (index, host) in hosts.iter().enumerate() {
                if let Err(message) = HostRule::parse(host, is_private) {
                    let key = KeyPath::from("client_upstreams").key(key).index(index);
                    let fix = match is_private {
                        true => "for example `http://llm.internal:8000`",
                        false => "for example `gateway.example.com`, `*.example.com` or `http://10.1.2.3:8000`",
                    };
                    problems.push(Problem::new(key, message).with_fix(fix));
                }
            }
        }
    }

    fn check_keys(&self, problems: &mut Vec<Problem>) {
        let mut seen = BTreeMap::new();
        for (index, key) in self.auth.keys.iter().enumerate() {
            let path = KeyPath::from("auth.keys").index(index);
            if key.principal.trim().is_empty() {
                problems
                    .push(Problem::new(path.clone().key("principal"), "is empty").with_fix("name who uses the key"));
            }
            match (&key.key, &key.sha256) {
                (None, None) => {
                    let problem = Problem::new(path.clone(), "expected `sha256` or `key`");
                    problems.push(problem.with_fix("`tokenwire hash-key` makes both"));
                }
                (Some(_), Some(_)) => {
                    problems.push(Problem::new(path.clone(), "expected either `sha256` or `key`, not both"));
                }
                (Some(plain), None) if plain.chars().count() < MIN_KEY_CHARS => {
                    let problem = Problem::new(
                        path.clone().key("key"),
                        format!("expected at least {MIN_KEY_CHARS} characters, so that it cannot be guessed"),
                    );
                    problems.push(problem.with_fix("`tokenwire hash-key` makes one"));
                }
                (Some(plain), None) if !is_sendable(plain) => {
                    let problem = Problem::new(
                        path.clone().key("key"),
                        "expected visible ASCII characters without spaces, as a header needs",
                    );
                    problems.push(problem.with_fix("`tokenwire hash-key` makes one"));
                }
                (None, Some(sha256)) if !is_sha256(sha256) => {
                    let problem = Problem::new(path.clone().key("sha256"), "expected 64 hexadecimal digits");
                    problems.push(problem.with_fix("`tokenwire hash-key` reads a key and prints this line"));
                }
                _ => {}
            }
            if let Some(first) = key.sha256_hex().and_then(|hash| seen.insert(hash, index)) {
                problems.push(Problem::new(path, format!("is the same key as `auth.keys[{first}]`")));
            }
        }
    }
}

fn check_provider(name: &str, provider: &ProviderConfig, problems: &mut Vec<Problem>) {
    let path = || KeyPath::from("providers").key(name);
    let is_name_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_name_char) {
        let message = "expected a name of lower-case letters, digits, `-`, `_` and `.`";
        problems.push(Problem::new(path(), message));
        return;
    }
    let is_complete = provider.wire_format.is_some() && provider.base_url.is_some();
    if vendor(name).is_none() && name != "demo" && provider.enabled != Some(false) && !is_complete {
        let message = "no vendor of this name is known, so it needs `wire_format` and `base_url`";
        let names: Vec<&str> = VENDORS.iter().map(|vendor| vendor.name).collect();
        problems.push(Problem::new(path(), message).with_fix(did_you_mean(name, &names)));
    }
    if let Some(wire_format) = &provider.wire_format
        && !WIRE_FORMATS.contains(&wire_format.as_str())
    {
        let problem = Problem::new(path().key("wire_format"), format!("expected {}", one_of(WIRE_FORMATS)));
        problems.push(problem.with_fix(did_you_mean(wire_format, WIRE_FORMATS)));
    }
    if let Some(base_url) = &provider.base_url
        && !is_http_url(base_url)
    {
        let problem = Problem::new(path().key("base_url"), "expected a URL that begins with `http://` or `https://`");
        problems.push(problem.with_fix("for example `http://localhost:8000/v1`"));
    }
    if let Some(variable) = &provider.api_key_env {
        let is_variable = !variable.is_empty()
            && !variable.starts_with(|c: char| c.is_ascii_digit())
            && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_variable {
            let problem = Problem::new(
                path().key("api_key_env"),
                "expected the name of an environment variable, not the key itself",
            );
            problems.push(problem.with_fix("for example `OPENAI_API_KEY`"));
        }
        if provider.has_key() {
            let key = if provider.api_key.is_some() { "api_key" } else { "api_keys" };
            problems.push(Problem::new(path(), format!("expected either `{key}` or `api_key_env`, not both")));
        }
    }
    if provider.api_key.is_some() && !provider.api_keys.is_empty() {
        problems.push(Problem::new(path(), "expected either `api_key` or `api_keys`, not both"));
    }
    let keys = provider.api_keys.iter().enumerate().map(|(index, key)| (path().key("api_keys").index(index), key));
    let key = provider.api_key.iter().map(|key| (path().key("api_key"), key));
    let token = provider.bearer_token.iter().map(|token| (path().key("bearer_token"), token));
    for (path, key) in key.chain(keys).chain(token) {
        if !is_header_value(key) {
            problems.push(Problem::new(path, "is empty, or holds spaces at its ends or control characters"));
        }
    }
    let wire_format = provider.wire_format.as_deref().or(vendor(name).map(|vendor| vendor.wire_format));
    if provider.websocket && wire_format != Some("openai-responses") {
        let problem = Problem::new(path().key("websocket"), "works only with the wire format `openai-responses`");
        problems.push(problem.with_fix("set `wire_format = \"openai-responses\"` too"));
    }
    for (header, value) in &provider.headers {
        if !is_header(header, value) {
            let message = "expected a header name, and a value without control characters";
            problems.push(Problem::new(path().key("headers").key(header), message));
        }
    }
    for (index, model) in provider.models.iter().enumerate() {
        if model.trim().is_empty() {
            problems.push(Problem::new(path().key("models").index(index), "is empty"));
        }
    }
}

/// Whether a client can send this key in a header.
pub fn is_sendable(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether only this machine can reach `address`.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `scheme://host[:port]`, as a browser sends it.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_scheme_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.chars().all(is_scheme_char) && is_host(host)
}

/// A host name or address, with or without a port.
fn is_host(text: &str) -> bool {
    // An IPv6 address stands in brackets, so that its colons are not the port's.
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", rest),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_host_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !host.is_empty() && host.chars().all(is_host_char) && is_port
}

pub(super) fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether this may be sent as a header.
pub(super) fn is_header(name: &str, value: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_token) && is_header_value(value)
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(|c: char| c.is_control())
}

/// `` `a`, `b` or `c` ``.
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A hint when `word` looks like a typing error for one of `names`; otherwise empty.
pub(super) fn did_you_mean(word: &str, names: &[&str]) -> String {
    closest(word, names).map_or_else(String::new, |name| format!("did you mean `{name}`?"))
}

/// The one of `names` that `word` is probably meant to be.
pub fn closest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let (distance, name) = names.iter().map(|name| (strsim::osa_distance(word, name), *name)).min()?;
    // A third of the letters wrong is still a typing error; more is another word.
    (distance <= (name.len() / 3).max(1)).then_some(name)
}
