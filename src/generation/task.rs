//! The task of a generation: the one place that appends to its log.
//!
//! Two halves are raced in one task. [`Task::turns`] asks the provider, turn by turn, and
//! appends what it says. [`watch`] waits for everything that ends a generation early: a
//! cancel, a deadline, nobody being attached. Whichever comes first ends it; dropping the
//! other half drops the provider's future, and with it the connection to the provider. Every
//! way out then passes the same few lines that write the bill and seal the log.

use std::{borrow::Cow, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokenwire_protocol::{
    Cancelled, CancelledBy, Delta, ErrorCode, ErrorInfo, Event, Failed, FinishReason, Finished, Logprobs, Media, Raw,
    Retry, ServerToolCall, ServerToolResult, Start, Started, Timing, ToolCall, ToolCallDelta, ToolResultTaken,
    ToolWait, Warning,
    message::{Message, MessageToolCall, Native, Role},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Generation, ToolAnswer,
    bill::Bill,
    hub::Hub,
    log::{Part, Writer},
    progress::{Deadlines, Phase},
};
use crate::{
    apart::Apart,
    config::RetryConfig,
    provider::{self, MediaSource, ModelEvent, ModelRequest, Provider, Turn},
};

/// What a generation was asked to do.
pub(super) struct Order {
    pub start: Start,
    pub provider: Arc<dyn Provider>,
    /// The provider's name of the model.
    pub model: String,
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
    let accumulate = order.start.accumulate;
    let deadlines = order.deadlines;
    let mut task = Task::new(&hub, &generation, writer);
    task.event(Event::Started(Started {
        epoch: generation.log.epoch().clone(),
        model: order.model.clone(),
        provider: order.provider.name().to_owned(),
    }));
    let end = {
        // Tokens wake the turns; the watching half needs no look then.
        let watch = pin!(watch(&generation, &deadlines));
        tokio::select! {
            biased;
            // First, so that what was cancelled before it began contacts no provider.
            end = Apart::new(watch) => end,
            // A provider or a hook that panics must not leave a generation without an end.
            end = AssertUnwindSafe(task.turns(order)).catch_unwind() => end.unwrap_or_else(|_| {
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
    writer: Writer,
    bill: Bill,
    /// When the first request went to a provider.
    asked_at: Option<Instant>,
    first_token_at: Option<Instant>,
    /// Tool calls of earlier turns: the index of this turn's first one.
    calls_before: u32,
    /// Media of earlier turns.
    media_before: u32,
    /// What was left out of a request already said.
    warned: Vec<Warning>,
    turn: TurnState,
}

/// What one attempt at a turn brought.
#[derive(Default)]
struct TurnState {
    /// Who is asked.
    provider: String,
    /// Whether anything reached the log: then there is no second attempt.
    is_shown: bool,
    calls: Vec<MessageToolCall>,
    finish: Option<(FinishReason, Option<String>)>,
    /// The answer as the provider needs to see it again.
    native: Option<Box<Native>>,
    media: u32,
    skipped: u32,
}

impl<'a> Task<'a> {
    fn new(hub: &'a Hub, generation: &'a Generation, writer: Writer) -> Self {
        Self {
            hub,
            generation,
            writer,
            bill: Bill::default(),
            asked_at: None,
            first_token_at: None,
            calls_before: 0,
            media_before: 0,
            warned: Vec::new(),
            turn: TurnState::default(),
        }
    }

    /// Turn after turn, until the model has nothing more to do.
    async fn turns(&mut self, order: Order) -> Result<End, ErrorInfo> {
        let Order { start, provider, model, deadlines } = order;
        let end_at_tool_calls = start.end_at_tool_calls;
        let mut request = ModelRequest {
            model,
            connect_timeout: deadlines.connect,
            ..ModelRequest::from_start(start, provider.name())
        };
        for _ in 0..self.hub.config().limits.max_turns {
            let turn_start = self.writer.log().tail();
            let (reason, provider_reason) = {
                self.enter(Phase::Queued);
                let _running = self.hub.running().await;
                self.turn(&*provider, &request).await?
            };
            if let Some(usage) = self.bill.close() {
                self.event(Event::Usage(usage));
            }
            let calls = std::mem::take(&mut self.turn.calls);
            self.calls_before += calls.len() as u32;
            self.media_before += self.turn.media;
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
            let native = self.turn.native.take().filter(|_| waits || calls.is_empty());
            let text = self.writer.log().text_after(turn_start);
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

    /// One turn, with another attempt where that can help and nothing was shown.
    async fn turn(
        &mut self,
        provider: &dyn Provider,
        request: &ModelRequest,
    ) -> Result<(FinishReason, Option<String>), ErrorInfo> {
        let retry = self.hub.config().retry;
        let mut attempt = 1;
        loop {
            self.turn = TurnState { provider: provider.name().to_owned(), ..TurnState::default() };
            self.bill.open(request);
            self.asked_at.get_or_insert_with(Instant::now);
            self.enter(Phase::Asking);
            let result = provider.run(request, self).await;
            self.writer.release();
            if self.turn.skipped > 0 {
                tracing::debug!(
                    id = %self.generation.id, provider = provider.name(), messages = self.turn.skipped,
                    "skipped messages that were not understood"
                );
            }
            let mut error = match (result, self.turn.finish.take()) {
                (Ok(()), Some(finish)) => return Ok(finish),
                (Ok(()), None) => provider::truncated(),
                (Err(error), _) => error,
            };
            error.provider.get_or_insert_with(|| provider.name().to_owned());
            if error.status.is_some_and(|status| status >= 400) && !self.turn.is_shown {
                self.bill.refused();
            } else {
                self.bill.close();
            }
            if self.turn.is_shown || !error.retryable || attempt >= retry.attempts {
                return Err(error);
            }
            let Some(delay) = backoff(&retry, attempt, error.retry_after_ms) else { return Err(error) };
            attempt += 1;
            tracing::info!(id = %self.generation.id, provider = provider.name(), code = %error.code, attempt, "retrying");
            self.event(Event::Retry(Retry {
                attempt,
                provider: provider.name().to_owned(),
                model: request.model.clone(),
                continues: false,
                reason: error,
                delay_ms: delay.as_millis() as u64,
            }));
            self.enter(Phase::Backoff);
            sleep(delay).await;
        }
    }

    /// Waits until every call has its result. The deadline and cancelling are [`watch`]'s.
    async fn tool_answers(&mut self, calls: &[MessageToolCall]) -> Vec<Message> {
        let ids: Vec<Arc<str>> = calls.iter().map(|call| call.id.as_str().into()).collect();
        self.generation.control().calls = ids.iter().map(|id| (id.clone(), None)).collect();
        self.event(Event::ToolWait(ToolWait { call_ids: ids.clone() }));
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
                self.event(Event::ToolResult(ToolResultTaken { call_id, content, is_error }));
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
        let Self { hub, generation, writer, bill, asked_at, first_token_at, .. } = self;
        generation.control().has_ended = true;
        let since_start = |at: Instant| at.duration_since(generation.started_at).as_millis() as u64;
        let now = Instant::now();
        let timing = Timing {
            queue_ms: since_start(asked_at.unwrap_or(now)),
            first_token_ms: first_token_at.map(since_start),
            total_ms: since_start(now),
        };
        let usage = bill.total();
        let text = accumulate.then(|| writer.log().text_after(0));
        let event = match end {
            End::Finished(reason, provider_reason) => {
                Event::Finished(Finished { reason, provider_reason, usage, timing, text })
            }
            End::Cancelled(by, reason) => Event::Cancelled(Cancelled { by, reason, usage, timing, text }),
            End::Failed(error) => {
                tracing::info!(id = %generation.id, code = %error.code, "generation failed");
                Event::Failed(Failed { error, usage, timing, text })
            }
        };
        let seq = writer.log().tail() + 1;
        // Before sealing, so that a hook has seen every event when a client sees the end.
        for hook in hub.hooks() {
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| hook.on_event(generation, seq, &event)));
        }
        writer.seal(event);
    }

    /// Changes the phase, and lets the watching half see the new deadline.
    fn enter(&self, phase: Phase) {
        self.generation.progress.enter(phase);
        self.generation.attention.notify_one();
    }

    fn event(&mut self, event: Event) {
        let seq = self.writer.log().tail() + 1;
        self.tell_hooks(seq, &event);
        if self.writer.event(event).is_err() {
            self.fail_full();
        }
    }

    /// The model said something.
    fn shown(&mut self) {
        let progress = &self.generation.progress;
        if progress.phase() == Phase::Asking {
            self.first_token_at.get_or_insert_with(Instant::now);
            self.enter(Phase::Streaming);
        } else {
            progress.touch();
        }
        self.turn.is_shown = true;
    }

    /// Appends something that the model said at once.
    fn said(&mut self, event: Event) {
        self.shown();
        self.event(event);
    }

    fn delta(&mut self, part: &Part, delta: &str) {
        self.shown();
        self.bill.wrote(delta.len());
        if self.writer.delta(part, delta).is_err() {
            return self.fail_full();
        }
        if !self.hub.hooks().is_empty() {
            let event = match part {
                Part::Text => Event::Text(Delta { delta: delta.to_owned() }),
                Part::Reasoning => Event::Reasoning(Delta { delta: delta.to_owned() }),
                Part::Refusal => Event::Refusal(Delta { delta: delta.to_owned() }),
                Part::Arguments { index, call_id, name } => Event::ToolCallDelta(ToolCallDelta {
                    index: *index,
                    call_id: call_id.clone(),
                    name: name.clone(),
                    delta: delta.to_owned(),
                }),
            };
            self.tell_hooks(self.writer.log().tail(), &event);
        }
    }

    fn tell_hooks(&self, seq: u64, event: &Event) {
        for hook in self.hub.hooks() {
            hook.on_event(self.generation, seq, event);
        }
    }

    /// The log takes no more. What the provider still says is dropped; the watching half ends it.
    fn fail_full(&mut self) {
        let error = ErrorInfo::new(ErrorCode::LogFull, "the generation's log is full");
        self.generation.control().failure.get_or_insert(error);
        self.generation.attention.notify_one();
    }
}

impl Turn for Task<'_> {
    fn emit(&mut self, event: ModelEvent<'_>) {
        match event {
            ModelEvent::Text(delta) => self.delta(&Part::Text, delta),
            ModelEvent::Reasoning(delta) => self.delta(&Part::Reasoning, delta),
            ModelEvent::Refusal(delta) => self.delta(&Part::Refusal, delta),
            ModelEvent::ToolCallDelta { index, call_id, name, delta } => {
                let index = self.calls_before + index;
                self.delta(&Part::Arguments { index, call_id: call_id.clone(), name: name.clone() }, delta);
            }
            ModelEvent::ToolCall { index, call_id, name, arguments } => {
                let text = if arguments.trim().is_empty() { "{}" } else { arguments };
                let parsed = serde_json::from_str(text);
                let invalid = parsed.is_err();
                self.turn.calls.push(MessageToolCall::new(&**call_id, &**name, text));
                let index = self.calls_before + index;
                self.said(Event::ToolCall(ToolCall {
                    index,
                    call_id: call_id.clone(),
                    name: name.clone(),
                    arguments: parsed.unwrap_or_else(|_| text.into()),
                    invalid,
                }));
            }
            ModelEvent::ServerToolCall { call_id, name, arguments } => self
                .said(Event::ServerToolCall(ServerToolCall { call_id: call_id.into(), name: name.into(), arguments })),
            ModelEvent::ServerToolResult { call_id, name, result, is_error } => {
                self.said(Event::ServerToolResult(ServerToolResult {
                    call_id: call_id.into(),
                    name: name.into(),
                    result,
                    is_error,
                }))
            }
            ModelEvent::Citation(citation) => self.said(Event::Citation(citation)),
            ModelEvent::Media { index, media_type, source, has_more } => {
                self.turn.media = self.turn.media.max(index + 1);
                let (data, url) = match source {
                    MediaSource::Data(data) => (Some(data.into_owned()), None),
                    MediaSource::Url(url) => (None, Some(url.into_owned())),
                };
                let index = self.media_before + index;
                self.said(Event::Media(Media { index, media_type: media_type.into_owned(), data, url, has_more }));
            }
            ModelEvent::Logprobs(tokens) => self.said(Event::Logprobs(Logprobs { tokens })),
            ModelEvent::Native(content) => {
                let native = Native { provider: self.turn.provider.clone(), content };
                self.turn.native = Some(Box::new(native.clone()));
                self.event(Event::Native(native));
            }
            ModelEvent::Warning(warning) => {
                // Every attempt and every turn would say it again.
                if !self.warned.contains(&warning) {
                    self.warned.push(warning.clone());
                    self.event(Event::Warning(warning));
                }
            }
            ModelEvent::Raw(message) => {
                let data = serde_json::from_str(message.data).unwrap_or_else(|_| message.data.into());
                let event = (!message.event.is_empty()).then(|| message.event.to_owned());
                self.event(Event::Raw(Raw { event, data }));
            }
            ModelEvent::Usage(usage) => self.bill.count(usage),
            ModelEvent::Finish { reason, provider_reason } => {
                self.turn.finish = Some((reason, provider_reason.map(Cow::into_owned)));
            }
        }
    }

    fn hold(&mut self) {
        self.writer.hold();
    }

    fn release(&mut self) {
        self.writer.release();
    }

    fn skipped(&mut self) {
        self.turn.skipped += 1;
    }
}

/// How long to wait before the attempt after `attempt`; `None` when the provider asks for longer than is allowed.
fn backoff(retry: &RetryConfig, attempt: u32, retry_after_ms: Option<u64>) -> Option<Duration> {
    match retry_after_ms {
        Some(ms) if ms > retry.max_ms => None,
        Some(ms) => Some(Duration::from_millis(ms)),
        None => {
            let ceiling = retry.base_ms.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(retry.max_ms);
            // Half of it is fixed and half random, so that many generations do not come back at once.
            let random = u64::from(uuid::Uuid::new_v4().as_u64_pair().0 as u32);
            let jitter = (ceiling / 2 * random) >> 32;
            Some(Duration::from_millis(ceiling / 2 + jitter))
        }
    }
}
