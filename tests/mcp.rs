//! Promise: tools of MCP servers are the server's tools. They come and go with their servers, which are started
//! again when they die; a call ends at once with its server, in time, or when nobody waits for it any more.
//!
//! The servers are written with the official Python and TypeScript SDKs. `tests/mcp_servers/install` puts these into
//! `target/mcp`; where they are missing, the tests say so and are skipped, except when TOKENWIRE_MCP_TESTS is set.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Client, TestServer, key, start, with, within};
use tokenwire::{
    auth::Principal,
    config::{Config, McpApproval, McpConfig, McpOffer},
    protocol::{ToolProgress, message::Content},
    tools::{ApprovalPolicy, ServerTool, ToolCallContext, ToolError, tool},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::mpsc,
};

/// The tools that both servers have, as they are offered.
const TOOLS: &[&str] =
    &["t_add", "t_die", "t_echo", "t_environment", "t_fail", "t_grow", "t_picture", "t_show", "t_slow"];
/// What the servers behind HTTP want to see.
const TOKEN: &str = "let-me-in";

/// A program that is an MCP server: `stdio`, or `http PORT`.
#[derive(Clone)]
struct Program {
    command: PathBuf,
    script: PathBuf,
}

/// The servers, put beside the packages that they need. None where these are missing.
static PROGRAMS: LazyLock<Vec<Program>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("mcp");
    let python = folder.join("venv/bin/python");
    if !python.exists() || !folder.join("node_modules/.installed").exists() {
        let required = std::env::var_os("TOKENWIRE_MCP_TESTS").is_some();
        assert!(!required, "the MCP SDKs are missing: run tests/mcp_servers/install");
        eprintln!("skipped: the MCP SDKs are missing; tests/mcp_servers/install gets them");
        return Vec::new();
    }
    [(python, "server.py"), (PathBuf::from("node"), "server.mjs")]
        .map(|(command, name)| {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp_servers").join(name);
            let script = folder.join(name);
            fs::copy(source, &script).unwrap();
            Program { command, script }
        })
        .into()
});

/// A server of Tokenwire's with one MCP server, `t`.
struct Setup {
    server: TestServer,
    program: Program,
    /// Where the MCP server notes what happens in it.
    log: PathBuf,
    /// The MCP server that speaks HTTP, and its port.
    http: Option<(Child, u16)>,
}

/// Every program over every transport.
async fn setups(change: impl Fn(&mut McpConfig)) -> Vec<Setup> {
    let mut setups = Vec::new();
    for program in PROGRAMS.iter() {
        for is_http in [false, true] {
            setups.push(Setup::new(program, is_http, &change).await);
        }
    }
    setups
}

fn log_file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mcp-{}.log", uuid::Uuid::new_v4()))
}

async fn start_http(program: &Program, log: &Path, port: u16) -> (Child, u16) {
    let mut child = Command::new(&program.command)
        .arg(&program.script)
        .args(["http", &port.to_string()])
        .env("MCP_TEST_LOG", log)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = within("the port", lines.next_line()).await.unwrap().unwrap();
    (child, port.parse().unwrap())
}

impl Setup {
    async fn new(program: &Program, is_http: bool, change: impl FnOnce(&mut McpConfig)) -> Self {
        let log = log_file();
        let http = if is_http { Some(start_http(program, &log, 0).await) } else { None };
        let mut config = match &http {
            Some((_, port)) => McpConfig {
                url: Some(format!("http://127.0.0.1:{port}/mcp")),
                bearer_token: Some(TOKEN.to_owned()),
                ..McpConfig::default()
            },
            None => McpConfig {
                command: Some(program.command.to_str().unwrap().to_owned()),
                args: vec![program.script.to_str().unwrap().to_owned(), "stdio".to_owned()],
                env: BTreeMap::from([("MCP_TEST_LOG".to_owned(), log.to_str().unwrap().to_owned())]),
                ..McpConfig::default()
            },
        };
        change(&mut config);
        let server = TestServer::with(|whole| {
            whole.mcp.insert("t".to_owned(), config);
        })
        .await;
        let setup = Self { server, program: program.clone(), log, http };
        setup.until("the connection", async || setup.state().await["state"] == "connected").await;
        setup
    }

    /// What `GET /v1/tools` says about the MCP server.
    async fn state(&self) -> Value {
        let (status, list) = get(self.server.address, "").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        list["servers"][0].clone()
    }

    fn tools(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.server.toolbox.choose(None).iter().map(|tool| tool.function().name.clone()).collect();
        names.sort();
        names
    }

    fn tool(&self, name: &str) -> Arc<dyn ServerTool> {
        self.server.toolbox.choose(Some(&[name.to_owned()])).pop().unwrap_or_else(|| panic!("no {name}"))
    }

    async fn call(&self, name: &str, arguments: Value) -> Result<Content, ToolError> {
        call(&*self.tool(name), arguments).await
    }

    fn noted(&self, what: &str) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().lines().filter(|line| line.starts_with(what)).count()
    }

    /// The processes that have been the MCP server.
    fn processes(&self) -> Vec<u32> {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines().filter_map(|line| line.strip_prefix("started ")?.parse().ok()).collect()
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let looking = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(support::DEADLINE, looking).await.is_err() {
            panic!("{what} did not come from {}: {}", self.program.script.display(), self.state().await);
        }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

fn context() -> (ToolCallContext, mpsc::Receiver<ToolProgress>) {
    ToolCallContext::new("g1".parse().unwrap(), Principal::anonymous(), "c1")
}

async fn call(tool: &dyn ServerTool, arguments: Value) -> Result<Content, ToolError> {
    within("the result", tool.call(&context().0, arguments)).await
}

/// Status and body of `GET /v1/tools`.
async fn get(address: SocketAddr, headers: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /v1/tools HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the list", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn tools_are_listed_and_called() {
    for setup in setups(|_| {}).await {
        assert_eq!(setup.tools(), TOOLS);
        let (_, list) = get(setup.server.address, "").await;
        let echo = list["data"].as_array().unwrap().iter().find(|tool| tool["name"] == "t_echo").unwrap();
        assert_eq!(echo["description"], "Says it again.");
        assert_eq!(echo["parameters"]["properties"]["text"]["type"], "string");
        assert_eq!(
            (&echo["source"], &echo["server"], &echo["approval"]),
            (&json!("mcp"), &json!("t"), &json!("never"))
        );
        let transport = if setup.http.is_some() { "http" } else { "stdio" };
        assert_eq!(
            list["servers"],
            json!([{"name": "t", "transport": transport, "state": "connected", "tools": TOOLS.len()}])
        );

        let said = setup.call("t_echo", json!({"text": "Moin"})).await;
        assert_eq!(said, Ok(Content::Text("Moin".to_owned())));
        let sum = setup.call("t_add", json!({"a": 1, "b": 2})).await.unwrap().plain_text();
        assert_eq!(serde_json::from_str::<Value>(&sum).unwrap(), json!({"sum": 3}));
        let picture = serde_json::to_value(setup.call("t_picture", json!({})).await.unwrap()).unwrap();
        let url = json!({"url": "data:image/png;base64,AAEC"});
        assert_eq!(picture, json!([{"type": "image_url", "image_url": url}]));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_to_the_model() {
    for setup in setups(|_| {}).await {
        let ToolError(error) = setup.call("t_fail", json!({})).await.unwrap_err();
        let error = error.plain_text();
        assert!(error.contains("out of paper"), "{error}");
        let ToolError(error) = setup.call("t_echo", json!({"txt": 1})).await.unwrap_err();
        let error = error.plain_text();
        assert!(error.contains("text"), "{error}");
        let error = setup.call("t_echo", json!(["text"])).await.unwrap_err();
        assert_eq!(error, ToolError("the arguments do not fit: expected an object".into()));
    }
}

#[tokio::test]
async fn a_process_gets_no_variables_but_its_own() {
    for program in PROGRAMS.iter() {
        let setup = Setup::new(program, false, |config| config.pass_env = vec!["CARGO_PKG_NAME".to_owned()]).await;
        let names = setup.call("t_environment", json!({})).await.unwrap().plain_text();
        let has = |name: &str| names.split(' ').any(|variable| variable == name);
        assert!(has("PATH") && has("MCP_TEST_LOG") && has("CARGO_PKG_NAME"), "{names}");
        assert!(!has("CARGO_MANIFEST_DIR"), "{names}");
    }
}

#[tokio::test]
async fn progress_arrives_and_a_call_that_is_dropped_is_cancelled() {
    for setup in setups(|_| {}).await {
        let slow = setup.tool("t_slow");
        let (context, mut reports) = context();
        {
            let mut calling = slow.call(&context, json!({}));
            let report = tokio::select! {
                report = within("progress", reports.recv()) => report.unwrap(),
                result = &mut calling => panic!("{result:?}"),
            };
            assert_eq!((report.progress, report.total), (Some(1.0), Some(2.0)));
            assert_eq!((report.message.as_deref(), &*report.call_id), (Some("half"), "c1"));
            setup.until("the call", async || setup.noted("slow began") == 1).await;
        }
        setup.until("the cancel", async || setup.noted("slow was cancelled") == 1).await;
        assert_eq!(setup.call("t_echo", json!({"text": "still there"})).await.unwrap().plain_text(), "still there");
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled() {
    for setup in setups(|config| config.timeout_seconds = 1).await {
        let error = setup.call("t_slow", json!({})).await.unwrap_err();
        assert_eq!(error, ToolError("the tool did not answer within 1 s".into()));
        setup.until("the cancel", async || setup.noted("slow was cancelled") == 1).await;
    }
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_fails_it_at_once_and_comes_back() {
    for mut setup in setups(|_| {}).await {
        let (slow, echo) = (setup.tool("t_slow"), setup.tool("t_echo"));
        let (other, mut reports) = context();
        // Two calls at once: the one that it dies in, and another one.
        let both = async {
            let mut waiting = slow.call(&other, json!({}));
            tokio::select! {
                report = reports.recv() => drop(report.unwrap()),
                result = &mut waiting => panic!("{result:?}"),
            }
            let since = Instant::now();
            let (died, waiting) = tokio::join!(setup.call("t_die", json!({})), waiting);
            assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
            (died.unwrap_err(), waiting.unwrap_err())
        };
        let (died, waiting) = within("the errors", both).await;
        for ToolError(error) in [died, waiting] {
            let error = error.plain_text();
            assert!(error.starts_with("the tool's server `t` is lost: "), "{error}");
            assert!(setup.http.is_some() || error.contains("exit status: 3"), "{error}");
        }
        if let Some((child, port)) = &mut setup.http {
            child.wait().await.unwrap();
            setup.http = Some(start_http(&setup.program, &setup.log, *port).await);
        }
        setup.until("the tools", async || setup.tools() == TOOLS).await;
        assert_eq!(setup.processes().len(), 2);
        // A tool that was taken before works again.
        assert_eq!(call(&*echo, json!({"text": "back"})).await.unwrap().plain_text(), "back");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_fails_its_calls_and_comes_back() {
    for program in PROGRAMS.iter() {
        let setup = Setup::new(program, false, |_| {}).await;
        let slow = setup.tool("t_slow");
        let (context, mut reports) = context();
        let mut calling = slow.call(&context, json!({}));
        tokio::select! {
            report = reports.recv() => drop(report.unwrap()),
            result = &mut calling => panic!("{result:?}"),
        }
        let process = setup.processes()[0].to_string();
        assert!(Command::new("kill").args(["-9", &process]).status().await.unwrap().success());
        let ToolError(error) = within("the error", calling).await.unwrap_err();
        let error = error.plain_text();
        assert!(error.contains("signal: 9"), "{error}");
        setup.until("the tools", async || setup.tools() == TOOLS).await;
    }
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_made_again() {
    for program in PROGRAMS.iter() {
        let mut setup = Setup::new(program, true, |_| {}).await;
        let (mut child, port) = setup.http.take().unwrap();
        let echo = setup.tool("t_echo");
        child.kill().await.unwrap();
        setup.http = Some(start_http(&setup.program, &setup.log, port).await);
        // The first call may still meet the connection that is gone.
        let works = async || call(&*echo, json!({"text": "again"})).await.is_ok();
        setup.until("an answer", works).await;
        setup.until("the tools", async || setup.tools() == TOOLS).await;
    }
}

/// A generation whose model calls one of the tools.
async fn generation(setup: &mut Setup, frame: Value, tool: &str, arguments: &str) -> Client {
    let mut client = setup.server.client().await;
    client.send(with(start("g1"), frame)).await;
    let mut call = setup.server.upstream.call().await;
    let offered: Vec<&str> =
        call.body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert!(offered.contains(&tool), "{offered:?}");
    call.tool_call(0, "call_1", tool, arguments).await;
    call.finish_reason("tool_calls").await;
    call.done().await;
    client
}

#[tokio::test]
async fn a_generation_runs_them_and_goes_on() {
    for mut setup in setups(|_| {}).await {
        let mut client = generation(&mut setup, json!({"server_tools": ["t_*"]}), "t_add", r#"{"a":1,"b":2}"#).await;
        let result = client.until("tool_result").await;
        assert_eq!((&result["call_id"], &result["by_server"]), (&json!("call_1"), &json!(true)));
        assert_eq!(serde_json::from_str::<Value>(result["content"].as_str().unwrap()).unwrap(), json!({"sum": 3}));
        setup.server.upstream.call().await.finish().await;
        assert_eq!(client.end_of("g1").await["type"], "finished");
    }
}

#[tokio::test]
async fn what_a_result_holds_is_in_the_log_and_what_the_model_cannot_take_is_said() {
    for mut setup in setups(|_| {}).await {
        let mut client = generation(&mut setup, json!({}), "t_show", "{}").await;
        let result = client.until("tool_result").await;
        assert_eq!(result["is_error"], true);
        let parts = json!([
            {"type": "text", "text": "out of paper"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}},
            {"type": "input_audio", "input_audio": {"data": "AAEC", "format": "wav"}},
            {"type": "text", "text": "[tray](file:///tray)"},
        ]);
        assert_eq!(result["content"], parts);
        for part in 1..=2 {
            assert_eq!(client.until("warning").await["field"], format!("messages[2].content[{part}]"));
        }
        let call = setup.server.upstream.call().await;
        let told = call.body["messages"][2]["content"].as_str().unwrap();
        assert!(told.starts_with("out of paper\n[left out: an image, image/png; "), "{told}");
        assert!(told.ends_with("[tray](file:///tray)") && !told.contains("AAEC"), "{told}");
        call.finish().await;
        assert_eq!(client.end_of("g1").await["type"], "finished");
    }
}

#[tokio::test]
async fn tools_can_wait_to_be_named() {
    for mut setup in setups(|config| config.offer = McpOffer::WhenNamed).await {
        assert!(setup.server.toolbox.choose(None).is_empty());
        let (_, list) = get(setup.server.address, "").await;
        assert_eq!(
            (list["data"].as_array().unwrap().len(), &list["data"][0]["offer"]),
            (TOOLS.len(), &json!("when_named"))
        );
        let mut client = setup.server.client().await;
        client.send(start("g1")).await;
        let call = setup.server.upstream.call().await;
        assert_eq!(call.body.get("tools"), None);
        call.finish().await;
        client.end_of("g1").await;
        drop(client);
        let frame = json!({"id": "g2", "server_tools": ["t_add"]});
        let mut client = generation(&mut setup, frame, "t_add", r#"{"a":1,"b":2}"#).await;
        client.until("tool_result").await;
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_server() {
    for mut setup in setups(|_| {}).await {
        let mut client = generation(&mut setup, json!({}), "t_slow", "{}").await;
        assert_eq!(client.until("tool_progress").await["message"], "half");
        setup.until("the call", async || setup.noted("slow began") == 1).await;
        client.cancel("g1").await;
        assert_eq!(client.end_of("g1").await["type"], "cancelled");
        setup.until("the cancel", async || setup.noted("slow was cancelled") == 1).await;
    }
}

#[tokio::test]
async fn a_generation_goes_on_when_the_server_died_in_a_call() {
    for mut setup in setups(|_| {}).await {
        let mut client = generation(&mut setup, json!({}), "t_die", "{}").await;
        let result = client.until("tool_result").await;
        assert_eq!(result["is_error"], true);
        assert!(result["content"].as_str().unwrap().contains("is lost"), "{result}");
        setup.server.upstream.call().await.finish().await;
        assert_eq!(client.end_of("g1").await["type"], "finished");
    }
}

#[tokio::test]
async fn tools_that_come_later_are_offered() {
    for setup in setups(|_| {}).await {
        assert_eq!(setup.call("t_grow", json!({})).await.unwrap().plain_text(), "done");
        setup.until("the tool", async || setup.tools().contains(&"t_grown".to_owned())).await;
        assert_eq!(setup.call("t_grown", json!({})).await.unwrap().plain_text(), "grown up");
        assert_eq!(setup.tools().len(), TOOLS.len() + 1);
    }
}

#[tokio::test]
async fn the_configuration_says_which_tools_are_offered_and_approved() {
    let configure = |config: &mut McpConfig| {
        config.prefix = Some("my-".to_owned());
        config.tools = Some(vec!["e*".to_owned(), "add".to_owned()]);
        let rules = [("add", ApprovalPolicy::Never), ("*", ApprovalPolicy::Always)];
        config.approval = McpApproval::ByTool(rules.map(|(name, policy)| (name.to_owned(), policy)).into());
    };
    for setup in setups(configure).await {
        assert_eq!(setup.tools(), ["my-add", "my-echo", "my-environment"]);
        let (context, _) = context();
        assert!(!setup.tool("my-add").needs_approval(&context, &json!({})));
        assert!(setup.tool("my-echo").needs_approval(&context, &json!({})));
    }
}

#[tokio::test]
async fn processes_end_with_the_server() {
    for mut setup in setups(|_| {}).await {
        let process = setup.processes()[0];
        setup.server.shut_down();
        setup.server.stopped().await;
        let is_there = Path::new("/proc").join(process.to_string()).exists();
        assert_eq!(is_there, setup.http.is_some());
        let tools = setup.server.toolbox.choose(None);
        assert!(tools.is_empty());
    }
}

#[tokio::test]
async fn wrong_credentials_are_the_reason_that_is_told() {
    for program in PROGRAMS.iter() {
        let log = log_file();
        let (_child, port) = start_http(program, &log, 0).await;
        let server = TestServer::with(|config| {
            let url = Some(format!("http://127.0.0.1:{port}/mcp?key=secret"));
            config.mcp.insert("t".to_owned(), McpConfig { url, ..McpConfig::default() });
        })
        .await;
        let state = failed(server.address).await;
        assert!(state["reason"].as_str().unwrap().contains("401"), "{state}");
        assert!(!state.to_string().contains("secret"), "{state}");
        fs::remove_file(log).unwrap();
    }
}

/// The first server of `GET /v1/tools`, when it has failed.
async fn failed(address: SocketAddr) -> Value {
    let looking = async {
        loop {
            let (_, list) = get(address, "").await;
            if list["servers"][0]["state"] == "failed" {
                return list["servers"][0].clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the failure", looking).await
}

#[tokio::test]
async fn a_server_that_does_not_come_up_keeps_nothing_from_starting() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let command = |command: &str, args: &[&str]| McpConfig {
        command: Some(command.to_owned()),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..McpConfig::default()
    };
    let nowhere = McpConfig { cwd: Some("/no/such/folder".into()), ..command("sh", &[]) };
    let url = format!("http://user:secret@127.0.0.1:{port}/mcp?key=secret");
    for (config, reason) in [
        (command("no-such-program", &[]), "cannot start `no-such-program`: No such file or directory (os error 2)"),
        (command("sh", &["-c", "exit 7"]), "the process ended: exit status: 7"),
        (nowhere, "`cwd` is no folder"),
        (McpConfig { url: Some(url), ..McpConfig::default() }, "Connection refused (os error 111)"),
    ] {
        let server = TestServer::build(
            |whole: &mut Config| {
                whole.mcp.insert("t".to_owned(), config);
            },
            |builder| builder.tool(tool("own", "Ours.", async |_: Value, _| Ok("done"))),
        )
        .await;
        let state = failed(server.address).await;
        assert_eq!((&state["reason"], &state["tools"]), (&json!(reason), &json!(0)));
        let (_, list) = get(server.address, "").await;
        assert_eq!(list["data"].as_array().unwrap().len(), 1);
        assert_eq!(list["data"][0]["source"], "function");
        server.client().await.start("g1").await;
    }
}

#[tokio::test]
async fn a_process_that_will_not_end_is_killed_with_what_it_started() {
    let log = log_file();
    let script =
        format!("trap '' TERM; sleep 1000 & echo started $$ >> {0}; echo started $! >> {0}; wait", log.display());
    let mut server = TestServer::with(|config| {
        let args = vec!["-c".to_owned(), script];
        config.mcp.insert("t".to_owned(), McpConfig { command: Some("sh".to_owned()), args, ..McpConfig::default() });
    })
    .await;
    let processes = || -> Vec<PathBuf> {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter_map(|line| Some(Path::new("/proc").join(line.strip_prefix("started ")?))).collect()
    };
    support::until("both processes", || processes().len() == 2).await;
    assert!(processes().iter().all(|process| process.exists()));
    server.shut_down();
    server.stopped().await;
    // Killed they are at once; that they are gone is for the system to notice.
    support::until("the end of both", || processes().iter().all(|process| is_gone(process))).await;
    fs::remove_file(&log).unwrap();
}

/// Whether a process has ended, be it that nobody has asked yet how.
fn is_gone(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

#[tokio::test]
async fn the_list_of_tools_is_for_those_with_a_key() {
    let server = TestServer::with(|config| config.auth.keys = vec![key("ann", "key-of-ann-000001")]).await;
    let (status, body) = get(server.address, "").await;
    assert_eq!(status, "HTTP/1.1 401 Unauthorized");
    assert_eq!(body["error"]["code"], "unauthenticated");
    let (status, body) = get(server.address, "authorization: Bearer key-of-ann-000001\r\n").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(body, json!({"object": "list", "data": [], "servers": []}));
}
