//! Which models there are: those of the configuration, and those that providers say they have.
//!
//! A provider is asked when somebody looks and what it said last is old, by one request at a time however many
//! look. Who looks waits for a provider that has never answered, and not for long; after that what it said last
//! stands until it says something new.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::Provider;
use crate::config::ModelListConfig;

/// How long who looks waits for providers that have not answered yet.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most models of one provider. Marketplaces have some hundreds.
const MAX_MODELS: usize = 2000;
/// The longest name that is passed on, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// A model that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The provider's name.
    pub provider: String,
    /// The provider's name of the model.
    pub name: String,
    /// Who says that it is there.
    pub source: Source,
}

/// Who says that a model is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration, or what is known of the vendor.
    Configured,
    /// The provider itself.
    Provider,
}

impl Source {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Provider => "provider",
        }
    }
}

/// The models of all providers.
pub struct Catalogue {
    entries: Vec<Arc<Entry>>,
    config: ModelListConfig,
}

struct Entry {
    provider: Arc<dyn Provider>,
    state: Mutex<State>,
    /// Whether the provider has been asked and that has come to an end, a good one or not.
    has_answered: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// What it said last.
    listed: Arc<[String]>,
    /// When to ask again. `None`: now.
    ask_at: Option<Instant>,
    is_asked: bool,
    /// It has said that it cannot be asked.
    is_mute: bool,
}

impl Catalogue {
    /// The models of these providers. Asks nobody yet.
    pub fn new(providers: &[Arc<dyn Provider>], config: ModelListConfig) -> Self {
        let entry = |provider: &Arc<dyn Provider>| {
            Arc::new(Entry {
                provider: provider.clone(),
                state: Mutex::default(),
                has_answered: watch::Sender::new(false),
            })
        };
        Self { entries: providers.iter().map(entry).collect(), config }
    }

    /// Every model that is known now, those of the configuration first within each provider. Waits two seconds at
    /// most. Must be called in a runtime, where asking goes on when nobody waits for it any more. Cancel-safe.
    pub async fn models(&self) -> Vec<Model> {
        if self.config.ask_providers {
            for entry in &self.entries {
                entry.ask_when_due(self.config);
            }
            let first_answers = self.entries.iter().map(|entry| async {
                // It fails only when the entry is gone, and this holds it.
                let _ = entry.has_answered.subscribe().wait_for(|answered| *answered).await;
            });
            let _ = timeout(PATIENCE, join_all(first_answers)).await;
        }
        self.entries.iter().flat_map(|entry| entry.models()).collect()
    }
}

impl Entry {
    fn ask_when_due(self: &Arc<Self>, config: ModelListConfig) {
        {
            let mut state = self.state();
            let is_due = state.ask_at.is_none_or(|ask_at| ask_at <= Instant::now());
            if state.is_asked || state.is_mute || !is_due {
                return;
            }
            state.is_asked = true;
        }
        let asking = Asking { entry: self.clone(), config, answer: Answer::None };
        tokio::spawn(asking.run());
    }

    fn models(&self) -> Vec<Model> {
        let listed = self.state().listed.clone();
        let model = |name: String, source| Model { provider: self.provider.name().to_owned(), name, source };
        let configured = self.provider.models();
        let known: HashSet<&str> = configured.iter().map(String::as_str).collect();
        let listed = listed.iter().filter(|name| !known.contains(name.as_str()));
        let mut models: Vec<_> = listed.map(|name| model(name.clone(), Source::Provider)).collect();
        models.splice(0..0, configured.iter().map(|name| model(name.clone(), Source::Configured)));
        models
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds this lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request for a list. However it ends, also by a panic of the provider's code, the entry learns that.
struct Asking {
    entry: Arc<Entry>,
    config: ModelListConfig,
    answer: Answer,
}

enum Answer {
    None,
    Models(Vec<String>),
    CannotBeAsked,
}

impl Asking {
    async fn run(mut self) {
        let provider = self.entry.provider.clone();
        self.answer = match provider.list_models().await {
            Some(Ok(models)) => Answer::Models(presentable(models)),
            Some(Err(error)) => {
                tracing::info!(provider = provider.name(), code = %error.code, "cannot list the provider's models");
                Answer::None
            }
            None => Answer::CannotBeAsked,
        };
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        {
            let mut state = self.entry.state();
            state.is_asked = false;
            let rest = match std::mem::replace(&mut self.answer, Answer::None) {
                Answer::Models(models) => {
                    state.listed = models.into();
                    self.config.cache_seconds
                }
                // What it said before stands.
                Answer::None => self.config.retry_seconds,
                Answer::CannotBeAsked => {
                    state.is_mute = true;
                    0
                }
            };
            state.ask_at = Some(Instant::now() + Duration::from_secs(rest));
        }
        self.entry.has_answered.send_replace(true);
    }
}

/// What of a provider's list can be shown, in alphabetical order.
fn presentable(mut models: Vec<String>) -> Vec<String> {
    models.retain(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(char::is_control));
    models.sort_unstable();
    models.dedup();
    models.truncate(MAX_MODELS);
    models
}
