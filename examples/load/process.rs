//! What the system says about processes: CPU time, memory, context switches.

use std::{fs, path::PathBuf};

/// What processes have used since they started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// CPU time of all threads, in nanoseconds.
    pub cpu_nanos: u64,
    /// How often a thread gave the CPU up to wait: roughly, how often one had to be woken.
    pub waits: u64,
}

impl Used {
    /// What was used after `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu_nanos: self.cpu_nanos.saturating_sub(before.cpu_nanos),
            waits: self.waits.saturating_sub(before.waits),
        }
    }
}

/// The sum over these processes' threads that are alive.
///
/// A thread's CPU time is read from `schedstat`, which counts nanoseconds; `stat` counts hundredths of a second.
pub fn used(pids: &[u32]) -> Used {
    let mut used = Used::default();
    for thread in pids.iter().flat_map(|&pid| threads(pid)) {
        used.cpu_nanos += number(&thread.join("schedstat"), "");
        used.waits += number(&thread.join("status"), "voluntary_ctxt_switches:");
    }
    used
}

/// Resident memory in bytes.
pub fn resident_bytes(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| number(&PathBuf::from(format!("/proc/{pid}/status")), "VmRSS:") * 1024).sum()
}

/// The processes that `pid` has started.
pub fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let list = fs::read_to_string(path).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn threads(pid: u32) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The first number behind `key`, or 0.
fn number(path: &PathBuf, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let rest = text.split_once(key).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
