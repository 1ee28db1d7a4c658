//! `tokenwire serve`, and `tokenwire` alone.

use std::{fmt::Write as _, io, net::SocketAddr};

use tokenwire::{
    config::{Loaded, is_loopback},
    provider::{Off, candidates},
    server::{Server, ServerError},
};

use super::{ConfigArgs, Failure, check, log, print, runtime, signals::Signals};

/// Serve (the default): the demo model, and every provider whose key is there
///
/// Runs until Ctrl-C. Then nothing new is started, clients are told to reconnect elsewhere, and
/// running generations may end; a second Ctrl-C stops at once.
#[derive(clap::Args)]
pub(super) struct ServeArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "COUNT")]
    workers: Option<u32>,
    /// Serve everybody who reaches the address, with no key configured
    #[arg(long)]
    insecure_no_auth: bool,
    /// What to log to stderr: error, warn, info, debug, trace, or such as `info,tokenwire=debug`
    #[arg(long, value_name = "FILTER", env = "TOKENWIRE_LOG", default_value = "info")]
    log: String,
}

impl ServeArgs {
    fn load(self) -> Result<Loaded, Failure> {
        let mut loader = self.config.loader();
        if let Some(listen) = self.listen {
            loader = loader.flag("listen", listen);
        }
        if let Some(workers) = self.workers {
            loader = loader.flag("workers", i64::from(workers));
        }
        if self.insecure_no_auth {
            loader = loader.flag("insecure_no_auth", true);
        }
        Ok(loader.load()?)
    }
}

pub(super) fn run(args: ServeArgs) -> Result<(), Failure> {
    log::init(&args.log)?;
    let loaded = args.load()?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // Accepts and nothing else: connections have threads of their own.
    runtime()?.block_on(serve(loaded))
}

async fn serve(loaded: Loaded) -> Result<(), Failure> {
    let server = Server::builder().config(loaded.config.clone()).bind().await.map_err(explain)?;
    let mut signals = Signals::stop().map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    print(&banner(&loaded, server.local_addr()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut running = std::pin::pin!(server.run(async {
        // An error means that the other end is gone, which is a stop, too.
        let _ = stopped.await;
    }));
    tokio::select! {
        ended = &mut running => return ended.map_err(explain),
        () = signals.next() => {}
    }
    let _ = stop.send(());
    tracing::info!("stopping: running generations may end; Ctrl-C again stops at once");
    tokio::select! {
        ended = &mut running => ended.map_err(explain),
        () = signals.next() => Err(Failure::new("stopped before everything had ended")),
    }
}

/// What is said at the start. Its first line holds the address.
fn banner(loaded: &Loaded, address: SocketAddr) -> String {
    let config = &loaded.config;
    // A server that listens everywhere is reached here.
    let reachable = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        _ => address,
    };
    let mut on = Vec::new();
    let mut hints = Vec::new();
    for candidate in candidates(config) {
        match candidate.provider {
            Ok(_) => on.push(candidate.name),
            Err(Off::NoKey(variable)) => hints.push(variable),
            Err(_) => {}
        }
    }
    let mut text = format!("tokenwire {} on http://{reachable}\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<10} {value}");
    };
    line("page", &format!("http://{reachable}/"));
    line("stream", &format!("ws://{reachable}/v1/stream"));
    line("providers", &on.join(", "));
    match hints.len() {
        0 => {}
        1..=3 => line("", &format!("set {} for more", hints.join(" or "))),
        _ => line("", &format!("set {}, ... for more: see `tokenwire check`", hints[..3].join(", "))),
    }
    line("auth", &check::auth_line(config));
    line("config", &check::config_line(loaded));
    if !is_loopback(address) {
        line("listen", &address.to_string());
    }
    line("stop", "Ctrl-C");
    text.push('\n');
    text
}

fn explain(error: ServerError) -> Failure {
    match error {
        ServerError::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
            let next = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(0));
            Failure::new(format!(
                "{address} is in use by another program\n  \
                 choose another address with `--listen {next}`, or a free one with `--listen {}`",
                SocketAddr::new(address.ip(), 0)
            ))
        }
        ServerError::Listen(address, error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Failure::new(format!(
                "this user may not listen on {address}\n  choose a port above 1023 with `--listen {}`",
                SocketAddr::new(address.ip(), 8080)
            ))
        }
        ServerError::Listen(address, error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            Failure::new(format!("{address} is no address of this machine\n  choose another with `--listen`"))
        }
        error => Failure::new(error.to_string()),
    }
}
