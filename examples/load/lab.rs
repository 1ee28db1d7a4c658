//! The bench at which loads are run: the upstream, the thread of the clients, the options, and
//! what has come out so far.

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    Result,
    client::Meter,
    report::Table,
    script::Slot,
    target::{Kind, Target},
    upstream::Upstream,
};

/// Everything that a load needs.
pub struct Lab {
    /// The scripted upstream.
    pub upstream: Upstream,
    /// Which targets are measured.
    pub kinds: Vec<Kind>,
    /// How often each measurement is repeated.
    pub rounds: usize,
    /// How long a paced load is measured in each round.
    pub window: Duration,
    tokenwire: PathBuf,
    before: PathBuf,
    clients: Handle,
    tables: Vec<Table>,
    faults: Vec<String>,
}

/// What was asked for on the command line.
pub struct Options {
    /// Which targets are measured.
    pub kinds: Vec<Kind>,
    /// How often each measurement is repeated.
    pub rounds: usize,
    /// How long a paced load is measured in each round.
    pub window: Duration,
    /// The server's executable.
    pub tokenwire: PathBuf,
    /// The executable of [`Kind::Before`].
    pub before: PathBuf,
}

impl Lab {
    /// Starts the upstream and the clients' thread.
    pub fn new(upstream: Upstream, options: Options) -> Result<Self> {
        let Options { kinds, rounds, window, tokenwire, before } = options;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let clients = runtime.handle().clone();
        thread::Builder::new().name("clients".into()).spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self { upstream, kinds, rounds, window, tokenwire, before, clients, tables: Vec::new(), faults: Vec::new() })
    }

    /// A fresh target.
    pub fn start(&self, kind: Kind) -> Result<Target> {
        let server = if kind == Kind::Before { &self.before } else { &self.tokenwire };
        Target::start(kind, self.upstream.address, server)
    }

    /// Fresh targets: all that are measured, or those of them that are in `among`.
    pub fn start_all(&self, among: &[Kind]) -> Result<Vec<Target>> {
        self.kinds.iter().filter(|kind| among.contains(kind)).map(|&kind| self.start(kind)).collect()
    }

    /// Runs `work` on the clients' thread.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.clients.spawn(work)
    }

    /// Runs `work` on the clients' thread and waits for it, at most `limit`.
    pub fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.clients.spawn(async move {
            let _ = sender.send(work.await);
        });
        receiver.recv_timeout(limit).unwrap_or_else(|_| {
            task.abort();
            Err(format!("not done within {} s", limit.as_secs()).into())
        })
    }

    /// Waits for tasks that were spawned, at most `limit` for all of them.
    pub fn join<T: Send + 'static>(&self, limit: Duration, tasks: Vec<JoinHandle<Result<T>>>) -> Result<Vec<T>> {
        self.run(limit, async {
            let mut results = Vec::with_capacity(tasks.len());
            for task in tasks {
                results.push(task.await??);
            }
            Ok(results)
        })
    }

    /// A meter for one run.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::default()
    }

    /// Says what is being done, on standard error.
    pub fn say(&self, what: impl std::fmt::Display) {
        eprintln!("{what}");
    }

    /// Notes that a run went wrong. The program goes on, and fails at its end.
    pub fn fault(&mut self, load: &str, kind: Kind, error: impl std::fmt::Display) {
        let fault = format!("{load}, {}: {error}", kind.name());
        eprintln!("FAULT {fault}");
        self.faults.push(fault);
    }

    /// Prints a table and keeps it.
    pub fn add(&mut self, table: Table) {
        println!("{}", table.text());
        self.tables.push(table);
    }

    /// Forgets streams that are over.
    pub fn remove(&self, slots: &[Arc<Slot>]) {
        self.upstream.remove(slots);
    }

    /// The tables and the faults.
    pub fn finish(self) -> (Vec<Table>, Vec<String>) {
        (self.tables, self.faults)
    }
}
