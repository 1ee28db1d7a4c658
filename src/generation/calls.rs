//! The tool calls of one turn: decided on, carried out or waited for, until each has its answer.
//!
//! ```text
//!   call ──► the application's word ──► must it be approved? ──► tool_approval ··· approve / deny
//!               │ denied                    │ no                                      │
//!               ▼                           ▼                                         ▼
//!            tool_decision               the server's tool: runs here           tool_decision
//!                                        a client's: tool_wait ··· tool_result
//! ```
//!
//! The deadline and cancelling are the watching half's: it drops this with the tools that run. What came of the calls
//! by then is in [`Called`], which outlives it.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use serde_json::Value;
use tokenwire_protocol::{
    Approval, DecidedBy, Event, ToolApproval, ToolDecision, ToolProgress, ToolResultTaken, ToolWait, message::Content,
};
use tokio::sync::mpsc;

use super::{Decision, Generation, ToolAnswer, called::Called, recorder::Recorder};
use crate::tools::{
    Approver, ProposedCall, ServerTool, ToolCallContext, ToolError, Verdict,
    progress::{self, Progress},
};

/// The tools of a generation, and who must approve them.
pub(super) struct Tools {
    /// Those that the server runs.
    pub served: Vec<Arc<dyn ServerTool>>,
    /// What the start says of approvals.
    pub approvals: BTreeMap<String, Approval>,
    /// The application's word on calls.
    pub approver: Option<Approver>,
}

impl Tools {
    fn served(&self, name: &str) -> Option<&Arc<dyn ServerTool>> {
        self.served.iter().find(|tool| tool.function().name == name)
    }

    /// Whether the start wants the calls of this tool approved.
    fn is_asked_by_start(&self, name: &str) -> bool {
        self.approvals.get(name).or_else(|| self.approvals.get("*")) == Some(&Approval::Always)
    }

    /// Whether the tool wants this call approved, or the configuration for it.
    fn is_asked_by_tool(&self, name: &str, context: &ToolCallContext, arguments: &Value) -> bool {
        self.served(name).is_some_and(|tool| tool.needs_approval(context, arguments))
    }
}

type Running = Pin<Box<dyn Future<Output = (usize, Result<Content, ToolError>)> + Send>>;
/// A call that the application is asked about, with the arguments that a client has put in place of the model's.
type Judging = Pin<Box<dyn Future<Output = (usize, Option<Value>, Verdict)> + Send>>;

/// The calls of one turn.
struct Calls<'t, 'a> {
    generation: &'a Generation,
    recorder: &'t mut Recorder<'a>,
    tools: &'t Tools,
    called: &'t mut Called,
    ids: Vec<Arc<str>>,
    /// Those that a client is asked about.
    asked: Vec<usize>,
    judging: FuturesUnordered<Judging>,
    running: FuturesUnordered<Running>,
    progress: mpsc::Sender<ToolProgress>,
}

/// Waits until every call has its answer. An interrupt answers those that are left.
pub(super) async fn answer<'a>(
    generation: &'a Generation,
    recorder: &mut Recorder<'a>,
    tools: &Tools,
    called: &mut Called,
) {
    let (progress, mut progressed) = progress::channel();
    let mut calls = Calls {
        generation,
        recorder,
        tools,
        ids: called.calls.iter().map(|call| call.id.as_str().into()).collect(),
        called,
        asked: Vec::new(),
        judging: FuturesUnordered::new(),
        running: FuturesUnordered::new(),
        progress,
    };
    calls.begin();
    while !calls.called.is_answered() {
        tokio::select! {
            biased;
            () = generation.answered.notified() => calls.take_news(),
            () = generation.interrupted() => calls.interrupt(),
            Some(progress) = progressed.recv() => calls.recorder.event(Event::ToolProgress(progress)),
            Some((at, edited, verdict)) = calls.judging.next() => calls.judged(at, edited, verdict),
            Some((at, result)) = calls.running.next() => calls.ran(at, result),
        }
    }
    calls.end();
}

impl Calls<'_, '_> {
    fn begin(&mut self) {
        let mut waiting = Vec::new();
        for at in 0..self.called.calls.len() {
            if self.tools.approver.is_some() {
                self.judge(at, None);
            } else if self.consider(at, Verdict::Abstain) {
                waiting.push(at);
            }
        }
        self.wait_for(&waiting);
    }

    /// Asks the application about a call. Without an application to ask nothing happens.
    fn judge(&mut self, at: usize, edited: Option<Value>) {
        let Some(approver) = self.tools.approver.clone() else { return };
        let name = self.called.calls[at].function.name.clone();
        let (context, arguments) = (self.context(at), edited.clone().unwrap_or_else(|| self.arguments(at)));
        let tool = self.tools.served(&name);
        let call = ProposedCall {
            is_asked: self.tools.is_asked_by_start(&name) || self.tools.is_asked_by_tool(&name, &context, &arguments),
            is_served: tool.is_some(),
            server: tool.and_then(|tool| tool.server()).map(str::to_owned),
            context,
            name,
            arguments,
        };
        self.judging.push(Box::pin(async move {
            let verdict = AssertUnwindSafe(async move { approver.judge(call).await }).catch_unwind().await;
            (at, edited, verdict.unwrap_or_else(|_| Verdict::deny("the server's code panicked")))
        }));
    }

    fn judged(&mut self, at: usize, edited: Option<Value>, verdict: Verdict) {
        match (edited, verdict) {
            (_, Verdict::Deny(reason)) => self.deny(at, DecidedBy::Server, reason),
            // A person has approved it, and edited it.
            (Some(edited), _) => self.approve(at, DecidedBy::Client, Some(edited)),
            (None, verdict) => {
                if self.consider(at, verdict) {
                    self.wait_for(&[at]);
                }
            }
        }
    }

    /// Has a call approved or run. Says whether it is a client's to carry out.
    fn consider(&mut self, at: usize, verdict: Verdict) -> bool {
        let arguments = self.arguments(at);
        let name = &self.called.calls[at].function.name;
        let is_asked = match &verdict {
            Verdict::Ask => true,
            Verdict::Allow => self.tools.is_asked_by_start(name),
            _ => self.tools.is_asked_by_start(name) || self.tools.is_asked_by_tool(name, &self.context(at), &arguments),
        };
        if is_asked {
            let call_id = self.ids[at].clone();
            self.generation.control().approvals.insert(call_id.clone(), None);
            self.asked.push(at);
            let name = name.as_str().into();
            self.recorder.event(Event::ToolApproval(ToolApproval { call_id, name, arguments }));
            return false;
        }
        if verdict == Verdict::Allow {
            self.record_approval(at, DecidedBy::Server, None);
        }
        !self.run(at, arguments)
    }

    /// Runs a call if it is the server's. Says whether it is.
    fn run(&mut self, at: usize, arguments: Value) -> bool {
        let Some(tool) = self.tools.served(&self.called.calls[at].function.name).cloned() else { return false };
        let context = self.context(at);
        self.called.begun.push(at);
        self.running.push(Box::pin(async move {
            // A tool that panics has failed; nothing else has.
            let result = AssertUnwindSafe(async { tool.call(&context, arguments).await }).catch_unwind().await;
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
        self.take_results();
        let decisions: Vec<_> = {
            let mut control = self.generation.control();
            let decided = std::mem::take(&mut control.decided);
            decided.into_iter().filter_map(|id| Some((id.clone(), control.approvals.get(&id)?.clone()?))).collect()
        };
        for (call_id, decision) in decisions {
            if let Some(at) = self.position(&call_id) {
                self.decided(at, decision);
            }
        }
    }

    fn take_results(&mut self) {
        let results: Vec<_> = {
            let mut control = self.generation.control();
            let answered = std::mem::take(&mut control.answered);
            answered.into_iter().filter_map(|id| Some((id.clone(), control.calls.get(&id)?.clone()?))).collect()
        };
        for (call_id, answer) in results {
            if let Some(at) = self.position(&call_id) {
                self.answered(at, answer, false);
            }
        }
    }

    /// A client has decided.
    fn decided(&mut self, at: usize, decision: Decision) {
        match decision {
            // The application has not seen these arguments.
            Decision::Approved(Some(edited)) if self.tools.approver.is_some() => {
                self.judge(at, Some(Value::Object(edited)));
            }
            Decision::Approved(edited) => self.approve(at, DecidedBy::Client, edited.map(Value::Object)),
            Decision::Denied(reason) => self.deny(at, DecidedBy::Client, reason),
        }
    }

    fn approve(&mut self, at: usize, by: DecidedBy, edited: Option<Value>) {
        self.record_approval(at, by, edited.clone());
        if let Some(edited) = &edited {
            // What the model sees of its call from now on.
            self.called.calls[at].function.arguments = edited.to_string();
        }
        let arguments = edited.unwrap_or_else(|| self.arguments(at));
        if !self.run(at, arguments) {
            self.wait_for(&[at]);
        }
    }

    fn record_approval(&mut self, at: usize, by: DecidedBy, arguments: Option<Value>) {
        let call_id = self.ids[at].clone();
        self.asked.retain(|asked| *asked != at);
        self.recorder.event(Event::ToolDecision(ToolDecision { call_id, approved: true, by, arguments, reason: None }));
    }

    fn deny(&mut self, at: usize, by: DecidedBy, reason: Option<String>) {
        let who = match by {
            DecidedBy::Client => "The user did not allow this call",
            DecidedBy::Server => "This call is not allowed",
        };
        let told = match &reason {
            Some(reason) => format!("{who}: {reason}"),
            None => format!("{who}."),
        };
        self.record_denial(at, by, reason, told);
    }

    /// `told`: what the model reads of it.
    fn record_denial(&mut self, at: usize, by: DecidedBy, reason: Option<String>, told: String) {
        let call_id = self.ids[at].clone();
        let event = ToolDecision { call_id, approved: false, by, arguments: None, reason };
        self.recorder.event(Event::ToolDecision(event));
        self.called.answers[at] = Some(ToolAnswer::failed(told));
    }

    /// A tool of the server's has answered.
    fn ran(&mut self, at: usize, result: Result<Content, ToolError>) {
        let (content, is_error) = match result {
            Ok(content) => (content, false),
            Err(ToolError(content)) => (content, true),
        };
        self.answered(at, ToolAnswer { content, is_error }, true);
    }

    fn answered(&mut self, at: usize, answer: ToolAnswer, by_server: bool) {
        if !self.recorder.writer.log().has_room(answer.content.byte_len()) {
            // It is not even copied: it may be as long as it likes.
            self.called.answers[at] = Some(ToolAnswer::failed("The result was too long."));
            return self.recorder.fail_full();
        }
        let ToolAnswer { content, is_error } = answer.clone();
        let taken = ToolResultTaken { call_id: self.ids[at].clone(), content, is_error, by_server };
        self.recorder.event(Event::ToolResult(taken));
        self.called.answers[at] = Some(answer);
    }

    /// The user has something to say now: what has no answer yet gets none, and whoever looks on sees that nobody is
    /// asked any more.
    fn interrupt(&mut self) {
        self.judging.clear();
        self.running.clear();
        // From here on nobody's result is taken; those that were taken before count.
        self.close();
        self.take_results();
        let open = (0..self.ids.len()).filter(|&at| self.called.answers[at].is_none());
        for at in open.collect::<Vec<_>>() {
            let why = "The user interrupted before this call had a result.";
            if self.asked.contains(&at) {
                self.record_denial(at, DecidedBy::Server, Some(why.to_owned()), why.to_owned());
            } else {
                self.answered(at, ToolAnswer::failed(why), true);
            }
        }
    }

    /// Takes no more results and decisions. Who is late with one is told that somebody was first.
    fn close(&self) {
        let mut control = self.generation.control();
        control.resolved.extend(self.ids.iter().cloned());
        control.calls.retain(|_, answer| answer.is_some());
        control.approvals.clear();
        control.decided.clear();
    }

    /// Every call has its answer.
    fn end(self) {
        self.close();
        self.generation.control().calls.clear();
    }

    fn position(&self, call_id: &Arc<str>) -> Option<usize> {
        self.ids.iter().position(|id| id == call_id)
    }

    /// The arguments as the model wrote them: parsed, or the text where it is not JSON.
    fn arguments(&self, at: usize) -> Value {
        let text = &self.called.calls[at].function.arguments;
        serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
    }

    fn context(&self, at: usize) -> ToolCallContext {
        ToolCallContext {
            generation: self.generation.id.clone(),
            principal: self.generation.principal.clone(),
            metadata: self.generation.metadata.clone(),
            call_id: self.ids[at].clone(),
            progress: Progress::new(self.progress.clone()),
        }
    }
}
