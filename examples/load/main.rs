//! Loads a real `tokenwire` server, and prints what a token costs.
//!
//! ```sh
//! cargo build --release --bin tokenwire --example load
//! target/release/examples/load                       # every load, a few minutes
//! target/release/examples/load busy flood            # some of them
//! target/release/examples/load cancel --only tokenwire
//! ```
//!
//! One process holds a scripted upstream, which speaks as OpenAI does, and the clients. The server
//! stands between them as a process of its own, and beside it others to compare with:
//!
//! ```text
//!               ┌── tokenwire   parses, keeps a log, sends typed frames over WebSocket
//!               ├── relay       SSE data lines as WebSocket frames, unparsed
//!   clients ────┤                                                             ├──── upstream
//!               ├── nginx       the SSE stream, unparsed
//!               └── direct      nothing in between
//! ```
//!
//! Each token is its own number, and the upstream notes when it wrote it, so every run checks that no
//! token is lost, repeated or out of place, and knows each token's time on the way by one clock. The CPU time of
//! the gateway's process per token is the firm figure; times on the clock depend on what else the machine does.
//!
//! The program fails when a run did.

mod client;
mod decode;
mod lab;
mod loads;
mod pacer;
mod process;
mod relay;
mod report;
mod script;
mod target;
mod upstream;
mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use serde_json::json;

use crate::{
    lab::{Lab, Options},
    loads::Load,
    target::Kind,
    upstream::Upstream,
};

/// What can go wrong here ends the run that it happened in, and is told to a person.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures what a token costs on its way through tokenwire, and through others to compare with.
#[derive(Parser)]
struct Args {
    /// What to run.
    #[arg(default_value = "all")]
    loads: Vec<Load>,
    /// Measure these alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// The server. Default: `tokenwire` in the folder above this program's.
    #[arg(long, value_name = "PATH")]
    tokenwire: Option<PathBuf>,
    /// Another build of the server, to be measured beside it as `before`.
    #[arg(long, value_name = "PATH")]
    before: Option<PathBuf>,
    /// How often each measurement is repeated, the targets taking turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a paced load is measured in each round.
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    seconds: f64,
    /// The upstream sends each event as an HTTP chunk of its own, also those that it writes together.
    #[arg(long)]
    split_chunks: bool,
    /// Write the figures to this file as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// `load relay --upstream URL`, as the program starts itself.
#[derive(Parser)]
struct RelayArgs {
    #[arg(long)]
    upstream: String,
}

fn main() -> ExitCode {
    let result = if std::env::args().nth(1).is_some_and(|arg| arg == "relay") {
        relay::run(RelayArgs::parse_from(std::env::args().skip(1)).upstream).map(|()| true)
    } else {
        measure(Args::parse())
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for. Returns whether all runs went well.
fn measure(args: Args) -> Result<bool> {
    let window = Duration::try_from_secs_f64(args.seconds.clamp(0.1, 60.0))?;
    let mut kinds = Kind::ALL.to_vec();
    if args.only.is_empty() {
        kinds.retain(|&kind| kind != Kind::Nginx || target::has_nginx());
    } else {
        kinds.retain(|kind| args.only.contains(kind));
    }
    kinds.retain(|&kind| kind != Kind::Before || args.before.is_some());
    let options = Options {
        kinds,
        rounds: args.rounds as usize,
        window,
        tokenwire: args.tokenwire.map_or_else(sibling_tokenwire, Ok)?,
        before: args.before.unwrap_or_default(),
    };
    let mut lab = Lab::new(Upstream::start(args.split_chunks)?, options)?;
    for load in args.loads {
        load.run(&mut lab)?;
    }
    let (tables, faults) = lab.finish();
    if let Some(path) = args.json {
        let tables: Vec<_> = tables.iter().map(|table| table.json()).collect();
        std::fs::write(path, serde_json::to_string_pretty(&json!({"tables": tables, "faults": faults}))?)?;
    }
    if faults.is_empty() {
        println!("No token was lost or out of place.");
    } else {
        println!("{} runs failed:\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(faults.is_empty())
}

fn sibling_tokenwire() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|examples| examples.parent()).ok_or("this program has no folder")?;
    Ok(folder.join("tokenwire"))
}
