//! The application's word on tool calls.

use std::{future::Future, sync::Arc};

use serde_json::Value;

use super::ToolCallContext;
use crate::provider::BoxFuture;

/// A tool call before anything is done about it, as the function given to
/// [`ServerBuilder::approve`](crate::server::ServerBuilder::approve) sees it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProposedCall {
    /// What it is a part of, and whose.
    pub context: ToolCallContext,
    /// The tool, as the model knows it.
    pub name: String,
    /// What the model wrote, or a client in its place. Fits no schema for sure.
    pub arguments: Value,
    /// Whether the server runs the tool. Otherwise a client does.
    pub is_served: bool,
    /// The MCP server that the tool belongs to.
    pub server: Option<String>,
    /// Whether a person is asked when this function says nothing.
    pub is_asked: bool,
}

/// What the application says about a tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: a person is asked where the tool, the configuration or the start wants that.
    #[default]
    Abstain,
    /// It is carried out, also where the tool or the configuration wants a person asked. What a start wants asked is
    /// still asked.
    Allow,
    /// A person is asked, wherever the call comes from.
    Ask,
    /// It is not carried out, and the model is told so, with the reason where there is one.
    Deny(Option<String>),
}

impl Verdict {
    /// A denial with its reason, in words for the model.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny(Some(reason.into()))
    }
}

/// The application's function.
#[derive(Clone)]
pub(crate) struct Approver(Arc<Function>);

type Function = dyn Fn(ProposedCall) -> BoxFuture<'static, Verdict> + Send + Sync;

impl Approver {
    pub fn new<F, O>(approve: F) -> Self
    where
        F: Fn(ProposedCall) -> O + Send + Sync + 'static,
        O: Future<Output = Verdict> + Send + 'static,
    {
        Self(Arc::new(move |call| Box::pin(approve(call))))
    }

    /// What it says about a call.
    pub fn judge(&self, call: ProposedCall) -> BoxFuture<'static, Verdict> {
        (self.0)(call)
    }
}
