//! `tokenwire check`: what the configuration comes to.

use std::fmt::Write as _;

use tokenwire::config::{Config, Loaded, is_loopback};

use super::{ConfigArgs, Failure};

/// Reads the configuration as `serve` would, and shows what it comes to. Exit code 1 when it is wrong.
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    let loaded = args.config.loader().load()?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", report(&loaded));
    Ok(())
}

fn report(loaded: &Loaded) -> String {
    let mut report = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(report, "{name:<10} {value}");
    };
    line("config", config_line(loaded));
    line("listen", loaded.config.listen.to_string());
    line("auth", auth_line(&loaded.config));
    let defaults = Config::default().scalars();
    for (key, value) in loaded.config.scalars() {
        match defaults.get(&key) {
            Some(default) if *default != value => {
                line("changed", format!("{key} = {value} ({}; default {default})", loaded.origin(&key)));
            }
            _ => {}
        }
    }
    report.push_str("ok\n");
    report
}

/// The file, or why there is none.
pub(super) fn config_line(loaded: &Loaded) -> String {
    match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "no file: defaults and environment".to_owned(),
    }
}

/// Who may connect.
pub(super) fn auth_line(config: &Config) -> String {
    match config.auth.keys.len() {
        0 if is_loopback(config.listen) => "off: everybody on this machine may connect".to_owned(),
        0 => "OFF: everybody who reaches the address may connect".to_owned(),
        1 => "on: 1 key".to_owned(),
        keys => format!("on: {keys} keys"),
    }
}
