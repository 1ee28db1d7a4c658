//! The write loop of a session.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokenwire_protocol::{CloseCode, ErrorCode, ErrorInfo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Bytes, Message, error::Error};

use super::{AttachmentId, End, Session, outbox::Out, socket::Socket, watches::Watches};
use crate::{
    dialect::View,
    generation::log::{Log, Next},
};

/// How much is fed before it is flushed. What is left comes with the next batch, which may find
/// more of it merged. Bounds what a connection that does not drain can hold.
pub(super) const BATCH_BYTES: usize = 32 << 10;

/// The generations that the connection reads.
#[derive(Default)]
pub(super) struct Attachments {
    list: Vec<Attachment>,
    /// Where the next batch begins, so that a busy generation does not starve the others.
    next: usize,
}

struct Attachment {
    id: AttachmentId,
    view: View,
}

impl Session {
    /// Writes until the connection ends: all that is ready, then one flush.
    pub(super) async fn write<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: &Socket<S>) -> End {
        let deadline = Duration::from_secs(self.limits.write_timeout_seconds.into());
        let mut attachments = Attachments::default();
        let mut watches = Watches::default();
        loop {
            self.ready(&mut attachments, &mut watches).await;
            let mut batch = pin!(self.batch(socket, &mut attachments, &mut watches));
            // Nearly always it is written at once, and no timer is needed.
            let written = match poll_fn(|cx| Poll::Ready(batch.as_mut().poll(cx))).await {
                Poll::Ready(written) => Ok(written),
                Poll::Pending => timeout(deadline, batch).await,
            };
            match written {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Gone,
                // A socket never reports a slow client, it only stays pending.
                Err(_) => return End::Close(CloseCode::SlowReader),
            }
        }
    }

    /// Waits until something can be written. Cancel-safe.
    async fn ready(&self, attachments: &mut Attachments, watches: &mut Watches) {
        poll_fn(|cx| {
            let mut is_ready = self.outbox.has_entries();
            for attachment in &mut attachments.list {
                is_ready |= attachment.view.poll_ready(cx).is_ready();
            }
            for watching in &mut watches.list {
                is_ready |= watching.reader.poll_ready(cx).is_ready();
            }
            if is_ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    async fn batch<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &Socket<S>,
        attachments: &mut Attachments,
        watches: &mut Watches,
    ) -> Result<(), Error> {
        while let Some(out) = self.outbox.pop() {
            match out {
                Out::Frame(frame) => socket.feed(Message::Text(frame)).await?,
                Out::Ping => socket.feed(Message::Ping(Bytes::new())).await?,
                Out::Attach(id, view) => {
                    let log = view.log().clone();
                    attachments.put(id, view);
                    // It runs on for the new one now.
                    while let Some(at) = attachments.keeper_of(&log) {
                        self.forget(attachments, at);
                    }
                }
                Out::Detach(id) => attachments.remove(&id),
                Out::Watch(reader) => watches.put(reader),
                Out::Unwatch(id) => watches.remove(&id),
            }
        }
        let mut bytes = 0;
        // A change comes before the events of its generation.
        // Few connections watch any: what that takes is boxed, and not part of every idle connection.
        while !watches.list.is_empty() && Box::pin(self.tell(socket, watches, attachments, &mut bytes)).await? {
            self.read_on(socket, attachments, &mut bytes).await?;
        }
        self.read_on(socket, attachments, &mut bytes).await?;
        socket.flush().await
    }

    /// Writes what the generations have, as far as the batch has room.
    async fn read_on<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &Socket<S>,
        attachments: &mut Attachments,
        bytes: &mut usize,
    ) -> Result<(), Error> {
        let mut idle = 0;
        while *bytes < BATCH_BYTES && idle < attachments.list.len() {
            let Some((at, attachment)) = attachments.turn() else { break };
            match attachment.view.next() {
                Next::Some((frame, is_last)) => {
                    idle = 0;
                    *bytes += frame.len();
                    socket.feed(Message::Text(frame)).await?;
                    if is_last {
                        self.forget(attachments, at);
                    }
                }
                Next::Pending => idle += 1,
                Next::End => self.forget(attachments, at),
                Next::Gap { first } => {
                    let id = attachment.id.clone();
                    self.forget(attachments, at);
                    let message = format!("events before seq {first} are no longer kept");
                    // The outbox was just emptied.
                    let _ = self.refuse(Some(id), ErrorInfo::new(ErrorCode::Gap, message).with_field("after"));
                }
            }
        }
        Ok(())
    }

    /// The log was read to its end: the connection is no longer attached to it.
    fn forget(&self, attachments: &mut Attachments, at: usize) {
        let Attachment { id, .. } = attachments.list.swap_remove(at);
        let mut generations = self.generations();
        // Unless the client has asked for it again meanwhile.
        if !self.outbox.attaches(&id) {
            generations.attached.remove(&id);
        }
    }
}

impl Attachments {
    pub fn put(&mut self, id: AttachmentId, view: View) {
        match self.list.iter_mut().find(|attachment| attachment.id == id) {
            Some(attachment) => attachment.view = view,
            None => self.list.push(Attachment { id, view }),
        }
    }

    pub fn remove(&mut self, id: &AttachmentId) {
        self.list.retain(|attachment| attachment.id != *id);
    }

    /// Whether that one is about to be read to its end.
    pub fn is_at_its_end(&self, id: &AttachmentId) -> bool {
        self.list.iter().any(|attachment| attachment.id == *id && attachment.view.is_sealed())
    }

    /// One that is only there to keep the generation of `log` running.
    fn keeper_of(&self, log: &Arc<Log>) -> Option<usize> {
        self.list.iter().position(|attachment| attachment.view.only_keeps(log))
    }

    /// The next one in turn.
    fn turn(&mut self) -> Option<(usize, &mut Attachment)> {
        if self.list.is_empty() {
            return None;
        }
        let at = self.next % self.list.len();
        self.next = at + 1;
        Some((at, &mut self.list[at]))
    }
}
