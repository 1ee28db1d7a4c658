//! Gemini on a real socket: tokens for Vertex AI are fetched once and refreshed, and what models sign comes back to
//! them in a tool round trip.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine};
use serde_json::{Value, json};
use support::{Client, TestServer, start, upstream::Call, with};
use tokenwire::config::{Config, ProviderConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Google's token server: answers each request with the next of its answers, and with the last one from then on.
struct TokenServer {
    address: SocketAddr,
    /// The bodies of the requests.
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl TokenServer {
    async fn start(answers: &[(u16, Value)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let answers = answers.to_vec();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let body = read_body(stream, |count| answers[count.min(answers.len() - 1)].clone(), &seen).await;
                body.unwrap_or_default();
            }
        });
        Self { address, requests, accepting }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// What the credentials of the first request claim.
    fn claims(&self) -> Value {
        let request = self.requests.lock().unwrap()[0].clone();
        let assertion = request.split('&').find_map(|pair| pair.strip_prefix("assertion=")).unwrap();
        let claims = assertion.split('.').nth(1).unwrap().replace("%3D", "=");
        serde_json::from_slice(&BASE64_URL_SAFE.decode(claims).unwrap()).unwrap()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads one request, and answers it.
async fn read_body(
    mut stream: TcpStream,
    answer: impl Fn(usize) -> (u16, Value),
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let body = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break body.to_owned();
        }
    };
    let (status, answer) = {
        let mut seen = seen.lock().unwrap();
        seen.push(body);
        answer(seen.len() - 1)
    };
    let answer = answer.to_string();
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{answer}").as_bytes()).await?;
    stream.shutdown().await
}

fn token(token: &str, expires_in: u64) -> (u16, Value) {
    (200, json!({"access_token": token, "expires_in": expires_in, "token_type": "Bearer"}))
}

/// A file that is gone with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tokenwire-test-{}.json", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A service account whose tokens come from `tokens`, with a key that nobody else has.
fn service_account(tokens: &TokenServer) -> TempFile {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let lines = BASE64_STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN {0}-----\n{lines}\n-----END {0}-----\n", "PRIVATE KEY");
    let account = json!({
        "type": "service_account",
        "project_id": "p",
        "private_key": pem,
        "client_email": "tokenwire@p.iam.gserviceaccount.com",
        "token_uri": format!("http://{}/token", tokens.address),
    });
    TempFile::new(&account.to_string())
}

/// The scripted upstream as Vertex AI, with these credentials.
fn vertex_at_upstream(config: &mut Config, credentials: &Path) {
    let base_url = config.providers["openai"].base_url.clone();
    let section = ProviderConfig {
        base_url,
        project: Some("p".to_owned()),
        region: Some("europe-west3".to_owned()),
        credentials_file: Some(credentials.to_str().unwrap().to_owned()),
        ..ProviderConfig::default()
    };
    config.providers.insert("vertex".to_owned(), section);
}

fn start_vertex(id: &str) -> Value {
    with(start(id), json!({"model": "vertex/gemini-2.5-flash"}))
}

async fn answer(mut call: Call, text: &str) {
    call.data(&json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]})).await;
    call.end().await;
}

/// Runs a generation, and says with which token it was asked.
async fn ask(server: &mut TestServer, client: &mut Client, id: &str) -> String {
    client.send(start_vertex(id)).await;
    let call = server.upstream.call().await;
    let token = call.headers["authorization"].clone();
    answer(call, "Hi").await;
    assert_eq!(client.end_of(id).await["type"], "finished");
    token
}

#[tokio::test]
async fn a_token_is_fetched_once() {
    let tokens = TokenServer::start(&[token("t1", 3600), token("t2", 3600)]).await;
    let account = service_account(&tokens);
    let mut server = TestServer::with(|config| vertex_at_upstream(config, account.path())).await;
    let mut client = server.client().await;
    // Both need it at the same time.
    client.send(start_vertex("g1")).await;
    client.send(start_vertex("g2")).await;
    for _ in 0..2 {
        let call = server.upstream.call().await;
        assert_eq!(call.headers["authorization"], "Bearer t1");
        assert_eq!(
            call.path,
            "/v1/projects/p/locations/europe-west3/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
        );
        answer(call, "Hi").await;
    }
    assert_eq!(ask(&mut server, &mut client, "g3").await, "Bearer t1");
    assert_eq!(tokens.count(), 1);
    let claims = tokens.claims();
    assert_eq!(claims["iss"], "tokenwire@p.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["aud"], format!("http://{}/token", tokens.address));
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_expires() {
    let tokens = TokenServer::start(&[token("t1", 10), token("t2", 3600)]).await;
    let account = service_account(&tokens);
    let mut server = TestServer::with(|config| vertex_at_upstream(config, account.path())).await;
    let mut client = server.client().await;
    assert_eq!(ask(&mut server, &mut client, "g1").await, "Bearer t1");
    assert_eq!(ask(&mut server, &mut client, "g2").await, "Bearer t2");
    assert_eq!(ask(&mut server, &mut client, "g3").await, "Bearer t2");
    assert_eq!(tokens.count(), 2);
}

#[tokio::test]
async fn credentials_that_are_refused_or_unreadable_are_said_to_be() {
    let refusal = (400, json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}));
    let tokens = TokenServer::start(&[refusal]).await;
    let refused = service_account(&tokens);
    let unreadable = TempFile::new("{}");
    for credentials in [refused.path(), unreadable.path(), Path::new("/nowhere/account.json")] {
        let server = TestServer::with(|config| vertex_at_upstream(config, credentials)).await;
        let mut client = server.client().await;
        client.send(start_vertex("g1")).await;
        let end = client.end_of("g1").await;
        assert_eq!((&end["type"], &end["error"]["code"]), (&json!("failed"), &json!("authentication")));
        assert_eq!(end["error"]["retryable"], false);
        assert!(!end.to_string().contains("account.json"));
        assert_eq!(server.upstream.connections(), 0);
    }
}

#[tokio::test]
async fn what_the_model_signed_comes_back_in_order() {
    let mut server = TestServer::with(|config| {
        let base_url = config.providers["openai"].base_url.as_deref().unwrap().trim_end_matches("/v1").to_owned();
        let api_key = Some("key".to_owned());
        let section = ProviderConfig { base_url: Some(base_url), api_key, ..ProviderConfig::default() };
        config.providers.insert("gemini".to_owned(), section);
    })
    .await;
    let mut client = server.client().await;
    let function = json!({"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}});
    let tools = json!([{"type": "function", "function": function}]);
    client.send(with(start("g1"), json!({"model": "gemini/gemini-3-pro-preview", "tools": tools}))).await;

    let mut call = server.upstream.call().await;
    assert_eq!(call.path, "/v1beta/models/gemini-3-pro-preview:streamGenerateContent?alt=sse");
    assert_eq!(call.headers["x-goog-api-key"], "key");
    let look = |at: &str| json!({"name": "look", "args": {"at": at}});
    let chunk = |parts: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}}]});
    call.data(&chunk(json!([{"text": "Let me ", "thought": true}]))).await;
    call.data(&chunk(json!([{"text": "see.", "thought": true}]))).await;
    call.data(&chunk(json!([{"functionCall": look("sky"), "thoughtSignature": "c2ln"}]))).await;
    call.data(&chunk(json!([{"functionCall": look("sea")}]))).await;
    call.data(&json!({
        "candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
    }))
    .await;
    call.end().await;

    let calls = client.until("tool_wait").await["call_ids"].clone();
    let result =
        |id: &Value, content: &str| json!({"type": "tool_result", "id": "g1", "call_id": id, "content": content});
    // In the other order.
    client.send(result(&calls[1], "grey")).await;
    client.send(result(&calls[0], "blue")).await;

    let call = server.upstream.call().await;
    assert_eq!(
        call.body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "Hello"}]},
            {"role": "model", "parts": [
                {"text": "Let me see.", "thought": true},
                {"functionCall": look("sky"), "thoughtSignature": "c2ln"},
                {"functionCall": look("sea")},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "look", "response": {"output": "blue"}}},
                {"functionResponse": {"name": "look", "response": {"output": "grey"}}},
            ]},
        ])
    );
    answer(call, "Blue and grey.").await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("stop")));
}
