//! An answer that survives its connection: `cargo run --example resume`.
//!
//! Starts an answer, drops the socket in the middle of it, comes back with a new connection, as a
//! page does after a reload, and shows that not a character is lost or doubled.

use std::error::Error;

use tokenwire::{
    client::{Client, Received},
    config::Config,
    protocol::{Attach, Event, EventFrame, GenerationId, Start, message::Message},
    server::Server,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let server = Server::builder().config(config).bind().await?;
    let url = format!("ws://{}", server.local_addr());
    tokio::spawn(server.run(std::future::pending()));

    let id: GenerationId = "resume-1".parse()?;
    let mut start = Start::new(id.clone(), "demo/fast", vec![Message::user("What survives a tunnel?")]);
    // The server repeats the whole text at the end, to compare with.
    start.accumulate = true;

    // Before the tunnel. All that must be remembered is the position and the log's name.
    let mut text = String::new();
    let mut attach = Attach { id, after: 0, epoch: None };
    let mut client = Client::connect(&url).await?;
    client.start(start).await;
    while text.len() < 300 {
        let frame = next_event(&mut client).await?;
        attach.after = frame.seq;
        match frame.event {
            Event::Started(started) => attach.epoch = Some(started.epoch.to_string()),
            Event::Text(delta) => text.push_str(&delta.delta),
            _ => {}
        }
    }
    drop(client);
    println!("{text}\n\n~~~ dropped after event {} and {} bytes ~~~\n", attach.after, text.len());

    // After it. The generation went on meanwhile.
    let before = text.len();
    let mut client = Client::connect(&url).await?;
    client.attach(attach).await;
    let whole = loop {
        match next_event(&mut client).await?.event {
            Event::Text(delta) => text.push_str(&delta.delta),
            Event::Finished(finished) => break finished.text.unwrap_or_default(),
            event if event.is_terminal() => return Err(format!("the answer ended as {}", event.type_name()).into()),
            _ => {}
        }
    };
    client.close().await;
    println!("{}\n", &text[before..]);
    if text != whole {
        return Err(format!("{} bytes were received, and {} were said", text.len(), whole.len()).into());
    }
    println!("~~~ exact: {} bytes in two pieces ~~~", text.len());
    Ok(())
}

async fn next_event(client: &mut Client) -> Result<EventFrame, Box<dyn Error>> {
    loop {
        match client.next().await? {
            Received::Event(frame) => return Ok(frame),
            Received::Refused(refused) => return Err(refused.error.into()),
            _ => {}
        }
    }
}
