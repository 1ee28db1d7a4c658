//! A tool of an MCP server.

use std::{sync::Arc, time::Duration};

use rmcp::model::{self, CallToolRequestParams};
use serde_json::Value;
use tokenwire_protocol::message::{Content, ToolFunction};
use tokio::time::timeout;

use super::{calls::CallError, content, server::Link};
use crate::{
    config::McpOffer,
    provider::BoxFuture,
    tools::{ApprovalPolicy, ServerTool, ToolCallContext, ToolError},
};

pub(super) struct McpTool {
    pub function: ToolFunction,
    /// What the server calls it.
    pub own_name: String,
    pub approval: ApprovalPolicy,
    pub offer: McpOffer,
    pub timeout: Duration,
    pub link: Arc<Link>,
}

/// What the model is told about a server's tool.
pub(super) fn function(name: String, tool: &model::Tool) -> ToolFunction {
    ToolFunction {
        name,
        description: tool.description.as_deref().or(tool.title.as_deref()).map(str::to_owned),
        parameters: Some(Value::Object((*tool.input_schema).clone())),
        strict: None,
    }
}

impl ServerTool for McpTool {
    fn function(&self) -> &ToolFunction {
        &self.function
    }

    fn approval(&self) -> ApprovalPolicy {
        self.approval
    }

    fn is_offered(&self) -> bool {
        self.offer == McpOffer::Always
    }

    fn server(&self) -> Option<&str> {
        Some(&self.link.server)
    }

    fn call<'a>(&'a self, call: &'a ToolCallContext, arguments: Value) -> BoxFuture<'a, Result<Content, ToolError>> {
        Box::pin(async move {
            let mut params = CallToolRequestParams::new(self.own_name.clone());
            match arguments {
                Value::Object(arguments) => params = params.with_arguments(arguments),
                Value::Null => {}
                _ => return Err(ToolError("the arguments do not fit: expected an object".into())),
            }
            // The server is told when the time is over: that drops the call.
            timeout(self.timeout, self.run(params, call)).await.unwrap_or_else(|_| {
                Err(ToolError(format!("the tool did not answer within {} s", self.timeout.as_secs()).into()))
            })
        })
    }
}

impl McpTool {
    async fn run(&self, params: CallToolRequestParams, call: &ToolCallContext) -> Result<Content, ToolError> {
        let lost =
            |reason: &str| ToolError(format!("the tool's server `{}` is lost: {reason}", self.link.server).into());
        let connection = self.link.connection().await.map_err(|reason| lost(&reason))?;
        match connection.call(params, call).await {
            Ok(answer) => content::result(answer),
            Err(CallError::Told(message)) => Err(ToolError(message.into())),
            Err(CallError::Lost(reason)) => Err(lost(&reason)),
        }
    }
}
