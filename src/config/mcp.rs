//! MCP servers: where their tools come from, and which of them are offered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use url::Url;

use super::{
    Config,
    error::{KeyPath, Problem},
    validate,
};
use crate::tools::{ApprovalPolicy, fits};

/// An MCP server whose tools join those of this server. Either `command` or `url`.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct McpConfig {
    /// The program that speaks MCP over its standard input and output: `npx`. It is started with Tokenwire and
    /// again when it ends.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of its environment. Besides these it gets only what a program needs, such as `PATH` and `HOME`.
    pub env: BTreeMap<String, String>,
    /// Variables of this process's environment that it gets too.
    pub pass_env: Vec<String>,
    /// The folder that it runs in. Default: that of this process.
    pub cwd: Option<PathBuf>,
    /// Where the server is, when it speaks streamable HTTP: `https://mcp.example.com/mcp`.
    pub url: Option<String>,
    /// A token that goes out as `Authorization: Bearer` with every request.
    pub bearer_token: Option<String>,
    /// Headers added to every request.
    pub headers: BTreeMap<String, String>,
    /// What stands before the names of its tools. Default: the section's name and `_`.
    pub prefix: Option<String>,
    /// Which of its tools there are, by its own names: `read_file`, `read_*`. Default: all.
    pub tools: Option<Vec<String>>,
    /// When they are offered to a model. Default: always.
    pub offer: McpOffer,
    /// Which calls must be approved by a client. Default: none.
    pub approval: McpApproval,
    /// Seconds that one call may take. Default 60.
    pub timeout_seconds: u64,
    /// Switch the server off. Default true.
    pub enabled: bool,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            cwd: None,
            url: None,
            bearer_token: None,
            headers: BTreeMap::new(),
            prefix: None,
            tools: None,
            offer: McpOffer::default(),
            approval: McpApproval::default(),
            timeout_seconds: 60,
            enabled: true,
        }
    }
}

impl McpConfig {
    /// What stands before the names of the tools of the server with this name.
    pub fn prefix(&self, name: &str) -> String {
        self.prefix.clone().unwrap_or_else(|| format!("{name}_"))
    }

    /// Whether the tool that the server calls `name` is offered.
    pub fn offers(&self, name: &str) -> bool {
        self.tools.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| fits(pattern, name)))
    }

    /// How long one call may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

impl fmt::Debug for McpConfig {
    /// Arguments, variables, headers and the URL may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpConfig")
            .field("command", &self.command)
            .field("has_url", &self.url.is_some())
            .field("tools", &self.tools)
            .field("approval", &self.approval)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// When the tools of an MCP server are offered to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpOffer {
    /// To every one, unless its start names others: `"always"`.
    #[default]
    Always,
    /// Where the start's `server_tools` name them: `"when_named"`.
    WhenNamed,
}

/// Which calls of an MCP server's tools must be approved: `"always"`, `"never"`, or a table by the server's own
/// names of its tools, `{ "read_*" = "never", "*" = "always" }`.
///
/// In a table the longest name that fits decides. A tool that none fits must be approved: who writes a table has
/// thought of approvals, and not of that tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpApproval {
    /// One rule for all tools.
    All(ApprovalPolicy),
    /// A rule for each tool.
    ByTool(BTreeMap<String, ApprovalPolicy>),
}

impl Default for McpApproval {
    fn default() -> Self {
        Self::All(ApprovalPolicy::Never)
    }
}

impl McpApproval {
    /// Whether the calls of the tool that the server calls `name` must be approved.
    pub fn of(&self, name: &str) -> ApprovalPolicy {
        match self {
            Self::All(policy) => *policy,
            Self::ByTool(rules) => rules
                .iter()
                .filter(|(pattern, _)| fits(pattern, name))
                // A full name is one longer than a pattern that fits as much: the pattern's `*` counts for nothing.
                .max_by_key(|(pattern, _)| (pattern.trim_end_matches('*').len(), !pattern.ends_with('*')))
                .map_or(ApprovalPolicy::Always, |(_, policy)| *policy),
        }
    }
}

/// `"always"` or `"never"`.
struct Rule(ApprovalPolicy);

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl Visitor<'_> for RuleVisitor {
            type Value = Rule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`always` or `never`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rule, E> {
                rule(text).map(Rule).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(RuleVisitor)
    }
}

fn rule(text: &str) -> Option<ApprovalPolicy> {
    match text {
        "always" => Some(ApprovalPolicy::Always),
        "never" => Some(ApprovalPolicy::Never),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for McpApproval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ApprovalVisitor;
        impl<'de> Visitor<'de> for ApprovalVisitor {
            type Value = McpApproval;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`always`, `never` or a table such as { \"read_*\" = \"never\", \"*\" = \"always\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<McpApproval, E> {
                rule(text).map(McpApproval::All).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<McpApproval, A::Error> {
                let rules = BTreeMap::<String, Rule>::deserialize(MapAccessDeserializer::new(map))?;
                Ok(McpApproval::ByTool(rules.into_iter().map(|(pattern, Rule(policy))| (pattern, policy)).collect()))
            }
        }
        deserializer.deserialize_any(ApprovalVisitor)
    }
}

/// The longest name of a server and the longest prefix: what is left of a tool's 64 characters is for its own name.
const MAX_NAME_CHARS: usize = 32;
const MAX_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;
/// Headers that the transport sets.
const OWN_HEADERS: &[&str] = &["accept", "content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id"];
/// The keys that only one of the two kinds of servers has.
const COMMAND_KEYS: &[&str] = &["args", "env", "pass_env", "cwd"];
const URL_KEYS: &[&str] = &["bearer_token", "headers"];

/// Checks every MCP server.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let mut prefixes: BTreeMap<String, KeyPath> = BTreeMap::new();
    for (name, server) in &config.mcp {
        let path = KeyPath::from("mcp").key(name);
        let is_name_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_name_char) {
            let message = format!("expected a name of 1 to {MAX_NAME_CHARS} lower-case letters, digits, `-` and `_`");
            problems.push(Problem::new(path, message));
            continue;
        }
        check_kind(server, &path, problems);
        check_command(server, &path, problems);
        check_url(server, &path, problems);
        check_tools(server, &path, problems);
        if !server.enabled {
            continue;
        }
        let prefix = server.prefix(name);
        if let Some(first) = prefixes.get(&prefix) {
            let problem = Problem::new(path, format!("its tools have the same prefix as those of `{first}`"));
            problems.push(problem.with_fix("give one of them another `prefix`"));
        } else {
            prefixes.insert(prefix, path);
        }
    }
}

/// One of `command` and `url`, and none of the other's keys.
fn check_kind(server: &McpConfig, path: &KeyPath, problems: &mut Vec<Problem>) {
    let set: BTreeSet<&str> = [
        ("args", !server.args.is_empty()),
        ("env", !server.env.is_empty()),
        ("pass_env", !server.pass_env.is_empty()),
        ("cwd", server.cwd.is_some()),
        ("bearer_token", server.bearer_token.is_some()),
        ("headers", !server.headers.is_empty()),
    ]
    .into_iter()
    .filter_map(|(key, is_set)| is_set.then_some(key))
    .collect();
    let (other, kind) = match (&server.command, &server.url) {
        (Some(_), None) => (URL_KEYS, "url"),
        (None, Some(_)) => (COMMAND_KEYS, "command"),
        (Some(_), Some(_)) => {
            problems.push(Problem::new(path.clone(), "expected either `command` or `url`, not both"));
            return;
        }
        // Whether there is anything to start matters only for what is started.
        (None, None) if !server.enabled => return,
        (None, None) => {
            let problem = Problem::new(path.clone(), "expected `command` or `url`");
            problems
                .push(problem.with_fix("for example `command = \"npx\"` or `url = \"https://mcp.example.com/mcp\"`"));
            return;
        }
    };
    for key in other.iter().filter(|key| set.contains(*key)) {
        let message = format!("belongs to a server with `{kind}`");
        problems.push(Problem::new(path.clone().key(*key), message));
    }
}

fn check_command(server: &McpConfig, path: &KeyPath, problems: &mut Vec<Problem>) {
    if let Some(command) = &server.command {
        let key = path.clone().key("command");
        if command.trim().is_empty() || command.contains('\0') {
            problems.push(Problem::new(key, "is empty").with_fix("for example `npx`"));
        } else if command.contains(char::is_whitespace) && !command.contains(['/', '\\']) {
            let problem = Problem::new(key, "expected the program alone");
            problems.push(problem.with_fix("put its arguments into `args = [\"...\"]`"));
        }
    }
    for (index, arg) in server.args.iter().enumerate() {
        if arg.contains('\0') {
            problems.push(Problem::new(path.clone().key("args").index(index), "holds a zero byte"));
        }
    }
    let is_variable = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    for (name, value) in &server.env {
        if !is_variable(name) || value.contains('\0') {
            let message = "expected a variable's name, and a value without zero bytes";
            problems.push(Problem::new(path.clone().key("env").key(name), message));
        }
    }
    for (index, name) in server.pass_env.iter().enumerate() {
        if !is_variable(name) {
            let problem = Problem::new(path.clone().key("pass_env").index(index), "expected a variable's name alone");
            problems.push(problem.with_fix("a value of its own belongs into `env`"));
        }
    }
}

fn check_url(server: &McpConfig, path: &KeyPath, problems: &mut Vec<Problem>) {
    if let Some(url) = &server.url
        && !(validate::is_http_url(url) && Url::parse(url).is_ok())
    {
        let problem = Problem::new(path.clone().key("url"), "expected a URL that begins with `http://` or `https://`");
        problems.push(problem.with_fix("for example `https://mcp.example.com/mcp`"));
    }
    if let Some(token) = &server.bearer_token
        && !validate::is_sendable(token)
    {
        let message = "expected visible ASCII characters without spaces, as a header needs";
        problems.push(Problem::new(path.clone().key("bearer_token"), message));
    }
    for (header, value) in &server.headers {
        let key = || path.clone().key("headers").key(header);
        if !validate::is_header(header, value) {
            problems.push(Problem::new(key(), "expected a header name, and a value without control characters"));
        } else if OWN_HEADERS.contains(&header.to_ascii_lowercase().as_str()) {
            problems.push(Problem::new(key(), "is a header that the transport sets itself"));
        } else if header.eq_ignore_ascii_case("authorization") && server.bearer_token.is_some() {
            problems.push(Problem::new(key(), "expected either this or `bearer_token`, not both"));
        }
    }
}

fn check_tools(server: &McpConfig, path: &KeyPath, problems: &mut Vec<Problem>) {
    let is_prefix_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if let Some(prefix) = &server.prefix
        && (prefix.len() > MAX_NAME_CHARS || !prefix.chars().all(is_prefix_char))
    {
        let message = format!("expected at most {MAX_NAME_CHARS} letters, digits, `-` and `_`");
        problems.push(Problem::new(path.clone().key("prefix"), message));
    }
    let timeout = server.timeout_seconds;
    if !(1..=MAX_TIMEOUT_SECONDS).contains(&timeout) {
        let message = format!("expected 1 to {MAX_TIMEOUT_SECONDS}, not {timeout}");
        problems.push(Problem::new(path.clone().key("timeout_seconds"), message));
    }
    let tools = server.tools.iter().flatten().enumerate();
    let tools = tools.map(|(index, pattern)| (path.clone().key("tools").index(index), pattern));
    let approval = match &server.approval {
        McpApproval::All(_) => None,
        McpApproval::ByTool(rules) => Some(rules.keys()),
    };
    let approval = approval.into_iter().flatten().map(|pattern| (path.clone().key("approval").key(pattern), pattern));
    for (key, pattern) in tools.chain(approval) {
        if pattern.is_empty() || pattern.trim_end_matches('*').contains('*') || pattern.ends_with("**") {
            let problem = Problem::new(key, "expected a tool's name, or the beginning of it and a `*`");
            problems.push(problem.with_fix("for example `read_*`"));
        }
    }
}
