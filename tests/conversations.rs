//! Promise: who watches a conversation sees every generation of any device, with the messages that started it, live or
//! after a cursor; nobody else does, except to look on with a token that the owner made.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Client, TestServer, http::http, key, start, upstream::Call, with, within};
use tokenwire::config::Config;

const ANN: &str = "key-of-ann-000001";
const BOB: &str = "key-of-bob-000001";

async fn two_principals(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.auth.keys = vec![key("ann", ANN), key("bob", BOB)];
        change(config);
    })
    .await
}

/// A start in the conversation `c1` that says `text`.
fn say(id: &str, text: &str) -> Value {
    say_in("c1", id, text)
}

fn say_in(conversation: &str, id: &str, text: &str) -> Value {
    with(start(id), json!({"conversation": conversation, "messages": [{"role": "user", "content": text}]}))
}

async fn get(server: &TestServer, path: &str) -> Value {
    let (status, body) = http(server.address, ANN, "GET", path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// Runs a generation of `client`'s to its end, with this answer.
async fn run(server: &mut TestServer, client: &mut Client, start: Value, answer: &str) {
    let id = start["id"].as_str().unwrap().to_owned();
    client.send(start).await;
    let mut call = server.upstream.call().await;
    call.text(answer).await;
    call.finish().await;
    client.end_of(&id).await;
}

/// Reads a change of a generation, and all of its events.
async fn read_generation(client: &mut Client, id: &str) -> Value {
    let change = client.expect("conversation").await;
    assert_eq!((&change["change"], &change["id"]), (&json!("generation"), &json!(id)));
    assert_eq!(client.expect("started").await["id"], id);
    client.end_of(id).await;
    change
}

/// Frames in the order in which they come, until each type was there.
async fn until_all(client: &mut Client, kinds: &[&str]) -> Vec<Value> {
    let mut frames: Vec<Value> = Vec::new();
    while !kinds.iter().all(|kind| frames.iter().any(|frame| frame["type"] == *kind)) {
        frames.push(client.next().await);
    }
    frames
}

#[tokio::test]
async fn two_devices_see_each_others_generations_live_with_their_messages() {
    let mut server = TestServer::start().await;
    let (mut phone, mut laptop) = (server.client().await, server.client().await);
    // A page is open before anything was said.
    phone.watch("c1", 0).await;
    laptop.watch("c1", 0).await;
    phone.nothing_comes().await;
    laptop.nothing_comes().await;

    phone.send(say("g1", "From the phone")).await;
    let mut call = server.upstream.call().await;
    // Also who started it sees the change, once, and is attached to it once.
    let frames = until_all(&mut phone, &["conversation", "started"]).await;
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert_eq!(frames[0]["type"], "conversation", "the change comes first");
    let change = laptop.expect("conversation").await;
    assert_eq!(change, frames[0]);
    assert_eq!(change["messages"], json!([{"role": "user", "content": "From the phone"}]));
    assert_eq!((&change["seq"], &change["model"]), (&json!(1), &json!(support::MODEL)));
    assert_eq!(laptop.expect("started").await["id"], "g1");
    call.text("Hi").await;
    phone.until_text("g1", "Hi").await;
    laptop.until_text("g1", "Hi").await;

    // The other one starts another while the first runs.
    laptop.send(say("g2", "From the laptop")).await;
    let mut second = server.upstream.call().await;
    assert_eq!(phone.expect("conversation").await["messages"][0]["content"], "From the laptop");
    assert_eq!(phone.expect("started").await["id"], "g2");
    second.text("Hello").await;
    phone.until_text("g2", "Hello").await;
    laptop.until_text("g2", "Hello").await;
    second.finish().await;
    call.finish().await;
    for client in [&mut phone, &mut laptop] {
        let mut ended = vec![client.next().await, client.next().await, client.next().await, client.next().await];
        ended.retain(|frame| frame["type"] == "finished");
        assert_eq!(ended.len(), 2);
        client.nothing_comes().await;
    }
    // Either may cancel.
    phone.send(say("g3", "Again")).await;
    let mut third = server.upstream.call().await;
    laptop.until("started").await;
    laptop.cancel("g3").await;
    third.closed().await;
    assert_eq!(phone.end_of("g3").await["type"], "cancelled");
}

#[tokio::test]
async fn a_cursor_resumes_without_a_gap_or_a_repeat() {
    let mut server = TestServer::start().await;
    let mut phone = server.client().await;
    phone.watch("c1", 0).await;
    phone.nothing_comes().await;
    run(&mut server, &mut phone, say("g1", "One"), "1").await;
    phone.close().await;
    let mut laptop = server.client().await;
    for (id, text) in [("g2", "Two"), ("g3", "Three")] {
        run(&mut server, &mut laptop, say(id, text), "x").await;
    }
    let mut phone = server.client().await;
    phone.watch("c1", 1).await;
    for (seq, id) in [(2, "g2"), (3, "g3")] {
        assert_eq!(read_generation(&mut phone, id).await["seq"], seq);
    }
    phone.nothing_comes().await;
    run(&mut server, &mut laptop, say("g4", "Four"), "x").await;
    let epoch = read_generation(&mut phone, "g4").await["epoch"].clone();
    // Watching again moves the cursor, unwatching ends it.
    phone.watch("c1", 3).await;
    read_generation(&mut phone, "g4").await;
    phone.send(json!({"type": "unwatch", "conversation": "c1"})).await;
    phone.nothing_comes().await;
    run(&mut server, &mut laptop, say("g5", "Five"), "x").await;
    phone.nothing_comes().await;
    // A position that is known goes on; one of another epoch, or beyond the end, is of a past that is lost.
    phone.send(json!({"type": "watch", "conversation": "c1", "after": 4, "epoch": epoch})).await;
    read_generation(&mut phone, "g5").await;
    for lost in [json!({"after": 4, "epoch": "other"}), json!({"after": 99})] {
        phone.send(with(json!({"type": "watch", "conversation": "c1"}), lost)).await;
        // What the test's client knows of the old position is wrong, too.
        phone.forget_position("c1");
        for id in ["g1", "g2", "g3", "g4", "g5"] {
            read_generation(&mut phone, id).await;
        }
    }
}

#[tokio::test]
async fn a_long_past_is_read_one_generation_after_the_other() {
    const GENERATIONS: usize = 12;
    let mut server = TestServer::with(|config| config.limits.max_attachments = 2).await;
    let mut laptop = server.client().await;
    let long = "x".repeat(50_000);
    for n in 0..GENERATIONS {
        run(&mut server, &mut laptop, say(&format!("g{n}"), "Hello"), &long).await;
    }
    laptop.send(say("live", "Hello")).await;
    laptop.until("started").await;
    let mut phone = server.client().await;
    phone.watch("c1", 0).await;
    for n in 0..GENERATIONS {
        read_generation(&mut phone, &format!("g{n}")).await;
        assert_eq!(phone.text(&format!("g{n}")), long);
    }
    phone.expect("conversation").await;
    assert_eq!(phone.expect("started").await["id"], "live");
    // Where there is no room, the change comes alone.
    phone.send(start("own")).await;
    phone.expect("started").await;
    laptop.send(say("more", "Hello")).await;
    laptop.until("started").await;
    assert_eq!(phone.expect("conversation").await["id"], "more");
    phone.nothing_comes().await;
    // And so do conversations have a bound of their own.
    phone.watch("c2", 0).await;
    phone.watch("c3", 0).await;
    let error = phone.expect("error").await;
    assert_eq!((&error["code"], &error["conversation"]), (&json!("too_many_attachments"), &json!("c3")));
}

#[tokio::test]
async fn renaming_and_deleting_are_seen_and_deleting_cancels() {
    let mut server = two_principals(|_| {}).await;
    let mut ann = server.client_with_key(ANN).await;
    let mut other = server.client_with_key(ANN).await;
    other.watch("c1", 0).await;
    ann.send(say("g1", "  What is the\n capital of France, and of each of the countries around it? ")).await;
    let mut call = server.upstream.call().await;
    ann.until("started").await;
    other.until("started").await;
    let title = "What is the capital of France, and of each of the countries";
    assert_eq!(get(&server, "/v1/conversations").await["data"][0]["title"], title);
    let patch = |title: Value| http(server.address, ANN, "PATCH", "/v1/conversations/c1", title);
    let (status, renamed) = patch(json!({"title": " Capitals "})).await;
    assert_eq!((status, &renamed["title"], &renamed["running"]), (200, &json!("Capitals"), &json!(1)));
    let change = other.expect("conversation").await;
    assert_eq!((&change["change"], &change["title"]), (&json!("renamed"), &json!("Capitals")));
    for wrong in [json!({"title": " "}), json!({"title": 5}), json!({}), json!({"title": "x".repeat(201)}), Value::Null]
    {
        let (status, body) = patch(wrong).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_field")));
    }
    let (status, _) = patch(json!({"title": "x".repeat(100_000)})).await;
    assert_eq!(status, 400);

    let (status, _) = http(server.address, ANN, "DELETE", "/v1/conversations/c1", Value::Null).await;
    assert_eq!(status, 204);
    call.closed().await;
    let frames = until_all(&mut other, &["conversation", "cancelled"]).await;
    assert!(frames.iter().any(|frame| frame["change"] == "deleted" && frame["seq"] == 3), "{frames:?}");
    assert_eq!(ann.end_of("g1").await["by"], "client");
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/share"), ("DELETE", "/share")] {
        let (status, body) = http(server.address, ANN, method, &format!("/v1/conversations/c1{path}"), json!({})).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("conversation_not_found")), "{method} {path}");
    }
    assert_eq!(get(&server, "/v1/conversations").await, json!({"data": []}));
    // The name is free again, for another one.
    other.watch("c1", 3).await;
    other.forget_position("c1");
    run(&mut server, &mut ann, say("g2", "Anew"), "x").await;
    assert_eq!(read_generation(&mut other, "g2").await["seq"], 1);
}

#[tokio::test]
async fn lists_and_history_come_in_pages() {
    let mut server = two_principals(|_| {}).await;
    let mut ann = server.client_with_key(ANN).await;
    for name in ["a", "b", "c"] {
        run(&mut server, &mut ann, say_in(name, &format!("g-{name}"), name), "x").await;
    }
    // The last one that something happened in comes first.
    run(&mut server, &mut ann, say_in("a", "more", "And?"), "Well.").await;
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&get(&server, "/v1/conversations").await), ["a", "c", "b"]);
    let first = get(&server, "/v1/conversations?limit=2").await;
    assert_eq!(ids(&first), ["a", "c"]);
    let one = &first["data"][0];
    assert_eq!(one["latest"], "more");
    assert_eq!((&one["title"], &one["generations"], &one["running"]), (&json!("a"), &json!(2), &json!(0)));
    assert!(one["created_at"].as_u64().unwrap() <= one["updated_at"].as_u64().unwrap());
    let second = get(&server, &format!("/v1/conversations?limit=2&cursor={}", first["next"])).await;
    assert_eq!((ids(&second), &second["next"]), (vec!["b".to_owned()], &Value::Null));

    ann.send(say_in("a", "running", "Go on")).await;
    let mut call = server.upstream.call().await;
    call.text("So").await;
    ann.until_text("running", "So").await;
    let history = get(&server, "/v1/conversations/a?limit=2").await;
    let entry = &history["data"][1];
    assert_eq!(entry["messages"], json!([{"role": "user", "content": "And?"}]));
    for (field, value) in [
        ("id", json!("more")),
        ("seq", json!(2)),
        ("model", json!(support::MODEL)),
        ("state", json!("finished")),
        ("text", json!("Well.")),
        ("finish_reason", json!("stop")),
    ] {
        assert_eq!(entry[field], value, "{field}");
    }
    assert_eq!((&entry["usage"]["input_tokens"], &entry["usage"]["output_tokens"]), (&json!(7), &json!(5)));
    let rest = get(&server, &format!("/v1/conversations/a?limit=2&after={}", history["next"])).await;
    assert_eq!((ids(&rest), &rest["next"]), (vec!["running".to_owned()], &Value::Null));
    assert_eq!((&rest["data"][0]["state"], &rest["data"][0]["text"]), (&json!("running"), &json!("So")));
    // Where the last page ends, watching goes on.
    let mut other = server.client_with_key(ANN).await;
    let watch = json!({"type": "watch", "conversation": "a", "after": rest["seq"], "epoch": rest["epoch"]});
    other.send(watch).await;
    other.nothing_comes().await;
    run(&mut server, &mut ann, say_in("a", "next", "More"), "x").await;
    read_generation(&mut other, "next").await;
    for wrong in ["?limit=0", "?limit=x", "?cursor=-1"] {
        let (status, _) = http(server.address, ANN, "GET", &format!("/v1/conversations{wrong}"), Value::Null).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn history_has_tool_calls_results_and_applied_input_at_their_place() {
    let mut server = two_principals(|config| config.retention.seconds = 1).await;
    let mut ann = server.client_with_key(ANN).await;
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    ann.watch("c1", 0).await;
    ann.send(with(say("g1", "Where?"), json!({"tools": [{"type": "function", "function": function}]}))).await;
    let mut call = server.upstream.call().await;
    call.text("I look.").await;
    call.tool_call(0, "call_1", "look", r#"{"at":1}"#).await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    ann.until("tool_wait").await;
    ann.send(json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "a cat"})).await;
    let mut call = server.upstream.call().await;
    call.text("A cat").await;
    ann.until_text("g1", "I look.A cat").await;
    let input = |text: &str, interrupt: bool| {
        let messages = json!([{"role": "user", "content": text}]);
        json!({"type": "input", "id": "g1", "interrupt": interrupt, "messages": messages})
    };
    ann.send(input("Which one?", true)).await;
    ann.until("input").await;
    let mut call = server.upstream.call().await;
    call.text("Tom.").await;
    ann.until_text("g1", "I look.A catTom.").await;
    ann.send(input("Too late", false)).await;
    ann.until("input_accepted").await;
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let called = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": r#"{"at":1}"#}});
    let expected = json!([
        with(said("assistant", "I look."), json!({"tool_calls": [called]})),
        with(said("tool", "a cat"), json!({"tool_call_id": "call_1"})),
        said("assistant", "A cat"),
        said("user", "Which one?"),
        said("assistant", "Tom."),
    ]);
    let entry = |history: Value| history["data"][0].clone();
    let running = entry(get(&server, "/v1/conversations/c1").await);
    assert_eq!((&running["state"], &running["answer"]), (&json!("running"), &expected));
    assert_eq!(running["text"], "I look.A catTom.");
    ann.cancel("g1").await;
    ann.end_of("g1").await;
    // What was dropped was not said.
    let ended = entry(get(&server, "/v1/conversations/c1").await);
    assert_eq!((&ended["state"], &ended["answer"]), (&json!("cancelled"), &expected));
    // And all of it stays when the log goes.
    run(&mut server, &mut ann, say_in("unwatched", "g2", "Two"), "x").await;
    until_listed(&server, &["c1"]).await;
    ann.attach("g1", 0).await;
    assert_eq!(ann.until_error().await["code"], "generation_not_found");
    assert_eq!(entry(get(&server, "/v1/conversations/c1").await), ended);
}

#[tokio::test]
async fn nobody_sees_somebody_elses() {
    let mut server = two_principals(|_| {}).await;
    let mut ann = server.client_with_key(ANN).await;
    let mut bob = server.client_with_key(BOB).await;
    bob.watch("c1", 0).await;
    bob.nothing_comes().await;
    run(&mut server, &mut ann, say("g1", "Secret"), "x").await;
    // The same name is another conversation.
    bob.nothing_comes().await;
    for method in ["GET", "PATCH", "DELETE"] {
        let (status, body) = http(server.address, BOB, method, "/v1/conversations/c1", json!({"title": "Bob's"})).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("conversation_not_found")), "{method}");
    }
    let (status, list) = http(server.address, BOB, "GET", "/v1/conversations", Value::Null).await;
    assert_eq!((status, list), (200, json!({"data": []})));
    let (status, _) = http(server.address, "no-such-key-000001", "GET", "/v1/conversations", Value::Null).await;
    assert_eq!(status, 401);
    bob.send(json!({"type": "watch", "conversation": "c1", "share": "guessed"})).await;
    let error = bob.expect("error").await;
    assert_eq!((&error["code"], &error["conversation"]), (&json!("conversation_not_found"), &json!("c1")));
    assert_eq!(get(&server, "/v1/conversations/c1").await["title"], "Secret");
}

/// Makes a token for `c1` of Ann's.
async fn share(server: &TestServer) -> String {
    let (status, shared) = http(server.address, ANN, "POST", "/v1/conversations/c1/share", Value::Null).await;
    assert_eq!(status, 200);
    shared["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_lets_others_look_on_and_nothing_else() {
    let mut server = two_principals(|config| config.timeouts.disconnect_grace_ms = 0).await;
    let mut ann = server.client_with_key(ANN).await;
    run(&mut server, &mut ann, say("g1", "One"), "1").await;
    let token = share(&server).await;
    assert!(token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let mut bob = server.client_with_key(BOB).await;
    let watch = json!({"type": "watch", "conversation": "c1", "share": token});
    bob.send(with(watch.clone(), json!({"conversation": "c2"}))).await;
    assert_eq!(bob.expect("error").await["code"], "conversation_not_found", "the token is that of one conversation");
    bob.send(watch.clone()).await;
    read_generation(&mut bob, "g1").await;
    for (path, token, status) in [("c1", &*token, 200), ("c2", &token, 404), ("c1", "x", 404)] {
        let header = format!("{BOB}\r\ntokenwire-share: {token}");
        let path = format!("/v1/conversations/{path}");
        let (answer, history) = http(server.address, &header, "GET", &path, Value::Null).await;
        assert_eq!(answer, status, "{path}");
        assert_eq!(history["data"][0]["text"] == "1", status == 200, "{history}");
        // It lets nobody change anything.
        let (answer, _) = http(server.address, &header, "DELETE", &path, Value::Null).await;
        assert_eq!(answer, 404, "{path}");
    }
    ann.send(say("g2", "Two")).await;
    let mut call = server.upstream.call().await;
    ann.until("started").await;
    bob.until("started").await;
    for frame in [
        json!({"type": "attach", "after": 1}),
        json!({"type": "tool_result", "call_id": "call_1", "content": "x"}),
        json!({"type": "approve", "call_id": "call_1"}),
        json!({"type": "deny", "call_id": "call_1"}),
        json!({"type": "input", "messages": [{"role": "user", "content": "x"}]}),
        json!({"type": "start", "id": "g3", "continue_from": "g1", "model": support::MODEL, "messages": []}),
    ] {
        let frame = with(json!({"id": "g2"}), frame);
        bob.send_unchecked(frame.clone()).await;
        assert_eq!(bob.expect("error").await["code"], "generation_not_found", "{frame}");
    }
    for frame in [json!({"type": "cancel", "id": "g2"}), json!({"type": "cancel", "all": true})] {
        bob.send(frame).await;
        bob.nothing_comes().await;
    }
    call.text("Hi").await;
    ann.until_text("g2", "Hi").await;
    bob.until_text("g2", "Hi").await;
    // A viewer keeps nothing running.
    ann.close().await;
    call.closed().await;
    let end = bob.end_of("g2").await;
    assert_eq!((&end["type"], &end["by"]), (&json!("cancelled"), &json!("disconnect")));
}

#[tokio::test]
async fn ones_own_generation_comes_in_place_of_one_of_that_name_that_is_only_looked_at() {
    let mut server = two_principals(|_| {}).await;
    let mut ann = server.client_with_key(ANN).await;
    ann.send(say("g1", "One")).await;
    let mut anns = server.upstream.call().await;
    let epoch = ann.until("started").await["epoch"].clone();
    let mut bob = server.client_with_key(BOB).await;
    bob.send(json!({"type": "watch", "conversation": "c1", "share": share(&server).await})).await;
    bob.expect("conversation").await;
    assert_eq!(bob.expect("started").await["epoch"], epoch);
    bob.expect_from("g1".to_owned(), 0);
    bob.send_unchecked(start("g1")).await;
    assert_ne!(bob.expect("started").await["epoch"], epoch);
    let mut bobs = server.upstream.call().await;
    anns.text("for ann").await;
    ann.until_text("g1", "for ann").await;
    bob.nothing_comes().await;
    bob.cancel("g1").await;
    bobs.closed().await;
    bob.end_of("g1").await;
    anns.finish().await;
    assert_eq!(ann.end_of("g1").await["type"], "finished");
}

#[tokio::test]
async fn a_token_that_was_taken_back_puts_its_viewers_out() {
    let mut server = two_principals(|_| {}).await;
    let mut ann = server.client_with_key(ANN).await;
    ann.send(say("g1", "One")).await;
    let mut call = server.upstream.call().await;
    ann.until("started").await;
    for is_replaced in [true, false] {
        let watch = json!({"type": "watch", "conversation": "c1", "share": share(&server).await});
        let mut bob = server.client_with_key(BOB).await;
        bob.send(watch.clone()).await;
        bob.expect("conversation").await;
        bob.expect("started").await;
        if is_replaced {
            share(&server).await;
        } else {
            let (status, _) = http(server.address, ANN, "DELETE", "/v1/conversations/c1/share", Value::Null).await;
            assert_eq!(status, 204);
        }
        assert_eq!(bob.until_error().await["conversation"], "c1");
        call.text("Secret").await;
        ann.until("text").await;
        bob.nothing_comes().await;
        bob.send(watch).await;
        assert_eq!(bob.expect("error").await["code"], "conversation_not_found");
    }
}

#[tokio::test]
async fn a_repeated_start_is_one_change() {
    let mut server = TestServer::start().await;
    let (mut phone, mut laptop) = (server.client().await, server.client().await);
    laptop.watch("c1", 0).await;
    phone.send(say("g1", "Hello")).await;
    let call = server.upstream.call().await;
    phone.until("started").await;
    let mut again = server.client().await;
    again.send(say("g1", "Hello")).await;
    again.until("started").await;
    call.finish().await;
    read_generation(&mut laptop, "g1").await;
    laptop.nothing_comes().await;
    // One that was refused is none.
    phone.send(with(say("g2", "Hello"), json!({"model": "nobody/nothing"}))).await;
    phone.until_error().await;
    laptop.nothing_comes().await;
}

async fn until_listed(server: &TestServer, expected: &[&str]) {
    let looking = async {
        loop {
            let list = get(server, "/v1/conversations").await;
            let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
            if ids == expected {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within("another list", looking).await;
}

#[tokio::test]
async fn it_outlives_the_logs_of_its_generations_and_is_forgotten_after_the_last() {
    let mut server = two_principals(|config| config.retention.seconds = 1).await;
    let mut ann = server.client_with_key(ANN).await;
    run(&mut server, &mut ann, say("g1", "One"), "The answer").await;
    let mut watcher = server.client_with_key(ANN).await;
    watcher.watch("c1", 0).await;
    read_generation(&mut watcher, "g1").await;
    run(&mut server, &mut ann, say_in("unwatched", "g2", "Two"), "x").await;
    until_listed(&server, &["c1"]).await;
    // The log is gone; what was said is not.
    ann.attach("g1", 0).await;
    assert_eq!(ann.until_error().await["code"], "generation_not_found");
    let entry = &get(&server, "/v1/conversations/c1").await["data"][0];
    assert_eq!((&entry["text"], &entry["finish_reason"]), (&json!("The answer"), &json!("stop")));
    watcher.watch("c1", 0).await;
    assert_eq!(watcher.expect("conversation").await["id"], "g1");
    watcher.nothing_comes().await;
    watcher.close().await;
    until_listed(&server, &[]).await;
}

#[tokio::test]
async fn a_long_answer_is_whole_in_history_when_little_of_its_log_is_kept() {
    let mut server = two_principals(|config| config.retention.log_bytes = 100).await;
    let mut ann = server.client_with_key(ANN).await;
    let answer = "A long answer. ".repeat(100);
    run(&mut server, &mut ann, say("g1", "One"), &answer).await;
    // Its end is read before the log is shortened.
    let shortened = async {
        loop {
            ann.attach("g1", 0).await;
            if ann.next().await["code"] == "gap" {
                break;
            }
            ann.end_of("g1").await;
        }
    };
    within("a shorter log", shortened).await;
    let entry = &get(&server, "/v1/conversations/c1").await["data"][0];
    assert_eq!((&entry["text"], &entry["answer"][0]["content"]), (&json!(answer), &json!(answer)));
    assert_eq!(entry["finish_reason"], "stop");
    // And what goes on with it has it, too.
    ann.send(with(say("g2", "Two"), json!({"continue_from": "g1"}))).await;
    let call = server.upstream.call().await;
    assert_eq!(call.body["messages"][1]["content"], answer);
    call.finish().await;
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many() {
    let mut server = two_principals(|config| config.retention.conversations = 2).await;
    let (mut ann, mut bob) = (server.client_with_key(ANN).await, server.client_with_key(BOB).await);
    run(&mut server, &mut bob, say_in("bobs", "g1", "x"), "x").await;
    let mut watcher = server.client_with_key(ANN).await;
    watcher.watch("b", 0).await;
    watcher.nothing_comes().await;
    for (name, id) in [("a", "g1"), ("b", "g2"), ("a", "g3"), ("c", "g4")] {
        run(&mut server, &mut ann, say_in(name, id, name), "x").await;
    }
    until_listed(&server, &["c", "a"]).await;
    read_generation(&mut watcher, "g2").await;
    assert_eq!(watcher.expect("conversation").await["change"], "deleted");
    let (_, bobs) = http(server.address, BOB, "GET", "/v1/conversations", Value::Null).await;
    assert_eq!(bobs["data"][0]["id"], "bobs", "somebody else's are not counted");
}

#[tokio::test]
async fn bytes_are_bounded_of_one_and_of_all() {
    let mut server = two_principals(|config| {
        config.retention.conversation_bytes = 25_000;
        config.retention.total_conversation_bytes = 60_000;
    })
    .await;
    let mut ann = server.client_with_key(ANN).await;
    let long = "x".repeat(10_000);
    for n in 0..4 {
        run(&mut server, &mut ann, say_in("a", &format!("a{n}"), &long), "x").await;
    }
    // The oldest changes of it are gone; positions stay what they were.
    let history = get(&server, "/v1/conversations/a").await;
    let seqs: Vec<_> = history["data"].as_array().unwrap().iter().map(|entry| entry["seq"].clone()).collect();
    assert_eq!(seqs, [3, 4]);
    let mut watcher = server.client_with_key(ANN).await;
    watcher.watch("a", 1).await;
    read_generation(&mut watcher, "a2").await;
    read_generation(&mut watcher, "a3").await;
    for name in ["b", "c"] {
        for n in 0..2 {
            run(&mut server, &mut ann, say_in(name, &format!("{name}{n}"), &long), "x").await;
        }
    }
    until_listed(&server, &["c", "b"]).await;
}

#[tokio::test]
async fn draining_lets_watchers_see_the_end() {
    let mut server = TestServer::start().await;
    let (mut phone, mut laptop) = (server.client().await, server.client().await);
    laptop.watch("c1", 0).await;
    phone.send(say("g1", "Hello")).await;
    let call = server.upstream.call().await;
    phone.until("started").await;
    laptop.until("started").await;
    server.shut_down();
    laptop.until("going_away").await;
    call.finish().await;
    laptop.end_of("g1").await;
    assert_eq!(u16::from(laptop.closed().await.code), 4001);
    phone.closed().await;
    server.stopped().await;
}

/// Says as much as the kernels between a server and a client with a small buffer do not keep.
async fn flood(client: &mut Client, calls: &mut Vec<Call>, server: &mut TestServer) -> usize {
    const CHANGES: usize = 20;
    for n in 0..CHANGES {
        client.send(say(&format!("g{n}"), &"x".repeat(800_000))).await;
        client.until("started").await;
        calls.push(server.upstream.call().await);
    }
    CHANGES
}

#[tokio::test]
async fn one_that_does_not_read_holds_up_nobody_and_gets_the_rest_later() {
    let mut server = TestServer::with(|config| {
        config.limits.write_timeout_seconds = 60;
        config.retention.conversation_bytes = 64 << 20;
    })
    .await;
    let mut stalled = Client::connect_with_small_buffer(server.address).await;
    stalled.watch("c1", 0).await;
    stalled.nothing_comes().await;
    let mut ann = server.client().await;
    let mut calls = Vec::new();
    let changes = flood(&mut ann, &mut calls, &mut server).await;
    let mut other = server.client().await;
    other.watch("c1", 0).await;
    for client in [&mut other, &mut stalled] {
        let mut seen = 0;
        while seen < changes {
            let frame = client.next().await;
            seen += usize::from(frame["type"] == "conversation");
        }
    }
    // Its commands were read all the time, and everything is live again.
    stalled.cancel("g0").await;
    calls[0].closed().await;
    assert_eq!(ann.end_of("g0").await["type"], "cancelled");
    assert_eq!(stalled.end_of("g0").await["type"], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_devices_on_many_threads_see_everything_once_and_in_the_same_order() {
    const DEVICES: usize = 4;
    const EACH: usize = 10;
    let mut server = TestServer::with(|config| config.workers = DEVICES).await;
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        let mut device = server.client().await;
        device.watch("c1", 0).await;
        device.nothing_comes().await;
        devices.push(device);
    }
    let talking = devices.into_iter().enumerate().map(|(device, mut client)| {
        tokio::spawn(async move {
            for n in 0..EACH {
                client.send(say(&format!("g{device}-{n}"), "Hello")).await;
            }
            let (mut order, mut ends) = (Vec::new(), 0);
            while order.len() < DEVICES * EACH || ends < DEVICES * EACH {
                let frame = client.next().await;
                match frame["type"].as_str().unwrap() {
                    "conversation" => order.push((frame["seq"].as_u64().unwrap(), frame["id"].clone())),
                    "finished" => ends += 1,
                    "started" | "text" | "usage" => {}
                    other => panic!("{other}: {frame}"),
                }
            }
            client.nothing_comes().await;
            order
        })
    });
    let talking: Vec<_> = talking.collect();
    for _ in 0..DEVICES * EACH {
        let mut call = server.upstream.call().await;
        call.text("Hi").await;
        call.finish().await;
    }
    let mut orders = Vec::new();
    for device in talking {
        orders.push(within("a device", device).await.unwrap());
    }
    assert!(orders[0].iter().map(|(seq, _)| *seq).eq(1..=(DEVICES * EACH) as u64));
    assert!(orders.iter().all(|order| *order == orders[0]));
}

#[tokio::test]
async fn what_was_said_stays_when_others_only_watch() {
    let mut server = two_principals(|config| config.retention.conversations = 2).await;
    let mut ann = server.client_with_key(ANN).await;
    run(&mut server, &mut ann, say("g1", "One"), "x").await;
    for n in 0..50 {
        ann.watch(&format!("empty-{n}"), 0).await;
        ann.send(json!({"type": "unwatch", "conversation": format!("empty-{n}")})).await;
        ann.nothing_comes().await;
    }
    assert_eq!(get(&server, "/v1/conversations").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_of_history_has_few_of_what_is_long() {
    let mut server = two_principals(|_| {}).await;
    let mut ann = server.client_with_key(ANN).await;
    let long = "x".repeat(900_000);
    for n in 1..=7 {
        run(&mut server, &mut ann, say(&format!("g{n}"), &long), "y").await;
    }
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = get(&server, &format!("/v1/conversations/c1?after={after}")).await;
        assert!(page.to_string().len() < 5 << 20);
        seen.extend(page["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_u64() else { break };
        after = next;
    }
    assert_eq!(seen, ["g1", "g2", "g3", "g4", "g5", "g6", "g7"]);
    assert!(after > 0);
}
