//! The task of one MCP server: it connects, lists the tools, and does so again whenever the server is lost.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::FusedFuture};
use rmcp::{
    Peer, RoleClient, ServiceExt,
    model::{PaginatedRequestParams, Tool},
    service::{ClientInitializeError, RunningService, ServiceError},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    McpStatus,
    calls::{Connection, Events, Handler},
    http,
    names::offered_name,
    process::Process,
    tool::{self, McpTool},
};
use crate::{config::McpConfig, tools::ServerTool};

/// How long a server has to come up. A package runner may have to download it first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it has to list its tools.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// The most pages of its list that are asked for.
const MAX_PAGES: usize = 128;
/// How often a server behind HTTP is asked for its tools: only an answer shows that it is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// The pause before the second attempt to connect; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasted this long counts as a good one: the next attempt follows at once.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// How long a connection has to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An MCP server of the configuration.
pub(super) struct McpServer {
    config: McpConfig,
    link: Arc<Link>,
    tools: Mutex<Vec<Arc<dyn ServerTool>>>,
}

/// The way to a server, which its tools hold.
pub(super) struct Link {
    /// The server's name in the configuration.
    pub server: String,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    /// For the first time, or again because of the reason.
    Connecting(Option<String>),
    Connected(Connection),
    /// The last attempt failed. Others follow.
    Failed(String),
}

impl Link {
    /// The connection, waited for while it is being made.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn connection(&self) -> Result<Connection, String> {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Connecting(_))).await;
        match state.as_deref() {
            Ok(State::Connected(connection)) => Ok(connection.clone()),
            Ok(State::Failed(reason)) => Err(reason.clone()),
            _ => Err("it was stopped".to_owned()),
        }
    }
}

/// A connection's service, and the process behind it where there is one.
struct Up {
    service: RunningService<RoleClient, Handler>,
    process: Option<Process>,
    events: Arc<Events>,
}

impl McpServer {
    pub fn new(name: &str, config: McpConfig) -> Self {
        let link = Link { server: name.to_owned(), state: watch::Sender::new(State::Connecting(None)) };
        Self { config, link: Arc::new(link), tools: Mutex::default() }
    }

    /// The tools that are there now: none while it is not connected.
    pub fn tools(&self) -> Vec<Arc<dyn ServerTool>> {
        self.list().clone()
    }

    /// How it is.
    pub fn status(&self) -> McpStatus {
        let (state, reason) = match &*self.link.state.borrow() {
            State::Connecting(reason) => ("connecting", reason.clone()),
            State::Connected(_) => ("connected", None),
            State::Failed(reason) => ("failed", Some(reason.clone())),
        };
        let transport = if self.config.command.is_some() { "stdio" } else { "http" };
        McpStatus { name: self.link.server.clone(), transport, state, reason, tools: self.list().len() }
    }

    /// Keeps the server connected until `stop` is true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = stopped(&mut stop) => break,
            };
            let up = match connected {
                Ok(up) => up,
                Err(reason) => {
                    self.failed(reason);
                    failures += 1;
                    if paused(failures, &mut stop).await { continue } else { break }
                }
            };
            let since = Instant::now();
            let Some(reason) = self.keep(up, &mut stop).await else { break };
            failures = if since.elapsed() < GOOD_CONNECTION { failures + 1 } else { 0 };
            tracing::warn!(server = %self.link.server, %reason, "an MCP server is lost, and is started again");
            self.link.state.send_replace(State::Connecting(Some(reason)));
            if !paused(failures, &mut stop).await {
                break;
            }
        }
        self.list().clear();
        self.link.state.send_replace(State::Failed("it was stopped".to_owned()));
    }

    /// Starts it or connects to it, and lists its tools.
    async fn connect(&self) -> Result<Up, String> {
        let work = async {
            let up = self.open().await?;
            self.look(up.service.peer()).await?;
            Ok(up)
        };
        timeout(START_TIMEOUT, work)
            .await
            .unwrap_or_else(|_| Err(format!("it did not come up within {} s", START_TIMEOUT.as_secs())))
    }

    async fn open(&self) -> Result<Up, String> {
        let events = Arc::new(Events::default());
        let handler = Handler(events.clone());
        if let Some(url) = &self.config.url {
            let service = handler.serve(http::transport(url, &self.config)?).await;
            let service = service.map_err(|error| reason(&error))?;
            return Ok(Up { service, process: None, events });
        }
        let command = self.config.command.as_deref().unwrap_or_default();
        let (mut process, stdout, stdin) = Process::start(&self.link.server, command, &self.config)?;
        match handler.serve((stdout, stdin)).await {
            Ok(service) => Ok(Up { service, process: Some(process), events }),
            Err(error) => Err(process.just_ended().await.unwrap_or_else(|| reason(&error))),
        }
    }

    /// Asks for the tools, and offers them from now on.
    async fn look(&self, peer: &Peer<RoleClient>) -> Result<(), String> {
        let listed = timeout(LIST_TIMEOUT, list(peer)).await;
        let listed = listed.map_err(|_| "it does not list its tools".to_owned())?;
        let listed = listed.map_err(|error| http::reason(&error))?;
        let prefix = self.config.prefix(&self.link.server);
        let mut taken = HashSet::new();
        let mut tools: Vec<Arc<dyn ServerTool>> = Vec::new();
        for listed in listed.iter().filter(|listed| self.config.offers(&listed.name)) {
            let name = offered_name(&prefix, &listed.name, &taken);
            // Two of one name in one list: the first counts.
            if !taken.insert(name.clone()) {
                continue;
            }
            tools.push(Arc::new(McpTool {
                function: tool::function(name, listed),
                own_name: listed.name.to_string(),
                approval: self.config.approval.of(&listed.name),
                offer: self.config.offer,
                timeout: self.config.timeout(),
                link: self.link.clone(),
            }));
        }
        *self.list() = tools;
        Ok(())
    }

    /// Serves calls until the server is lost, and says why. `None` when it was stopped.
    async fn keep(&self, up: Up, stop: &mut watch::Receiver<bool>) -> Option<String> {
        let Up { service, mut process, events } = up;
        let peer = service.peer().clone();
        let cancel = service.cancellation_token();
        let gone = watch::Sender::new(None);
        let connection = Connection { peer: peer.clone(), events: events.clone(), gone: gone.subscribe() };
        let before = self.link.state.send_replace(State::Connected(connection));
        let tools = self.list().len();
        if matches!(before, State::Connecting(None)) {
            tracing::info!(server = %self.link.server, tools, "an MCP server is connected");
        } else {
            tracing::info!(server = %self.link.server, tools, "an MCP server is connected again");
        }

        let mut closed = pin!(service.waiting().fuse());
        let reason = tokio::select! {
            _ = &mut closed => Some("the connection was closed".to_owned()),
            reason = ended(&mut process) => Some(reason),
            reason = self.keep_looking(&peer, &events) => Some(reason),
            () = stopped(stop) => None,
        };
        // How a process ended says more than that its output did.
        let reason = match (reason, &mut process) {
            (Some(reason), Some(process)) => Some(process.just_ended().await.unwrap_or(reason)),
            (reason, _) => reason,
        };
        // The calls first: closing takes its time.
        self.list().clear();
        gone.send_replace(Some(reason.as_deref().unwrap_or("it was stopped").into()));
        cancel.cancel();
        if !closed.is_terminated() {
            let _ = timeout(CLOSE_TIMEOUT, closed).await;
        }
        if let Some(process) = process {
            process.stop().await;
        }
        reason
    }

    /// Asks for the tools whenever they have changed. Returns why that does not work any more.
    async fn keep_looking(&self, peer: &Peer<RoleClient>, events: &Events) -> String {
        let is_http = self.config.url.is_some();
        loop {
            tokio::select! {
                () = events.look.notified() => {}
                () = sleep(LOOK_INTERVAL), if is_http => {}
            }
            if let Err(reason) = self.look(peer).await {
                return reason;
            }
        }
    }

    /// An attempt to connect failed. It is told once, as long as the reason stays the same.
    fn failed(&self, reason: String) {
        let before = self.link.state.send_replace(State::Failed(reason.clone()));
        match before {
            State::Failed(before) if before == reason => {
                tracing::debug!(server = %self.link.server, %reason, "an MCP server still cannot be used");
            }
            _ => tracing::warn!(server = %self.link.server, %reason, "an MCP server cannot be used; it is tried again"),
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<dyn ServerTool>>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first [`MAX_PAGES`] pages of its tools.
async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, ServiceError> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = peer.list_tools(Some(params)).await?;
        tools.extend(page.tools);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    tracing::warn!(tools = tools.len(), "an MCP server lists tools without end; the first ones are used");
    Ok(tools)
}

fn reason(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => http::reason(error.error.as_ref()),
        error => http::reason(error),
    }
}

/// Waits until the process has ended; for ever where there is none.
async fn ended(process: &mut Option<Process>) -> String {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits until `stop` is true, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits before the next attempt. False when there is to be none.
async fn paused(failures: u32, stop: &mut watch::Receiver<bool>) -> bool {
    let pause = match failures {
        0 => Duration::ZERO,
        failures => MAX_PAUSE.min(FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16))),
    };
    tokio::select! {
        () = sleep(pause) => true,
        () = stopped(stop) => false,
    }
}
