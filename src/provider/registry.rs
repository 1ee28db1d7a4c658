//! Which providers are switched on, and why the others are not.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Provider, Secret, Upstream,
    demo::Demo,
    driver::HttpProvider,
    vendors::{self, Quirks, VENDORS, Vendor},
};
use crate::config::{Config, ProviderConfig};

/// Looks up an environment variable. Empty ones count as not set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A provider that is switched on, or could be.
pub struct Candidate {
    /// Its name: the first half of `provider/model`.
    pub name: String,
    /// The provider, or why it is off.
    pub state: Result<Arc<dyn Provider>, Off>,
}

/// Why a provider is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Off {
    /// The configuration says so.
    Disabled,
    /// Its key is missing; this variable would hold it.
    NoKey {
        /// The variable.
        variable: String,
    },
    /// It needs no key, and nobody asked for it; this variable says where it is.
    NotAsked {
        /// The variable.
        variable: String,
    },
}

/// Every provider that is known or configured: `demo`, then the configured ones that no vendor
/// row names, then the vendors, the best known first.
///
/// # Errors
///
/// A sentence that names the key of the configuration and the fix.
pub fn candidates(config: &Config, env: Env<'_>) -> Result<Vec<Candidate>, String> {
    let mut configured: BTreeMap<&str, &ProviderConfig> =
        config.providers.iter().map(|(name, provider)| (name.as_str(), provider)).collect();
    let demo = match configured.remove("demo") {
        Some(ProviderConfig { enabled: Some(false), .. }) => Err(Off::Disabled),
        _ => Ok(Arc::new(Demo) as Arc<dyn Provider>),
    };
    let mut candidates = vec![Candidate { name: "demo".to_owned(), state: demo }];
    let nothing = ProviderConfig::default();
    let vendors: Vec<_> = VENDORS.iter().map(|vendor| (vendor, configured.remove(vendor.name))).collect();
    for (name, provider) in configured {
        candidates.push(Candidate { name: name.to_owned(), state: build(name, provider, None, env)? });
    }
    for (vendor, provider) in vendors {
        if vendors::adapter(vendor.wire_format).is_none() {
            continue;
        }
        let is_asked = provider.is_some()
            || vendor.needs_key
            || env(vendor.base_url_env).is_some()
            || env(vendor.key_env).is_some();
        let state = if is_asked {
            build(vendor.name, provider.unwrap_or(&nothing), Some(vendor), env)?
        } else {
            Err(Off::NotAsked { variable: vendor.base_url_env.to_owned() })
        };
        candidates.push(Candidate { name: vendor.name.to_owned(), state });
    }
    Ok(candidates)
}

fn build(
    name: &str,
    provider: &ProviderConfig,
    vendor: Option<&Vendor>,
    env: Env<'_>,
) -> Result<Result<Arc<dyn Provider>, Off>, String> {
    if provider.enabled == Some(false) {
        return Ok(Err(Off::Disabled));
    }
    let missing = |field: &str, expected: &str| format!("providers.{name}.{field}: is missing; expected {expected}");
    let wire_format = provider
        .wire_format
        .as_deref()
        .or(vendor.map(|vendor| vendor.wire_format))
        .ok_or_else(|| missing("wire_format", "`openai-chat` or `anthropic`"))?;
    let adapter = vendors::adapter(wire_format)
        .ok_or_else(|| format!("providers.{name}.wire_format: expected `openai-chat` or `anthropic`"))?;
    let base_url = provider
        .base_url
        .clone()
        .or_else(|| env(vendor?.base_url_env))
        .or_else(|| Some(vendor?.base_url.to_owned()))
        .ok_or_else(|| missing("base_url", "a URL such as `http://localhost:8000/v1`"))?;
    let variable = provider.api_key_env.as_deref().or(vendor.map(|vendor| vendor.key_env));
    let key = provider.api_key.clone().or_else(|| env(variable?));
    let needs_key = provider.api_key_env.is_some() || vendor.is_some_and(|vendor| vendor.needs_key);
    if let (None, true, Some(variable)) = (&key, needs_key, variable) {
        return Ok(Err(Off::NoKey { variable: variable.to_owned() }));
    }
    let models = match (provider.models.as_slice(), vendor) {
        ([], Some(vendor)) => vendor.models.iter().map(|model| (*model).to_owned()).collect(),
        (models, _) => models.to_vec(),
    };
    let upstream = Upstream {
        name: name.to_owned(),
        base_url: base_url.trim_end_matches('/').to_owned(),
        key: key.map(Secret::new),
        headers: provider.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        quirks: vendor.map_or_else(Quirks::default, |vendor| vendor.quirks),
    };
    Ok(Ok(Arc::new(HttpProvider::new(adapter, upstream, models))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(config: &Config, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let state = |candidate: Candidate| match candidate.state {
            Ok(_) => "on".to_owned(),
            Err(Off::Disabled) => "disabled".to_owned(),
            Err(Off::NoKey { variable } | Off::NotAsked { variable }) => format!("set {variable}"),
        };
        let candidates = candidates(config, &env).unwrap();
        candidates.into_iter().map(|candidate| (candidate.name.clone(), state(candidate))).collect()
    }

    #[test]
    fn a_key_in_the_environment_is_enough() {
        let states = states(&Config::default(), &[("OPENAI_API_KEY", "k")]);
        assert_eq!(states["demo"], "on");
        assert_eq!(states["openai"], "on");
        assert_eq!(states["groq"], "set GROQ_API_KEY");
    }

    #[test]
    fn the_configuration_switches_on_and_off() {
        let mut config = Config::default();
        let off = ProviderConfig { enabled: Some(false), ..ProviderConfig::default() };
        config.providers.insert("openai".into(), off.clone());
        config.providers.insert("demo".into(), off);
        config.providers.insert(
            "mine".into(),
            ProviderConfig {
                wire_format: Some("openai-chat".into()),
                base_url: Some("http://localhost:1".into()),
                ..ProviderConfig::default()
            },
        );
        let states = states(&config, &[("OPENAI_API_KEY", "k")]);
        assert_eq!((&*states["openai"], &*states["demo"], &*states["mine"]), ("disabled", "disabled", "on"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut config = Config::default();
        config.providers.insert("mine".into(), ProviderConfig::default());
        let error = candidates(&config, &|_| None).err().unwrap();
        assert_eq!(error, "providers.mine.wire_format: is missing; expected `openai-chat` or `anthropic`");
    }
}
