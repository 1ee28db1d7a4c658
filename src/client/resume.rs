//! What a client must ask for again after its connection dropped.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use tokenwire_protocol::{
    Approve, Attach, Cancel, ClientFrame, Deny, ErrorCode, ErrorFrame, Event, EventFrame, GenerationId, Input,
    InputAccepted, Start, ToolResult,
};

/// The generations that have not ended, as far as this client has seen.
#[derive(Default)]
pub(super) struct Unfinished(BTreeMap<GenerationId, Progress>);

/// How far a generation has been seen, and what of the client's the server has not confirmed.
#[derive(Default)]
struct Progress {
    /// Until the server's `started`.
    start: Option<Box<Start>>,
    /// The last seq seen.
    after: u64,
    epoch: Option<Arc<str>>,
    /// Until the terminal event.
    cancel: Option<Cancel>,
    /// Results and decisions, until the server's `tool_result` or `tool_decision` for the call.
    answers: Vec<ClientFrame>,
    /// Whether `answers` were sent more than once, so that a refusal of one means that it had arrived.
    has_repeated_answers: bool,
    /// Inputs, until they were accepted.
    inputs: Vec<Input>,
}

impl Unfinished {
    /// Notes what was asked of the server.
    pub fn asked(&mut self, frame: ClientFrame) {
        match frame {
            ClientFrame::Start(start) => {
                let progress = self.0.entry(start.id.clone()).or_default();
                if progress.after == 0 {
                    progress.start = Some(start);
                }
            }
            ClientFrame::Attach(Attach { id, after, epoch }) => {
                let progress = self.0.entry(id).or_default();
                progress.after = after;
                progress.epoch = epoch.map(Into::into);
            }
            ClientFrame::Cancel(cancel) if cancel.all => {
                for (id, progress) in &mut self.0 {
                    progress.cancel = Some(Cancel { id: Some(id.clone()), all: false, reason: cancel.reason.clone() });
                }
            }
            ClientFrame::Cancel(cancel) => {
                if let Some(progress) = cancel.id.as_ref().and_then(|id| self.0.get_mut(id)) {
                    progress.cancel = Some(cancel);
                }
            }
            ClientFrame::ToolResult(ToolResult { ref id, .. })
            | ClientFrame::Approve(Approve { ref id, .. })
            | ClientFrame::Deny(Deny { ref id, .. }) => {
                if let Some(progress) = self.0.get_mut(id) {
                    progress.answers.push(frame);
                }
            }
            // Without a name it could be taken twice.
            ClientFrame::Input(input) if input.input_id.is_some() => {
                if let Some(progress) = self.0.get_mut(&input.id) {
                    progress.inputs.push(input);
                }
            }
            ClientFrame::Detach(detach) => {
                self.0.remove(&detach.id);
            }
            ClientFrame::Input(_) | ClientFrame::Watch(_) | ClientFrame::Unwatch(_) | ClientFrame::Ping(_) => {}
        }
    }

    /// Notes an event. Whether it is new.
    pub fn received(&mut self, frame: &EventFrame) -> bool {
        let Some(progress) = self.0.get_mut(&frame.id) else { return true };
        if frame.seq <= progress.after {
            return false;
        }
        progress.after = frame.seq;
        match &frame.event {
            Event::Started(started) => {
                progress.start = None;
                progress.epoch = Some(started.epoch.clone());
            }
            Event::ToolResult(taken) => progress.answers.retain(|answer| !is_about(answer, &taken.call_id, true)),
            Event::ToolDecision(taken) => progress.answers.retain(|answer| !is_about(answer, &taken.call_id, false)),
            event if event.is_terminal() => {
                self.0.remove(&frame.id);
            }
            _ => {}
        }
        true
    }

    /// Notes that an input was taken.
    pub fn accepted(&mut self, accepted: &InputAccepted) {
        if let Some(progress) = self.0.get_mut(&accepted.id) {
            progress.inputs.retain(|input| input.input_id.as_ref() != Some(&accepted.input_id));
        }
    }

    /// Notes the position of an event that could not be read.
    pub fn skipped(&mut self, text: &str) {
        #[derive(Deserialize)]
        struct Position {
            id: GenerationId,
            seq: u64,
        }
        if let Ok(Position { id, seq }) = serde_json::from_str(text)
            && let Some(progress) = self.0.get_mut(&id)
        {
            progress.after = progress.after.max(seq);
        }
    }

    /// Notes a refusal. Whether the caller needs to know.
    pub fn refused(&mut self, refused: &ErrorFrame) -> bool {
        let Some(id) = &refused.id else { return true };
        let Some(progress) = self.0.get_mut(id) else { return true };
        match refused.error.code {
            ErrorCode::AlreadyResolved | ErrorCode::CallNotFound => !progress.has_repeated_answers,
            ErrorCode::GenerationNotFound | ErrorCode::Gap | ErrorCode::TooManyAttachments => {
                self.0.remove(id);
                true
            }
            // A start that was refused has made nothing.
            _ if progress.start.is_some() => {
                self.0.remove(id);
                true
            }
            _ => true,
        }
    }

    /// What to send on a new connection.
    pub fn frames(&mut self) -> Vec<ClientFrame> {
        let mut frames = Vec::new();
        for (id, progress) in &mut self.0 {
            frames.push(match &progress.start {
                Some(start) => ClientFrame::Start(start.clone()),
                None => ClientFrame::Attach(Attach {
                    id: id.clone(),
                    after: progress.after,
                    epoch: progress.epoch.as_deref().map(str::to_owned),
                }),
            });
            progress.has_repeated_answers |= !progress.answers.is_empty();
            frames.extend(progress.answers.iter().cloned());
            frames.extend(progress.inputs.iter().cloned().map(ClientFrame::Input));
            frames.extend(progress.cancel.clone().map(ClientFrame::Cancel));
        }
        frames
    }
}

/// Whether a frame is about that call: a result, or with `is_result` also a decision that came before one.
fn is_about(frame: &ClientFrame, call: &str, is_result: bool) -> bool {
    match frame {
        ClientFrame::ToolResult(result) => is_result && result.call_id == call,
        ClientFrame::Approve(Approve { call_id, .. }) | ClientFrame::Deny(Deny { call_id, .. }) => call_id == call,
        _ => false,
    }
}
