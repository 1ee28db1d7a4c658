//! Keys that come from environment variables.
//!
//! One rule for every key that holds a single value or a list of strings: `TOKENWIRE_`, then the
//! key's path in capitals, with `_` for everything that is not a letter or a digit.
//!
//! | key | variable | value |
//! | --- | --- | --- |
//! | `listen` | `TOKENWIRE_LISTEN` | `127.0.0.1:9000` |
//! | `limits.max_frame_bytes` | `TOKENWIRE_LIMITS_MAX_FRAME_BYTES` | `2097152` |
//! | `insecure_no_auth` | `TOKENWIRE_INSECURE_NO_AUTH` | `true`, `false`, `1`, `0` |
//! | `allowed_origins` | `TOKENWIRE_ALLOWED_ORIGINS` | separated by commas |
//! | `providers.vllm.base_url` | `TOKENWIRE_PROVIDERS_VLLM_BASE_URL` | a provider needs no file |
//! | `routes.fast.upstreams` | `TOKENWIRE_ROUTES_FAST_UPSTREAMS` | nor does a route; each of these has weight 1 |
//! | `mcp.files.bearer_token` | `TOKENWIRE_MCP_FILES_BEARER_TOKEN` | nor an MCP server |
//!
//! A variable that is set but empty counts as not set. The keys of vendors come from the vendors'
//! usual variables, too (`OPENAI_API_KEY`, ...): see [`vendor_env`](super::vendor_env).

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{
    Config,
    error::{KeyPath, Origin, Problem},
    validate,
};

/// Environment variables, by name.
pub type Env = BTreeMap<String, String>;

/// The environment of this process. Variables that are not UTF-8 are left out.
pub fn process_env() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A variable that is set and not empty.
pub(super) fn get<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

const PREFIX: &str = "TOKENWIRE_";

/// Variables that are read elsewhere.
const OTHERS: &[&str] = &["TOKENWIRE_CONFIG", "TOKENWIRE_LOG", "TOKENWIRE_KEY"];

/// Names that begin like this are certainly meant as keys.
const SECTIONS: &[&str] = &[
    "LIMITS_",
    "TIMEOUTS_",
    "RETENTION_",
    "RETRY_",
    "PROVIDERS_",
    "ROUTES_",
    "PRICES_",
    "MCP_",
    "AUTH_",
    "CLIENT_UPSTREAMS_",
    "MODEL_LIST_",
    "AI_SDK_",
];

/// Sections of sections, whose names are free, with their keys.
const NAMED_SECTIONS: &[(&str, &[(&str, Kind)])] =
    &[("providers", PROVIDER_KEYS), ("routes", ROUTE_KEYS), ("mcp", MCP_KEYS)];

/// The keys of a provider that hold a single value or a list of strings.
const PROVIDER_KEYS: &[(&str, Kind)] = &[
    ("wire_format", Kind::Text),
    ("base_url", Kind::Text),
    ("region", Kind::Text),
    ("project", Kind::Text),
    ("credentials_file", Kind::Text),
    ("api_version", Kind::Text),
    ("api_key_env", Kind::Text),
    ("api_key", Kind::Text),
    ("api_keys", Kind::List),
    ("bearer_token", Kind::Text),
    ("websocket", Kind::Bool),
    ("models", Kind::List),
    ("enabled", Kind::Bool),
];

/// The keys of a route that hold a single value or a list of strings.
const ROUTE_KEYS: &[(&str, Kind)] = &[
    ("upstreams", Kind::List),
    ("fallbacks", Kind::List),
    ("fallback_on", Kind::List),
    ("continuation", Kind::Bool),
    ("cool_down_seconds", Kind::Number),
    ("cool_down_after", Kind::Number),
];

/// The keys of an MCP server that hold a single value or a list of strings.
const MCP_KEYS: &[(&str, Kind)] = &[
    ("command", Kind::Text),
    ("args", Kind::List),
    ("pass_env", Kind::List),
    ("cwd", Kind::Text),
    ("url", Kind::Text),
    ("bearer_token", Kind::Text),
    ("prefix", Kind::Text),
    ("tools", Kind::List),
    ("approval", Kind::Text),
    ("timeout_seconds", Kind::Number),
    ("enabled", Kind::Bool),
];

/// What a variable's text is read as.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Bool,
    List,
}

/// A key that a variable sets.
pub(super) struct Setting {
    pub key: KeyPath,
    pub value: Value,
    pub origin: Origin,
}

/// What the variables set, and warnings about variables that look like keys and are none.
///
/// `names` gives those of a section of sections, in which a name in capitals is looked up.
pub(super) fn settings(env: &Env, names: &dyn Fn(&str) -> Vec<String>) -> (Vec<Result<Setting, Problem>>, Vec<String>) {
    let scalars: BTreeMap<String, (KeyPath, Kind)> = Config::default()
        .scalars()
        .into_iter()
        .map(|(path, value)| (variable(&path), (KeyPath::from(path.as_str()), kind(&value))))
        .collect();
    let mut settings = Vec::new();
    let mut warnings = Vec::new();
    for name in env.keys().filter(|name| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str())) {
        let Some(text) = get(env, name) else { continue };
        let found = match scalars.get(name) {
            Some((key, kind)) => Some((key.clone(), *kind)),
            None => named_key(name, names),
        };
        match found {
            Some((key, kind)) => settings.push(setting(name, text, key, kind)),
            None => warnings.extend(unknown(name, scalars.keys())),
        }
    }
    (settings, warnings)
}

/// The variable of a key.
pub(super) fn variable(path: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(path.chars().map(capital)).collect()
}

fn kind(default: &serde_json::Value) -> Kind {
    match default {
        serde_json::Value::Number(_) => Kind::Number,
        serde_json::Value::Bool(_) => Kind::Bool,
        serde_json::Value::Array(_) => Kind::List,
        _ => Kind::Text,
    }
}

fn named_key(variable_name: &str, names: &dyn Fn(&str) -> Vec<String>) -> Option<(KeyPath, Kind)> {
    NAMED_SECTIONS.iter().find_map(|&(section, keys)| {
        let rest = variable_name.strip_prefix(&variable(section))?.strip_prefix('_')?;
        let (name, key, kind) = keys.iter().find_map(|&(key, kind)| {
            let name = rest.strip_suffix(&key.to_ascii_uppercase())?.strip_suffix('_')?;
            (!name.is_empty()).then_some((name, key, kind))
        })?;
        let is_this = |known: &String| variable(known).strip_prefix(PREFIX) == Some(name);
        let known = names(section).into_iter().find(is_this);
        let name = known.unwrap_or_else(|| name.to_ascii_lowercase().replace('_', "-"));
        Some((KeyPath::from(section).key(name).key(key), kind))
    })
}

fn setting(name: &str, text: &str, key: KeyPath, kind: Kind) -> Result<Setting, Problem> {
    let origin = Origin::Env(name.to_owned());
    let problem = |key: &KeyPath, expected: &str| Problem {
        origin: origin.clone(),
        ..Problem::new(key.clone(), format!("expected {expected}"))
    };
    let value = match kind {
        Kind::Text => Value::from(text),
        Kind::Number => {
            let expected = match validate::range(&key) {
                Some((min, max)) => format!("a whole number from {min} to {max}"),
                None => "a whole number".to_owned(),
            };
            text.trim().parse::<i64>().map(Value::from).map_err(|_| problem(&key, &expected))?
        }
        Kind::Bool => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Value::from(true),
            "false" | "0" => Value::from(false),
            _ => return Err(problem(&key, "`true` or `false`")),
        },
        Kind::List => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>().into(),
    };
    Ok(Setting { key, value, origin })
}

/// A warning, where the name looks like a typing error. Others are not ours to judge: Kubernetes
/// sets `TOKENWIRE_PORT` and `TOKENWIRE_SERVICE_HOST` in every pod beside a service of that name.
fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let known: Vec<&str> = known.map(String::as_str).chain(OTHERS.iter().copied()).collect();
    let rests: Vec<&str> = known.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
    let rest = name.strip_prefix(PREFIX)?;
    let is_in_section = SECTIONS.iter().any(|section| rest.starts_with(section));
    match validate::closest(rest, &rests) {
        Some(rest) => {
            Some(format!("environment variable {name} is no key, and is ignored; did you mean {PREFIX}{rest}?"))
        }
        None if is_in_section => Some(format!("environment variable {name} is no key, and is ignored")),
        None => None,
    }
}

/// Puts `value` at `key` into `table`, with the tables that are missing on the way.
pub(super) fn insert(table: &mut Table, key: &KeyPath, value: Value) {
    use super::error::Step;

    let Some((Step::Key(last), sections)) = key.steps().split_last() else { return };
    let mut table = table;
    for step in sections {
        let Step::Key(section) = step else { return };
        let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        // What is no table here is reported when the whole is read.
        let Value::Table(inner) = entry else { return };
        table = inner;
    }
    table.insert(last.clone(), value);
}
