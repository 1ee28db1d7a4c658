//! The commands. Each has a file with its arguments and its `run`; a new one is a variant of
//! [`Command`] and a line in [`run`].

mod chat;
mod check;
mod hash_key;
mod log;
mod providers;
mod serve;
mod signals;

use std::{
    fmt,
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use tokenwire::config::{ConfigError, Loader};

/// One WebSocket between an interactive UI and any LLM: streaming, cancel, resume.
#[derive(Parser)]
#[command(name = "tokenwire", version, after_help = HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

// Their help is that of their arguments: the first paragraph in the list, all of it with `--help`.
#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Chat(chat::ChatArgs),
    Check(check::CheckArgs),
    Providers(providers::ProvidersArgs),
    HashKey(hash_key::HashKeyArgs),
}

/// What every help ends with.
const HELP: &str = "\
Examples:
  tokenwire                                 serve the demo model, no key needed
  OPENAI_API_KEY=... tokenwire              serve OpenAI's models too
  tokenwire --listen 127.0.0.1:9000         listen elsewhere
  tokenwire chat                            talk to it from the terminal
  echo \"Why is the sky blue?\" | tokenwire chat
  tokenwire chat --mcp 'files=npx -y @modelcontextprotocol/server-filesystem .'
  tokenwire hash-key --principal alice >> tokenwire.toml
  tokenwire check                           see what is enabled, and why
  tokenwire providers --try                 see whether it works, for a few tokens

Configuration, the first that sets a key wins:
  1. flags
  2. environment   any key of the file: TOKENWIRE_ and its path in capitals,
                   such as TOKENWIRE_LISTEN, TOKENWIRE_LIMITS_MAX_FRAME_BYTES
  3. file          --config FILE, or TOKENWIRE_CONFIG, or ./tokenwire.toml
  4. defaults

More variables:
  OPENAI_API_KEY, ANTHROPIC_API_KEY, ...    switch a provider on (`tokenwire check` lists them)
  OPENAI_BASE_URL, ANTHROPIC_BASE_URL, ...  point a provider elsewhere
  TOKENWIRE_LOG                             what to log: warn, debug, tokenwire=trace
  TOKENWIRE_KEY                             the key that `chat` connects with

Documentation: https://github.com/tokenwire/tokenwire";

/// Which file the configuration is read from.
#[derive(Args, Clone, Default)]
struct ConfigArgs {
    /// TOML file to read instead of TOKENWIRE_CONFIG or ./tokenwire.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    fn loader(self) -> Loader {
        match self.config {
            Some(file) => Loader::from_env().file(file),
            None => Loader::from_env(),
        }
    }
}

/// Why a command failed, in words for the terminal, and the exit code.
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// Stopped by Ctrl-C, with the exit code that shells expect of it.
    fn interrupted() -> Self {
        Self { message: "interrupted".to_owned(), code: 130 }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A runtime for the one thing that a command waits for.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))
}

/// Prints to stdout. Unlike `print!` it does not panic when nobody reads: `tokenwire check | head -1`.
fn print(text: &str) {
    let mut stdout = stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Runs the command line of this process. Exit code 0: done; 1: failed; 2: not understood; 130: Ctrl-C.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Some(Command::Chat(args)) => chat::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Providers(args)) => providers::run(args),
        Some(Command::HashKey(args)) => hash_key::run(args),
        Some(Command::Serve(args)) => serve::run(args),
        None => serve::run(cli.serve),
    }
}
