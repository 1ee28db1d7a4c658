//! The loads: what is done to the targets, and what is read off.

mod growth;
mod memory;
mod run;
mod stall;
mod steady;
mod turnaround;

use clap::ValueEnum;

use crate::{Result, lab::Lab};

/// A load, as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Every load.
    All,
    /// 10 streams, a token every 40 ms.
    Light,
    /// 100 streams, a token every 20 ms.
    Busy,
    /// 50 streams, 8 tokens every 80 ms.
    Bursts,
    /// 8 streams of 100,000 tokens as fast as they go, each in a write and an HTTP chunk of its own.
    Flood,
    /// The same in writes of 16 KiB.
    Deluge,
    /// Cost per token as generations grow long, and as streams grow many.
    Growth,
    /// First token, against direct; CPU time of a short generation.
    First,
    /// From cancel to closed upstream and to the terminal frame, also while the model is silent.
    Cancel,
    /// Memory at start and of idle connections.
    Idle,
    /// Memory of generations with their text waiting.
    Active,
    /// One reader stops: what the others feel, and what memory does.
    Stall,
}

impl Load {
    /// Every load but [`Load::All`], in the order in which they are run.
    const EACH: &[Self] = &[
        Self::Light,
        Self::Busy,
        Self::Bursts,
        Self::Flood,
        Self::Deluge,
        Self::First,
        Self::Cancel,
        Self::Growth,
        Self::Idle,
        Self::Active,
        Self::Stall,
    ];

    /// Runs the load.
    pub fn run(self, lab: &mut Lab) -> Result<()> {
        match self {
            Self::All => Self::EACH.iter().try_for_each(|load| load.run(lab)),
            Self::Light => steady::paced(lab, "light", 10, 1, 40),
            Self::Busy => steady::paced(lab, "busy", 100, 1, 20),
            Self::Bursts => steady::paced(lab, "bursts", 50, 8, 80),
            Self::Flood => steady::flood(lab, "flood", 1),
            Self::Deluge => steady::flood(lab, "deluge", 60),
            Self::Growth => growth::growth(lab),
            Self::First => turnaround::first(lab),
            Self::Cancel => turnaround::cancel(lab),
            Self::Idle => memory::idle(lab),
            Self::Active => memory::active(lab),
            Self::Stall => stall::stall(lab),
        }
    }
}
