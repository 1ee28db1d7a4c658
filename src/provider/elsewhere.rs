//! Providers that a client brings: its own key, or a place of its own choice, for one generation.
//!
//! | a start brings | sent where | with |
//! | --- | --- | --- |
//! | `api_key` | where the provider is configured | its key, and those configured headers that say not who asks |
//! | `base_url` | there, if its host is [listed](super::guard) | nothing of the server's |
//! | both | there | its key |
//!
//! Off unless `[client_upstreams]` of the configuration allows it.

use std::sync::Arc;

use tokenwire_protocol::{ErrorCode, ErrorInfo, StartUpstream};

use super::{
    Provider, Secret, Upstream,
    connect::Reach,
    guard::{self, HostRule},
    registry::{self, Keyless},
};
use crate::config::Config;

/// The longest key that a client may bring, in bytes. Tokens of clouds have some two thousand.
const MAX_KEY_BYTES: usize = 16 << 10;

/// Headers that say who asks: those of the configuration are not sent beside a client's key.
const IDENTITY_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-goog-user-project",
    "openai-organization",
    "openai-project",
];

/// Where and with which key a client wants a provider asked. Both are checked already.
#[derive(Clone)]
pub struct ClientUpstream {
    place: Option<(String, Reach)>,
    key: Option<Secret>,
}

impl ClientUpstream {
    /// Where to ask, without a slash at the end. `None`: where the provider is configured.
    pub fn base_url(&self) -> Option<&str> {
        self.place.as_ref().map(|(base_url, _)| base_url.as_str())
    }

    /// The key to ask with. `None`: none, since a key of the server's never goes to a place that a client chose.
    pub fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// What may be connected to for [`base_url`](Self::base_url).
    pub(super) fn reach(&self) -> Option<Reach> {
        self.place.as_ref().map(|&(_, reach)| reach)
    }

    /// `configured` with what the client wants in its place.
    pub(super) fn apply(&self, configured: &Upstream) -> Upstream {
        // Field by field, so that whoever adds one has to say whether it may leave.
        let Upstream { name, base_url, key: _, authorizer: _, api_version, headers, quirks } = configured;
        let headers = match self.place {
            Some(_) => Vec::new(),
            None => headers.iter().filter(|(name, _)| !says_who_asks(name)).cloned().collect(),
        };
        Upstream {
            name: name.clone(),
            base_url: self.base_url().unwrap_or(base_url).to_owned(),
            key: self.key.clone(),
            authorizer: None,
            api_version: api_version.clone(),
            headers,
            quirks: *quirks,
        }
    }
}

impl std::fmt::Debug for ClientUpstream {
    /// Keys never reach a log, nor does a URL, which may hold one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientUpstream")
            .field("has_base_url", &self.place.is_some())
            .field("has_key", &self.key.is_some())
            .finish()
    }
}

/// What clients may choose, and the providers that only wait for a client's key.
pub struct Elsewhere {
    rules: Vec<HostRule>,
    allow_api_key: bool,
    /// Known by name, and off only because the server itself has no key or no place for them.
    off: Vec<Keyless>,
}

impl Elsewhere {
    /// As configured. Entries that are not valid allow nothing; validation has refused them already.
    pub fn new(config: &Config) -> Self {
        let section = &config.client_upstreams;
        let read = |list: &[String], is_private| -> Vec<_> {
            list.iter().filter_map(|entry| HostRule::parse(entry, is_private).ok()).collect()
        };
        let rules = [read(&section.hosts, false), read(&section.private_hosts, true)].concat();
        let is_on = section.allow_api_key || !rules.is_empty();
        Self {
            rules,
            allow_api_key: section.allow_api_key,
            off: if is_on { registry::keyless(config) } else { Vec::new() },
        }
    }

    /// The provider of that name as a client wants it asked. `configured` is the server's own, where it has one.
    /// `None`: there is no provider of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotSupported`] when the configuration does not allow it or the provider cannot be asked
    /// elsewhere, [`ErrorCode::BadField`] for a URL or key that is not good or not allowed.
    pub fn provider(
        &self,
        name: &str,
        configured: Option<&Arc<dyn Provider>>,
        asked: &StartUpstream,
    ) -> Result<Option<Arc<dyn Provider>>, ErrorInfo> {
        if asked.base_url.is_none() && asked.api_key.is_none() {
            return Ok(configured.cloned());
        }
        let asked = self.check(asked)?;
        let off = || {
            let candidate = self.off.iter().find(|candidate| candidate.provider.name() == name)?;
            (asked.place.is_some() || !candidate.needs_place).then_some(&candidate.provider)
        };
        let Some(provider) = configured.or_else(off) else { return Ok(None) };
        match provider.elsewhere(&asked) {
            Some(provider) => Ok(Some(provider)),
            None => {
                let message = format!("`{name}` takes neither a key nor another place");
                Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("upstream"))
            }
        }
    }

    fn check(&self, asked: &StartUpstream) -> Result<ClientUpstream, ErrorInfo> {
        let place = match &asked.base_url {
            None if !self.allow_api_key => return Err(switched_off("upstream.api_key")),
            None => None,
            Some(_) if self.rules.is_empty() => return Err(switched_off("upstream.base_url")),
            Some(base_url) => {
                let (url, reach) = guard::check(base_url, &self.rules)
                    .map_err(|message| ErrorInfo::new(ErrorCode::BadField, message).with_field("upstream.base_url"))?;
                Some((url.as_str().trim_end_matches('/').to_owned(), reach))
            }
        };
        let key = asked.api_key.as_deref().map(str::trim);
        if key.is_some_and(|key| {
            key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|b| b.is_ascii_graphic())
        }) {
            let message = "`upstream.api_key` is visible ASCII characters without spaces, as a header needs";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("upstream.api_key"));
        }
        Ok(ClientUpstream { place, key: key.map(Secret::new) })
    }
}

fn switched_off(field: &str) -> ErrorInfo {
    let message = match field {
        "upstream.api_key" => {
            "this server takes no provider keys from clients; whoever runs it can allow them with \
             `client_upstreams.allow_api_key`"
        }
        _ => {
            "this server asks providers where it is configured to, and nowhere else; whoever runs it can list \
             hosts in `client_upstreams.hosts`"
        }
    };
    ErrorInfo::new(ErrorCode::NotSupported, message).with_field(field)
}

fn says_who_asks(header: &str) -> bool {
    IDENTITY_HEADERS.iter().any(|name| header.eq_ignore_ascii_case(name))
}
