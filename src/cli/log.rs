//! Logging, to stderr.

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::Failure;

/// Libraries whose finer levels print messages, headers and keys: at most `warn`, whatever is asked for.
const QUIET: &[&str] =
    &["tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "reqwest", "h2", "rustls", "rustyline"];

/// A library that prints them in warnings, too: the URL of an MCP server, and what its tools say. Tokenwire itself logs
/// what becomes of a server.
const SILENT: &str = "rmcp";

/// Logs what `filter` asks for, such as `debug` or `info,tokenwire=trace`.
pub(super) fn init(filter: &str) -> Result<(), Failure> {
    let asked = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(format!(
            "--log or TOKENWIRE_LOG: `{filter}` is no log filter: {error}\n  \
             expected error, warn, info, debug or trace, or such as `info,tokenwire=debug`"
        ))
    })?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = layer.with_filter(asked.and(filter_fn(may_show)));
    // Fails only when something has been installed already, and then that does the logging.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

fn may_show(event: &Metadata<'_>) -> bool {
    let target = event.target().split("::").next().unwrap_or_default();
    target != SILENT && (*event.level() <= Level::WARN || !QUIET.contains(&target))
}
