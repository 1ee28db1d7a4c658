//! Who a client is.
//!
//! One place takes the credential out of a request, whatever carries it, and one place turns
//! it into a [`Principal`]. New carriers and new kinds of credential belong here.

use std::{collections::HashMap, fmt, sync::Arc};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::config::AuthConfig;

/// In `Sec-WebSocket-Protocol` a browser carries its key behind this.
pub const BEARER_SUBPROTOCOL: &str = "tokenwire.bearer.";

/// Who a client is, as authenticated: it owns generations, and limits count against it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A principal of that name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The one principal of a server without authentication.
    pub fn anonymous() -> Self {
        Self::new("anonymous")
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No key, or one that is not known. Which of the two is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthenticated;

/// Turns a request's credential into a principal.
#[derive(Default)]
pub struct Authenticator {
    /// By the SHA-256 of the key. Looking up a hash leaks nothing useful through time.
    keys: HashMap<[u8; 32], Principal>,
}

impl Authenticator {
    /// The keys of the configuration.
    ///
    /// # Errors
    ///
    /// A sentence that names the key's place in the list and what is wrong with it.
    pub fn new(config: &AuthConfig) -> Result<Self, String> {
        let mut keys = HashMap::new();
        for (at, key) in config.keys.iter().enumerate() {
            let hash = match (&key.sha256, &key.key) {
                (Some(hex), None) => parse_hex(hex).ok_or_else(|| {
                    format!("auth.keys[{at}].sha256: expected 64 hex digits, from `tokenwire hash-key`")
                })?,
                (None, Some(key)) => hash(key),
                _ => return Err(format!("auth.keys[{at}]: expected either `sha256` or `key`")),
            };
            if keys.insert(hash, Principal::new(key.principal.as_str())).is_some() {
                return Err(format!("auth.keys[{at}]: the same key is there twice"));
            }
        }
        Ok(Self { keys })
    }

    /// Whether everybody may connect, because there is no key.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who sent this request.
    ///
    /// # Errors
    ///
    /// [`Unauthenticated`] when there are keys and the request carries none of them.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Unauthenticated> {
        if self.is_open() {
            return Ok(Principal::anonymous());
        }
        let credential = credential(headers).ok_or(Unauthenticated)?;
        self.keys.get(&hash(credential)).cloned().ok_or(Unauthenticated)
    }
}

/// The key that a request carries: `Authorization: Bearer KEY`, or the subprotocol `tokenwire.bearer.KEY`.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| subprotocols(headers).find_map(|name| name.strip_prefix(BEARER_SUBPROTOCOL)))
}

/// The WebSocket subprotocols that a request offers.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// The SHA-256 of a key.
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// A hash in lower-case hex, as it stands in the configuration.
pub fn to_hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_hex(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.as_bytes();
    if hex.len() != 64 {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyConfig;

    fn authenticator() -> Authenticator {
        let key = |principal: &str, key: &str| KeyConfig {
            principal: principal.into(),
            sha256: Some(to_hex(&hash(key))),
            key: None,
        };
        Authenticator::new(&AuthConfig { keys: vec![key("ann", "ann-key"), key("bob", "bob-key")] }).unwrap()
    }

    fn who(name: header::HeaderName, value: &str) -> Result<Principal, Unauthenticated> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        authenticator().authenticate(&headers)
    }

    #[test]
    fn every_carrier_leads_to_the_same_principal() {
        assert_eq!(who(header::AUTHORIZATION, "Bearer ann-key"), Ok(Principal::new("ann")));
        assert_eq!(who(header::AUTHORIZATION, "bearer bob-key"), Ok(Principal::new("bob")));
        assert_eq!(
            who(header::SEC_WEBSOCKET_PROTOCOL, "tokenwire.v1, tokenwire.bearer.ann-key"),
            Ok(Principal::new("ann"))
        );
    }

    #[test]
    fn a_wrong_or_missing_key_is_nobody() {
        assert_eq!(who(header::AUTHORIZATION, "Bearer wrong"), Err(Unauthenticated));
        assert_eq!(who(header::AUTHORIZATION, "Basic ann-key"), Err(Unauthenticated));
        assert_eq!(authenticator().authenticate(&HeaderMap::new()), Err(Unauthenticated));
        assert_eq!(Authenticator::default().authenticate(&HeaderMap::new()), Ok(Principal::anonymous()));
    }
}
