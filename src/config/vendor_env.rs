//! Keys and addresses of providers from the variables that the vendors' own SDKs read.
//!
//! `OPENAI_API_KEY` in the environment is enough to switch `openai` on, and `OPENAI_BASE_URL`
//! points it elsewhere. As everywhere the environment wins over the file; within it
//! `TOKENWIRE_PROVIDERS_OPENAI_API_KEY` wins over the usual name. A section that names its variable
//! with `api_key_env` reads that one and no other. The same name with an `S` behind it, such as
//! `OPENAI_API_KEYS`, holds several keys with commas between them, and wins over the one.
//!
//! Afterwards the configuration holds all that is needed: whoever builds providers of it reads no
//! environment.

use super::{
    Config,
    env::{self, Env},
    error::{KeyPath, Origin},
};
use crate::provider::vendors::{self, VENDORS, vendor};

/// Puts what the environment says about providers into their sections.
/// `replaced` gets the origin of each value.
pub(super) fn resolve(config: &mut Config, env: &Env, replaced: &mut std::collections::BTreeMap<KeyPath, Origin>) {
    // A key that is piped through a file tends to have a newline at its end.
    let read = |name: &str| env::get(env, name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
    let mut names: Vec<String> = config.providers.keys().cloned().collect();
    // Where a vendor shares the section of another, that one's is enough.
    let own = VENDORS.iter().filter(|vendor| vendor.shares.is_none()).map(|vendor| vendor.name.to_owned());
    names.extend(own.filter(|name| !config.providers.contains_key(name)));
    for name in names {
        let vendor = vendor(&name);
        let is_named = config.providers.contains_key(&name);
        let mut section = config.providers.get(&name).cloned().unwrap_or_default();
        let is_set = |key: &str| {
            let path = KeyPath::from("providers").key(&name).key(key);
            matches!(replaced.get(&path), Some(Origin::Env(_)))
        };
        let has_key = is_set("api_key") || is_set("api_keys");
        let mut set = |key: &str, variable: &str| {
            let path = KeyPath::from("providers").key(&name).key(key);
            if matches!(replaced.get(&path), Some(Origin::Env(_))) {
                return None;
            }
            let value = read(variable)?;
            replaced.insert(path, Origin::Env(variable.to_owned()));
            Some(value)
        };
        let own = section.api_key_env.as_deref().filter(|_| !section.has_key());
        let key_env = own.or_else(|| vendor.map(|vendor| vendor.key_env).filter(|_| section.api_key_env.is_none()));
        let settings_env = vendor.map_or(&[][..], |vendor| vendor.settings_env);
        // Second names of the same; none of them beside a variable that the section names itself.
        let second = |key: &str| {
            let variables = settings_env.iter().filter(move |(other, _)| *other == key);
            variables.map(|(_, variable)| *variable).next().filter(|_| section.api_key_env.is_none())
        };
        let keys = key_env.filter(|_| !has_key).and_then(|variable| set("api_keys", &format!("{variable}S")));
        let key = match has_key || keys.is_some() {
            true => None,
            false => key_env
                .and_then(|variable| set("api_key", variable))
                .or_else(|| second("api_key").and_then(|variable| set("api_key", variable))),
        };
        let base_url = vendor
            .and_then(|vendor| set("base_url", vendor.base_url_env))
            .or_else(|| second("base_url").and_then(|variable| set("base_url", variable)))
            .or_else(|| {
                // It says where the server on this machine listens: less than what the file says.
                let variable = second("host").filter(|_| section.base_url.is_none())?;
                Some(url_of_host(&set("base_url", variable)?))
            });
        // These say where a provider is, not that it is wanted.
        let settings: Vec<(&str, String)> = settings_env
            .iter()
            .filter(|(key, _)| !matches!(*key, "api_key" | "base_url" | "host"))
            .filter_map(|&(key, variable)| Some((key, set(key, variable)?)))
            .collect();
        let is_wanted = is_named || key.is_some() || keys.is_some() || base_url.is_some();
        if key.is_some() || keys.is_some() {
            section.api_key = key;
            section.api_keys = keys.iter().flat_map(|keys| keys.split(',')).map(|key| key.trim().to_owned()).collect();
            section.api_key_env = None;
        }
        if base_url.is_some() {
            section.base_url = base_url;
        }
        for (key, value) in settings {
            let place = match key {
                "region" => &mut section.region,
                "project" => &mut section.project,
                "credentials_file" => &mut section.credentials_file,
                "bearer_token" => &mut section.bearer_token,
                _ => &mut section.api_version,
            };
            *place = Some(value);
        }
        let credentials = vendors::credentials(vendor, section.wire_format.as_deref());
        let variables = credentials.variables().iter();
        section.environment = variables.filter_map(|&name| Some((name.to_owned(), read(name)?))).collect();
        if is_wanted || credentials.are_in(&section) {
            config.providers.insert(name, section);
        }
    }
}

/// The base URL for where an Ollama server says that it listens: `0.0.0.0`, `gpu:8080`, `https://ollama.com`.
fn url_of_host(host: &str) -> String {
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Colons of an address in brackets are not the port's.
    let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']')).unwrap_or(authority.len());
    let (name, port) = authority.split_at(port_at);
    // What is listened on everywhere is reached here.
    let name = match name {
        "" | "0.0.0.0" | "[::]" => "127.0.0.1",
        name => name,
    };
    let port = match port {
        "" if !host.contains("://") => ":11434",
        port => port,
    };
    format!("{scheme}://{name}{port}{}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::url_of_host;

    #[test]
    fn a_host_becomes_a_url() {
        for (host, url) in [
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            (":8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://127.0.0.1:8080"),
            ("[fe80::1]", "http://[fe80::1]:11434"),
            ("gpu.example.com", "http://gpu.example.com:11434"),
            ("https://ollama.com", "https://ollama.com"),
            ("http://gpu:1234/ollama/", "http://gpu:1234/ollama"),
        ] {
            assert_eq!(url_of_host(host), url);
        }
    }
}
