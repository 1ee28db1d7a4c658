//! Files that are part of the binary: the playground and the documents of the protocol.

use axum::{Router, http::header, routing::get};
use tokenwire_protocol::documents;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Route, content type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/app.css", CSS, include_str!("page/app.css")),
    ("/favicon.svg", "image/svg+xml", include_str!("page/favicon.svg")),
    ("/app.js", JS, include_str!("page/app.js")),
    ("/answer.js", JS, include_str!("page/answer.js")),
    ("/api.js", JS, include_str!("page/api.js")),
    ("/chat.js", JS, include_str!("page/chat.js")),
    ("/conversation.js", JS, include_str!("page/conversation.js")),
    ("/dom.js", JS, include_str!("page/dom.js")),
    ("/events.js", JS, include_str!("page/events.js")),
    ("/inspector.js", JS, include_str!("page/inspector.js")),
    ("/list.js", JS, include_str!("page/list.js")),
    ("/markdown.js", JS, include_str!("page/markdown.js")),
    ("/models.js", JS, include_str!("page/models.js")),
    ("/settings.js", JS, include_str!("page/settings.js")),
    ("/share.js", JS, include_str!("page/share.js")),
    ("/thread.js", JS, include_str!("page/thread.js")),
    ("/wire.js", JS, include_str!("page/wire.js")),
    ("/protocol/specification.md", "text/markdown; charset=utf-8", documents::SPECIFICATION),
    ("/protocol/schema/tokenwire.schema.json", "application/schema+json", documents::JSON_SCHEMA),
    ("/protocol/asyncapi.json", "application/json", documents::ASYNCAPI),
    ("/protocol/tokenwire.d.ts", "text/plain; charset=utf-8", documents::TYPESCRIPT),
];

/// A route for each file. A browser asks again each time, so that page and server always fit.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, &(route, content_type, content)| {
        let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")];
        router.route(route, get(move || async move { (headers, content) }))
    })
}
