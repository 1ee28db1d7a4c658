//! One generation's way through a route.
//!
//! What follows a failed attempt:
//!
//! | shown in this turn | somebody else is left, and the error is one to fall back on | otherwise |
//! | --- | --- | --- |
//! | nothing | the same again as long as that can help and costs little; then somebody else, at once | the same again, if the error can pass and attempts are left |
//! | text and reasoning, on a route with `continuation` | somebody else goes on with the text, at once | the same goes on with it, after a while |
//! | anything else | it is final | it is final |
//!
//! *Costs little*: not for a rate limit or a timeout, and not while the target rests, but for an error that is gone
//! after a short wait. How often and how long: [`RetryConfig`].
//!
//! The target that answered is asked in the later turns of the generation, too: it has the conversation in its
//! cache, and can read its own native answers.

use std::{sync::Arc, time::Duration};

use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{Route, Target};
use crate::config::{FALLBACK_ON, RetryConfig};

/// Where a generation is in its route.
pub(crate) struct Walk {
    route: Arc<Route>,
    retry: RetryConfig,
    at: usize,
    /// Who was asked in this turn.
    tried: Vec<bool>,
    /// Attempts in this turn.
    attempts: u32,
    /// Those of them with the target that is asked now.
    attempts_here: u32,
}

/// What a turn has brought to the log so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing: another attempt may say something else.
    #[default]
    Nothing,
    /// Text and reasoning: another attempt can go on where the text stops.
    Text,
    /// Something that cannot be gone on with: a tool call that has begun, a refusal, citations, media.
    More,
}

/// Another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// Its number in this turn: 2, 3 ...
    pub attempt: u32,
    /// How long to wait before it.
    pub delay: Duration,
    /// Whether it goes on where the text so far stops.
    pub continues: bool,
}

impl Walk {
    /// Begins at the target whose turn it is.
    pub fn new(route: Arc<Route>, retry: RetryConfig) -> Self {
        let mut tried = vec![false; route.targets.len()];
        // A route has at least one target, so that there is one to choose.
        let at = route.health.choose(&tried).unwrap_or(0);
        tried[at] = true;
        Self { route, retry, at, tried, attempts: 1, attempts_here: 1 }
    }

    /// Who is asked now.
    pub fn target(&self) -> &Target {
        &self.route.targets[self.at]
    }

    /// Another turn begins, with the same target.
    pub fn begin_turn(&mut self) {
        self.tried.fill(false);
        self.tried[self.at] = true;
        self.attempts = 1;
        self.attempts_here = 1;
    }

    /// The target has answered in full.
    pub fn answered(&self) {
        self.route.health.answered(self.at);
    }

    /// The attempt failed. What comes next; `None`: the error is final.
    pub fn failed(&mut self, error: &ErrorInfo, shown: Shown) -> Option<Next> {
        // A request that is at fault itself says nothing about who was asked.
        if FALLBACK_ON.contains(&error.code) && error.code != ErrorCode::NotSupported {
            let own_rest = error.retry_after_ms.filter(|_| error.code == ErrorCode::RateLimit);
            self.route.health.failed(self.at, own_rest.map(Duration::from_millis));
        }
        let continues = match shown {
            Shown::Nothing => false,
            Shown::Text if self.route.continuation => true,
            Shown::Text | Shown::More => return None,
        };
        let again = self.again(error, continues);
        let may_switch = self.route.fallback_on.contains(&error.code) && self.tried.contains(&false);
        let delay = match again {
            Some(delay) if !may_switch => delay,
            Some(delay) if !continues && !self.switches_at_once(error) => delay,
            None if !may_switch => return None,
            _ => {
                self.at = self.route.health.choose(&self.tried)?;
                self.tried[self.at] = true;
                self.attempts_here = 0;
                Duration::ZERO
            }
        };
        self.attempts += 1;
        self.attempts_here += 1;
        Some(Next { attempt: self.attempts, delay, continues })
    }

    /// How long to wait before asking the same target again; `None` when that cannot help, or was done often enough.
    fn again(&self, error: &ErrorInfo, continues: bool) -> Option<Duration> {
        // Whoever was silent for the whole deadline has used up the client's patience, unless there is text to save.
        let is_silence = matches!(error.code, ErrorCode::FirstTokenTimeout | ErrorCode::IdleTimeout);
        if !error.retryable || (is_silence && !continues) || self.attempts_here >= self.retry.attempts {
            return None;
        }
        backoff(&self.retry, self.attempts_here, error.retry_after_ms)
    }

    /// Whether somebody else is the better choice although the same target might answer after a while.
    fn switches_at_once(&self, error: &ErrorInfo) -> bool {
        let costs_much =
            matches!(error.code, ErrorCode::RateLimit | ErrorCode::ConnectTimeout | ErrorCode::ProviderTimeout);
        let health = &self.route.health;
        (costs_much || health.rests(self.at)) && health.has_fresh(&self.tried)
    }
}

/// How long to wait before the attempt after `attempt`; `None` when the provider asks for longer than is allowed.
fn backoff(retry: &RetryConfig, attempt: u32, retry_after_ms: Option<u64>) -> Option<Duration> {
    match retry_after_ms {
        Some(ms) if ms > retry.max_ms => None,
        Some(ms) => Some(Duration::from_millis(ms)),
        None => {
            let ceiling = retry.base_ms.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(retry.max_ms);
            // Half of it is fixed and half random, so that many generations do not come back at once.
            let random = u64::from(uuid::Uuid::new_v4().as_u64_pair().0 as u32);
            let jitter = (ceiling / 2 * random) >> 32;
            Some(Duration::from_millis(ceiling / 2 + jitter))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::Routes, *};
    use crate::{config::Loader, provider::demo::Demo};

    const RETRY: RetryConfig = RetryConfig { attempts: 2, base_ms: 100, max_ms: 1000 };

    /// A walk through a route with an upstream `a` and the fallbacks `b` and `c`.
    fn walk(rules: &str) -> Walk {
        let toml = format!("[routes.r]\nupstreams = ['demo/a']\nfallbacks = ['demo/b', 'demo/c']\n{rules}");
        let config = Loader::new().toml(toml).load().unwrap().config;
        Walk::new(Routes::new(&config, &[Arc::new(Demo)]).get("r").unwrap().clone(), RETRY)
    }

    fn error(code: ErrorCode) -> ErrorInfo {
        ErrorInfo::new(code, "no")
    }

    /// Fails with each of the errors; the model that is asked then, `-` at the end.
    fn models(walk: &mut Walk, shown: Shown, codes: &[ErrorCode]) -> String {
        let step = |code: &ErrorCode| match walk.failed(&error(*code), shown) {
            Some(next) => {
                assert_eq!((next.attempt, next.continues), (walk.attempts, shown != Shown::Nothing));
                walk.target().model.clone()
            }
            None => "-".to_owned(),
        };
        codes.iter().map(step).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_again_and_then_the_others() {
        use ErrorCode::{Authentication, InvalidRequest, Network, Overloaded, Quota};
        assert_eq!(models(&mut walk(""), Shown::Nothing, &[Network; 6]), "abbcc-");
        assert_eq!(models(&mut walk(""), Shown::Nothing, &[Authentication, Quota, Overloaded]), "bcc");
        assert_eq!(models(&mut walk(""), Shown::Nothing, &[InvalidRequest]), "-");
        assert_eq!(models(&mut walk("fallback_on = ['invalid_request']"), Shown::Nothing, &[InvalidRequest]), "b");
        assert_eq!(models(&mut walk("fallback_on = ['quota']"), Shown::Nothing, &[Network, Network]), "a-");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_limit_or_a_timeout_while_others_are_left() {
        use ErrorCode::{ConnectTimeout, FirstTokenTimeout, RateLimit};
        assert_eq!(models(&mut walk(""), Shown::Nothing, &[RateLimit, ConnectTimeout, RateLimit]), "bcc");
        assert_eq!(models(&mut walk(""), Shown::Nothing, &[FirstTokenTimeout; 3]), "bc-");
        let mut walk = walk("");
        let long = ErrorInfo { retry_after_ms: Some(5000), ..error(ErrorCode::Overloaded) };
        assert_eq!(walk.failed(&long, Shown::Nothing).unwrap().delay, Duration::ZERO);
        assert_eq!(walk.target().model, "b");
    }

    #[tokio::test(start_paused = true)]
    async fn who_begins_to_rest_is_not_asked_again() {
        let rules = "cool_down_after = 1";
        assert_eq!(models(&mut walk(rules), Shown::Nothing, &[ErrorCode::Network; 4]), "bcc-");
    }

    #[tokio::test(start_paused = true)]
    async fn text_is_gone_on_with_where_the_route_says_so() {
        use ErrorCode::{IdleTimeout, Overloaded, Truncated};
        assert_eq!(models(&mut walk(""), Shown::Text, &[Truncated]), "-");
        let rules = "continuation = true";
        assert_eq!(models(&mut walk(rules), Shown::More, &[Truncated]), "-");
        assert_eq!(models(&mut walk(rules), Shown::Text, &[Truncated, IdleTimeout, Overloaded, Overloaded]), "bcc-");
        let alone = "continuation = true\nfallback_on = []";
        assert_eq!(models(&mut walk(alone), Shown::Text, &[IdleTimeout, IdleTimeout]), "a-");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_turn_begins_with_who_answered() {
        let mut walk = walk("cool_down_seconds = 0");
        assert_eq!(models(&mut walk, Shown::Nothing, &[ErrorCode::Quota]), "b");
        walk.answered();
        walk.begin_turn();
        assert_eq!(walk.target().model, "b");
        assert_eq!(models(&mut walk, Shown::Nothing, &[ErrorCode::Quota; 3]), "ac-");
    }
}
