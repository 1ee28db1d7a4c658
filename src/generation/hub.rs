//! The hub: what all sessions share, behind verbs. Who owns what, which providers there are,
//! how many may run, and how long ended generations are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dashmap::{DashMap, Entry};
use tokenwire_protocol::{
    CancelledBy, ErrorCode, ErrorInfo, GenerationId, Start, StartUpstream, Warning,
    message::{Message, Role},
};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use super::{
    Generation, Hook, MAX_REASON_BYTES,
    progress::Deadlines,
    shortened,
    task::{self, Order},
    transcript,
};
use crate::{
    auth::Principal,
    config::Config,
    conversation::{self, Conversations},
    provider::{Elsewhere, Provider},
    route::{Route, Routes, Target},
    tools::{self, ServerTool, Toolbox},
};

/// How long a cancel is remembered that came before its start, from another connection.
const EARLY_CANCEL: Duration = Duration::from_secs(60);
/// Most early cancels remembered; the oldest go first.
const MAX_EARLY_CANCELS: usize = 4096;

/// A conversation that a start goes on with may be as long as that many logs: by default more than any provider
/// takes. Each generation holds the whole of it.
const MAX_CONTINUED_LOGS: usize = 4;

/// What all sessions share.
pub struct Hub {
    config: Arc<Config>,
    providers: Vec<Arc<dyn Provider>>,
    routes: Routes,
    elsewhere: Elsewhere,
    hooks: Vec<Arc<dyn Hook>>,
    toolbox: Toolbox,
    /// A place for each generation that may be at a provider.
    running: Semaphore,
    generations: DashMap<Key, Slot>,
    conversations: Conversations,
    kept: Mutex<Kept>,
    /// Something was put into `kept`.
    kept_changed: Notify,
}

type Key = (Principal, GenerationId);

enum Slot {
    Generation(Arc<Generation>),
    /// Cancelled before it was started.
    EarlyCancel(Option<String>),
}

/// What will be forgotten, oldest first.
#[derive(Default)]
struct Kept {
    ended: VecDeque<(Instant, Arc<Generation>, u64)>,
    bytes: u64,
    early_cancels: VecDeque<(Instant, Key)>,
}

impl Hub {
    /// A hub with these providers, hooks and tools.
    pub fn new(
        config: Arc<Config>,
        providers: Vec<Arc<dyn Provider>>,
        hooks: Vec<Arc<dyn Hook>>,
        toolbox: Toolbox,
    ) -> Arc<Self> {
        let retention = config.retention;
        let running = Semaphore::new((config.limits.max_running as usize).min(Semaphore::MAX_PERMITS));
        Arc::new(Self {
            routes: Routes::new(&config, &providers),
            elsewhere: Elsewhere::new(&config),
            config,
            providers,
            hooks,
            toolbox,
            running,
            generations: DashMap::new(),
            conversations: Conversations::new(retention),
            kept: Mutex::default(),
            kept_changed: Notify::new(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The providers.
    pub fn providers(&self) -> &[Arc<dyn Provider>] {
        &self.providers
    }

    /// The tools that the server runs.
    pub fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    /// The conversations.
    pub fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// The names of the routes.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.names()
    }

    pub(super) fn hooks(&self) -> &[Arc<dyn Hook>] {
        &self.hooks
    }

    /// A place among those that run; waits for one. Cancel-safe.
    pub(super) async fn running(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so that waiting for it cannot fail.
        self.running.acquire().await.ok()
    }

    /// Starts a generation, or finds the one of that name. Says whether it is new.
    ///
    /// Must be called on the thread whose sessions will read it: its task runs there.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::UnknownModel`], [`ErrorCode::BadField`] for a timeout over the limit, or
    /// [`ErrorCode::NotSupported`]. Nothing was started then.
    pub fn start(
        self: &Arc<Self>,
        principal: &Principal,
        mut start: Start,
    ) -> Result<(Arc<Generation>, bool), ErrorInfo> {
        let key = (principal.clone(), start.id.clone());
        // A repeated start attaches whatever else it says: the generation is already paid for.
        if let Some(generation) = self.find(&key) {
            return Ok((generation, false));
        }
        // As the client wrote it.
        let joins = start.conversation.clone().map(|id| (id, conversation::change_of(&start)));
        if let Some(before) = start.continue_from.clone() {
            self.put_before(principal, &before, &mut start)?;
        }
        let order = self.order(start)?;
        let (generation, writer) = match self.generations.entry(key) {
            Entry::Occupied(mut entry) => match entry.get() {
                Slot::Generation(generation) => return Ok((generation.clone(), false)),
                Slot::EarlyCancel(reason) => {
                    let reason = reason.clone();
                    let (generation, writer) = self.new_generation(principal, &order);
                    generation.cancel(CancelledBy::Client, reason);
                    entry.insert(Slot::Generation(generation.clone()));
                    (generation, writer)
                }
            },
            Entry::Vacant(entry) => {
                let (generation, writer) = self.new_generation(principal, &order);
                entry.insert(Slot::Generation(generation.clone()));
                (generation, writer)
            }
        };
        if let Some((id, change)) = joins {
            self.conversations.started(&id, change, &generation);
        }
        tokio::spawn(task::run(self.clone(), generation.clone(), writer, Box::new(order)));
        Ok((generation, true))
    }

    /// Puts the conversation of an ended generation before the messages of a start.
    fn put_before(&self, principal: &Principal, id: &GenerationId, start: &mut Start) -> Result<(), ErrorInfo> {
        let refuse = |code, message| Err(ErrorInfo::new(code, message).with_field("continue_from"));
        let Some(before) = self.get(principal, id) else {
            return refuse(ErrorCode::GenerationNotFound, "no such generation is kept here");
        };
        if !before.has_ended() {
            return refuse(ErrorCode::BadField, "that generation has not ended; an `input` goes to one that runs");
        }
        let mut messages = before.transcript();
        // Results of its last calls may come with the start.
        let results = start.messages.iter().take_while(|message| message.role == Role::Tool).count();
        messages.extend(start.messages.drain(..results));
        transcript::close_calls(&mut messages);
        messages.append(&mut start.messages);
        let max_bytes = MAX_CONTINUED_LOGS * self.config.limits.max_log_bytes as usize;
        if messages.iter().map(Message::byte_len).sum::<usize>() > max_bytes {
            return refuse(ErrorCode::BadField, "the conversation has become too long to go on with");
        }
        start.messages = messages;
        Ok(())
    }

    /// The principal's generation of that name. Somebody else's looks as if it did not exist.
    pub fn get(&self, principal: &Principal, id: &GenerationId) -> Option<Arc<Generation>> {
        self.find(&(principal.clone(), id.clone()))
    }

    /// Stops the principal's generation of that name, or remembers to stop it when it is started within a minute.
    pub fn cancel(&self, principal: &Principal, id: &GenerationId, reason: Option<String>) {
        let key = (principal.clone(), id.clone());
        match self.generations.entry(key.clone()) {
            Entry::Occupied(entry) => {
                if let Slot::Generation(generation) = entry.get() {
                    generation.cancel(CancelledBy::Client, reason);
                }
                return;
            }
            Entry::Vacant(entry) => {
                entry.insert(Slot::EarlyCancel(reason.map(|reason| shortened(reason, MAX_REASON_BYTES))));
            }
        }
        let forgotten = {
            let mut kept = self.kept();
            kept.early_cancels.push_back((Instant::now() + EARLY_CANCEL, key));
            if kept.early_cancels.len() > MAX_EARLY_CANCELS { kept.early_cancels.pop_front() } else { None }
        };
        if let Some((_, key)) = forgotten {
            self.forget_early_cancel(&key);
        }
        self.kept_changed.notify_one();
    }

    /// Generations that have not ended.
    pub fn running_count(&self) -> usize {
        self.live().count()
    }

    /// Stops every generation, as the server's decision.
    pub fn cancel_all(&self) {
        let live: Vec<_> = self.live().collect();
        for generation in live {
            generation.cancel(CancelledBy::Server, Some("the server is shutting down".to_owned()));
        }
    }

    /// Forgets what was kept long enough, for as long as it is polled.
    pub async fn forget(&self) {
        let mut conversations_at = Instant::now();
        loop {
            let now = Instant::now();
            // It looks at all of them: in its own time, not at every end of a generation.
            if conversations_at <= now {
                conversations_at = self.conversations.sweep(now);
            }
            let next = self.sweep(now).min(conversations_at);
            tokio::select! {
                () = self.kept_changed.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// The task of `generation` is done: from now on it is only kept.
    pub(super) fn ended(&self, generation: &Arc<Generation>) {
        let retention = &self.config.retention;
        if generation.log.bytes() as u64 > retention.log_bytes {
            self.conversations.shortening(generation);
            generation.log.trim(retention.log_bytes as usize);
        }
        let bytes = generation.bytes() as u64;
        let forgotten = {
            let mut kept = self.kept();
            kept.ended.push_back((Instant::now() + Duration::from_secs(retention.seconds), generation.clone(), bytes));
            kept.bytes += bytes;
            let mut forgotten = Vec::new();
            while kept.bytes > retention.total_bytes
                && let Some((_, oldest, bytes)) = kept.ended.pop_front()
            {
                kept.bytes -= bytes;
                forgotten.push(oldest);
            }
            forgotten
        };
        for generation in forgotten {
            self.forget_generation(&generation);
        }
        self.kept_changed.notify_one();
    }

    fn order(&self, mut start: Start) -> Result<Order, ErrorInfo> {
        let route = match &start.upstream {
            Some(asked) => self.resolve_elsewhere(&start.model, asked)?,
            None => self.resolve(&start.model),
        };
        let route = route.ok_or_else(|| {
            let providers = self.providers.iter().map(|provider| format!("{}/...", provider.name()));
            let known: Vec<_> = self.routes.names().map(str::to_owned).chain(providers).collect();
            let message =
                format!("no such model here; `model` is a route or provider/model, one of {}", known.join(", "));
            ErrorInfo::new(ErrorCode::UnknownModel, message).with_field("model")
        })?;
        route.apply_defaults(&mut start);
        let deadlines = Deadlines::new(&self.config.timeouts, &start.timeouts).map_err(|field| {
            let message = format!("a timeout is 1 to {} ms here", self.config.timeouts.limit_ms);
            ErrorInfo::new(ErrorCode::BadField, message).with_field(field)
        })?;
        let mut served = self.toolbox.choose(start.server_tools.as_deref());
        let warning = unknown_tools(start.server_tools.as_deref().unwrap_or_default(), &served);
        // A client's tool hides one of the server's of the same name.
        served.retain(|tool| start.tools.iter().all(|own| own.function.name != tool.function().name));
        Ok(Order { start, route, deadlines, served, warning })
    }

    /// The route of that name, else that of `provider/model`.
    fn resolve(&self, model: &str) -> Option<Arc<Route>> {
        match self.routes.get(model) {
            Some(route) => Some(route.clone()),
            None => Some(Arc::new(Route::direct(Target::find(model, &self.providers)?))),
        }
    }

    /// The provider of `provider/model` where the client wants it asked, whether or not there is a route of that name.
    fn resolve_elsewhere(&self, model: &str, asked: &StartUpstream) -> Result<Option<Arc<Route>>, ErrorInfo> {
        if !model.contains('/') && self.routes.get(model).is_some() {
            let message = "a route is asked where it is configured; with `upstream`, `model` is provider/model";
            return Err(ErrorInfo::new(ErrorCode::NotSupported, message).with_field("upstream"));
        }
        let Some((name, model)) = model.split_once('/').filter(|(_, model)| !model.is_empty()) else { return Ok(None) };
        let configured = self.providers.iter().find(|provider| provider.name() == name);
        let provider = self.elsewhere.provider(name, configured, asked)?;
        Ok(provider.map(|provider| Arc::new(Route::direct(Target { provider, model: model.to_owned() }))))
    }

    fn new_generation(&self, principal: &Principal, order: &Order) -> (Arc<Generation>, super::log::Writer) {
        let grace = Duration::from_millis(self.config.timeouts.disconnect_grace_ms);
        let served = order.served.iter().map(|tool| tool.function().name.as_str().into()).collect();
        let max_log_bytes = self.config.limits.max_log_bytes as usize;
        Generation::new(&order.start, served, principal.clone(), max_log_bytes, grace)
    }

    fn find(&self, key: &Key) -> Option<Arc<Generation>> {
        match &*self.generations.get(key)? {
            Slot::Generation(generation) => Some(generation.clone()),
            Slot::EarlyCancel(_) => None,
        }
    }

    fn live(&self) -> impl Iterator<Item = Arc<Generation>> {
        self.generations.iter().filter_map(|slot| match slot.value() {
            Slot::Generation(generation) if !generation.has_ended() => Some(generation.clone()),
            _ => None,
        })
    }

    /// Forgets what is due; says when to look again.
    fn sweep(&self, now: Instant) -> Instant {
        let (ended, early_cancels, next) = {
            let mut kept = self.kept();
            let due = kept.ended.partition_point(|(until, ..)| *until <= now);
            let ended: Vec<_> = kept.ended.drain(..due).collect();
            kept.bytes -= ended.iter().map(|(.., bytes)| bytes).sum::<u64>();
            let due = kept.early_cancels.partition_point(|(until, _)| *until <= now);
            let early_cancels: Vec<_> = kept.early_cancels.drain(..due).collect();
            let next = [kept.ended.front().map(|kept| kept.0), kept.early_cancels.front().map(|kept| kept.0)];
            (ended, early_cancels, next.into_iter().flatten().min())
        };
        for (_, generation, _) in ended {
            self.forget_generation(&generation);
        }
        for (_, key) in early_cancels {
            self.forget_early_cancel(&key);
        }
        next.unwrap_or(now + Duration::from_secs(3600))
    }

    fn forget_generation(&self, generation: &Arc<Generation>) {
        let key = (generation.principal.clone(), generation.id.clone());
        self.generations
            .remove_if(&key, |_, slot| matches!(slot, Slot::Generation(found) if Arc::ptr_eq(found, generation)));
        self.conversations.forgot(generation);
    }

    fn forget_early_cancel(&self, key: &Key) {
        self.generations.remove_if(key, |_, slot| matches!(slot, Slot::EarlyCancel(_)));
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // No code that holds this lock can panic half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of names that fit none of the tools: the first is enough to find a wrong one, however many a client sends.
fn unknown_tools(names: &[String], served: &[Arc<dyn ServerTool>]) -> Option<Warning> {
    let fits_none = |name: &String| !served.iter().any(|tool| tools::fits(name, &tool.function().name));
    let at = names.iter().position(fits_none)?;
    let message = "the server has no such tool now; `GET /v1/tools` lists them".to_owned();
    Some(Warning { field: format!("server_tools[{at}]"), message })
}
