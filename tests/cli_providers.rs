//! `tokenwire providers`, as a user runs it.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod support;

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use support::{Upstream, within};
use tokio::process::Command;

/// The command without the variables of whoever runs the tests, and without a file of theirs.
fn providers(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwire"));
    command.args(["providers", "--config", "/dev/null"]).args(args);
    command.env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    within("the end of the command", providers(args, variables).output()).await.unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn parsed(output: &Output) -> Vec<Value> {
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    printed["providers"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_provider_is_shown_and_why_it_is_on_or_off() {
    let variables = [("OPENAI_API_KEY", "hunter2"), ("VLLM_BASE_URL", "http://user:hunter2@127.0.0.1:1/hunter2")];
    let shown = run(&[], &variables).await;
    assert!(shown.status.success());
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = stdout(&shown).lines().map(words).collect();
    assert_eq!(lines[0], "provider state wire format address auth models why");
    assert_eq!(lines[1], "demo on built in - none 4 built in");
    for expected in [
        "openai on openai-chat https://api.openai.com 1 key 4 key from OPENAI_API_KEY",
        "vllm on openai-chat http://127.0.0.1:1 none - no key, base URL from VLLM_BASE_URL",
        "anthropic off anthropic https://api.anthropic.com key - set ANTHROPIC_API_KEY",
        "lmstudio off openai-chat http://localhost:1234 none - set LMSTUDIO_BASE_URL, or give it a section in the file",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{}", stdout(&shown));
    }
    let first_off = lines.iter().position(|line| line.contains(" off ")).unwrap();
    assert!(lines[first_off..].iter().all(|line| line.contains(" off ")), "those that are on come first");
    assert!(!stdout(&shown).contains("hunter2"));
    assert_eq!(stderr(&shown), "");

    let shown = run(&["--json"], &variables).await;
    let all = parsed(&shown);
    assert_eq!(all.len(), lines.len() - 1);
    let openai = all.iter().find(|provider| provider["name"] == "openai").unwrap();
    assert_eq!((&openai["on"], &openai["keys"], &openai["authentication"]), (&json!(true), &json!(1), &json!("key")));
    assert!(openai.get("try").is_none());
    assert!(!stdout(&shown).contains("hunter2"));
}

#[tokio::test]
async fn those_that_are_named_are_shown_in_full() {
    let shown = run(&["demo", "groq"], &[]).await;
    let lines: Vec<&str> = stdout(&shown).lines().collect();
    assert_eq!(lines.len(), 3 + 1 + 4, "{}", stdout(&shown));
    assert!(lines.contains(&"demo/markdown"));
}

#[tokio::test]
async fn the_demo_counts() {
    let tried = run(&["--try"], &[]).await;
    assert!(tried.status.success(), "{}", stderr(&tried));
    let last = stdout(&tried).lines().last().unwrap();
    assert!(last.starts_with("demo/markdown  ok  first token after "), "{last}");
}

#[tokio::test]
async fn a_try_is_a_small_request_like_any_other() {
    let mut upstream = Upstream::start().await;
    let base_url = format!("http://{}/v1", upstream.address);
    let variables = [("OPENAI_API_KEY", "key-of-the-server"), ("OPENAI_BASE_URL", base_url.as_str())];
    let tried = tokio::spawn(providers(&["--model", "openai/a/b", "--json"], &variables).output());
    let mut call = upstream.call().await;
    assert_eq!(call.path, "/v1/chat/completions");
    assert_eq!(call.headers["authorization"], "Bearer key-of-the-server");
    assert_eq!(call.body["model"], "a/b");
    let most = call.body["max_completion_tokens"].as_u64().or(call.body["max_tokens"].as_u64());
    assert!(most.is_some_and(|most| most <= 16), "{}", call.body);
    call.text("OK").await;
    call.finish().await;
    let tried = within("the end of the command", tried).await.unwrap().unwrap();
    assert!(tried.status.success(), "{}", stderr(&tried));
    let all = parsed(&tried);
    assert_eq!(all.len(), 1, "the model names the provider");
    assert_eq!((&all[0]["try"]["ok"], &all[0]["try"]["model"]), (&json!(true), &json!("openai/a/b")));
    assert!(all[0]["try"]["first_token_ms"].is_u64() && all[0]["try"]["total_ms"].is_u64());
}

#[tokio::test]
async fn a_failure_has_a_code_a_fix_and_an_exit_code() {
    let mut upstream = Upstream::start().await;
    let base_url = format!("http://{}/v1", upstream.address);
    let variables = [("OPENAI_API_KEY", "key-of-the-server"), ("OPENAI_BASE_URL", base_url.as_str())];
    let tried = tokio::spawn(providers(&["--try", "openai", "demo", "groq"], &variables).output());
    let body = json!({"error": {"message": "Wrong \u{1b}[2Jkey key-of-the-server", "code": "invalid_api_key"}});
    upstream.call().await.status(401, &[("content-type", "application/json")], &body.to_string()).await;
    let tried = within("the end of the command", tried).await.unwrap().unwrap();
    assert_eq!(tried.status.code(), Some(1));
    let said = stdout(&tried);
    assert!(said.contains("authentication: Wrong  [2Jkey *** (status 401)\n"), "{said}");
    assert!(said.contains("the provider does not accept its key, which comes from OPENAI_API_KEY\n"), "{said}");
    assert!(said.contains("off     it was not asked\n"), "{said}");
    assert!(said.contains("set GROQ_API_KEY\n"), "{said}");
    assert!(said.contains("demo/markdown  ok "), "{said}");
    assert_eq!(stderr(&tried), "error: 2 of 3 did not work\n");

    let variables = [("VLLM_BASE_URL", "http://127.0.0.1:1")];
    let tried = run(&["--model", "vllm/any", "--json"], &variables).await;
    assert_eq!(tried.status.code(), Some(1));
    let tried = &parsed(&tried)[0]["try"];
    assert_eq!((&tried["ok"], &tried["error"]["code"]), (&json!(false), &json!("network")));
    assert!(tried["fix"].as_str().unwrap().contains("VLLM_BASE_URL"), "{tried}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_failure() {
    let mut upstream = Upstream::start().await;
    let base_url = format!("http://{}/v1", upstream.address);
    let variables = [("OPENAI_BASE_URL", base_url.as_str())];
    let tried = tokio::spawn(providers(&["--try", "openai", "--timeout", "2"], &variables).output());
    let mut call = upstream.call().await;
    let tried = within("the end of the command", tried).await.unwrap().unwrap();
    assert_eq!(tried.status.code(), Some(1));
    assert!(stdout(&tried).contains("first_token_timeout: no answer within 2 s\n"), "{}", stdout(&tried));
    call.closed().await;
}

#[tokio::test]
async fn a_provider_without_configured_models_is_asked_for_one() {
    let mut upstream = Upstream::start().await;
    let base_url = format!("http://{}", upstream.address);
    let variables = [("OLLAMA_BASE_URL", base_url.as_str())];
    let tried = tokio::spawn(providers(&["--try", "ollama", "--json"], &variables).output());
    let call = upstream.call().await;
    assert_eq!(call.path, "/api/tags");
    call.status(200, &[], &json!({"models": [{"name": "tiny"}]}).to_string()).await;
    let call = upstream.call().await;
    assert_eq!((call.path.as_str(), &call.body["model"]), ("/api/chat", &json!("tiny")));
    let answer = json!({"message": {"role": "assistant", "content": "OK"}, "done": true, "done_reason": "stop"});
    call.status(200, &[("content-type", "application/x-ndjson")], &format!("{answer}\n")).await;
    let tried = within("the end of the command", tried).await.unwrap().unwrap();
    assert_eq!(parsed(&tried)[0]["try"]["ok"], true, "{}", stdout(&tried));
}

#[tokio::test]
async fn what_is_mistyped_is_named() {
    for (args, expected) in [
        (&["opnai"][..], "error: no provider `opnai` is known\n  did you mean `openai`?\n"),
        (&["--model", "opnai/x"], "error: no provider `opnai` is known\n  did you mean `openai`?\n"),
        (&["--model", "gpt-5"], "error: --model gpt-5: expected the provider and its model, such as `openai/gpt-5`\n"),
        (
            &["--model", "openai/a", "--model", "openai/b"],
            "error: --model openai/b: another model of `openai` is named already\n",
        ),
    ] {
        let wrong = run(args, &[]).await;
        assert_eq!((wrong.status.code(), stderr(&wrong)), (Some(1), expected), "{args:?}");
        assert_eq!(stdout(&wrong), "");
    }
    let wrong = run(&["nothing-like-it"], &[]).await;
    assert!(stderr(&wrong).contains("`tokenwire providers` lists them"), "{}", stderr(&wrong));
    let help = run(&["--help"], &[]).await;
    for word in ["--try", "--json", "--timeout", "Examples:"] {
        assert!(stdout(&help).contains(word), "{word}");
    }
}
