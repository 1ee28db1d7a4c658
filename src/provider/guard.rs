//! What a client may name as a provider's place: hosts that are listed, and never this server's own network
//! unless the list says so. Everything here is pure; connections are made in [`connect`](super::connect).
//!
//! | an entry of the list | allows |
//! | --- | --- |
//! | `gateway.example.com` | `https`, port 443, where that name leads to public addresses |
//! | `*.example.com` | the same for every name below it, not for itself |
//! | `gateway.example.com:8443` | that port alone |
//! | `http://gateway.example.com` | `http` alone, port 80 |
//! | `10.1.2.3` | that address, whatever it is |
//!
//! A name in the list of private hosts may also lead into the network that this server is in. Hosts are compared
//! as the URL standard reads them: other cases, international names and odd forms of addresses are the same host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::connect::Reach;

/// Where an address lies, from what anybody may connect to, to what nobody may. The order is the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// The internet.
    Public,
    /// This machine, or the network that it is in.
    Private,
    /// No provider's: link-local with the cloud's metadata, multicast, documentation, reserved.
    Nobodys,
}

/// Where the metadata of clouds is, besides 169.254.169.254: these are in spaces that are otherwise allowed.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Where `address` lies. One that carries an IPv4 address lies where that does.
pub(super) fn space_of(address: IpAddr) -> Space {
    if METADATA.contains(&address) {
        return Space::Nobodys;
    }
    match address {
        IpAddr::V4(address) => space_of_v4(address),
        IpAddr::V6(address) => space_of_v6(address),
    }
}

fn space_of_v4(address: Ipv4Addr) -> Space {
    match address.octets() {
        [10 | 127, ..] | [192, 168, ..] | [172, 16..32, ..] | [100, 64..128, ..] => Space::Private,
        // "This network", link-local, protocol assignments, documentation, 6to4 relays, benchmarks.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => Space::Nobodys,
        [198, 51, 100, _] | [203, 0, 113, _] => Space::Nobodys,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => Space::Nobodys,
        _ => Space::Public,
    }
}

fn space_of_v6(address: Ipv6Addr) -> Space {
    let of_v4 = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
        space_of(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Space::Private,
        // IPv4-mapped.
        [0, 0, 0, 0, 0, 0xffff, high, low] => of_v4(high, low),
        // NAT64. Its other prefix, 64:ff9b:1::/48, is for networks' own use, as they like it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of_v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => of_v4(high, low),
        // Unique-local.
        [0xfc00..0xfe00, ..] => Space::Private,
        // Protocol assignments with Teredo, documentation.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => Space::Nobodys,
        [0x2000..0x4000, ..] => Space::Public,
        _ => Space::Nobodys,
    }
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostRule {
    is_http: bool,
    host: RuleHost,
    port: u16,
    is_private: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RuleHost {
    Exactly(Host<String>),
    /// What a name must end with, its dot included.
    Below(String),
}

impl HostRule {
    /// Reads an entry of the list of hosts, or of that of private ones.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for whoever wrote the configuration.
    pub fn parse(entry: &str, is_private: bool) -> Result<Self, &'static str> {
        let (scheme, rest) = entry.split_once("://").unwrap_or(("https", entry));
        if !matches!(scheme, "http" | "https") {
            return Err("the scheme is `http` or `https`");
        }
        let (is_wildcard, authority) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if authority.contains(['*', '/', '\\', '?', '#', '@']) || authority.contains(char::is_whitespace) {
            return Err("expected a host, with or without scheme and port, and without a path");
        }
        let url = Url::parse(&format!("{scheme}://{authority}")).map_err(|_| "the host or the port is not valid")?;
        let (Some(host), Some(port)) = (host_of(&url), url.port_or_known_default()) else {
            return Err("the host is missing");
        };
        let host = match (is_wildcard, host) {
            (false, host) => RuleHost::Exactly(host),
            (true, _) if is_private => return Err("a private host is named in full, without `*`"),
            (true, Host::Domain(name)) if name.contains('.') => RuleHost::Below(format!(".{name}")),
            (true, _) => return Err("`*.` stands before a domain of at least two parts"),
        };
        Ok(Self { is_http: scheme == "http", host, port, is_private })
    }

    fn covers_host(&self, host: &Host<String>) -> bool {
        match (&self.host, host) {
            (RuleHost::Exactly(own), host) => own == host,
            (RuleHost::Below(end), Host::Domain(name)) => name.len() > end.len() && name.ends_with(end),
            (RuleHost::Below(_), _) => false,
        }
    }
}

/// Judges a base URL that a client chose: the URL to use, and what may be connected to for it.
///
/// # Errors
///
/// What is wrong with it, for the client.
pub(super) fn check(base_url: &str, rules: &[HostRule]) -> Result<(Url, Reach), String> {
    let mut url = Url::parse(base_url)
        .map_err(|_| "`upstream.base_url` is no URL; expected one such as `https://gateway.example.com/v1`")?;
    let is_http = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err("`upstream.base_url` begins with `https://`".to_owned()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`upstream.base_url` holds no user and no password; the key goes into `upstream.api_key`".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`upstream.base_url` ends with its path, without `?` and `#`".to_owned());
    }
    let (Some(host), Some(port)) = (host_of(&url), url.port_or_known_default()) else {
        return Err("`upstream.base_url` has no host".to_owned());
    };
    let of_host: Vec<_> = rules.iter().filter(|rule| rule.covers_host(&host)).collect();
    if of_host.is_empty() {
        return Err(format!(
            "this server connects to `{host}` for no client; whoever runs it can list the host in \
             `client_upstreams.hosts`"
        ));
    }
    let Some(rule) = of_host.iter().find(|rule| rule.is_http == is_http && rule.port == port) else {
        let allowed: Vec<_> = of_host
            .iter()
            .map(|rule| format!("`{}://` on port {}", if rule.is_http { "http" } else { "https" }, rule.port))
            .collect();
        return Err(format!("this server connects to `{host}` for clients only by {}", allowed.join(" or ")));
    };
    if let Host::Domain(name) = &host {
        // Without the dot at its end, which the name of a certificate does not have. It was valid with it.
        let _ = url.set_host(Some(name));
    }
    Ok((url, if rule.is_private { Reach::Private } else { Reach::Public }))
}

/// Whether a request stays at the place that was judged, whatever was joined to its base URL.
pub(super) fn is_at(request_url: &str, base_url: &str) -> bool {
    match (Url::parse(request_url), Url::parse(base_url)) {
        (Ok(request), Ok(base)) => {
            request.origin() == base.origin() && request.username().is_empty() && request.password().is_none()
        }
        _ => false,
    }
}

/// The host, without the dot that may end a name.
fn host_of(url: &Url) -> Option<Host<String>> {
    Some(match url.host()? {
        Host::Domain(name) => Host::Domain(name.strip_suffix('.').unwrap_or(name).to_owned()),
        host => host.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_address_lies_somewhere() {
        let check = |space: Space, addresses: &str| {
            for address in addresses.split_whitespace() {
                assert_eq!(space_of(address.parse().unwrap()), space, "{address}");
            }
        };
        check(
            Space::Public,
            "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
             169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 \
             198.17.255.255 198.20.0.0 203.0.112.0 223.255.255.255 168.63.129.15",
        );
        check(
            Space::Public,
            "2606:4700::1111 2001:200::1 2001:4860:4860::8888 2400:: 3fff:1000:: ::ffff:8.8.8.8 64:ff9b::8.8.8.8 \
             2002:808:808::1",
        );
        check(
            Space::Private,
            "10.0.0.0 10.255.255.255 127.0.0.1 127.255.255.255 172.16.0.0 172.31.255.255 192.168.0.1 100.64.0.0 \
             100.127.255.255",
        );
        check(
            Space::Private,
            "::1 fc00::1 fdff:ffff::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:192.168.1.1 64:ff9b::10.1.2.3 \
             64:ff9b::7f00:1 2002:7f00:1::1 2002:a00:1:: 2002:c0a8:101::1",
        );
        check(
            Space::Nobodys,
            "0.0.0.0 0.1.2.3 169.254.0.0 169.254.169.254 169.254.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 \
             198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
             100.100.100.200 168.63.129.16",
        );
        check(
            Space::Nobodys,
            ":: ::2 ::127.0.0.1 ::8.8.8.8 fe80::1 febf::1 fec0::1 ff02::1 2001::1 2001:2::1 2001:10::1 2001:1ff::1 \
             2001:db8::1 3fff:fff::1 100::1 5f00::1 64:ff9b:1::8.8.8.8 64:ff9b::1:8.8.8.8 4000::1 fd00:ec2::254 \
             fd20:ce::254 ::ffff:169.254.169.254 ::ffff:0.0.0.0 64:ff9b::169.254.169.254 2002:a9fe:a9fe::1 \
             ::ffff:168.63.129.16 64:ff9b::100.100.100.200",
        );
    }

    fn rules(entries: &str, private: &str) -> Vec<HostRule> {
        let read = |entries: &str, is_private| {
            entries.split_whitespace().map(|entry| HostRule::parse(entry, is_private).unwrap()).collect::<Vec<_>>()
        };
        [read(entries, false), read(private, true)].concat()
    }

    #[test]
    fn listed_places_are_taken_as_the_url_standard_reads_them() {
        let rules = rules(
            "gateway.example.com *.example.org bücher.example http://plain.example:8080 10.1.2.3:8443 \
             http://[fd00::1]:80 http://127.0.0.1:8000 odd.example:8443 odd.example",
            "http://llm.internal inside.example",
        );
        let check = |base_url: &str, expected: &str, reach: Reach| {
            let (url, found) = check(base_url, &rules).unwrap();
            assert_eq!((url.as_str(), found), (expected, reach), "{base_url}");
        };
        for (base_url, expected) in [
            ("https://gateway.example.com/v1", "https://gateway.example.com/v1"),
            ("HTTPS://Gateway.Example.COM./v1/", "https://gateway.example.com/v1/"),
            ("https://gateway.example.com:443", "https://gateway.example.com/"),
            ("https://gateway.example.com\\@evil.example/", "https://gateway.example.com/@evil.example/"),
            ("https://g%61teway.example.com/a/../b", "https://gateway.example.com/b"),
            ("https://a.example.org/v1", "https://a.example.org/v1"),
            ("https://a.b.example.org", "https://a.b.example.org/"),
            ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
            ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
            ("http://plain.example:8080/v1", "http://plain.example:8080/v1"),
            ("https://10.1.2.3:8443/", "https://10.1.2.3:8443/"),
            ("https://0x0a010203:8443/", "https://10.1.2.3:8443/"),
            ("https://012.1.515:8443/", "https://10.1.2.3:8443/"),
            ("http://[FD00:0::1]/", "http://[fd00::1]/"),
            ("http://2130706433:8000/", "http://127.0.0.1:8000/"),
            ("https://odd.example:8443/", "https://odd.example:8443/"),
            ("https://odd.example/", "https://odd.example/"),
        ] {
            check(base_url, expected, Reach::Public);
        }
        check("http://llm.internal/v1", "http://llm.internal/v1", Reach::Private);
        check("https://INSIDE.example./", "https://inside.example/", Reach::Private);
    }

    #[test]
    fn everything_else_is_refused_and_says_why() {
        let rules = rules(
            "gateway.example.com *.example.org http://plain.example:8080 10.1.2.3 odd.example odd.example:8443",
            "",
        );
        let refused = |base_url: &str, why: &str| {
            let error = check(base_url, &rules).unwrap_err();
            assert!(error.contains(why), "{base_url}: {error}");
        };
        for base_url in [
            "https://example.com/",
            "https://example.org/",
            "https://evilexample.org/",
            "https://example.org.evil.example/",
            "https://gateway.example.com.evil.example/",
            "https://evil.example/gateway.example.com",
            "https://evil.example\\.example.org/",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:10.1.2.3]/",
            "https://[64:ff9b::10.1.2.3]/",
            "https://[2002:a01:203::1]/",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://100.64.0.1/",
            "https://192.168.0.1/",
            "https://[fc00::1]/",
            "https://224.0.0.1/",
            "https://0.0.0.0/",
            "https://[::]/",
            "https://203.0.113.1/",
            "https://8.8.8.8/",
        ] {
            refused(base_url, "for no client");
        }
        for base_url in ["", "gateway.example.com/v1", "https://", "https://[fe80::1%25eth0]/", "https://a b/"] {
            refused(base_url, "is no URL");
        }
        for base_url in ["ftp://gateway.example.com", "file:///etc/passwd", "unix:/run/x", "ws://gateway.example.com"] {
            refused(base_url, "begins with `https://`");
        }
        for base_url in ["https://u@gateway.example.com/", "https://:p@gateway.example.com/"] {
            refused(base_url, "no user");
        }
        for base_url in ["https://gateway.example.com/?a", "https://gateway.example.com/#a"] {
            refused(base_url, "without `?`");
        }
        refused("http://gateway.example.com/", "only by `https://` on port 443");
        refused("https://gateway.example.com:8443/", "only by `https://` on port 443");
        refused("https://plain.example:8080/", "only by `http://` on port 8080");
        refused("http://10.1.2.3/", "only by `https://` on port 443");
        refused("https://odd.example:1/", "only by `https://` on port 443 or `https://` on port 8443");
    }

    #[test]
    fn entries_are_checked() {
        for entry in
            ["a.example", "http://a.example", "https://a.example:1", "*.a.example", "[::1]:8", "localhost:8000"]
        {
            assert!(HostRule::parse(entry, false).is_ok(), "{entry}");
        }
        for entry in [
            "",
            "*",
            "*.",
            "*.com",
            "*.10.0.0.1",
            "a.*.example",
            "**.a.example",
            "ftp://a",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "a b",
            "a:99999",
            "http://",
            "[::1",
            "https:a",
            "a.example/",
        ] {
            assert!(HostRule::parse(entry, false).is_err(), "{entry}");
        }
        assert!(HostRule::parse("*.a.example", true).is_err());
        assert_eq!(HostRule::parse("A.example.", false), HostRule::parse("https://a.example:443", false));
    }

    #[test]
    fn a_request_stays_where_its_base_url_is() {
        let base_url = "https://gateway.example.com/v1";
        assert!(is_at("https://gateway.example.com/v1/chat/completions", base_url));
        assert!(is_at("https://gateway.example.com:443/other", base_url));
        for elsewhere in [
            "https://gateway.example.com.evil.example/",
            "https://gateway.example.com@evil.example/",
            "https://key@gateway.example.com/",
            "http://gateway.example.com/",
            "https://gateway.example.com:8443/",
            "/v1",
        ] {
            assert!(!is_at(elsewhere, base_url), "{elsewhere}");
        }
    }
}
