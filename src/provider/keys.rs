//! Several keys of one provider, which take turns.
//!
//! | a key's request ends with | the key | the request |
//! | --- | --- | --- |
//! | an answer, or any other error | takes its next turn | is over |
//! | `rate_limit`, `quota` | rests as long as the provider says, else for [`REST`] | goes to the next key at once |
//! | `authentication` | rests for [`REFUSED_REST`], with a warning in the log | goes to the next key at once |
//! | `permission` | takes its next turn: it may be good for other models | goes to the next key at once |
//!
//! A request goes to another key only while nothing was shown, and at most once to each; it is one attempt
//! to whoever asked for it. Where every key rests, the one that is up first is tried all the same, so that
//! there is always an answer of the provider's own.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokenwire_protocol::{ErrorCode, ErrorInfo};
use tokio::time::Instant;

use super::{BoxFuture, ClientUpstream, ModelEvent, ModelRequest, Provider, Turn};

/// How long a key rests that is rate limited or has no credit, when the provider does not say.
const REST: Duration = Duration::from_secs(60);
/// The longest rest that a provider can ask for.
const MAX_REST: Duration = Duration::from_secs(60 * 60);
/// How long a key rests that was refused. Keys are seldom mended.
const REFUSED_REST: Duration = Duration::from_secs(10 * 60);

/// A provider with several keys: each of them is a provider of its own, and they take turns.
pub(super) struct Rotation<P> {
    providers: Vec<P>,
    state: Mutex<State>,
}

struct State {
    /// Whose turn it is.
    next: usize,
    /// Until when each one rests.
    rests_until: Vec<Instant>,
}

impl<P: Provider> Rotation<P> {
    /// `providers` are the same but for their keys: at least one.
    pub fn new(providers: Vec<P>) -> Self {
        let state = State { next: 0, rests_until: vec![Instant::now(); providers.len()] };
        Self { providers, state: Mutex::new(state) }
    }

    /// The next one that does not rest and was not tried, or if all rest the one that is up first. `None`: all
    /// were tried, or those that are left rest.
    fn pick(&self, tried: &[usize]) -> Option<usize> {
        let now = Instant::now();
        let mut state = self.state();
        let count = self.providers.len();
        let turns = (state.next..count).chain(0..state.next);
        let picked = match turns.into_iter().find(|at| state.rests_until[*at] <= now && !tried.contains(at)) {
            None if tried.is_empty() => (0..count).min_by_key(|at| state.rests_until[*at]),
            picked => picked,
        }?;
        state.next = (picked + 1) % count;
        Some(picked)
    }

    /// Lets a key rest, if `error` is about the key. Says whether another one may do better.
    fn failed(&self, at: usize, error: &ErrorInfo) -> bool {
        let rest = match error.code {
            ErrorCode::RateLimit | ErrorCode::Quota => {
                error.retry_after_ms.map_or(REST, Duration::from_millis).min(MAX_REST)
            }
            ErrorCode::Authentication => {
                let provider = self.providers[at].name();
                tracing::warn!(provider, key = at + 1, of = self.providers.len(), "the provider refused a key");
                REFUSED_REST
            }
            ErrorCode::Permission => Duration::ZERO,
            _ => return false,
        };
        self.state().rests_until[at] = Instant::now() + rest;
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds this lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Provider> Provider for Rotation<P> {
    fn name(&self) -> &str {
        self.providers.first().map_or("", Provider::name)
    }

    fn models(&self) -> Vec<String> {
        self.providers.first().map(Provider::models).unwrap_or_default()
    }

    fn list_models(&self) -> BoxFuture<'_, Option<Result<Vec<String>, ErrorInfo>>> {
        match self.pick(&[]) {
            Some(at) => self.providers[at].list_models(),
            None => Box::pin(std::future::ready(None)),
        }
    }

    /// The client's key takes the place of all of these.
    fn elsewhere(&self, asked: &ClientUpstream) -> Option<Arc<dyn Provider>> {
        self.providers.first()?.elsewhere(asked)
    }

    fn warm_up(&self) {
        self.providers.iter().for_each(|provider| provider.warm_up());
    }

    fn prefills(&self, request: &ModelRequest) -> bool {
        self.providers.first().is_some_and(|provider| provider.prefills(request))
    }

    fn run<'a>(&'a self, request: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(async move {
            let mut turn = Watched { turn, is_shown: false };
            let mut tried = Vec::new();
            let mut result = Ok(());
            while let Some(at) = self.pick(&tried) {
                tried.push(at);
                result = self.providers[at].run(request, &mut turn).await;
                match &result {
                    Err(error) if self.failed(at, error) && !turn.is_shown => {}
                    _ => break,
                }
            }
            result
        })
    }
}

/// A turn that knows whether anything of the answer was shown.
struct Watched<'t> {
    turn: &'t mut dyn Turn,
    is_shown: bool,
}

impl Turn for Watched<'_> {
    fn emit(&mut self, event: ModelEvent<'_>) {
        self.is_shown |= !matches!(event, ModelEvent::Warning(_) | ModelEvent::Raw(_));
        self.turn.emit(event);
    }

    fn hold(&mut self) {
        self.turn.hold();
    }

    fn release(&mut self) {
        self.turn.release();
    }

    fn skipped(&mut self) {
        self.turn.skipped();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider whose key gives this error.
    struct Keyed(Mutex<Option<ErrorInfo>>, bool);

    impl Provider for Keyed {
        fn name(&self) -> &str {
            "keyed"
        }

        fn run<'a>(&'a self, _: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
            Box::pin(async move {
                if self.1 {
                    turn.emit(ModelEvent::Text("some"));
                }
                self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
            })
        }
    }

    struct Nowhere;

    impl Turn for Nowhere {
        fn emit(&mut self, _: ModelEvent<'_>) {}
    }

    fn keys(errors: &[Option<ErrorInfo>]) -> Rotation<Keyed> {
        Rotation::new(errors.iter().map(|error| Keyed(Mutex::new(error.clone()), false)).collect())
    }

    fn error(code: ErrorCode, retry_after_ms: Option<u64>) -> Option<ErrorInfo> {
        Some(ErrorInfo { retry_after_ms, ..ErrorInfo::new(code, "no") })
    }

    /// Runs a turn; the error, and whose turn is next.
    async fn run(rotation: &Rotation<Keyed>) -> (Option<ErrorCode>, usize) {
        let error = rotation.run(&ModelRequest::default(), &mut Nowhere).await.err();
        (error.map(|error| error.code), rotation.state().next)
    }

    #[tokio::test(start_paused = true)]
    async fn keys_take_turns() {
        let rotation = keys(&[None, None, None]);
        for next in [1, 2, 0, 1] {
            assert_eq!(run(&rotation).await, (None, next));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limited_key_rests_as_long_as_the_provider_says() {
        let rotation = keys(&[error(ErrorCode::RateLimit, Some(5_000)), None]);
        for next in [0, 0, 0] {
            assert_eq!(run(&rotation).await, (None, next), "the second key answers");
        }
        tokio::time::advance(Duration::from_millis(5_000)).await;
        *rotation.providers[0].0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        assert_eq!(run(&rotation).await, (None, 1), "the first one is back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_rests_long() {
        let rotation = keys(&[error(ErrorCode::Authentication, None), None]);
        assert_eq!(run(&rotation).await, (None, 0));
        tokio::time::advance(REFUSED_REST - Duration::from_secs(1)).await;
        assert!(rotation.state().rests_until[0] > Instant::now());
        assert_eq!(run(&rotation).await, (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_rest_the_one_that_is_up_first_is_tried() {
        let rotation = keys(&[error(ErrorCode::Quota, None), error(ErrorCode::RateLimit, Some(1_000))]);
        assert_eq!(run(&rotation).await, (Some(ErrorCode::RateLimit), 0));
        // Only the second one is asked now.
        *rotation.providers[1].0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        assert_eq!(run(&rotation).await, (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_and_what_was_shown_stay_with_their_key() {
        let rotation = keys(&[error(ErrorCode::Overloaded, None), None]);
        assert_eq!(run(&rotation).await, (Some(ErrorCode::Overloaded), 1));
        let shown = |error| Keyed(Mutex::new(error), true);
        let rotation = Rotation::new(vec![shown(error(ErrorCode::RateLimit, None)), shown(None)]);
        assert_eq!(run(&rotation).await, (Some(ErrorCode::RateLimit), 1));
        assert!(rotation.state().rests_until[0] > Instant::now());
    }
}
