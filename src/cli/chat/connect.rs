//! The server that the chat talks to: the one named, the one that runs here, or one inside.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use tokenwire::{
    client::{Client, ClientError},
    config::{AuthConfig, Config, KeyConfig},
    server::Server,
};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use super::{
    super::{ConfigArgs, Failure},
    error_line,
    mcp::{McpArgs, ToolList},
};

/// How long a server on this machine may take to answer before one is started inside.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server inside has to end. Its MCP servers have some seconds of it.
const END_TIMEOUT: Duration = Duration::from_secs(6);

/// A server, and how to get in.
pub(super) struct Upstream {
    pub url: String,
    key: Option<String>,
    /// The one that runs in this process, if this is it.
    inside: Option<Inside>,
}

/// A server in this process.
struct Inside {
    /// Ends it.
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    has_mcp: bool,
}

impl Upstream {
    /// Finds a server and connects. Without `url` one inside stands in for one that does not run, or that has not the
    /// tools of `mcp`.
    pub async fn find(
        url: Option<String>,
        key: Option<String>,
        config: ConfigArgs,
        mcp: McpArgs,
    ) -> Result<(Self, Client), Failure> {
        let Some(url) = url else {
            let mut config = config.loader().load()?.config;
            if mcp.is_empty() {
                return Self::local(key, config).await;
            }
            mcp.add_to(&mut config)?;
            return Self::inside(config).await;
        };
        let upstream = Self { url, key, inside: None };
        let client = upstream.connect().await.map_err(|error| upstream.explain(&error))?;
        Ok((upstream, client))
    }

    /// The server that would be listening here with this configuration.
    async fn local(key: Option<String>, config: Config) -> Result<(Self, Client), Failure> {
        let mut address = config.listen;
        if address.ip().is_unspecified() {
            address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        }
        let running = Self { url: format!("ws://{address}/v1/stream"), key, inside: None };
        match timeout(LOCAL_TIMEOUT, running.connect()).await {
            Ok(Ok(client)) => Ok((running, client)),
            // A server of ours that does not let us in. Starting another would hide that.
            Ok(Err(error @ ClientError::Status(401))) => Err(running.explain(&error)),
            Ok(Err(_)) | Err(_) => Self::inside(config).await,
        }
    }

    /// Starts a server in this process, for this process: with a key that nobody else has.
    async fn inside(mut config: Config) -> Result<(Self, Client), Failure> {
        // When the chat is over nobody waits for an answer.
        config.limits.drain_seconds = 0;
        let has_mcp = config.mcp.values().any(|server| server.enabled);
        let key = uuid::Uuid::new_v4().simple().to_string();
        let own_key = KeyConfig { principal: "chat".to_owned(), sha256: None, key: Some(key.clone()) };
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            auth: AuthConfig { keys: vec![own_key] },
            ..config
        };
        let server = Server::builder().config(config).bind().await;
        let server = server.map_err(|error| Failure::new(format!("cannot start a server inside: {error}")))?;
        let url = format!("ws://{}/v1/stream", server.local_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            // Ends with the process, if it is not told to end before.
            let stopped = async {
                if stopped.await.is_err() {
                    std::future::pending().await
                }
            };
            let _ = server.run(stopped).await;
        });
        let upstream = Self { url, key: Some(key), inside: Some(Inside { stop, running, has_mcp }) };
        let client = upstream.connect().await.map_err(|error| upstream.explain(&error))?;
        Ok((upstream, client))
    }

    /// Whether it runs in this process.
    pub fn is_inside(&self) -> bool {
        self.inside.is_some()
    }

    /// Whether it has MCP servers that come up while this chat does.
    pub fn has_mcp(&self) -> bool {
        self.inside.as_ref().is_some_and(|inside| inside.has_mcp)
    }

    /// Ends the server inside, and with it the programs that it has started.
    pub async fn end(self) {
        if let Some(Inside { stop, running, .. }) = self.inside
            && stop.send(()).is_ok()
        {
            let _ = timeout(END_TIMEOUT, running).await;
        }
    }

    /// Connects, for the first time or anew.
    pub async fn connect(&self) -> Result<Client, ClientError> {
        let builder = Client::builder(&self.url);
        match &self.key {
            Some(key) => builder.key(key).connect().await,
            None => builder.connect().await,
        }
    }

    /// What to tell when it cannot be connected to.
    pub fn explain(&self, error: &ClientError) -> Failure {
        let fix = match error {
            ClientError::Status(401) if self.key.is_none() => "\n  give the key with `--key` or TOKENWIRE_KEY",
            ClientError::Network(_) => "\n  is it running? Start it with `tokenwire`, or leave `--url` out",
            ClientError::NotTokenwire | ClientError::Status(404) => {
                "\n  the address of a server is such as ws://127.0.0.1:8080/v1/stream"
            }
            _ => "",
        };
        Failure::new(format!("{}: {}{fix}", self.url, error_line(error)))
    }

    /// The models that the server offers. Empty when it does not say.
    pub async fn models(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let list: Option<List> = self.get("models").await;
        list.into_iter().flat_map(|list| list.data).map(|model| model.id).collect()
    }

    /// The tools that it runs itself. `None` when it does not say.
    pub async fn tools(&self) -> Option<ToolList> {
        self.get("tools").await
    }

    /// What one of its lists says.
    async fn get<T: DeserializeOwned>(&self, list: &str) -> Option<T> {
        let asking = async {
            let mut request = http_client()?.get(list_url(&self.url, list)?);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            let body = request.send().await.ok()?.bytes().await.ok()?;
            serde_json::from_slice(&body).ok()
        };
        timeout(LIST_TIMEOUT, asking).await.ok().flatten()
    }
}

fn http_client() -> Option<reqwest::Client> {
    // A proxy for the web knows nothing of this machine's servers, and the WebSocket uses none either.
    reqwest::Client::builder().no_proxy().build().ok()
}

/// The address of a list beside the address of the socket.
fn list_url(url: &str, list: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "ws" | "http" => "http",
        _ => "https",
    };
    let base = rest.trim_end_matches('/');
    Some(format!("{scheme}://{}/v1/{list}", base.strip_suffix("/v1/stream").unwrap_or(base)))
}

/// The model to talk to when none is named: the first of a real provider, else the demo.
pub(super) fn default_model(models: &[String]) -> String {
    let real = models.iter().find(|model| !model.starts_with("demo/"));
    real.cloned().unwrap_or_else(|| "demo/markdown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_beside_the_socket() {
        let check = |url: &str, expected: &str| assert_eq!(list_url(url, "models").as_deref(), Some(expected));
        check("ws://127.0.0.1:8080/v1/stream", "http://127.0.0.1:8080/v1/models");
        check("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1/models");
        check("wss://a.example/llm/v1/stream", "https://a.example/llm/v1/models");
    }

    #[test]
    fn a_real_model_is_preferred() {
        let models = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(default_model(&models(&["demo/fast", "openai/a", "groq/b"])), "openai/a");
        assert_eq!(default_model(&models(&["demo/fast"])), "demo/markdown");
        assert_eq!(default_model(&[]), "demo/markdown");
    }
}
