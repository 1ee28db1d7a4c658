//! What connections and generations cost in memory.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use crate::{
    Result,
    client::{Connection, Meter, Track},
    lab::Lab,
    loads::run,
    process,
    report::Table,
    script::{Pace, Script, TOKEN_BYTES, Then, now},
    target::{Kind, Target},
};

const IDLE: usize = 5_000;
const ACTIVE: usize = 500;
const TOKENS: usize = 500;
const LIMIT: Duration = Duration::from_secs(60);
/// For a target to come to rest.
const SETTLE: Duration = Duration::from_millis(700);

/// Memory at start and per idle connection.
pub fn idle(lab: &mut Lab) -> Result<()> {
    let mut table = Table::new("idle", format!("{IDLE} connections on which nothing was said yet"));
    for target in lab.start_all(Kind::WEB_SOCKET)? {
        lab.say(format_args!("idle: {}", target.kind.name()));
        thread::sleep(SETTLE);
        let at_start = process::resident_bytes(&target.pids);
        let connections = open(lab, &target, IDLE, &lab.meter())?;
        thread::sleep(SETTLE);
        let with = process::resident_bytes(&target.pids);
        drop(connections);
        thread::sleep(SETTLE);
        let after = process::resident_bytes(&target.pids);
        table.row(
            target.kind.name(),
            vec![
                ("MiB at start", at_start as f64 / f64::from(1 << 20)),
                ("KiB/connection", with.saturating_sub(at_start) as f64 / 1024.0 / IDLE as f64),
                ("MiB after closing", after as f64 / f64::from(1 << 20)),
            ],
        );
    }
    lab.add(table);
    Ok(())
}

/// Memory per generation that runs and has text in its log, over that of its idle connection.
pub fn active(lab: &mut Lab) -> Result<()> {
    let title = format!("{ACTIVE} running generations, one per connection, with {TOKENS} tokens in each");
    let mut table = Table::new("active", title);
    for target in lab.start_all(Kind::WEB_SOCKET)? {
        lab.say(format_args!("active: {}", target.kind.name()));
        let meter = lab.meter();
        let connections = open(lab, &target, ACTIVE, &meter)?;
        thread::sleep(SETTLE);
        let idle = process::resident_bytes(&target.pids);
        let pace = |stream| Pace {
            together: 10,
            every: Duration::from_millis(100),
            first_at: now() + 200_000_000 * stream / ACTIVE as u64,
        };
        let scripts =
            (0..ACTIVE as u64).map(|stream| Script { then: Then::Silence, ..Script::paced(TOKENS, pace(stream)) });
        let slots = lab.upstream.add(scripts);
        let tasks: Vec<_> = connections
            .into_iter()
            .zip(&slots)
            .map(|(mut connection, slot)| {
                let mut tracks = [Track::new(Arc::clone(slot), Arc::clone(&meter))];
                lab.spawn(async move {
                    connection.start(&tracks[0].slot).await?;
                    connection.read_tokens(&mut tracks, TOKENS as u64).await?;
                    Ok(connection)
                })
            })
            .collect();
        let connections = lab.join(LIMIT, tasks)?;
        run::wait_until("all tokens", || meter.tokens.load(Ordering::Relaxed) >= (ACTIVE * TOKENS) as u64)?;
        thread::sleep(SETTLE);
        let with = process::resident_bytes(&target.pids);
        drop(connections);
        lab.remove(&slots);
        let each = with.saturating_sub(idle) as f64 / ACTIVE as f64;
        let text = (TOKENS * TOKEN_BYTES) as f64;
        table.row(
            target.kind.name(),
            vec![("KiB/generation", each / 1024.0), ("KiB beside its text", (each - text) / 1024.0)],
        );
    }
    lab.add(table);
    Ok(())
}

fn open(lab: &Lab, target: &Target, count: usize, meter: &Arc<Meter>) -> Result<Vec<Connection>> {
    let (address, speech, meter) = (target.address, target.speech(), Arc::clone(meter));
    lab.run(LIMIT, async move {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Connection::open(address, speech, Arc::clone(&meter)).await?);
        }
        Ok(connections)
    })
}
