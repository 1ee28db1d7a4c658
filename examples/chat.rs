//! A small chat in the terminal: `cargo run --example chat`. Ctrl-C stops an answer, Ctrl-D leaves.
//!
//! Arguments: a server's address (else one is started inside), a model (else `demo/markdown`).

use std::{error::Error, io::Write};

use tokenwire::{
    client::{Client, Received},
    config::Loader,
    protocol::{Event, GenerationId, Start, message},
    server::Server,
};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = match args.next() {
        Some(url) => url,
        None => start_server().await?,
    };
    let model = args.next().unwrap_or_else(|| "demo/markdown".to_owned());
    let mut client = Client::connect(&url).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut messages = Vec::new();
    for number in 1.. {
        show("> ")?;
        let Some(line) = lines.next_line().await? else { break };
        messages.push(message::Message::user(line));
        // Unique for this run, so that another run does not attach to this one's answers.
        let id: GenerationId = format!("chat-{}-{number}", std::process::id()).parse()?;
        client.start(Start::new(id.clone(), model.as_str(), messages.clone())).await;
        messages.push(message::Message::text(message::Role::Assistant, read_answer(&mut client, &id).await?));
        println!("\n");
    }
    client.close().await;
    Ok(())
}

/// Shows an answer as it comes. Ctrl-C stops it; what was said until then counts.
async fn read_answer(client: &mut Client, id: &GenerationId) -> Result<String, Box<dyn Error>> {
    let mut answer = String::new();
    loop {
        let received = tokio::select! {
            received = client.next() => received?,
            _ = tokio::signal::ctrl_c() => {
                client.cancel(id).await;
                continue;
            }
        };
        match received {
            Received::Event(frame) => match frame.event {
                Event::Text(text) => {
                    show(&text.delta)?;
                    answer.push_str(&text.delta);
                }
                Event::Failed(failed) => return Err(failed.error.into()),
                event if event.is_terminal() => return Ok(answer),
                _ => {}
            },
            Received::Refused(refused) => return Err(refused.error.into()),
            _ => {} // Disconnected, Reconnected: the client resumes by itself.
        }
    }
}

fn show(text: &str) -> std::io::Result<()> {
    print!("{text}");
    std::io::stdout().flush()
}

/// A server inside, with the providers whose keys are in the environment.
async fn start_server() -> Result<String, Box<dyn Error>> {
    let config = Loader::from_env().flag("listen", "127.0.0.1:0").load()?.config;
    let server = Server::builder().config(config).bind().await?;
    let url = format!("ws://{}", server.local_addr());
    tokio::spawn(server.run(std::future::pending()));
    Ok(url)
}
