//! The `tokenwire` binary.

use std::process::ExitCode;

use tokenwire::{config::Config, server::Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut config = Config::default();
    if let Some(listen) = std::env::args().nth(3).and_then(|listen| listen.parse().ok()) {
        config.listen = listen;
    }
    let server = match Server::builder().config(config).bind().await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("tokenwire: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("tokenwire serves at http://{}", server.local_addr());
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    match server.run(shutdown).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokenwire: {error}");
            ExitCode::FAILURE
        }
    }
}
