//! Promise: a client asks a provider with its own key, or at another place, only where the configuration allows it;
//! nothing of the server's goes there, and no way leads into the server's own network unless that is listed.
#![allow(clippy::unwrap_used)]

mod support;

use std::{net::SocketAddr, process::Stdio};

use serde_json::{Value, json};
use support::{Client, TestServer, Upstream, start, upstream::Call, with, within};
use tokenwire::config::{Config, ProviderConfig};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// A start frame that says where to ask and with which key.
fn start_at(id: &str, upstream: Value) -> Value {
    with(start(id), json!({"upstream": upstream}))
}

/// A server that has a key, and headers that say who it is; `allow` is what it lets clients do.
async fn server(allow: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        let headers = [
            ("Authorization", "Bearer configured"),
            ("OpenAI-Organization", "org-of-the-server"),
            ("x-team", "team-of-the-server"),
        ];
        let openai = config.providers.get_mut("openai").unwrap();
        openai.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        allow(config);
    })
    .await
}

/// The `error` that answers a start.
async fn refusal(client: &mut Client, frame: Value) -> Value {
    client.send(frame).await;
    client.expect("error").await
}

/// Answers a request, and sees that the client gets the answer.
async fn answered(client: &mut Client, id: &str, mut call: Call) {
    call.text("Hello").await;
    call.finish().await;
    assert_eq!(client.end_of(id).await["type"], "finished");
}

/// Nothing of the server's is in a request.
fn assert_nothing_of_the_server(call: &Call) {
    for secret in ["upstream-key", "configured", "org-of-the-server", "team-of-the-server"] {
        let found = call.headers.iter().find(|(_, value)| value.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

#[tokio::test]
async fn nothing_is_allowed_unless_the_configuration_says_so() {
    let server = server(|_| {}).await;
    let mut client = server.client().await;
    for (upstream, field) in [
        (json!({"base_url": "https://gateway.example.com"}), "upstream.base_url"),
        (json!({"base_url": "https://gateway.example.com", "api_key": "k"}), "upstream.base_url"),
        (json!({"api_key": "k"}), "upstream.api_key"),
    ] {
        let error = refusal(&mut client, start_at("g", upstream)).await;
        assert_eq!((&error["code"], &error["field"]), (&json!("not_supported"), &json!(field)), "{error}");
        assert!(error["message"].as_str().unwrap().contains("client_upstreams."), "{error}");
    }
    assert_eq!(server.upstream.connections(), 0);
}

#[tokio::test]
async fn one_switch_does_not_turn_the_other() {
    let keys = server(|config| config.client_upstreams.allow_api_key = true).await;
    let mut client = keys.client().await;
    let error = refusal(&mut client, start_at("g", json!({"base_url": "https://gateway.example.com"}))).await;
    assert_eq!((&error["code"], &error["field"]), (&json!("not_supported"), &json!("upstream.base_url")));

    let places = server(|config| config.client_upstreams.hosts = vec!["gateway.example.com".into()]).await;
    let mut client = places.client().await;
    let error = refusal(&mut client, start_at("g", json!({"api_key": "k"}))).await;
    assert_eq!((&error["code"], &error["field"]), (&json!("not_supported"), &json!("upstream.api_key")));
}

#[tokio::test]
async fn a_clients_key_takes_the_place_of_the_servers() {
    let mut server = server(|config| config.client_upstreams.allow_api_key = true).await;
    let mut client = server.client().await;
    client.send(start_at("g", json!({"api_key": "key-of-the-client"}))).await;
    let call = server.upstream.call().await;
    assert_eq!(call.headers["authorization"], "Bearer key-of-the-client");
    assert!(!call.headers.contains_key("openai-organization"));
    assert_eq!(call.headers["x-team"], "team-of-the-server", "it is the server's own gateway still");
    answered(&mut client, "g", call).await;

    // It was for that generation alone.
    client.start("h").await;
    let call = server.upstream.call().await;
    assert!(!call.headers["authorization"].contains("key-of-the-client"));
    answered(&mut client, "h", call).await;
}

#[tokio::test]
async fn a_clients_place_gets_nothing_of_the_servers() {
    let mut gateway = Upstream::start().await;
    let listed = format!("http://{}", gateway.address);
    let server = server(|config| config.client_upstreams.hosts = vec![listed]).await;
    let mut client = server.client().await;

    client.send(start_at("g", json!({"base_url": base_url(gateway.address)}))).await;
    let call = gateway.call().await;
    assert_eq!(call.path, "/v1/chat/completions");
    assert!(!call.headers.contains_key("authorization"));
    assert_nothing_of_the_server(&call);
    answered(&mut client, "g", call).await;

    let upstream = json!({"base_url": base_url(gateway.address), "api_key": "key-of-the-client"});
    client.send(start_at("h", upstream)).await;
    let call = gateway.call().await;
    assert_eq!(call.headers["authorization"], "Bearer key-of-the-client");
    assert_nothing_of_the_server(&call);
    answered(&mut client, "h", call).await;
    assert_eq!(server.upstream.connections(), 0);
}

#[tokio::test]
async fn places_that_are_not_listed_are_refused() {
    let server = server(|config| {
        config.client_upstreams.hosts =
            ["gateway.example.com", "*.example.org", "10.1.2.3:8443"].map(str::to_owned).into()
    })
    .await;
    let mut client = server.client().await;
    let port = server.upstream.address.port();
    let own_network = [
        format!("https://127.0.0.1:{port}/v1"),
        format!("http://127.0.0.1:{port}/v1"),
        format!("http://2130706433:{port}/v1"),
        format!("http://0x7f000001:{port}/v1"),
        format!("http://0177.1:{port}/v1"),
        format!("http://localhost:{port}/v1"),
        format!("http://[::ffff:127.0.0.1]:{port}/v1"),
        format!("http://0.0.0.0:{port}/v1"),
        format!("https://gateway.example.com@127.0.0.1:{port}/v1"),
        format!("https://gateway.example.com:x@127.0.0.1:{port}/v1"),
    ];
    let others = [
        "http://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/",
        "https://10.1.2.4:8443/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://100.64.0.1/",
        "https://[fc00::1]/",
        "https://[::1]/",
        "https://224.0.0.1/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://10.1.2.3/",
        "http://gateway.example.com/",
        "https://gateway.example.com:8443/",
        "https://gateway.example.com/?to=1",
        "https://example.org/",
        "https://gateway.example.com.evil.example/",
        "file:///etc/passwd",
        "gateway.example.com",
        "",
    ];
    for base_url in own_network.iter().map(String::as_str).chain(others) {
        let error = refusal(&mut client, start_at("g", json!({"base_url": base_url, "api_key": "hunter2"}))).await;
        assert_eq!(error["code"], "bad_field", "{base_url}: {error}");
        assert_eq!(error["field"], "upstream.base_url", "{base_url}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let key =
        refusal(&mut client, start_at("g", json!({"base_url": "https://a.example.org", "api_key": "a\nb"}))).await;
    assert_eq!((&key["code"], &key["field"]), (&json!("bad_field"), &json!("upstream.api_key")));
    assert_eq!(server.upstream.connections(), 0);
}

#[tokio::test]
async fn a_name_that_leads_into_the_servers_network_is_refused_when_it_is_connected_to() {
    let mut gateway = Upstream::start().await;
    let port = gateway.address.port();
    let listed = format!("http://localhost:{port}");
    let upstream = json!({"base_url": format!("http://LOCALHOST.:{port}/v1")});

    let public = server(|config| config.client_upstreams.hosts = vec![listed.clone()]).await;
    let mut client = public.client().await;
    client.send(start_at("g", upstream.clone())).await;
    let failed = client.end_of("g").await;
    assert_eq!(failed["type"], "failed");
    let error = &failed["error"];
    assert_eq!((&error["code"], &error["field"]), (&json!("bad_field"), &json!("upstream.base_url")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("client_upstreams.private_hosts"), "{error}");
    assert_eq!(gateway.connections(), 0);

    let private = server(|config| config.client_upstreams.private_hosts = vec![listed]).await;
    let mut client = private.client().await;
    client.send(start_at("g", upstream)).await;
    let call = gateway.call().await;
    assert_nothing_of_the_server(&call);
    answered(&mut client, "g", call).await;
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let mut gateway = Upstream::start().await;
    let target = Upstream::start().await;
    let listed = [gateway.address, target.address].map(|address| format!("http://{address}"));
    let server = server(|config| config.client_upstreams.hosts = listed.into()).await;
    let mut client = server.client().await;
    for (id, status) in [("a", 301), ("b", 302), ("c", 303), ("d", 307), ("e", 308)] {
        client.send(start_at(id, json!({"base_url": base_url(gateway.address), "api_key": "k-of-the-client"}))).await;
        let location = format!("{}/chat/completions", base_url(target.address));
        gateway.call().await.status(status, &[("location", &location)], "").await;
        assert_eq!(client.end_of(id).await["type"], "failed", "{status}");
    }
    assert_eq!((target.connections(), server.upstream.connections()), (0, 0));
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_repeated() {
    let mut server = server(|config| config.client_upstreams.allow_api_key = true).await;
    let mut client = server.client().await;
    client.send(start_at("g", json!({"api_key": "hunter2"}))).await;
    let body = json!({"error": {"message": "the key hunter2 is wrong", "code": "invalid_api_key"}}).to_string();
    server.upstream.call().await.status(401, &[("content-type", "application/json")], &body).await;
    let failed = client.end_of("g").await;
    assert_eq!(failed["error"]["code"], "authentication");
    assert_eq!(failed["error"]["message"], "the key *** is wrong");
}

#[tokio::test]
async fn a_clients_key_takes_no_turns_with_the_servers() {
    let mut server = TestServer::with(|config| {
        config.client_upstreams.allow_api_key = true;
        let openai = config.providers.get_mut("openai").unwrap();
        openai.api_key = None;
        openai.api_keys = vec!["upstream-key-1".to_owned(), "upstream-key-2".to_owned()];
    })
    .await;
    let mut client = server.client().await;
    client.send(start_at("g", json!({"api_key": "key-of-the-client"}))).await;
    let call = server.upstream.call().await;
    assert_eq!(call.headers["authorization"], "Bearer key-of-the-client");
    call.status(429, &[], "{}").await;
    assert_eq!(client.end_of("g").await["error"]["code"], "rate_limit");
    assert_eq!(server.upstream.connections(), 1, "none of the server's keys is tried in its place");
}

#[tokio::test]
async fn a_clients_key_is_enough_for_a_provider_that_the_server_has_none_for() {
    let mut server = TestServer::with(|config| {
        config.client_upstreams.allow_api_key = true;
        config.client_upstreams.hosts = vec!["gateway.example.com".to_owned()];
        // What the key's variable held would be in `api_key`.
        let upstream = config.providers["openai"].clone();
        let keyless = ProviderConfig { api_key: None, api_key_env: Some("NOT_SET".to_owned()), ..upstream };
        config.providers.insert("openai".to_owned(), keyless.clone());
        config.providers.insert("groq".to_owned(), ProviderConfig { enabled: Some(false), ..keyless });
    })
    .await;
    let mut client = server.client().await;
    assert_eq!(refusal(&mut client, start("g")).await["code"], "unknown_model");
    client.send(start_at("g", json!({"api_key": "key-of-the-client"}))).await;
    let call = server.upstream.call().await;
    assert_eq!(call.headers["authorization"], "Bearer key-of-the-client");
    answered(&mut client, "g", call).await;

    // Nobody has configured a server on this machine; a key is no reason to look for one.
    for model in ["vllm/any", "groq/switched-off", "nobody/any", "openai/", "openai"] {
        let frame = with(start_at("h", json!({"api_key": "k"})), json!({"model": model}));
        assert_eq!(refusal(&mut client, frame).await["code"], "unknown_model", "{model}");
    }
    let frame = with(start_at("h", json!({"api_key": "k"})), json!({"model": "demo/fast"}));
    assert_eq!(refusal(&mut client, frame).await["code"], "not_supported");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_as_configured() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start_at("g", json!({}))).await;
    let call = server.upstream.call().await;
    assert_eq!(call.headers["authorization"], "Bearer upstream-key");
    answered(&mut client, "g", call).await;
}

#[tokio::test]
async fn a_proxy_of_the_environment_does_not_look_the_name_up_instead() {
    let (mut gateway, mut proxy) = (Upstream::start().await, Upstream::start().await);
    let port = gateway.address.port();
    let mut server = Command::new(env!("CARGO_BIN_EXE_tokenwire"))
        .args(["--listen", "127.0.0.1:0"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
        .env_clear()
        .env("HTTP_PROXY", format!("http://{}", proxy.address))
        .env("OPENAI_BASE_URL", "http://provider.example/v1")
        .env("TOKENWIRE_CLIENT_UPSTREAMS_PRIVATE_HOSTS", format!("http://localhost:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    within("the first line", stdout.read_line(&mut first)).await.unwrap();
    let address = first.trim().split_once("http://").unwrap().1.parse().unwrap();
    let mut client = Client::connect(address, &[]).await;

    client.start("configured").await;
    let call = proxy.call().await;
    assert_eq!(call.path, "http://provider.example/v1/chat/completions");
    answered(&mut client, "configured", call).await;

    client.send(start_at("chosen", json!({"base_url": format!("http://localhost:{port}/v1")}))).await;
    let call = gateway.call().await;
    answered(&mut client, "chosen", call).await;
    assert_eq!(proxy.connections(), 1);
}
