#![allow(clippy::unwrap_used)]
use serde_json::json;
use tokenwire_protocol::message::{Content, MessageToolCall, Tool, ToolChoice};

use super::*;

/// What a turn said, joined by kind.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    text: String,
    reasoning: String,
    refusal: String,
    deltas: String,
    calls: Vec<(u32, String, String, Value)>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    /// What came that is no text.
    beyond: Vec<String>,
    tokens: u64,
    first_token_at: Option<Instant>,
}

impl Turn for Heard {
    fn emit(&mut self, event: ModelEvent<'_>) {
        assert_eq!(self.finish, None, "nothing follows the finish");
        if !matches!(event, ModelEvent::ToolCall { .. } | ModelEvent::Usage(_) | ModelEvent::Finish { .. }) {
            self.tokens += 1;
            self.first_token_at.get_or_insert_with(Instant::now);
        }
        match event {
            ModelEvent::Text(delta) => self.text.push_str(delta),
            ModelEvent::Reasoning(delta) => {
                assert!(self.text.is_empty(), "reasoning comes first");
                self.reasoning.push_str(delta);
            }
            ModelEvent::Refusal(delta) => self.refusal.push_str(delta),
            ModelEvent::ToolCallDelta { delta, .. } => self.deltas.push_str(delta),
            ModelEvent::ToolCall { index, call_id, name, arguments } => {
                assert!(!call_id.is_empty());
                assert!(self.deltas.ends_with(arguments), "the deltas make the arguments");
                let arguments = serde_json::from_str(arguments).unwrap();
                self.calls.push((index, call_id.to_string(), name.to_string(), arguments));
            }
            ModelEvent::Usage(usage) => self.usage = Some(usage),
            ModelEvent::Finish { reason, .. } => self.finish = Some(reason),
            ModelEvent::ServerToolCall { name, .. } => self.beyond.push(format!("call {name}")),
            ModelEvent::ServerToolResult { name, is_error, .. } => {
                self.beyond.push(format!("result {name} {is_error}"))
            }
            ModelEvent::Citation(citation) => self.beyond.push(format!("citation {}", citation.title.unwrap())),
            ModelEvent::Media { media_type, .. } => self.beyond.push(media_type.into_owned()),
            other => panic!("the demo says no such thing: {other:?}"),
        }
    }
}

fn ask(model: &str, question: &str) -> ModelRequest {
    ModelRequest { model: model.to_owned(), messages: vec![Message::user(question)], ..ModelRequest::default() }
}

fn with_options(mut request: ModelRequest, options: Value) -> ModelRequest {
    request.options = options.as_object().unwrap().clone();
    request
}

fn weather_tool() -> Tool {
    serde_json::from_value(json!({"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city"],
    }}}))
    .unwrap()
}

async fn run(request: &ModelRequest) -> (Heard, Result<(), ErrorInfo>) {
    let mut heard = Heard::default();
    let result = Demo.run(request, &mut heard).await;
    (heard, result)
}

/// Runs a turn that must succeed.
async fn hear(request: &ModelRequest) -> Heard {
    let (heard, result) = run(request).await;
    assert_eq!(result, Ok(()));
    assert!(heard.finish.is_some(), "a turn that succeeds has a finish");
    heard
}

#[tokio::test(start_paused = true)]
async fn it_says_that_it_is_a_demo_and_shows_markdown() {
    for question in ["Hello", "What are you?", "Tell me about streams", "1", "2", "3"] {
        let heard = hear(&ask("markdown", question)).await;
        assert!(
            heard.text.contains("demo") && heard.text.contains("no model") || heard.text.contains("without a model")
        );
        for mark in ["## ", "\n- ", "| --- |", "```", "**", &format!("> {question}")] {
            // The list may be an ordered one.
            assert!(
                heard.text.contains(mark) || mark == "\n- " && heard.text.contains("\n2. "),
                "{mark}: {}",
                heard.text
            );
        }
        assert_eq!(heard.finish, Some(FinishReason::Stop));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_question_gets_the_same_answer_and_a_seed_decides() {
    let hello = ask("markdown", "Hello");
    assert_eq!(hear(&hello).await.text, hear(&hello).await.text);
    let seeded = |seed| ModelRequest { seed: Some(seed), ..ask("markdown", "Hello") };
    let mut texts = Vec::new();
    for seed in [-1, 0, 1, 2, 3] {
        assert_eq!(hear(&seeded(seed)).await.text, hear(&seeded(seed)).await.text);
        texts.push(hear(&seeded(seed)).await.text);
    }
    texts.dedup();
    assert!(texts.len() > 1);
    let by_option = with_options(seeded(1), json!({"seed": 3}));
    assert_eq!(hear(&by_option).await.text, hear(&seeded(3)).await.text);
}

#[tokio::test(start_paused = true)]
async fn it_searches_and_draws_when_asked() {
    let heard = hear(&ask("markdown", "/search web sockets")).await;
    let expected = [
        "call web_search",
        "result web_search false",
        "citation WebSocket",
        "citation RFC 6455: The WebSocket Protocol",
    ];
    assert_eq!(heard.beyond, expected);
    assert!(heard.text.contains("demo"));
    let heard = hear(&ask("markdown", "/image")).await;
    assert_eq!((heard.beyond, heard.finish), (vec!["image/svg+xml".to_owned()], Some(FinishReason::Stop)));
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_that_of_the_model_or_of_the_options() {
    let cases = [
        (ask("markdown", "long"), 50.0, 300),
        (ask("fast", "long"), 200.0, 50),
        (ask("slow", "Hello"), 8.0, 1_500),
        (with_options(ask("fast", "long"), json!({"tokens_per_second": 1_000, "first_token_ms": 10})), 1_000.0, 10),
    ];
    for (request, rate, first_token_ms) in cases {
        let start_at = Instant::now();
        let heard = hear(&request).await;
        let first_token_at = heard.first_token_at.unwrap();
        // The timer counts in milliseconds.
        let first_token = (first_token_at - start_at).as_millis() as u64;
        assert!((first_token_ms..=first_token_ms + 1).contains(&first_token), "{first_token} ms");
        let measured = (heard.tokens - 1) as f64 / first_token_at.elapsed().as_secs_f64();
        assert!((measured / rate - 1.0).abs() < 0.1, "{measured} instead of {rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_pace_it_takes_no_time_and_lets_others_run() {
    let options = json!({"tokens_per_second": 0, "first_token_ms": 0, "tokens": 100_000});
    let request = with_options(ask("markdown", "Hello"), options);
    let start_at = Instant::now();
    let others = async {
        let mut turns = 0_u32;
        loop {
            tokio::task::yield_now().await;
            turns += 1;
            if turns == 100 {
                break;
            }
        }
    };
    let mut heard = Heard::default();
    tokio::select! {
        _ = Demo.run(&request, &mut heard) => panic!("the others never had a turn"),
        () = others => {}
    }
    assert!(heard.tokens < 100_000);
    assert_eq!(hear(&request).await.tokens, 100_000);
    assert_eq!(start_at.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_length_is_exact_where_it_is_asked_for() {
    for tokens in [0, 1, 10, 5_000] {
        let heard = hear(&with_options(ask("reasoning", "Hello"), json!({"tokens": tokens}))).await;
        assert_eq!(pieces(&heard.text).count() as u64, tokens);
        assert_eq!(heard.finish, Some(FinishReason::Stop));
        let usage = heard.usage.unwrap();
        assert_eq!(usage.output_tokens, Some(tokens + usage.reasoning_tokens.unwrap()));
    }
    let cut = hear(&ModelRequest { max_tokens: Some(20), ..ask("markdown", "Hello") }).await;
    assert_eq!((cut.tokens, cut.finish), (20, Some(FinishReason::Length)));
}

#[tokio::test(start_paused = true)]
async fn it_reasons_when_the_model_or_the_effort_says_so() {
    assert_eq!(hear(&ask("markdown", "Hello")).await.reasoning, "");
    let effort = |effort: &str| ModelRequest { reasoning_effort: Some(effort.to_owned()), ..ask("reasoning", "Hello") };
    assert_eq!(hear(&effort("none")).await.reasoning, "");
    let low = hear(&effort("low")).await.reasoning;
    let high = hear(&effort("high")).await;
    assert!(!low.is_empty() && low.len() < high.reasoning.len());
    let usage = high.usage.unwrap();
    assert_eq!(usage.input_tokens, Some(1));
    assert_eq!(usage.output_tokens, Some(high.tokens));
    assert!(usage.reasoning_tokens.unwrap() > 100);
}

#[tokio::test(start_paused = true)]
async fn it_calls_the_tool_that_was_asked_for_and_answers_with_its_result() {
    let mut request = ask("markdown", "What is the weather in Paris, New York and Oslo?");
    assert!(hear(&request).await.calls.is_empty(), "a request without tools gets no call");

    request.tools = vec![weather_tool()];
    let heard = hear(&request).await;
    assert_eq!(heard.finish, Some(FinishReason::ToolCalls));
    let cities: Vec<_> = heard.calls.iter().map(|(_, _, _, arguments)| arguments["city"].as_str().unwrap()).collect();
    assert_eq!(cities, ["Paris", "New York", "Oslo"]);
    assert_eq!(heard.calls.iter().map(|call| call.0).collect::<Vec<_>>(), [0, 1, 2]);

    let (_, call_id, name, arguments) = heard.calls.first().unwrap();
    let mut called = Message::text(Role::Assistant, "");
    called.tool_calls = vec![MessageToolCall::new(call_id, name, arguments.to_string())];
    let mut result = Message::text(Role::Tool, r#"{"temperature": 21, "sky": "clear | blue"}"#);
    result.tool_call_id = Some(call_id.clone());
    request.messages.extend([called, result]);
    let answer = hear(&request).await;
    assert!(answer.calls.is_empty());
    assert!(answer.text.contains("get_weather") && answer.text.contains("| temperature | 21 |"), "{}", answer.text);
    assert!(answer.text.contains(r"clear \| blue"));

    request.messages.push(Message::user("Thank you"));
    assert!(hear(&request).await.text.contains("> Thank you"));
}

#[tokio::test(start_paused = true)]
async fn tool_choice_is_obeyed() {
    let with = |question: &str, choice| ModelRequest {
        tools: vec![weather_tool()],
        tool_choice: Some(choice),
        ..ask("markdown", question)
    };
    assert!(hear(&with("What is the weather?", ToolChoice::None)).await.calls.is_empty());
    assert_eq!(hear(&with("Hello", ToolChoice::Required)).await.calls.len(), 1);
    assert_eq!(hear(&with("Hello", ToolChoice::Function("get_weather".to_owned()))).await.calls.len(), 1);
    assert!(hear(&with("Hello", ToolChoice::Auto)).await.calls.is_empty());
    assert_eq!(hear(&with("Use a tool", ToolChoice::Auto)).await.calls.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_fails_when_asked_before_or_after_some_text() {
    let commands = [("/error rate_limit", 0), ("/error rate_limit after 30", 30)];
    let options = [(json!({"error": "rate_limit"}), 0), (json!({"error": "rate_limit", "error_after": 30}), 30)];
    let commands = commands.map(|(command, after)| (ask("markdown", command), after));
    let options = options.map(|(options, after)| (with_options(ask("markdown", "Hello"), options), after));
    for (request, after) in commands.into_iter().chain(options) {
        let (heard, result) = run(&request).await;
        let error = result.unwrap_err();
        assert_eq!((error.code, error.retryable, error.status), (ErrorCode::RateLimit, true, Some(429)));
        assert_eq!((heard.tokens, heard.finish), (after, None));
    }
    let (heard, result) = run(&ask("markdown", "/error overloaded after 1000000")).await;
    assert_eq!(result.unwrap_err().code, ErrorCode::Overloaded, "at the end of a shorter answer");
    assert!(heard.tokens > 100);
    assert_eq!(run(&ask("markdown", "/error no_such_code")).await.1.unwrap_err().code, ErrorCode::InvalidRequest);
    assert_eq!(run(&ask("markdown", "/error")).await.1.unwrap_err().code, ErrorCode::ProviderError);
}

#[tokio::test(start_paused = true)]
async fn it_falls_silent_and_refuses_when_asked() {
    for request in [ask("markdown", "/stall after 5"), with_options(ask("markdown", "Hello"), json!({"stall": 5}))] {
        let mut heard = Heard::default();
        let a_day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(a_day, Demo.run(&request, &mut heard)).await.is_err());
        assert_eq!(heard.tokens, 5);
    }
    let refused = hear(&ask("markdown", "/refuse")).await;
    assert_eq!((refused.finish, refused.text.as_str()), (Some(FinishReason::Refusal), ""));
    assert!(refused.refusal.contains("demo"));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_option_is_named_and_not_repeated() {
    for (options, field) in [
        (json!({"tokens_per_second": "my secret"}), "provider_options.demo.tokens_per_second"),
        (json!({"seed": 1, "speed": 3}), "provider_options.demo.speed"),
        (json!({"error": "no_such_code"}), "provider_options.demo.error"),
    ] {
        let error = run(&with_options(ask("markdown", "Hello"), options)).await.1.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::BadField, Some(field)));
        assert!(!error.message.contains("secret"));
    }
}

#[tokio::test(start_paused = true)]
async fn extreme_options_do_no_harm() {
    for options in [
        json!({"tokens_per_second": 1e-300, "tokens": 1}),
        json!({"tokens_per_second": 1e300, "tokens": 10}),
        json!({"tokens_per_second": -1, "tokens": 10}),
        json!({"first_token_ms": u64::MAX, "tokens": 1}),
    ] {
        hear(&with_options(ask("markdown", "Hello"), options)).await;
    }
    let mut empty = ask("", "");
    empty.messages.clear();
    hear(&empty).await;
    let mut parts = ask("markdown", "");
    parts.messages = vec![Message { content: Some(Content::Parts(Vec::new())), ..Message::user("") }];
    hear(&parts).await;
}
