//! The yardstick: the least that a WebSocket gateway can do, written as one would write it.
//!
//! Each text frame of the client's is sent to the upstream as the body of a POST, and every
//! data line of the answer goes to the client as a text frame, unparsed. All lines of one read
//! are fed and then flushed once. A client that leaves ends its request.

use futures_util::{SinkExt, StreamExt};
use memchr::memchr;
use reqwest::{Client, header::CONTENT_TYPE};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::Result;

/// Serves until its standard input ends. Prints its address, as `tokenwire` does.
pub fn run(upstream: String) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("http://{}", listener.local_addr()?);
        let client = Client::builder().no_proxy().build()?;
        loop {
            let (socket, _) = listener.accept().await?;
            let (client, upstream) = (client.clone(), upstream.clone());
            tokio::spawn(async move {
                // A client that goes away is no error of the relay's.
                let _ = serve(socket, client, upstream).await;
            });
        }
    })
}

async fn serve(socket: TcpStream, client: Client, upstream: String) -> Result<()> {
    socket.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let mut socket = tokio_tungstenite::accept_async_with_config(socket, Some(config)).await?;
    while let Some(message) = socket.next().await {
        if let Message::Text(body) = message? {
            forward(&mut socket, &client, &upstream, body).await?;
        }
    }
    Ok(())
}

async fn forward(
    socket: &mut WebSocketStream<TcpStream>,
    client: &Client,
    upstream: &str,
    body: Utf8Bytes,
) -> Result<()> {
    let request = client.post(format!("{upstream}/v1/chat/completions"));
    let mut answer = request.header(CONTENT_TYPE, "application/json").body(bytes::Bytes::from(body)).send().await?;
    let mut partial = Vec::new();
    loop {
        tokio::select! {
            chunk = answer.chunk() => {
                let Some(chunk) = chunk? else { return Ok(()) };
                let mut start = 0;
                while let Some(length) = memchr(b'\n', &chunk[start..]) {
                    let line = start..start + length;
                    start = line.end + 1;
                    if partial.is_empty() {
                        feed(socket, chunk.slice(line)).await?;
                    } else {
                        partial.extend_from_slice(&chunk[line]);
                        feed(socket, std::mem::take(&mut partial).into()).await?;
                    }
                }
                partial.extend_from_slice(&chunk[start..]);
                socket.flush().await?;
            }
            message = socket.next() => match message {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}

async fn feed(socket: &mut WebSocketStream<TcpStream>, line: bytes::Bytes) -> Result<()> {
    if line.starts_with(b"data: ") {
        socket.feed(Message::Text(Utf8Bytes::try_from(line.slice(6..))?)).await?;
    }
    Ok(())
}
