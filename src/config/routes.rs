//! Routes: names for models, and what stands behind them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use tokenwire_protocol::{ErrorCode, message::Stop};

use super::{
    Config,
    error::{KeyPath, Problem},
    validate::did_you_mean,
};
use crate::provider::vendors::{VENDORS, vendor};

/// A name that clients use as `model`, and what stands behind it.
///
/// A generation asks one of the upstreams. When that fails in a way in which another one can help, it goes on
/// with the other upstreams and then with the fallbacks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// What is asked, in proportion to the weights. At least one.
    pub upstreams: Vec<RouteUpstream>,
    /// What is asked when the upstreams fail, in this order: `provider/model`.
    pub fallbacks: Vec<String>,
    /// The codes of the errors after which another upstream or a fallback is asked. Default:
    /// [`FALLBACK_ON`], everything where another one can help.
    pub fallback_on: Option<Vec<String>>,
    /// Whether an answer that breaks off in its middle is given to the next one to go on. Default false:
    /// then a generation fails as soon as something of the broken turn was shown.
    pub continuation: bool,
    /// Seconds for which an upstream that fails is passed over while another is left. Default 30; 0 never.
    pub cool_down_seconds: u64,
    /// After how many failures in a row that is. Default 3. A rate limit that says how long it lasts counts at once.
    pub cool_down_after: u32,
    /// Fields of a start that does not have them.
    pub defaults: RouteDefaults,
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            fallbacks: Vec::new(),
            fallback_on: None,
            continuation: false,
            cool_down_seconds: 30,
            cool_down_after: 3,
            defaults: RouteDefaults::default(),
        }
    }
}

impl RouteConfig {
    /// The errors after which another upstream or a fallback is asked.
    pub fn fallback_codes(&self) -> Vec<ErrorCode> {
        match &self.fallback_on {
            None => FALLBACK_ON.to_vec(),
            Some(names) => names.iter().filter_map(|name| fallback_code(name)).collect(),
        }
    }

    /// Every `provider/model` behind the route: the upstreams, then the fallbacks.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.upstreams.iter().map(|upstream| &*upstream.model).chain(self.fallbacks.iter().map(String::as_str))
    }
}

/// What is asked, and how often compared to the others. A plain string is a model of weight 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteUpstream {
    /// `provider/model`.
    pub model: String,
    /// Its share: an upstream of weight 2 is asked twice as often as one of weight 1. Default 1.
    pub weight: u32,
}

impl<'de> Deserialize<'de> for RouteUpstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            model: String,
            #[serde(default = "one")]
            weight: u32,
        }
        struct UpstreamVisitor;
        impl<'de> Visitor<'de> for UpstreamVisitor {
            type Value = RouteUpstream;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"provider/model\" or { model = \"provider/model\", weight = 1 }")
            }

            fn visit_str<E: de::Error>(self, model: &str) -> Result<RouteUpstream, E> {
                Ok(RouteUpstream { model: model.to_owned(), weight: 1 })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RouteUpstream, A::Error> {
                let Fields { model, weight } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RouteUpstream { model, weight })
            }
        }
        deserializer.deserialize_any(UpstreamVisitor)
    }
}

fn one() -> u32 {
    1
}

/// Fields of a start, for those that leave them out. The client's own value wins.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteDefaults {
    /// A system message in front of a conversation that has none.
    pub system: Option<String>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Only the so many likeliest tokens are drawn from.
    pub top_k: Option<u64>,
    /// Makes tokens that stand in the text already less likely, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Makes tokens less likely the more often they stand in the text already, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// The most tokens that the model may write, per turn.
    pub max_tokens: Option<u64>,
    /// Where the model stops.
    pub stop: Option<Stop>,
    /// Asks for the same answer to the same request.
    pub seed: Option<i64>,
    /// The shape of the answer, as in chat completions.
    pub response_format: Option<Value>,
    /// How long to think.
    pub reasoning_effort: Option<String>,
    /// The most tokens to think.
    pub reasoning_budget: Option<u64>,
    /// Whether the model may call several tools in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// Deadlines, in milliseconds.
    pub timeouts: RouteTimeouts,
    /// Fields for one provider, by its name: `{ openai = { service_tier = "flex" } }`. A field of the client's
    /// under the same provider wins; the others stay.
    pub provider_options: Map<String, Value>,
}

impl fmt::Debug for RouteDefaults {
    /// A prompt never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteDefaults")
            .field("has_system", &self.system.is_some())
            .field("temperature", &self.temperature)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

/// Deadlines of a route's generations, in milliseconds, for starts that do not say. Left out: as under `[timeouts]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteTimeouts {
    /// Until the provider is connected to.
    pub connect_ms: Option<u64>,
    /// From sending the request to the first token. With a fallback left, that is asked then.
    pub first_token_ms: Option<u64>,
    /// From one token to the next.
    pub idle_ms: Option<u64>,
    /// From the start to the end, waiting for tools not counted.
    pub total_ms: Option<u64>,
    /// Until the results of tool calls are there.
    pub tool_ms: Option<u64>,
}

/// The errors after which another upstream or a fallback is asked when a route does not say: all that are no
/// fault of the request's own.
pub const FALLBACK_ON: &[ErrorCode] = &[
    ErrorCode::ConnectTimeout,
    ErrorCode::FirstTokenTimeout,
    ErrorCode::IdleTimeout,
    ErrorCode::Truncated,
    ErrorCode::Network,
    ErrorCode::Authentication,
    ErrorCode::Permission,
    ErrorCode::ModelNotFound,
    ErrorCode::RateLimit,
    ErrorCode::Quota,
    ErrorCode::Overloaded,
    ErrorCode::ProviderTimeout,
    ErrorCode::ProviderError,
    ErrorCode::ProviderProtocol,
    ErrorCode::NotSupported,
];

/// Errors of the request itself. Another model may take it all the same: a route that wants to try says so.
const OTHER_CODES: &[ErrorCode] =
    &[ErrorCode::InvalidRequest, ErrorCode::ContextTooLong, ErrorCode::ContentFilter, ErrorCode::BadField];

fn fallback_code(name: &str) -> Option<ErrorCode> {
    FALLBACK_ON.iter().chain(OTHER_CODES).copied().find(|code| code.as_str() == name)
}

/// The most seconds that an upstream may rest.
const MAX_COOL_DOWN_SECONDS: u64 = 24 * 60 * 60;
const MAX_COOL_DOWN_AFTER: u32 = 1000;
const MAX_WEIGHT: u32 = 1_000_000;

/// Checks every route. `own_providers` are those that are added in code.
pub(super) fn check(config: &Config, own_providers: &[&str], problems: &mut Vec<Problem>) {
    let mut providers: Vec<&str> = vec!["demo"];
    providers.extend(VENDORS.iter().map(|vendor| vendor.name));
    providers.extend(config.providers.keys().map(String::as_str).filter(|name| vendor(name).is_none()));
    providers.extend(own_providers);
    for (name, route) in &config.routes {
        let path = KeyPath::from("routes").key(name);
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || "-_.:/@+".contains(c);
        if name.is_empty() || !name.chars().all(is_name_char) {
            problems
                .push(Problem::new(path, "expected a name of letters, digits, `-`, `_`, `.`, `:`, `/`, `@` and `+`"));
            continue;
        }
        if providers.contains(&name.as_str()) {
            let problem = Problem::new(path.clone(), "is the name of a provider");
            problems.push(problem.with_fix("give the route another name"));
        }
        check_models(route, &path, &providers, problems);
        check_rules(route, &path, problems);
        check_defaults(&route.defaults, path.key("defaults"), config.timeouts.limit_ms, problems);
    }
}

fn check_models(route: &RouteConfig, path: &KeyPath, providers: &[&str], problems: &mut Vec<Problem>) {
    if route.upstreams.is_empty() {
        let problem = Problem::new(path.clone().key("upstreams"), "expected at least one `provider/model`");
        problems.push(problem.with_fix("for example `upstreams = [\"openai/gpt-5\"]`"));
    }
    let upstreams = route.upstreams.iter().enumerate().map(|(index, upstream)| ("upstreams", index, &upstream.model));
    let fallbacks = route.fallbacks.iter().enumerate().map(|(index, model)| ("fallbacks", index, model));
    let mut seen: BTreeMap<&str, KeyPath> = BTreeMap::new();
    for (list, index, model) in upstreams.chain(fallbacks) {
        let path = path.clone().key(list).index(index);
        let provider = model.split_once('/').filter(|(_, model)| !model.is_empty()).map(|(provider, _)| provider);
        match provider {
            _ if model.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                problems.push(Problem::new(path.clone(), "expected `provider/model` without spaces"));
            }
            None | Some("") => {
                let problem = Problem::new(path.clone(), "expected `provider/model`");
                problems.push(problem.with_fix("a route does not lead to a route: name the provider, too"));
            }
            Some(provider) if !providers.contains(&provider) => {
                let problem = Problem::new(path.clone(), format!("no provider `{provider}` is known"));
                problems.push(match did_you_mean(provider, providers) {
                    hint if hint.is_empty() => problem.with_fix(format!("add a section `[providers.{provider}]`")),
                    hint => problem.with_fix(hint),
                });
            }
            Some(_) => {}
        }
        if let Some(first) = seen.get(model.as_str()) {
            problems.push(Problem::new(path, format!("is the same as `{first}`")));
        } else {
            seen.insert(model, path);
        }
    }
}

fn check_rules(route: &RouteConfig, path: &KeyPath, problems: &mut Vec<Problem>) {
    let mut check = |path: KeyPath, value: u64, min: u64, max: u64| {
        if !(min..=max).contains(&value) {
            problems.push(Problem::new(path, format!("expected {min} to {max}, not {value}")));
        }
    };
    check(path.clone().key("cool_down_seconds"), route.cool_down_seconds, 0, MAX_COOL_DOWN_SECONDS);
    check(path.clone().key("cool_down_after"), route.cool_down_after.into(), 1, MAX_COOL_DOWN_AFTER.into());
    for (index, upstream) in route.upstreams.iter().enumerate() {
        let path = path.clone().key("upstreams").index(index).key("weight");
        check(path, upstream.weight.into(), 1, MAX_WEIGHT.into());
    }
    for (index, name) in route.fallback_on.iter().flatten().enumerate() {
        if fallback_code(name).is_none() {
            let codes: Vec<&str> = FALLBACK_ON.iter().chain(OTHER_CODES).map(|code| code.as_str()).collect();
            let problem = Problem::new(
                path.clone().key("fallback_on").index(index),
                "is no code of an error after which somebody else can be asked",
            );
            problems.push(match did_you_mean(name, &codes) {
                hint if hint.is_empty() => problem.with_fix(format!("known here: {}", codes.join(", "))),
                hint => problem.with_fix(hint),
            });
        }
    }
}

fn check_defaults(defaults: &RouteDefaults, path: KeyPath, limit_ms: u64, problems: &mut Vec<Problem>) {
    let ranges = [
        ("temperature", defaults.temperature, 0.0, 2.0),
        ("top_p", defaults.top_p, 0.0, 1.0),
        ("presence_penalty", defaults.presence_penalty, -2.0, 2.0),
        ("frequency_penalty", defaults.frequency_penalty, -2.0, 2.0),
    ];
    for (key, value, min, max) in ranges {
        if value.is_some_and(|value| !(min..=max).contains(&value)) {
            problems.push(Problem::new(path.clone().key(key), format!("expected a number from {min} to {max}")));
        }
    }
    for (key, value) in [("max_tokens", defaults.max_tokens), ("top_k", defaults.top_k)] {
        if value == Some(0) {
            problems.push(Problem::new(path.clone().key(key), "expected at least 1"));
        }
    }
    let RouteTimeouts { connect_ms, first_token_ms, idle_ms, total_ms, tool_ms } = defaults.timeouts;
    let timeouts = [
        ("connect_ms", connect_ms),
        ("first_token_ms", first_token_ms),
        ("idle_ms", idle_ms),
        ("total_ms", total_ms),
        ("tool_ms", tool_ms),
    ];
    for (key, value) in timeouts {
        if value.is_some_and(|ms| ms == 0 || ms > limit_ms) {
            let message = format!("expected 1 to {limit_ms}, which is `timeouts.limit_ms`");
            problems.push(Problem::new(path.clone().key("timeouts").key(key), message));
        }
    }
    for (name, options) in &defaults.provider_options {
        if !options.is_object() {
            let path = path.clone().key("provider_options").key(name);
            problems.push(Problem::new(path, "expected the fields of one provider, by its name"));
        }
    }
}
