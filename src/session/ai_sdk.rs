//! What each frame of a client of the AI SDK does.

use std::sync::Arc;

use tokenwire_protocol::{CancelledBy, ErrorInfo};

use super::{End, Session, commands::Refusal, outbox::Out};
use crate::{
    config::AbortPolicy,
    dialect::{
        View,
        ai_sdk::{
            Abort, Answer, Answered, CallAnswer, ClientFrame, Ping, RequestId, Resume, Send, Settings, conversation_of,
            error_frame, no_active_frame, pong_frame, start_frame,
        },
    },
    generation::{Decision, Generation},
};

impl Session {
    /// Carries out one frame. `Err` ends the connection; what is wrong with a frame is only answered.
    pub(super) fn ai_sdk(&self, settings: &Settings, text: &str) -> Result<(), End> {
        let frame = match ClientFrame::parse(text) {
            Ok(frame) => frame,
            Err(bad) => return self.refuse_request(bad.request_id.as_deref(), &bad.error),
        };
        let (request, result) = match frame {
            ClientFrame::Send(send) => (send.request_id.clone(), self.send(*send, settings)),
            ClientFrame::Resume(resume) => (resume.request_id.clone(), self.resume(&resume)),
            ClientFrame::Abort(abort) => return self.abort(&abort, settings),
            ClientFrame::Ping(Ping { request_id }) => return self.push(Out::Frame(pong_frame(&request_id).into())),
        };
        match result {
            Ok(()) => Ok(()),
            Err(Refusal::Frame(error)) => self.refuse_request(Some(request.as_str()), &error),
            Err(Refusal::Connection(end)) => Err(end),
        }
    }

    /// Answers the calls that the chat's generation waits for, or starts a new one.
    fn send(&self, send: Send, settings: &Settings) -> Result<(), Refusal> {
        self.check_attachments()?;
        let latest = self.latest(&send.id);
        let request = send.request_id.clone();
        if let Some(generation) = &latest
            && self.hand_over(&request, generation, send.answers())?
        {
            return Ok(());
        }
        let start = send.into_start(settings).map_err(|error| *error)?;
        let (generation, is_new) = self.begin(start)?;
        if let Some(latest) = latest.filter(|latest| is_new && latest.is_waiting()) {
            // Nobody will answer it any more.
            latest.cancel(CancelledBy::Client, Some("the chat went on without an answer".to_owned()));
        }
        self.view(request, &generation)
    }

    /// Hands what the page answered to the generation that asked. Whether it is this one.
    fn hand_over(
        &self,
        request: &RequestId,
        generation: &Arc<Generation>,
        answers: Vec<CallAnswer>,
    ) -> Result<bool, Refusal> {
        // Attached before the answers are there, so that nothing is missed.
        let Some(view) = Answer::behind(request.clone(), generation, &answers) else { return Ok(false) };
        for CallAnswer { call_id, answer } in answers {
            // What somebody else was faster with is as good.
            let _ = match answer {
                Answered::Result { content, is_error } => generation.tool_result(&call_id, content, is_error),
                Answered::Approved => generation.decide(&call_id, Decision::Approved(None)),
                Answered::Denied { reason } => generation.decide(&call_id, Decision::Denied(reason)),
            };
        }
        self.put(request.clone(), generation, View::AiSdk(Box::new(view))).map_err(Refusal::Connection)?;
        Ok(true)
    }

    fn resume(&self, resume: &Resume) -> Result<(), Refusal> {
        let Resume { request_id, id, generation } = resume;
        let found = match generation {
            Some(id) => self.hub.get(&self.principal, id),
            // An end that nobody has read is still to be told.
            None => self.latest(id).filter(|latest| !latest.has_ended() || !latest.log().is_read()),
        };
        let Some(generation) = found.filter(|generation| generation.log().is_whole()) else {
            return self.push(Out::Frame(no_active_frame(request_id).into())).map_err(Refusal::Connection);
        };
        self.check_attachments()?;
        self.push(Out::Frame(start_frame(request_id).into())).map_err(Refusal::Connection)?;
        self.view(request_id.clone(), &generation)
    }

    fn abort(&self, abort: &Abort, settings: &Settings) -> Result<(), End> {
        let Abort { request_id, stop } = abort;
        let Some(generation) = self.generations().attached.get(request_id).cloned() else { return Ok(()) };
        if stop.unwrap_or(settings.abort == AbortPolicy::Stop) {
            // What it ends with is still sent: the AI SDK ignores it, and others want the bill.
            generation.cancel(CancelledBy::Client, None);
            return Ok(());
        }
        self.generations().attached.remove(request_id);
        self.push(Out::Detach(request_id.clone()))
    }

    fn view(&self, request: RequestId, generation: &Arc<Generation>) -> Result<(), Refusal> {
        let answer = Answer::whole(request.clone(), generation);
        self.put(request, generation, View::AiSdk(Box::new(answer))).map_err(Refusal::Connection)
    }

    /// The generation that was started last in a chat.
    fn latest(&self, chat: &str) -> Option<Arc<Generation>> {
        self.hub.conversations().get(&self.principal, &conversation_of(chat))?.latest()
    }

    fn refuse_request(&self, request: Option<&str>, error: &ErrorInfo) -> Result<(), End> {
        self.push(Out::Frame(error_frame(request, error).into()))
    }
}
