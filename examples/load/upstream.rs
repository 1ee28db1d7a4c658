//! The scripted upstream: an HTTP server that answers every POST with the stream of its slot.
//!
//! Requests are read and closed connections noticed on one thread with a runtime; paced tokens
//! are written by [`Pacer`]'s own thread, because a runtime's timer ticks in milliseconds and
//! would make bundles of what should come one by one.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Result,
    pacer::Pacer,
    script::{Script, Slot, Then},
    wire,
};

/// How long a client may take to send a request, once it has begun.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest request. Those of the load are a few hundred bytes.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// A running upstream. It serves until the process ends.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    slots: Mutex<HashMap<u64, Arc<Slot>>>,
    last_number: AtomicU64,
    pacer: Pacer,
    chunk_per_event: bool,
}

impl Upstream {
    /// Listens on a free port of loopback.
    pub fn start(chunk_per_event: bool) -> Result<Self> {
        let shared = Arc::new(Shared {
            slots: Mutex::default(),
            last_number: AtomicU64::new(0),
            pacer: Pacer::start(chunk_per_event)?,
            chunk_per_event,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let serving = Arc::clone(&shared);
        thread::Builder::new().name("upstream".into()).spawn(move || {
            runtime.block_on(accept(listener, serving));
        })?;
        Ok(Self { address, shared })
    }

    /// Streams that follow each other in number, one per script.
    pub fn add(&self, scripts: impl IntoIterator<Item = Script>) -> Vec<Arc<Slot>> {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        scripts
            .into_iter()
            .map(|script| {
                let number = self.shared.last_number.fetch_add(1, Ordering::Relaxed) + 1;
                let slot = Slot::new(number, script);
                slots.insert(number, Arc::clone(&slot));
                slot
            })
            .collect()
    }

    /// Forgets streams that are over.
    pub fn remove(&self, gone: &[Arc<Slot>]) {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in gone {
            slots.remove(&slot.number);
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let _ = socket.set_nodelay(true);
                tokio::spawn(serve(Arc::new(socket), Arc::clone(&shared)));
            }
            // Out of file descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers the requests of one connection, one after the other.
async fn serve(socket: Arc<TcpStream>, shared: Arc<Shared>) {
    let mut read = Vec::new();
    while let Ok(Some(number)) = request(&socket, &mut read).await {
        let slot = shared.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        let Some(slot) = slot else {
            let _ = send(&socket, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
            continue;
        };
        if stream(&socket, &slot, &shared).await.is_err() {
            slot.closed();
            return;
        }
    }
}

async fn stream(socket: &Arc<TcpStream>, slot: &Arc<Slot>, shared: &Shared) -> io::Result<()> {
    let script = &slot.script;
    let mut out = wire::HEAD.to_vec();
    wire::http_chunk(&mut out, wire::push_role);
    send(socket, &out).await?;
    let mut left = script.at_once;
    while left > 0 {
        out.clear();
        let count = left.min(script.per_write);
        wire::push_tokens(&mut out, slot, count, shared.chunk_per_event);
        send(socket, &out).await?;
        // Streams take turns, as upstreams that know nothing of each other would.
        tokio::task::yield_now().await;
        left -= count;
    }
    if let Some(pace) = script.pace {
        shared.pacer.add(Arc::clone(socket), Arc::clone(slot), pace);
        tokio::select! {
            () = slot.done.notified() => {}
            () = closed(socket) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        if slot.closed_at() != 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    if script.then == Then::Silence {
        closed(socket).await;
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    out.clear();
    wire::http_chunk(&mut out, |out| wire::push_end(out, slot.sent()));
    out.extend_from_slice(b"0\r\n\r\n");
    send(socket, &out).await
}

/// Waits until the other side has closed or reset the connection.
async fn closed(socket: &TcpStream) {
    let mut bytes = [0; 256];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        match socket.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

async fn send(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a request and gives the number of the stream that it asks for; `None` when the connection was closed.
async fn request(socket: &TcpStream, read: &mut Vec<u8>) -> io::Result<Option<u64>> {
    read.clear();
    socket.readable().await?;
    let rest = async {
        loop {
            let mut bytes = [0; 4096];
            socket.readable().await?;
            match socket.try_read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(count) => read.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if let Some(body) = whole_body(read) {
                return Ok(Some(stream_number(body)));
            }
            if read.len() > MAX_REQUEST_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
    };
    tokio::time::timeout(REQUEST_TIMEOUT, rest).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// The body of a request that has arrived completely.
fn whole_body(request: &[u8]) -> Option<&[u8]> {
    let head_bytes = memmem::find(request, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..head_bytes]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body = &request[head_bytes..];
    match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => body.get(..length),
        // Sent in chunks: the last one is empty.
        None => body.ends_with(b"0\r\n\r\n").then_some(body),
    }
}

/// The number in `"model":"s<number>"`; 0, which no stream has, when there is none.
fn stream_number(body: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(body);
    let model = text.split(r#""model""#).nth(1).and_then(|rest| rest.split('"').nth(1));
    model.and_then(|model| model.strip_prefix('s')?.parse().ok()).unwrap_or(0)
}
