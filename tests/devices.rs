//! Promise: the page knows where other devices reach the server, and makes codes of links without anybody else learning
//! what is in them.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::{TestServer, key, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const KEY: &str = "key-of-ann-000001";

/// Head and body of the answer to a request, with the lines of `headers`.
async fn http(address: SocketAddr, request: &str, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_text_becomes_a_code_for_who_has_a_key() {
    let server = TestServer::with(|config| config.auth.keys = vec![key("ann", KEY)]).await;
    let bearer = format!("authorization: Bearer {KEY}\r\n");
    let link = format!("http://127.0.0.1:8080/#c=abc&k={KEY}");
    let (head, image) = http(server.address, "POST /v1/qr", &bearer, &link).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: image/svg+xml") && head.contains("cache-control: no-store"), "{head}");
    assert!(image.contains("<svg") && !image.contains(KEY));
    // As long as it may be, in letters for which there is no shorter way to write them.
    let (head, _) = http(server.address, "POST /v1/qr", &bearer, &"x".repeat(1024)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for wrong in ["", &"x".repeat(1025)] {
        let (head, body) = http(server.address, "POST /v1/qr", &bearer, wrong).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["code"], "bad_field");
    }
    for request in ["POST /v1/qr", "GET /v1/addresses"] {
        let (head, _) = http(server.address, request, "", "x").await;
        assert!(head.starts_with("HTTP/1.1 401 "), "{request}: {head}");
    }
}

#[tokio::test]
async fn a_server_on_loopback_says_that_nobody_else_reaches_it() {
    let server = TestServer::start().await;
    let (_, body) = http(server.address, "GET /v1/addresses", "", "").await;
    let expected = json!({"listen": server.address.to_string(), "data": []});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}
