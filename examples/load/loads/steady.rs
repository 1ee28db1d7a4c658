//! The four loads of the cost table.

use std::time::Duration;

use crate::{
    Result,
    lab::Lab,
    loads::run::{self, Figures, Flood, Paced},
    report::Table,
    target::{Kind, Target},
};

const STREAMS: usize = 8;
const TOKENS: usize = 100_000;

/// Streams at a pace.
pub fn paced(lab: &mut Lab, name: &'static str, streams: usize, together: usize, every_ms: u64) -> Result<()> {
    let load = Paced { streams, together, every: Duration::from_millis(every_ms), behind: 0 };
    let title = format!("{streams} streams, {together} every {every_ms} ms, {} s", lab.window.as_secs_f32());
    compare(lab, name, title, |lab, target| run::paced(lab, target, load))
}

/// As fast as it goes, `together` tokens in one write and HTTP chunk.
pub fn flood(lab: &mut Lab, name: &'static str, together: usize) -> Result<()> {
    let load = Flood { streams: STREAMS, generations: 1, tokens: TOKENS, together };
    let title = format!("{STREAMS} streams of {TOKENS} tokens as fast as they go, {together} in one write");
    compare(lab, name, title, |lab, target| run::flood(lab, target, load))
}

/// Runs every target in turn, round after round, so that a slow minute of the machine hits all of them.
fn compare(
    lab: &mut Lab,
    name: &'static str,
    title: String,
    run: impl Fn(&Lab, &Target) -> Result<Figures>,
) -> Result<()> {
    let targets = lab.start_all(Kind::ALL)?;
    let mut rounds = vec![Vec::new(); targets.len()];
    for round in 1..=lab.rounds {
        for (target, rounds) in targets.iter().zip(&mut rounds) {
            lab.say(format_args!("{name}, round {round}: {}", target.kind.name()));
            match run(lab, target) {
                Ok(mut figures) => rounds.push(figures.metrics()),
                Err(error) => lab.fault(name, target.kind, error),
            }
        }
    }
    let mut table = Table::new(name, format!("{title}; medians of {} rounds", lab.rounds));
    for (target, rounds) in targets.iter().zip(&rounds) {
        table.medians(target.kind.name(), rounds);
    }
    table.ratio("x relay", "cpu us/token", Kind::Relay.name());
    table.ratio("x nginx", "cpu us/token", Kind::Nginx.name());
    lab.add(table);
    Ok(())
}
