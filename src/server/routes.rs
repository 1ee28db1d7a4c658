//! The HTTP routes.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokenwire_protocol::message::ToolFunction;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{Shared, conversations, devices, files, upgrade};
use crate::{
    provider::Model,
    session::Shutdown,
    tools::{ServerTool, mcp::McpStatus},
};

/// What a page of this server may load and reach: itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let for_pages = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/tools", get(tools))
        .merge(conversations::routes())
        .merge(devices::routes())
        .layer(cors());
    Router::new()
        .route("/v1/stream", get(upgrade::native))
        .route("/v1/ai-sdk", get(upgrade::ai_sdk))
        .merge(for_pages)
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(files::routes())
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// Lets pages of other origins read the answers: of those that `guard`, which comes first, has let in. A browser adds nothing
/// to their requests by itself, since the server knows no cookies.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static(conversations::SHARE_HEADER),
        ])
        .max_age(Duration::from_secs(600))
}

/// Checks `Host` and `Origin` of every request, and adds the headers that every answer has.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if let Err(forbidden) = shared.origins.check(request.headers()) {
        return (StatusCode::FORBIDDEN, format!("{}\n", forbidden.message())).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The routes, and the models that are known by name, in the shape of the OpenAI API. Others may work, too.
async fn models(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.auth.authenticate(request.headers()).is_err() {
        return unauthenticated();
    }
    let routes = shared
        .hub
        .routes()
        .map(|name| json!({"id": name, "object": "model", "created": 0, "owned_by": "tokenwire", "source": "route"}));
    let models: Vec<_> = routes.chain(shared.models.models().await.iter().map(model_entry)).collect();
    json_response(StatusCode::OK, &json!({"object": "list", "data": models}))
}

fn model_entry(model: &Model) -> serde_json::Value {
    let Model { provider, name, source } = model;
    json!({
        "id": format!("{provider}/{name}"), "object": "model", "created": 0, "owned_by": provider,
        "provider": provider, "source": source.as_str(),
    })
}

/// The tools that the server runs itself, and how the MCP servers are that some of them belong to.
async fn tools(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.auth.authenticate(request.headers()).is_err() {
        return unauthenticated();
    }
    let tools: Vec<_> = shared.hub.toolbox().all().iter().map(|tool| tool_entry(&**tool)).collect();
    let servers: Vec<_> = shared.mcp.status().iter().map(server_entry).collect();
    json_response(StatusCode::OK, &json!({"object": "list", "data": tools, "servers": servers}))
}

fn tool_entry(tool: &dyn ServerTool) -> serde_json::Value {
    let ToolFunction { name, description, parameters, .. } = tool.function();
    let mut entry = json!({
        "name": name, "description": description, "parameters": parameters, "approval": tool.approval().as_str(),
        "source": if tool.server().is_some() { "mcp" } else { "function" },
        "offer": if tool.is_offered() { "always" } else { "when_named" },
    });
    if let Some(server) = tool.server() {
        entry["server"] = server.into();
    }
    entry
}

fn server_entry(status: &McpStatus) -> serde_json::Value {
    let McpStatus { name, transport, state, reason, tools } = status;
    let mut entry = json!({"name": name, "transport": transport, "state": state, "tools": tools});
    if let Some(reason) = reason {
        entry["reason"] = reason.as_str().into();
    }
    entry
}

/// Whether new work should be sent here.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match *shared.shutdown.borrow() {
        Shutdown::No => "ready\n".into_response(),
        Shutdown::Draining | Shutdown::Closing => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response(),
    }
}

pub(super) fn unauthenticated() -> Response {
    let body = json!({"error": {
        "code": "unauthenticated",
        "message": "a key is needed: `Authorization: Bearer KEY`, or the WebSocket subprotocol `tokenwire.bearer.KEY`",
    }});
    let mut response = json_response(StatusCode::UNAUTHORIZED, &body);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub(super) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
