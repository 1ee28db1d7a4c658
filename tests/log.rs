//! The log: any interleaving of appends, attaches, lagging readers and trims gives each reader
//! the exact text, or says that it cannot.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use tokenwire::{
    generation::log::{Log, MAX_RUN_BYTES, Next, Part, Reader, Writer},
    protocol::{Cancelled, CancelledBy, Event, Timing, TokenUsage, ToolWait},
};

#[derive(Clone, Debug)]
enum Step {
    Delta(usize, String),
    Event,
    Attach(Index),
    Read(Index, usize),
    Detach(Index),
    Trim(usize),
    Seal,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = prop_oneof![8 => "[a-zé\"\\\\\n😀]{0,6}", 1 => (1..20_000usize).prop_map(|n| "aé".repeat(n))];
    let step = prop_oneof![
        30 => (0..4usize, text).prop_map(|(part, text)| Step::Delta(part, text)),
        4 => Just(Step::Event),
        4 => any::<Index>().prop_map(Step::Attach),
        20 => (any::<Index>(), 1..5usize).prop_map(|(reader, frames)| Step::Read(reader, frames)),
        1 => any::<Index>().prop_map(Step::Detach),
        2 => (0..50_000usize).prop_map(Step::Trim),
        1 => Just(Step::Seal),
    ];
    prop::collection::vec(step, 1..150)
}

/// What happened, in the simplest form: one entry per seq.
enum Entry {
    Delta(usize, String),
    Event(&'static str),
}

const TYPES: [&str; 4] = ["text", "reasoning", "refusal", "tool_call_delta"];

fn part(kind: usize) -> Part {
    match kind {
        0 => Part::Text,
        1 => Part::Reasoning,
        2 => Part::Refusal,
        _ => Part::Arguments { index: 0, call_id: "c1".into(), name: "tool".into() },
    }
}

fn new_log(max_bytes: usize) -> (Arc<Log>, Writer) {
    Log::new("g1".parse().unwrap(), "epoch".into(), max_bytes, Arc::default())
}

fn terminal() -> Event {
    let usage = TokenUsage::default();
    Event::Cancelled(Cancelled { by: CancelledBy::Client, reason: None, usage, timing: Timing::default(), text: None })
}

struct Tracked {
    reader: Reader,
    at: u64,
    is_gone: bool,
}

impl Tracked {
    /// Reads one frame and holds it against what happened. Says whether there was one.
    fn read(&mut self, happened: &[Entry], first: u64, is_sealed: bool) -> bool {
        let tail = happened.len() as u64;
        match self.reader.next_frame() {
            Next::Some((frame, is_terminal)) => {
                let frame: Value = serde_json::from_str(&frame).unwrap();
                let seq = frame["seq"].as_u64().unwrap();
                assert!(self.at < seq && seq <= tail, "seq grows and never passes the tail");
                let covered = &happened[self.at as usize..seq as usize];
                match &covered[0] {
                    Entry::Event(name) => {
                        assert_eq!(covered.len(), 1, "events are never merged");
                        assert_eq!(frame["type"], *name);
                        assert_eq!(is_terminal, *name == "cancelled");
                    }
                    Entry::Delta(kind, _) => {
                        let texts = covered.iter().map(|entry| match entry {
                            Entry::Delta(other, text) if other == kind => text.as_str(),
                            _ => panic!("only deltas of the same part are merged"),
                        });
                        let expected: String = texts.collect();
                        assert_eq!(frame["type"], TYPES[*kind]);
                        assert_eq!(frame["delta"], expected);
                        assert!(expected.len() <= MAX_RUN_BYTES, "a frame is bounded");
                    }
                }
                self.at = seq;
                return true;
            }
            Next::Pending => assert!(self.at == tail && !is_sealed),
            Next::End => {
                assert!(self.at == tail && is_sealed);
                self.is_gone = true;
            }
            Next::Gap { first: said } => {
                assert_eq!(said, first);
                assert!(self.at + 1 < first, "a gap is said only where there is one");
                self.is_gone = true;
            }
        }
        false
    }
}

/// A delta longer than a frame becomes several events.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        if pieces.last().unwrap().len() + c.len_utf8() > MAX_RUN_BYTES {
            pieces.push(String::new());
        }
        pieces.last_mut().unwrap().push(c);
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_gets_the_exact_text_or_is_told_of_the_gap(steps in steps()) {
        let (log, writer) = new_log(64 << 20);
        let mut writer = Some(writer);
        let mut happened: Vec<Entry> = Vec::new();
        let mut readers: Vec<Tracked> = Vec::new();
        let mut first = 1;
        for step in steps {
            match step {
                Step::Delta(kind, text) => {
                    let Some(writer) = &mut writer else { continue };
                    writer.delta(&part(kind), &text).unwrap();
                    if !text.is_empty() || kind == 3 {
                        happened.extend(pieces(&text).into_iter().map(|piece| Entry::Delta(kind, piece)));
                    }
                }
                Step::Event => {
                    let Some(writer) = &mut writer else { continue };
                    writer.event(Event::ToolWait(ToolWait { call_ids: vec!["c1".into()] })).unwrap();
                    happened.push(Entry::Event("tool_wait"));
                }
                Step::Seal => {
                    let Some(writer) = writer.take() else { continue };
                    writer.seal(terminal());
                    happened.push(Entry::Event("cancelled"));
                }
                Step::Attach(at) => {
                    let at = at.index(happened.len() + 1) as u64;
                    readers.push(Tracked { reader: log.reader(at), at, is_gone: false });
                }
                Step::Read(which, frames) if !readers.is_empty() => {
                    let which = which.index(readers.len());
                    for _ in 0..frames {
                        if readers[which].is_gone || !readers[which].read(&happened, first, writer.is_none()) {
                            break;
                        }
                    }
                }
                Step::Detach(which) if !readers.is_empty() => {
                    readers.swap_remove(which.index(readers.len()));
                }
                Step::Read(..) | Step::Detach(_) => {}
                Step::Trim(bytes) => {
                    log.trim(bytes);
                    prop_assert!(log.first() >= first, "what was dropped stays dropped");
                    first = log.first();
                }
            }
            prop_assert_eq!(log.tail(), happened.len() as u64);
            prop_assert_eq!(log.reader_count(), readers.len());
        }
        for mut tracked in readers {
            while !tracked.is_gone && tracked.read(&happened, first, writer.is_none()) {}
        }
        let kept = happened[(first - 1) as usize..].iter().filter_map(|entry| match entry {
            Entry::Delta(0, text) => Some(text.as_str()),
            _ => None,
        });
        prop_assert_eq!(log.text_after(0), kept.collect::<String>());
    }
}

#[test]
fn readers_at_the_same_place_share_one_frame() {
    let (log, mut writer) = new_log(1 << 20);
    let mut readers = [log.reader(0), log.reader(0)];
    writer.delta(&Part::Text, "shared").unwrap();
    let [Next::Some((a, _)), Next::Some((b, _))] = readers.each_mut().map(Reader::next_frame) else {
        panic!("both have something to read");
    };
    assert_eq!(a.as_str().as_ptr(), b.as_str().as_ptr(), "the text was made once");
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_every_event_and_by_the_seal() {
    let (log, mut writer) = new_log(1 << 20);
    let mut reader = log.reader(0);
    let reading = async {
        let (mut text, mut last) = (String::new(), String::new());
        loop {
            std::future::poll_fn(|cx| reader.poll_ready(cx)).await;
            match reader.next_frame() {
                Next::Some((frame, _)) => {
                    let frame: Value = serde_json::from_str(&frame).unwrap();
                    text.push_str(frame["delta"].as_str().unwrap_or_default());
                    last = frame["type"].as_str().unwrap().to_owned();
                }
                Next::End => return (text, last),
                _ => {}
            }
        }
    };
    let writing = async {
        for _ in 0..3 {
            writer.delta(&Part::Text, "a").unwrap();
            tokio::task::yield_now().await;
        }
        writer.seal(terminal());
    };
    let ((text, last), ()) = tokio::join!(reading, writing);
    assert_eq!((text.as_str(), last.as_str()), ("aaa", "cancelled"));
}

#[test]
fn a_full_log_refuses_and_still_takes_its_end() {
    let (log, mut writer) = new_log(100);
    let fits = (0..100).take_while(|_| writer.delta(&Part::Text, "0123456789").is_ok()).count();
    assert_eq!(fits, 7, "a delta counts its text and the four bytes of its place");
    assert_eq!(log.tail(), 7);
    assert_eq!(writer.seal(terminal()), 8);
    assert!(log.is_sealed());
}
