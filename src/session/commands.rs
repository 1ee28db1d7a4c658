//! What each frame of a native client does, and the verbs that the other dialects share.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokenwire_protocol::{
    Approve, Attach, Cancel, ClientFrame, ConnectionFrame, Deny, Detach, ErrorCode, ErrorInfo, GenerationId, Input,
    InputAccepted, Pong, Start, ToolResult,
};

use super::{AttachmentId, End, Session, outbox::Out};
use crate::{
    dialect::{Dialect, View},
    generation::{Decision, Generation},
};

impl Session {
    /// Carries out one frame. `Err` ends the connection; what is wrong with a frame is only answered.
    pub(super) fn command(&self, text: &str) -> Result<(), End> {
        match &self.dialect {
            Dialect::Native => self.native(text),
            Dialect::AiSdk(settings) => self.ai_sdk(settings, text),
        }
    }

    fn native(&self, text: &str) -> Result<(), End> {
        let frame = match ClientFrame::parse(text) {
            Ok(frame) => frame,
            Err(bad) => return self.refuse(bad.id, *bad.error),
        };
        let (id, result) = match frame {
            ClientFrame::Start(start) => (Some(start.id.clone()), self.start(*start)),
            ClientFrame::Attach(attach) => (Some(attach.id.clone()), self.attach(&attach)),
            ClientFrame::Detach(Detach { id }) => {
                self.generations().attached.remove(&id);
                return self.push(Out::Detach(id));
            }
            ClientFrame::Cancel(cancel) => {
                self.cancel(cancel);
                return Ok(());
            }
            ClientFrame::ToolResult(ToolResult { id, call_id, content, is_error }) => {
                let result = self.own(&id).and_then(|generation| generation.tool_result(&call_id, content, is_error));
                (Some(id), result.map_err(Refusal::Frame))
            }
            ClientFrame::Approve(Approve { id, call_id, arguments }) => {
                (Some(id.clone()), self.decide(&id, &call_id, Decision::Approved(arguments)))
            }
            ClientFrame::Deny(Deny { id, call_id, reason }) => {
                (Some(id.clone()), self.decide(&id, &call_id, Decision::Denied(reason)))
            }
            ClientFrame::Input(input) => (Some(input.id.clone()), self.input(input)),
            ClientFrame::Watch(watch) => return self.watch(watch),
            ClientFrame::Unwatch(unwatch) => return self.unwatch(unwatch),
            ClientFrame::Ping(ping) => {
                let pong = ConnectionFrame::Pong(Pong { nonce: ping.nonce });
                return self.push(Out::Frame(pong.to_json().into()));
            }
        };
        match result {
            Ok(()) => Ok(()),
            Err(Refusal::Frame(error)) => self.refuse(id, error),
            Err(Refusal::Connection(end)) => Err(end),
        }
    }

    fn decide(&self, id: &GenerationId, call_id: &str, decision: Decision) -> Result<(), Refusal> {
        Ok(self.own(id)?.decide(call_id, decision)?)
    }

    fn input(&self, input: Input) -> Result<(), Refusal> {
        let Input { id, messages, input_id, interrupt } = input;
        let input_id = self.own(&id)?.input(messages, input_id, interrupt)?.to_string();
        let accepted = ConnectionFrame::InputAccepted(InputAccepted { id, input_id });
        self.push(Out::Frame(accepted.to_json().into())).map_err(Refusal::Connection)
    }

    fn start(&self, start: Start) -> Result<(), Refusal> {
        if self.generations().attached.get(&start.id).is_some_and(|attached| self.owns(attached)) {
            // A start sent again on the connection that gets its events already changes nothing.
            return Ok(());
        }
        let (generation, _) = self.begin(start)?;
        self.read_from(&generation, 0, None)
    }

    /// Starts a generation, or finds the one of that name, within the limits of a connection. Says whether it is new.
    pub(super) fn begin(&self, start: Start) -> Result<(Arc<Generation>, bool), ErrorInfo> {
        let id = start.id.clone();
        if self.is_draining.load(Relaxed) && self.hub.get(&self.principal, &id).is_none() {
            return Err(ErrorInfo::new(ErrorCode::ShuttingDown, "the server is shutting down"));
        }
        {
            let mut generations = self.generations();
            generations.started.retain(|generation| !generation.has_ended());
            if generations.started.len() >= self.limits.max_generations as usize
                && self.hub.get(&self.principal, &id).is_none()
            {
                let message = format!("a connection runs at most {} generations at once", self.limits.max_generations);
                return Err(ErrorInfo::new(ErrorCode::TooManyGenerations, message));
            }
        }
        self.check_attachments()?;
        let (generation, is_new) = self.hub.start(&self.principal, start)?;
        if is_new {
            let mut generations = self.generations();
            generations.started.push(generation.clone());
            // Its change, when it comes to be written, need not attach to it again.
            if let Some(started) = generation.conversation().and_then(|id| generations.watched.get_mut(id)) {
                started.push(generation.clone());
            }
        }
        Ok((generation, is_new))
    }

    fn attach(&self, attach: &Attach) -> Result<(), Refusal> {
        let generation = self.own(&attach.id)?;
        if !self.generations().attached.contains_key(&attach.id) {
            self.check_attachments()?;
        }
        self.read_from(&generation, attach.after, attach.epoch.as_deref())
    }

    fn cancel(&self, cancel: Cancel) {
        let Cancel { id, all, reason } = cancel;
        if let Some(id) = id {
            self.hub.cancel(&self.principal, &id, reason.clone());
        }
        if all {
            let attached: Vec<_> =
                self.generations().attached.values().filter(|attached| self.owns(attached)).cloned().collect();
            for generation in attached {
                self.hub.cancel(&self.principal, generation.id(), reason.clone());
            }
        }
    }

    /// Attaching again to a generation moves its place.
    fn read_from(&self, generation: &Arc<Generation>, after: u64, epoch: Option<&str>) -> Result<(), Refusal> {
        let reader = generation.attach(after, epoch)?;
        self.put(generation.id().clone(), generation, View::Native(reader)).map_err(Refusal::Connection)
    }

    /// From now on the write loop writes what `view` says.
    pub(super) fn put(&self, id: AttachmentId, generation: &Arc<Generation>, view: View) -> Result<(), End> {
        self.generations().attached.insert(id.clone(), generation.clone());
        self.push(Out::Attach(id, view))
    }

    pub(super) fn check_attachments(&self) -> Result<(), ErrorInfo> {
        if self.generations().attached.len() < self.limits.max_attachments as usize {
            return Ok(());
        }
        let message =
            format!("a connection is attached to at most {} generations at once", self.limits.max_attachments);
        Err(ErrorInfo::new(ErrorCode::TooManyAttachments, message))
    }

    /// Whether it is not one that the connection only looks at.
    fn owns(&self, generation: &Generation) -> bool {
        generation.principal() == &self.principal
    }

    fn own(&self, id: &GenerationId) -> Result<Arc<Generation>, ErrorInfo> {
        self.hub.get(&self.principal, id).ok_or_else(|| {
            ErrorInfo::new(ErrorCode::GenerationNotFound, "no such generation is kept here").with_field("id")
        })
    }
}

/// Why a frame was not carried out: it is answered with an error, or it ends the connection.
pub(super) enum Refusal {
    Frame(ErrorInfo),
    Connection(End),
}

impl From<ErrorInfo> for Refusal {
    fn from(error: ErrorInfo) -> Self {
        Self::Frame(error)
    }
}
