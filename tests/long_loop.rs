//! Promise: the fiftieth turn of a tool loop costs what the fifth one did, but for the provider's request, which has to
//! hold the conversation. The only test of its file: it counts the allocations of the whole process.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    alloc::System,
    sync::{Arc, Mutex},
};

use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{TestServer, dialogue::result, start, with};
use tokenwire::{
    protocol::{ErrorInfo, FinishReason, message::Content},
    provider::{BoxFuture, ModelEvent, ModelRequest, Provider, Turn, Usage},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TURNS: usize = 50;

/// What was seen at the beginning of one turn.
struct Seen {
    /// What was allocated in the turn before: how often, and how many bytes.
    allocations: (usize, usize),
    /// Where in memory each message's text is.
    places: Vec<usize>,
}

/// A model that calls a tool in every turn, and builds no request.
struct Caller {
    seen: Arc<Mutex<Vec<Seen>>>,
    region: Mutex<Region<'static, System>>,
}

impl Provider for Caller {
    fn name(&self) -> &str {
        "caller"
    }

    fn run<'a>(&'a self, request: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            let stats = self.region.lock().unwrap().change_and_reset();
            let texts = request.messages.iter().filter_map(|message| match &message.content {
                Some(Content::Text(text)) => Some(text.as_ptr() as usize),
                _ => None,
            });
            let places = texts.collect();
            seen.push(Seen { allocations: (stats.allocations, stats.bytes_allocated), places });
            seen.len()
        };
        Box::pin(async move {
            turn.emit(ModelEvent::Reasoning("Let me see."));
            turn.emit(ModelEvent::Text("I look once more, since there is always something to see."));
            let reason = if number < TURNS { FinishReason::ToolCalls } else { FinishReason::Stop };
            if number < TURNS {
                let (call_id, name) = (&Arc::from(format!("call_{number:03}")), &Arc::from("look"));
                let arguments = r#"{"at":"the sky, and then the sea"}"#;
                turn.emit(ModelEvent::ToolCallDelta { index: 0, call_id, name, delta: arguments });
                turn.emit(ModelEvent::ToolCall { index: 0, call_id, name, arguments });
            }
            turn.emit(ModelEvent::Native(json!({"signature": "c2ln"})));
            let usage = Usage { input_tokens: Some(100), output_tokens: Some(10), ..Usage::default() };
            turn.emit(ModelEvent::Usage(usage));
            turn.emit(ModelEvent::Finish { reason, provider_reason: None });
            Ok(())
        })
    }
}

fn median(mut values: Vec<usize>) -> usize {
    values.sort_unstable();
    values[values.len() / 2]
}

/// The last turns are within a twentieth of the first ones.
#[track_caller]
fn is_flat(what: &str, per_turn: &[usize]) {
    let (early, late) = (median(per_turn[3..13].to_vec()), median(per_turn[per_turn.len() - 10..].to_vec()));
    assert!(late <= early + early / 20, "{what}: {early} in an early turn, {late} in a late one: {per_turn:?}");
}

#[tokio::test]
async fn every_turn_costs_the_same() {
    let seen = Arc::new(Mutex::new(Vec::with_capacity(TURNS)));
    let caller = Caller { seen: seen.clone(), region: Mutex::new(Region::new(ALLOCATOR)) };
    let server = TestServer::build(|config| config.limits.max_turns = 100, |builder| builder.provider(caller)).await;
    let mut client = server.client().await;
    client.send(with(start("g1"), json!({"model": "caller/m"}))).await;

    let (mut wire, mut log) = (Vec::new(), Vec::new());
    let (mut wire_bytes, mut log_bytes) = (0, 0);
    loop {
        let frame = client.next().await;
        // Positions grow by a digit at times.
        wire_bytes += frame.to_string().len() - frame["seq"].to_string().len();
        match frame["type"].as_str().unwrap() {
            "tool_wait" => {
                // Nothing happens before the result.
                wire.push(std::mem::take(&mut wire_bytes));
                let bytes = server.generation("g1").log().bytes();
                log.push(bytes - std::mem::replace(&mut log_bytes, bytes));
                client.send(result(frame["call_ids"][0].as_str().unwrap(), "There is nothing but blue.")).await;
            }
            "finished" => break,
            _ => {}
        }
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!((seen.len(), wire.len()), (TURNS, TURNS - 1));
    is_flat("bytes on the client's wire", &wire);
    is_flat("bytes of the log", &log);
    is_flat("allocations", &seen.iter().map(|seen| seen.allocations.0).collect::<Vec<_>>());
    is_flat("allocated bytes", &seen.iter().map(|seen| seen.allocations.1).collect::<Vec<_>>());
    for pair in seen.windows(2) {
        let (before, after) = (&pair[0].places, &pair[1].places);
        assert_eq!(after[..before.len()], before[..], "the conversation is added to, never copied");
    }
}
