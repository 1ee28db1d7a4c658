//! An MCP server that is a process of this machine.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::config::McpConfig;

/// The variables of this process's environment that every program gets. Others hold keys.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "PATHEXT",
    "COMSPEC",
    "PROGRAMFILES",
];
/// How long a process has to end by itself, and then once more after it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a process that has closed its output has until it is not asked any more how it ended.
const STATUS_TIMEOUT: Duration = Duration::from_millis(200);

/// A process, with those that it started. Dropping it kills them.
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts the command. What it writes to its standard error is logged at debug.
    pub fn start(name: &str, command: &str, config: &McpConfig) -> Result<(Self, ChildStdout, ChildStdin), String> {
        let passed = PASSED.iter().copied().chain(config.pass_env.iter().map(String::as_str));
        let mut process = Command::new(command);
        process
            .args(&config.args)
            .env_clear()
            .envs(passed.filter_map(|variable| Some((variable, std::env::var_os(variable)?))))
            .envs(&config.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &config.cwd {
            process.current_dir(folder);
        }
        // A group of its own: a Ctrl-C in the terminal is for Tokenwire, which then ends it in order.
        #[cfg(unix)]
        process.process_group(0);
        let mut child = process.spawn().map_err(|error| match &config.cwd {
            Some(folder) if !folder.is_dir() => "`cwd` is no folder".to_owned(),
            _ => format!("cannot start `{command}`: {error}"),
        })?;
        let (Some(stdout), Some(stdin)) = (child.stdout.take(), child.stdin.take()) else {
            return Err("the process has no pipes".to_owned());
        };
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log(name.to_owned(), stderr));
        }
        Ok((Self { child }, stdout, stdin))
    }

    /// Waits until the process has ended, and says how. May be dropped and called again.
    pub async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("the process ended: {status}"),
            Err(error) => format!("the process is lost: {error}"),
        }
    }

    /// How a process ended that has just closed its output; `None` when it still runs.
    pub async fn just_ended(&mut self) -> Option<String> {
        timeout(STATUS_TIMEOUT, self.ended()).await.ok()
    }

    /// Ends the process, whose standard input must be closed by now: it is waited for, then asked, then killed.
    pub async fn stop(mut self) {
        if timeout(END_TIMEOUT, self.child.wait()).await.is_err() {
            self.signal(Signal::Terminate);
            let _ = timeout(END_TIMEOUT, self.child.wait()).await;
        }
    }

    /// Sends a signal to the process and those that it started.
    #[cfg(unix)]
    fn signal(&mut self, signal: Signal) {
        use nix::{sys::signal, unistd::Pid};

        // Without an id it was waited for, and its number may be somebody else's.
        let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        let signal = match signal {
            Signal::Terminate => signal::Signal::SIGTERM,
            Signal::Kill => signal::Signal::SIGKILL,
        };
        let _ = signal::killpg(Pid::from_raw(id), signal);
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _: Signal) {
        let _ = self.child.start_kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
    }
}

enum Signal {
    Terminate,
    Kill,
}

/// Logs what a process writes to its standard error until it closes it.
async fn log(server: String, mut stderr: impl AsyncRead + Unpin) {
    let mut buffer = vec![0; 4 << 10];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        for line in String::from_utf8_lossy(&buffer[..length]).lines() {
            tracing::debug!(%server, "stderr: {line}");
        }
    }
}
