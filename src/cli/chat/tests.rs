//! The answer's state machine, event by event.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tokenwire::{
    client::Received,
    protocol::{EventFrame, InputAccepted, message::Role},
};

use super::{
    answer::{Answer, Ending, Question, Show, Step},
    command::Command,
};

fn answer() -> Answer {
    Answer::new("g".parse().unwrap())
}

fn event(kind: &str, mut fields: Value) -> Received {
    fields["type"] = kind.into();
    fields["id"] = "g".into();
    fields["seq"] = 1.into();
    Received::Event(serde_json::from_value::<EventFrame>(fields).unwrap())
}

fn text(delta: &str) -> Received {
    event("text", json!({"delta": delta}))
}

fn call(index: u32, call_id: &str) -> Received {
    event("tool_call", json!({"index": index, "call_id": call_id, "name": "weather", "arguments": {"city": "Rome"}}))
}

fn bill() -> Value {
    json!({
        "usage": {"input_tokens": 1, "output_tokens": 2, "source": "provider"},
        "timing": {"queue_ms": 0, "total_ms": 1}
    })
}

fn finished(reason: &str) -> Received {
    let mut fields = bill();
    fields["reason"] = reason.into();
    event("finished", fields)
}

fn cancelled() -> Received {
    let mut fields = bill();
    fields["by"] = "client".into();
    event("cancelled", fields)
}

/// The conversation that the answer adds, one line for each message.
fn messages(answer: Answer) -> Vec<String> {
    let line = |message: &tokenwire::protocol::message::Message| {
        let role = match message.role {
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            _ => "other",
        };
        let calls: Vec<&str> = message.tool_calls.iter().map(|call| call.id.as_str()).collect();
        let of = message.tool_call_id.as_deref().unwrap_or_default();
        format!("{role} {:?} {calls:?} {of}", message.plain_text())
    };
    answer.into_messages().iter().map(line).collect()
}

#[test]
fn the_first_ctrl_c_cancels_and_the_second_leaves() {
    let mut answer = answer();
    answer.received(text("Hello"));
    assert_eq!(answer.interrupted(), Step::Cancel);
    // What is said until the server has heard of it still counts.
    assert_eq!(answer.received(text(" you")), (Some(Show::Text(" you".into())), Step::Wait));
    assert_eq!(answer.interrupted(), Step::Leave);
    let (_, step) = answer.received(cancelled());
    assert!(matches!(step, Step::Over(Ending::Cancelled(_))));
    assert_eq!(messages(answer), ["assistant \"Hello you\" [] "]);
}

#[test]
fn a_finished_answer_is_one_message() {
    let mut answer = answer();
    answer.received(event("reasoning", json!({"delta": "Hm."})));
    answer.received(text("a"));
    answer.received(text("b"));
    let (note, step) = answer.received(finished("stop"));
    assert_eq!(note, None);
    assert!(matches!(step, Step::Over(Ending::Finished(_))));
    assert_eq!(messages(answer), ["assistant \"ab\" [] "]);
}

#[test]
fn an_answer_that_stops_early_says_why() {
    let (note, _) = answer().received(finished("length"));
    assert_eq!(note, Some(Show::Note("stopped: the answer is as long as it may be".into())));
}

#[test]
fn tool_calls_are_asked_for_and_kept_with_their_results() {
    let mut answer = answer();
    answer.received(text("Let me see."));
    let (note, _) = answer.received(call(0, "c1"));
    assert_eq!(note, Some(Show::Note("tool weather({\"city\":\"Rome\"})".into())));
    answer.received(call(1, "c2"));
    let (_, step) = answer.received(event("tool_wait", json!({"call_ids": ["c1", "c2"]})));
    let Step::Ask(calls) = step else { panic!("{step:?}") };
    assert_eq!(calls.iter().map(|call| &*call.call_id).collect::<Vec<_>>(), ["c1", "c2"]);
    answer.received(event("tool_result", json!({"call_id": "c2", "content": "wet"})));
    assert!(answer.is_unanswered(&calls[0]));
    assert!(!answer.is_unanswered(&calls[1]), "somebody else answered");
    answer.received(event("tool_result", json!({"call_id": "c1", "content": "dry"})));
    answer.received(text("Fine."));
    answer.received(finished("stop"));
    assert_eq!(
        messages(answer),
        [
            "assistant \"Let me see.\" [\"c1\", \"c2\"] ",
            "tool \"wet\" [] c2",
            "tool \"dry\" [] c1",
            "assistant \"Fine.\" [] "
        ]
    );
}

#[test]
fn calls_are_approved_denied_or_run_by_the_server() {
    let mut answer = answer();
    answer.received(call(0, "c1"));
    answer.received(call(1, "c2"));
    answer.received(call(2, "c3"));
    let ask = |answer: &mut Answer, id: &str| {
        let fields = json!({"call_id": id, "name": "weather", "arguments": {"city": "Rome"}});
        let (_, step) = answer.received(event("tool_approval", fields));
        let Step::Ask(calls) = step else { panic!("{step:?}") };
        assert_eq!((&*calls[0].call_id, calls[0].question), (id, Question::Approval));
    };
    ask(&mut answer, "c1");
    ask(&mut answer, "c2");
    let (note, _) = answer.received(event("tool_result", json!({"call_id": "c3", "content": "x", "by_server": true})));
    assert_eq!(note, Some(Show::Note("result: x".into())));
    answer.received(event("tool_decision", json!({"call_id": "c2", "approved": false, "by": "client"})));
    answer.received(event("tool_decision", json!({"call_id": "c1", "approved": true, "by": "client"})));
    let (_, step) = answer.received(event("tool_wait", json!({"call_ids": ["c1"]})));
    let Step::Ask(calls) = step else { panic!("{step:?}") };
    assert_eq!((calls.len(), calls[0].question), (1, Question::Result));
    answer.received(event("tool_result", json!({"call_id": "c1", "content": "dry"})));
    answer.received(finished("stop"));
    let messages = messages(answer);
    assert_eq!(messages[0], "assistant \"\" [\"c1\", \"c2\", \"c3\"] ");
    assert_eq!(messages.len(), 4, "{messages:?}");
}

#[test]
fn calls_without_results_do_not_stay_in_the_conversation() {
    let mut answer = answer();
    answer.received(call(0, "c1"));
    answer.received(event("tool_wait", json!({"call_ids": ["c1"]})));
    assert_eq!(answer.interrupted(), Step::Cancel);
    answer.received(cancelled());
    assert_eq!(messages(answer), [""; 0]);
}

fn input(input_id: &str, state: &str, text: &str) -> Received {
    let messages = json!([{"role": "user", "content": text}]);
    event("input", json!({"input_id": input_id, "state": state, "messages": messages}))
}

fn refused(code: &str) -> Received {
    let refused = json!({"id": "g", "code": code, "message": "no", "retryable": false});
    Received::Refused(serde_json::from_value(refused).unwrap())
}

fn accepted(input_id: &str) -> Received {
    Received::InputAccepted(InputAccepted { id: "g".parse().unwrap(), input_id: input_id.to_owned() })
}

#[test]
fn what_is_said_meanwhile_stands_where_the_model_heard_it() {
    let mut answer = answer();
    answer.received(text("First."));
    answer.steering.sent("i1".to_owned(), "Shorter".to_owned());
    answer.received(accepted("i1"));
    assert_eq!(answer.steering.waiting().as_deref(), Some("Shorter"));
    let shown = answer.received(input("i1", "applied", "Shorter"));
    assert_eq!(shown, (Some(Show::Question("Shorter".into())), Step::Wait));
    assert_eq!(answer.steering.waiting(), None);
    answer.received(text("1."));
    answer.received(finished("stop"));
    assert_eq!(answer.steering.take_unheard(), None);
    assert_eq!(messages(answer), ["assistant \"First.\" [] ", "other \"Shorter\" [] ", "assistant \"1.\" [] "]);
}

#[test]
fn calls_that_are_cut_off_leave_a_conversation_that_goes_on() {
    let mut answer = answer();
    answer.received(call(0, "c1"));
    answer.received(event("tool_wait", json!({"call_ids": ["c1"]})));
    answer.received(input("i1", "applied", "Never mind"));
    // Another turn, cut off before anybody was asked about its call.
    answer.received(text("Well"));
    answer.received(call(1, "c2"));
    answer.received(input("i2", "applied", "Wait"));
    answer.received(finished("stop"));
    assert_eq!(
        messages(answer),
        [
            "assistant \"\" [\"c1\"] ",
            "tool \"The user interrupted before this call had a result.\" [] c1",
            "other \"Never mind\" [] ",
            "assistant \"Well\" [] ",
            "other \"Wait\" [] ",
        ]
    );
}

#[test]
fn what_the_model_never_heard_is_known_at_the_end() {
    let mut answer = answer();
    for (input_id, text) in [("i1", "one"), ("i2", "two"), ("i3", "three"), ("i4", "four")] {
        answer.steering.sent(input_id.to_owned(), text.to_owned());
    }
    answer.received(accepted("i1"));
    answer.received(input("i1", "dropped", "one"));
    // Refusals come in order, and name nothing.
    assert_eq!(answer.received(refused("too_late")), (None, Step::Wait));
    answer.received(accepted("i3"));
    answer.received(input("i3", "applied", "three"));
    let (note, step) = answer.received(refused("bad_field"));
    assert_eq!((note, step), (Some(Show::Note("what you said was not taken: no".into())), Step::Wait));
    answer.received(finished("stop"));
    // The last one's refusal would come after the end.
    answer.steering.sent("i5".to_owned(), "five".to_owned());
    assert_eq!(answer.steering.take_unheard().as_deref(), Some("one\ntwo\nfour\nfive"));
    assert_eq!(messages(answer)[0], "other \"three\" [] ");
}

#[test]
fn what_somebody_else_says_is_shown_too() {
    let mut answer = answer();
    let shown = answer.received(input("theirs", "applied", "From the phone"));
    assert_eq!(shown.0, Some(Show::Question("From the phone".into())));
    assert_eq!(messages(answer), ["other \"From the phone\" [] "]);
}

#[test]
fn the_servers_own_decisions_are_told() {
    let mut answer = answer();
    answer.received(call(0, "c1"));
    let allowed = event("tool_decision", json!({"call_id": "c1", "approved": true, "by": "server"}));
    assert_eq!(answer.received(allowed).0, Some(Show::Note("allowed by the server".into())));
    let denied = json!({"call_id": "c1", "approved": false, "by": "server", "reason": "not in production"});
    let shown = answer.received(event("tool_decision", denied));
    assert_eq!(shown.0, Some(Show::Note("denied by the server: not in production".into())));
    assert_eq!(messages(answer)[1], "tool \"This call is not allowed: not in production\" [] c1");
}

#[test]
fn a_refused_or_failed_answer_says_why() {
    let error = json!({"code": "rate_limit", "message": "too fast", "retryable": true});
    let mut fields = bill();
    fields["error"] = error;
    let (_, step) = answer().received(event("failed", fields));
    assert_eq!(step, Step::Over(Ending::Failed("rate_limit: too fast".into())));

    let refused = json!({"id": "g", "code": "unknown_model", "message": "no such model", "retryable": false});
    let (_, step) = answer().received(Received::Refused(serde_json::from_value(refused).unwrap()));
    assert_eq!(step, Step::Over(Ending::Failed("unknown_model: no such model".into())));
}

#[test]
fn another_generation_is_no_concern_of_this_answer() {
    let mut frame = json!({"type": "text", "id": "other", "seq": 1, "delta": "x"});
    let other: EventFrame = serde_json::from_value(frame.take()).unwrap();
    assert_eq!(answer().received(Received::Event(other)), (None, Step::Wait));
}

#[test]
fn lines_are_commands_or_questions() {
    let check = |line: &str, expected: Command| assert_eq!(Command::parse(line), expected);
    check("  ", Command::Nothing);
    check("/help", Command::Help);
    check("/model", Command::ShowModels);
    check("/model  openai/gpt-5 ", Command::SetModel("openai/gpt-5".into()));
    check("/tools", Command::ShowTools);
    check("/new", Command::New);
    check("/quit", Command::Quit);
    check("/modle x", Command::Mistyped("/model"));
    check("/error rate_limit", Command::Ask("/error rate_limit".into()));
    check("What is /help?", Command::Ask("What is /help?".into()));
}
