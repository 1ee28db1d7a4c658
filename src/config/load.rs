//! Reading the configuration: flags over environment over file over defaults.
//!
//! ```text
//!   tokenwire.toml ─┐
//!   environment    ─┼─► one table, each key with its origin ─► Config ─► validate
//!   flags          ─┘   (a later source replaces the key)
//! ```
//!
//! The file is `--config FILE`, else the one that `TOKENWIRE_CONFIG` names, else
//! `./tokenwire.toml` where it exists. A single key is replaced, never a whole section; a list is
//! one value. The rule for variables is in [`env`], that for the keys of vendors in [`vendor_env`].
//!
//! A problem is reported with the place that the value came from: file and line, variable or flag.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError,
    env::{self, Env},
    error::{KeyPath, Origin, Problem, Step},
    validate, vendor_env,
};
use crate::provider::vendors::VENDORS;

/// The file that is read when none is named, where it exists.
pub const DEFAULT_FILE: &str = "tokenwire.toml";

/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the configuration is read from.
///
/// ```no_run
/// use tokenwire::config::Loader;
///
/// let loaded = Loader::from_env().load()?;
/// println!("listening on {}", loaded.config.listen);
/// # Ok::<(), tokenwire::config::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Loader {
    file: Option<PathBuf>,
    toml: Option<String>,
    env: Env,
    flags: Vec<(String, Value)>,
    own_providers: Vec<String>,
    finds_default_file: bool,
}

/// A configuration that passed all checks, and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration. Keys of clients are kept as hashes only.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is odd but does not keep the server from starting.
    pub warnings: Vec<String>,
    origins: Origins,
}

impl Loaded {
    /// Where the value of a key came from, such as `limits.max_turns`.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.of(&KeyPath::from(key))
    }

    /// Where the value of a provider's key came from, such as `openai` and `api_key`.
    pub fn provider_origin(&self, name: &str, key: &str) -> Origin {
        self.origins.of(&KeyPath::from("providers").key(name).key(key))
    }
}

impl Loader {
    /// Nothing but the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The environment of this process, and the file that it names or that lies in the working directory.
    pub fn from_env() -> Self {
        Self { env: env::process_env(), finds_default_file: true, ..Self::default() }
    }

    /// Reads this file. Default: the one of `TOKENWIRE_CONFIG`.
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Takes this text for the file's.
    pub fn toml(mut self, text: impl Into<String>) -> Self {
        self.toml = Some(text.into());
        self
    }

    /// Takes these variables instead of those of the process.
    pub fn env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    /// Sets a key that is at the top of the file. The flag has the key's name, with `-` for `_`.
    pub fn flag(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.flags.push((key.to_owned(), value.into()));
        self
    }

    /// Names a provider that is added in code, so that routes may lead to it.
    pub fn own_provider(mut self, name: impl Into<String>) -> Self {
        self.own_providers.push(name.into());
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or when anything in any source is wrong.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let file = self.find_file();
        let text = match self.toml {
            Some(text) => Some(text),
            None => file.as_deref().map(read).transpose()?,
        };
        let mut origins = Origins::default();
        let mut table = match (&file, &text) {
            (Some(file), Some(text)) => parse(file, text, &mut origins)?,
            _ => Table::new(),
        };

        let names = |section: &str| match section {
            "providers" => provider_names(&table),
            section => section_names(&table, section),
        };
        let (settings, warnings) = env::settings(&self.env, &names);
        let mut problems = Vec::new();
        for setting in settings {
            match setting {
                Ok(setting) => {
                    env::insert(&mut table, &setting.key, setting.value);
                    origins.replaced.insert(setting.key, setting.origin);
                }
                Err(problem) => problems.push(problem),
            }
        }
        for (key, value) in self.flags {
            origins.replaced.insert(KeyPath::from(key.as_str()), Origin::Flag(format!("--{}", key.replace('_', "-"))));
            table.insert(key, value);
        }
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }

        let mut config: Config = deserialize(table).map_err(|problem| origins.locate(problem.into()))?;
        vendor_env::resolve(&mut config, &self.env, &mut origins.replaced);
        let own_providers: Vec<&str> = self.own_providers.iter().map(String::as_str).collect();
        config.validate_with(&own_providers).map_err(|error| origins.locate(error))?;
        config.hash_keys();
        Ok(Loaded { config, file, warnings, origins })
    }

    fn find_file(&self) -> Option<PathBuf> {
        if let Some(file) = &self.file {
            return Some(file.clone());
        }
        if let Some(file) = env::get(&self.env, "TOKENWIRE_CONFIG") {
            return Some(file.into());
        }
        let default = Path::new(DEFAULT_FILE);
        (self.toml.is_some() || (self.finds_default_file && default.exists())).then(|| default.to_owned())
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let problem = |message: String| Problem {
        origin: Origin::File(file.to_owned(), 0),
        ..Problem::new(KeyPath::default(), message)
    };
    let too_large = std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > MAX_FILE_BYTES);
    if too_large {
        return Err(problem("is too large to be a configuration file".to_owned()).into());
    }
    std::fs::read_to_string(file).map_err(|error| {
        let problem = problem(format!("cannot be read: {error}"));
        problem.with_fix("name another file with `--config FILE` or TOKENWIRE_CONFIG").into()
    })
}

/// Parses the file, and notes the line of every key.
fn parse(file: &Path, text: &str, origins: &mut Origins) -> Result<Table, ConfigError> {
    let syntax = |error: toml::de::Error| {
        // Not the error's own display: it quotes the line, which may hold a key.
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        let origin = Origin::File(file.to_owned(), line);
        let message = format!("not TOML: {}", error.message().lines().next().unwrap_or_default());
        ConfigError::from(Problem { origin, ..Problem::new(KeyPath::default(), message) })
    };
    let spanned = DeTable::parse(text).map_err(syntax)?;
    origins.file = Some(file.to_owned());
    note_lines(text, spanned.get_ref(), &KeyPath::default(), &mut origins.lines);
    text.parse::<Table>().map_err(syntax)
}

fn note_lines(text: &str, table: &DeTable<'_>, path: &KeyPath, lines: &mut BTreeMap<KeyPath, usize>) {
    for (key, value) in table {
        let path = path.clone().key(key.get_ref().as_ref());
        lines.insert(path.clone(), line_of(text, key.span().start));
        note_value(text, value.get_ref(), &path, lines);
    }
}

fn note_value(text: &str, value: &DeValue<'_>, path: &KeyPath, lines: &mut BTreeMap<KeyPath, usize>) {
    match value {
        DeValue::Table(table) => note_lines(text, table, path, lines),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = path.clone().index(index);
                lines.insert(path.clone(), line_of(text, item.span().start));
                note_value(text, item.get_ref(), &path, lines);
            }
        }
        _ => {}
    }
}

fn line_of(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|&byte| byte == b'\n').count()
}

/// The providers that have a section, and the vendors that need none.
fn provider_names(table: &Table) -> Vec<String> {
    let mut names = section_names(table, "providers");
    names.extend(VENDORS.iter().map(|vendor| vendor.name.to_owned()));
    names
}

/// The names in a section of sections.
fn section_names(table: &Table, section: &str) -> Vec<String> {
    let section = table.get(section).and_then(Value::as_table);
    section.into_iter().flat_map(|section| section.keys().cloned()).collect()
}

fn deserialize(table: Table) -> Result<Config, Problem> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let key = KeyPath::from(error.path());
        explain(key, error.inner().message())
    })
}

/// Says in this crate's words what serde says in its own, without the value, which may be a key.
fn explain(key: KeyPath, message: &str) -> Problem {
    let message = message.trim_end();
    if message.starts_with("unknown field ") {
        let word = match key.steps().last() {
            Some(Step::Key(word)) => word.clone(),
            _ => String::new(),
        };
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        let problem = Problem::new(key, "is not a key");
        return match validate::did_you_mean(&word, &known) {
            hint if hint.is_empty() => problem.with_fix(format!("known here: {}", known.join(", "))),
            hint => problem.with_fix(hint),
        };
    }
    if let Some(missing) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Problem::new(key.key(missing), "is missing");
    }
    if key == KeyPath::from("listen") {
        return Problem::new(key, "expected an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`");
    }
    let Some((found, expected)) = message.split_once(", expected ") else {
        return Problem::new(key, message);
    };
    let expected = match (validate::range(&key), expected) {
        (Some((min, max)), _) => format!("a whole number from {min} to {max}"),
        (None, "a boolean") => "`true` or `false`".to_owned(),
        (None, "u32" | "u64" | "i64") => "a whole number".to_owned(),
        (None, "f64") => "a number".to_owned(),
        (None, "a sequence") if key == KeyPath::from("auth.keys") => {
            "sections that begin with `[[auth.keys]]`".to_owned()
        }
        (None, "a sequence") => "a list such as [\"a\", \"b\"]".to_owned(),
        (None, expected) if expected.starts_with("struct ") || expected == "a map" => {
            format!("a section `[{key}]`")
        }
        (None, expected) => expected.to_owned(),
    };
    match found_words(found) {
        Some(found) => Problem::new(key, format!("expected {expected}, not {found}")),
        None => Problem::new(key, format!("expected {expected}")),
    }
}

/// What was there instead, from serde's ``invalid type: string "..."``. Only a number is repeated.
fn found_words(found: &str) -> Option<&str> {
    let (_, found) = found.split_once(": ")?;
    match found.split([' ', '`']).next()? {
        "string" => Some("text"),
        "integer" => found.split('`').nth(1),
        "floating" => Some("a fraction"),
        "boolean" => Some("`true` or `false`"),
        "sequence" => Some("a list"),
        "map" => Some("a section"),
        _ => None,
    }
}

/// Where the keys came from.
#[derive(Clone, Debug, Default)]
struct Origins {
    file: Option<PathBuf>,
    lines: BTreeMap<KeyPath, usize>,
    replaced: BTreeMap<KeyPath, Origin>,
}

impl Origins {
    /// Where a key came from, or else what is inside it, or else the closest section around it.
    fn of(&self, key: &KeyPath) -> Origin {
        let inside = self.replaced.iter().find(|(inner, _)| inner.steps().starts_with(key.steps()));
        if let (Some((_, origin)), None) = (inside, self.lines.get(key)) {
            return origin.clone();
        }
        let mut key = key.clone();
        while !key.steps().is_empty() {
            if let Some(origin) = self.replaced.get(&key) {
                return origin.clone();
            }
            if let (Some(file), Some(line)) = (&self.file, self.lines.get(&key)) {
                return Origin::File(file.clone(), *line);
            }
            key = key.parent();
        }
        Origin::Code
    }

    fn locate(&self, mut error: ConfigError) -> ConfigError {
        for problem in &mut error.problems {
            problem.origin = self.of(&problem.key);
        }
        error
    }
}

/// Reads `listen`. `localhost` is taken for the address that it means everywhere.
pub(super) fn listen<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}
