//! What the promise tests are made of: a real server on a free port, a real WebSocket client, and
//! an HTTP upstream that the test drives chunk by chunk.
//!
//! ```ignore
//! let mut server = TestServer::start().await;
//! let mut client = server.client().await;
//! client.start("g1").await;
//! let mut call = server.upstream.call().await;
//! call.text("Hi").await;
//! assert_eq!(client.until("text").await["delta"], "Hi");
//! ```
//!
//! Order is driven and never slept for: a test waits for what it caused, with a [`DEADLINE`] that
//! only a failing test reaches.
#![allow(dead_code, clippy::unwrap_used)]

pub mod ai_sdk;
pub mod client;
pub mod dialogue;
pub mod event_stream;
pub mod http;
pub mod upstream;
pub mod wire_rules;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokenwire::{
    auth::Principal,
    config::{Config, KeyConfig, ProviderConfig},
    generation::{Generation, hub::Hub},
    server::{Server, ServerBuilder},
    tools::Toolbox,
};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

pub use client::Client;
pub use upstream::Upstream;

/// How long anything may take. Generous, since the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The model that every test asks, unless it says otherwise: the scripted upstream.
pub const MODEL: &str = "openai/scripted";

/// Waits for `future`, and says what was waited for when it does not come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Waits until something that no frame tells is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, looking).await;
}

/// A real server whose provider `openai` is a scripted upstream. Everything stops when it is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    pub upstream: Upstream,
    pub toolbox: Toolbox,
    hub: Arc<Hub>,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl TestServer {
    /// A server with the default configuration.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with another configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(change, |builder| builder).await
    }

    /// A server with another configuration and more: hooks, providers.
    pub async fn build(change: impl FnOnce(&mut Config), extend: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        Self::build_at(|config, _| change(config), extend).await
    }

    /// A server whose other configuration depends on where its scripted upstream is.
    pub async fn build_at(
        change: impl FnOnce(&mut Config, SocketAddr),
        extend: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let upstream = Upstream::start().await;
        let mut config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), workers: 1, ..Config::default() };
        // A test that is about retries says so.
        config.retry.attempts = 1;
        config.providers.insert("openai".into(), provider_at(upstream.address));
        change(&mut config, upstream.address);
        let server = extend(Server::builder().config(config)).bind().await.unwrap();
        let (address, hub, toolbox) = (server.local_addr(), server.hub().clone(), server.toolbox().clone());
        let (shutdown, asked) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let asked = async {
                if asked.await.is_err() {
                    // Dropped without being asked to shut down: the test is over, and so is this task.
                    std::future::pending::<()>().await;
                }
            };
            server.run(asked).await.unwrap();
        });
        Self { address, upstream, toolbox, hub, shutdown: Some(shutdown), running }
    }

    /// A new client that has read its `hello`.
    pub async fn client(&self) -> Client {
        Client::connect(self.address, &[]).await
    }

    /// A new client of the principal with that key.
    pub async fn client_with_key(&self, key: &str) -> Client {
        Client::connect(self.address, &[("authorization", &format!("Bearer {key}"))]).await
    }

    /// A generation of the only principal of a server without keys, from the inside.
    pub fn generation(&self, id: &str) -> Arc<Generation> {
        self.hub.get(&Principal::anonymous(), &id.parse().unwrap()).unwrap()
    }

    /// Asks the server to shut down. [`stopped`](Self::stopped) waits for it.
    pub fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has shut down.
    pub async fn stopped(&mut self) {
        within("the end of the server", &mut self.running).await.unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A provider that speaks chat completions at `address`.
pub fn provider_at(address: SocketAddr) -> ProviderConfig {
    ProviderConfig {
        base_url: Some(format!("http://{address}/v1")),
        api_key: Some("upstream-key".to_owned()),
        ..ProviderConfig::default()
    }
}

/// A key of a principal.
pub fn key(principal: &str, key: &str) -> KeyConfig {
    KeyConfig { principal: principal.to_owned(), sha256: None, key: Some(key.to_owned()) }
}

/// A start frame of the scripted model.
pub fn start(id: &str) -> Value {
    json!({"type": "start", "id": id, "model": MODEL, "messages": [{"role": "user", "content": "Hello"}]})
}

/// `frame` with the fields of `more`.
pub fn with(mut frame: Value, more: Value) -> Value {
    frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    frame
}
