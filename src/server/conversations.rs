//! The HTTP routes of conversations: lists, history, names, and who else may watch.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /v1/conversations?limit=&cursor=` | the client's own, last changed first: `data`, and `next`, the `cursor` of the next page |
//! | `GET /v1/conversations/{id}?after=&limit=` | what was said, oldest first: `data`, and `next`, the `after` of the next page |
//! | `PATCH /v1/conversations/{id}` with `{"title"}` | the conversation as in the list |
//! | `DELETE /v1/conversations/{id}` | 204; what runs in it is cancelled |
//! | `POST /v1/conversations/{id}/share` | `{"token"}`, in place of the one before |
//! | `DELETE /v1/conversations/{id}/share` | 204; who watches with the token is put out |
//!
//! With a `tokenwire-share` header, which has the token, the second one shows a conversation of somebody else's.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, Path, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenwire_protocol::{ConversationId, ErrorCode};
use tokio::time::timeout;

use super::{
    Shared,
    routes::{json_response, unauthenticated},
};
use crate::{
    auth::Principal,
    conversation::{Conversations, MAX_TITLE_CHARS},
};

/// Entries of a page where nothing is said.
const DEFAULT_PAGE: usize = 50;
/// Most entries of a page.
const MAX_PAGE: usize = 200;
/// Most bytes of a request's body: a title, written with as many escapes as it likes.
const MAX_BODY_BYTES: usize = 16 << 10;
/// How long a client has for it.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Carries a share token.
pub(super) const SHARE_HEADER: &str = "tokenwire-share";

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/conversations", get(list))
        .route("/v1/conversations/{id}", get(history).patch(rename).delete(delete))
        .route("/v1/conversations/{id}/share", post(share).delete(unshare))
}

/// Who asks, and for what.
struct Asked {
    principal: Principal,
    query: Option<String>,
    /// The token of somebody else's conversation. In a header, because addresses are logged.
    share: Option<String>,
    /// The conversation; `None` for what cannot be a name, and where there is none in the path.
    id: Option<ConversationId>,
}

impl Asked {
    /// Pages take two numbers; anything else in the query is ignored.
    fn number(&self, name: &str) -> Result<Option<u64>, Refused> {
        let query = self.query.as_deref().unwrap_or_default();
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.parse().map_err(|_| bad_field(name, "expected a number"))).transpose()
    }

    fn limit(&self) -> Result<usize, Refused> {
        match self.number("limit")? {
            None => Ok(DEFAULT_PAGE),
            Some(0) => Err(bad_field("limit", "expected a number that is not 0")),
            Some(limit) => Ok(usize::try_from(limit).map_or(MAX_PAGE, |limit| limit.min(MAX_PAGE))),
        }
    }

    fn id(&self) -> Result<&ConversationId, Refused> {
        self.id.as_ref().ok_or_else(not_found)
    }
}

impl FromRequestParts<Arc<Shared>> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let Ok(principal) = shared.auth.authenticate(&parts.headers) else { return Err(unauthenticated()) };
        let id = Path::<String>::from_request_parts(parts, shared).await.ok();
        let query = parts.uri.query().map(str::to_owned);
        let share = parts.headers.get(SHARE_HEADER).and_then(|token| token.to_str().ok()).map(str::to_owned);
        Ok(Self { principal, query, share, id: id.and_then(|Path(id)| id.parse().ok()) })
    }
}

/// An answer that says what is wrong.
struct Refused(StatusCode, Value);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        json_response(self.0, &json!({"error": self.1}))
    }
}

fn bad_field(field: &str, message: &str) -> Refused {
    let error = json!({"code": ErrorCode::BadField, "message": message, "field": field});
    Refused(StatusCode::BAD_REQUEST, error)
}

fn not_found() -> Refused {
    let error = json!({"code": ErrorCode::ConversationNotFound, "message": "no such conversation is kept here"});
    Refused(StatusCode::NOT_FOUND, error)
}

fn conversations(shared: &Shared) -> &Conversations {
    shared.hub.conversations()
}

async fn list(State(shared): State<Arc<Shared>>, asked: Asked) -> Result<Response, Refused> {
    let (page, next) = conversations(&shared).list(&asked.principal, asked.number("cursor")?, asked.limit()?);
    let data: Vec<_> = page.iter().map(|conversation| conversation.summary()).collect();
    let mut answer = json!({"data": data});
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    Ok(json_response(StatusCode::OK, &answer))
}

async fn history(State(shared): State<Arc<Shared>>, asked: Asked) -> Result<Response, Refused> {
    let (after, limit) = (asked.number("after")?.unwrap_or(0), asked.limit()?);
    let conversation = match &asked.share {
        None => conversations(&shared).get(&asked.principal, asked.id()?),
        Some(token) => conversations(&shared).get_shared(asked.id()?, token),
    };
    let conversation = conversation.ok_or_else(not_found)?;
    Ok(json_response(StatusCode::OK, &conversation.history(after, limit)))
}

async fn rename(State(shared): State<Arc<Shared>>, asked: Asked, request: Request) -> Result<Response, Refused> {
    #[derive(Deserialize)]
    struct Change {
        title: String,
    }
    let body = body(request.into_body()).await?;
    let change: Change =
        serde_json::from_slice(&body).map_err(|_| bad_field("title", "expected an object with a string `title`"))?;
    let title = change.title.trim();
    if title.is_empty() || title.chars().count() > MAX_TITLE_CHARS {
        return Err(bad_field("title", &format!("a title has 1 to {MAX_TITLE_CHARS} characters")));
    }
    let renamed = conversations(&shared).rename(&asked.principal, asked.id()?, title.to_owned());
    Ok(json_response(StatusCode::OK, &renamed.ok_or_else(not_found)?.summary()))
}

async fn body(body: Body) -> Result<bytes::Bytes, Refused> {
    match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        _ => Err(bad_field("title", "the body is too long, or did not come")),
    }
}

async fn delete(State(shared): State<Arc<Shared>>, asked: Asked) -> Result<StatusCode, Refused> {
    done(conversations(&shared).delete(&asked.principal, asked.id()?))
}

async fn share(State(shared): State<Arc<Shared>>, asked: Asked) -> Result<Response, Refused> {
    let token = conversations(&shared).share(&asked.principal, asked.id()?).ok_or_else(not_found)?;
    Ok(json_response(StatusCode::OK, &json!({"token": token})))
}

async fn unshare(State(shared): State<Arc<Shared>>, asked: Asked) -> Result<StatusCode, Refused> {
    done(conversations(&shared).unshare(&asked.principal, asked.id()?))
}

fn done(was_there: bool) -> Result<StatusCode, Refused> {
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}
