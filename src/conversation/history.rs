//! What pages show of conversations, as JSON: lists, and what was said in one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    Event,
    message::{Message, Role},
};

use super::{Conversation, Started, answer};
use crate::generation::Generation;

/// About how many bytes a page has at most. One entry always fits.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// How a generation went, as far as a page shows it.
pub(crate) struct Outcome {
    /// What it has added to the conversation.
    answer: Vec<Message>,
    /// The terminal event; none while it runs.
    end: Option<Event>,
}

impl Outcome {
    pub fn of(generation: &Generation) -> Self {
        let mut end = generation.log().terminal();
        if let Some(
            Event::Finished(tokenwire_protocol::Finished { text, .. })
            | Event::Cancelled(tokenwire_protocol::Cancelled { text, .. })
            | Event::Failed(tokenwire_protocol::Failed { text, .. }),
        ) = &mut end
        {
            // It is there already.
            *text = None;
        }
        Self { answer: answer::of(generation.log()), end }
    }

    pub fn bytes(&self) -> usize {
        self.answer.iter().map(Message::byte_len).sum()
    }

    fn write(&self, entry: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        let state = self.end.as_ref().map_or("running", Event::type_name);
        put("state", state.into());
        let by_model = self.answer.iter().filter(|message| message.role == Role::Assistant);
        put("text", by_model.map(Message::plain_text).collect::<String>().into());
        put("answer", json!(self.answer));
        let usage = match &self.end {
            Some(Event::Finished(end)) => {
                put("finish_reason", json!(end.reason));
                &end.usage
            }
            Some(Event::Cancelled(end)) => {
                put("by", json!(end.by));
                &end.usage
            }
            Some(Event::Failed(end)) => {
                put("error", json!(end.error));
                &end.usage
            }
            _ => return,
        };
        put("usage", json!(usage));
    }
}

impl Conversation {
    /// What a list shows of it.
    pub fn summary(&self) -> Value {
        let state = self.lock();
        let started: Vec<_> = state.changes.iter().filter_map(|change| change.started.as_ref()).collect();
        let is_running = |started: &&&Started| started.generation.as_ref().is_some_and(|kept| !kept.has_ended());
        let mut summary = json!({
            "id": self.id,
            "created_at": unix_ms(self.created_at),
            "updated_at": unix_ms(state.updated_at),
            "generations": started.len(),
            "running": started.iter().filter(is_running).count(),
            "shared": state.share.is_some(),
        });
        if let Some(started) = started.last() {
            summary["latest"] = json!(started.id);
        }
        if let Some(title) = &state.title {
            summary["title"] = title.as_str().into();
        }
        summary
    }

    /// What was said in it: up to `limit` generations after `after`, oldest first, and fewer where they are long.
    ///
    /// `seq` and `epoch` say where a `watch` goes on; `next` is the `after` of the next page, if there is one.
    pub fn history(&self, after: u64, limit: usize) -> Value {
        let mut page = self.summary();
        let (rest, tail): (Vec<_>, u64) = {
            let state = self.lock();
            let started = state.changes.iter().filter(|change| change.seq > after).filter_map(|change| {
                let started = change.started.as_ref()?;
                Some((change.seq, change.frame.clone(), started.clone()))
            });
            // One more than is shown says whether there are more.
            (started.take(limit + 1).collect(), state.tail)
        };
        let mut data = Vec::new();
        let mut bytes = 0;
        for (seq, frame, started) in rest.iter().take(limit) {
            let made;
            let outcome = match (&started.outcome, &started.generation) {
                (Some(outcome), _) => Some(&**outcome),
                (None, Some(generation)) => {
                    made = Outcome::of(generation);
                    Some(&made)
                }
                (None, None) => None,
            };
            bytes += frame.len() + outcome.map_or(0, Outcome::bytes);
            if bytes > MAX_PAGE_BYTES && !data.is_empty() {
                break;
            }
            data.push(entry(*seq, frame, started, outcome));
        }
        let has_more = rest.len() > data.len();
        let last = data.len().checked_sub(1).map_or(after, |last| rest[last].0);
        page["epoch"] = json!(self.epoch);
        page["seq"] = if has_more { last } else { tail }.into();
        if has_more {
            page["next"] = last.into();
        }
        page["data"] = data.into();
        page
    }
}

fn entry(seq: u64, frame: &str, started: &Started, outcome: Option<&Outcome>) -> Value {
    // The frame was made here, of an object.
    let Ok(Value::Object(frame)) = serde_json::from_str::<Value>(frame) else { return Value::Null };
    let shown = ["id", "model", "messages", "continue_from"];
    let mut entry: Map<_, _> = frame.into_iter().filter(|(key, _)| shown.contains(&key.as_str())).collect();
    entry.insert("seq".to_owned(), seq.into());
    entry.insert("started_at".to_owned(), unix_ms(started.at).into());
    if let Some(outcome) = outcome {
        outcome.write(&mut entry);
    }
    Value::Object(entry)
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
