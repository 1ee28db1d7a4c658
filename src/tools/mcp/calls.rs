//! The calls that run on one connection: their progress, their cancellation, and their end with the connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam, ClientConfig,
        ClientRequest, Implementation, ProgressNotificationParam, ProgressToken, RequestId, ServerResult,
    },
    service::{NotificationContext, PeerRequestOptions, RequestHandle, ServiceError},
};
use tokio::{
    sync::{Notify, watch},
    task::coop::unconstrained,
    time::timeout,
};

use crate::tools::ToolCallContext;

/// A connection that is up.
#[derive(Clone)]
pub(super) struct Connection {
    pub peer: Peer<RoleClient>,
    pub events: Arc<Events>,
    /// Why the connection is gone, as soon as it is.
    pub gone: watch::Receiver<Option<Arc<str>>>,
}

/// What a server says without being asked.
#[derive(Default)]
pub(super) struct Events {
    /// Its list of tools has changed, or it seems to be lost: the list is to be asked for.
    pub look: Notify,
    running: Mutex<HashMap<ProgressToken, ToolCallContext>>,
}

impl Events {
    fn running(&self) -> MutexGuard<'_, HashMap<ProgressToken, ToolCallContext>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a call that fails with its connection waits for the reason.
const REASON_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a call has no result.
pub(super) enum CallError {
    /// The server says so.
    Told(String),
    /// The server cannot be reached any more. The text says why.
    Lost(String),
}

impl Connection {
    /// Runs a call. Dropping the future tells the server that nobody waits any more.
    pub async fn call(&self, params: CallToolRequestParams, call: &ToolCallContext) -> Result<ServerResult, CallError> {
        let mut running = self.begin(params, call)?;
        let mut gone = self.gone.clone();
        let answer = tokio::select! {
            answer = &mut running.handle.rx => answer.unwrap_or(Err(ServiceError::TransportClosed)),
            _ = gone.wait_for(Option::is_some) => Err(ServiceError::TransportClosed),
        };
        running.is_over = true;
        match answer {
            Ok(answer) => Ok(answer),
            Err(ServiceError::McpError(error)) => Err(CallError::Told(error.message.into_owned())),
            Err(ServiceError::TransportSend(_) | ServiceError::TransportClosed) => {
                Err(CallError::Lost(self.why_lost().await))
            }
            Err(ServiceError::Cancelled { .. }) => {
                Err(CallError::Told("the tool's server cancelled the call".to_owned()))
            }
            Err(error) => Err(CallError::Told(error.to_string())),
        }
    }

    /// Why the connection is lost, which the server's task finds out.
    async fn why_lost(&self) -> String {
        self.events.look.notify_one();
        let mut gone = self.gone.clone();
        match timeout(REASON_TIMEOUT, gone.wait_for(Option::is_some)).await {
            Ok(Ok(reason)) => reason.as_deref().unwrap_or_default().to_owned(),
            _ => "the connection broke off".to_owned(),
        }
    }

    fn begin(&self, params: CallToolRequestParams, call: &ToolCallContext) -> Result<Running<'_>, CallError> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        // Progress may come as soon as the request is in the queue: the call is in the list before anybody can
        // look. Only a queue that is full would have to be waited for.
        let mut running = self.events.running();
        let sent = self.peer.send_request_with_option(request, PeerRequestOptions::no_options());
        match unconstrained(sent).now_or_never() {
            Some(Ok(handle)) => {
                running.insert(handle.progress_token.clone(), call.clone());
                Ok(Running { connection: self, handle, is_over: false })
            }
            Some(Err(_)) => Err(CallError::Lost("the connection was closed".to_owned())),
            None => Err(CallError::Told("the tool's server has too many calls waiting".to_owned())),
        }
    }

    /// Tells the server that nobody waits for an answer. It is only put into the queue: nobody waits for this, either.
    fn cancel(&self, request: RequestId) {
        let params = CancelledNotificationParam::new(Some(request), Some("nobody waits for it any more".to_owned()));
        let sent = self.peer.send_notification(CancelledNotification::new(params).into());
        let _ = unconstrained(sent).now_or_never();
    }
}

/// A call that runs. When it is dropped before it is over, it is cancelled.
struct Running<'a> {
    connection: &'a Connection,
    handle: RequestHandle<RoleClient>,
    is_over: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.connection.events.running().remove(&self.handle.progress_token);
        if !self.is_over {
            self.connection.cancel(self.handle.id.clone());
        }
    }
}

/// Tokenwire as its servers see it: it samples nothing, has no roots and declines to ask anybody.
pub(super) struct Handler(pub Arc<Events>);

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let implementation = Implementation::new("tokenwire", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(Default::default(), implementation)
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let call = self.0.running().get(&params.progress_token).cloned();
        if let Some(call) = call {
            call.progress(Some(params.progress), params.total, params.message);
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.look.notify_one();
    }
}
