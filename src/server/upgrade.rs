//! From an HTTP request to a session.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use tokenwire_protocol::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::server::create_response_with_body, protocol::Role},
};

use super::{Shared, workers::Place};
use crate::{
    auth::{Unauthenticated, subprotocols},
    dialect::{Dialect, ai_sdk},
    session::{self, Shutdown},
};

/// `GET /v1/stream`: the protocol of this project.
pub(super) async fn native(
    State(shared): State<Arc<Shared>>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Response {
    upgrade(shared, place, request, async |_, _| Dialect::Native).await
}

/// `GET /v1/ai-sdk`: the AI SDK's `WebSocketChatTransport`. `?model=` names the model of requests that name none.
pub(super) async fn ai_sdk(
    State(shared): State<Arc<Shared>>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Response {
    let settings = async |shared: &Shared, query: &str| {
        let asked = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "model");
        let model = match asked {
            Some((_, model)) => model.into_owned(),
            None => default_model(shared).await,
        };
        Dialect::AiSdk(ai_sdk::Settings { model, abort: shared.config.ai_sdk.abort })
    };
    upgrade(shared, place, request, settings).await
}

/// The model of requests that name none.
async fn default_model(shared: &Shared) -> String {
    let configured = &shared.config.ai_sdk.model;
    if !configured.is_empty() {
        return configured.clone();
    }
    if let Some(route) = shared.hub.routes().next() {
        return route.to_owned();
    }
    let models = shared.models.models().await;
    let real = models.iter().find(|model| model.provider != "demo");
    real.map_or_else(|| "demo/markdown".to_owned(), |model| format!("{}/{}", model.provider, model.name))
}

/// Checks everything while an HTTP answer is still possible, then switches protocols.
async fn upgrade(
    shared: Arc<Shared>,
    place: Place,
    mut request: Request,
    dialect: impl AsyncFnOnce(&Shared, &str) -> Dialect,
) -> Response {
    let principal = match shared.auth.authenticate(request.headers()) {
        Ok(principal) => principal,
        Err(Unauthenticated) => return super::routes::unauthenticated(),
    };
    if *shared.shutdown.borrow() != Shutdown::No {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down\n").into_response();
    }
    // Taken before the answer, so that the limit holds also while handshakes are under way.
    let Some(permit) = Permit::take(&shared) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server has as many connections as it may\n").into_response();
    };
    let mut response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            let message = format!("this is a WebSocket endpoint: {error}\n");
            let upgrade = [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")];
            return (StatusCode::UPGRADE_REQUIRED, upgrade, message).into_response();
        }
    };
    if subprotocols(request.headers()).any(|name| name == SUBPROTOCOL) {
        // Only this one is echoed, never one that carries a key.
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let dialect = dialect(&shared, request.uri().query().unwrap_or_default()).await;
    let max_frame_bytes = match dialect {
        Dialect::Native => shared.config.limits.max_frame_bytes,
        Dialect::AiSdk(_) => shared.config.ai_sdk.max_frame_bytes,
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _counted = (place, permit);
        let Ok(upgraded) = upgrade.await else { return };
        // The bare socket: nothing of HTTP stays in the way of a token, or in memory.
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
        let config = session::websocket_config(max_frame_bytes);
        // Copied, since it is mostly empty and lies in HTTP's read buffer, which has 8 KiB.
        let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
        drop(parts.read_buf);
        let socket = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        let shutdown = shared.shutdown.subscribe();
        session::run(socket, shared.hub.clone(), principal, dialect, shutdown).await;
    });
    response
}

/// One of the WebSockets that are allowed at once.
struct Permit(Arc<Shared>);

impl Permit {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let limit = shared.config.limits.max_connections as usize;
        let taken = shared
            .sockets
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < limit).then_some(open + 1));
        taken.is_ok().then(|| Self(shared.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
