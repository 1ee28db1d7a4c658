//! Promise: reasoning that only the provider can read survives a tool round trip of Responses.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{TestServer, provider_at, start, upstream::Call, with};

/// A server whose provider speaks Responses over HTTP.
async fn server() -> TestServer {
    TestServer::with(|config| {
        let at = config.providers["openai"].base_url.clone();
        let mut section = provider_at(([127, 0, 0, 1], 1).into());
        section.base_url = at;
        config.providers.insert("openai-responses".into(), section);
    })
    .await
}

fn ask(id: &str) -> Value {
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    let tools = json!([{"type": "function", "function": function}]);
    with(start(id), json!({"model": "openai-responses/gpt-5", "tools": tools}))
}

async fn send(call: &mut Call, event: Value) {
    let kind = event["type"].as_str().unwrap();
    call.send(format!("event: {kind}\ndata: {event}\n\n").as_bytes()).await;
}

/// Ends the response.
async fn complete(mut call: Call, output: Value) {
    let usage = json!({"input_tokens": 7, "output_tokens": 5});
    let response = json!({"id": "resp_1", "status": "completed", "output": output, "usage": usage});
    send(&mut call, json!({"type": "response.completed", "response": response})).await;
    call.end().await;
}

#[tokio::test]
async fn encrypted_reasoning_goes_back_with_its_calls() {
    let mut server = server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut call = server.upstream.call().await;
    assert_eq!(call.path, "/v1/responses");
    assert_eq!((&call.body["store"], &call.body["include"]), (&json!(false), &json!(["reasoning.encrypted_content"])));

    let summary = json!([{"type": "summary_text", "text": "Look first."}]);
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAAA"});
    let function =
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"});
    let delta = json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "Look first."});
    send(&mut call, delta).await;
    assert_eq!(client.until("reasoning").await["delta"], "Look first.");
    for (index, item) in [&reasoning, &function].into_iter().enumerate() {
        send(&mut call, json!({"type": "response.output_item.done", "output_index": index, "item": item})).await;
    }
    assert_eq!(client.until("tool_call").await["call_id"], "call_1");
    complete(call, json!([reasoning, function])).await;
    let native = client.until("native").await;
    assert_eq!((&native["provider"], &native["content"]), (&json!("openai-responses"), &json!([reasoning, function])));
    client.until("tool_wait").await;
    client.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "blue"})).await;

    let mut call = server.upstream.call().await;
    assert_eq!(
        call.body["input"],
        json!([
            {"role": "user", "content": "Hello"},
            reasoning,
            function,
            {"type": "function_call_output", "call_id": "call_1", "output": "blue"},
        ])
    );
    send(&mut call, json!({"type": "response.output_text.delta", "output_index": 0, "delta": "It is blue."})).await;
    complete(call, json!([])).await;
    let end = client.end_of("g1").await;
    assert_eq!((&end["type"], &end["reason"]), (&json!("finished"), &json!("stop")));
    assert_eq!(end["provider_reason"], "completed");
}

#[tokio::test]
async fn what_the_provider_runs_itself_is_told_and_not_waited_for() {
    let mut server = server().await;
    let mut client = server.client().await;
    client.send(ask("g1")).await;
    let mut call = server.upstream.call().await;
    let begun = json!({"type": "web_search_call", "id": "ws_1", "status": "in_progress"});
    let done = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}});
    send(&mut call, json!({"type": "response.output_item.added", "output_index": 0, "item": begun})).await;
    let told = client.until("server_tool_call").await;
    assert_eq!((&told["call_id"], &told["name"]), (&json!("ws_1"), &json!("web_search")));
    send(&mut call, json!({"type": "response.output_item.done", "output_index": 0, "item": done})).await;
    assert_eq!(client.until("server_tool_result").await["result"], done);

    let image = json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="});
    send(&mut call, json!({"type": "response.output_item.done", "output_index": 1, "item": image})).await;
    let media = client.until("media").await;
    assert_eq!((&media["media_type"], &media["data"]), (&json!("image/png"), &json!("aGk=")));
    let result = client.until("server_tool_result").await["result"].clone();
    assert_eq!(result, json!({"type": "image_generation_call", "id": "ig_1", "status": "completed"}));

    let annotation = json!({"type": "url_citation", "url": "https://example.com", "title": "E", "start_index": 0});
    let added = json!({"type": "response.output_text.annotation.added", "output_index": 2, "annotation": annotation});
    send(&mut call, added).await;
    let citation = client.until("citation").await;
    assert_eq!((&citation["url"], &citation["title"]), (&json!("https://example.com"), &json!("E")));
    assert_eq!(citation["source"], annotation);
    complete(call, json!([])).await;
    assert_eq!(client.until("native").await["content"], json!([done, image]));
    assert_eq!(client.end_of("g1").await["reason"], "stop");
}

#[tokio::test]
async fn likelihoods_and_audio_are_told() {
    let mut server = server().await;
    let mut client = server.client().await;
    client.send(with(ask("g1"), json!({"logprobs": true, "top_logprobs": 1}))).await;
    let mut call = server.upstream.call().await;
    let token =
        json!({"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Ho", "logprob": -1}]});
    let delta = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi", "logprobs": [token]});
    send(&mut call, delta).await;
    let tokens = client.until("logprobs").await["tokens"].clone();
    assert_eq!(tokens, json!([{"token": "Hi", "logprob": -0.5, "top": [{"token": "Ho", "logprob": -1.0}]}]));
    send(&mut call, json!({"type": "response.audio.delta", "delta": "AAAA"})).await;
    let media = client.until("media").await;
    assert_eq!((&media["index"], &media["data"], &media["has_more"]), (&json!(0), &json!("AAAA"), &json!(true)));
    send(&mut call, json!({"type": "response.audio.done"})).await;
    assert_eq!(client.until("media").await.get("has_more"), None);
    complete(call, json!([])).await;
    client.end_of("g1").await;
}
