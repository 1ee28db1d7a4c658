//! One reader stops reading, and comes back.
//!
//! 49 streams run as in busy. Beside them one has large tokens, so that a reader that stops
//! fills what the kernels buffer within a second. The others are measured while it reads, and
//! while it does not. At the end it reads on, attaches again if it was cut off meanwhile, and
//! must get every token.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    Result,
    client::{CLOSED, Connection, Meter, Speech, Track},
    lab::Lab,
    loads::run::{self, Paced},
    process,
    report::{Metric, Table, percentile_micros},
    script::{Pace, Script, now},
    target::{Kind, Target},
};

const OTHERS: usize = 49;
/// Text of one of the large tokens, and how often it comes: about 1 MB/s.
const FILLER: usize = 4096;
const LARGE_EVERY: Duration = Duration::from_millis(4);
/// Before and during the stall. The server cuts a reader off after ten seconds in which a write did not finish.
const READING: Duration = Duration::from_secs(4);
const STALLED: Duration = Duration::from_secs(11);
const LIMIT: Duration = Duration::from_secs(60);

/// Whether the reader with the large tokens is to read.
#[derive(Default)]
struct Gate {
    is_shut: AtomicBool,
    opened: Notify,
}

/// One run per target.
pub fn stall(lab: &mut Lab) -> Result<()> {
    let title = format!(
        "{OTHERS} streams, a token every 20 ms, beside one reader of 1 MB/s that reads for {} s and stops for {} s",
        READING.as_secs(),
        STALLED.as_secs()
    );
    let mut table = Table::new("stall", title);
    for target in lab.start_all(Kind::WEB_SOCKET)? {
        lab.say(format_args!("stall: {}", target.kind.name()));
        match stall_once(lab, &target) {
            Ok(metrics) => table.row(target.kind.name(), metrics),
            Err(error) => lab.fault("stall", target.kind, error),
        }
    }
    lab.add(table);
    Ok(())
}

fn stall_once(lab: &Lab, target: &Target) -> Result<Vec<Metric>> {
    let meter = lab.meter();
    let load = Paced { streams: OTHERS, together: 1, every: Duration::from_millis(20), behind: 0 };
    let slots = lab.upstream.add(run::paced_scripts(load, READING + STALLED + STALLED));
    let tasks = run::start_each(lab, target, &slots, &meter)?;

    // Its own meter: its tokens are not the others'.
    let (gate, large_meter) = (Arc::new(Gate::default()), lab.meter());
    let pace = Pace { together: 1, every: LARGE_EVERY, first_at: now() };
    let tokens = (READING + STALLED + Duration::from_secs(5)).div_duration_f64(LARGE_EVERY) as usize;
    let large = lab.upstream.add([Script { filler: FILLER, ..Script::paced(tokens, pace) }]);
    let track = Track::new(Arc::clone(&large[0]), Arc::clone(&large_meter));
    let reader = lab.spawn(read_large(target.address, target.speech(), track, Arc::clone(&gate), large_meter));

    thread::sleep(Duration::from_secs(1));
    meter.keeps_latencies.store(true, Ordering::Relaxed);
    thread::sleep(READING);
    let reading_bytes = process::resident_bytes(&target.pids);
    gate.is_shut.store(true, Ordering::Release);
    thread::sleep(STALLED);
    meter.keeps_latencies.store(false, Ordering::Relaxed);
    let stalled_bytes = process::resident_bytes(&target.pids);
    gate.is_shut.store(false, Ordering::Release);
    gate.opened.notify_one();

    let tracks = run::stop(lab, &slots, tasks)?;
    large[0].stop();
    let large_track = lab.join(LIMIT, vec![reader]);
    lab.remove(&large);
    let (large_track, attached_again) = large_track?.pop().ok_or("the stalled reader is missing")?;
    large_track.check()?;

    // All streams have the same pace, so the share of time is the share of each one's tokens.
    let share = READING.div_duration_f64(READING + STALLED);
    let (mut before, mut during) = (Vec::new(), Vec::new());
    for track in tracks {
        let (first, second) = track.latencies.split_at((track.latencies.len() as f64 * share) as usize);
        before.extend_from_slice(first);
        during.extend_from_slice(second);
    }
    let text = STALLED.div_duration_f64(LARGE_EVERY) * FILLER as f64;
    let grown = stalled_bytes as f64 - reading_bytes as f64;
    Ok(vec![
        ("reading p50 us", percentile_micros(&mut before, 0.5)),
        ("p99 us", percentile_micros(&mut before, 0.99)),
        ("stalled p50 us", percentile_micros(&mut during, 0.5)),
        ("p99 us ", percentile_micros(&mut during, 0.99)),
        ("MiB grown", grown / f64::from(1 << 20)),
        ("MiB of text meanwhile", text / f64::from(1 << 20)),
        ("attached again", f64::from(attached_again)),
    ])
}

/// Reads while the gate is open, to the end. Returns how often it had to attach again.
async fn read_large(
    address: SocketAddr,
    speech: Speech,
    track: Track,
    gate: Arc<Gate>,
    meter: Arc<Meter>,
) -> Result<(Track, u32)> {
    let receive_bytes = Some(16 << 10);
    let mut connection = Connection::open_with(address, speech, Arc::clone(&meter), receive_bytes).await?;
    connection.start(&track.slot).await?;
    let mut tracks = [track];
    let mut attached_again = 0;
    while tracks[0].end.is_none() {
        if gate.is_shut.load(Ordering::Acquire) {
            gate.opened.notified().await;
        }
        match connection.read(&mut tracks).await {
            Ok(()) => {}
            Err(error) if speech == Speech::Tokenwire && attached_again < 3 && is_closed(&*error) => {
                attached_again += 1;
                connection = Connection::open(address, speech, Arc::clone(&meter)).await?;
                connection.attach(&tracks[0]).await?;
            }
            Err(error) => return Err(error),
        }
    }
    let [track] = tracks;
    Ok((track, attached_again))
}

/// Whether reading failed because the server ended the connection, and not because of what it sent.
fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<std::io::Error>() || error.to_string() == CLOSED
}
