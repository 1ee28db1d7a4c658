//! A server inside one's own program, with a provider of one's own and a hook on every event.
//!
//! ```sh
//! cargo run --example embed
//! ```
//!
//! Open the address that it prints and ask `echo/loud` something.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokenwire::{
    config::Config,
    generation::{Generation, Hook},
    protocol::{ErrorInfo, Event, FinishReason},
    provider::{BoxFuture, ModelEvent, ModelRequest, Provider, Turn},
    server::Server,
};

/// A model that says what it was told, word by word.
struct Echo;

impl Provider for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn models(&self) -> Vec<String> {
        vec!["plain".into(), "loud".into()]
    }

    fn run<'a>(&'a self, request: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(async move {
            let asked = request.messages.last().map(|message| message.plain_text()).unwrap_or_default();
            for word in asked.split_inclusive(' ') {
                // A cancel drops this future right here: there is nothing to check.
                tokio::time::sleep(Duration::from_millis(60)).await;
                match request.model.as_str() {
                    "loud" => turn.emit(ModelEvent::Text(&word.to_uppercase())),
                    _ => turn.emit(ModelEvent::Text(word)),
                }
            }
            turn.emit(ModelEvent::Finish { reason: FinishReason::Stop, provider_reason: None });
            Ok(())
        })
    }
}

/// Counts what passes, as an application would to bill or to audit.
#[derive(Default)]
struct Meter {
    text_bytes: AtomicU64,
}

impl Hook for Meter {
    fn on_event(&self, generation: &Generation, _seq: u64, event: &Event) {
        match event {
            Event::Text(text) => {
                self.text_bytes.fetch_add(text.delta.len() as u64, Relaxed);
            }
            event if event.is_terminal() => {
                let (id, how) = (generation.id(), event.type_name());
                println!("{id} of {} {how}; {} bytes so far", generation.principal(), self.text_bytes.load(Relaxed));
            }
            _ => {}
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { listen: "127.0.0.1:0".parse()?, ..Config::default() };
    let server = Server::builder().config(config).provider(Echo).hook(Meter::default()).bind().await?;
    println!("http://{}", server.local_addr());
    let interrupted = async {
        // Without a signal handler there is only the hard way out.
        let _ = tokio::signal::ctrl_c().await;
    };
    server.run(interrupted).await?;
    Ok(())
}
