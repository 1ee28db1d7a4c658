//! `tokenwire providers`: what is switched on, why the rest is not, and whether it works.

mod probe;
mod report;

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use tokenwire::{
    config::{Loaded, closest},
    provider::{Candidate, candidates},
};

use self::{
    probe::{Probe, Tried},
    report::Row,
};
use super::{ConfigArgs, Failure, log, print, runtime, signals::Signals};

/// Show every provider, and with --try ask each whether it works
///
/// Shows what is switched on, and what would switch on the rest. Nothing is sent anywhere without --try or
/// --model. With it every provider that is on is asked for a few tokens, by the same code that serves clients; the exit
/// code is 1 when one of them fails.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct ProvidersArgs {
    /// Only these, in full: openai, groq, ... [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Ask those that are on for a few tokens
    #[arg(long = "try")]
    tries: bool,
    /// Try this model; may be given several times [default: the first one configured]
    #[arg(short, long = "model", value_name = "PROVIDER/MODEL")]
    models: Vec<String>,
    /// Seconds that each answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

const HELP: &str = "\
Examples:
  tokenwire providers                       what is on, and what would switch on the rest
  tokenwire providers openai                one of them, with its models
  tokenwire providers --try                 does each one that is on answer?
  tokenwire providers --try openai groq     only these
  tokenwire providers --model openai/gpt-5  with this model
  tokenwire providers --json --try | jq '.providers[] | select(.try.ok == false)'

A try costs a few tokens at each provider.";

pub(super) fn run(args: ProvidersArgs) -> Result<(), Failure> {
    log::init(&std::env::var("TOKENWIRE_LOG").unwrap_or_else(|_| "error".to_owned()))?;
    let loaded = args.config.clone().loader().load()?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let mut candidates = candidates(&loaded.config);
    let known: Vec<&str> = candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    let models = models(&args.models, &known)?;
    for name in &args.names {
        check_name(name, &known)?;
    }
    if !args.names.is_empty() || !models.is_empty() {
        candidates.retain(|candidate| args.names.contains(&candidate.name) || models.contains_key(&candidate.name));
    }
    // What is on first; a stable sort keeps the order otherwise.
    candidates.sort_by_key(|candidate| candidate.provider.is_err());

    let is_named = !args.names.is_empty() || !models.is_empty();
    let rows: Vec<Row> = candidates.iter().map(|candidate| Row::new(candidate, &loaded)).collect();
    let tries = args.tries || !models.is_empty();
    if !args.json {
        print(&report::table(&rows, is_named));
    }
    let tried = if tries { try_all(&candidates, &models, is_named, &args, &loaded)? } else { Vec::new() };
    if args.json {
        print(&report::json(&rows, &tried));
    } else if tries {
        print(&report::tries(&tried));
    }
    match tried.iter().filter(|tried| !tried.is_ok()).count() {
        0 => Ok(()),
        failed => Err(Failure::new(format!("{failed} of {} did not work", tried.len()))),
    }
}

/// The model to try of each provider that one is named of.
fn models(args: &[String], known: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
    let mut models = BTreeMap::new();
    for arg in args {
        let Some((provider, model)) = arg.split_once('/').filter(|(_, model)| !model.is_empty()) else {
            return Err(Failure::new(format!(
                "--model {arg}: expected the provider and its model, such as `openai/gpt-5`"
            )));
        };
        check_name(provider, known)?;
        if models.insert(provider.to_owned(), model.to_owned()).is_some() {
            return Err(Failure::new(format!("--model {arg}: another model of `{provider}` is named already")));
        }
    }
    Ok(models)
}

fn check_name(name: &str, known: &[&str]) -> Result<(), Failure> {
    if known.contains(&name) {
        return Ok(());
    }
    let fix = match closest(name, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`tokenwire providers` lists them; another needs a section `[providers.NAME]` in the file".to_owned(),
    };
    Err(Failure::new(format!("no provider `{name}` is known\n  {fix}")))
}

/// Tries those that are on, all at once. One that was named and is off has failed.
fn try_all(
    candidates: &[Candidate],
    models: &BTreeMap<String, String>,
    is_named: bool,
    args: &ProvidersArgs,
    loaded: &Loaded,
) -> Result<Vec<Tried>, Failure> {
    let limit = Duration::from_secs(args.timeout);
    let connect = Duration::from_millis(loaded.config.timeouts.connect_ms).min(limit);
    let tries = candidates.iter().filter_map(|candidate| {
        let name = &candidate.name;
        let model = models.get(name).cloned();
        let provider = match &candidate.provider {
            Ok(provider) => Ok(provider.clone()),
            Err(off) if is_named => Err(off.clone()),
            Err(_) => return None,
        };
        Some(async move {
            match provider {
                Ok(provider) => Probe { provider: &*provider, model, connect, limit }.run(loaded).await,
                Err(off) => Tried::off(name, &off),
            }
        })
    });
    runtime()?.block_on(async {
        let mut signals =
            Signals::interrupt().map_err(|error| Failure::new(format!("cannot wait for Ctrl-C: {error}")))?;
        tokio::select! {
            tried = join_all(tries) => Ok(tried),
            () = signals.next() => Err(Failure::interrupted()),
        }
    })
}
