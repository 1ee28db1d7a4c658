//! A log, as the frames of one request.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::json;
use tokenwire_protocol::{ErrorCode, ErrorInfo, Event};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Answered, CallAnswer, RequestId, chunks::Chunks, error_frame, start};
use crate::generation::{
    Generation,
    log::{Chunk, Log, Next, Reader},
};

/// The answer to one request: a reader, and what it has said.
pub(crate) struct Answer {
    request: RequestId,
    reader: Reader,
    chunks: Chunks,
    /// Chunks of the piece that was read last. Kept for its memory.
    fresh: Vec<String>,
    frames: VecDeque<Utf8Bytes>,
    /// The number of the next chunk.
    sequence: u64,
    state: State,
    /// Everything that is there was said.
    is_idle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The request has its end and the generation waits for the page: it is only kept running.
    Keeping,
    /// Nothing follows what is in `frames`.
    Over,
}

impl Answer {
    /// Everything that the generation says.
    pub fn whole(request: RequestId, generation: &Generation) -> Self {
        Self::at(request, generation, 0)
    }

    /// What the generation says behind the answers of a page to its calls, if it is the one that made them, and if
    /// it waits for one of them or took one. Nothing was answered yet.
    pub fn behind(request: RequestId, generation: &Generation, answers: &[CallAnswer]) -> Option<Self> {
        let ids: HashSet<&str> = answers.iter().map(|answer| &*answer.call_id).collect();
        if ids.is_empty() {
            return None;
        }
        // In this order: what was answered before the first line and comes into the log meanwhile is found by the last.
        let (is_asked, tail) = (generation.has_asked_about(&ids), generation.log().tail());
        let taken = taken_at(generation.log(), answers);
        if taken.is_none() && !is_asked {
            return None;
        }
        let after = taken.unwrap_or(tail);
        let mut answer = Self::at(request, generation, after);
        // Says it again to itself, to know where the message stands.
        let mut past = generation.log().reader(0);
        while past.cursor() < after
            && let Next::Some(()) = past.next(|chunk, _| answer.chunks.read(&chunk, &mut answer.fresh))
        {
            answer.fresh.clear();
        }
        answer.chunks.go_on(&ids, &mut answer.fresh);
        answer.frame_chunks();
        Some(answer)
    }

    fn at(request: RequestId, generation: &Generation, after: u64) -> Self {
        let message_id = start::message_id(generation);
        Self {
            request,
            reader: generation.log().reader(after),
            chunks: Chunks::new(message_id, generation.id().as_str(), generation.served().to_vec()),
            fresh: Vec::new(),
            frames: VecDeque::new(),
            sequence: 0,
            state: State::Reading,
            is_idle: false,
        }
    }

    /// The next frame, and whether it is the last thing that there is to say of the log.
    pub fn next(&mut self) -> Next<(Utf8Bytes, bool)> {
        self.is_idle = false;
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Next::Some((frame, self.state == State::Over && self.frames.is_empty()));
            }
            match self.state {
                State::Reading => {}
                State::Over => return Next::End,
                State::Keeping => {
                    let is_over = self.reader.skip() == Next::End;
                    self.is_idle = !is_over;
                    return if is_over { Next::End } else { Next::Pending };
                }
            }
            let read = self.reader.next(|chunk, _| {
                self.chunks.read(&chunk, &mut self.fresh);
                matches!(chunk, Chunk::Event { event: Event::Finished(_) | Event::Cancelled(_) | Event::Failed(_), .. })
            });
            match read {
                Next::Some(is_terminal) => {
                    self.frame_chunks();
                    if is_terminal {
                        self.end(State::Over);
                    }
                }
                Next::Pending => {
                    let ends = self.chunks.idle(&mut self.fresh);
                    self.frame_chunks();
                    if ends {
                        self.end(State::Keeping);
                    } else if self.frames.is_empty() {
                        self.is_idle = true;
                        return Next::Pending;
                    }
                }
                Next::End => self.end(State::Over),
                Next::Gap { .. } => {
                    let error = ErrorInfo::new(ErrorCode::Gap, "the beginning of the answer is no longer kept");
                    self.frames.push_back(error_frame(Some(self.request.as_str()), &error).into());
                    self.state = State::Over;
                }
            }
        }
    }

    /// Ready when [`next`](Self::next) has something to say other than [`Next::Pending`]. Cancel-safe.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_idle { self.reader.poll_ready(cx) } else { Poll::Ready(()) }
    }

    pub fn is_sealed(&self) -> bool {
        self.reader.is_sealed()
    }

    /// Whether it is only there to keep the generation of `log` running.
    pub fn only_keeps(&self, log: &Arc<Log>) -> bool {
        self.state == State::Keeping && Arc::ptr_eq(self.reader.log(), log)
    }

    pub fn log(&self) -> &Arc<Log> {
        self.reader.log()
    }

    fn frame_chunks(&mut self) {
        for chunk in self.fresh.drain(..) {
            let (request, sequence) = (&self.request, self.sequence);
            // The name of a request needs no escaping.
            let frame = format!(r#"{{"type":"chunk","requestId":"{request}","sequence":{sequence},"chunk":{chunk}}}"#);
            self.sequence += 1;
            self.frames.push_back(frame.into());
        }
    }

    /// The request has everything.
    fn end(&mut self, state: State) {
        self.state = state;
        self.frames.push_back(json!({"type": "end", "requestId": self.request}).to_string().into());
    }
}

/// The position before the first of these answers, if the generation has taken one of them, or another one in its
/// place.
fn taken_at(log: &Arc<Log>, answers: &[CallAnswer]) -> Option<u64> {
    let given = |are_results: bool| -> HashSet<&str> {
        let fit = answers.iter().filter(|given| matches!(given.answer, Answered::Result { .. }) == are_results);
        fit.map(|given| &*given.call_id).collect()
    };
    let (results, decisions) = (given(true), given(false));
    let mut found = None;
    log.visit(|chunk, seq| {
        let is_taken = match chunk {
            Chunk::Event { event: Event::ToolResult(taken), .. } => results.contains(&*taken.call_id),
            Chunk::Event { event: Event::ToolDecision(taken), .. } => decisions.contains(&*taken.call_id),
            _ => false,
        };
        if is_taken {
            found.get_or_insert(seq - 1);
        }
    });
    found
}
