//! AWS's Signature Version 4.
//!
//! What is signed is exactly what is sent: the method, the path and query as they stand in the URL, the
//! headers that are named in the signature, and the hash of the body. All services but S3 want the path
//! encoded once more for the signature.

use std::{borrow::Cow, fmt::Write as _, time::SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use sha2::{Digest, Sha256};
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{super::HttpRequest, Keys, time};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What stands for itself in a path, besides the slashes between its parts.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
}

/// Signs a request: adds `authorization`, `x-amz-date`, and for temporary keys `x-amz-security-token`.
///
/// # Errors
///
/// [`ErrorCode::Internal`] for a URL that is none.
pub(super) fn sign(request: &mut HttpRequest, keys: &Keys, scope: Scope<'_>, now: SystemTime) -> Result<(), ErrorInfo> {
    let url = Url::parse(&request.url)
        .map_err(|_| ErrorInfo::new(ErrorCode::Internal, "the base URL configured for this provider is not a URL"))?;
    let time = time::stamp(now);
    request.set_header("x-amz-date", time.as_str());
    if let Some(token) = &keys.token {
        request.set_header("x-amz-security-token", token.expose());
    }
    let mut headers: Vec<(&str, Cow<'_, str>)> = vec![("host", host(&url).into())];
    headers.extend(request.headers.iter().filter_map(|(name, value)| {
        let is_signed = name == "content-type" || name.starts_with("x-amz-");
        is_signed.then(|| (name.as_ref(), value.trim().into()))
    }));
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");

    let mut canonical = format!(
        "{method}\n{path}\n{query}\n",
        method = if request.body.is_empty() { "GET" } else { "POST" },
        path = utf8_percent_encode(url.path(), UNRESERVED),
        query = sorted(url.query().unwrap_or_default()),
    );
    for (name, value) in &headers {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{names}\n{}", hex(&Sha256::digest(&request.body)));

    let (date, Scope { region, service }) = (&time[..8], scope);
    let credential = format!("{date}/{region}/{service}/aws4_request");
    let signed = format!("{ALGORITHM}\n{time}\n{credential}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = hash(format!("AWS4{}", keys.secret.expose()).as_bytes(), date);
    for part in [region, service, "aws4_request"] {
        key = hash(&key, part);
    }
    let signature = hex(&hash(&key, &signed));
    let id = &keys.id;
    let authorization =
        format!("{ALGORITHM} Credential={id}/{credential}, SignedHeaders={names}, Signature={signature}");
    request.set_header("authorization", authorization);
    Ok(())
}

/// The `host` header as it is sent: with the port, unless it is the scheme's own.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn sorted(query: &str) -> String {
    let mut pairs: Vec<Cow<'_, str>> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.into() } else { format!("{pair}=").into() })
        .collect();
    // By name, then by value. `=` sorts after digits, so whole pairs would not do.
    pairs.sort_by(|one, other| one.split_once('=').cmp(&other.split_once('=')));
    pairs.join("&")
}

fn hash(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is accepted.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::provider::Secret;

    /// 2015-08-30 12:36:00, the time of AWS's published examples.
    const NOW: u64 = 1_440_938_160;

    fn keys(token: Option<&str>) -> Keys {
        Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: token.map(Secret::new),
            expires_at: None,
        }
    }

    #[track_caller]
    fn check(
        url: &str,
        headers: &[(&'static str, &str)],
        body: &str,
        token: Option<&str>,
        scope: Scope<'_>,
        expected: &str,
    ) {
        let headers = headers.iter().map(|&(name, value)| (name.into(), value.to_owned())).collect();
        let mut request = HttpRequest { url: url.to_owned(), headers, body: body.into(), warnings: Vec::new() };
        sign(&mut request, &keys(token), scope, UNIX_EPOCH + Duration::from_secs(NOW)).unwrap();
        let header =
            |name: &str| request.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!(header("x-amz-date"), Some("20150830T123600Z"));
        assert_eq!(header("x-amz-security-token"), token);
        let Scope { region, service } = scope;
        let names = match (body.is_empty(), token) {
            (true, None) => "host;x-amz-date",
            (true, Some(_)) => "host;x-amz-date;x-amz-security-token",
            (false, None) => "content-type;host;x-amz-date",
            (false, Some(_)) => "content-type;host;x-amz-date;x-amz-security-token",
        };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{region}/{service}/aws4_request, \
             SignedHeaders={names}, Signature={expected}"
        );
        assert_eq!(header("authorization"), Some(&*authorization));
    }

    /// From AWS's published test suite for Signature Version 4.
    #[test]
    fn published_examples() {
        let scope = Scope { region: "us-east-1", service: "service" };
        let letters = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for (query, expected) in [
            ("", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
            ("?ሴ=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
            (&format!("?{letters}={letters}"), "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        ] {
            check(&format!("https://example.amazonaws.com/{query}"), &[], "", None, scope, expected);
        }
        let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let expected = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8";
        check("https://example.amazonaws.com/", &[], "", Some(token), scope, expected);
    }

    /// The signatures were made by AWS's SDK for Python.
    #[test]
    fn encoded_paths_ports_and_bodies() {
        let scope = Scope { region: "eu-central-1", service: "bedrock" };
        let headers = [("content-type", "application/json"), ("accept", "x/y")];
        check(
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/\
             anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse-stream",
            &headers,
            "{}",
            None,
            scope,
            "43a1ee088dabd2244e908cfaac19efbdf7e925341b0f83fa5194efaafb18a964",
        );
        check(
            "http://127.0.0.1:8080/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3A\
             inference-profile%2Feu.x-v1%3A0/converse-stream?b=2&a=1",
            &headers,
            r#"{"a":1}"#,
            Some("TOKEN"),
            scope,
            "f999d76dccc1100d3f47256dd650305262f6835f029aebb77fbf934e9f1786eb",
        );
    }
}
