//! Promise: `GET /v1/models` lists the models of the configuration and those that providers say they have; it asks
//! each provider seldom and once at a time, and waits for none for long.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{TestServer, key, until, upstream::Call, within};
use tokenwire::{
    config::{Config, ProviderConfig},
    protocol::ErrorInfo,
    provider::{BoxFuture, ModelRequest, Provider, Turn},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

/// A server with one provider, `ollama`, at a scripted upstream, which has one configured model.
async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.providers.insert("demo".into(), ProviderConfig { enabled: Some(false), ..ProviderConfig::default() });
        let mut upstream = config.providers.remove("openai").unwrap();
        upstream.base_url = upstream.base_url.map(|base_url| base_url.replace("/v1", ""));
        upstream.models = vec!["known".to_owned()];
        config.providers.insert("ollama".into(), upstream);
        change(config);
    })
    .await
}

/// Status and body of `GET /v1/models`.
async fn get(address: SocketAddr, headers: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the list", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

/// The ids of the list.
async fn ids(address: SocketAddr) -> Vec<String> {
    let (status, list) = get(address, "").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

async fn list(call: Call, names: &[&str]) {
    let models: Vec<_> = names.iter().map(|name| json!({"name": name, "size": 1})).collect();
    call.status(200, &[("content-type", "application/json")], &json!({"models": models}).to_string()).await;
}

#[tokio::test]
async fn the_list_is_that_of_the_configuration_and_that_of_the_provider() {
    let mut server = server(|_| {}).await;
    let asking = tokio::spawn(get(server.address, ""));
    let call = server.upstream.call().await;
    assert_eq!((call.path.as_str(), &call.body), ("/api/tags", &Value::Null));
    assert_eq!(call.headers["authorization"], "Bearer upstream-key");
    list(call, &["b", "known", "a", "", "b", "a\u{7}"]).await;
    let (_, found) = asking.await.unwrap();
    let entry = |name: &str, source: &str| {
        json!({
            "id": format!("ollama/{name}"), "object": "model", "created": 0, "owned_by": "ollama",
            "provider": "ollama", "source": source,
        })
    };
    let models = [entry("known", "configured"), entry("a", "provider"), entry("b", "provider")];
    assert_eq!(found, json!({"object": "list", "data": models}));
    // What was said stands for a while.
    assert_eq!(ids(server.address).await, ["ollama/known", "ollama/a", "ollama/b"]);
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn however_many_look_the_provider_is_asked_once() {
    let mut server = server(|_| {}).await;
    let looking: Vec<_> = (0..8).map(|_| tokio::spawn(ids(server.address))).collect();
    let call = server.upstream.call().await;
    list(call, &["a"]).await;
    for looked in looking {
        assert_eq!(looked.await.unwrap(), ["ollama/known", "ollama/a"]);
    }
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_not_waited_for() {
    let mut server = server(|_| {}).await;
    let begun = Instant::now();
    assert_eq!(ids(server.address).await, ["ollama/known"]);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // What comes late is there for whoever looks next.
    list(server.upstream.call().await, &["late"]).await;
    let looking = async {
        while ids(server.address).await != ["ollama/known", "ollama/late"] {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within("the late answer", looking).await;
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn who_failed_is_not_asked_again_at_once() {
    let mut server = server(|_| {}).await;
    let looking = tokio::spawn(ids(server.address));
    server.upstream.call().await.status(500, &[], "{}").await;
    assert_eq!(looking.await.unwrap(), ["ollama/known"]);
    assert_eq!(ids(server.address).await, ["ollama/known"]);
    assert_eq!(server.upstream.connections(), 1);
}

#[tokio::test]
async fn who_failed_is_asked_again_soon_and_not_waited_for() {
    let mut server = server(|config| config.model_list.retry_seconds = 1).await;
    let looking = tokio::spawn(ids(server.address));
    server.upstream.call().await.status(500, &[], "{}").await;
    assert_eq!(looking.await.unwrap(), ["ollama/known"]);
    let (address, looked) = (server.address, Arc::new(AtomicUsize::new(0)));
    let looking = tokio::spawn({
        let looked = looked.clone();
        async move {
            loop {
                let found = ids(address).await;
                looked.fetch_add(1, Ordering::SeqCst);
                if found.len() > 1 {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let call = server.upstream.call().await;
    let before = looked.load(Ordering::SeqCst);
    until("an answer while the provider is asked", || looked.load(Ordering::SeqCst) > before).await;
    list(call, &["a"]).await;
    assert_eq!(within("the second answer", looking).await.unwrap(), ["ollama/known", "ollama/a"]);
}

#[tokio::test]
async fn what_is_no_list_is_no_list() {
    let mut server = server(|_| {}).await;
    let looking = tokio::spawn(ids(server.address));
    let endless = " ".repeat(5 << 20);
    server.upstream.call().await.status(200, &[("content-type", "application/json")], &endless).await;
    assert_eq!(looking.await.unwrap(), ["ollama/known"]);
}

#[tokio::test]
async fn asking_can_be_switched_off() {
    let server = server(|config| config.model_list.ask_providers = false).await;
    assert_eq!(ids(server.address).await, ["ollama/known"]);
    assert_eq!(server.upstream.connections(), 0);
}

#[tokio::test]
async fn who_has_no_key_makes_nobody_ask() {
    let server = server(|config| config.auth.keys = vec![key("ann", "key-of-ann-000001")]).await;
    let (status, body) = get(server.address, "").await;
    assert_eq!((status.as_str(), &body["error"]["code"]), ("HTTP/1.1 401 Unauthorized", &json!("unauthenticated")));
    assert_eq!(server.upstream.connections(), 0);
    let (status, _) = get(server.address, "authorization: Bearer key-of-ann-000001\r\n").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
}

/// A provider of a library user's, whose list panics the first time.
struct Own {
    asked: Arc<AtomicUsize>,
    may_answer: Arc<Notify>,
}

impl Provider for Own {
    fn name(&self) -> &str {
        "own"
    }

    fn list_models(&self) -> BoxFuture<'_, Option<Result<Vec<String>, ErrorInfo>>> {
        Box::pin(async {
            match self.asked.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("as bugs do"),
                _ => self.may_answer.notified().await,
            }
            Some(Ok((0..3000).map(|number| format!("model-{number:04}")).collect()))
        })
    }

    fn run<'a>(&'a self, _: &'a ModelRequest, _: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_provider_of_ones_own_may_panic_and_may_have_very_many() {
    let (asked, may_answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let own = Own { asked: asked.clone(), may_answer: may_answer.clone() };
    let server = TestServer::build(
        |config| {
            config.providers.clear();
            config.model_list.retry_seconds = 1;
        },
        |builder| builder.provider(own),
    )
    .await;
    let demo = ids(server.address).await;
    assert!(demo.iter().all(|id| id.starts_with("demo/")), "{demo:?}");
    may_answer.notify_one();
    let looking = async {
        while ids(server.address).await.len() == demo.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the second answer", looking).await;
    assert_eq!(ids(server.address).await.len(), 2000 + demo.len());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
