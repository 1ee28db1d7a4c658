//! Routes: what stands behind the `model` of a start.
//!
//! ```text
//!   start ── model ──► Routes ──► Route ──► Walk (one generation's way through it)
//!                                   │         │ target, failed, answered
//!                                   └─ Health ◄┘ weights and cool-downs, shared by all generations
//! ```
//!
//! A [`Route`] has *targets*, each a model of a provider: its upstreams first, then its fallbacks. A plain
//! `provider/model` is a route with one target. A [`Walk`] says whom to ask, and what comes after a failure.
//! [`continuation`] is how an answer that broke off is gone on with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokenwire_protocol::{
    ErrorCode, Start,
    message::{Message, Role},
};

use crate::{
    config::{Config, RouteConfig, RouteDefaults, RouteTimeouts},
    provider::{ModelRequest, Provider},
};

pub(crate) mod continuation;
mod health;
mod walk;

use health::Health;
pub(crate) use walk::{Shown, Walk};

/// The routes of a server, by name.
pub(crate) struct Routes {
    routes: BTreeMap<String, Arc<Route>>,
}

/// What stands behind the `model` of a start.
pub(crate) struct Route {
    /// The upstreams, then the fallbacks. Never empty.
    targets: Vec<Target>,
    /// The errors after which another target is asked.
    fallback_on: Vec<ErrorCode>,
    continuation: bool,
    defaults: RouteDefaults,
    health: Health,
}

/// A model of a provider.
#[derive(Clone)]
pub(crate) struct Target {
    pub provider: Arc<dyn Provider>,
    /// The provider's name of the model.
    pub model: String,
}

impl Target {
    /// The target of `provider/model`, if the provider is switched on.
    pub fn find(model: &str, providers: &[Arc<dyn Provider>]) -> Option<Self> {
        let (name, model) = model.split_once('/').filter(|(_, model)| !model.is_empty())?;
        let provider = providers.iter().find(|provider| provider.name() == name)?;
        Some(Self { provider: provider.clone(), model: model.to_owned() })
    }

    /// Makes `request` one to this target. `options` are the client's, by provider.
    pub fn aim(&self, request: &mut ModelRequest, options: &Map<String, Value>) {
        request.model.clone_from(&self.model);
        request.options = match options.get(self.provider.name()) {
            Some(Value::Object(options)) => options.clone(),
            _ => Map::new(),
        };
    }
}

impl Routes {
    /// The routes of the configuration. A target whose provider is switched off is left out, with a warning in
    /// the log, and so is a route without any target.
    pub fn new(config: &Config, providers: &[Arc<dyn Provider>]) -> Self {
        let routes = config.routes.iter().filter_map(|(name, route)| {
            for model in route.models().filter(|model| Target::find(model, providers).is_none()) {
                tracing::warn!(route = name, model, "the provider is switched off: left out of the route");
            }
            Some((name.clone(), Arc::new(Route::new(route, providers)?)))
        });
        Self { routes: routes.collect() }
    }

    /// The names of the routes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.routes.keys().map(String::as_str)
    }

    /// The route of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Route>> {
        self.routes.get(name)
    }
}

impl Route {
    /// A route with what is switched on of its targets. `None`: nothing is.
    fn new(config: &RouteConfig, providers: &[Arc<dyn Provider>]) -> Option<Self> {
        let upstreams = config
            .upstreams
            .iter()
            .filter_map(|upstream| Some((Target::find(&upstream.model, providers)?, upstream.weight)));
        let (mut targets, weights): (Vec<_>, Vec<_>) = upstreams.unzip();
        targets.extend(config.fallbacks.iter().filter_map(|model| Target::find(model, providers)));
        if targets.is_empty() {
            return None;
        }
        let cool_down = Duration::from_secs(config.cool_down_seconds);
        Some(Self {
            health: Health::new(&weights, targets.len(), cool_down, config.cool_down_after),
            targets,
            fallback_on: config.fallback_codes(),
            continuation: config.continuation,
            defaults: config.defaults.clone(),
        })
    }

    /// The route of a plain `provider/model`: nobody else is asked.
    pub fn direct(target: Target) -> Self {
        Self {
            targets: vec![target],
            fallback_on: Vec::new(),
            continuation: false,
            defaults: RouteDefaults::default(),
            health: Health::new(&[1], 1, Duration::ZERO, 1),
        }
    }

    /// Puts the route's defaults into the fields that `start` leaves out.
    pub fn apply_defaults(&self, start: &mut Start) {
        let defaults = &self.defaults;
        let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
        if let Some(system) = &defaults.system
            && !start.messages.iter().any(is_instruction)
        {
            start.messages.insert(0, Message::text(Role::System, system));
        }
        or_default(&mut start.temperature, &defaults.temperature);
        or_default(&mut start.top_p, &defaults.top_p);
        or_default(&mut start.top_k, &defaults.top_k);
        or_default(&mut start.presence_penalty, &defaults.presence_penalty);
        or_default(&mut start.frequency_penalty, &defaults.frequency_penalty);
        or_default(&mut start.max_tokens, &defaults.max_tokens);
        or_default(&mut start.stop, &defaults.stop);
        or_default(&mut start.seed, &defaults.seed);
        or_default(&mut start.response_format, &defaults.response_format);
        or_default(&mut start.reasoning_effort, &defaults.reasoning_effort);
        or_default(&mut start.reasoning_budget, &defaults.reasoning_budget);
        or_default(&mut start.parallel_tool_calls, &defaults.parallel_tool_calls);
        let RouteTimeouts { connect_ms, first_token_ms, idle_ms, total_ms, tool_ms } = &defaults.timeouts;
        or_default(&mut start.timeouts.connect_ms, connect_ms);
        or_default(&mut start.timeouts.first_token_ms, first_token_ms);
        or_default(&mut start.timeouts.idle_ms, idle_ms);
        or_default(&mut start.timeouts.total_ms, total_ms);
        or_default(&mut start.timeouts.tool_ms, tool_ms);
        for (provider, defaults) in &defaults.provider_options {
            let options = start.provider_options.entry(provider.clone()).or_insert_with(|| Map::new().into());
            if let (Value::Object(options), Value::Object(defaults)) = (options, defaults) {
                for (name, value) in defaults {
                    options.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
    }
}

fn or_default<T: Clone>(field: &mut Option<T>, default: &Option<T>) {
    if field.is_none() {
        field.clone_from(default);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;
    use tokenwire_protocol::message::Content;

    use super::*;
    use crate::{config::Loader, provider::demo::Demo};

    fn routes(toml: &str) -> Routes {
        let config = Loader::new().toml(toml).load().unwrap().config;
        Routes::new(&config, &[Arc::new(Demo)])
    }

    #[test]
    fn what_is_switched_off_is_left_out() {
        let routes = routes(
            "[routes.a]\nupstreams = ['openai/m', 'demo/markdown']\nfallbacks = ['openai/n', 'demo/tools']\n\
             [routes.b]\nupstreams = ['openai/m']\n[routes.c]\nupstreams = ['openai/m']\nfallbacks = ['demo/tools']",
        );
        assert_eq!(routes.names().collect::<Vec<_>>(), ["a", "c"]);
        let models: Vec<&str> = routes.get("a").unwrap().targets.iter().map(|target| &*target.model).collect();
        assert_eq!(models, ["markdown", "tools"]);
    }

    #[test]
    fn the_clients_own_values_win_over_the_defaults() {
        let routes = routes(
            "[routes.a]\nupstreams = ['demo/markdown']\n[routes.a.defaults]\nsystem = 'Be brief.'\ntemperature = 0.2\n\
             max_tokens = 100\nstop = 'x'\ntimeouts = { idle_ms = 5, total_ms = 6 }\n\
             provider_options = { demo = { a = 1, b = 2 }, other = { c = 3 } }",
        );
        let mut start = Start::new("g1".parse().unwrap(), "a", vec![Message::user("Hi")]);
        start.max_tokens = Some(7);
        start.timeouts.idle_ms = Some(8);
        start.provider_options = json!({"demo": {"a": null}}).as_object().unwrap().clone();
        routes.get("a").unwrap().apply_defaults(&mut start);
        assert_eq!((start.temperature, start.max_tokens), (Some(0.2), Some(7)));
        assert_eq!((start.timeouts.idle_ms, start.timeouts.total_ms), (Some(8), Some(6)));
        assert_eq!(json!(start.provider_options), json!({"demo": {"a": null, "b": 2}, "other": {"c": 3}}));
        assert_eq!(start.messages.len(), 2);
        assert_eq!(start.messages[0].content, Some(Content::Text("Be brief.".to_owned())));

        let own = vec![Message::text(Role::Developer, "Talk."), Message::user("Hi")];
        let mut start = Start::new("g1".parse().unwrap(), "a", own.clone());
        routes.get("a").unwrap().apply_defaults(&mut start);
        assert_eq!(start.messages, own);
    }
}
