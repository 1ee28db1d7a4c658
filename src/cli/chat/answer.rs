//! One answer, as a state machine: what comes from the server or from Ctrl-C goes in, what to do
//! comes out. No I/O, so that tests drive it.

use std::sync::Arc;

use serde_json::Value;
use tokenwire::{
    client::Received,
    protocol::{
        Citation, DecidedBy, ErrorCode, Event, EventFrame, FinishReason, GenerationId, InputProgress, InputState,
        Retry, Timing, TokenUsage, ToolCall, ToolDecision, ToolResultTaken,
        message::{Content, Message, MessageToolCall, Native, Role},
    },
};

use super::{error_line, steering::Steering};

/// What to show of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Show {
    /// A piece of the answer.
    Text(String),
    /// A piece of the reasoning.
    Reasoning(String),
    /// A whole line about something else than text.
    Note(String),
    /// What somebody said while the answer was under way, at the place where the model heard it.
    Question(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Go on waiting.
    Wait,
    /// Send a cancel, then wait for the end.
    Cancel,
    /// Ask what is to be asked about these calls, send it, then go on waiting.
    Ask(Vec<PendingCall>),
    /// It is over.
    Over(Ending),
    /// Leave at once.
    Leave,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    Finished(Bill),
    Cancelled(Bill),
    /// Why.
    Failed(String),
}

/// What an answer cost.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bill {
    pub usage: TokenUsage,
    pub timing: Timing,
}

/// What somebody has to say about a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether it may be carried out.
    Approval,
    /// What it resulted in.
    Result,
}

/// A tool call that waits for an answer of this client's, or another's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PendingCall {
    pub question: Question,
    pub call_id: Arc<str>,
    pub name: Arc<str>,
    pub arguments: Value,
}

/// An answer under way.
pub(super) struct Answer {
    id: GenerationId,
    is_cancelling: bool,
    /// What the conversation grows by.
    messages: Vec<Message>,
    /// The text since the last message.
    text: String,
    /// The calls since the last message.
    calls: Vec<ToolCall>,
    /// The answer since the last message as its provider needs to see it again.
    native: Option<Native>,
    /// What the answer cites, each once.
    sources: Vec<String>,
    /// Calls whose results the last assistant message still waits for, each with what is to be asked about it.
    unanswered: Vec<PendingCall>,
    /// What the user says meanwhile.
    pub steering: Steering,
}

impl Answer {
    pub fn new(id: GenerationId) -> Self {
        let (messages, calls, unanswered) = (Vec::new(), Vec::new(), Vec::new());
        let (native, sources, steering) = (None, Vec::new(), Steering::default());
        Self { id, is_cancelling: false, messages, text: String::new(), calls, native, sources, unanswered, steering }
    }

    /// Whether a call still waits for its result.
    pub fn is_unanswered(&self, call: &PendingCall) -> bool {
        self.unanswered.contains(call)
    }

    /// The calls that somebody has to say something about.
    pub fn unanswered(&self) -> impl Iterator<Item = &PendingCall> {
        self.unanswered.iter()
    }

    /// Takes what the client received.
    pub fn received(&mut self, received: Received) -> (Option<Show>, Step) {
        let note = |text: String| (Some(Show::Note(text)), Step::Wait);
        match received {
            Received::Event(frame) if frame.id == self.id => self.event(frame),
            Received::Refused(refused) if refused.id.as_ref().is_none_or(|id| *id == self.id) => {
                match refused.error.code {
                    // About a result that came too late: the answer goes on.
                    ErrorCode::AlreadyResolved | ErrorCode::CallNotFound | ErrorCode::GenerationEnded => {
                        note(format!("the result was not taken: {}", refused.error.message))
                    }
                    // The question of what was said goes on without an answer of its own.
                    ErrorCode::TooLate if self.steering.refused() => (None, Step::Wait),
                    ErrorCode::BadField if self.steering.refused() => {
                        note(format!("what you said was not taken: {}", refused.error.message))
                    }
                    _ => (None, Step::Over(Ending::Failed(refused.error.to_string()))),
                }
            }
            Received::InputAccepted(accepted) if accepted.id == self.id => {
                self.steering.accepted(&accepted.input_id);
                (None, Step::Wait)
            }
            Received::Disconnected(error) => note(format!("{}; reconnecting", error_line(&error))),
            Received::Reconnected => note("connected again; the answer goes on".to_owned()),
            Received::GoingAway(going_away) => note(format!("the server is going away: {}", going_away.reason)),
            _ => (None, Step::Wait),
        }
    }

    /// Takes a Ctrl-C: the first cancels, the second leaves.
    pub fn interrupted(&mut self) -> Step {
        match std::mem::replace(&mut self.is_cancelling, true) {
            false => Step::Cancel,
            true => Step::Leave,
        }
    }

    /// The assistant's and the tools' messages, for the conversation.
    pub fn into_messages(mut self) -> Vec<Message> {
        if !self.unanswered.is_empty() {
            // Providers refuse a conversation in which a call has no result: take back to before it.
            let is_call = |message: &Message| !message.tool_calls.is_empty();
            let calls_at = self.messages.iter().rposition(is_call).unwrap_or_default();
            self.messages.truncate(calls_at);
        }
        self.unanswered.clear();
        self.end_answer();
        self.messages
    }

    fn event(&mut self, frame: EventFrame) -> (Option<Show>, Step) {
        let note = |text: String| (Some(Show::Note(text)), Step::Wait);
        match frame.event {
            Event::Text(text) | Event::Refusal(text) => {
                self.text.push_str(&text.delta);
                (Some(Show::Text(text.delta)), Step::Wait)
            }
            Event::Reasoning(reasoning) => (Some(Show::Reasoning(reasoning.delta)), Step::Wait),
            Event::ToolCall(call) => {
                let text = format!("tool {}({})", call.name, arguments(&call.arguments));
                self.calls.push(call);
                note(text)
            }
            Event::ToolApproval(approval) => (None, self.ask(Question::Approval, &[approval.call_id])),
            Event::ToolWait(wait) => (None, self.ask(Question::Result, &wait.call_ids)),
            Event::ToolDecision(decision) if !decision.approved => self.denied(decision),
            Event::ToolDecision(decision) if decision.by == DecidedBy::Server => {
                note("allowed by the server".to_owned())
            }
            Event::Input(input) => self.input(input),
            Event::ToolProgress(progress) => note(progress.message.unwrap_or_else(|| "the tool goes on".to_owned())),
            Event::ToolResult(taken) => {
                let told = taken.by_server.then(|| Show::Note(format!("result: {}", taken.content.plain_text())));
                (told, self.result_taken(taken))
            }
            Event::Retry(retry) => {
                let Retry { attempt, provider, continues, reason, delay_ms, .. } = retry;
                let what =
                    if continues { format!("{provider} goes on") } else { format!("attempt {attempt} at {provider}") };
                note(format!("{what} in {delay_ms} ms: {reason}"))
            }
            Event::Finished(finished) => {
                let mut lines = self.sources.clone();
                if finished.reason != FinishReason::Stop {
                    lines.push(format!("stopped: {}", reason_name(finished.reason)));
                }
                let note = (!lines.is_empty()).then(|| Show::Note(lines.join("\n")));
                let bill = Bill { usage: finished.usage, timing: finished.timing };
                (note, Step::Over(Ending::Finished(bill)))
            }
            Event::Cancelled(cancelled) => {
                let bill = Bill { usage: cancelled.usage, timing: cancelled.timing };
                (Some(Show::Note("cancelled".to_owned())), Step::Over(Ending::Cancelled(bill)))
            }
            Event::Failed(failed) => (None, Step::Over(Ending::Failed(failed.error.to_string()))),
            Event::ServerToolCall(call) => {
                let arguments = call.arguments.as_ref().map(arguments).unwrap_or_default();
                note(format!("{}({arguments}), run by the provider", call.name))
            }
            Event::ServerToolResult(result) if result.is_error => {
                note(format!("{} failed at the provider", result.name))
            }
            Event::Citation(Citation { url, title, .. }) => {
                if let Some(source) = url.or(title)
                    && !self.sources.contains(&source)
                {
                    self.sources.push(source);
                }
                (None, Step::Wait)
            }
            Event::Media(media) if !media.has_more => {
                let place = media.url.map(|url| format!(" at {url}")).unwrap_or_default();
                note(format!("{}{place}; a terminal cannot show it", media.media_type))
            }
            Event::Native(native) => {
                self.native = Some(native);
                (None, Step::Wait)
            }
            Event::Warning(warning) => note(format!("{}: {}", warning.field, warning.message)),
            // Events of a newer server, too: what is not known is not shown.
            _ => (None, Step::Wait),
        }
    }

    /// These calls wait for an answer to `question`.
    fn ask(&mut self, question: Question, call_ids: &[Arc<str>]) -> Step {
        self.end_turn();
        let asked = self.unanswered.iter_mut().filter(|call| call_ids.contains(&call.call_id));
        Step::Ask(
            asked
                .map(|call| {
                    call.question = question;
                    call.clone()
                })
                .collect(),
        )
    }

    /// A call is not carried out.
    fn denied(&mut self, decision: ToolDecision) -> (Option<Show>, Step) {
        let (who, told) = match decision.by {
            DecidedBy::Client => ("denied", "The user did not allow this call"),
            DecidedBy::Server => ("denied by the server", "This call is not allowed"),
        };
        let because = decision.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let content = Content::Text(format!("{told}{because}"));
        let (call_id, is_error, by_server) = (decision.call_id, true, false);
        let step = self.result_taken(ToolResultTaken { call_id, content, is_error, by_server });
        (Some(Show::Note(format!("{who}{because}"))), step)
    }

    /// The model hears what somebody has said meanwhile, or it never will.
    fn input(&mut self, input: InputState) -> (Option<Show>, Step) {
        if input.state == InputProgress::Dropped {
            self.steering.dropped(&input.input_id);
            return (None, Step::Wait);
        }
        self.steering.applied(&input.input_id);
        self.end_answer();
        let text: Vec<String> = input.messages.iter().map(Message::plain_text).collect();
        self.messages.extend(input.messages);
        (Some(Show::Question(text.join("\n"))), Step::Wait)
    }

    /// Makes a message of what was said so far. Calls that were cut off with it count for nothing; those that wait
    /// for a result get none any more.
    fn end_answer(&mut self) {
        let native = self.native.take().filter(|_| self.calls.is_empty());
        self.calls.clear();
        for call in std::mem::take(&mut self.unanswered) {
            let mut message = Message::text(Role::Tool, "The user interrupted before this call had a result.");
            message.tool_call_id = Some(call.call_id.to_string());
            self.messages.push(message);
        }
        if !self.text.is_empty() {
            let mut message = Message::text(Role::Assistant, std::mem::take(&mut self.text));
            message.native = native.map(Box::new);
            self.messages.push(message);
        }
    }

    /// Makes a message of what was said so far and the calls in it, if there are any.
    fn end_turn(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let mut message = Message::text(Role::Assistant, text);
        for call in self.calls.drain(..) {
            let arguments = arguments(&call.arguments);
            message.tool_calls.push(MessageToolCall::new(&*call.call_id, &*call.name, arguments));
            let (question, call_id, name, arguments) = (Question::Result, call.call_id, call.name, call.arguments);
            self.unanswered.push(PendingCall { question, call_id, name, arguments });
        }
        message.native = self.native.take().map(Box::new);
        self.messages.push(message);
    }

    /// A result was taken, this client's or another's.
    fn result_taken(&mut self, taken: ToolResultTaken) -> Step {
        self.end_turn();
        self.unanswered.retain(|call| call.call_id != taken.call_id);
        let mut message = Message::text(Role::Tool, taken.content.plain_text());
        message.tool_call_id = Some(taken.call_id.to_string());
        self.messages.push(message);
        Step::Wait
    }
}

/// Arguments as text: JSON, or what the model wrote where it is not JSON.
pub(super) fn arguments(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "the answer is as long as it may be",
        FinishReason::ToolCalls => "the model called tools",
        FinishReason::ContentFilter => "the provider's filter cut the answer",
        FinishReason::Refusal => "the model refused",
        FinishReason::Pause => "the provider paused",
        FinishReason::Other => "for a reason of the provider's",
    }
}
