//! The task of a generation: turns, attempts, and the end.
//!
//! Two halves are raced in one task. [`Task::turns`] asks providers, turn by turn; what they say is appended by
//! the [`Recorder`], and whom to ask after a failure is the [`Walk`]'s to say. [`watch`] waits for everything
//! that ends a generation early: a cancel, a deadline, nobody being attached. Whichever comes first ends it;
//! dropping the other half drops the provider's future, and with it the connection to the provider. Every
//! way out then passes the same few lines that write the bill and seal the log.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokenwire_protocol::{
    Cancelled, CancelledBy, ErrorCode, ErrorInfo, Event, Failed, FinishReason, Finished, Retry, Start, Started, Timing,
    ToolResultTaken, ToolWait,
    message::{Message, MessageToolCall, Role},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Generation, ToolAnswer,
    hub::Hub,
    log::Writer,
    price,
    progress::{Deadlines, Phase},
    recorder::{Answer, Recorder},
};
use crate::{
    apart::Apart,
    provider::{self, ModelRequest, Provider},
    route::{
        Route, Shown, Walk,
        continuation::{self, Joint},
    },
};

/// What a generation was asked to do.
pub(super) struct Order {
    pub start: Start,
    pub route: Arc<Route>,
    pub deadlines: Deadlines,
}

/// Why a generation ended.
enum End {
    Finished(FinishReason, Option<String>),
    Cancelled(CancelledBy, Option<String>),
    Failed(ErrorInfo),
}

/// Runs a generation to its end. Not cancel-safe: dropped before its end, it leaves an unsealed log.
pub(super) async fn run(hub: Arc<Hub>, generation: Arc<Generation>, writer: Writer, order: Order) {
    let Order { start, route, deadlines } = order;
    let accumulate = start.accumulate;
    let mut task = Task {
        hub: &hub,
        generation: &generation,
        recorder: Recorder::new(&hub, &generation, writer),
        walk: Walk::new(route, hub.config().retry),
        asked_at: None,
    };
    let first = task.walk.target();
    let (provider, model) = (first.provider.name().to_owned(), first.model.clone());
    task.recorder.event(Event::Started(Started { epoch: generation.log.epoch().clone(), model, provider }));
    let end = {
        // Tokens wake the turns; the watching half needs no look then.
        let watch = pin!(watch(&generation, &deadlines));
        tokio::select! {
            biased;
            // First, so that what was cancelled before it began contacts no provider.
            end = Apart::new(watch) => end,
            // A provider or a hook that panics must not leave a generation without an end.
            end = AssertUnwindSafe(task.turns(start, deadlines.connect)).catch_unwind() => end.unwrap_or_else(|_| {
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
    /// When the first request went to a provider.
    asked_at: Option<Instant>,
}

/// Why a turn ended, and the provider's own word for it.
type Finish = (FinishReason, Option<String>);

impl Task<'_> {
    /// Turn after turn, until the model has nothing more to do.
    async fn turns(&mut self, mut start: Start, connect_timeout: Duration) -> Result<End, ErrorInfo> {
        let end_at_tool_calls = start.end_at_tool_calls;
        let options = std::mem::take(&mut start.provider_options);
        let mut request = ModelRequest { connect_timeout, ..ModelRequest::from_start(start, "") };
        for _ in 0..self.hub.config().limits.max_turns {
            let turn_start = self.recorder.writer.log().tail();
            let (reason, provider_reason) = {
                self.enter(Phase::Queued);
                let _running = self.hub.running().await;
                self.turn(&mut request, &options).await?
            };
            if let Some(usage) = self.recorder.bill.close_turn() {
                self.recorder.event(Event::Usage(usage));
            }
            let Answer { calls, native, .. } = self.recorder.end_turn();
            let waits = reason == FinishReason::ToolCalls && !end_at_tool_calls && !calls.is_empty();
            let answers = if waits { self.tool_answers(&calls).await } else { Vec::new() };
            let inputs = {
                let mut control = self.generation.control();
                let goes_on = waits || (!control.inputs.is_empty() && reason != FinishReason::ContentFilter);
                if !goes_on {
                    // Under the lock, so that an input is either taken into a turn or refused, never lost.
                    control.has_ended = true;
                    return Ok(End::Finished(reason, provider_reason));
                }
                std::mem::take(&mut control.inputs)
            };
            // A call that nobody answers is left out of the conversation, and what holds it with it.
            let native = native.filter(|_| waits || calls.is_empty());
            let text = self.recorder.writer.log().text_after(turn_start);
            let mut answer = Message::text(Role::Assistant, text);
            answer.content = answer.content.filter(|content| content.byte_len() > 0);
            answer.tool_calls = if waits { calls } else { Vec::new() };
            answer.native = native;
            if answer.content.is_some() || !answer.tool_calls.is_empty() {
                request.messages.push(answer);
            }
            request.messages.extend(answers);
            request.messages.extend(inputs);
        }
        Err(ErrorInfo::new(ErrorCode::TooManyTurns, "the tool loop took too many turns"))
    }

    /// One turn: attempt after attempt, as long as the route has one that can help.
    async fn turn(&mut self, request: &mut ModelRequest, options: &Map<String, Value>) -> Result<Finish, ErrorInfo> {
        let turn_start = self.recorder.writer.log().tail();
        self.recorder.begin_turn();
        self.walk.begin_turn();
        let mut continues = false;
        loop {
            let target = self.walk.target().clone();
            target.aim(request, options);
            let result = if continues {
                let text = self.recorder.writer.log().text_after(turn_start);
                let prefills = target.provider.prefills(request);
                self.recorder.begin_attempt(target.provider.name(), true, Joint::new(&text, prefills));
                self.attempt(&*target.provider, &continuation::request(request, &text, prefills)).await
            } else {
                self.recorder.begin_attempt(target.provider.name(), false, None);
                self.attempt(&*target.provider, request).await
            };
            let error = match result {
                Ok(finish) => {
                    self.walk.answered();
                    return Ok(finish);
                }
                Err(error) => error,
            };
            let shown = match self.recorder.shown {
                Shown::Text if !continuation::is_possible(request) => Shown::More,
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
                sleep(next.delay).await;
            }
        }
    }

    /// One attempt at one turn.
    async fn attempt(&mut self, provider: &dyn Provider, request: &ModelRequest) -> Result<Finish, ErrorInfo> {
        let price = price::find(&self.hub.config().prices, provider.name(), &request.model);
        self.recorder.bill.open(request, price);
        self.asked_at.get_or_insert_with(Instant::now);
        self.enter(Phase::Asking);
        let result = {
            let silence = pin!(self.generation.progress.silence());
            tokio::select! {
                biased;
                result = provider.run(request, &mut self.recorder) => result,
                code = Apart::new(silence) => Err(missed(code)),
            }
        };
        self.recorder.writer.release();
        let answer = &mut self.recorder.answer;
        if answer.skipped > 0 {
            tracing::debug!(
                id = %self.generation.id, provider = provider.name(), messages = answer.skipped,
                "skipped messages that were not understood"
            );
        }
        let mut error = match (result, answer.finish.take()) {
            (Ok(()), Some(finish)) => return Ok(finish),
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

    /// Waits until every call has its result. The deadline and cancelling are [`watch`]'s.
    async fn tool_answers(&mut self, calls: &[MessageToolCall]) -> Vec<Message> {
        let ids: Vec<Arc<str>> = calls.iter().map(|call| call.id.as_str().into()).collect();
        self.generation.control().calls = ids.iter().map(|id| (id.clone(), None)).collect();
        self.recorder.event(Event::ToolWait(ToolWait { call_ids: ids.clone() }));
        self.enter(Phase::Tools);
        let answers = loop {
            let (taken, answers) = {
                let mut control = self.generation.control();
                let taken: Vec<_> = std::mem::take(&mut control.answered)
                    .into_iter()
                    .filter_map(|id| Some((id.clone(), control.calls.get(&id)?.clone()?)))
                    .collect();
                let answers: Option<Vec<ToolAnswer>> = ids.iter().map(|id| control.calls.get(id)?.clone()).collect();
                (taken, answers)
            };
            for (call_id, ToolAnswer { content, is_error }) in taken {
                self.recorder.event(Event::ToolResult(ToolResultTaken {
                    call_id,
                    content,
                    is_error,
                    by_server: false,
                }));
            }
            match answers {
                Some(answers) => break answers,
                None => self.generation.answered.notified().await,
            }
        };
        let messages = ids.iter().zip(answers).map(|(id, answer)| {
            let mut message = Message::text(Role::Tool, "");
            message.content = Some(answer.content);
            message.tool_call_id = Some(id.to_string());
            if answer.is_error {
                message.extra.insert("is_error".to_owned(), true.into());
            }
            message
        });
        messages.collect()
    }

    /// Writes the one terminal event.
    fn seal(self, end: End, accumulate: bool) {
        let Self { generation, mut recorder, asked_at, .. } = self;
        generation.control().has_ended = true;
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
