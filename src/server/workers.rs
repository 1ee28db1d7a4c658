//! Worker threads, each with a single-threaded runtime of its own.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tokio::{runtime, sync::watch};

/// The threads that serve connections. Dropping them stops them.
pub(super) struct Workers {
    workers: Vec<Worker>,
    stop: watch::Sender<bool>,
}

struct Worker {
    handle: runtime::Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads; 0 starts one per core.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = match count {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let stop = watch::Sender::new(false);
        let mut workers = Vec::with_capacity(count);
        for number in 0..count {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let mut stopped = stop.subscribe();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                runtime.block_on(async {
                    // An error means that the sender is gone, which is a stop, too.
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
                runtime.shutdown_background();
            })?;
            workers.push(Worker { handle, connections: Arc::default() });
        }
        Ok(Self { workers, stop })
    }

    /// Connections on all threads.
    pub fn connections(&self) -> usize {
        self.workers.iter().map(|worker| worker.connections.load(Relaxed)).sum()
    }

    /// Runs a task that is no connection on the first thread.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(worker) = self.workers.first() {
            worker.handle.spawn(task);
        }
    }

    /// Does something on every thread, before what is given to it afterwards.
    pub fn on_each(&self, work: impl Fn() + Clone + Send + 'static) {
        for worker in &self.workers {
            let work = work.clone();
            worker.handle.spawn(async move { work() });
        }
    }

    /// Runs a connection on the thread that has the fewest. It counts for as long as its place lives.
    pub fn spawn_connection<F>(&self, connection: impl FnOnce(Place) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.connections.load(Relaxed)) else { return };
        worker.handle.spawn(connection(Place::new(worker.connections.clone())));
    }

    /// Stops the threads; what still runs on them is dropped.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A connection's place on its thread, counted until the last clone is gone. It outlives the HTTP
/// connection when that becomes a WebSocket.
#[derive(Clone)]
pub(super) struct Place {
    _counted: Arc<Counted>,
}

struct Counted(Arc<AtomicUsize>);

impl Place {
    fn new(counter: Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Relaxed);
        Self { _counted: Arc::new(Counted(counter)) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::mpsc, thread, time::Duration};

    use super::Workers;

    #[test]
    fn what_is_done_on_each_thread_comes_before_its_connections() {
        let workers = Workers::start(2).unwrap();
        let (say, said) = mpsc::channel();
        let done = say.clone();
        workers.on_each(move || done.send((thread::current().id(), "set up")).unwrap());
        let places: Vec<_> = (0..2).map(|_| say.clone()).collect();
        for say in places {
            workers.spawn_connection(|place| async move {
                say.send((thread::current().id(), "served")).unwrap();
                // It keeps its place, so that the next one goes to the other thread.
                std::future::pending::<()>().await;
                drop(place);
            });
        }
        let mut ready = HashSet::new();
        for _ in 0..4 {
            match said.recv_timeout(Duration::from_secs(20)).unwrap() {
                (thread, "set up") => assert!(ready.insert(thread)),
                (thread, _) => assert!(ready.contains(&thread)),
            }
        }
        assert_eq!(ready.len(), 2);
    }
}
