//! Whose turn it is among the targets of a route, and which of them rest.
//!
//! Shared by all generations of all threads. The upstreams take turns in proportion to their weights, without
//! chance: of weights 2 and 1, every three generations ask the first one twice, and never three times in a row.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The longest that an upstream rests because it says so itself.
const MAX_OWN_REST: Duration = Duration::from_secs(60 * 60);

pub(super) struct Health {
    /// One for each upstream.
    weights: Vec<i64>,
    cool_down: Duration,
    cool_down_after: u32,
    /// One for each target.
    states: Mutex<Vec<State>>,
}

#[derive(Clone, Default)]
struct State {
    /// What an upstream is owed: grows by its weight with every choice, and falls by all weights when it is chosen.
    credit: i64,
    /// Failures since the last answer. One that rested has its failures still: the next one makes it rest again.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Health {
    /// Of `count` targets, the first ones are upstreams with these weights.
    pub fn new(weights: &[u32], count: usize, cool_down: Duration, cool_down_after: u32) -> Self {
        Self {
            weights: weights.iter().copied().map(i64::from).collect(),
            cool_down,
            cool_down_after,
            states: Mutex::new(vec![State::default(); count]),
        }
    }

    /// Chooses one of the targets that were not tried: an upstream whose turn it is, else the first fallback. Those
    /// that rest come only when nobody else is left. `None`: all were tried.
    pub fn choose(&self, tried: &[bool]) -> Option<usize> {
        let now = Instant::now();
        let mut states = self.states();
        let left: Vec<usize> = (0..states.len()).filter(|&at| !tried[at]).collect();
        let awake: Vec<usize> = left.iter().copied().filter(|&at| !states[at].rests(now)).collect();
        let candidates = if awake.is_empty() { left } else { awake };
        let upstreams: Vec<usize> = candidates.iter().copied().filter(|&at| at < self.weights.len()).collect();
        let Some(&first) = upstreams.first() else { return candidates.first().copied() };
        let mut chosen = first;
        for &at in &upstreams {
            states[at].credit += self.weights[at];
            if states[at].credit > states[chosen].credit {
                chosen = at;
            }
        }
        states[chosen].credit -= upstreams.iter().map(|&at| self.weights[at]).sum::<i64>();
        Some(chosen)
    }

    /// Whether somebody is left who was not tried and does not rest.
    pub fn has_fresh(&self, tried: &[bool]) -> bool {
        let now = Instant::now();
        self.states().iter().zip(tried).any(|(state, tried)| !tried && !state.rests(now))
    }

    /// Whether this target rests.
    pub fn rests(&self, at: usize) -> bool {
        self.states()[at].rests(Instant::now())
    }

    /// A target failed; `own_rest` is how long it asks to be left alone. One failure too many makes it rest.
    pub fn failed(&self, at: usize, own_rest: Option<Duration>) {
        if self.cool_down.is_zero() {
            return;
        }
        let mut states = self.states();
        let state = &mut states[at];
        state.failures = state.failures.saturating_add(1);
        let cool_down = (state.failures >= self.cool_down_after).then_some(self.cool_down);
        if let Some(rest) = cool_down.max(own_rest.map(|rest| rest.min(MAX_OWN_REST))) {
            state.rests_until = state.rests_until.max(Some(Instant::now() + rest));
        }
    }

    /// A target answered.
    pub fn answered(&self, at: usize) {
        let state = &mut self.states()[at];
        state.failures = 0;
        state.rests_until = None;
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        // No code that holds this lock can panic half-way through a change.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn health(weights: &[u32], fallbacks: usize) -> Health {
        Health::new(weights, weights.len() + fallbacks, 30 * SECOND, 2)
    }

    fn choices(health: &Health, count: usize, times: usize) -> Vec<usize> {
        (0..times).filter_map(|_| health.choose(&vec![false; count])).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn upstreams_take_turns_in_proportion() {
        assert_eq!(choices(&health(&[2, 1], 1), 3, 6), [0, 1, 0, 0, 1, 0]);
        let many = choices(&health(&[5, 3, 2], 0), 3, 100);
        let count = |at| many.iter().filter(|chosen| **chosen == at).count();
        assert_eq!((count(0), count(1), count(2)), (50, 30, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn fallbacks_come_in_order_and_after_the_upstreams() {
        let health = health(&[1, 1], 2);
        assert_eq!(health.choose(&[true, false, false, false]), Some(1));
        assert_eq!(health.choose(&[true, true, false, false]), Some(2));
        assert_eq!(health.choose(&[true, true, true, false]), Some(3));
        assert_eq!(health.choose(&[true; 4]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_too_often_in_a_row_rests_unless_all_do() {
        let health = health(&[1], 1);
        health.failed(0, None);
        health.answered(0);
        health.failed(0, None);
        assert_eq!(choices(&health, 2, 2), [0, 0], "an answer in between starts the count anew");
        health.failed(0, None);
        assert_eq!(choices(&health, 2, 2), [1, 1]);
        assert!(health.rests(0) && !health.has_fresh(&[false, true]));
        health.failed(1, None);
        health.failed(1, None);
        assert_eq!(choices(&health, 2, 1), [0], "all rest");
        tokio::time::advance(30 * SECOND).await;
        assert_eq!(choices(&health, 2, 1), [0]);
        health.failed(0, None);
        assert!(health.rests(0), "who has rested and fails again rests at once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_may_say_how_long_it_rests() {
        let health = health(&[1], 1);
        health.failed(0, Some(5 * SECOND));
        assert_eq!(choices(&health, 2, 1), [1]);
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(choices(&health, 2, 1), [0]);
        let never = Health::new(&[1], 2, Duration::ZERO, 1);
        never.failed(0, Some(5 * SECOND));
        assert_eq!(choices(&never, 2, 1), [0]);
    }
}
