//! How soon the first token is there, and how soon a cancel takes effect.

use std::{sync::Arc, time::Duration};

use crate::{
    Result,
    client::{Connection, Meter, Speech, Track},
    lab::Lab,
    process,
    report::{Metric, Table, percentile_micros},
    script::{Pace, Script, Slot, now},
    target::{Kind, Target},
};

/// Generations in one round.
const TIMES: usize = 200;
const LIMIT: Duration = Duration::from_secs(60);
/// How long an upstream connection may stay open after a cancel. A gateway that looks only between tokens never
/// closes a silent one.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two generations, so that every one wakes an idle gateway.
const PAUSE: Duration = Duration::from_millis(3);

/// First token and CPU time of generations with a single token.
pub fn first(lab: &mut Lab) -> Result<()> {
    let targets = lab.start_all(Kind::ALL)?;
    let mut rounds = vec![Vec::new(); targets.len()];
    for round in 1..=lab.rounds {
        for (target, rounds) in targets.iter().zip(&mut rounds) {
            lab.say(format_args!("first, round {round}: {}", target.kind.name()));
            match first_round(lab, target) {
                Ok(metrics) => rounds.push(metrics),
                Err(error) => lab.fault("first", target.kind, error),
            }
        }
    }
    let title = format!("from start to first token, {TIMES} short generations one after the other, warm connections");
    let mut table = Table::new("first", title);
    for (target, rounds) in targets.iter().zip(&rounds) {
        table.medians(target.kind.name(), rounds);
    }
    lab.add(table);
    Ok(())
}

fn first_round(lab: &Lab, target: &Target) -> Result<Vec<Metric>> {
    let (address, speech, meter) = (target.address, target.speech(), lab.meter());
    let slots = lab.upstream.add((0..TIMES * 2).map(|_| Script::at_once(1, 1)));
    let (same, fresh) = slots.split_at(TIMES);
    let (same, fresh) = (same.to_vec(), fresh.to_vec());

    let opening = Arc::clone(&meter);
    let mut connection = lab.run(LIMIT, async move { Connection::open(address, speech, opening).await })?;
    let before = process::used(&target.pids);
    let counting = Arc::clone(&meter);
    let mut on_same = lab.run(LIMIT, async move {
        let mut nanos = Vec::with_capacity(same.len());
        for slot in same {
            nanos.push(first_token(&mut connection, slot, &counting).await?);
        }
        Ok(nanos)
    })?;
    let used = process::used(&target.pids).since(before);
    let mut on_fresh = lab.run(LIMIT, async move {
        let mut nanos = Vec::with_capacity(fresh.len());
        for slot in fresh {
            let mut connection = Connection::open(address, speech, Arc::clone(&meter)).await?;
            nanos.push(first_token(&mut connection, slot, &meter).await?);
        }
        Ok(nanos)
    })?;
    lab.remove(&slots);
    Ok(vec![
        ("p50 us", percentile_micros(&mut on_same, 0.5)),
        ("p99 us", percentile_micros(&mut on_same, 0.99)),
        ("max us", percentile_micros(&mut on_same, 1.0)),
        ("new connection p50 us", percentile_micros(&mut on_fresh, 0.5)),
        ("p99 us ", percentile_micros(&mut on_fresh, 0.99)),
        ("cpu us/generation", used.cpu_nanos as f64 / 1000.0 / TIMES as f64),
    ])
}

/// Runs a generation to its end, and returns how long its first token took, in nanoseconds.
async fn first_token(connection: &mut Connection, slot: Arc<Slot>, meter: &Arc<Meter>) -> Result<u32> {
    tokio::time::sleep(PAUSE).await;
    let mut tracks = [Track::new(slot, Arc::clone(meter))];
    let at = now();
    connection.start(&tracks[0].slot).await?;
    connection.read_to_end(&mut tracks).await?;
    tracks[0].check()?;
    Ok((tracks[0].first_at - at).try_into().unwrap_or(u32::MAX))
}

/// In which state a generation is cancelled.
const STATES: [&str; 3] = ["streaming", "silent", "before the first token"];

/// Cancels generations in three states. The targets without a cancel frame get their connection closed instead.
pub fn cancel(lab: &mut Lab) -> Result<()> {
    let targets = lab.start_all(Kind::ALL)?;
    let mut rounds = vec![Vec::new(); targets.len() * STATES.len()];
    for round in 1..=lab.rounds {
        for (target, rounds) in targets.iter().zip(rounds.chunks_mut(STATES.len())) {
            lab.say(format_args!("cancel, round {round}: {}", target.kind.name()));
            for (state, rounds) in STATES.iter().zip(rounds) {
                match cancel_round(lab, target, state) {
                    Ok(metrics) => rounds.push(metrics),
                    Err(error) => lab.fault("cancel", target.kind, error),
                }
            }
        }
    }
    let title = format!("{TIMES} times; tokenwire by a cancel frame, the others by closing the connection");
    let mut table = Table::new("cancel", title);
    for (target, rounds) in targets.iter().zip(rounds.chunks(STATES.len())) {
        for (state, rounds) in STATES.iter().zip(rounds) {
            table.medians(format!("{}, {state}", target.kind.name()), rounds);
        }
    }
    lab.add(table);
    Ok(())
}

fn cancel_round(lab: &Lab, target: &Target, state: &str) -> Result<Vec<Metric>> {
    let script = match state {
        "streaming" => {
            let pace = Pace { together: 1, every: Duration::from_millis(5), first_at: now() };
            Script { at_once: 3, ..Script::paced(1000, pace) }
        }
        "silent" => Script::silent_after(3),
        _ => Script::silent_after(0),
    };
    let slots = lab.upstream.add((0..TIMES).map(|_| script));
    let (address, speech, meter, cancelled) = (target.address, target.speech(), lab.meter(), slots.clone());
    let result = lab.run(LIMIT, async move {
        let (mut to_closed, mut to_terminal) = (Vec::new(), Vec::new());
        let mut open = None;
        for slot in cancelled {
            let mut connection = match open.take() {
                Some(connection) => connection,
                None => Connection::open(address, speech, Arc::clone(&meter)).await?,
            };
            let mut tracks = [Track::new(slot, Arc::clone(&meter))];
            connection.start(&tracks[0].slot).await?;
            let tokens = script.at_once.min(3) as u64;
            connection.read_tokens(&mut tracks, tokens).await?;
            // Long enough for the first token to have come, and to be somewhere between two.
            tokio::time::sleep(PAUSE * 3).await;
            let at;
            if speech == Speech::Tokenwire {
                at = connection.cancel(&tracks[0].slot).await?;
                connection.read_to_end(&mut tracks).await?;
                match &tracks[0].end {
                    Some((end, ended_at)) if end == "cancelled" => to_terminal.push(nanos_from(at, *ended_at)),
                    end => return Err(format!("a cancelled generation ended with {end:?}").into()),
                }
                open = Some(connection);
            } else {
                at = now();
                drop(connection);
            }
            let slot = &tracks[0].slot;
            let closing = async {
                while slot.closed_at() == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
            match slot.closed_at() {
                0 if speech == Speech::Tokenwire => return Err("the upstream stayed open after a cancel".into()),
                0 => to_closed.push(u32::MAX),
                closed_at => to_closed.push(nanos_from(at, closed_at)),
            }
        }
        Ok((to_closed, to_terminal))
    });
    lab.remove(&slots);
    let (mut to_closed, mut to_terminal) = result?;
    Ok(vec![
        ("closed p50 us", percentile_micros(&mut to_closed, 0.5)),
        ("p99 us", percentile_micros(&mut to_closed, 0.99)),
        ("terminal p50 us", percentile_micros(&mut to_terminal, 0.5)),
        ("p99 us ", percentile_micros(&mut to_terminal, 0.99)),
    ])
}

/// Nanoseconds between two moments, as the percentiles take them.
fn nanos_from(start: u64, end: u64) -> u32 {
    end.saturating_sub(start).try_into().unwrap_or(u32::MAX)
}
