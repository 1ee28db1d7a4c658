//! Which providers are switched on, and why the others are not.
//!
//! | provider | is on when |
//! | --- | --- |
//! | `demo` | always |
//! | a vendor that needs a key | there is one, or the configuration gives another base URL |
//! | Vertex AI | the configuration names it, or the environment names a project and a file of credentials |
//! | Bedrock | there is a key, or the configuration names it, or the environment has AWS keys and a region |
//! | a vendor that needs none: a server on one's own machine | the configuration names it |
//! | any other | the configuration names it, with `wire_format` and `base_url` |
//!
//! `enabled = false` switches each of them off. The keys of the environment are in the
//! configuration already when it was loaded with [`Loader`](crate::config::Loader).

use std::{fmt, sync::Arc};

use super::{
    Adapter, Provider, Secret, Upstream, aws, credentials,
    demo::Demo,
    driver::HttpProvider,
    google,
    keys::Rotation,
    vendors::{self, Credentials, VENDORS, Vendor, vendor},
};
use crate::config::{Config, ProviderConfig};

/// A provider that is configured or known by name.
pub struct Candidate {
    /// The provider's name.
    pub name: String,
    /// The provider, or why there is none.
    pub provider: Result<Arc<dyn Provider>, Off>,
}

/// Why a provider is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Off {
    /// By `enabled = false`.
    Disabled,
    /// This environment variable, or a key in the configuration, would switch it on.
    NoKey(String),
    /// A section in the configuration, or this environment variable, would switch it on.
    NotConfigured(&'static str),
    /// This part of the configuration is wrong or missing. Checked configurations do not have this.
    Incomplete(&'static str),
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("`enabled = false`"),
            Self::NoKey(variable) => write!(f, "set {variable}"),
            Self::NotConfigured(variable) => write!(f, "set {variable}, or give it a section in the file"),
            Self::Incomplete(key) => write!(f, "`{key}` is missing or not known"),
        }
    }
}

/// The providers that the configuration switches on: `demo`, and every vendor that is configured
/// or whose key is there.
///
/// # Errors
///
/// A sentence that names the key of the configuration and the fix.
pub fn configured(config: &Config) -> Result<Vec<Arc<dyn Provider>>, String> {
    let mut providers = Vec::new();
    for candidate in candidates(config) {
        match candidate.provider {
            Ok(provider) => providers.push(provider),
            Err(Off::Incomplete(key)) => {
                return Err(format!("providers.{}.{key}: is missing or not known", candidate.name));
            }
            Err(off) => tracing::debug!(provider = candidate.name, %off, "provider is off"),
        }
    }
    Ok(providers)
}

/// Every provider that is configured or known by name: `demo`, the vendors, then all others.
pub fn candidates(config: &Config) -> Vec<Candidate> {
    let demo = match is_disabled(config.providers.get(Demo.name())) {
        true => Err(Off::Disabled),
        false => Ok(Arc::new(Demo) as Arc<dyn Provider>),
    };
    let others =
        config.providers.keys().map(String::as_str).filter(|name| vendor(name).is_none() && *name != Demo.name());
    let mut candidates = vec![Candidate { name: Demo.name().to_owned(), provider: demo }];
    candidates.extend(VENDORS.iter().map(|vendor| vendor.name).chain(others).map(|name| {
        let provider = with_keys(name, vendor(name), section_of(config, name).as_ref());
        Candidate { name: name.to_owned(), provider }
    }));
    candidates
}

/// Scheme, host and port of a provider's base URL, which has more to it that may be secret. `None`: it has none,
/// because it is built in or not known.
pub fn address(name: &str, config: &Config) -> Option<String> {
    let section = section_of(config, name);
    let section = section.as_ref();
    let configured = section.and_then(|section| section.base_url.as_deref());
    let base_url = configured.or(vendor(name).map(|vendor| vendor.base_url))?;
    let filled = section.and_then(|section| fill(base_url, vendor(name), section).ok());
    let (scheme, rest) = filled.as_deref().unwrap_or(base_url).split_once("://")?;
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(format!("{scheme}://{host}"))
}

/// Whose section a provider has: its own, or that of the vendor that it is the same as, but for how it is asked.
pub fn section_name<'n>(config: &Config, name: &'n str) -> &'n str {
    match vendor(name).and_then(|vendor| vendor.shares) {
        Some(shared) if !config.providers.contains_key(name) => shared,
        _ => name,
    }
}

/// A provider's section. Of a shared one, only where and with which key to ask.
pub fn section_of(config: &Config, name: &str) -> Option<ProviderConfig> {
    let owner = section_name(config, name);
    let section = config.providers.get(owner)?.clone();
    Some(match owner == name {
        true => section,
        false => ProviderConfig { wire_format: None, websocket: false, ..section },
    })
}

fn is_disabled(section: Option<&ProviderConfig>) -> bool {
    section.is_some_and(|section| section.enabled == Some(false))
}

/// A provider that is off, and that a client's own key or place would be enough for.
pub(super) struct Keyless {
    pub provider: Arc<dyn Provider>,
    /// Whether a key is not enough: it is a server on one's own machine that nobody has configured.
    pub needs_place: bool,
}

/// The providers that are off because the server has no key or no place for them.
pub(super) fn keyless(config: &Config) -> Vec<Keyless> {
    let sections = config.providers.keys().map(String::as_str).filter(|name| vendor(name).is_none());
    let names = VENDORS.iter().map(|vendor| vendor.name).chain(sections);
    let keyless = names.filter_map(|name| {
        let section = section_of(config, name);
        let section = section.as_ref();
        let needs_place = match check_on(vendor(name), section) {
            Err(Off::NoKey(_)) => false,
            Err(Off::NotConfigured(_)) => true,
            _ => return None,
        };
        let provider = build(name, vendor(name), section).ok()?;
        Some(Keyless { provider: Arc::new(provider), needs_place })
    });
    keyless.collect()
}

/// The provider; one for each of its keys, taking turns, where it has several.
fn with_keys(name: &str, vendor: Option<&Vendor>, section: Option<&ProviderConfig>) -> Result<Arc<dyn Provider>, Off> {
    match section {
        Some(section) if !section.api_keys.is_empty() => {
            let providers = section.api_keys.iter().map(|key| {
                let section = ProviderConfig { api_key: Some(key.clone()), api_keys: Vec::new(), ..section.clone() };
                switch_on(name, vendor, Some(&section))
            });
            Ok(Arc::new(Rotation::new(providers.collect::<Result<_, _>>()?)))
        }
        section => Ok(Arc::new(switch_on(name, vendor, section)?)),
    }
}

fn switch_on(name: &str, vendor: Option<&Vendor>, section: Option<&ProviderConfig>) -> Result<HttpProvider, Off> {
    check_on(vendor, section)?;
    build(name, vendor, section)
}

/// Whether a provider is wanted, and has the key that it needs.
fn check_on(vendor: Option<&Vendor>, section: Option<&ProviderConfig>) -> Result<(), Off> {
    if is_disabled(section) {
        return Err(Off::Disabled);
    }
    let Some(section) = section else {
        return match vendor {
            Some(vendor) if vendor.credentials == Credentials::Aws => {
                Err(Off::NoKey(format!("AWS_REGION and {} or {}", vendor.key_env, aws::SWITCH)))
            }
            Some(vendor) if vendor.needs_key && !vendor.base_url.is_empty() => {
                Err(Off::NoKey(vendor.key_env.to_owned()))
            }
            Some(vendor) if vendor.credentials == Credentials::Google => {
                Err(Off::NotConfigured("GOOGLE_CLOUD_PROJECT and GOOGLE_APPLICATION_CREDENTIALS"))
            }
            Some(vendor) => Err(Off::NotConfigured(vendor.base_url_env)),
            None => Ok(()),
        };
    };
    if let Some(vendor) = vendor
        && vendor.base_url.is_empty()
        && section.base_url.is_none()
    {
        return Err(Off::NotConfigured(vendor.base_url_env));
    }
    if !section.has_key() && section.bearer_token.is_none() {
        // A place that is not the vendor's may do without.
        let needs_key =
            |vendor: &Vendor| vendor.needs_key && (section.base_url.is_none() || vendor.base_url.is_empty());
        let needs_key = vendor.is_some_and(needs_key);
        match (&section.api_key_env, vendor) {
            (Some(variable), _) => return Err(Off::NoKey(variable.clone())),
            (None, Some(vendor)) if needs_key => return Err(Off::NoKey(vendor.key_env.to_owned())),
            _ => {}
        }
    }
    Ok(())
}

fn build(name: &str, vendor: Option<&Vendor>, section: Option<&ProviderConfig>) -> Result<HttpProvider, Off> {
    let section = section.cloned().unwrap_or_default();
    let adapter = wire_format(vendor, &section).ok_or(Off::Incomplete("wire_format"))?;
    let base_url = section.base_url.as_deref().or(vendor.map(|vendor| vendor.base_url));
    let base_url = base_url.ok_or(Off::Incomplete("base_url"))?;
    let mut quirks = vendor.map(|vendor| vendor.quirks).unwrap_or_default().at_version(section.api_version.as_deref());
    if section.bearer_token.is_some() {
        quirks.key_header = None;
    }
    let upstream = Upstream {
        name: name.to_owned(),
        base_url: fill(base_url, vendor, &section)?.trim_end_matches('/').to_owned(),
        key: section.bearer_token.as_deref().or(section.api_key.as_deref()).map(Secret::new),
        authorizer: credentials::authorizer(vendors::credentials(vendor, section.wire_format.as_deref()), &section)?,
        api_version: section.api_version.clone(),
        headers: section.headers.into_iter().collect(),
        quirks,
    };
    let models = match (section.models.is_empty(), vendor) {
        (true, Some(vendor)) => vendor.models.iter().map(|model| (*model).to_owned()).collect(),
        _ => section.models,
    };
    Ok(HttpProvider::new(adapter, upstream, models).over_socket(section.websocket))
}

/// Puts region and project into a vendor's base URL.
fn fill(base_url: &str, vendor: Option<&Vendor>, section: &ProviderConfig) -> Result<String, Off> {
    if vendor.is_some_and(|vendor| vendor.credentials == Credentials::Google) {
        return google::base_url(base_url, section);
    }
    let mut filled = base_url.to_owned();
    for (key, value) in [("region", &section.region), ("project", &section.project)] {
        let place = format!("{{{key}}}");
        if filled.contains(&place) {
            let settings = vendor.map_or(&[][..], |vendor| vendor.settings_env);
            let missing = || match settings.iter().find(|(setting, _)| *setting == key) {
                Some((_, variable)) => Off::NoKey((*variable).to_owned()),
                None => Off::Incomplete(key),
            };
            let value = value.as_deref().ok_or_else(missing)?;
            // Databricks' own variable holds an address.
            let value = value.trim_start_matches("https://").trim_end_matches('/');
            filled = filled.replace(&place, value);
        }
    }
    Ok(filled)
}

fn wire_format(vendor: Option<&Vendor>, section: &ProviderConfig) -> Option<Arc<dyn Adapter>> {
    let wire_format = section.wire_format.as_deref().or(vendor.map(|vendor| vendor.wire_format));
    wire_format.and_then(vendors::adapter)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::{Env, Loader};

    fn load(toml: &str, variables: &[(&str, &str)]) -> Config {
        let env: Env = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Loader::new().toml(toml).env(env).load().unwrap().config
    }

    /// The names of those that are on, and why a provider is off.
    #[track_caller]
    fn check(toml: &str, variables: &[(&str, &str)], on: &[&str], off: Option<(&str, &str)>) {
        let candidates = candidates(&load(toml, variables));
        let names: Vec<&str> = candidates
            .iter()
            .filter(|candidate| candidate.provider.is_ok())
            .map(|candidate| &*candidate.name)
            .collect();
        assert_eq!(names, on);
        if let Some((name, why)) = off {
            let candidate = candidates.iter().find(|candidate| candidate.name == name).unwrap();
            assert_eq!(candidate.provider.as_ref().err().unwrap().to_string(), why);
        }
    }

    #[test]
    fn the_demo_model_needs_nothing() {
        check("", &[], &["demo"], Some(("openai", "set OPENAI_API_KEY")));
        check("[providers.demo]\nenabled = false", &[], &[], Some(("demo", "`enabled = false`")));
    }

    #[test]
    fn a_key_in_the_environment_is_enough() {
        check("", &[("OPENAI_API_KEY", "k\n")], &["demo", "openai", "openai-responses"], None);
        check("", &[("OPENAI_API_KEY", " ")], &["demo"], None);
        check("[providers.openai]", &[], &["demo"], Some(("openai", "set OPENAI_API_KEY")));
        check(
            "[providers.openai]\nenabled = false",
            &[("OPENAI_API_KEY", "k")],
            &["demo"],
            Some(("openai", "`enabled = false`")),
        );
    }

    #[test]
    fn vertex_needs_a_project_and_credentials() {
        let file = ("GOOGLE_APPLICATION_CREDENTIALS", "/account.json");
        let project = ("GOOGLE_CLOUD_PROJECT", "p");
        let missing = "set GOOGLE_CLOUD_PROJECT and GOOGLE_APPLICATION_CREDENTIALS, or give it a section in the file";
        check("", &[file], &["demo"], Some(("vertex", missing)));
        check("", &[project], &["demo"], Some(("vertex-anthropic", missing)));
        check("", &[file, project], &["demo", "vertex", "vertex-anthropic"], None);
        check("", &[file, ("ANTHROPIC_VERTEX_PROJECT_ID", "p")], &["demo", "vertex-anthropic"], None);
        check("[providers.vertex]", &[], &["demo"], Some(("vertex", "set GOOGLE_CLOUD_PROJECT")));
        check("[providers.vertex]", &[project], &["demo", "vertex"], None);
        check("[providers.vertex]\nproject = 'p'", &[], &["demo", "vertex"], None);
        check("", &[("VERTEX_API_KEY", "AIza")], &["demo", "vertex"], None);
        check("", &[("GOOGLE_API_KEY", "k")], &["demo", "gemini"], None);
    }

    #[test]
    fn several_keys_are_one_provider() {
        check("", &[("GROQ_API_KEYS", "a,b")], &["demo", "groq"], None);
        check("[providers.openai]\napi_keys = ['a', 'b']", &[], &["demo", "openai", "openai-responses"], None);
    }

    #[test]
    fn a_section_may_name_another_variable() {
        let toml = "[providers.openai]\napi_key_env = 'TEAM_KEY'";
        check(toml, &[("OPENAI_API_KEY", "k")], &["demo"], Some(("openai", "set TEAM_KEY")));
        check(toml, &[("TEAM_KEY", "k")], &["demo", "openai", "openai-responses"], None);
    }

    #[test]
    fn another_base_url_makes_the_key_optional() {
        let on = ["demo", "openai", "openai-responses"];
        check("", &[("OPENAI_BASE_URL", "http://localhost:1/v1")], &on, None);
        check("[providers.openai]\nbase_url = 'http://localhost:1/v1'", &[], &on, None);
    }

    #[test]
    fn a_vendor_that_is_asked_in_two_ways_needs_one_section() {
        let on = ["demo", "openai-responses"];
        let toml = "[providers.openai]\nenabled = false\n[providers.openai-responses]";
        check(toml, &[("OPENAI_API_KEY", "k")], &on, None);
        let toml = "[providers.openai]\nwire_format = 'openai-responses'\nwebsocket = true";
        check(toml, &[("OPENAI_API_KEY", "k")], &["demo", "openai", "openai-responses"], None);
    }

    #[test]
    fn azure_needs_its_place_and_a_key_or_a_token() {
        let (key, place) = (("AZURE_OPENAI_API_KEY", "k"), ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com"));
        let no_place = "set AZURE_OPENAI_ENDPOINT, or give it a section in the file";
        check("", &[], &["demo"], Some(("azure", no_place)));
        check("", &[key], &["demo"], Some(("azure", no_place)));
        check("", &[place], &["demo"], Some(("azure", "set AZURE_OPENAI_API_KEY")));
        let on = ["demo", "azure", "azure-responses"];
        check("", &[key, place], &on, None);
        check("", &[("AZURE_OPENAI_AD_TOKEN", "t"), place], &on, None);
    }

    #[test]
    fn bedrock_needs_a_region_and_somebody_who_asks() {
        let both = ["demo", "bedrock", "bedrock-anthropic"];
        let (region, key) = (("AWS_REGION", "eu-west-1"), ("AWS_BEARER_TOKEN_BEDROCK", "k"));
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let fix = "set AWS_REGION and AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID";
        check("", &[region], &["demo"], Some(("bedrock", fix)));
        check("", &keys, &["demo"], Some(("bedrock-anthropic", fix)));
        check("", &[key], &["demo"], Some(("bedrock", "set AWS_REGION")));
        check("", &[region, key], &both, None);
        check("", &[("AWS_DEFAULT_REGION", "eu-west-1"), keys[0], keys[1]], &both, None);
        check("[providers.bedrock]", &[], &["demo"], Some(("bedrock", "set AWS_REGION")));
        check("[providers.bedrock]\nregion = 'eu-west-1'", &[], &["demo", "bedrock"], None);
        check("[providers.bedrock]\napi_key_env = 'TEAM'", &[region], &["demo"], Some(("bedrock", "set TEAM")));
        let toml = "[providers.second]\nwire_format = 'bedrock-converse'\nregion = 'eu-west-1'\n\
                    base_url = 'https://bedrock-runtime.{region}.amazonaws.com'";
        check(toml, &[], &["demo", "second"], None);

        let config = load(toml, &[region, keys[0], keys[1], ("AWS_PAGER", "")]);
        for name in ["bedrock", "second"] {
            let section = &config.providers[name];
            assert_eq!(section.environment.len(), 2, "{name}");
            assert!(!format!("{section:?}").contains("AWS"), "{section:?}");
        }
        assert_eq!(load("[providers.openai]", &keys).providers["openai"].environment.len(), 0);
    }

    #[test]
    fn an_address_with_an_account_in_it_needs_the_account() {
        let key = ("CLOUDFLARE_API_TOKEN", "k");
        check("", &[key], &["demo"], Some(("cloudflare", "set CLOUDFLARE_ACCOUNT_ID")));
        check("", &[key, ("CLOUDFLARE_ACCOUNT_ID", "a")], &["demo", "cloudflare"], None);
        let databricks = [("DATABRICKS_TOKEN", "k"), ("DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com/")];
        let config = load("", &databricks);
        assert_eq!(address("databricks", &config).as_deref(), Some("https://dbc-1.cloud.databricks.com"));
    }

    #[test]
    fn any_other_name_is_a_provider_too() {
        let toml = "[providers.mine]\nwire_format = 'openai-chat'\nbase_url = 'http://localhost:1/v1/'\nmodels = ['m']";
        check(toml, &[], &["demo", "mine"], None);
        let candidates = candidates(&load(toml, &[]));
        assert_eq!(candidates.last().unwrap().provider.as_ref().ok().unwrap().models(), ["m"]);
    }

    #[test]
    fn every_wire_format_that_may_be_named_exists() {
        for wire_format in crate::config::WIRE_FORMATS {
            assert!(vendors::adapter(wire_format).is_some(), "{wire_format}");
        }
        for vendor in VENDORS {
            assert!(crate::config::WIRE_FORMATS.contains(&vendor.wire_format), "{}", vendor.name);
        }
    }

    #[test]
    fn every_vendor_can_be_switched_on() {
        for vendor in VENDORS {
            let config = load("", &[(vendor.key_env, "k"), (vendor.base_url_env, "http://localhost:1/v1")]);
            let candidates = candidates(&config);
            let candidate = candidates.iter().find(|candidate| candidate.name == vendor.name).unwrap();
            assert!(candidate.provider.is_ok(), "{}", vendor.name);
        }
    }

    #[test]
    fn an_address_holds_no_secret() {
        let address = |base_url: &str| {
            address("mine", &load(&format!("providers.mine = {{ base_url = '{base_url}', enabled = false }}"), &[]))
        };
        for base_url in
            ["https://a.example:1", "https://user:pass@a.example:1/key?k=key", "https://u@v@a.example:1#key"]
        {
            assert_eq!(address(base_url).as_deref(), Some("https://a.example:1"), "{base_url}");
        }
        assert_eq!(super::address("openai", &load("", &[])).as_deref(), Some("https://api.openai.com"));
        assert_eq!(super::address("demo", &load("", &[])), None);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let key = |toml: &str, variables: &[(&str, &str)]| load(toml, variables).providers["openai"].api_key.clone();
        let toml = "[providers.openai]\napi_key = 'file'";
        assert_eq!(key(toml, &[]).unwrap(), "file");
        assert_eq!(key(toml, &[("OPENAI_API_KEY", "usual")]).unwrap(), "usual");
        let both = [("OPENAI_API_KEY", "usual"), ("TOKENWIRE_PROVIDERS_OPENAI_API_KEY", "own")];
        assert_eq!(key(toml, &both).unwrap(), "own");
    }
}
