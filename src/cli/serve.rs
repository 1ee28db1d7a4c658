//! `tokenwire serve`: the server, until Ctrl-C.

use tokenwire::server::Server;

use super::{ConfigArgs, Failure, log};

/// Serves until it is interrupted.
#[derive(clap::Args, Default)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "COUNT")]
    workers: Option<u32>,
    /// Allow an address that is not loopback without any key
    #[arg(long)]
    insecure_no_auth: bool,
    /// What to log: warn, info, debug, or targets such as tokenwire=debug
    #[arg(long, env = "TOKENWIRE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

pub(super) fn run(args: ServeArgs) -> Result<(), Failure> {
    log::init(&args.log)?;
    let mut loader = args.config.loader();
    if let Some(listen) = args.listen {
        loader = loader.flag("listen", listen);
    }
    if let Some(workers) = args.workers {
        loader = loader.flag("workers", i64::from(workers));
    }
    if args.insecure_no_auth {
        loader = loader.flag("insecure_no_auth", true);
    }
    let loaded = loader.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let server = Server::builder().config(loaded.config.clone()).bind().await?;
        println!("Tokenwire {} at http://{}", env!("CARGO_PKG_VERSION"), server.local_addr());
        server.run(interrupted()).await?;
        Ok(())
    })
}

async fn interrupted() {
    // Without a signal handler the process ends at the first signal, which is as good.
    let _ = tokio::signal::ctrl_c().await;
}
