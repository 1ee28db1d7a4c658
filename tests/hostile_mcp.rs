//! Promise: an MCP server that keeps no rule harms nothing but its own calls.
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};
use support::{Client, TestServer, until};
use tokenwire::config::{Config, McpConfig};

struct Setup {
    server: TestServer,
    client: Client,
    log: PathBuf,
}

impl Setup {
    async fn new(change: impl FnOnce(&mut McpConfig, &mut Config)) -> Self {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mcp-{}.log", uuid::Uuid::new_v4()));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp_servers/hostile.py");
        let mut config = McpConfig {
            command: Some("python3".to_owned()),
            args: vec![script.to_owned()],
            env: BTreeMap::from([("MCP_TEST_LOG".to_owned(), log.to_str().unwrap().to_owned())]),
            prefix: Some(String::new()),
            ..McpConfig::default()
        };
        let server = TestServer::with(|whole| {
            change(&mut config, whole);
            whole.mcp.insert("t".to_owned(), config);
        })
        .await;
        let toolbox = server.toolbox.clone();
        until("its tools", || !toolbox.all().is_empty()).await;
        let client = server.client().await;
        Self { server, client, log }
    }

    /// Starts a generation whose model calls the tool.
    async fn call(&mut self, id: &str, tool: &str) {
        self.client.start(id).await;
        let mut call = self.server.upstream.call().await;
        call.tool_call(0, "call_1", tool, "{}").await;
        call.finish_reason("tool_calls").await;
        call.done().await;
    }

    /// What the model is told.
    async fn told(&mut self, id: &str, tool: &str) -> Value {
        self.call(id, tool).await;
        let mut call = self.server.upstream.call().await;
        let told = call.body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        call.text("Done.").await;
        call.finish().await;
        assert_eq!(self.client.end_of(id).await["type"], "finished");
        told
    }

    fn noted(&self, what: &str) -> bool {
        fs::read_to_string(&self.log).unwrap_or_default().lines().any(|line| line == what)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

#[tokio::test]
async fn garbage_floods_and_questions_change_no_result() {
    let mut setup = Setup::new(|_, _| {}).await;
    assert_eq!(setup.told("g1", "garbage").await, "after garbage");
    assert_eq!(setup.told("g2", "flood").await, "after the flood");
    assert_eq!(setup.told("g3", "twice").await, "first");
    assert_eq!(setup.told("g4", "ask").await, "error {\"action\": \"decline\"} {\"roots\": []} error");
    assert_eq!(setup.told("g5", "echo").await, "echo");
}

#[tokio::test]
async fn progress_without_end_fills_no_log() {
    let mut setup = Setup::new(|_, _| {}).await;
    assert_eq!(setup.told("g1", "progress").await, "in the end");
    assert!(setup.server.generation("g1").log().bytes() < 1 << 20);
}

#[tokio::test]
async fn a_result_that_is_too_long_fails_its_generation_alone() {
    let mut setup = Setup::new(|_, config| config.limits.max_log_bytes = 8 << 20).await;
    setup.call("g1", "huge").await;
    assert_eq!(setup.client.end_of("g1").await["error"]["code"], "log_full");
    assert_eq!(setup.told("g2", "echo").await, "echo");
}

#[tokio::test]
async fn a_call_that_ignores_its_cancel_ends_at_once() {
    let mut setup = Setup::new(|_, _| {}).await;
    setup.call("g1", "ignore").await;
    until("the call", || setup.noted("called")).await;
    setup.client.cancel("g1").await;
    assert_eq!(setup.client.end_of("g1").await["type"], "cancelled");
    until("the notice", || setup.noted("cancelled")).await;
    assert_eq!(setup.told("g2", "echo").await, "echo");
}

#[tokio::test]
async fn an_answer_behind_its_deadline_is_nobodys() {
    let mut setup = Setup::new(|config, _| config.timeout_seconds = 1).await;
    assert_eq!(setup.told("g1", "late").await, "the tool did not answer within 1 s");
    until("the answer", || setup.noted("answered")).await;
    assert_eq!(setup.told("g2", "echo").await, "echo");
}

#[tokio::test]
async fn one_that_listens_no_more_is_started_again() {
    let mut setup = Setup::new(|config, _| config.timeout_seconds = 1).await;
    setup.told("g1", "deaf").await;
    assert!(setup.noted("deaf"));
    let mut last = json!(null);
    for round in 0..20 {
        last = setup.told(&format!("g2-{round}"), "echo").await;
        if last == "echo" {
            return;
        }
        let toolbox = setup.server.toolbox.clone();
        until("its tools", || !toolbox.all().is_empty()).await;
    }
    panic!("it is not started again: {last}");
}

#[tokio::test]
async fn a_list_without_end_is_cut() {
    let setup = Setup::new(|config, _| {
        config.env.insert("MCP_ENDLESS".to_owned(), "1".to_owned());
    })
    .await;
    assert_eq!(setup.server.toolbox.all().len(), 128);
}
