//! Whether a token costs the same late in a long generation, and among many streams.

use std::time::Duration;

use crate::{
    Result,
    lab::Lab,
    loads::run::{self, Flood, Paced},
    report::Table,
    target::Kind,
};

/// Tokens that each of 20 streams has behind it.
const BEHIND: &[usize] = &[200, 2_000, 20_000, 100_000];
/// Tokens per generation, and generations on each of 8 connections, when generations run one after the other.
const WHOLE: &[(usize, usize)] = &[(200, 100), (2_000, 50), (20_000, 5), (100_000, 1)];
/// Streams, and the time between two tokens of one, at the same total rate.
const STREAMS: &[(usize, u64)] = &[(100, 20), (500, 100), (1_000, 200), (5_000, 1_000)];

/// All three.
pub fn growth(lab: &mut Lab) -> Result<()> {
    let mut long = Table::new("growth", "20 streams, a token every 10 ms, after so many tokens in each");
    let mut whole =
        Table::new("growth", "generations of so many tokens as fast as they go, 8 at a time, starts included");
    let mut many = Table::new("growth", "5,000 tokens/s in all, from so many streams");
    for target in lab.start_all(Kind::WEB_SOCKET)? {
        let name = target.kind.name();
        let mut rounds = vec![Vec::new(); BEHIND.len() + WHOLE.len() + STREAMS.len()];
        for round in 1..=lab.rounds {
            lab.say(format_args!("growth, round {round}: {name}"));
            let paced = |streams, every_ms, behind| {
                let load = Paced { streams, together: 1, every: Duration::from_millis(every_ms), behind };
                run::paced(lab, &target, load)
            };
            let results: Vec<_> = (BEHIND.iter().map(|&behind| paced(20, 10, behind)))
                .chain(WHOLE.iter().map(|&(tokens, generations)| {
                    run::flood(lab, &target, Flood { streams: 8, generations, tokens, together: 1 })
                }))
                .chain(STREAMS.iter().map(|&(streams, every_ms)| paced(streams, every_ms, 0)))
                .collect();
            for (result, rounds) in results.into_iter().zip(&mut rounds) {
                match result {
                    Ok(mut figures) => rounds.push(figures.metrics()),
                    Err(error) => lab.fault("growth", target.kind, error),
                }
            }
        }
        let mut rounds = rounds.iter();
        for (behind, rounds) in BEHIND.iter().zip(rounds.by_ref()) {
            long.medians(format!("{name} {behind}"), rounds);
        }
        for ((tokens, _), rounds) in WHOLE.iter().zip(rounds.by_ref()) {
            whole.medians(format!("{name} {tokens}"), rounds);
        }
        for ((streams, _), rounds) in STREAMS.iter().zip(rounds) {
            many.medians(format!("{name} {streams}"), rounds);
        }
    }
    lab.add(long);
    lab.add(whole);
    lab.add(many);
    Ok(())
}
