//! Tools that the server runs itself, for every client: functions of the application, and those of MCP servers.
//!
//! A generation whose model calls one of them runs it and goes on, without a client having to answer. What it
//! answered stands in the log as a `tool_result` event.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokenwire_protocol::{
    GenerationId, ToolProgress,
    message::{Content, Tool, ToolFunction},
};
use tokio::sync::mpsc;

use crate::{auth::Principal, provider::BoxFuture};

mod approve;
mod function;
pub(crate) mod mcp;
pub(crate) mod progress;

pub(crate) use approve::Approver;
pub use approve::{ProposedCall, Verdict};
pub use function::{FunctionTool, IntoContent, tool};
use progress::Progress;

/// A tool that the server runs.
pub trait ServerTool: Send + Sync + 'static {
    /// What the model is told about it. The name is unique among the server's tools.
    fn function(&self) -> &ToolFunction;

    /// Whether its calls must be approved by a client, as `GET /v1/tools` tells it. Default: never.
    fn approval(&self) -> ApprovalPolicy {
        ApprovalPolicy::Never
    }

    /// Whether this call must be approved by a client before it runs. Default: what [`approval`](Self::approval)
    /// says; a tool whose policy is [`ApprovalPolicy::When`] decides here.
    fn needs_approval(&self, call: &ToolCallContext, arguments: &Value) -> bool {
        let _ = (call, arguments);
        self.approval() != ApprovalPolicy::Never
    }

    /// Whether a start that names none of the server's tools offers it. Default: true.
    fn is_offered(&self) -> bool {
        true
    }

    /// The MCP server that it belongs to. Default: none, it is the application's.
    fn server(&self) -> Option<&str> {
        None
    }

    /// Runs one call. `arguments` is what the model wrote, and fits no schema for sure.
    ///
    /// The future is dropped when the generation is cancelled or the call takes longer than the generation's
    /// `tool_ms`: what it holds must end with it.
    ///
    /// # Errors
    ///
    /// What the model is told in place of a result.
    fn call<'a>(&'a self, call: &'a ToolCallContext, arguments: Value) -> BoxFuture<'a, Result<Content, ToolError>>;
}

/// Whether the calls of a tool must be approved by a client before they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApprovalPolicy {
    /// None.
    #[default]
    Never,
    /// Every one.
    Always,
    /// The tool decides on each.
    When,
}

impl ApprovalPolicy {
    /// As in the configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::When => "when",
        }
    }
}

/// What a call is a part of.
#[derive(Clone, Debug)]
pub struct ToolCallContext {
    /// The generation.
    pub generation: GenerationId,
    /// Who owns it.
    pub principal: Principal,
    /// The `metadata` of its start.
    pub metadata: Arc<Map<String, Value>>,
    /// The call.
    pub call_id: Arc<str>,
    /// Where progress goes.
    pub(crate) progress: Progress,
}

impl ToolCallContext {
    /// A call of a principal without metadata, and where its progress arrives: for tests of a tool.
    pub fn new(
        generation: GenerationId,
        principal: Principal,
        call_id: impl Into<Arc<str>>,
    ) -> (Self, mpsc::Receiver<ToolProgress>) {
        let (progress, reports) = progress::channel();
        let progress = Progress::new(progress);
        (Self { generation, principal, metadata: Arc::default(), call_id: call_id.into(), progress }, reports)
    }

    /// Tells the clients how far the call is: a `tool_progress` event. What is told too often is dropped: more than
    /// 100 times at once and then 10 times in a second. Of the message, 1,024 bytes are kept.
    pub fn progress(&self, progress: Option<f64>, total: Option<f64>, message: Option<String>) {
        let call_id = self.call_id.clone();
        self.progress.tell(ToolProgress { call_id, progress, total, message });
    }
}

/// What the model is told in place of a result: mostly why there is none, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolError(pub Content);

impl<E: std::error::Error> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self(error.to_string().into())
    }
}

/// Where the server's tools come from. What it has may change while the server runs.
pub trait ToolSource: Send + Sync + 'static {
    /// The tools that are there now.
    fn tools(&self) -> Vec<Arc<dyn ServerTool>>;
}

/// The server's tools: those of the application, and those of each source.
#[derive(Clone, Default)]
pub struct Toolbox {
    own: Vec<Arc<dyn ServerTool>>,
    sources: Vec<Arc<dyn ToolSource>>,
    approver: Option<Approver>,
}

impl Toolbox {
    /// Adds a tool.
    pub fn add(&mut self, tool: impl ServerTool) {
        self.own.push(Arc::new(tool));
    }

    /// Adds a source.
    pub fn add_source(&mut self, source: Arc<dyn ToolSource>) {
        self.sources.push(source);
    }

    /// Sets the application's word on tool calls.
    pub(crate) fn set_approver(&mut self, approver: Approver) {
        self.approver = Some(approver);
    }

    pub(crate) fn approver(&self) -> Option<&Approver> {
        self.approver.as_ref()
    }

    /// The tools that are there now. Of two with one name the first counts.
    pub fn all(&self) -> Vec<Arc<dyn ServerTool>> {
        let mut all: Vec<Arc<dyn ServerTool>> = Vec::new();
        for tool in self.own.iter().cloned().chain(self.sources.iter().flat_map(|source| source.tools())) {
            if all.iter().all(|other| other.function().name != tool.function().name) {
                all.push(tool);
            }
        }
        all
    }

    /// Those of them that one of `names` names; `*` at the end of a name stands for any rest. `None` names those that
    /// are [offered](ServerTool::is_offered) without being named.
    pub fn choose(&self, names: Option<&[String]>) -> Vec<Arc<dyn ServerTool>> {
        let mut tools = self.all();
        tools.retain(|tool| match names {
            Some(patterns) => patterns.iter().any(|pattern| fits(pattern, &tool.function().name)),
            None => tool.is_offered(),
        });
        tools
    }
}

/// Whether `pattern` names the tool: it is its name, or the beginning of it and a `*`.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// A server's tool as a request carries it.
pub(crate) fn offered(tool: &dyn ServerTool) -> Tool {
    Tool { kind: "function".to_owned(), function: tool.function().clone(), cache_control: None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Two;

    impl ToolSource for Two {
        fn tools(&self) -> Vec<Arc<dyn ServerTool>> {
            vec![Arc::new(named("files_read", "theirs")), Arc::new(named("files_write", "theirs"))]
        }
    }

    fn named(name: &str, description: &str) -> impl ServerTool {
        tool(name, description, async |_: Value, _| Ok("done"))
    }

    #[track_caller]
    fn check(names: Option<&[&str]>, expected: &[&str]) {
        let mut toolbox = Toolbox::default();
        toolbox.add(named("weather", "ours"));
        toolbox.add(named("files_read", "ours"));
        toolbox.add_source(Arc::new(Two));
        let names: Option<Vec<String>> = names.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let chosen = toolbox.choose(names.as_deref());
        let chosen: Vec<&str> = chosen.iter().map(|tool| tool.function().name.as_str()).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn tools_are_chosen_by_name() {
        check(None, &["weather", "files_read", "files_write"]);
        check(Some(&[]), &[]);
        check(Some(&["*"]), &["weather", "files_read", "files_write"]);
        check(Some(&["files_*"]), &["files_read", "files_write"]);
        check(Some(&["files_write", "weather", "weather"]), &["weather", "files_write"]);
        check(Some(&["files_", "we*r", "Weather"]), &[]);
    }

    #[test]
    fn of_two_tools_with_one_name_the_applications_counts() {
        let mut toolbox = Toolbox::default();
        toolbox.add_source(Arc::new(Two));
        toolbox.add(named("files_read", "ours"));
        let chosen = toolbox.choose(Some(&["files_read".to_owned()]));
        assert_eq!(chosen.len(), 1);
        assert_eq!(chosen[0].function().description.as_deref(), Some("ours"));
    }

    #[tokio::test]
    async fn progress_that_nobody_takes_is_dropped() {
        let (call, mut reports) = ToolCallContext::new("g1".parse().unwrap(), Principal::anonymous(), "c1");
        for step in 0..100 {
            call.progress(Some(f64::from(step)), None, None);
        }
        drop(call);
        let mut count = 0;
        while let Some(report) = reports.recv().await {
            assert_eq!((&*report.call_id, report.progress), ("c1", Some(f64::from(count))));
            count += 1;
        }
        assert_eq!(count, 64);
    }
}
