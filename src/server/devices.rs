//! Opening a page of this server on another device: where it is reached from there, and a link to be photographed.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /v1/addresses` | `listen`, and `data`: URLs under which other devices may reach this server, as far as it knows; none when it listens on loopback |
//! | `POST /v1/qr` with a text | the text as a QR code, in SVG |
//!
//! The text of a QR code is a link that may hold a key. It comes in the body, and is neither logged nor kept.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use qrcode::{EcLevel, QrCode, render::svg};
use serde_json::json;
use tokenwire_protocol::ErrorCode;
use tokio::time::timeout;

use super::{
    Shared,
    routes::{json_response, unauthenticated},
};

/// Most bytes of a text. More would make a code that a phone has trouble to read.
const MAX_TEXT_BYTES: usize = 1024;
/// How long a client has for it.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Where a packet leaves by the same way as those to the rest of the world. It stands in documents only, and none is sent.
const ELSEWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/addresses", get(addresses)).route("/v1/qr", post(qr))
}

async fn addresses(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.auth.authenticate(request.headers()).is_err() {
        return unauthenticated();
    }
    let urls: Vec<_> = reachable(shared.address).iter().map(|address| format!("http://{address}")).collect();
    json_response(StatusCode::OK, &json!({"listen": shared.address.to_string(), "data": urls}))
}

/// Where other devices may reach who listens on `address`.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let ip = address.ip().to_canonical();
    if ip.is_loopback() {
        return Vec::new();
    }
    if !ip.is_unspecified() {
        return vec![address];
    }
    let families = ELSEWHERE.iter().filter(|elsewhere| elsewhere.is_ipv4() || address.is_ipv6());
    let ips = families.filter_map(|elsewhere| address_towards(*elsewhere));
    ips.filter(|ip| !ip.is_loopback()).map(|ip| SocketAddr::new(ip, address.port())).collect()
}

/// The address of this machine that a packet to `elsewhere` would have.
fn address_towards(elsewhere: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if elsewhere.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Chooses the way, and sends nothing.
    socket.connect(elsewhere).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

async fn qr(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.auth.authenticate(request.headers()).is_err() {
        return unauthenticated();
    }
    let body = timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_TEXT_BYTES)).await;
    let code = match &body {
        Ok(Ok(text)) if !text.is_empty() => QrCode::with_error_correction_level(text, EcLevel::M).ok(),
        _ => None,
    };
    let Some(code) = code else {
        let message = format!("expected a text of 1 to {MAX_TEXT_BYTES} bytes as the body");
        return json_response(
            StatusCode::BAD_REQUEST,
            &json!({"error": {"code": ErrorCode::BadField, "message": message}}),
        );
    };
    // Black on white, also on a dark page: not every reader takes the opposite.
    let image = code.render::<svg::Color<'_>>().module_dimensions(8, 8).build();
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-store")], image).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_nowhere_and_an_address_as_itself() {
        assert_eq!(reachable(([127, 0, 0, 1], 8080).into()), []);
        assert_eq!(reachable("[::1]:8080".parse().unwrap()), []);
        assert_eq!(reachable("[::ffff:127.0.0.1]:8080".parse().unwrap()), []);
        let address = SocketAddr::from(([192, 0, 2, 7], 8080));
        assert_eq!(reachable(address), [address]);
        for address in reachable(([0, 0, 0, 0], 8080).into()) {
            assert!(!address.ip().is_unspecified() && !address.ip().is_loopback() && address.port() == 8080);
        }
    }
}
