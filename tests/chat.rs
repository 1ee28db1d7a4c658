//! Promise: what is typed while an answer streams is never lost and never garbles it; tools that want to be asked
//! about are.
//!
//! The chat has a terminal of its own, which `script` makes; what it shows is what an emulator makes of its output.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod support;

use std::{path::Path, process::Stdio};

use serde_json::Value;
use support::{TestServer, Upstream, within};
use tokenwire::{server::ServerBuilder, tools::tool};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
};

const ROWS: u16 = 12;
const COLUMNS: u16 = 40;

/// A server that asks its scripted provider only what the chat asks.
async fn server(extend: impl FnOnce(ServerBuilder) -> ServerBuilder) -> TestServer {
    TestServer::build(|config| config.model_list.ask_providers = false, extend).await
}

/// `tokenwire chat` in a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: ChildStdout,
    emulator: vt100::Parser,
}

impl Terminal {
    /// A conversation with a server's scripted model.
    async fn start(server: &TestServer) -> Self {
        Self::start_as(server, "xterm").await
    }

    async fn start_as(server: &TestServer, term: &str) -> Self {
        let chat = format!(
            "stty rows {ROWS} cols {COLUMNS}; exec {} chat --url ws://{}/v1/stream -m {}",
            env!("CARGO_BIN_EXE_tokenwire"),
            server.address,
            support::MODEL,
        );
        let mut command = Command::new("script");
        command
            .args(["-qec", &chat, "/dev/null"])
            .env("TERM", term)
            .env("SHELL", "/bin/sh")
            .env_remove("TOKENWIRE_KEY");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (keys, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let size = |cells: u16| cells.try_into().unwrap();
        let emulator = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
        let mut terminal = Self { child, keys, output, emulator };
        terminal.shows("> ").await;
        terminal
    }

    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
        self.keys.flush().await.unwrap();
    }

    /// Reads on until the screen is as wanted.
    async fn until(&mut self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let reading = async {
            let mut bytes = [0; 4096];
            while !is_so(self.emulator.screen()) {
                let count = self.output.read(&mut bytes).await.unwrap();
                if count == 0 {
                    return false;
                }
                self.emulator.process(&bytes[..count]);
            }
            true
        };
        let is_shown = tokio::time::timeout(support::DEADLINE, reading).await.unwrap_or(false);
        assert!(is_shown, "{what} was not shown:\n{}", self.screen());
    }

    /// Reads on until `text` is on the screen.
    async fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text)).await;
    }

    /// Reads on until the last row begins with `text`, or is empty.
    async fn shows_at_the_bottom(&mut self, text: &str) {
        let is_so = |screen: &vt100::Screen| {
            let last = screen.rows(0, COLUMNS).next_back_row();
            if text.is_empty() { last.is_empty() } else { last.starts_with(text) }
        };
        self.until(&format!("{text:?} at the bottom"), is_so).await;
    }

    fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    /// Leaves when the chat waits for a question, and says whether all is well.
    async fn leaves(mut self) {
        let is_asked = |screen: &vt100::Screen| {
            let (row, column) = screen.cursor_position();
            column == 2 && screen.rows(0, COLUMNS).nth(row.into()).is_some_and(|row| row.trim_end() == ">")
        };
        self.until("an empty line to type", is_asked).await;
        self.types("\x03").await;
        let mut rest = Vec::new();
        within("the end of the chat", self.output.read_to_end(&mut rest)).await.unwrap();
        assert!(within("the end of the chat", self.child.wait()).await.unwrap().success());
    }
}

trait LastRow {
    fn next_back_row(self) -> String;
}

impl<I: Iterator<Item = String>> LastRow for I {
    fn next_back_row(self) -> String {
        self.last().unwrap_or_default().trim_end().to_owned()
    }
}

fn contents(body: &Value) -> Vec<&str> {
    body["messages"].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_typed_waits_for_its_turn_and_leaves_the_answer_whole() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Hello\r").await;
    let mut call = server.upstream.call().await;
    call.text("First part").await;
    terminal.shows("First part").await;
    terminal.types("Short\x7f\x7frter, 日本").await;
    terminal.shows_at_the_bottom("> Shorter, 日本").await;
    call.text(" and more").await;
    terminal.shows("First part and more").await;
    terminal.types("\r").await;
    terminal.shows_at_the_bottom("[waiting: Shorter, 日本]").await;
    call.text(" of it.").await;
    terminal.shows("\nFirst part and more of it.\n").await;
    call.finish().await;
    let mut call = server.upstream.call().await;
    assert_eq!(contents(&call.body), ["Hello", "First part and more of it.", "Shorter, 日本"]);
    terminal.shows("\nFirst part and more of it.\n> Shorter, 日本").await;
    terminal.shows_at_the_bottom("").await;
    call.text("Short.").await;
    call.finish().await;
    terminal.shows("tokens/s]").await;
    terminal.types("Again\r").await;
    let call = server.upstream.call().await;
    let said = ["Hello", "First part and more of it.", "Shorter, 日本", "Short.", "Again"];
    assert_eq!(contents(&call.body), said, "the conversation is as the model saw it");
    call.finish().await;
    terminal.leaves().await;
}

#[tokio::test]
async fn what_begins_with_an_exclamation_mark_cuts_in() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Tell me a story\r").await;
    let mut call = server.upstream.call().await;
    call.text("Once upon a").await;
    terminal.shows("Once upon a").await;
    terminal.types("!In French\r").await;
    call.closed().await;
    let mut call = server.upstream.call().await;
    assert_eq!(contents(&call.body), ["Tell me a story", "Once upon a", "In French"]);
    call.text("Il était").await;
    terminal.shows("\nOnce upon a\n> In French\nIl était").await;
    call.finish().await;
    terminal.shows("tokens").await;
    terminal.leaves().await;
}

#[tokio::test]
async fn several_lines_that_are_pasted_are_said_as_one() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Hello\r").await;
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    terminal.until("that pastes are told apart", |screen| screen.bracketed_paste()).await;
    terminal.types("See: \x1b[200~one\r\ttwo\x1b[201~").await;
    terminal.shows_at_the_bottom("> See: one  two").await;
    terminal.types("\r").await;
    terminal.shows_at_the_bottom("[waiting: See: one  two]").await;
    call.finish().await;
    let mut call = server.upstream.call().await;
    assert_eq!(contents(&call.body), ["Hello", "Hi", "See: one\n\ttwo"]);
    call.text("Seen").await;
    terminal.shows("Seen").await;
    // Not sent when the answer ends: the line editor has all of it.
    terminal.types("\x1b[200~three\rfour\x1b[201~").await;
    terminal.shows_at_the_bottom("> three four").await;
    call.finish().await;
    terminal.shows("\n> three\nfour").await;
    terminal.types("\r").await;
    let call = server.upstream.call().await;
    assert_eq!(contents(&call.body).last(), Some(&"three\nfour"));
    call.finish().await;
    terminal.leaves().await;
}

#[tokio::test]
async fn what_is_not_sent_begins_the_next_line() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Hello\r").await;
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    terminal.shows("\nHi").await;
    terminal.types("And the").await;
    terminal.shows_at_the_bottom("> And the").await;
    call.finish().await;
    terminal.shows("]\n\n> And the").await;
    terminal.types("n?\r").await;
    let call = server.upstream.call().await;
    assert_eq!(contents(&call.body).last(), Some(&"And then?"));
    call.finish().await;
    terminal.leaves().await;
}

#[tokio::test]
async fn what_waits_for_an_answer_that_is_stopped_is_the_users_again() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Hello\r").await;
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    terminal.shows("\nHi").await;
    terminal.types("More\r").await;
    terminal.shows_at_the_bottom("[waiting: More]").await;
    terminal.types("\x03").await;
    call.closed().await;
    terminal.shows("[cancelled]").await;
    terminal.shows("\n\n> More").await;
    terminal.types(" of it\r").await;
    let call = server.upstream.call().await;
    assert_eq!(contents(&call.body), ["Hello", "Hi", "More of it"]);
    call.finish().await;
    terminal.leaves().await;
}

#[tokio::test]
async fn rows_that_are_full_and_screens_that_scroll_stay_whole() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Hello\r").await;
    let mut call = server.upstream.call().await;
    let full = "x".repeat(usize::from(COLUMNS) - 1);
    call.text(&format!("{full}y")).await;
    terminal.shows(&format!("{full}y")).await;
    for keys in ["a", "b"] {
        terminal.types(keys).await;
    }
    terminal.shows_at_the_bottom("> ab").await;
    call.text("z\n").await;
    terminal.until("the row after a full one", |screen| screen.contents().contains("yz\n")).await;
    let rows: Vec<String> = terminal.emulator.screen().rows(0, COLUMNS).collect();
    assert!(rows.contains(&format!("{full}y")) && rows.contains(&"z".to_owned()), "{rows:?}");

    for line in 0..30 {
        call.text(&format!("line {line}\n")).await;
    }
    // The last row is the typed line's, and the one above it the next line's.
    let lines = |from: u32| (from..30).map(|line| format!("line {line}\n")).collect::<String>();
    terminal.shows(&format!("{}\n> ab", lines(20))).await;
    terminal.types(&"long ".repeat(20)).await;
    terminal.shows_at_the_bottom("> g long long").await;
    terminal.types("\x15").await;
    terminal.shows_at_the_bottom("").await;
    call.text("The end.").await;
    call.finish().await;
    terminal.shows("line 29\nThe end.\n[").await;
    terminal.leaves().await;
}

#[tokio::test]
async fn commands_while_it_answers() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Hello\r").await;
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    terminal.shows("\nHi").await;
    terminal.types("/model other\r").await;
    terminal.shows("[/model other is for when the answer").await;
    terminal.types("\r \r!\r/quit\r").await;
    call.closed().await;
    let mut rest = Vec::new();
    within("the end of the chat", terminal.output.read_to_end(&mut rest)).await.unwrap();
    assert!(within("the end of the chat", terminal.child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn a_terminal_that_knows_no_sequences_gets_none() {
    let mut server = server(|builder| builder).await;
    let mut terminal = Terminal::start_as(&server, "dumb").await;
    terminal.types("Hello\n").await;
    let mut call = server.upstream.call().await;
    call.text("Hi").await;
    terminal.shows("Hi").await;
    call.text(" there").await;
    call.finish().await;
    terminal.shows("Hi there\n[").await;
    terminal.types("More\n").await;
    server.upstream.call().await.finish().await;
}

/// A server with a tool that asks, and what its model calls.
async fn with_tool() -> TestServer {
    let echo = tool("echo", "Says it again.", async |said: Value, _| Ok(said)).approve_always();
    server(|builder| builder.tool(echo)).await
}

async fn calls_echo(server: &mut TestServer, id: &str) {
    let mut call = server.upstream.call().await;
    call.tool_call(0, id, "echo", r#"{"a":1}"#).await;
    call.finish_reason("tool_calls").await;
    call.done().await;
}

#[tokio::test]
async fn the_arguments_of_a_call_can_be_edited_and_its_denial_has_a_reason() {
    let mut server = with_tool().await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Go\r").await;
    calls_echo(&mut server, "c1").await;
    terminal.shows("allow echo?").await;
    terminal.types("e\r").await;
    terminal.shows(r#"echo> {"a":1}"#).await;
    terminal.types("\x15[1\r").await;
    terminal.shows("[not a JSON object").await;
    terminal.types("\x15{\"a\":2}\r").await;
    terminal.shows(r#"[result: {"a":2}]"#).await;
    calls_echo(&mut server, "c2").await;
    terminal.until("another question", |screen| screen.contents().matches("allow echo?").count() == 2).await;
    terminal.types("not again\r").await;
    terminal.shows("[denied: not again]").await;
    let call = server.upstream.call().await;
    let told = contents_of_tools(&call.body);
    assert_eq!(told, [r#"{"a":2}"#, "The user did not allow this call: not again"]);
    call.finish().await;
    terminal.leaves().await;
}

#[tokio::test]
async fn a_tool_can_be_allowed_for_the_whole_chat() {
    let mut server = with_tool().await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("Go\r").await;
    calls_echo(&mut server, "c1").await;
    terminal.shows("allow echo?").await;
    terminal.types("a\r").await;
    terminal.shows(r#"[result: {"a":1}]"#).await;
    calls_echo(&mut server, "c2").await;
    terminal.shows("[echo is allowed in this chat]").await;
    let call = server.upstream.call().await;
    assert_eq!(contents_of_tools(&call.body), [r#"{"a":1}"#, r#"{"a":1}"#]);
    call.finish().await;
    terminal.leaves().await;
}

fn contents_of_tools(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().unwrap().iter();
    messages.filter(|message| message["role"] == "tool").map(|message| message["content"].as_str().unwrap()).collect()
}

/// `tokenwire chat` in a pipe, with the scripted model and a server inside.
fn piped(upstream: &Upstream, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwire"));
    command.args(["chat", "--config", "/dev/null", "-m", support::MODEL]).args(args);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("OPENAI_BASE_URL", format!("http://{}/v1", upstream.address)).env("OPENAI_API_KEY", "key");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_server_that_cannot_be_meant_is_refused_by_the_name_of_its_flag() {
    let upstream = Upstream::start().await;
    for args in [
        &["--mcp", "npx", "hi"][..],
        &["--mcp", "files=", "hi"],
        &["--mcp", "files=ws://a.example", "hi"],
        &["--mcp", "files=npx", "--url", "ws://127.0.0.1:1", "hi"],
    ] {
        let refused = within("the refusal", piped(&upstream, args).output()).await.unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("--mcp <NAME=SERVER>"), "{said}");
    }
    let twice = ["--mcp", "a=npx", "--mcp", "a=npx", "hi"];
    let refused = within("the refusal", piped(&upstream, &twice).output()).await.unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().starts_with("error: --mcp a=...: there is"));
}

#[tokio::test]
async fn a_server_that_does_not_come_up_is_said_once_and_the_chat_goes_on() {
    let mut upstream = Upstream::start().await;
    let chat = piped(&upstream, &["--mcp", "gone=/does/not/exist --now", "hi"]).spawn().unwrap();
    let mut call = upstream.call().await;
    call.text("Hi there").await;
    call.finish().await;
    let answered = within("the answer", chat.wait_with_output()).await.unwrap();
    let said = String::from_utf8(answered.stderr).unwrap();
    assert!(answered.status.success(), "{said}");
    assert_eq!(answered.stdout, b"Hi there\n");
    assert_eq!(said.matches("mcp gone cannot be used: cannot start `/does/not/exist`").count(), 1, "{said}");
}

#[tokio::test]
async fn a_servers_tools_ask_first_unless_they_are_told_not_to() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("mcp");
    let python = folder.join("venv/bin/python");
    if !python.exists() {
        let required = std::env::var_os("TOKENWIRE_MCP_TESTS").is_some();
        assert!(!required, "the MCP SDKs are missing: run tests/mcp_servers/install");
        eprintln!("skipped: the MCP SDKs are missing; tests/mcp_servers/install gets them");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp_servers/server.py");
    let server = format!("t=MCP_TEST_LOG=/dev/null '{}' '{}' stdio", python.display(), script.display());
    for approval in ["always", "never"] {
        let mut upstream = Upstream::start().await;
        let args = ["--mcp", &server, "--mcp-approval", approval, "hi"];
        let chat = piped(&upstream, &args).spawn().unwrap();
        let mut call = upstream.call().await;
        let offered: Vec<&Value> = call.body["tools"].as_array().unwrap().iter().collect();
        assert!(offered.iter().any(|tool| tool["function"]["name"] == "t_echo"), "{offered:?}");
        call.tool_call(0, "c1", "t_echo", r#"{"text":"Moin"}"#).await;
        call.finish_reason("tool_calls").await;
        call.done().await;
        if approval == "never" {
            let mut call = upstream.call().await;
            assert_eq!(contents_of_tools(&call.body), ["Moin"]);
            call.text("Done").await;
            call.finish().await;
        }
        let answered = within("the answer", chat.wait_with_output()).await.unwrap();
        let said = String::from_utf8(answered.stderr).unwrap();
        assert_eq!(answered.status.success(), approval == "never", "{said}");
        assert_eq!(said.contains("`--mcp-approval never` lets"), approval == "always", "{said}");
    }
}

#[tokio::test]
async fn tools_are_listed_with_where_they_are_from_and_whether_they_ask() {
    let server = with_tool().await;
    let mut terminal = Terminal::start(&server).await;
    terminal.types("/tools\r").await;
    terminal.shows("echo  (the server itself, asks) Says").await;
    terminal.leaves().await;
}
