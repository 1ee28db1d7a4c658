//! The server that the chat talks to: the one named, the one that runs here, or one inside.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;
use tokenwire::{
    client::{Client, ClientError},
    config::{AuthConfig, Config, KeyConfig},
    server::Server,
};
use tokio::time::timeout;

use super::{
    super::{ConfigArgs, Failure},
    error_line,
};

/// How long a server on this machine may take to answer before one is started inside.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the list of models may take.
const MODELS_TIMEOUT: Duration = Duration::from_secs(5);

/// A server, and how to get in.
pub(super) struct Upstream {
    pub url: String,
    key: Option<String>,
    /// Whether it runs in this process.
    pub is_inside: bool,
}

impl Upstream {
    /// Finds a server and connects. Without `url` one inside stands in for one that does not run.
    pub async fn find(url: Option<String>, key: Option<String>, config: ConfigArgs) -> Result<(Self, Client), Failure> {
        let Some(url) = url else { return Self::local(key, config).await };
        let upstream = Self { url, key, is_inside: false };
        let client = upstream.connect().await.map_err(|error| upstream.explain(&error))?;
        Ok((upstream, client))
    }

    /// The server that would be listening here with this configuration.
    async fn local(key: Option<String>, config: ConfigArgs) -> Result<(Self, Client), Failure> {
        let config = config.loader().load()?.config;
        let mut address = config.listen;
        if address.ip().is_unspecified() {
            address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        }
        let running = Self { url: format!("ws://{address}/v1/stream"), key, is_inside: false };
        match timeout(LOCAL_TIMEOUT, running.connect()).await {
            Ok(Ok(client)) => Ok((running, client)),
            // A server of ours that does not let us in. Starting another would hide that.
            Ok(Err(error @ ClientError::Status(401))) => Err(running.explain(&error)),
            Ok(Err(_)) | Err(_) => {
                let inside = Self::inside(config).await?;
                let client = inside.connect().await.map_err(|error| inside.explain(&error))?;
                Ok((inside, client))
            }
        }
    }

    /// Starts a server in this process, for this process: with a key that nobody else has.
    async fn inside(config: Config) -> Result<Self, Failure> {
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
        // Ends with the process.
        tokio::spawn(server.run(std::future::pending()));
        Ok(Self { url, key: Some(key), is_inside: true })
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
        let asking = async {
            let mut request = http_client()?.get(models_url(&self.url)?);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            let body = request.send().await.ok()?.bytes().await.ok()?;
            serde_json::from_slice::<List>(&body).ok()
        };
        let list = timeout(MODELS_TIMEOUT, asking).await.ok().flatten();
        list.into_iter().flat_map(|list| list.data).map(|model| model.id).collect()
    }
}

fn http_client() -> Option<reqwest::Client> {
    // A proxy for the web knows nothing of this machine's servers, and the WebSocket uses none either.
    reqwest::Client::builder().no_proxy().build().ok()
}

/// The address of the list beside the address of the socket.
fn models_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "ws" | "http" => "http",
        _ => "https",
    };
    let base = rest.trim_end_matches('/');
    Some(format!("{scheme}://{}/v1/models", base.strip_suffix("/v1/stream").unwrap_or(base)))
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
    fn the_list_of_models_is_beside_the_socket() {
        let check = |url: &str, expected: &str| assert_eq!(models_url(url).as_deref(), Some(expected));
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
