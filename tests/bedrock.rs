//! AWS Bedrock on a real server: signed requests, where the keys come from, frames, and a tool round trip.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Client, TestServer, event_stream, start, upstream::Call, with};
use tokenwire::config::ProviderConfig;

const MODEL: &str = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const PATH: &str = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream";
const REGION: &str = "eu-central-1";

/// A server whose provider `bedrock` is the scripted upstream. `{upstream}` in a variable is its address.
async fn server(variables: &[(&str, &str)]) -> TestServer {
    TestServer::with(|config| {
        let place = config.providers["openai"].base_url.clone().unwrap().replace("/v1", "");
        let environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.replace("{upstream}", &place)));
        let section = ProviderConfig {
            region: Some(REGION.to_owned()),
            environment: environment.collect::<BTreeMap<_, _>>(),
            base_url: Some(place),
            ..ProviderConfig::default()
        };
        config.providers.insert("bedrock".into(), section);
    })
    .await
}

fn ask(id: &str) -> Value {
    with(start(id), json!({"model": MODEL}))
}

async fn event(call: &mut Call, kind: &str, payload: Value) {
    call.send(&event_stream::event(kind, payload.to_string().as_bytes())).await;
}

async fn delta(call: &mut Call, index: u32, delta: Value) {
    event(call, "contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta})).await;
}

async fn finish(mut call: Call, reason: &str) {
    event(&mut call, "messageStop", json!({"stopReason": reason})).await;
    event(&mut call, "metadata", json!({"usage": {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 4}}))
        .await;
    call.end().await;
}

/// Answers a call that must be signed with these keys, and waits for the end.
async fn answer(server: &mut TestServer, client: &mut Client, id: &str, keys: (&str, &str)) {
    let mut call = server.upstream.call().await;
    verify(&call, keys);
    delta(&mut call, 0, json!({"text": "Hi"})).await;
    finish(call, "end_turn").await;
    assert_eq!(client.end_of(id).await["type"], "finished");
}

/// Checks a signature the way AWS does: from what arrived and from the secret key.
fn verify(call: &Call, (id, secret): (&str, &str)) {
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    };
    let time = &call.headers["x-amz-date"];
    let date = &time[..8];
    let scope = format!("{date}/{REGION}/bedrock/aws4_request");
    let authorization = &call.headers["authorization"];
    let (head, signature) = authorization.split_once(", Signature=").unwrap();
    let (credential, names) = head.split_once(", SignedHeaders=").unwrap();
    assert_eq!(credential, format!("AWS4-HMAC-SHA256 Credential={id}/{scope}"));
    let headers = names.split(';').map(|name| format!("{name}:{}\n", call.headers[name]));
    let canonical = format!(
        "POST\n{}\n\n{}\n{names}\n{}",
        call.path.replace('%', "%25"),
        headers.collect::<String>(),
        hex(&Sha256::digest(&call.sent)),
    );
    let mut key = mac(format!("AWS4{secret}").as_bytes(), date);
    for part in [REGION, "bedrock", "aws4_request"] {
        key = mac(&key, part);
    }
    let signed = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    assert_eq!(hex(&mac(&key, &signed)), signature);
    for name in ["content-type", "host", "x-amz-date"] {
        assert!(names.split(';').any(|signed| signed == name), "{name} is signed");
    }
}

/// Keys in JSON as containers give them, good for that many seconds.
fn keys(id: &str, seconds: u64) -> String {
    let expires_at = SystemTime::now() + Duration::from_secs(seconds);
    let expires_at = expires_at.duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"AccessKeyId": id, "SecretAccessKey": "secret", "Token": "token", "Expiration": expires_at}).to_string()
}

/// A folder of its own for each test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(folder.join(".aws")).unwrap();
    folder
}

#[tokio::test]
async fn a_whole_turn_is_signed() {
    let variables = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s/+"), ("AWS_SESSION_TOKEN", "tok/en=")];
    let mut server = server(&variables).await;
    let mut client = server.client().await;
    client.send(with(ask("g1"), json!({"messages": [{"role": "user", "content": "Grüße 🦀"}]}))).await;
    let mut call = server.upstream.call().await;
    assert_eq!(call.path, PATH);
    assert_eq!(call.headers["host"], server.upstream.address.to_string());
    assert_eq!(call.headers["x-amz-security-token"], "tok/en=");
    assert_eq!(call.headers["accept"], "application/vnd.amazon.eventstream");
    verify(&call, ("AKIA", "s/+"));
    event(&mut call, "messageStart", json!({"role": "assistant"})).await;
    delta(&mut call, 0, json!({"text": "Hi"})).await;
    assert_eq!(client.until("text").await["delta"], "Hi");
    finish(call, "end_turn").await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["reason"], &end["provider_reason"]), (&json!("stop"), &json!("end_turn")));
    let usage = json!({"input_tokens": 7, "output_tokens": 2, "cached_tokens": 4, "source": "provider"});
    assert_eq!(end["usage"], usage);
}

#[tokio::test]
async fn a_key_goes_as_it_is() {
    let mut server = TestServer::with(|config| {
        let section = config.providers["openai"].clone();
        config.providers.insert("bedrock".into(), section);
    })
    .await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let call = server.upstream.call().await;
    assert_eq!(call.headers["authorization"], "Bearer upstream-key");
    assert!(!call.headers.contains_key("x-amz-date"));
    finish(call, "end_turn").await;
    client.end_of("g1").await;
}

#[tokio::test]
async fn keys_are_fetched_again_before_they_expire() {
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{upstream}/keys?x=1"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"),
    ];
    let mut server = server(&variables).await;
    let mut client = server.client().await;
    // The first ones are good for less than what is kept in reserve.
    for (start, (id, seconds)) in [("A", 60), ("B", 60), ("C", 3600)].into_iter().enumerate() {
        let name = format!("g{start}");
        client.send(ask(&name)).await;
        let fetch = server.upstream.call().await;
        assert_eq!((&*fetch.path, &*fetch.headers["authorization"]), ("/keys?x=1", "pod-token"));
        fetch.status(200, &[], &keys(id, seconds)).await;
        answer(&mut server, &mut client, &name, (id, "secret")).await;
    }
    client.send(ask("kept")).await;
    answer(&mut server, &mut client, "kept", ("C", "secret")).await;
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_wait() {
    let mut server = server(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{upstream}/keys")]).await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let fetch = server.upstream.call().await;
    client.send(ask("g2")).await;
    client.started("g2").await;
    fetch.status(200, &[], &keys("A", 3600)).await;
    for _ in 0..2 {
        let call = server.upstream.call().await;
        verify(&call, ("A", "secret"));
        finish(call, "end_turn").await;
    }
    client.end_of("g1").await;
    client.end_of("g2").await;
}

#[tokio::test]
async fn keys_that_are_still_good_are_used_when_newer_ones_cannot_be_fetched() {
    let mut server = server(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{upstream}/keys")]).await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    server.upstream.call().await.status(200, &[], &keys("A", 120)).await;
    answer(&mut server, &mut client, "g1", ("A", "secret")).await;
    client.send(ask("g2")).await;
    server.upstream.call().await.status(500, &[], "").await;
    answer(&mut server, &mut client, "g2", ("A", "secret")).await;
}

/// Starts a generation that fails before Bedrock is asked.
async fn failure(server: &TestServer) -> Value {
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let end = client.end_of("g1").await;
    assert_eq!(end["type"], "failed");
    end["error"].clone()
}

#[tokio::test]
async fn without_keys_the_error_names_the_fix() {
    let server = server(&[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    let error = failure(&server).await;
    assert_eq!(error["code"], "authentication");
    assert!(error["message"].as_str().unwrap().contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert_eq!(server.upstream.connections(), 0);
}

#[tokio::test]
async fn a_token_is_sent_in_the_clear_only_to_this_machine() {
    let server = server(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://keys.example.com/")]).await;
    assert_eq!(failure(&server).await["code"], "authentication");
}

#[tokio::test]
async fn the_instance_has_keys() {
    let mut server = server(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{upstream}/")]).await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let call = server.upstream.call().await;
    assert_eq!(call.path, "/latest/api/token");
    assert_eq!(call.headers["x-aws-ec2-metadata-token-ttl-seconds"], "300");
    call.status(200, &[], "metadata-token").await;
    for (path, body) in [("", "my-role\n".to_owned()), ("my-role", keys("I", 3600))] {
        let call = server.upstream.call().await;
        assert_eq!(call.path, format!("/latest/meta-data/iam/security-credentials/{path}"));
        assert_eq!(call.headers["x-aws-ec2-metadata-token"], "metadata-token");
        call.status(200, &[], &body).await;
    }
    answer(&mut server, &mut client, "g1", ("I", "secret")).await;
}

#[tokio::test]
async fn an_identity_is_exchanged_for_keys() {
    let file = folder("identity").join("token");
    std::fs::write(&file, "jwt.a+b\n").unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r"),
        ("AWS_ENDPOINT_URL_STS", "{upstream}/sts"),
    ];
    let mut server = server(&variables).await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let call = server.upstream.call().await;
    let form = String::from_utf8(call.sent.clone()).unwrap();
    for field in ["Action=AssumeRoleWithWebIdentity", "RoleArn=arn%3Aaws%3Aiam", "WebIdentityToken=jwt%2Ea%2Bb"] {
        assert!(form.contains(field), "{form}");
    }
    let answered = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials>\
                    <SessionToken>a/b=</SessionToken><SecretAccessKey>secret</SecretAccessKey>\
                    <Expiration>2999-01-01T00:00:00Z</Expiration><AccessKeyId>W</AccessKeyId></Credentials>\
                    </AssumeRoleWithWebIdentityResponse>";
    call.status(200, &[], answered).await;
    answer(&mut server, &mut client, "g1", ("W", "secret")).await;
}

#[tokio::test]
async fn a_profile_has_keys() {
    let home = folder("profile");
    std::fs::write(home.join(".aws/credentials"), "[default]\naws_access_key_id = no\n[work]\naws_access_key_id = P\n")
        .unwrap();
    std::fs::write(home.join(".aws/config"), "[profile work]\nregion = x\naws_secret_access_key = secret\n").unwrap();
    let mut server = server(&[("HOME", home.to_str().unwrap()), ("AWS_PROFILE", "work")]).await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    answer(&mut server, &mut client, "g1", ("P", "secret")).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_prints_keys() {
    let home = folder("program");
    let keys = r#"{"Version":1,"AccessKeyId":"X","SecretAccessKey":"secret","Expiration":"2999-01-01T00:00:00Z"}"#;
    let profile = format!("[default]\ncredential_process = printf '%s' '{keys}'\n");
    std::fs::write(home.join(".aws/config"), profile).unwrap();
    let mut server = server(&[("HOME", home.to_str().unwrap())]).await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    answer(&mut server, &mut client, "g1", ("X", "secret")).await;
}

#[tokio::test]
async fn what_is_not_supported_names_a_way_out() {
    let home = folder("sso");
    std::fs::write(home.join(".aws/config"), "[profile work]\nsso_session = corp\n").unwrap();
    let server = server(&[("HOME", home.to_str().unwrap()), ("AWS_PROFILE", "work")]).await;
    let error = failure(&server).await;
    assert_eq!(error["code"], "authentication");
    assert!(error["message"].as_str().unwrap().contains("credential_process"), "{error}");
}

#[tokio::test]
async fn signed_reasoning_survives_a_tool_round_trip() {
    let mut server = server(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]).await;
    let mut client = server.client().await;
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    let more = json!({"tools": [{"type": "function", "function": function}], "reasoning_effort": "low"});
    client.send(with(ask("g1"), more)).await;
    let mut call = server.upstream.call().await;
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 4096}});
    assert_eq!(call.body["additionalModelRequestFields"], thinking);
    for piece in [json!({"text": "I should "}), json!({"text": "look."}), json!({"signature": "c2ln"})] {
        delta(&mut call, 0, json!({"reasoningContent": piece})).await;
    }
    event(&mut call, "contentBlockStop", json!({"contentBlockIndex": 0})).await;
    delta(&mut call, 1, json!({"text": "Let me see."})).await;
    let tool = json!({"toolUse": {"toolUseId": "tooluse_1", "name": "look"}});
    event(&mut call, "contentBlockStart", json!({"contentBlockIndex": 2, "start": tool})).await;
    delta(&mut call, 2, json!({"toolUse": {"input": "{\"at\":\"sky\"}"}})).await;
    event(&mut call, "contentBlockStop", json!({"contentBlockIndex": 2})).await;
    finish(call, "tool_use").await;
    assert_eq!(client.until("tool_wait").await["call_ids"], json!(["tooluse_1"]));
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "tooluse_1", "content": "blue"})).await;

    let mut call = server.upstream.call().await;
    verify(&call, ("A", "s"));
    assert_eq!(call.body["additionalModelRequestFields"], thinking);
    assert_eq!(
        call.body["messages"].as_array().unwrap()[1..],
        [
            json!({"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "I should look.", "signature": "c2ln"}}},
                {"text": "Let me see."},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"at": "sky"}}},
            ]}),
            json!({"role": "user", "content": [
                {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "blue"}]}},
            ]}),
        ]
    );
    delta(&mut call, 0, json!({"text": "Blue."})).await;
    finish(call, "end_turn").await;
    assert_eq!(client.end_of("g1").await["reason"], "stop");
}

#[tokio::test]
async fn frames_that_go_wrong_fail_the_generation() {
    let text = event_stream::event("contentBlockDelta", br#"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#);
    let stop = event_stream::event("messageStop", br#"{"stopReason":"end_turn"}"#);
    let mut damaged = stop.clone();
    damaged[20] ^= 1;
    let mut huge = vec![0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
    huge.extend_from_slice(&crc32fast::hash(&huge).to_be_bytes());
    let throttled = event_stream::exception("throttlingException", br#"{"message":"Too many tokens"}"#);
    let mut server = server(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]).await;
    let mut client = server.client().await;
    for (case, (frame, code)) in [
        (damaged.as_slice(), "provider_protocol"),
        (&huge, "provider_protocol"),
        (&stop[..stop.len() - 1], "truncated"),
        (&[], "truncated"),
        (&throttled, "rate_limit"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("g{case}");
        client.send(ask(&id)).await;
        let mut call = server.upstream.call().await;
        call.send(&text).await;
        client.until_text(&id, "Hi").await;
        if !frame.is_empty() {
            call.send(frame).await;
        }
        call.end().await;
        assert_eq!(client.end_of(&id).await["error"]["code"], code, "{case}");
        assert_eq!(client.text(&id), "Hi");
    }
}

#[tokio::test]
async fn refusals_before_a_stream_are_read() {
    let mut server = server(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]).await;
    let mut client = server.client().await;
    for (case, (status, message, code)) in [
        (403, "The security token included in the request is expired", "authentication"),
        (403, "User is not authorized to perform: bedrock:InvokeModelWithResponseStream", "permission"),
        (400, "The provided model identifier is invalid.", "invalid_request"),
        (400, "Input is too long for requested model.", "context_too_long"),
        (424, "The model failed", "provider_error"),
        (429, "Too many tokens, please wait before trying again.", "rate_limit"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("g{case}");
        client.send(ask(&id)).await;
        let body = json!({"message": message}).to_string();
        server.upstream.call().await.status(status, &[("content-type", "application/json")], &body).await;
        assert_eq!(client.end_of(&id).await["error"]["code"], code, "{message}");
    }
}
