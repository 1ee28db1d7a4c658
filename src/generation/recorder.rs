//! How what a model says gets into the log: the one place that appends events of a generation.
//!
//! The [`Recorder`] is the [`Turn`] that providers emit into. It numbers tool calls and media through all turns,
//! tells hooks, counts for the bill, and remembers what the conversation needs of the turn.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use serde_json::Value;
use tokenwire_protocol::{
    Delta, ErrorCode, ErrorInfo, Event, FinishReason, Logprobs, Media, Raw, ServerToolCall, ServerToolResult, ToolCall,
    ToolCallDelta, Warning,
    message::{Message, MessageToolCall, Native},
};
use tokio::time::Instant;

use super::{
    Generation,
    bill::Bill,
    hub::Hub,
    log::{Part, Writer},
    object::Structured,
    progress::Phase,
};
use crate::{
    provider::{MediaSource, ModelEvent, Turn},
    route::{Shown, continuation::Joint},
};

/// Appends what happens in a generation.
pub(super) struct Recorder<'a> {
    hub: &'a Hub,
    generation: &'a Generation,
    pub writer: Writer,
    pub bill: Bill,
    pub first_token_at: Option<Instant>,
    /// What the turn has brought to the log, over all of its attempts.
    pub shown: Shown,
    /// What the attempt brought that the conversation needs.
    pub answer: Answer,
    /// Where the text of this attempt meets that of the one before, until that is found.
    joint: Option<Joint>,
    /// Whether the attempt goes on with the text of another one.
    is_continued: bool,
    /// Who is asked.
    provider: String,
    /// Tool calls of earlier turns: the index of this turn's first one.
    calls_before: u32,
    /// Media of earlier turns.
    media_before: u32,
    /// What was left out of a request already said.
    warned: Vec<Warning>,
    /// The value that the answer is to be made of.
    object: Option<Box<Structured>>,
}

/// What one attempt at a turn brought, besides its text.
#[derive(Default)]
pub(super) struct Answer {
    pub calls: Vec<MessageToolCall>,
    /// How many calls were shown, also those that did not come to their end: their indexes are taken.
    shown_calls: u32,
    pub finish: Option<(FinishReason, Option<String>)>,
    /// The answer as the provider needs to see it again.
    pub native: Option<Box<Native>>,
    /// Messages that were not understood.
    pub skipped: u32,
    media: u32,
}

impl<'a> Recorder<'a> {
    pub fn new(hub: &'a Hub, generation: &'a Generation, writer: Writer) -> Self {
        Self {
            hub,
            generation,
            writer,
            bill: Bill::default(),
            first_token_at: None,
            shown: Shown::Nothing,
            answer: Answer::default(),
            joint: None,
            is_continued: false,
            provider: String::new(),
            calls_before: 0,
            media_before: 0,
            warned: Vec::new(),
            object: None,
        }
    }

    /// The answer is to be a value as `response_format` says.
    pub fn expect_object(&mut self, response_format: Option<&Value>) {
        self.object = response_format.and_then(Structured::new).map(Box::new);
    }

    /// The turn that said `text` is the last one, if the value fits. What to say to the model if it does not.
    pub fn end_object(&mut self, text: &str) -> Option<Message> {
        let (object, repair) = self.object.as_ref()?.end(text);
        self.event(Event::Object(object));
        repair
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.shown = Shown::Nothing;
        if let Some(object) = &mut self.object {
            object.begin();
        }
    }

    /// An attempt begins at `provider`. `joint`: it goes on with the text of the one before.
    pub fn begin_attempt(&mut self, provider: &str, is_continued: bool, joint: Option<Joint>) {
        provider.clone_into(&mut self.provider);
        self.is_continued = is_continued;
        self.joint = joint;
        self.answer = Answer::default();
    }

    /// The turn has come to its end: what it brought.
    pub fn end_turn(&mut self) -> Answer {
        let answer = std::mem::take(&mut self.answer);
        self.calls_before += answer.shown_calls;
        self.media_before += answer.media;
        answer
    }

    /// Appends an event that is neither a delta nor terminal.
    pub fn event(&mut self, event: Event) {
        let seq = self.writer.log().tail() + 1;
        self.tell_hooks(seq, &event);
        if self.writer.event(event).is_err() {
            self.fail_full();
        }
    }

    /// Appends the terminal event.
    pub fn seal(self, event: Event) {
        let seq = self.writer.log().tail() + 1;
        // Before sealing, so that a hook has seen every event when a client sees the end.
        for hook in self.hub.hooks() {
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| hook.on_event(self.generation, seq, &event)));
        }
        self.writer.seal(event);
    }

    /// The model talks.
    fn heard(&mut self) {
        let progress = &self.generation.progress;
        if progress.phase() == Phase::Asking {
            self.first_token_at.get_or_insert_with(Instant::now);
            progress.enter(Phase::Streaming);
            // The watching half has a new deadline to look at.
            self.generation.attention.notify_one();
        } else {
            progress.touch();
        }
    }

    /// Appends something that the model said at once.
    fn said(&mut self, event: Event) {
        self.heard();
        self.end_joint();
        self.shown = Shown::More;
        self.event(event);
    }

    fn delta(&mut self, part: &Part, delta: &str) {
        self.heard();
        self.bill.wrote(delta.len());
        match (part, &mut self.joint) {
            (Part::Text, Some(joint)) => {
                if let Some(rest) = joint.push(delta) {
                    self.joint = None;
                    self.append(part, &rest);
                }
                return;
            }
            (Part::Text | Part::Reasoning, _) => {}
            (Part::Refusal | Part::Arguments { .. }, _) => self.end_joint(),
        }
        self.append(part, delta);
    }

    /// No more text comes that could change where the attempts meet.
    fn end_joint(&mut self) {
        if let Some(mut joint) = self.joint.take() {
            self.append(&Part::Text, &joint.end());
        }
    }

    fn append(&mut self, part: &Part, delta: &str) {
        match part {
            Part::Text | Part::Reasoning if delta.is_empty() => return,
            Part::Text | Part::Reasoning if self.shown == Shown::Nothing => self.shown = Shown::Text,
            Part::Text | Part::Reasoning => {}
            Part::Refusal | Part::Arguments { .. } => self.shown = Shown::More,
        }
        if self.writer.delta(part, delta).is_err() {
            return self.fail_full();
        }
        if let (Part::Text, Some(object)) = (part, &mut self.object) {
            for change in object.push(delta) {
                self.event(Event::ObjectDelta(change));
            }
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
    pub fn fail_full(&mut self) {
        let error = ErrorInfo::new(ErrorCode::LogFull, "the generation's log is full");
        self.generation.control().failure.get_or_insert(error);
        self.generation.attention.notify_one();
    }
}

impl Turn for Recorder<'_> {
    fn emit(&mut self, event: ModelEvent<'_>) {
        match event {
            ModelEvent::Text(delta) => self.delta(&Part::Text, delta),
            ModelEvent::Reasoning(delta) => self.delta(&Part::Reasoning, delta),
            ModelEvent::Refusal(delta) => self.delta(&Part::Refusal, delta),
            ModelEvent::ToolCallDelta { index, call_id, name, delta } => {
                self.answer.shown_calls = self.answer.shown_calls.max(index + 1);
                let index = self.calls_before + index;
                self.delta(&Part::Arguments { index, call_id: call_id.clone(), name: name.clone() }, delta);
            }
            ModelEvent::ToolCall { index, call_id, name, arguments } => {
                let text = if arguments.trim().is_empty() { "{}" } else { arguments };
                let parsed = serde_json::from_str(text);
                let invalid = parsed.is_err();
                self.answer.calls.push(MessageToolCall::new(&**call_id, &**name, text));
                self.answer.shown_calls = self.answer.shown_calls.max(index + 1);
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
                self.answer.media = self.answer.media.max(index + 1);
                let (data, url) = match source {
                    MediaSource::Data(data) => (Some(data.into_owned()), None),
                    MediaSource::Url(url) => (None, Some(url.into_owned())),
                };
                let index = self.media_before + index;
                self.said(Event::Media(Media { index, media_type: media_type.into_owned(), data, url, has_more }));
            }
            ModelEvent::Logprobs(tokens) => self.said(Event::Logprobs(Logprobs { tokens })),
            // It would stand for the whole answer, and is only that of its second piece.
            ModelEvent::Native(_) if self.is_continued => {}
            ModelEvent::Native(content) => {
                let native = Native { provider: self.provider.clone(), content };
                self.answer.native = Some(Box::new(native.clone()));
                self.said(Event::Native(native));
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
                self.end_joint();
                self.answer.finish = Some((reason, provider_reason.map(Cow::into_owned)));
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
        self.answer.skipped += 1;
    }
}
