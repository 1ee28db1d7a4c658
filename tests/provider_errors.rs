//! Promise: an error says in the provider's own words what was wrong, and under which id the provider knows it.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{TestServer, start};

#[tokio::test]
async fn a_refusal_has_the_providers_code_and_its_id_of_the_request() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let call = server.upstream.call().await;
    let body = json!({"error": {"message": "Slow down.", "type": "tokens", "code": "rate_limit_exceeded"}});
    let headers = [("content-type", "application/json"), ("retry-after", "1.5"), ("x-request-id", "req_1")];
    call.status(429, &headers, &body.to_string()).await;
    let error = client.end_of("g1").await["error"].clone();
    assert_eq!(
        error,
        json!({"code": "rate_limit", "message": "Slow down.", "retryable": true, "retry_after_ms": 1500,
            "provider": "openai", "status": 429, "provider_code": "rate_limit_exceeded", "request_id": "req_1"})
    );
}

#[tokio::test]
async fn an_error_in_the_stream_has_them_too() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(start("g1")).await;
    let mut call = server.upstream.call().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncf-ray: 8f-LHR\r\nconnection: close\r\n\r\n";
    call.raw(head.as_bytes()).await;
    let error = json!({"error": {"message": "Too late.", "code": 504, "type": "upstream_timeout"}});
    call.raw(format!("data: {error}\n\n").as_bytes()).await;
    let end: Value = client.end_of("g1").await;
    let error = &end["error"];
    assert_eq!((&error["code"], &error["provider_code"]), (&json!("provider_timeout"), &json!("upstream_timeout")));
    assert_eq!((&error["request_id"], &error["status"]), (&json!("8f-LHR"), &json!(504)));
}
