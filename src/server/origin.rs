//! Which pages may talk to this server, and under which names it may be reached.
//!
//! A browser lets any page open a WebSocket to any address, also to one on the person's own
//! machine; the `Origin` header is all that tells such a page from one's own. The `Host` header
//! tells a name that an attacker has pointed at this address (DNS rebinding). Both are checked on
//! every route, also on loopback. Programs send no `Origin`; they need none.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};

use crate::config::Config;

/// What is allowed.
pub(super) struct Policy {
    /// `scheme://host[:port]` in lower case, compared as a whole.
    origins: Vec<String>,
    /// Host names in lower case, without port.
    hosts: Vec<String>,
    /// The listen address.
    address: IpAddr,
}

/// What is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forbidden {
    Host,
    Origin,
}

impl Forbidden {
    pub fn message(self) -> &'static str {
        match self {
            Self::Host => "this server is not to be reached under that host name; `allowed_hosts` lists more",
            Self::Origin => "pages of that origin may not connect here; `allowed_origins` lists more",
        }
    }
}

impl Policy {
    pub fn new(config: &Config, address: SocketAddr) -> Self {
        let lower = |list: &[String]| list.iter().map(|item| item.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { origins: lower(&config.allowed_origins), hosts: lower(&config.allowed_hosts), address: address.ip() }
    }

    /// Checks a request's `Host` and, where there is one, its `Origin`.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Forbidden> {
        let host = single(headers, header::HOST).ok_or(Forbidden::Host)?.to_ascii_lowercase();
        let (name, _) = split_port(&host).ok_or(Forbidden::Host)?;
        // An allowed origin is a name that this server is known under, too.
        let known = self.origins.iter().filter_map(|origin| split_port(origin.split_once("://")?.1));
        if !self.is_own(name)
            && !self.hosts.iter().any(|host| host == name)
            && !known.into_iter().any(|(host, _)| host == name)
        {
            return Err(Forbidden::Host);
        }
        if !headers.contains_key(header::ORIGIN) {
            return Ok(());
        }
        let origin = single(headers, header::ORIGIN).ok_or(Forbidden::Origin)?.to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return Ok(());
        }
        let (scheme, authority) = origin.split_once("://").ok_or(Forbidden::Origin)?;
        let (name, _) = split_port(authority).ok_or(Forbidden::Origin)?;
        // A page of this server itself, or of another server on the same loopback.
        let is_same = authority == host;
        let is_web = matches!(scheme, "http" | "https");
        if is_web && (is_same || is_loopback(name)) { Ok(()) } else { Err(Forbidden::Origin) }
    }

    fn is_own(&self, name: &str) -> bool {
        // Who listens on any address has more of them than it knows: behind a container's network, for one. None of them can
        // be made to lead here by somebody else, as a name can.
        let is_own = |ip: IpAddr| !ip.is_unspecified() && (ip == self.address || self.address.is_unspecified());
        is_loopback(name) || parse_ip(name).is_some_and(is_own)
    }
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost") || parse_ip(name).is_some_and(|ip| ip.is_loopback())
}

fn parse_ip(name: &str) -> Option<IpAddr> {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse().ok()
}

/// The one value of a header; two are as wrong as none.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// `host[:port]` as host and port. `None` for what is neither: user info, paths, empty names.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(authority[at + 1..].parse().ok()?)),
        _ => (authority, None),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    is_host.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), Forbidden> {
        check_at([192, 0, 2, 7], host, origin)
    }

    fn check_at(address: [u8; 4], host: &str, origin: Option<&str>) -> Result<(), Forbidden> {
        let config = Config {
            allowed_origins: vec!["https://app.example.com".into(), "http://dev.example.com:3000".into()],
            allowed_hosts: vec!["stream.example.com".into()],
            ..Config::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        Policy::new(&config, SocketAddr::from((address, 8080))).check(&headers)
    }

    #[test]
    fn host_matrix() {
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST:8080",
            "localhost",
            "[::1]:8080",
            "[::1]",
            "127.8.8.8:1",
            "app.localhost:8080",
            "192.0.2.7:8080",
            "stream.example.com",
            "stream.example.com:443",
            "STREAM.example.com",
            "app.example.com",
            "dev.example.com:8080",
        ] {
            assert_eq!(check(host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8:8080",
            "xstream.example.com",
            "stream.example.com.evil.example",
            "user@localhost",
            "localhost:8080:1",
            "localhost:x",
            "",
            ":8080",
            "[::1",
            "0.0.0.0:8080",
            "[::2]:8080",
        ] {
            assert_eq!(check(host, None), Err(Forbidden::Host), "{host}");
        }
    }

    #[test]
    fn any_address_is_its_own_when_it_listens_on_any() {
        for host in ["192.168.1.20:8080", "[2001:db8::1]:8080", "127.0.0.1:8080", "stream.example.com"] {
            assert_eq!(check_at([0, 0, 0, 0], host, Some(&format!("http://{host}"))), Ok(()), "{host}");
        }
        for host in ["evil.example", "192.168.1.20.evil.example", "0.0.0.0:8080", "[::]:8080"] {
            assert_eq!(check_at([0, 0, 0, 0], host, None), Err(Forbidden::Host), "{host}");
        }
        let elsewhere = check_at([0, 0, 0, 0], "192.168.1.20:8080", Some("http://192.168.1.66:8080"));
        assert_eq!(elsewhere, Err(Forbidden::Origin));
    }

    #[test]
    fn origin_matrix() {
        let host = "stream.example.com";
        for origin in [
            "https://app.example.com",
            "HTTPS://APP.example.com",
            "http://dev.example.com:3000",
            "http://localhost:5173",
            "http://127.0.0.1:8080",
            "http://[::1]:3000",
            "https://localhost",
            "https://stream.example.com",
            "http://stream.example.com",
        ] {
            assert_eq!(check(host, Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "https://app.example.com.evil.example",
            "https://evilapp.example.com",
            "https://app.example.com:444",
            "http://app.example.com",
            "http://dev.example.com",
            "https://app.example.com@evil.example",
            "file://",
            "chrome-extension://abcdef",
            "ws://localhost:8080",
            "http://localhost.evil.example",
            "https://stream.example.com:444",
            "localhost:8080",
            "http://",
            "http://localhost:8080/path",
        ] {
            assert_eq!(check(host, Some(origin)), Err(Forbidden::Origin), "{origin}");
        }
    }
}
