//! Tools of MCP servers: programs that speak MCP over their standard input and output, and servers that speak it
//! over streamable HTTP.
//!
//! ```text
//!   McpServer ──► task: start or connect ──► list ──► keep ──► lost ──► again, with a pause that grows
//!      │            └─ Link: connecting, connected or failed
//!      └─ McpTool (one per tool) ──► Link ──► Connection ──► the server
//! ```
//!
//! A tool holds its server's link and not a connection: it works again as soon as the server does. A server that
//! does not come up keeps nothing from starting; its tools are not there until it does.

mod calls;
mod content;
mod http;
mod names;
mod process;
mod server;
mod tool;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{ServerTool, ToolSource};
use crate::config::Config;
use server::McpServer;

/// How long the servers have to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// The MCP servers of the configuration.
pub(crate) struct McpServers {
    servers: Vec<Arc<McpServer>>,
    stop: watch::Sender<bool>,
}

impl McpServers {
    /// Those that are switched on. Nothing is started yet.
    pub fn new(config: &Config) -> Arc<Self> {
        let enabled = config.mcp.iter().filter(|(_, server)| server.enabled);
        let servers = enabled.map(|(name, server)| Arc::new(McpServer::new(name, server.clone()))).collect();
        Arc::new(Self { servers, stop: watch::Sender::new(false) })
    }

    /// The tasks that keep the servers connected until [`stop`](Self::stop), one for each.
    pub fn tasks(&self) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        self.servers.iter().map(|server| server.clone().run(self.stop.subscribe()))
    }

    /// Ends the tasks, with their connections and processes.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        // A task holds its receiver until it has ended.
        if timeout(STOP_TIMEOUT, self.stop.closed()).await.is_err() {
            tracing::warn!("an MCP server does not end");
        }
    }

    /// How each server is.
    pub fn status(&self) -> Vec<McpStatus> {
        self.servers.iter().map(|server| server.status()).collect()
    }
}

impl ToolSource for McpServers {
    fn tools(&self) -> Vec<Arc<dyn ServerTool>> {
        self.servers.iter().flat_map(|server| server.tools()).collect()
    }
}

/// How an MCP server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct McpStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `stdio` or `http`.
    pub transport: &'static str,
    /// `connecting`, `connected` or `failed`.
    pub state: &'static str,
    /// Why it is not connected, where that is known.
    pub reason: Option<String>,
    /// How many of its tools are offered now.
    pub tools: usize,
}
