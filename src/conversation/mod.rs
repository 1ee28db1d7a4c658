//! A conversation: the generations that belong together, in the order in which they were started.
//!
//! ```text
//!   seq      1             2          3            4
//!        generation g1 | renamed | generation g2 | deleted     <- nothing follows
//!                 ^                        ^
//!             reader A                 reader B
//! ```
//!
//! It is the same idea as the log of a generation, one level up: an append-only list of changes, and any number of
//! readers, each a cursor. [`Conversations`] knows whose they are, is the only one that appends, and forgets
//! them; [`history`] shows them as pages.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::SystemTime,
};

use tokenwire_protocol::{ConnectionFrame, ConversationChange, ConversationFrame, ConversationId, GenerationId};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    auth::Principal,
    generation::{
        Generation,
        readers::{Readers, Wakers},
        short_random,
    },
};

mod answer;
pub mod history;
mod owned;
mod title;

use history::Outcome;
pub use owned::Conversations;
pub(crate) use owned::change_of;
pub use title::MAX_TITLE_CHARS;

/// Generations that belong together.
pub struct Conversation {
    id: ConversationId,
    principal: Principal,
    epoch: Arc<str>,
    created_at: SystemTime,
    state: Mutex<State>,
}

struct State {
    /// Their seqs have no holes, and end at `tail`.
    changes: VecDeque<Change>,
    tail: u64,
    bytes: usize,
    title: Option<String>,
    updated_at: SystemTime,
    /// When somebody last wanted something of it.
    touched_at: Instant,
    readers: Readers,
    /// The hash of the token with which others may watch.
    share: Option<String>,
    is_deleted: bool,
}

struct Change {
    seq: u64,
    frame: Utf8Bytes,
    /// With a generation.
    started: Option<Started>,
}

#[derive(Clone)]
struct Started {
    id: GenerationId,
    at: SystemTime,
    /// As long as its log is kept.
    generation: Option<Arc<Generation>>,
    /// What is left of its answer where the log has not all of it any more.
    outcome: Option<Arc<Outcome>>,
}

/// What a reader finds.
pub(crate) enum News {
    /// The next change, and the generation that began with it, if it is kept.
    Change(Utf8Bytes, Option<Arc<Generation>>),
    /// Nothing yet.
    Pending,
    /// The conversation was deleted, and that was read.
    End,
    /// The token that let the reader in counts no more.
    Revoked,
}

impl Conversation {
    fn new(principal: Principal, id: ConversationId) -> Arc<Self> {
        let now = SystemTime::now();
        let state = State {
            changes: VecDeque::new(),
            tail: 0,
            bytes: 0,
            title: None,
            updated_at: now,
            touched_at: Instant::now(),
            readers: Readers::default(),
            share: None,
            is_deleted: false,
        };
        Arc::new(Self { id, principal, epoch: short_random().into(), created_at: now, state: Mutex::new(state) })
    }

    /// Its name.
    pub fn id(&self) -> &ConversationId {
        &self.id
    }

    /// Who owns it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether `generation` belongs to it.
    pub(crate) fn holds(&self, generation: &Generation) -> bool {
        generation.principal() == &self.principal && generation.conversation() == Some(&self.id)
    }

    /// A reader of what comes after `after`. A position of another epoch, or beyond the end, is one of a lost past:
    /// all that is kept is new then. `share`: the hash of the token that lets it in.
    fn reader(self: &Arc<Self>, after: u64, epoch: Option<&str>, share: Option<String>) -> Reader {
        let mut state = self.lock();
        state.touched_at = Instant::now();
        let slot = state.readers.add();
        let is_known = epoch.is_none_or(|epoch| epoch == &*self.epoch) && after <= state.tail;
        Reader { conversation: self.clone(), cursor: if is_known { after } else { 0 }, slot, share }
    }

    /// Appends a change.
    fn append(&self, change: ConversationChange, generation: Option<&Arc<Generation>>) -> Wakers {
        let mut state = self.lock();
        let seq = state.tail + 1;
        if let ConversationChange::Generation { messages, .. } = &change
            && state.title.is_none()
        {
            state.title = title::of(messages);
        }
        if let ConversationChange::Renamed { title } = &change {
            state.title = Some(title.clone());
        }
        state.is_deleted = change == ConversationChange::Deleted;
        if state.is_deleted {
            state.changes.clear();
            state.bytes = 0;
        }
        let frame = ConversationFrame { conversation: self.id.clone(), seq, epoch: self.epoch.clone(), change };
        let frame = Utf8Bytes::from(ConnectionFrame::Conversation(frame).to_json());
        let now = SystemTime::now();
        state.bytes += frame.len();
        let started = generation.map(|generation| Started {
            id: generation.id().clone(),
            at: now,
            generation: Some(generation.clone()),
            outcome: None,
        });
        state.changes.push_back(Change { seq, frame, started });
        state.tail = seq;
        state.updated_at = now;
        state.touched_at = Instant::now();
        state.readers.take_waiting()
    }

    /// The log of `generation` is shortened: `outcome` is what pages show of it from now on.
    fn shortened(&self, generation: &Arc<Generation>, outcome: Outcome) {
        let mut state = self.lock();
        let Some(started) = state.started(generation) else { return };
        let bytes = outcome.bytes();
        started.outcome = Some(Arc::new(outcome));
        state.bytes += bytes;
    }

    /// The log of `generation` is gone.
    fn forgot(&self, generation: &Arc<Generation>) {
        let mut state = self.lock();
        state.touched_at = Instant::now();
        if let Some(started) = state.started(generation) {
            started.generation = None;
        }
    }

    /// Drops the oldest changes until at most `max_bytes` are held. The newest one stays.
    fn trim(&self, max_bytes: u64) {
        let mut state = self.lock();
        while state.bytes as u64 > max_bytes && state.changes.len() > 1 {
            if let Some(change) = state.changes.pop_front() {
                state.bytes -= change.bytes();
            }
        }
    }

    /// The generation that was started last, if it is kept.
    pub(crate) fn latest(&self) -> Option<Arc<Generation>> {
        let state = self.lock();
        let last = state.changes.iter().rev().find_map(|change| change.started.as_ref())?;
        last.generation.clone()
    }

    /// Its generations that have not ended.
    fn running(&self) -> Vec<Arc<Generation>> {
        let state = self.lock();
        let kept = state.changes.iter().filter_map(|change| change.started.as_ref()?.generation.as_ref());
        kept.filter(|generation| !generation.has_ended()).cloned().collect()
    }

    fn bytes(&self) -> u64 {
        self.lock().bytes as u64
    }

    /// Whether nobody needs it since `since`.
    fn is_idle(&self, since: Instant) -> bool {
        let state = self.lock();
        let is_kept = |change: &Change| change.started.as_ref().is_some_and(|started| started.generation.is_some());
        state.readers.count() == 0
            && (state.tail == 0 || state.touched_at <= since)
            && !state.changes.iter().any(is_kept)
    }

    /// Whether something has ever happened in it: one that is only watched is not shown to anybody.
    fn has_begun(&self) -> bool {
        self.lock().tail > 0
    }

    /// Whether nothing has happened in it, and nobody waits for that any more.
    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.tail == 0 && state.readers.count() == 0
    }

    /// The hash of the token with which others may watch.
    fn share(&self) -> Option<String> {
        self.lock().share.clone()
    }

    /// Sets the hash of the token with which others may watch, and returns the one before.
    fn set_share(&self, share: Option<String>) -> (Option<String>, Wakers) {
        let mut state = self.lock();
        state.touched_at = Instant::now();
        let before = std::mem::replace(&mut state.share, share);
        // Who came in with that one is told.
        (before, state.readers.take_waiting())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds this lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    fn bytes(&self) -> usize {
        let outcome = self.started.as_ref().and_then(|started| started.outcome.as_ref());
        self.frame.len() + outcome.map_or(0, |outcome| outcome.bytes())
    }
}

impl State {
    fn started(&mut self, generation: &Arc<Generation>) -> Option<&mut Started> {
        let started = self.changes.iter_mut().rev().filter_map(|change| change.started.as_mut());
        started
            .into_iter()
            .find(|started| started.generation.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, generation)))
    }
}

/// A place in a conversation. Dropping it stops watching.
pub(crate) struct Reader {
    conversation: Arc<Conversation>,
    cursor: u64,
    slot: usize,
    share: Option<String>,
}

impl Reader {
    /// What is read.
    pub fn conversation(&self) -> &Arc<Conversation> {
        &self.conversation
    }

    /// Whether it came in with a token, and so may only look on.
    pub fn is_viewer(&self) -> bool {
        self.share.is_some()
    }

    /// The next change after the cursor.
    pub fn next(&mut self) -> News {
        let state = self.conversation.lock();
        if self.revokes(&state) {
            return News::Revoked;
        }
        if self.cursor >= state.tail {
            return if state.is_deleted { News::End } else { News::Pending };
        }
        // What was trimmed is left out.
        let first = state.changes.front().map_or(0, |change| change.seq);
        let at = (self.cursor + 1).saturating_sub(first) as usize;
        let Some(change) = state.changes.get(at) else { return News::Pending };
        self.cursor = change.seq;
        let generation = change.started.as_ref().and_then(|started| started.generation.clone());
        News::Change(change.frame.clone(), generation)
    }

    /// Ready when [`next`](Self::next) has something to say other than [`News::Pending`].
    ///
    /// Cancel-safe: it only leaves a waker behind.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.conversation.lock();
        if state.tail > self.cursor || state.is_deleted || self.revokes(&state) {
            return Poll::Ready(());
        }
        state.readers.wait(self.slot, cx.waker());
        Poll::Pending
    }

    /// Whether the token that let it in counts no more.
    pub fn is_revoked(&self) -> bool {
        self.revokes(&self.conversation.lock())
    }

    fn revokes(&self, state: &State) -> bool {
        self.share.is_some() && self.share != state.share && !state.is_deleted
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.conversation.lock();
        state.readers.remove(self.slot);
        state.touched_at = Instant::now();
    }
}
