//! Promise: whatever a tool does, its generation has an end, others go on, and a cancel ends it at once.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use serde_json::{Value, json};
use support::{Client, TestServer, start, until, with, within};
use tokenwire::{
    protocol::message::{Content, ToolFunction},
    provider::BoxFuture,
    tools::{ServerTool, ToolCallContext, ToolError},
};

type Run = dyn Fn(&ToolCallContext) -> BoxFuture<'static, Result<Content, ToolError>> + Send + Sync;

/// A tool that does what the test says.
struct Wild {
    function: ToolFunction,
    run: Box<Run>,
}

impl Wild {
    fn new(
        run: impl Fn(&ToolCallContext) -> BoxFuture<'static, Result<Content, ToolError>> + Send + Sync + 'static,
    ) -> Self {
        let function = ToolFunction { name: "wild".into(), description: None, parameters: None, strict: None };
        Self { function, run: Box::new(run) }
    }
}

impl ServerTool for Wild {
    fn function(&self) -> &ToolFunction {
        &self.function
    }

    fn call<'a>(&'a self, call: &'a ToolCallContext, _: Value) -> BoxFuture<'a, Result<Content, ToolError>> {
        (self.run)(call)
    }
}

/// Runs `g1`, whose model calls the tool `count` times at once.
async fn called(tool: Wild, count: u32) -> (TestServer, Client) {
    let mut server = TestServer::build(|_| {}, |builder| builder.tool(tool)).await;
    let mut client = server.client().await;
    client.start("g1").await;
    let mut call = server.upstream.call().await;
    for index in 0..count {
        call.tool_call(index, &format!("call_{index}"), "wild", "{}").await;
    }
    call.finish_reason("tool_calls").await;
    call.done().await;
    (server, client)
}

/// The model's answer after the tool.
async fn goes_on(server: &mut TestServer, client: &mut Client) -> Value {
    let mut call = server.upstream.call().await;
    let told = call.body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    call.text("Done.").await;
    call.finish().await;
    assert_eq!(client.end_of("g1").await["type"], "finished");
    told
}

#[tokio::test]
async fn a_tool_that_panics_before_it_runs_has_failed() {
    let (mut server, mut client) = called(Wild::new(|_| panic!("a panic of the test")), 1).await;
    assert_eq!(client.until("tool_result").await["is_error"], true);
    assert_eq!(goes_on(&mut server, &mut client).await, "the tool's code panicked");
}

#[tokio::test]
async fn a_tool_that_panics_while_it_runs_has_failed() {
    let tool = Wild::new(|_| {
        Box::pin(async {
            tokio::task::yield_now().await;
            panic!("a panic of the test")
        })
    });
    let (mut server, mut client) = called(tool, 1).await;
    assert_eq!(goes_on(&mut server, &mut client).await, "the tool's code panicked");
}

#[tokio::test]
async fn progress_without_end_fills_no_log_and_delays_no_result() {
    // From a thread of its own: it never waits.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let tool = Wild::new(move |call| {
        let (call, stop) = (call.clone(), stopped.clone());
        let (told, enough) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut told = Some(told);
            for count in 0_u64.. {
                call.progress(Some(count as f64), None, Some("on and on ".repeat(1000)));
                if count == 200_000 {
                    let _ = told.take().unwrap().send(());
                }
                if stop.load(SeqCst) {
                    break;
                }
            }
        });
        Box::pin(async move {
            let _ = enough.await;
            Ok("in the end".into())
        })
    });
    let (mut server, mut client) = called(tool, 1).await;
    assert_eq!(goes_on(&mut server, &mut client).await, "in the end");
    assert!(server.generation("g1").log().bytes() < 1 << 20);
    stop.store(true, SeqCst);
}

#[tokio::test]
async fn a_result_that_no_log_takes_fails_its_generation_alone() {
    let tool = Wild::new(|_| Box::pin(async { Ok("x".repeat(100 << 20).into()) }));
    let (mut server, mut client) = called(tool, 1).await;
    client.started("g2").await;
    let mut other = server.upstream.call().await;
    assert_eq!(client.end_of("g1").await["error"]["code"], "log_full");
    other.text("Still here.").await;
    other.finish().await;
    assert_eq!(client.end_of("g2").await["type"], "finished");
    assert!(server.generation("g1").log().bytes() < 1 << 20);
}

/// Says when it is dropped.
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[tokio::test]
async fn a_cancel_ends_hundreds_of_calls_that_never_end() {
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = dropped.clone();
    let tool = Wild::new(move |call| {
        let (call, guard) = (call.clone(), Guard(guard.clone()));
        Box::pin(async move {
            let _guard = guard;
            loop {
                call.progress(None, None, None);
                tokio::task::yield_now().await;
            }
        })
    });
    let (server, mut client) = called(tool, 200).await;
    client.until("tool_progress").await;
    client.cancel("g1").await;
    assert_eq!(client.end_of("g1").await["type"], "cancelled");
    assert!(dropped.load(SeqCst));
    let generation = server.generation("g1");
    assert_eq!(generation.transcript().iter().filter(|message| message.tool_call_id.is_some()).count(), 200);
}

#[tokio::test]
async fn a_result_a_cancel_and_an_input_at_once_have_one_end() {
    for order in 0..6 {
        let mut server = TestServer::start().await;
        let (mut one, mut two) = (server.client().await, server.client().await);
        let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
        one.send(with(start("g1"), json!({"tools": tools}))).await;
        let mut call = server.upstream.call().await;
        call.tool_call(0, "call_1", "look", "{}").await;
        call.finish_reason("tool_calls").await;
        call.done().await;
        one.until("tool_wait").await;
        two.attach("g1", 0).await;
        two.until("tool_wait").await;
        let result = json!({"type": "tool_result", "id": "g1", "call_id": "call_1", "content": "r"});
        let cancel = json!({"type": "cancel", "id": "g1"});
        let input = json!({"type": "input", "id": "g1", "interrupt": true,
            "messages": [{"role": "user", "content": "stop"}]});
        let mut frames = [result, cancel, input];
        frames.rotate_left(order % 3);
        if order >= 3 {
            frames.swap(1, 2);
        }
        for frame in frames {
            one.send_unchecked(frame.clone()).await;
            two.send_unchecked(frame).await;
        }
        for client in [&mut one, &mut two] {
            let end = within("the end", async {
                loop {
                    let frame = client.next().await;
                    if support::client::TERMINAL.contains(&frame["type"].as_str().unwrap()) {
                        return frame;
                    }
                }
            });
            assert_eq!(end.await["type"], "cancelled", "{order}");
        }
        let generation = server.generation("g1");
        until("nobody to read", || generation.log().is_sealed()).await;
    }
}

#[tokio::test]
async fn a_conversation_does_not_grow_without_end_by_being_gone_on_with() {
    let mut server = TestServer::with(|config| config.limits.max_log_bytes = 16 << 10).await;
    let mut client = server.client().await;
    let long = json!([{"role": "user", "content": "x".repeat(30 << 10)}]);
    for n in 0..2 {
        let before = json!({"messages": long, "continue_from": format!("g{}", n - 1)});
        let first = json!({"messages": long});
        client.send(with(start(&format!("g{n}")), if n == 0 { first } else { before })).await;
        let mut call = server.upstream.call().await;
        call.text("Hm.").await;
        call.finish().await;
        client.end_of(&format!("g{n}")).await;
    }
    client.send_unchecked(with(start("g2"), json!({"messages": long, "continue_from": "g1"}))).await;
    let refused = client.until_error().await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("bad_field"), &json!("continue_from")));
}

#[tokio::test]
async fn all_that_an_ended_generation_holds_counts_for_how_long_it_is_kept() {
    let mut server = TestServer::with(|config| config.retention.total_bytes = 1 << 20).await;
    let mut client = server.client().await;
    let big = "x".repeat(400_000);
    let native = json!({"provider": "elsewhere", "content": big});
    let fields = [
        json!({"metadata": {"note": big}}),
        json!({"messages": [{"role": "assistant", "content": "a", "native": native}, {"role": "user", "content": "b"}]}),
        json!({"messages": [{"role": "user", "content": "b", "name": big}]}),
    ];
    for (n, fields) in fields.into_iter().enumerate() {
        client.send(with(start(&format!("g{n}")), fields)).await;
        let mut call = server.upstream.call().await;
        call.text("Hm.").await;
        call.finish().await;
        client.end_of(&format!("g{n}")).await;
    }
    let is_gone = async {
        loop {
            client.send_unchecked(json!({"type": "attach", "id": "g0", "after": 0})).await;
            let frame = client.next().await;
            if frame["code"] == "generation_not_found" {
                return;
            }
            while client.next().await["type"] != "finished" {}
        }
    };
    within("the end of the first one", is_gone).await;
}
