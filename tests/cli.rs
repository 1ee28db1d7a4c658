//! The command, as a user runs it.

#![allow(clippy::unwrap_used)]
// Signals and pipes as they are there.
#![cfg(unix)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// The command in an empty folder, without the variables of whoever runs the tests.
fn tokenwire(folder: &Folder, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwire"));
    command.args(args).env_clear().current_dir(&folder.0).stdin(Stdio::null());
    command
}

fn run(folder: &Folder, args: &[&str]) -> Output {
    tokenwire(folder, args).output().unwrap()
}

/// The same with `input` piped in.
fn pipe(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tokenwire-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with_config(toml: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.0.join("tokenwire.toml"), toml).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running `tokenwire serve`.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Served {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut command = tokenwire(folder, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let address = first.trim().split_once("http://").expect(&first).1.to_owned();
        Self { child, stdout, address }
    }

    fn url(&self) -> String {
        format!("ws://{}/v1/stream", self.address)
    }

    /// Stops it, and gives what it wrote to stdout after the first line, and to stderr.
    fn stop(mut self) -> (ExitStatus, String, String) {
        signal("TERM", self.child.id());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap(), stdout, stderr)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, process: u32) {
    let done = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status().unwrap();
    assert!(done.success());
}

#[test]
fn help_teaches() {
    let folder = Folder::new();
    let help = run(&folder, &["--help"]);
    assert!(help.status.success());
    for word in ["serve", "chat", "check", "hash-key", "--listen", "Examples:", "TOKENWIRE_LISTEN", "OPENAI_API_KEY"] {
        assert!(stdout(&help).contains(word), "{word}");
    }
    for command in ["serve", "chat", "check", "providers", "hash-key"] {
        let help = run(&folder, &[command, "--help"]);
        assert!(help.status.success() && stdout(&help).contains("Usage: tokenwire"), "{command}");
    }
    let version = run(&folder, &["--version"]);
    assert_eq!(stdout(&version).trim(), concat!("tokenwire ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_mistyped_is_named() {
    let folder = Folder::new();
    let wrong = run(&folder, &["serve", "--lisen", "x"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("unexpected argument '--lisen'"), "{}", stderr(&wrong));
    assert!(stderr(&wrong).contains("--listen"), "{}", stderr(&wrong));
    let wrong = run(&folder, &["chek"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("'check'"), "{}", stderr(&wrong));
}

#[test]
fn check_shows_what_the_configuration_comes_to() {
    let folder = Folder::with_config(
        "[limits]\nmax_turns = 7\n[routes.best]\nupstreams = [\"openai/gpt-5\"]\nfallbacks = [\"groq/llama\"]\n\
         [mcp.files]\ncommand = \"npx\"\nargs = [\"sk-hunter2\"]\ntools = [\"read_*\", \"list\"]\n\
         [mcp.tickets]\nurl = \"https://a/mcp?key=hunter2\"\napproval = \"always\"\nprefix = \"\"\n\
         [mcp.other]\nenabled = false\n\
         [routes.any]\nupstreams = [{ model = \"openai/gpt-5\", weight = 2 }, \"demo/markdown\"]\n",
    );
    let mut command = tokenwire(&folder, &["check"]);
    command.env("OPENAI_API_KEY", "sk-hunter2").env("TOKENWIRE_RETRY_ATTEMPTS", "2");
    let checked = command.output().unwrap();
    assert!(checked.status.success());
    let lines: Vec<&str> = stdout(&checked).lines().collect();
    for expected in [
        "config     tokenwire.toml",
        "listen     127.0.0.1:8080",
        "auth       off: everybody on this machine may connect",
        "provider   demo         on   built in",
        "provider   openai       on   key from OPENAI_API_KEY",
        "provider   anthropic    off  set ANTHROPIC_API_KEY",
        "route      any          2 of openai/gpt-5 + 1 of demo/markdown",
        "route      best         openai/gpt-5, then groq/llama (off)",
        "mcp        files        on   `npx`, tools read_*, list as files_*, approval never, 60 s per call",
        "mcp        other        off  `enabled` is false",
        "mcp        tickets      on   HTTP, all tools as *, approval always, 60 s per call",
        "changed    limits.max_turns = 7 (tokenwire.toml:2; default 50)",
        "changed    retry.attempts = 2 (TOKENWIRE_RETRY_ATTEMPTS; default 3)",
        "ok",
    ] {
        assert!(lines.contains(&expected), "{expected}\n{}", stdout(&checked));
    }
    assert!(!stdout(&checked).contains("hunter2"));
    assert_eq!(stderr(&checked), "");
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let folder = Folder::with_config("listen = '127.0.0.1:1'\n\n[limits]\nmax_trns = 7\n");
    let checked = run(&folder, &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(
        stderr(&checked),
        "error: tokenwire.toml:4: limits.max_trns: is not a key\n  did you mean `max_turns`?\n"
    );
    let checked = run(&folder, &["check", "--config", "other.toml"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(stderr(&checked).starts_with("error: other.toml: cannot be read: "), "{}", stderr(&checked));
}

#[test]
fn an_address_that_others_can_reach_needs_a_key() {
    let refused = run(&Folder::new(), &["--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        stderr(&refused),
        "error: --listen: listen: 0.0.0.0:0 can be reached from other machines, and no key is configured\n  \
         add a key (`tokenwire hash-key` makes one), or listen on 127.0.0.1, \
         or allow everybody with `insecure_no_auth = true`\n"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let refused = run(&Folder::new(), &["serve", "--listen", &address.to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    let next = address.port().checked_add(1).unwrap_or(0);
    assert_eq!(
        stderr(&refused),
        format!(
            "error: {address} is in use by another program\n  choose another address with `--listen 127.0.0.1:{next}`, \
             or a free one with `--listen 127.0.0.1:0`\n"
        )
    );
}

#[test]
fn serve_says_where_it_is_and_ends_when_asked() {
    // Without a command it serves, too.
    for args in [&["--listen", "127.0.0.1:0"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let served = Served::start(&Folder::new(), args);
        let mut stream = TcpStream::connect(&served.address).unwrap();
        write!(stream, "GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", served.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let address = served.address.clone();
        let (status, said, _) = served.stop();
        assert!(status.success());
        assert!(said.contains(&format!("page       http://{address}/\n")), "{said}");
        assert!(said.contains(&format!("stream     ws://{address}/v1/stream\n")), "{said}");
        assert!(said.contains("providers  demo\n"), "{said}");
    }
}

#[test]
fn a_prompt_from_a_pipe_is_answered() {
    let folder = Folder::new();
    let served = Served::start(&folder, &["--listen", "127.0.0.1:0"]);
    let answered = pipe(tokenwire(&folder, &["chat", "--url", &served.url(), "-m", "demo/fast"]), "Say hi\n");
    assert!(answered.status.success(), "{}", stderr(&answered));
    assert!(stdout(&answered).contains("demo"), "{}", stdout(&answered));
    assert!(stdout(&answered).contains("> Say hi"), "{}", stdout(&answered));
    assert!(stdout(&answered).ends_with('\n') && !stdout(&answered).contains('\x1b'));
    let bill = stderr(&answered);
    assert!(bill.contains("tokens, counted by the provider; first after ") && bill.contains("tokens/s]"), "{bill}");
}

#[test]
fn without_a_server_chat_starts_one_inside() {
    // Nothing answers there: the port was free a moment ago, and is nobody's usual one.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::with_config(&format!("listen = '{free}'\n"));
    let answered = run(&folder, &["chat", "--model", "demo/fast", "Say", "hi"]);
    assert!(answered.status.success(), "{}", stderr(&answered));
    assert!(stdout(&answered).contains("> Say hi"), "{}", stdout(&answered));
}

#[test]
fn failures_have_an_exit_code() {
    let folder = Folder::new();
    let served = Served::start(&folder, &["--listen", "127.0.0.1:0"]);
    let url = served.url();
    let failed = pipe(tokenwire(&folder, &["chat", "--url", &url, "-m", "demo/fast"]), "/error quota after 3");
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).starts_with("error: quota: "), "{}", stderr(&failed));
    assert!(!failed.stdout.is_empty(), "what came before it is shown");

    let failed = run(&folder, &["chat", "--url", &url, "-m", "nobody/nothing", "hi"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).starts_with("error: unknown_model: "), "{}", stderr(&failed));

    let failed = run(&folder, &["chat", "--url", &url]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).starts_with("error: there is no prompt"), "{}", stderr(&failed));

    drop(served);
    let failed = run(&folder, &["chat", "--url", &url, "hi"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).starts_with(&format!("error: {url}: the network failed: ")), "{}", stderr(&failed));
}

#[test]
fn a_key_made_by_hash_key_opens_the_server() {
    let folder = Folder::new();
    let made = run(&folder, &["hash-key", "--principal", "alice"]);
    assert!(stdout(&made).contains("principal = \"alice\"") && !stdout(&made).contains("tw-"));
    let key = stderr(&made).split_whitespace().find(|word| word.starts_with("tw-")).unwrap();
    // The other way makes the same line of it.
    let hashed = pipe(tokenwire(&folder, &["hash-key", "--principal", "alice"]), key);
    assert_eq!(stdout(&hashed), stdout(&made));
    assert!(!stderr(&hashed).contains(key));

    let folder = Folder::with_config(&(String::from("listen = '127.0.0.1:0'\n") + stdout(&made)));
    let served = Served::start(&folder, &[]);
    let url = served.url();
    let chat = |key: Option<&str>| {
        let mut command = tokenwire(&folder, &["chat", "--url", &url, "-m", "demo/fast", "hi"]);
        command.envs(key.map(|key| ("TOKENWIRE_KEY", key))).output().unwrap()
    };
    assert!(chat(Some(key)).status.success());
    let refused = chat(None);
    assert_eq!(
        stderr(&refused),
        format!(
            "error: {url}: the server wants a key, or does not know this one (401)\n  \
             give the key with `--key` or TOKENWIRE_KEY\n"
        )
    );
    assert_eq!(chat(Some("wrong")).status.code(), Some(1));
}

#[test]
fn a_drop_in_mid_answer_loses_nothing() {
    let folder = Folder::new();
    let served = Served::start(&folder, &["--listen", "127.0.0.1:0"]);
    let undisturbed = run(&folder, &["chat", "--url", &served.url(), "-m", "demo/fast", "hi"]);
    assert!(undisturbed.status.success(), "{}", stderr(&undisturbed));

    // The first connections end after so many bytes of the server's; the last one lives.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", proxy.local_addr().unwrap());
    let upstream = served.address.clone();
    thread::spawn(move || {
        for most in [700, 1500, 0, 2500, u64::MAX] {
            let (client, _) = proxy.accept().unwrap();
            let server = TcpStream::connect(&upstream).unwrap();
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                // An error means that one of them has gone, which is the point.
                let _ = std::io::copy(&mut from_client, &mut to_server);
            });
            let _ = std::io::copy(&mut server.try_clone().unwrap().take(most), &mut client.try_clone().unwrap());
            let _ = client.shutdown(std::net::Shutdown::Both);
            let _ = server.shutdown(std::net::Shutdown::Both);
        }
    });
    let disturbed = run(&folder, &["chat", "--url", &url, "-m", "demo/fast", "hi"]);
    assert!(disturbed.status.success(), "{}", stderr(&disturbed));
    assert_eq!(stdout(&disturbed), stdout(&undisturbed));
    assert_eq!(stderr(&disturbed).matches("connected again").count(), 3, "{}", stderr(&disturbed));
}

#[test]
fn ctrl_c_in_a_pipe_cancels_and_says_so() {
    let folder = Folder::new();
    let served = Served::start(&folder, &["--listen", "127.0.0.1:0"]);
    let mut command = tokenwire(&folder, &["chat", "--url", &served.url(), "-m", "demo/markdown", "hi"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The answer has begun when its first bytes are here.
    let mut begun = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
    signal("INT", child.id());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(stderr(&ended).starts_with("[cancelled]\n"), "{}", stderr(&ended));
    assert!(stderr(&ended).ends_with("error: interrupted\n"), "{}", stderr(&ended));
}

#[test]
fn when_nobody_reads_the_answer_is_cancelled() {
    let folder = Folder::new();
    let served = Served::start(&folder, &["--listen", "127.0.0.1:0"]);
    let mut command = tokenwire(&folder, &["chat", "--url", &served.url(), "-m", "demo/markdown", "something long"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut begun = [0; 8];
    stdout.read_exact(&mut begun).unwrap();
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(stderr(&ended).contains("[cancelled]\n"), "{}", stderr(&ended));
}

#[test]
fn a_log_filter_that_is_none_is_refused() {
    let refused = run(&Folder::new(), &["--log", "tokenwire=loud"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).starts_with("error: --log or TOKENWIRE_LOG: `tokenwire=loud` is no log filter: "));
}

#[test]
fn nothing_that_was_said_and_no_key_is_logged() {
    let secret = "hunter2-hunter2-hunter2";
    let folder = Folder::with_config(&format!(
        "listen = '127.0.0.1:0'\n[[auth.keys]]\nprincipal = 'alice'\nkey = '{secret}-key'\n"
    ));
    let served =
        Served::start(&folder, &["--log", "trace,tungstenite=trace,hyper=trace,tokio_tungstenite::compat=trace"]);
    let mut command = tokenwire(&folder, &["chat", "--url", &served.url(), "-m", "demo/fast", secret]);
    command.env("TOKENWIRE_KEY", format!("{secret}-key")).env("TOKENWIRE_LOG", "trace");
    let answered = command.output().unwrap();
    assert!(answered.status.success(), "{}", stderr(&answered));
    assert!(stdout(&answered).contains(secret), "the demo repeats the question");
    assert!(!stderr(&answered).contains("hunter2"), "{}", stderr(&answered));
    let (_, said, logged) = served.stop();
    assert!(!logged.is_empty());
    assert!(!said.contains("hunter2") && !logged.contains("hunter2"), "{logged}");
}

/// With a terminal of its own, which `script` makes.
#[cfg(target_os = "linux")]
mod terminal {
    use super::*;

    struct Terminal {
        child: Child,
        seen: String,
    }

    impl Terminal {
        /// `None` when there is no `script` here.
        fn start(folder: &Folder, args: &str) -> Option<Self> {
            let mut command = Command::new("script");
            // `script` asks a shell. One that waits instead of giving way gets every Ctrl-C too, and dies of it at the end.
            command.args(["-qec", &format!("exec {} {args}", env!("CARGO_BIN_EXE_tokenwire")), "/dev/null"]);
            command.current_dir(&folder.0).env("TERM", "xterm").env_remove("TOKENWIRE_LOG");
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
            Some(Self { child, seen: String::new() })
        }

        fn type_keys(&mut self, keys: &str) {
            self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        }

        /// Reads on until `text` has been shown.
        fn wait_for(&mut self, text: &str) {
            let stdout = self.child.stdout.as_mut().unwrap();
            let mut byte = [0];
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains(text) {
                let count = stdout.read(&mut byte).unwrap();
                assert_ne!(count, 0, "ended without {text:?}: {}{}", self.seen, String::from_utf8_lossy(&bytes));
                bytes.extend(byte);
            }
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn ctrl_c_cancels_the_answer_and_keeps_the_conversation() {
        let folder = Folder::new();
        let served = Served::start(&folder, &["--listen", "127.0.0.1:0"]);
        let args = format!("chat --url {} -m demo/markdown", served.url());
        let Some(mut terminal) = Terminal::start(&folder, &args) else {
            eprintln!("skipped: there is no `script` here");
            return;
        };
        terminal.wait_for("> ");
        terminal.type_keys("first\r");
        terminal.wait_for("You wrote");
        terminal.type_keys("\x03");
        terminal.wait_for("[cancelled]");
        terminal.wait_for("tokens, estimated");
        terminal.wait_for("> ");
        terminal.type_keys("/model demo/fast\r");
        terminal.wait_for("[model demo/fast]");
        terminal.type_keys("second\r");
        terminal.wait_for("message 2 of yours");
        terminal.wait_for("counted by the provider");
        terminal.wait_for("> ");
        terminal.type_keys("\x03");
        let status = terminal.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", terminal.seen);
    }
}
