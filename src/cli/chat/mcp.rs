//! MCP servers of one chat, and what is told of those that there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::ValueEnum;
use serde::Deserialize;
use tokenwire::{
    config::{Config, McpApproval, McpConfig},
    tools::ApprovalPolicy,
};
use tokio::time::{Instant, sleep};

use super::{super::Failure, connect::Upstream, screen::Screen};

/// How often it is asked whether they have come up.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The servers that `--mcp` names.
#[derive(clap::Args)]
pub(super) struct McpArgs {
    /// An MCP server for this chat: 'NAME=COMMAND ARGS...' or NAME=https://...; KEY=VALUE before the command goes into its
    /// environment. Can be given several times; always with a server inside
    #[arg(long, value_name = "NAME=SERVER", value_parser = server, conflicts_with = "url")]
    mcp: Vec<(String, McpConfig)>,
    /// Whether you are asked before a tool of `--mcp` runs
    #[arg(long, value_name = "WHEN", default_value = "always", requires = "mcp")]
    mcp_approval: When,
}

#[derive(Clone, Copy, ValueEnum)]
enum When {
    Always,
    Never,
}

impl McpArgs {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.mcp.is_empty()
    }

    /// Adds them to those of the configuration.
    pub fn add_to(self, config: &mut Config) -> Result<(), Failure> {
        let approval = match self.mcp_approval {
            When::Always => ApprovalPolicy::Always,
            When::Never => ApprovalPolicy::Never,
        };
        for (name, server) in self.mcp {
            if config.mcp.contains_key(&name) {
                let message =
                    format!("--mcp {name}=...: there is a server of this name already\n  give it another one");
                return Err(Failure::new(message));
            }
            config.mcp.insert(name, McpConfig { approval: McpApproval::All(approval), ..server });
        }
        Ok(())
    }
}

/// Reads a value of `--mcp`.
fn server(value: &str) -> Result<(String, McpConfig), String> {
    const EXAMPLES: &str = "for example --mcp 'files=npx -y @modelcontextprotocol/server-filesystem .' \
                            or --mcp tickets=https://mcp.example.com/mcp";
    let is_name = |name: &str| {
        let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        (1..=32).contains(&name.len()) && name.chars().all(is_known)
    };
    let Some((name, server)) = value.split_once('=').filter(|(name, _)| is_name(name)) else {
        return Err(format!("expected a name of lower-case letters, digits, `-` and `_`, then `=`\n  {EXAMPLES}"));
    };
    let server = server.trim();
    if server.starts_with("http://") || server.starts_with("https://") {
        return Ok((name.to_owned(), McpConfig { url: Some(server.to_owned()), ..McpConfig::default() }));
    }
    if let Some((scheme, _)) = server.split_once("://").filter(|(scheme, _)| !scheme.contains([' ', '/', '='])) {
        return Err(format!("`{scheme}://` is no way to a server\n  {EXAMPLES}"));
    }
    let words = shlex::split(server).ok_or_else(|| format!("a quotation mark is not closed\n  {EXAMPLES}"))?;
    let mut words = words.into_iter().peekable();
    let mut env = BTreeMap::new();
    while let Some((key, value)) =
        words.peek().and_then(|word| word.split_once('=')).filter(|(key, _)| is_variable(key))
    {
        env.insert(key.to_owned(), value.to_owned());
        words.next();
    }
    let command = words.next().filter(|command| !command.is_empty());
    let command = command.ok_or_else(|| format!("expected a command or a URL after `{name}=`\n  {EXAMPLES}"))?;
    Ok((name.to_owned(), McpConfig { command: Some(command), args: words.collect(), env, ..McpConfig::default() }))
}

fn is_variable(key: &str) -> bool {
    !key.starts_with(|c: char| c.is_ascii_digit())
        && !key.is_empty()
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What `GET /v1/tools` lists.
#[derive(Default, Deserialize)]
pub(super) struct ToolList {
    data: Vec<ListedTool>,
    #[serde(default)]
    servers: Vec<ListedServer>,
}

#[derive(Deserialize)]
struct ListedTool {
    name: String,
    description: Option<String>,
    #[serde(default)]
    approval: String,
    server: Option<String>,
}

#[derive(Deserialize)]
struct ListedServer {
    name: String,
    state: String,
    reason: Option<String>,
}

impl ToolList {
    /// A line for each tool: its server, whether it asks, what it does. Then those for servers that are not there.
    pub fn lines(&self) -> String {
        let width = self.data.iter().map(|tool| tool.name.len()).max().unwrap_or_default();
        let mut lines = String::new();
        for tool in &self.data {
            let place = tool.server.as_deref().unwrap_or("the server itself");
            let asks = match tool.approval.as_str() {
                "always" => ", asks",
                "when" => ", may ask",
                _ => "",
            };
            let about = tool.description.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
            lines.push_str(&format!("  {:width$}  ({place}{asks}) {about}\n", tool.name));
        }
        for server in self.servers.iter().filter(|server| server.state != "connected") {
            let reason = server.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines.push_str(&format!("  {} is {}{reason}\n", server.name, server.state));
        }
        lines
    }
}

/// Who has been told of.
#[derive(Default)]
pub(super) struct Told(BTreeSet<String>);

impl Told {
    /// Waits until no server is on its way any more, for so long at most, and says once of each that it is not there.
    pub async fn wait(&mut self, upstream: &Upstream, screen: &mut Screen, limit: Duration) {
        let until = Instant::now() + limit;
        let mut is_told = false;
        loop {
            let Some(ToolList { servers, .. }) = upstream.tools().await else { return };
            let starting = servers.iter().filter(|server| server.state == "connecting");
            let starting: Vec<&str> = starting.map(|server| server.name.as_str()).collect();
            if starting.is_empty() || Instant::now() >= until {
                servers
                    .iter()
                    .filter(|server| server.state != "connected")
                    .for_each(|server| self.tell(server, screen));
                return;
            }
            if !std::mem::replace(&mut is_told, true) {
                screen.note(&format!("waiting for mcp {} to start; Ctrl-C goes on without", starting.join(", ")));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    fn tell(&mut self, server: &ListedServer, screen: &mut Screen) {
        // That one is late is told apart from why it does not come.
        let ListedServer { name, state, reason } = server;
        if !self.0.insert(format!("{name} {state}")) {
            return;
        }
        match state.as_str() {
            "connecting" => screen.note(&format!("mcp {name} is still starting; its tools are there when it is")),
            _ => {
                let reason = reason.as_deref().unwrap_or("it does not say why");
                screen.note(&format!("mcp {name} cannot be used: {reason}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_server_is_a_command_or_a_url() {
        let (name, files) = server("files=npx -y 'a b' .").unwrap();
        assert_eq!((name.as_str(), files.command.as_deref()), ("files", Some("npx")));
        assert_eq!(files.args, ["-y", "a b", "."]);
        let (_, github) = server("github=TOKEN='a b' DEBUG=1 server --flag=x").unwrap();
        assert_eq!(github.env, BTreeMap::from([("TOKEN".into(), "a b".into()), ("DEBUG".into(), "1".into())]));
        assert_eq!((github.command.as_deref(), github.args), (Some("server"), vec!["--flag=x".to_owned()]));
        let (_, remote) = server("x=https://a.example/mcp?b=c").unwrap();
        assert_eq!((remote.url.as_deref(), remote.command), (Some("https://a.example/mcp?b=c"), None));
    }

    #[test]
    fn a_value_that_is_neither_says_what_is_expected() {
        for (value, why) in [
            ("npx", "expected a name"),
            ("My Files=npx", "expected a name"),
            ("=npx", "expected a name"),
            ("files=", "expected a command or a URL after `files=`"),
            ("files=KEY=1", "expected a command or a URL after `files=`"),
            ("files=npx 'a", "a quotation mark is not closed"),
            ("files=ws://a.example", "`ws://` is no way to a server"),
        ] {
            let error = server(value).unwrap_err();
            assert!(error.starts_with(why) && error.contains("for example --mcp"), "{value}: {error}");
        }
    }
}
