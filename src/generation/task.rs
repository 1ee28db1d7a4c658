//! The task of a generation: turns, attempts, and the end.
//!
//! Two halves are raced in one task. [`Task::turns`] asks providers, turn by turn; what they say is appended by
//! the [`Recorder`], and whom to ask after a failure is the [`Walk`]'s to say. [`watch`] waits for everything
//! that ends a generation early: a cancel, a deadline, nobody being attached. Whichever comes first ends it;
//! dropping the other half drops the provider's future, and with it the connection to the provider. Every
//! way out then passes the same few lines that write the bill and seal the log.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokenwire_protocol::{
    Cancelled, CancelledBy, ErrorCode, ErrorInfo, Event, Failed, FinishReason, Finished, InputProgress, InputState,
    Retry, Start, Started, Timing, Warning,
    message::{Message, MessageToolCall, Native, Role},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Generation, PendingInput,
    called::Called,
    calls::{self, Tools},
    hub::Hub,
    log::Writer,
    price,
    progress::{Deadlines, Phase},
    recorder::{Answer, Recorder},
    transcript,
};
use crate::{
    apart::Apart,
    provider::{self, ModelRequest, Provider},
    route::{
        Route, Shown, Walk,
        continuation::{self, Joint},
    },
    tools::{self, ServerTool},
};

/// What a generation was asked to do.
pub(super) struct Order {
    pub start: Start,
    pub route: Arc<Route>,
    pub deadlines: Deadlines,
    /// The server's tools that the model may call.
    pub served: Vec<Arc<dyn ServerTool>>,
    /// What of the start has no effect.
    pub warning: Option<Warning>,
}

/// Why a generation ended.
enum End {
    Finished(FinishReason, Option<String>),
    Cancelled(CancelledBy, Option<String>),
    Failed(ErrorInfo),
}

/// Runs a generation to its end. Not cancel-safe: dropped before its end, it leaves an unsealed log.
///
/// Every running generation holds this future, so that it keeps only what the turns need: the order is boxed, and
/// what becomes of it is made outside.
pub(super) async fn run(hub: Arc<Hub>, generation: Arc<Generation>, writer: Writer, order: Box<Order>) {
    let deadlines = order.deadlines;
    let (accumulate, end_at_tool_calls) = (order.start.accumulate, order.start.end_at_tool_calls);
    let max_turns = order.start.max_turns.unwrap_or(u32::MAX).min(hub.config().limits.max_turns);
    let mut task = Task::new(&hub, &generation, writer, order);
    task.begin();
    let end = {
        // Tokens wake the turns; the watching half needs no look then.
        let watch = pin!(watch(&generation, &deadlines));
        tokio::select! {
            biased;
            // First, so that what was cancelled before it began contacts no provider.
            end = Apart::new(watch) => end,
            // A provider or a hook that panics must not leave a generation without an end.
            end = AssertUnwindSafe(task.turns(max_turns, end_at_tool_calls)).catch_unwind() => end.unwrap_or_else(|_| {
                tracing::error!(id = %generation.id, "a provider or hook panicked");
                Err(ErrorInfo::new(ErrorCode::Internal, "the provider's code panicked"))
            }).unwrap_or_else(End::Failed),
        }
    };
    task.seal(end, accumulate);
    // Who is reading reads to the end: what is kept of the log afterwards is for those who come later.
    let read = async {
        while generation.log.reader_count() > 0 {
            generation.attention.notified().await;
        }
    };
    let _ = timeout(Duration::from_secs(hub.config().retention.seconds), read).await;
    hub.ended(&generation);
}

/// Waits until something ends the generation before the model does.
async fn watch(generation: &Generation, deadlines: &Deadlines) -> End {
    let mut alone_since = None;
    let timer = sleep(Duration::ZERO);
    tokio::pin!(timer);
    loop {
        {
            let mut control = generation.control();
            if let Some((by, reason)) = control.cancel.take() {
                return End::Cancelled(by, reason);
            }
            if let Some(error) = control.failure.take() {
                return End::Failed(error);
            }
        }
        let now = Instant::now();
        let (mut deadline, code) = generation.progress.deadline(deadlines);
        if deadline <= now {
            // What the provider missed is the attempt's failure; another one may follow.
            if generation.progress.miss(code) {
                continue;
            }
            return End::Failed(missed(code));
        }
        if let Some(grace) = generation.on_disconnect {
            if generation.log.reader_count() > 0 {
                alone_since = None;
            } else {
                let leave_at = *alone_since.get_or_insert(now) + grace;
                if leave_at <= now {
                    return End::Cancelled(CancelledBy::Disconnect, None);
                }
                deadline = deadline.min(leave_at);
            }
        }
        // A timer that rings too early costs one look; setting it anew at every token would cost more.
        if timer.is_elapsed() || deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        tokio::select! {
            biased;
            () = generation.attention.notified() => {}
            () = &mut timer => {}
        }
    }
}

fn missed(code: ErrorCode) -> ErrorInfo {
    let message = match code {
        ErrorCode::FirstTokenTimeout => "the provider sent no first token in time",
        ErrorCode::IdleTimeout => "the provider fell silent between two tokens",
        ErrorCode::ToolTimeout => "no tool result came in time",
        _ => "the generation took too long",
    };
    ErrorInfo::new(code, message)
}

struct Task<'a> {
    hub: &'a Hub,
    generation: &'a Generation,
    recorder: Recorder<'a>,
    /// Who is asked.
    walk: Walk,
    /// What is asked. Shared with the attempt that is under way, which a cut may drop.
    request: Arc<ModelRequest>,
    /// The start's fields for each provider.
    options: Map<String, Value>,
    tools: Tools,
    /// Whether an answer that does not fit its schema may still be repaired.
    repairs: bool,
    /// What of the start has no effect.
    warning: Option<Warning>,
    /// Where in the log the running turn begins.
    turn_start: Option<u64>,
    /// The calls that are waited for.
    called: Called,
    /// When the first request went to a provider.
    asked_at: Option<Instant>,
}

/// Why a turn ended, and the provider's own word for it.
type Finish = (FinishReason, Option<String>);

impl<'a> Task<'a> {
    fn new(hub: &'a Hub, generation: &'a Generation, writer: Writer, order: Box<Order>) -> Self {
        let Order { mut start, route, deadlines, served, warning } = *order;
        let options = std::mem::take(&mut start.provider_options);
        let approvals = std::mem::take(&mut start.approvals);
        let tools = Tools { served, approvals, approver: hub.toolbox().approver().cloned() };
        let repairs = start.repair;
        let mut request = ModelRequest { connect_timeout: deadlines.connect, ..ModelRequest::from_start(start, "") };
        request.tools.extend(tools.served.iter().map(|tool| tools::offered(&**tool)));
        let mut recorder = Recorder::new(hub, generation, writer);
        recorder.expect_object(request.response_format.as_ref());
        Self {
            hub,
            generation,
            recorder,
            walk: Walk::new(route, hub.config().retry),
            request: Arc::new(request),
            options,
            tools,
            repairs,
            warning,
            turn_start: None,
            called: Called::default(),
            asked_at: None,
        }
    }

    /// Appends the first event.
    fn begin(&mut self) {
        let first = self.walk.target();
        let (provider, model) = (first.provider.name().to_owned(), first.model.clone());
        let epoch = self.generation.log.epoch().clone();
        self.recorder.event(Event::Started(Started { epoch, model, provider }));
        if let Some(warning) = self.warning.take() {
            self.recorder.event(Event::Warning(warning));
        }
    }

    /// Turn after turn, until the model has nothing more to do.
    async fn turns(&mut self, max_turns: u32, end_at_tool_calls: bool) -> Result<End, ErrorInfo> {
        for _ in 0..max_turns {
            let turned = {
                self.enter(Phase::Queued);
                let _running = self.hub.running().await;
                self.take_inputs();
                self.turn().await?
            };
            if let Some(usage) = self.recorder.bill.close_turn() {
                self.recorder.event(Event::Usage(usage));
            }
            let Answer { calls, native, .. } = self.recorder.end_turn();
            let Some((reason, provider_reason)) = turned else {
                // Cut off: calls that were not made to their end count for nothing.
                self.answered(Vec::new(), None);
                continue;
            };
            let (has_calls, is_native) = (!calls.is_empty(), native.is_some());
            let text = self.answered(calls.clone(), native);
            if reason == FinishReason::Pause && is_native {
                // The provider's own tools need another turn: it goes on when it sees its answer again.
                continue;
            }
            if reason == FinishReason::ToolCalls && !end_at_tool_calls && has_calls {
                self.enter(Phase::Tools);
                self.called = Called::new(calls);
                calls::answer(self.generation, &mut self.recorder, &self.tools, &mut self.called).await;
                self.take_results();
                continue;
            }
            if !has_calls
                && let Some(repair) = self.recorder.end_object(&text).filter(|_| std::mem::take(&mut self.repairs))
            {
                self.messages().push(repair);
                continue;
            }
            let mut control = self.generation.control();
            if control.inputs.is_empty() || reason == FinishReason::ContentFilter {
                // Under the lock, so that an input is either taken into a turn or refused, never lost.
                control.has_ended = true;
                return Ok(End::Finished(reason, provider_reason));
            }
        }
        let message = format!(
            "the model wants more than {max_turns} turns; `max_turns` of the start and `limits.max_turns` of the server say how many"
        );
        Err(ErrorInfo::new(ErrorCode::TooManyTurns, message))
    }

    /// Takes what was added to the conversation since the last turn.
    fn take_inputs(&mut self) {
        let inputs = {
            let mut control = self.generation.control();
            control.interrupt = false;
            std::mem::take(&mut control.inputs)
        };
        if inputs.is_empty() {
            return;
        }
        transcript::close_calls(self.messages());
        for PendingInput { input_id, messages } in inputs {
            self.messages().extend(messages.iter().cloned());
            let state = InputProgress::Applied;
            self.recorder.event(Event::Input(InputState { input_id, state, messages }));
        }
    }

    /// Puts what the turn said into the conversation. Returns its text.
    fn answered(&mut self, calls: Vec<MessageToolCall>, native: Option<Box<Native>>) -> String {
        let Some(turn_start) = self.turn_start.take() else { return String::new() };
        let text = self.recorder.writer.log().text_after(turn_start);
        let mut answer = Message::text(Role::Assistant, text.as_str());
        // Some providers refuse a message of nothing but white space.
        answer.content = answer.content.filter(|_| !text.trim().is_empty());
        answer.tool_calls = calls;
        answer.native = native;
        if answer.content.is_some() || !answer.tool_calls.is_empty() || answer.native.is_some() {
            self.messages().push(answer);
        }
        text
    }

    /// Puts what came of the calls into the conversation, and the calls as they were carried out.
    fn take_results(&mut self) {
        let called = std::mem::take(&mut self.called);
        if called.calls.is_empty() {
            return;
        }
        if let Some(answer) = self.messages().iter_mut().rfind(|message| message.role == Role::Assistant) {
            answer.tool_calls.clone_from(&called.calls);
        }
        self.messages().extend(called.results());
    }

    fn messages(&mut self) -> &mut Vec<Message> {
        &mut Arc::make_mut(&mut self.request).messages
    }

    /// One turn: attempt after attempt, as long as the route has one that can help. `None`: it was cut off.
    async fn turn(&mut self) -> Result<Option<Finish>, ErrorInfo> {
        let turn_start = self.recorder.writer.log().tail();
        self.turn_start = Some(turn_start);
        self.recorder.begin_turn();
        self.walk.begin_turn();
        let mut continues = false;
        loop {
            let target = self.walk.target().clone();
            target.aim(Arc::make_mut(&mut self.request), &self.options);
            let mut request = self.request.clone();
            let mut joint = None;
            if continues {
                let text = self.recorder.writer.log().text_after(turn_start);
                let prefills = target.provider.prefills(&request);
                joint = Joint::new(&text, prefills);
                request = Arc::new(continuation::request(&request, &text, prefills));
            }
            self.recorder.begin_attempt(target.provider.name(), continues, joint);
            let result = self.attempt(&*target.provider, &request).await;
            let error = match result {
                Ok(finish) => {
                    self.walk.answered();
                    return Ok(finish);
                }
                Err(error) => error,
            };
            let shown = match self.recorder.shown {
                Shown::Text if !continuation::is_possible(&self.request) => Shown::More,
                shown => shown,
            };
            let Some(next) = self.walk.failed(&error, shown) else { return Err(error) };
            continues = next.continues;
            let target = self.walk.target();
            let (provider, model) = (target.provider.name().to_owned(), target.model.clone());
            let attempt = next.attempt;
            tracing::info!(id = %self.generation.id, provider, code = %error.code, attempt, continues, "another attempt");
            let delay_ms = next.delay.as_millis() as u64;
            self.recorder.event(Event::Retry(Retry { attempt, provider, model, continues, reason: error, delay_ms }));
            if delay_ms > 0 {
                self.enter(Phase::Backoff);
                let generation = self.generation;
                tokio::select! {
                    () = generation.interrupted() => return Ok(None),
                    () = sleep(next.delay) => {}
                }
            }
        }
    }

    /// One attempt at one turn. `None`: it was cut off.
    async fn attempt(&mut self, provider: &dyn Provider, request: &ModelRequest) -> Result<Option<Finish>, ErrorInfo> {
        let price = price::find(&self.hub.config().prices, provider.name(), &request.model);
        self.recorder.bill.open(request, price);
        self.asked_at.get_or_insert_with(Instant::now);
        self.enter(Phase::Asking);
        let result = {
            let silence = pin!(self.generation.progress.silence());
            let interrupted = pin!(self.generation.interrupted());
            tokio::select! {
                biased;
                result = provider.run(request, &mut self.recorder) => Some(result),
                code = Apart::new(silence) => Some(Err(missed(code))),
                () = Apart::new(interrupted) => None,
            }
        };
        self.recorder.writer.release();
        let Some(result) = result else {
            self.recorder.bill.close();
            return Ok(None);
        };
        let answer = &mut self.recorder.answer;
        if answer.skipped > 0 {
            tracing::debug!(
                id = %self.generation.id, provider = provider.name(), messages = answer.skipped,
                "skipped messages that were not understood"
            );
        }
        let mut error = match (result, answer.finish.take()) {
            (Ok(()), Some(finish)) => return Ok(Some(finish)),
            (Ok(()), None) => provider::truncated(),
            (Err(error), _) => error,
        };
        error.provider.get_or_insert_with(|| provider.name().to_owned());
        // Nobody has read a request that was refused, or that never left.
        let is_unread = error.status.is_some_and(|status| status >= 400)
            || matches!(error.code, ErrorCode::NotSupported | ErrorCode::BadField | ErrorCode::ConnectTimeout);
        if is_unread && !self.recorder.bill.has_answer() {
            self.recorder.bill.refused();
        } else {
            self.recorder.bill.close();
        }
        Err(error)
    }

    /// Writes the one terminal event.
    fn seal(mut self, end: End, accumulate: bool) {
        // What a turn has said that did not come to its end, and what came of calls until then.
        self.answered(Vec::new(), None);
        self.take_results();
        let Self { generation, mut recorder, request, asked_at, .. } = self;
        let inputs = {
            let mut control = generation.control();
            control.has_ended = true;
            std::mem::take(&mut control.inputs)
        };
        for PendingInput { input_id, messages } in inputs {
            let state = InputProgress::Dropped;
            recorder.event(Event::Input(InputState { input_id, state, messages }));
        }
        let messages = Arc::unwrap_or_clone(request).messages;
        *generation.transcript.lock().unwrap_or_else(PoisonError::into_inner) = messages;
        let since_start = |at: Instant| at.duration_since(generation.started_at).as_millis() as u64;
        let now = Instant::now();
        let timing = Timing {
            queue_ms: since_start(asked_at.unwrap_or(now)),
            first_token_ms: recorder.first_token_at.map(since_start),
            total_ms: since_start(now),
        };
        let usage = std::mem::take(&mut recorder.bill).total();
        let text = accumulate.then(|| recorder.writer.log().text_after(0));
        recorder.seal(match end {
            End::Finished(reason, provider_reason) => {
                Event::Finished(Finished { reason, provider_reason, usage, timing, text })
            }
            End::Cancelled(by, reason) => Event::Cancelled(Cancelled { by, reason, usage, timing, text }),
            End::Failed(error) => {
                tracing::info!(id = %generation.id, code = %error.code, "generation failed");
                Event::Failed(Failed { error, usage, timing, text })
            }
        });
    }

    /// Changes the phase, and lets the watching half see the new deadline.
    fn enter(&self, phase: Phase) {
        self.generation.progress.enter(phase);
        self.generation.attention.notify_one();
    }
}
