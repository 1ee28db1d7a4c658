//! One run of streams through one target, and the figures it gives.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    Result,
    client::{Connection, Meter, Track},
    lab::Lab,
    process::{self, Used},
    report::{Metric, percentile_micros},
    script::{Pace, Script, Slot, now},
    target::Target,
};

/// How long all streams of a run may take to start, and to end when they are told to.
const LIMIT: Duration = Duration::from_secs(60);

/// Streams at a pace.
#[derive(Clone, Copy)]
pub struct Paced {
    pub streams: usize,
    /// Tokens that come together.
    pub together: usize,
    pub every: Duration,
    /// Tokens that each stream has behind it when it is measured.
    pub behind: usize,
}

/// What was counted between two moments.
pub struct Figures {
    seconds: f64,
    tokens: u64,
    bytes: u64,
    frames: u64,
    used: Used,
    /// What this process used: the upstream and the clients.
    own: Used,
    latencies: Vec<u32>,
}

impl Figures {
    /// The figures as columns.
    pub fn metrics(&mut self) -> Vec<Metric> {
        let tokens = self.tokens.max(1) as f64;
        vec![
            ("tokens/s", self.tokens as f64 / self.seconds),
            ("cpu us/token", self.used.cpu_nanos as f64 / 1000.0 / tokens),
            ("p50 us", percentile_micros(&mut self.latencies, 0.5)),
            ("p99 us", percentile_micros(&mut self.latencies, 0.99)),
            ("bytes/token", self.bytes as f64 / tokens),
            ("tokens/frame", tokens / self.frames.max(1) as f64),
            ("waits/token", self.used.waits as f64 / tokens),
            ("generator us/token", self.own.cpu_nanos as f64 / 1000.0 / tokens),
        ]
    }
}

/// The counters at one moment.
struct Mark {
    at: Instant,
    used: Used,
    own: Used,
    counts: [u64; 3],
}

impl Mark {
    fn now(target: &Target, meter: &Meter) -> Self {
        Self {
            at: Instant::now(),
            used: process::used(&target.pids),
            own: process::used(&[std::process::id()]),
            counts: [&meter.tokens, &meter.bytes, &meter.frames].map(|count| count.load(Ordering::Relaxed)),
        }
    }

    fn until(&self, end: &Self, latencies: Vec<u32>) -> Figures {
        let [tokens, bytes, frames] = std::array::from_fn(|i| end.counts[i] - self.counts[i]);
        Figures {
            seconds: (end.at - self.at).as_secs_f64(),
            tokens,
            bytes,
            frames,
            used: end.used.since(self.used),
            own: end.own.since(self.own),
            latencies,
        }
    }
}

/// Runs paced streams, one per connection, and measures them for the lab's window.
pub fn paced(lab: &Lab, target: &Target, load: Paced) -> Result<Figures> {
    let meter = lab.meter();
    let slots = lab.upstream.add(paced_scripts(load, lab.window));
    let tasks = start_each(lab, target, &slots, &meter)?;
    wait_until("the streams to be under way", || slots.iter().all(|slot| slot.sent() > load.behind as u64))?;
    wait_until("the clients to have caught up", || {
        meter.tokens.load(Ordering::Relaxed) >= (load.behind * load.streams) as u64
    })?;
    thread::sleep(load.every.max(Duration::from_secs(1)));
    meter.keeps_latencies.store(true, Ordering::Relaxed);
    let start = Mark::now(target, &meter);
    thread::sleep(lab.window);
    let end = Mark::now(target, &meter);
    meter.keeps_latencies.store(false, Ordering::Relaxed);
    let tracks = stop(lab, &slots, tasks)?;
    Ok(start.until(&end, tracks.into_iter().flat_map(|track| track.latencies).collect()))
}

/// A script per stream. The streams are spread over the interval, in no regular order.
pub fn paced_scripts(load: Paced, window: Duration) -> impl Iterator<Item = Script> {
    let start = now() + 100_000_000;
    // Long enough for starting, the window and ending; more is only memory.
    let span = window + Duration::from_secs(20) + load.every * 4;
    let tokens = load.behind + load.together * span.div_duration_f64(load.every) as usize;
    (0..load.streams).map(move |stream| {
        let phase = (stream as f64 * 0.618_033_988_749_895).fract();
        let pace = Pace {
            together: load.together,
            every: load.every,
            first_at: start + (phase * load.every.as_nanos() as f64) as u64,
        };
        Script { at_once: load.behind, per_write: 16, ..Script::paced(tokens, pace) }
    })
}

/// Opens a connection per stream and starts it; each is then read to its end by a task.
pub fn start_each(
    lab: &Lab,
    target: &Target,
    slots: &[Arc<Slot>],
    meter: &Arc<Meter>,
) -> Result<Vec<JoinHandle<Result<Track>>>> {
    let (address, speech) = (target.address, target.speech());
    let (slots, meter) = (slots.to_vec(), Arc::clone(meter));
    lab.run(LIMIT, async move {
        let mut tasks = Vec::with_capacity(slots.len());
        for slot in slots {
            let mut connection = Connection::open(address, speech, Arc::clone(&meter)).await?;
            connection.start(&slot).await?;
            let mut tracks = [Track::new(slot, Arc::clone(&meter))];
            tasks.push(tokio::spawn(async move {
                connection.read_to_end(&mut tracks).await?;
                let [track] = tracks;
                Ok(track)
            }));
        }
        Ok(tasks)
    })
}

/// Ends the streams, waits for their clients, and checks that nothing is missing.
pub fn stop(lab: &Lab, slots: &[Arc<Slot>], tasks: Vec<JoinHandle<Result<Track>>>) -> Result<Vec<Track>> {
    slots.iter().for_each(|slot| slot.stop());
    let tracks = lab.join(LIMIT, tasks);
    lab.remove(slots);
    let tracks = tracks?;
    tracks.iter().try_for_each(Track::check)?;
    Ok(tracks)
}

/// Streams as fast as they go.
#[derive(Clone, Copy)]
pub struct Flood {
    /// Connections.
    pub streams: usize,
    /// Generations on each, one after the other.
    pub generations: usize,
    /// Tokens of one generation.
    pub tokens: usize,
    /// Tokens that come together.
    pub together: usize,
}

/// Runs generations as fast as they go, and measures them from the first start to the last end.
///
/// The CPU time includes starting the generations; connections are open before.
pub fn flood(lab: &Lab, target: &Target, load: Flood) -> Result<Figures> {
    let Flood { streams, generations, tokens, together } = load;
    let meter = lab.meter();
    let slots = lab.upstream.add((0..streams * generations).map(|_| Script::at_once(tokens, together)));
    let (address, speech) = (target.address, target.speech());
    let opening = Arc::clone(&meter);
    let connections = lab.run(LIMIT, async move {
        let mut connections = Vec::with_capacity(streams);
        for _ in 0..streams {
            connections.push(Connection::open(address, speech, Arc::clone(&opening)).await?);
        }
        Ok(connections)
    })?;
    thread::sleep(Duration::from_millis(100));
    meter.keeps_latencies.store(true, Ordering::Relaxed);
    let start = Mark::now(target, &meter);
    let tasks = connections.into_iter().zip(slots.chunks(generations)).map(|(mut connection, slots)| {
        let (slots, meter) = (slots.to_vec(), Arc::clone(&meter));
        lab.spawn(async move {
            let mut latencies = Vec::new();
            for slot in slots {
                connection.start(&slot).await?;
                let mut tracks = [Track::new(slot, Arc::clone(&meter))];
                connection.read_to_end(&mut tracks).await?;
                let [track] = tracks;
                track.check()?;
                latencies.extend(track.latencies);
            }
            Ok(latencies)
        })
    });
    let latencies = lab.join(LIMIT * 2, tasks.collect());
    let end = Mark::now(target, &meter);
    lab.remove(&slots);
    Ok(start.until(&end, latencies?.concat()))
}

/// Waits until `is_so`, looking every few milliseconds.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let started_at = Instant::now();
    while !is_so() {
        if started_at.elapsed() > LIMIT {
            return Err(format!("waited too long for {what}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
