//! Whose conversations there are, and how long.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokenwire_protocol::{CancelledBy, ConversationChange, ConversationId, Start};
use tokio::time::Instant;

use super::{Conversation, Reader, history::Outcome};
use crate::{
    auth::Principal,
    config::{RetentionConfig, sha256_hex},
    generation::{Generation, readers::Wakers},
};

/// All conversations. Everything that changes one goes through here, behind one lock.
pub struct Conversations {
    retention: RetentionConfig,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    principals: HashMap<Principal, Owned>,
    /// Those that others may watch, by the hash of the token.
    shared: HashMap<String, Arc<Conversation>>,
    /// All of them by their place: the one that was longest without a change comes first.
    places: BTreeMap<u64, Arc<Conversation>>,
    /// The last place that was given.
    last_place: u64,
    bytes: u64,
    /// Who waits for what was changed under the lock, to be woken after it.
    wakers: Vec<Wakers>,
}

/// What one principal owns.
#[derive(Default)]
struct Owned {
    by_id: HashMap<ConversationId, (u64, Arc<Conversation>)>,
    places: BTreeMap<u64, Arc<Conversation>>,
}

impl Conversations {
    /// None yet.
    pub fn new(retention: RetentionConfig) -> Self {
        Self { retention, shelf: Mutex::default() }
    }

    /// The principal's conversation of that name, once something has happened in it.
    pub fn get(&self, principal: &Principal, id: &ConversationId) -> Option<Arc<Conversation>> {
        self.lock().find(principal, id).filter(|conversation| conversation.has_begun())
    }

    /// Somebody's, for who has the token that the owner made.
    pub fn get_shared(&self, id: &ConversationId, token: &str) -> Option<Arc<Conversation>> {
        self.lock().find_shared(id, &sha256_hex(token)).cloned()
    }

    /// A page of the principal's, last changed first, and the `before` of the next one, if there is one.
    pub fn list(
        &self,
        principal: &Principal,
        before: Option<u64>,
        limit: usize,
    ) -> (Vec<Arc<Conversation>>, Option<u64>) {
        let shelf = self.lock();
        let Some(owned) = shelf.principals.get(principal) else { return (Vec::new(), None) };
        let older = owned.places.range((Unbounded, before.map_or(Unbounded, Excluded)));
        let mut older = older.rev().filter(|(_, conversation)| conversation.has_begun());
        let page: Vec<_> = older.by_ref().take(limit).collect();
        let next = older.next().and(page.last()).map(|(place, _)| **place);
        (page.into_iter().map(|(_, conversation)| conversation.clone()).collect(), next)
    }

    /// A reader of the principal's own. One that has not begun is made, so that what begins it is seen.
    pub(crate) fn watch(&self, principal: &Principal, id: &ConversationId, after: u64, epoch: Option<&str>) -> Reader {
        let mut shelf = self.lock();
        let conversation = shelf.open(principal, id);
        // Under the lock, so that it is not forgotten before it is read.
        let reader = conversation.reader(after, epoch, None);
        shelf.keep_within(&self.retention, principal);
        Shelf::release(shelf);
        reader
    }

    /// A reader of somebody's, with the token that the owner made.
    pub(crate) fn watch_shared(
        &self,
        id: &ConversationId,
        token: &str,
        after: u64,
        epoch: Option<&str>,
    ) -> Option<Reader> {
        let hash = sha256_hex(token);
        let shelf = self.lock();
        let conversation = shelf.find_shared(id, &hash)?;
        Some(conversation.reader(after, epoch, Some(hash)))
    }

    /// `generation` was started with `change`; its principal's conversation of that name has it from now on.
    pub(crate) fn started(&self, id: &ConversationId, change: ConversationChange, generation: &Arc<Generation>) {
        let principal = generation.principal();
        let mut shelf = self.lock();
        let conversation = shelf.open(principal, id);
        shelf.change(&conversation, |conversation| {
            let wakers = conversation.append(change, Some(generation));
            conversation.trim(self.retention.conversation_bytes);
            wakers
        });
        shelf.move_up(&conversation);
        shelf.keep_within(&self.retention, principal);
        Shelf::release(shelf);
    }

    /// The log of `generation`, which has ended, is about to lose events: what pages show of it is kept here.
    pub(crate) fn shortening(&self, generation: &Arc<Generation>) {
        // Made before the lock is taken: it can be long.
        let outcome = generation.conversation().is_some().then(|| Outcome::of(generation));
        self.change(generation, |conversation| {
            if let Some(outcome) = outcome {
                conversation.shortened(generation, outcome);
            }
        });
    }

    /// The log of `generation` is no longer kept.
    pub(crate) fn forgot(&self, generation: &Arc<Generation>) {
        if generation.log().is_whole() {
            self.shortening(generation);
        }
        self.change(generation, |conversation| conversation.forgot(generation));
    }

    /// Changes what the conversation of `generation` holds of it.
    fn change(&self, generation: &Arc<Generation>, change: impl FnOnce(&Conversation)) {
        let Some(id) = generation.conversation() else { return };
        let mut shelf = self.lock();
        let Some(conversation) = shelf.find(generation.principal(), id) else { return };
        shelf.change(&conversation, |conversation| {
            change(conversation);
            conversation.trim(self.retention.conversation_bytes);
            Wakers::None
        });
        shelf.keep_within(&self.retention, generation.principal());
        Shelf::release(shelf);
    }

    /// Gives it another title. Whether there is such a conversation.
    pub fn rename(&self, principal: &Principal, id: &ConversationId, title: String) -> Option<Arc<Conversation>> {
        let mut shelf = self.lock();
        let conversation = shelf.find(principal, id).filter(|conversation| conversation.has_begun())?;
        shelf.change(&conversation, |conversation| {
            let wakers = conversation.append(ConversationChange::Renamed { title }, None);
            conversation.trim(self.retention.conversation_bytes);
            wakers
        });
        shelf.move_up(&conversation);
        shelf.keep_within(&self.retention, principal);
        Shelf::release(shelf);
        Some(conversation)
    }

    /// Deletes it and cancels what runs in it. Whether there was such a conversation.
    pub fn delete(&self, principal: &Principal, id: &ConversationId) -> bool {
        let mut shelf = self.lock();
        let Some(conversation) = shelf.find(principal, id).filter(|conversation| conversation.has_begun()) else {
            return false;
        };
        let running = conversation.running();
        shelf.remove(&conversation);
        Shelf::release(shelf);
        for generation in running {
            generation.cancel(CancelledBy::Client, Some("the conversation was deleted".to_owned()));
        }
        true
    }

    /// Makes the token with which others may watch it, in place of the one before. Only its hash is kept.
    pub fn share(&self, principal: &Principal, id: &ConversationId) -> Option<String> {
        let mut shelf = self.lock();
        let conversation = shelf.find(principal, id).filter(|conversation| conversation.has_begun())?;
        let random = || uuid::Uuid::new_v4().simple();
        let token = format!("{}{}", random(), random());
        shelf.set_share(&conversation, Some(sha256_hex(&token)));
        Shelf::release(shelf);
        Some(token)
    }

    /// Ends that; who watches with the token is put out. Whether there is such a conversation.
    pub fn unshare(&self, principal: &Principal, id: &ConversationId) -> bool {
        let mut shelf = self.lock();
        let Some(conversation) = shelf.find(principal, id).filter(|conversation| conversation.has_begun()) else {
            return false;
        };
        shelf.set_share(&conversation, None);
        Shelf::release(shelf);
        true
    }

    /// Forgets those that nobody has needed for long enough; says when to look again.
    pub(crate) fn sweep(&self, now: Instant) -> Instant {
        let retention = Duration::from_secs(self.retention.seconds);
        if let Some(since) = now.checked_sub(retention) {
            let mut shelf = self.lock();
            let idle: Vec<_> =
                shelf.places.values().filter(|conversation| conversation.is_idle(since)).cloned().collect();
            for conversation in idle {
                shelf.remove(&conversation);
            }
            Shelf::release(shelf);
        }
        // Being late by a part of it does not matter.
        now + (retention / 4).clamp(Duration::from_millis(250), Duration::from_secs(60))
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // No code that holds this lock can panic half-way through a change.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn find(&self, principal: &Principal, id: &ConversationId) -> Option<Arc<Conversation>> {
        self.principals.get(principal)?.by_id.get(id).map(|(_, conversation)| conversation.clone())
    }

    /// The conversation of that name that is shared with a token of that hash.
    fn find_shared(&self, id: &ConversationId, hash: &str) -> Option<&Arc<Conversation>> {
        self.shared.get(hash).filter(|conversation| conversation.id() == id)
    }

    /// The principal's conversation of that name; made when there is none.
    fn open(&mut self, principal: &Principal, id: &ConversationId) -> Arc<Conversation> {
        if let Some(conversation) = self.find(principal, id) {
            return conversation;
        }
        let conversation = Conversation::new(principal.clone(), id.clone());
        self.move_up(&conversation);
        conversation
    }

    /// Puts it at the newest place.
    fn move_up(&mut self, conversation: &Arc<Conversation>) {
        self.last_place += 1;
        let place = self.last_place;
        let owned = self.principals.entry(conversation.principal().clone()).or_default();
        if let Some((before, _)) = owned.by_id.insert(conversation.id().clone(), (place, conversation.clone())) {
            owned.places.remove(&before);
            self.places.remove(&before);
        }
        owned.places.insert(place, conversation.clone());
        self.places.insert(place, conversation.clone());
    }

    /// Changes what it holds.
    fn change(&mut self, conversation: &Conversation, change: impl FnOnce(&Conversation) -> Wakers) {
        self.bytes -= conversation.bytes();
        self.wakers.push(change(conversation));
        self.bytes += conversation.bytes();
    }

    /// Takes it out, and lets its readers know.
    fn remove(&mut self, conversation: &Arc<Conversation>) {
        let Some(owned) = self.principals.get_mut(conversation.principal()) else { return };
        let Some((place, _)) = owned.by_id.remove(conversation.id()) else { return };
        owned.places.remove(&place);
        if owned.by_id.is_empty() {
            self.principals.remove(conversation.principal());
        }
        self.places.remove(&place);
        if let Some(share) = conversation.share() {
            self.shared.remove(&share);
        }
        self.bytes -= conversation.bytes();
        self.wakers.push(conversation.append(ConversationChange::Deleted, None));
    }

    fn set_share(&mut self, conversation: &Arc<Conversation>, share: Option<String>) {
        let (before, wakers) = conversation.set_share(share.clone());
        self.wakers.push(wakers);
        if let Some(before) = before {
            self.shared.remove(&before);
        }
        if let Some(share) = share {
            self.shared.insert(share, conversation.clone());
        }
    }

    /// Removes those that were longest without a change, until there are not too many. The last one stays. What was
    /// said goes after what somebody only waited for.
    fn keep_within(&mut self, retention: &RetentionConfig, principal: &Principal) {
        while let Some(Owned { places, .. }) = self.principals.get(principal)
            && places.len() > retention.conversations as usize
            && let empty = places.values().find(|conversation| conversation.is_empty())
            && let Some(next) = empty.or_else(|| places.values().next()).cloned()
        {
            self.remove(&next);
        }
        while self.bytes > retention.total_conversation_bytes
            && self.places.len() > 1
            && let Some(oldest) = self.places.values().next().cloned()
        {
            self.remove(&oldest);
        }
    }

    /// Lets go of the lock, then wakes who waits.
    fn release(mut shelf: MutexGuard<'_, Self>) {
        let wakers = std::mem::take(&mut shelf.wakers);
        drop(shelf);
        for wakers in wakers {
            wakers.wake();
        }
    }
}

/// What watchers are told of a start.
pub(crate) fn change_of(start: &Start) -> ConversationChange {
    ConversationChange::Generation {
        id: start.id.clone(),
        model: start.model.clone(),
        messages: start.messages.clone(),
        continue_from: start.continue_from.clone(),
    }
}
