//! The log of a generation: what happened, in order, once.
//!
//! ```text
//!   seq    1        2  3  4  5      6          7  8         9
//!        started  | text run ... | tool_call | text run | finished     <- sealed
//!                        ^                          ^
//!                    reader A                   reader B
//! ```
//!
//! One [`Writer`] appends; any number of [`Reader`]s each hold a cursor, read after it, and
//! wait when there is nothing. Live delivery, replay and catching up are this one operation.
//!
//! Adjacent deltas of the same part are kept joined, as a *run*, with the place where each one
//! ends. So a reader that is one delta behind gets that delta, a reader that is a thousand
//! behind gets them in one piece, and neither costs memory of its own.
//!
//! What must stay true:
//! - only the writer appends, and nothing after the terminal event, which seals the log;
//! - the tail only grows, by one for each event;
//! - a reader whose place was trimmed is told ([`Next::Gap`]), never skipped ahead.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokenwire_protocol::{Event, GenerationId};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    frame,
    readers::{Readers, Wakers},
};

/// Most bytes of text in one run, and so in one merged frame.
///
/// Large enough that catching up costs few frames, small enough that a frame is no burst on a phone.
pub const MAX_RUN_BYTES: usize = 16 * 1024;

/// What a delta is a piece of. Only deltas of the same part are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The answer.
    Text,
    /// The reasoning.
    Reasoning,
    /// A refusal.
    Refusal,
    /// The arguments of a tool call.
    Arguments {
        /// Which call of the generation.
        index: u32,
        /// Its id.
        call_id: Arc<str>,
        /// The tool's name.
        name: Arc<str>,
    },
}

/// The shared side of a log.
pub struct Log {
    id: GenerationId,
    epoch: Arc<str>,
    max_bytes: usize,
    /// The last seq written. Changes only under the lock; read without it to see whether there is news.
    tail: AtomicU64,
    state: Mutex<State>,
    /// Told when the last reader leaves or the first one comes.
    attention: Arc<Notify>,
}

struct State {
    segments: VecDeque<Segment>,
    /// The first seq that is still kept.
    first: u64,
    tail: u64,
    is_sealed: bool,
    bytes: usize,
    readers: Readers,
    /// Those of the readers that only look on.
    viewers: usize,
    /// Whether somebody has read the terminal event who does not only look on.
    is_read: bool,
    /// The newest delta frame, kept so that readers at the same place share it.
    latest: Option<Latest>,
}

struct Latest {
    after: u64,
    seq: u64,
    frame: Utf8Bytes,
}

enum Segment {
    Run(Run),
    Event { seq: u64, event: Box<Event>, frame: Utf8Bytes },
}

/// Joined deltas of one part.
struct Run {
    first: u64,
    part: Part,
    text: String,
    /// Where in `text` each delta ends; the n-th entry belongs to seq `first + n`.
    ends: Vec<u32>,
}

/// The log cannot take more: it has reached its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFull;

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// The next piece.
    Some(T),
    /// Nothing yet.
    Pending,
    /// Everything was read, and nothing will follow.
    End,
    /// The events after the cursor are no longer kept; the oldest one kept is `first`.
    Gap {
        /// The oldest seq that is still kept.
        first: u64,
    },
}

/// One piece of the log, as a dialect sees it.
pub enum Chunk<'a> {
    /// Adjacent deltas of one part, joined.
    Deltas {
        /// The part.
        part: &'a Part,
        /// The joined text.
        text: &'a str,
    },
    /// Any other event, with its native frame.
    Event {
        /// The event.
        event: &'a Event,
        /// Its native text.
        frame: &'a Utf8Bytes,
    },
}

impl Log {
    /// An empty log and its one writer.
    pub fn new(id: GenerationId, epoch: Arc<str>, max_bytes: usize, attention: Arc<Notify>) -> (Arc<Self>, Writer) {
        let state = State {
            segments: VecDeque::new(),
            first: 1,
            tail: 0,
            is_sealed: false,
            bytes: 0,
            readers: Readers::default(),
            viewers: 0,
            is_read: false,
            latest: None,
        };
        let log = Arc::new(Self { id, epoch, max_bytes, tail: AtomicU64::new(0), state: Mutex::new(state), attention });
        let writer = Writer { log: log.clone(), is_held: false };
        (log, writer)
    }

    /// The random name of this log.
    pub fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// The last seq written.
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }

    /// The oldest seq that is still kept, or the one to come.
    pub fn first(&self) -> u64 {
        self.lock().first
    }

    /// Whether the terminal event is written.
    pub fn is_sealed(&self) -> bool {
        self.lock().is_sealed
    }

    /// Whether somebody has read the terminal event who does not only look on.
    pub fn is_read(&self) -> bool {
        self.lock().is_read
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Whether an event of that many bytes may still fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.lock().bytes.saturating_add(bytes) <= self.max_bytes
    }

    /// How many readers there are, viewers not counted.
    pub fn reader_count(&self) -> usize {
        self.lock().owners()
    }

    /// Whether everything since the start is still kept.
    pub fn is_whole(&self) -> bool {
        self.first() == 1
    }

    /// What ended it.
    pub fn terminal(&self) -> Option<Event> {
        match self.lock().segments.back() {
            Some(Segment::Event { event, .. }) if event.is_terminal() => Some(Event::clone(event)),
            _ => None,
        }
    }

    /// The accumulated text after `after`: the joined text deltas that are still kept.
    pub fn text_after(&self, after: u64) -> String {
        let state = self.lock();
        let mut text = String::new();
        let from = state.segments.partition_point(|segment| segment.last() <= after);
        for segment in state.segments.range(from..) {
            if let Segment::Run(run) = segment
                && run.part == Part::Text
            {
                text.push_str(run.after(after));
            }
        }
        text
    }

    /// Shows all that is kept, in order, each piece with the last seq that it covers. `read` must not come back to
    /// this log.
    pub fn visit(&self, mut read: impl FnMut(Chunk<'_>, u64)) {
        for segment in &self.lock().segments {
            let chunk = match segment {
                Segment::Run(run) => Chunk::Deltas { part: &run.part, text: &run.text },
                Segment::Event { event, frame, .. } => Chunk::Event { event, frame },
            };
            read(chunk, segment.last());
        }
    }

    /// A reader that continues after `after`; 0 reads from the start.
    ///
    /// Whether that place is still kept shows at the first [`Reader::next`].
    pub fn reader(self: &Arc<Self>, after: u64) -> Reader {
        let (slot, is_first) = {
            let mut state = self.lock();
            let slot = state.readers.add();
            (slot, state.owners() == 1)
        };
        if is_first {
            self.attention.notify_one();
        }
        Reader { log: self.clone(), cursor: after, slot, is_viewer: false }
    }

    /// A reader from the start for somebody who only looks on: it keeps no generation running.
    pub fn viewer(self: &Arc<Self>) -> Reader {
        let mut state = self.lock();
        let slot = state.readers.add();
        state.viewers += 1;
        Reader { log: self.clone(), cursor: 0, slot, is_viewer: true }
    }

    /// Drops the oldest events until at most `max_bytes` are held.
    ///
    /// Whole segments go; the newest one stays. Readers behind that place will see a gap.
    pub fn trim(&self, max_bytes: usize) {
        let mut state = self.lock();
        while state.bytes > max_bytes && state.segments.len() > 1 {
            if let Some(segment) = state.segments.pop_front() {
                state.bytes -= segment.bytes();
                state.first = segment.last() + 1;
            }
        }
        let wakers = state.readers.take_waiting();
        drop(state);
        wakers.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds this lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who appends.
pub struct Writer {
    log: Arc<Log>,
    /// Readers are not woken now: more is about to come.
    is_held: bool,
}

impl Writer {
    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Appends a delta. Empty deltas are no events and are dropped, except the first of a call's
    /// arguments, which announces the call. One that is longer than a frame may be becomes several.
    ///
    /// # Errors
    ///
    /// [`LogFull`] when it does not fit; nothing is appended then.
    pub fn delta(&mut self, part: &Part, delta: &str) -> Result<(), LogFull> {
        if delta.is_empty() && !matches!(part, Part::Arguments { .. }) {
            return Ok(());
        }
        let mut state = self.log.lock();
        debug_assert!(!state.is_sealed, "nothing follows the terminal event");
        if state.bytes + delta.len() + size_of::<u32>() > self.log.max_bytes {
            return Err(LogFull);
        }
        let mut rest = delta;
        loop {
            let piece = prefix(rest, MAX_RUN_BYTES);
            state.push_delta(part, piece);
            rest = &rest[piece.len()..];
            if rest.is_empty() {
                break;
            }
        }
        self.publish(state);
        Ok(())
    }

    /// Appends an event that is neither a delta nor terminal.
    ///
    /// # Errors
    ///
    /// [`LogFull`] when it does not fit; nothing is appended then.
    pub fn event(&mut self, event: Event) -> Result<u64, LogFull> {
        debug_assert!(!event.is_terminal(), "a terminal event seals");
        let mut state = self.log.lock();
        debug_assert!(!state.is_sealed, "nothing follows the terminal event");
        let seq = state.tail + 1;
        let frame = Utf8Bytes::from(event.to_frame(&self.log.id, seq));
        if state.bytes + frame.len() > self.log.max_bytes {
            return Err(LogFull);
        }
        state.push_event(event, frame);
        self.publish(state);
        Ok(seq)
    }

    /// Appends the terminal event and seals the log. Always fits: an ending is never lost.
    pub fn seal(mut self, event: Event) -> u64 {
        self.is_held = false;
        debug_assert!(event.is_terminal(), "only a terminal event seals");
        let mut state = self.log.lock();
        let seq = state.tail + 1;
        let frame = Utf8Bytes::from(event.to_frame(&self.log.id, seq));
        state.push_event(event, frame);
        state.is_sealed = true;
        state.latest = None;
        // Nothing will be appended: give back what growing had set aside.
        if let Some(Segment::Run(run)) = state.segments.iter_mut().rev().nth(1) {
            run.shrink();
        }
        self.publish(state);
        seq
    }

    /// From now on what is appended wakes nobody, until [`release`](Self::release) or the seal. For
    /// the moment in which more is about to come: readers then find it together.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Wakes who waits for what was appended.
    pub fn release(&mut self) {
        self.is_held = false;
        self.publish(self.log.lock());
    }

    /// Moves the tail and wakes who waits, after the lock is gone: a woken reader takes it at once.
    fn publish(&self, mut state: MutexGuard<'_, State>) {
        self.log.tail.store(state.tail, Ordering::Release);
        let wakers = if self.is_held { Wakers::None } else { state.readers.take_waiting() };
        drop(state);
        wakers.wake();
    }
}

/// A place in a log. Dropping it detaches.
pub struct Reader {
    log: Arc<Log>,
    cursor: u64,
    slot: usize,
    is_viewer: bool,
}

impl Reader {
    /// Whether everything that will ever be there is there.
    pub fn is_sealed(&self) -> bool {
        self.log.is_sealed()
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The seq up to which everything was read.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next native frame, and whether it is the terminal event's.
    pub fn next_frame(&mut self) -> Next<(Utf8Bytes, bool)> {
        self.step(|id, Shared { latest, is_used: is_shared }, after, segment| match segment {
            Segment::Event { seq, frame, event } => (*seq, (frame.clone(), event.is_terminal())),
            Segment::Run(run) => {
                let seq = run.last();
                if let Some(latest) = latest
                    && (latest.after, latest.seq) == (after, seq)
                {
                    return (seq, (latest.frame.clone(), false));
                }
                let frame = frame::deltas(id, seq, &run.part, run.after(after));
                if is_shared {
                    *latest = Some(Latest { after, seq, frame: frame.clone() });
                }
                (seq, (frame, false))
            }
        })
    }

    /// The next piece, for a dialect that makes its own frames of it. `read` gets the piece and the
    /// last seq that it covers.
    pub fn next<T>(&mut self, read: impl FnOnce(Chunk<'_>, u64) -> T) -> Next<T> {
        self.step(|_, _, after, segment| match segment {
            Segment::Event { seq, event, frame } => (*seq, read(Chunk::Event { event, frame }, *seq)),
            Segment::Run(run) => {
                (run.last(), read(Chunk::Deltas { part: &run.part, text: run.after(after) }, run.last()))
            }
        })
    }

    /// Passes over all that is there. The end, if it is there, stays to be read by somebody.
    pub fn skip(&mut self) -> Next<()> {
        let state = self.log.lock();
        self.cursor = state.tail;
        if state.is_sealed { Next::End } else { Next::Pending }
    }

    /// Ready when [`next`](Self::next) has something to say other than [`Next::Pending`].
    ///
    /// Cancel-safe: it only leaves a waker behind.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.log.tail() > self.cursor {
            return Poll::Ready(());
        }
        let mut state = self.log.lock();
        if state.tail > self.cursor || state.is_sealed || self.cursor + 1 < state.first {
            return Poll::Ready(());
        }
        state.readers.wait(self.slot, cx.waker());
        Poll::Pending
    }

    fn step<T>(&mut self, read: impl FnOnce(&GenerationId, Shared<'_>, u64, &Segment) -> (u64, T)) -> Next<T> {
        let mut state = self.log.lock();
        let State { segments, first, tail, is_sealed, is_read, latest, readers, .. } = &mut *state;
        if self.cursor >= *tail {
            return if *is_sealed { Next::End } else { Next::Pending };
        }
        if self.cursor + 1 < *first {
            return Next::Gap { first: *first };
        }
        // A reader that keeps up is in the last segment; only one that is behind searches.
        let at = match segments.back() {
            Some(last) if last.first() <= self.cursor + 1 => segments.len() - 1,
            _ => segments.partition_point(|segment| segment.last() <= self.cursor),
        };
        let Some(segment) = segments.get(at) else { return Next::Gap { first: *first } };
        let shared = Shared { latest, is_used: readers.count() > 1 };
        let (seq, item) = read(&self.log.id, shared, self.cursor, segment);
        self.cursor = seq;
        *is_read |= *is_sealed && seq == *tail && !self.is_viewer;
        Next::Some(item)
    }
}

/// The place of the frame that readers share; not used while there is one reader.
struct Shared<'a> {
    latest: &'a mut Option<Latest>,
    is_used: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.log.lock();
            state.readers.remove(self.slot);
            state.viewers -= usize::from(self.is_viewer);
            !self.is_viewer && state.owners() == 0
        };
        if is_last {
            self.log.attention.notify_one();
        }
    }
}

impl State {
    /// The readers that are not viewers.
    fn owners(&self) -> usize {
        self.readers.count() - self.viewers
    }

    fn push_delta(&mut self, part: &Part, delta: &str) {
        let seq = self.tail + 1;
        self.tail = seq;
        self.bytes += delta.len() + size_of::<u32>();
        match self.segments.back_mut() {
            Some(Segment::Run(run)) if run.part == *part && run.text.len() + delta.len() <= MAX_RUN_BYTES => {
                run.text.push_str(delta);
                run.ends.push(run.text.len() as u32);
            }
            last => {
                if let Some(Segment::Run(run)) = last {
                    run.shrink();
                }
                let run =
                    Run { first: seq, part: part.clone(), text: delta.to_owned(), ends: vec![delta.len() as u32] };
                self.segments.push_back(Segment::Run(run));
            }
        }
    }

    fn push_event(&mut self, event: Event, frame: Utf8Bytes) {
        self.tail += 1;
        self.bytes += frame.len();
        self.segments.push_back(Segment::Event { seq: self.tail, event: Box::new(event), frame });
    }
}

impl Segment {
    fn first(&self) -> u64 {
        match self {
            Self::Run(run) => run.first,
            Self::Event { seq, .. } => *seq,
        }
    }

    fn last(&self) -> u64 {
        match self {
            Self::Run(run) => run.last(),
            Self::Event { seq, .. } => *seq,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Run(run) => run.text.len() + run.ends.len() * size_of::<u32>(),
            Self::Event { frame, .. } => frame.len(),
        }
    }
}

impl Run {
    fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
    }

    /// The text of the deltas after seq `after`.
    fn after(&self, after: u64) -> &str {
        let start = match after.checked_sub(self.first) {
            None => 0,
            Some(read) => self.ends.get(read as usize).map_or(self.text.len(), |end| *end as usize),
        };
        &self.text[start..]
    }

    fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// The longest prefix of `text` that has at most `max` bytes and ends between two characters.
fn prefix(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}
