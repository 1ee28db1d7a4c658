//! Watching conversations.

use std::sync::Arc;

use tokenwire_protocol::{
    ConnectionFrame, ConversationId, ErrorCode, ErrorFrame, ErrorInfo, GenerationId, Unwatch, Watch,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::{Message, error::Error};

use super::{
    End, Session,
    outbox::Out,
    socket::Socket,
    writer::{Attachments, BATCH_BYTES},
};
use crate::{
    conversation::{Conversation, News, Reader},
    dialect::View,
    generation::{Generation, log},
};

/// The conversations that the write loop reads.
#[derive(Default)]
pub(super) struct Watches {
    pub list: Vec<Watching>,
}

pub(super) struct Watching {
    pub reader: Reader,
    /// The generation that the last change attached to. When it has ended, the next change waits until it is read:
    /// so the past of a long conversation is read one generation after the other, and not more of them at once than
    /// a connection may be attached to.
    follows: Option<GenerationId>,
}

impl Watches {
    pub fn put(&mut self, reader: Reader) {
        self.remove(reader.conversation().id());
        self.list.push(Watching { reader, follows: None });
    }

    pub fn remove(&mut self, id: &ConversationId) {
        self.list.retain(|watching| watching.reader.conversation().id() != id);
    }
}

impl Session {
    /// Watching again moves the place.
    pub(super) fn watch(&self, watch: Watch) -> Result<(), End> {
        let Watch { conversation: id, after, epoch, share } = watch;
        let has_room = {
            let watched = &self.generations().watched;
            watched.contains_key(&id) || watched.len() < self.limits.max_attachments as usize
        };
        if !has_room {
            let message = format!("a connection watches at most {} conversations at once", self.limits.max_attachments);
            return self.refuse_watch(id, ErrorInfo::new(ErrorCode::TooManyAttachments, message));
        }
        let conversations = self.hub.conversations();
        let reader = match share {
            None => Some(conversations.watch(&self.principal, &id, after, epoch.as_deref())),
            Some(token) => conversations.watch_shared(&id, &token, after, epoch.as_deref()),
        };
        let Some(reader) = reader else { return self.refuse_watch(id, not_found("no such conversation is kept here")) };
        self.generations().watched.insert(id, Vec::new());
        self.push(Out::Watch(reader))
    }

    pub(super) fn unwatch(&self, Unwatch { conversation }: Unwatch) -> Result<(), End> {
        self.generations().watched.remove(&conversation);
        self.push(Out::Unwatch(conversation))
    }

    /// Writes the next change of each conversation that is watched, and attaches to the generations that began with
    /// them. Whether there was any.
    pub(super) async fn tell<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &Socket<S>,
        watches: &mut Watches,
        attachments: &mut Attachments,
        bytes: &mut usize,
    ) -> Result<bool, Error> {
        let mut has_told = false;
        let mut at = 0;
        while *bytes < BATCH_BYTES
            && let Some(watching) = watches.list.get_mut(at)
        {
            at += 1;
            if watching.follows.as_ref().is_some_and(|id| attachments.is_at_its_end(id))
                && !watching.reader.is_revoked()
            {
                continue;
            }
            match watching.reader.next() {
                News::Change(frame, generation) => {
                    has_told = true;
                    *bytes += frame.len();
                    let reader = generation.and_then(|generation| self.follow(&watching.reader, &generation));
                    watching.follows = reader.as_ref().map(|(id, _)| id.clone());
                    if let Some((id, reader)) = reader {
                        attachments.put(id, View::Native(reader));
                    }
                    socket.feed(Message::Text(frame)).await?;
                }
                News::Pending => {}
                News::End => {
                    at -= 1;
                    self.forget_watch(watches, at);
                }
                News::Revoked => {
                    at -= 1;
                    let conversation = self.forget_watch(watches, at);
                    self.detach_from(&conversation, attachments);
                    let error = not_found("the conversation is no longer shared");
                    let frame = refusal(conversation.id().clone(), error);
                    *bytes += frame.len();
                    socket.feed(Message::text(frame)).await?;
                }
            }
        }
        Ok(has_told)
    }

    /// Attaches to the generation of a change from its first event, where there is room and the connection has
    /// not been attached to it by other means.
    fn follow(&self, watching: &Reader, generation: &Arc<Generation>) -> Option<(GenerationId, log::Reader)> {
        let mut generations = self.generations();
        if let Some(started) = generations.watched.get_mut(watching.conversation().id())
            && let Some(own) = started.iter().position(|started| Arc::ptr_eq(started, generation))
        {
            started.swap_remove(own);
            return None;
        }
        let (id, log) = (generation.id(), generation.log());
        let attached = &mut generations.attached;
        if attached.contains_key(id) || attached.len() >= self.limits.max_attachments as usize || !log.is_whole() {
            return None;
        }
        attached.insert(id.clone(), generation.clone());
        Some((id.clone(), if watching.is_viewer() { log.viewer() } else { log.reader(0) }))
    }

    fn forget_watch(&self, watches: &mut Watches, at: usize) -> Arc<Conversation> {
        let conversation = watches.list.swap_remove(at).reader.conversation().clone();
        // Unless the client has asked for it again meanwhile.
        if !self.outbox.watches(conversation.id()) {
            self.generations().watched.remove(conversation.id());
        }
        conversation
    }

    /// Who may no longer watch does not read what is under way either.
    fn detach_from(&self, conversation: &Conversation, attachments: &mut Attachments) {
        self.generations().attached.retain(|id, generation| {
            let is_of_it = conversation.holds(generation);
            if is_of_it {
                attachments.remove(id);
            }
            !is_of_it
        });
    }

    fn refuse_watch(&self, conversation: ConversationId, error: ErrorInfo) -> Result<(), End> {
        self.push(Out::Frame(refusal(conversation, error).into()))
    }
}

fn refusal(conversation: ConversationId, error: ErrorInfo) -> String {
    ConnectionFrame::Error(ErrorFrame { id: None, conversation: Some(conversation), error }).to_json()
}

fn not_found(message: &'static str) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::ConversationNotFound, message).with_field("conversation")
}
