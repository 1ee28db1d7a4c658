//! The tool calls of one turn: decided on, carried out or waited for, until each has its answer.
//!
//! ```text
//!   call ──► must it be approved? ──► tool_approval ··· approve / deny ──► tool_decision
//!               │ no                                        │ approved         │ denied
//!               ▼                                           ▼                  ▼
//!            the server's tool: runs here        a client's: tool_wait ··· tool_result
//! ```
//!
//! The deadline and cancelling are the watching half's: it drops this with the tools that run.

use std::{pin::Pin, sync::Arc};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use serde_json::Value;
use tokenwire_protocol::{
    Approval, DecidedBy, Event, ToolApproval, ToolDecision, ToolProgress, ToolResultTaken, ToolWait,
    message::{Content, Message, MessageToolCall, Role},
};
use tokio::sync::mpsc;

use super::{Decision, Generation, ToolAnswer, recorder::Recorder};
use crate::tools::{ServerTool, ToolCallContext, ToolError};

/// Progress that waits to be recorded; what comes faster is dropped.
const MAX_PROGRESS: usize = 64;

/// The tools of a generation, and who must approve them.
pub(super) struct Tools {
    /// Those that the server runs.
    pub served: Vec<Arc<dyn ServerTool>>,
    /// What the start says of approvals.
    pub approvals: std::collections::BTreeMap<String, Approval>,
}

impl Tools {
    fn served(&self, name: &str) -> Option<&Arc<dyn ServerTool>> {
        self.served.iter().find(|tool| tool.function().name == name)
    }

    fn needs_approval(&self, name: &str, context: &ToolCallContext, arguments: &Value) -> bool {
        let asked = self.approvals.get(name).or_else(|| self.approvals.get("*"));
        asked == Some(&Approval::Always)
            || self.served(name).is_some_and(|tool| tool.needs_approval(context, arguments))
    }
}

type Running = Pin<Box<dyn Future<Output = (usize, Result<Content, ToolError>)> + Send>>;

/// The calls of one turn.
struct Calls<'t, 'a> {
    generation: &'a Generation,
    recorder: &'t mut Recorder<'a>,
    tools: &'t Tools,
    calls: &'t [MessageToolCall],
    ids: Vec<Arc<str>>,
    answers: Vec<Option<ToolAnswer>>,
    running: FuturesUnordered<Running>,
    progress: mpsc::Sender<ToolProgress>,
}

/// Waits until every call has its answer. An interrupt answers those that are left.
pub(super) async fn answers<'a>(
    generation: &'a Generation,
    recorder: &mut Recorder<'a>,
    tools: &Tools,
    calls: &[MessageToolCall],
) -> Vec<Message> {
    let (progress, mut progressed) = mpsc::channel(MAX_PROGRESS);
    let mut calls = Calls {
        generation,
        recorder,
        tools,
        calls,
        ids: calls.iter().map(|call| call.id.as_str().into()).collect(),
        answers: vec![None; calls.len()],
        running: FuturesUnordered::new(),
        progress,
    };
    calls.begin();
    while calls.answers.iter().any(Option::is_none) {
        tokio::select! {
            biased;
            () = generation.answered.notified() => calls.take_news(),
            () = generation.interrupted() => calls.interrupt(),
            Some(progress) = progressed.recv() => calls.recorder.event(Event::ToolProgress(progress)),
            Some((at, result)) = calls.running.next() => calls.ran(at, result),
        }
    }
    calls.into_messages()
}

impl Calls<'_, '_> {
    fn begin(&mut self) {
        let mut waiting = Vec::new();
        for at in 0..self.calls.len() {
            let arguments = self.arguments(at);
            let context = self.context(at);
            let name = &self.calls[at].function.name;
            if self.tools.needs_approval(name, &context, &arguments) {
                let call_id = self.ids[at].clone();
                self.generation.control().approvals.insert(call_id.clone(), None);
                let name = name.as_str().into();
                self.recorder.event(Event::ToolApproval(ToolApproval { call_id, name, arguments }));
            } else if !self.run(at, arguments) {
                waiting.push(at);
            }
        }
        self.wait_for(&waiting);
    }

    /// Runs a call if it is the server's. Says whether it is.
    fn run(&mut self, at: usize, arguments: Value) -> bool {
        let Some(tool) = self.tools.served(&self.calls[at].function.name).cloned() else { return false };
        let context = self.context(at);
        self.running.push(Box::pin(async move {
            // A tool that panics has failed; nothing else has.
            let result = std::panic::AssertUnwindSafe(tool.call(&context, arguments)).catch_unwind().await;
            (at, result.unwrap_or_else(|_| Err(ToolError("the tool's code panicked".into()))))
        }));
        true
    }

    /// These are a client's to answer.
    fn wait_for(&mut self, waiting: &[usize]) {
        if waiting.is_empty() {
            return;
        }
        let call_ids: Vec<Arc<str>> = waiting.iter().map(|&at| self.ids[at].clone()).collect();
        self.generation.control().calls.extend(call_ids.iter().map(|id| (id.clone(), None)));
        self.recorder.event(Event::ToolWait(ToolWait { call_ids }));
    }

    /// Takes the results and decisions that have come.
    fn take_news(&mut self) {
        let (results, decisions) = {
            let mut control = self.generation.control();
            let results = std::mem::take(&mut control.answered);
            let results: Vec<_> =
                results.into_iter().filter_map(|id| Some((id.clone(), control.calls.get(&id)?.clone()?))).collect();
            let decisions = std::mem::take(&mut control.decided);
            let decisions: Vec<_> = decisions
                .into_iter()
                .filter_map(|id| Some((id.clone(), control.approvals.get(&id)?.clone()?)))
                .collect();
            (results, decisions)
        };
        for (call_id, answer) in results {
            let Some(at) = self.position(&call_id) else { continue };
            self.answers[at] = Some(answer.clone());
            let ToolAnswer { content, is_error } = answer;
            let taken = ToolResultTaken { call_id, content, is_error, by_server: false };
            self.recorder.event(Event::ToolResult(taken));
        }
        for (call_id, decision) in decisions {
            if let Some(at) = self.position(&call_id) {
                self.decided(at, decision);
            }
        }
    }

    fn decided(&mut self, at: usize, decision: Decision) {
        let call_id = self.ids[at].clone();
        let by = DecidedBy::Client;
        match decision {
            Decision::Approved(arguments) => {
                let arguments = arguments.map(Value::Object);
                let event = ToolDecision { call_id, approved: true, by, arguments: arguments.clone(), reason: None };
                self.recorder.event(Event::ToolDecision(event));
                let arguments = arguments.unwrap_or_else(|| self.arguments(at));
                if !self.run(at, arguments) {
                    self.wait_for(&[at]);
                }
            }
            Decision::Denied(reason) => {
                let told = match &reason {
                    Some(reason) => format!("The user did not allow this call: {reason}"),
                    None => "The user did not allow this call.".to_owned(),
                };
                let event = ToolDecision { call_id, approved: false, by, arguments: None, reason };
                self.recorder.event(Event::ToolDecision(event));
                self.answers[at] = Some(ToolAnswer { content: Content::Text(told), is_error: true });
            }
        }
    }

    /// A tool of the server's has answered.
    fn ran(&mut self, at: usize, result: Result<Content, ToolError>) {
        let (content, is_error) = match result {
            Ok(content) => (content, false),
            Err(ToolError(content)) => (content, true),
        };
        let call_id = self.ids[at].clone();
        let taken = ToolResultTaken { call_id, content: content.clone(), is_error, by_server: true };
        self.recorder.event(Event::ToolResult(taken));
        self.answers[at] = Some(ToolAnswer { content, is_error });
    }

    /// The user has something to say now: what has no answer yet gets none.
    fn interrupt(&mut self) {
        self.running.clear();
        for answer in self.answers.iter_mut().filter(|answer| answer.is_none()) {
            let content = Content::Text("The user interrupted before this call had a result.".to_owned());
            *answer = Some(ToolAnswer { content, is_error: true });
        }
    }

    fn position(&self, call_id: &Arc<str>) -> Option<usize> {
        self.ids.iter().position(|id| id == call_id)
    }

    /// The arguments as the model wrote them: parsed, or the text where it is not JSON.
    fn arguments(&self, at: usize) -> Value {
        let text = &self.calls[at].function.arguments;
        serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
    }

    fn context(&self, at: usize) -> ToolCallContext {
        ToolCallContext {
            generation: self.generation.id.clone(),
            principal: self.generation.principal.clone(),
            metadata: self.generation.metadata.clone(),
            call_id: self.ids[at].clone(),
            progress: self.progress.clone(),
        }
    }

    fn into_messages(self) -> Vec<Message> {
        {
            let mut control = self.generation.control();
            control.resolved.extend(self.ids.iter().cloned());
            control.calls.clear();
            control.answered.clear();
            control.approvals.clear();
            control.decided.clear();
        }
        let message = |(id, answer): (Arc<str>, Option<ToolAnswer>)| {
            let mut message = Message::text(Role::Tool, "");
            let ToolAnswer { content, is_error } = answer?;
            message.content = Some(content);
            message.tool_call_id = Some(id.to_string());
            if is_error {
                message.extra.insert("is_error".to_owned(), true.into());
            }
            Some(message)
        };
        self.ids.into_iter().zip(self.answers).filter_map(message).collect()
    }
}
