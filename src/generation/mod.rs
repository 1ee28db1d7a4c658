//! A generation: one answer being made. It has a name, one log and exactly one end, and it
//! outlives connections.
//!
//! ```text
//!   session ── start ──► Hub ── spawns ──► task ── asks ──► Provider
//!      │                  │                  │ appends
//!      │ cancel, attach   ▼                  ▼
//!      └───────────► Generation ──────────► Log ◄── Reader (in a session)
//! ```
//!
//! [`Generation`] is the handle that everybody else holds: its verbs change what the task sees
//! at its next look. The task is the one place that appends. [`hub`] knows who owns what.
//! [`bill`] adds up what it cost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use tokenwire_protocol::{
    CancelledBy, ConversationId, ErrorCode, ErrorInfo, Event, GenerationId, OnDisconnect, Start, message::Content,
    message::Message,
};
use tokio::{sync::Notify, time::Instant};

use crate::auth::Principal;

pub mod bill;
mod called;
mod calls;
pub mod frame;
pub mod hub;
pub mod log;
mod object;
mod price;
mod progress;
pub(crate) mod readers;
mod recorder;
mod task;
mod transcript;

use log::{Log, Reader, Writer};
use progress::Progress;

/// Called on every event of every generation, in order, by the generation's own task.
///
/// This is what an `on_token` callback is elsewhere. It must not block: the task waits for it,
/// and with it every generation and session of the same thread.
pub trait Hook: Send + Sync + 'static {
    /// One event was appended at `seq`.
    fn on_event(&self, generation: &Generation, seq: u64, event: &Event);
}

/// The handle of a generation.
pub struct Generation {
    id: GenerationId,
    principal: Principal,
    conversation: Option<ConversationId>,
    log: Arc<Log>,
    on_disconnect: Option<Duration>,
    metadata: Arc<Map<String, Value>>,
    /// The tools that the server runs.
    served: Box<[Arc<str>]>,
    started_at: Instant,
    /// Wakes the task out of whatever it waits for.
    attention: Arc<Notify>,
    /// A tool result or a decision came.
    answered: Notify,
    /// The running turn is to be cut off.
    interrupted: Notify,
    /// The conversation, from the end on.
    transcript: Mutex<Vec<Message>>,
    progress: Progress,
    control: Mutex<Control>,
}

/// What others ask of the task.
#[derive(Default)]
struct Control {
    cancel: Option<(CancelledBy, Option<String>)>,
    /// Tool calls that a client has to answer, with their results so far.
    calls: HashMap<Arc<str>, Option<ToolAnswer>>,
    /// Results that were taken and are not in the log yet.
    answered: Vec<Arc<str>>,
    /// Tool calls that somebody has to decide on, with the decisions so far.
    approvals: HashMap<Arc<str>, Option<Decision>>,
    /// Decisions that were taken and are not in the log yet.
    decided: Vec<Arc<str>>,
    /// Calls of earlier waits that have their result: who is late with another one should know.
    resolved: HashSet<Arc<str>>,
    /// What waits for the next turn.
    inputs: Vec<PendingInput>,
    /// The name of every input that was ever taken.
    input_ids: HashSet<Arc<str>>,
    /// The running turn is to be cut off, because one of the inputs says so.
    interrupt: bool,
    /// A fault found while appending.
    failure: Option<ErrorInfo>,
    has_ended: bool,
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub(crate) struct ToolAnswer {
    pub content: Content,
    pub is_error: bool,
}

/// What somebody decided on a tool call.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// It is carried out, with these arguments in place of the model's.
    Approved(Option<Map<String, Value>>),
    /// It is not, and why.
    Denied(Option<String>),
}

/// Messages that wait for the next turn.
struct PendingInput {
    input_id: Arc<str>,
    messages: Vec<Message>,
}

/// Most bytes of a denial's reason that are kept.
const MAX_DENIAL_BYTES: usize = 1024;
/// Most inputs of one generation: their names are kept to its end.
const MAX_INPUTS: usize = 4096;
/// Most bytes of a cancel's reason that are kept.
const MAX_REASON_BYTES: usize = 256;
/// Most messages that wait for a turn boundary. A client that sends more is not steering.
const MAX_PENDING_INPUTS: usize = 64;
/// Most bytes of all of them.
const MAX_PENDING_INPUT_BYTES: usize = 4 << 20;

impl Generation {
    fn new(
        start: &Start,
        served: Box<[Arc<str>]>,
        principal: Principal,
        max_log_bytes: usize,
        disconnect_grace: Duration,
    ) -> (Arc<Self>, Writer) {
        let attention = Arc::new(Notify::new());
        let epoch = short_random();
        let (log, writer) = Log::new(start.id.clone(), epoch.into(), max_log_bytes, attention.clone());
        let generation = Self {
            id: start.id.clone(),
            principal,
            conversation: start.conversation.clone(),
            log,
            on_disconnect: match start.on_disconnect.unwrap_or(OnDisconnect::Cancel) {
                OnDisconnect::Cancel => Some(disconnect_grace),
                OnDisconnect::CancelAfterMs(ms) => Some(Duration::from_millis(ms)),
                OnDisconnect::Continue => None,
            },
            metadata: Arc::new(start.metadata.clone()),
            served,
            started_at: Instant::now(),
            attention,
            answered: Notify::new(),
            interrupted: Notify::new(),
            transcript: Mutex::default(),
            progress: Progress::new(),
            control: Mutex::default(),
        };
        (Arc::new(generation), writer)
    }

    /// Its name.
    pub fn id(&self) -> &GenerationId {
        &self.id
    }

    /// Who owns it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The conversation that it belongs to.
    pub fn conversation(&self) -> Option<&ConversationId> {
        self.conversation.as_ref()
    }

    /// Its log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// What the start frame carried for the application's own use.
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The names of the tools that the server runs for it.
    pub(crate) fn served(&self) -> &[Arc<str>] {
        &self.served
    }

    /// Whether it has asked a client about one of these calls and goes on. What was answered may not be in the log yet.
    pub(crate) fn has_asked_about(&self, call_ids: &HashSet<&str>) -> bool {
        let control = self.control();
        let mut asked = control.calls.keys().chain(control.approvals.keys()).chain(&control.resolved);
        !control.has_ended && asked.any(|id| call_ids.contains(&**id))
    }

    /// Whether a call waits for a client: for a result, or for a decision.
    pub(crate) fn is_waiting(&self) -> bool {
        let control = self.control();
        !control.has_ended
            && (control.calls.values().any(Option::is_none) || control.approvals.values().any(Option::is_none))
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.log.is_sealed()
    }

    /// The accumulated text so far.
    pub fn text(&self) -> String {
        self.log.text_after(0)
    }

    /// A reader that continues after `after`.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Gap`] when `epoch` is another log's, or `after` lies beyond this log's end: such a
    /// position comes from a lost past. What was trimmed shows at the reader's first read.
    pub fn attach(&self, after: u64, epoch: Option<&str>) -> Result<Reader, ErrorInfo> {
        if epoch.is_some_and(|epoch| epoch != &**self.log.epoch()) {
            return Err(ErrorInfo::new(ErrorCode::Gap, "the position is from another epoch of this generation")
                .with_field("epoch"));
        }
        let tail = self.log.tail();
        if after > tail {
            return Err(
                ErrorInfo::new(ErrorCode::Gap, format!("the log has only {tail} events so far")).with_field("after")
            );
        }
        Ok(self.log.reader(after))
    }

    /// Stops it. Does nothing when it has ended; the first reason given stays.
    pub fn cancel(&self, by: CancelledBy, reason: Option<String>) {
        let mut control = self.control();
        if control.has_ended || control.cancel.is_some() {
            return;
        }
        control.cancel = Some((by, reason.map(|reason| shortened(reason, MAX_REASON_BYTES))));
        drop(control);
        self.attention.notify_one();
    }

    /// Takes the result of a tool call; the first one for a call wins.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::GenerationEnded`], [`ErrorCode::CallNotFound`] or [`ErrorCode::AlreadyResolved`].
    pub fn tool_result(&self, call_id: &str, content: Content, is_error: bool) -> Result<(), ErrorInfo> {
        let mut control = self.control();
        if control.has_ended {
            return Err(ErrorInfo::new(ErrorCode::GenerationEnded, "the generation has ended"));
        }
        let Some((call, answer)) = control.calls.get_key_value(call_id) else {
            if control.resolved.contains(call_id) {
                let message = "the call has its result already";
                return Err(ErrorInfo::new(ErrorCode::AlreadyResolved, message).with_field("call_id"));
            }
            return Err(ErrorInfo::new(ErrorCode::CallNotFound, "the generation does not wait for this call")
                .with_field("call_id"));
        };
        if answer.is_some() {
            return Err(
                ErrorInfo::new(ErrorCode::AlreadyResolved, "the call has its result already").with_field("call_id")
            );
        }
        let call = call.clone();
        control.calls.insert(call.clone(), Some(ToolAnswer { content, is_error }));
        control.answered.push(call);
        drop(control);
        self.answered.notify_one();
        Ok(())
    }

    /// Takes the decision on a tool call; the first one for a call wins.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::GenerationEnded`], [`ErrorCode::CallNotFound`] or [`ErrorCode::AlreadyResolved`].
    pub(crate) fn decide(&self, call_id: &str, decision: Decision) -> Result<(), ErrorInfo> {
        let mut control = self.control();
        if control.has_ended {
            return Err(ErrorInfo::new(ErrorCode::GenerationEnded, "the generation has ended"));
        }
        let Some((call, decided)) = control.approvals.get_key_value(call_id) else {
            if control.resolved.contains(call_id) {
                let message = "somebody has decided on this call already";
                return Err(ErrorInfo::new(ErrorCode::AlreadyResolved, message).with_field("call_id"));
            }
            return Err(
                ErrorInfo::new(ErrorCode::CallNotFound, "nobody has to decide on this call").with_field("call_id")
            );
        };
        if decided.is_some() {
            let message = "somebody has decided on this call already";
            return Err(ErrorInfo::new(ErrorCode::AlreadyResolved, message).with_field("call_id"));
        }
        let call = call.clone();
        let decision = match decision {
            Decision::Denied(reason) => Decision::Denied(reason.map(|reason| shortened(reason, MAX_DENIAL_BYTES))),
            approved => approved,
        };
        control.approvals.insert(call.clone(), Some(decision));
        control.decided.push(call);
        drop(control);
        self.answered.notify_one();
        Ok(())
    }

    /// Adds messages, which the model sees at its next turn boundary; with `interrupt` that is now. Returns the
    /// input's name: `input_id`, or a new one. One that was taken already is not taken again.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::TooLate`] when there is no next turn, or [`ErrorCode::BadField`] when too many wait already.
    pub fn input(
        &self,
        messages: Vec<Message>,
        input_id: Option<String>,
        interrupt: bool,
    ) -> Result<Arc<str>, ErrorInfo> {
        let mut control = self.control();
        let input_id: Arc<str> = input_id.unwrap_or_else(short_random).into();
        if control.input_ids.contains(&input_id) {
            return Ok(input_id);
        }
        if control.has_ended {
            let message = "the generation has taken its last turn; a start with `continue_from` goes on from it";
            return Err(ErrorInfo::new(ErrorCode::TooLate, message));
        }
        let waiting = || control.inputs.iter().flat_map(|input| &input.messages);
        let bytes: usize = waiting().chain(&messages).map(Message::byte_len).sum();
        if waiting().count() + messages.len() > MAX_PENDING_INPUTS
            || bytes > MAX_PENDING_INPUT_BYTES
            || control.input_ids.len() >= MAX_INPUTS
        {
            return Err(
                ErrorInfo::new(ErrorCode::BadField, "too many messages wait for the next turn").with_field("messages")
            );
        }
        control.input_ids.insert(input_id.clone());
        control.inputs.push(PendingInput { input_id: input_id.clone(), messages });
        control.interrupt |= interrupt;
        drop(control);
        if interrupt {
            self.interrupted.notify_one();
        }
        Ok(input_id)
    }

    /// Waits until the running turn is to be cut off. Cancel-safe.
    async fn interrupted(&self) {
        while !self.control().interrupt {
            self.interrupted.notified().await;
        }
    }

    /// The conversation that it ended with: the messages of its start, and all that was said since. Empty until then.
    pub fn transcript(&self) -> Vec<Message> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes are kept of it.
    fn bytes(&self) -> usize {
        let transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata: usize = self.metadata.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
        self.log.bytes() + transcript.iter().map(Message::byte_len).sum::<usize>() + metadata
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // No code that holds this lock can panic half-way through a change.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text, cut to that many bytes at most.
pub(crate) fn shortened(mut reason: String, max_bytes: usize) -> String {
    let end = (0..=max_bytes.min(reason.len())).rev().find(|&at| reason.is_char_boundary(at));
    reason.truncate(end.unwrap_or(0));
    reason.shrink_to_fit();
    reason
}

/// 12 characters of randomness, for names that need not be secret.
pub(crate) fn short_random() -> String {
    let mut random = uuid::Uuid::new_v4().simple().to_string();
    random.truncate(12);
    random
}
