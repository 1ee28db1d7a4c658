//! The server: a listener, HTTP routes beside the socket, and the way out.
//!
//! ```text
//!   accept ──► worker thread (one per core, each with a runtime of its own)
//!                └─ hyper http1 ──► Router ──► upgrade ──► session
//! ```
//!
//! A connection stays on the thread that it was given to, and so do the generations that it
//! starts and the connections to their providers: a token crosses no thread on its way.
//!
//! The accept loop is our own, because `axum::serve` has no deadline for a request's headers.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tower_service::Service;

use crate::{
    auth::Authenticator,
    config::Config,
    generation::{Hook, hub::Hub},
    provider::{self, Catalogue, Provider},
    session::Shutdown,
    tools::{Approver, ProposedCall, ServerTool, Toolbox, Verdict, mcp::McpServers},
};

mod conversations;
mod devices;
mod files;
mod origin;
mod routes;
mod upgrade;
mod workers;

use workers::{Place, Workers};

/// How long a client has for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a request's headers.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Connections beyond the limit of sockets that are still answered, with 503.
const SPARE_CONNECTIONS: usize = 256;
/// How long to rest when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sessions have to say goodbye after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a server could not be made.
#[derive(Debug)]
pub enum ServerError {
    /// The configuration does not allow it. The text names the key and the fix.
    Config(String),
    /// The address could not be listened on.
    Listen(SocketAddr, io::Error),
    /// A worker thread could not be started.
    Worker(io::Error),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(problem) => f.write_str(problem),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Worker(error) => write!(f, "cannot start a worker thread: {error}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Listen(_, error) | Self::Worker(error) => Some(error),
        }
    }
}

/// Puts a server together.
#[derive(Default)]
pub struct ServerBuilder {
    config: Config,
    providers: Vec<Arc<dyn Provider>>,
    hooks: Vec<Arc<dyn Hook>>,
    toolbox: Toolbox,
}

impl ServerBuilder {
    /// Replaces the configuration. Default: `Config::default()`, which has the demo model only.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a provider of one's own. It stands in for a configured one of the same name.
    pub fn provider(mut self, provider: impl Provider) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// Adds a hook, called on every event of every generation.
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Adds a tool that the server runs itself, for every client: an async function made a tool by
    /// [`tool`](crate::tools::tool()), or anything else that implements [`ServerTool`]. The model is offered it by
    /// its name; of two tools with one name the first counts, and those that are added here come before those of
    /// MCP servers.
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::Deserialize;
    /// use tokenwire::{config::Config, server::Server, tools::{ToolError, tool}};
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Order {
    ///     /// The order's number, such as A-17.
    ///     number: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tokenwire::server::ServerError> {
    /// let status = tool("order_status", "Where an order is.", async |Order { number }, call| {
    ///     call.progress(None, None, Some("asking the warehouse".into()));
    ///     match number.strip_prefix("A-") {
    ///         Some(_) => Ok(format!("{number} left the warehouse")),
    ///         None => Err(ToolError("there is no such order".into())),
    ///     }
    /// });
    /// let cancel = tool("cancel_order", "Cancels an order.", async |Order { number }, _| Ok(number)).approve_always();
    ///
    /// let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    /// let server = Server::builder().config(config).tool(status).tool(cancel).bind().await?;
    /// assert_eq!(server.toolbox().choose(None).len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tool(mut self, tool: impl ServerTool) -> Self {
        self.toolbox.add(tool);
        self
    }

    /// Sets the function that judges every tool call before anything is done about it: of functions, of MCP servers,
    /// and of clients. It may be asked about several calls at once, and has the time that a tool has (`tool_ms`). A
    /// second one takes the place of the first.
    ///
    /// Who has a say, the first that decides wins:
    ///
    /// 1. [`Verdict::Deny`] and [`Verdict::Ask`] of this function;
    /// 2. `"always"` in the start's `approvals`: a client that wants its person asked gets that;
    /// 3. [`Verdict::Allow`] of this function;
    /// 4. the tool's own rule, or its MCP server's `approval` in the configuration, which no client can loosen.
    ///
    /// What this function decides stands in the log as a `tool_decision` with `by: "server"`. Arguments that a person
    /// has edited are judged again; only [`Verdict::Deny`] counts then. A function that panics has denied.
    ///
    /// ```
    /// use tokenwire::{config::Config, server::Server, tools::Verdict};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tokenwire::server::ServerError> {
    /// # let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    /// let server = Server::builder()
    ///     .config(config)
    ///     .approve(async |call| match call.server.as_deref() {
    ///         Some("files") if call.arguments["path"].as_str().is_some_and(|path| path.starts_with("/tmp/")) => {
    ///             Verdict::Allow
    ///         }
    ///         Some("files") => Verdict::Ask,
    ///         _ if call.name == "drop_table" => Verdict::deny("not in production"),
    ///         _ => Verdict::Abstain,
    ///     })
    ///     .bind()
    ///     .await?;
    /// # let _ = server;
    /// # Ok(())
    /// # }
    /// ```
    pub fn approve<F, O>(mut self, approve: F) -> Self
    where
        F: Fn(ProposedCall) -> O + Send + Sync + 'static,
        O: Future<Output = Verdict> + Send + 'static,
    {
        self.toolbox.set_approver(Approver::new(approve));
        self
    }

    /// Listens, without serving yet: the address is known when this returns.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when the configuration does not allow it or the address is taken.
    pub async fn bind(self) -> Result<Server, ServerError> {
        let Self { config, mut providers, hooks, mut toolbox } = self;
        let auth = Authenticator::new(&config.auth).map_err(ServerError::Config)?;
        let own: Vec<&str> = providers.iter().map(|provider| provider.name()).collect();
        config.validate_with(&own).map_err(|error| ServerError::Config(error.to_string()))?;
        for provider in provider::configured(&config).map_err(ServerError::Config)? {
            if !providers.iter().any(|own| own.name() == provider.name()) {
                providers.push(provider);
            }
        }
        let listener =
            TcpListener::bind(config.listen).await.map_err(|error| ServerError::Listen(config.listen, error))?;
        let address = listener.local_addr().map_err(|error| ServerError::Listen(config.listen, error))?;
        let config = Arc::new(config);
        let mcp = McpServers::new(&config);
        toolbox.add_source(mcp.clone());
        let shared = Shared {
            models: Catalogue::new(&providers, config.model_list),
            hub: Hub::new(config.clone(), providers, hooks, toolbox),
            mcp,
            auth,
            origins: origin::Policy::new(&config, address),
            sockets: AtomicUsize::new(0),
            shutdown: watch::Sender::new(Shutdown::No),
            address,
            config,
        };
        Ok(Server { listener, address, shared: Arc::new(shared) })
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What every connection needs.
struct Shared {
    config: Arc<Config>,
    /// Where the server listens.
    address: SocketAddr,
    hub: Arc<Hub>,
    models: Catalogue,
    mcp: Arc<McpServers>,
    auth: Authenticator,
    origins: origin::Policy,
    /// Open WebSockets.
    sockets: AtomicUsize,
    shutdown: watch::Sender<Shutdown>,
}

impl Server {
    /// Starts to put a server together.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The hub: generations can be started and watched from inside the process, too.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.shared.hub
    }

    /// The providers that are switched on.
    pub fn providers(&self) -> &[Arc<dyn Provider>] {
        self.shared.hub.providers()
    }

    /// The tools that it runs: those that were added to it, and those of MCP servers, which are there while
    /// [`run`](Self::run) keeps these connected.
    pub fn toolbox(&self) -> &Toolbox {
        self.shared.hub.toolbox()
    }

    /// Serves until `shutdown` is ready, then drains: nothing new is accepted, clients are told to
    /// reconnect elsewhere, running generations have `limits.drain_seconds` to end, the rest is cancelled.
    ///
    /// Dropping the future stops everything at once.
    ///
    /// # Errors
    ///
    /// [`ServerError::Worker`] when threads cannot be started.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { listener, shared, .. } = self;
        let workers = Workers::start(shared.config.workers).map_err(ServerError::Worker)?;
        {
            let hub = shared.hub.clone();
            workers.on_each(move || hub.providers().iter().for_each(|provider| provider.warm_up()));
            let hub = shared.hub.clone();
            workers.spawn(async move { hub.forget().await });
        }
        for task in shared.mcp.tasks() {
            workers.spawn(task);
        }
        tokio::select! {
            never = accept(&listener, &shared, &workers) => match never {},
            () = shutdown => {}
        }
        drop(listener);
        drain(&shared, &workers).await;
        Ok(())
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, workers: &Workers) -> std::convert::Infallible {
    let limit = shared.config.limits.max_connections as usize + SPARE_CONNECTIONS;
    let router = routes::router(shared.clone());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Mostly: no file descriptor is left. Those that are served must get on meanwhile.
                tracing::warn!(%error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if workers.connections() >= limit {
            continue;
        }
        // The socket changes its reactor: it is taken out of this one and put into the worker's.
        let Ok(stream) = stream.into_std() else { continue };
        let router = router.clone();
        workers.spawn_connection(|place| async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                serve(stream, router, place).await;
            }
        });
    }
}

async fn serve(stream: TcpStream, router: Router, place: Place) {
    // From the first byte on: a token must not wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn drain(shared: &Shared, workers: &Workers) {
    shared.shutdown.send_replace(Shutdown::Draining);
    let running = async {
        while shared.hub.running_count() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(shared.config.limits.drain_seconds.into());
    if timeout(limit, running).await.is_err() {
        shared.hub.cancel_all();
        // The terminal frames are on their way when the tasks have run once more.
        sleep(Duration::from_millis(100)).await;
    }
    shared.shutdown.send_replace(Shutdown::Closing);
    let closed = async {
        while shared.sockets.load(Ordering::Relaxed) > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    // No generation is left that could call a tool.
    let (_, ()) = tokio::join!(timeout(CLOSE_TIMEOUT, closed), shared.mcp.stop());
    workers.stop();
}
