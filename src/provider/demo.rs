//! The built-in model: it answers without a key, a network or a model, and says so.
//!
//! With it the first command shows a live stream, reasoning, tools, failures and cancel, and a
//! client can be tested against something that behaves like a provider and does the same every time.
//!
//! What it does is chosen by the model's name, by what the last user message asks for, and by
//! `provider_options.demo`:
//!
//! | model | tokens per second | first token |
//! | --- | --- | --- |
//! | `fast` | 200 | 50 ms |
//! | `slow` | 8 | 1.5 s |
//! | `reasoning`, which thinks first | 50 | 0.3 s |
//! | `markdown`, and any other name | 50 | 0.3 s |
//!
//! | the last user message | the answer |
//! | --- | --- |
//! | names one of the request's tools, or says "tool" or "weather" | calls it, then answers with its result |
//! | says "long" | some 1,500 tokens instead of 350 |
//! | `/error CODE` or `/error CODE after N` | fails with that [`ErrorCode`], after N tokens |
//! | `/stall` or `/stall after N` | falls silent for good |
//! | `/refuse` | refuses |
//! | `/search ...` | calls a tool of the provider's own, and cites its sources |
//! | `/image` | makes an image |
//!
//! | option | means |
//! | --- | --- |
//! | `tokens_per_second` | the pace, with jitter; 0 is as fast as it goes |
//! | `first_token_ms` | the silence before the first token |
//! | `tokens` | the exact length of the answer, reasoning not counted |
//! | `seed` | which answer; default: the request's `seed`, else one made of the conversation |
//! | `error`, `error_after` | as `/error` |
//! | `stall` | falls silent after this many tokens |

mod beyond;
mod script;
mod tools;

use std::{future::pending, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo, FinishReason,
    message::{Message, Role},
};
use tokio::time::{Instant, sleep_until};

use self::script::{Length, Rng, Script, pieces};
use super::{BoxFuture, MediaSource, ModelEvent, ModelRequest, Provider, Turn, Usage};

/// The built-in model. The module's documentation says what it can be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demo;

impl Provider for Demo {
    fn name(&self) -> &str {
        "demo"
    }

    fn models(&self) -> Vec<String> {
        ["markdown", "reasoning", "fast", "slow"].map(str::to_owned).into()
    }

    fn run<'a>(&'a self, request: &'a ModelRequest, turn: &'a mut dyn Turn) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(async move {
            let plan = Plan::of(request)?;
            let mut speaker = Speaker::new(turn, &plan, request.max_tokens);
            let reason = match answer(request, &plan, &mut speaker).await {
                Ok(reason) | Err(Cut::Finish(reason)) => reason,
                Err(Cut::Error(error)) => return Err(error),
            };
            let usage = Usage {
                input_tokens: Some(input_tokens(request)),
                output_tokens: Some(speaker.said),
                reasoning_tokens: (speaker.reasoned > 0).then_some(speaker.reasoned),
                ..Usage::default()
            };
            turn.emit(ModelEvent::Usage(usage));
            turn.emit(ModelEvent::Finish { reason, provider_reason: None });
            Ok(())
        })
    }
}

/// Says everything of one turn.
async fn answer(request: &ModelRequest, plan: &Plan, speaker: &mut Speaker<'_>) -> Result<FinishReason, Cut> {
    let mut rng = Rng::new(plan.seed);
    let mut left = plan.reasoning_tokens;
    for thought in script::thoughts(&mut rng) {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(pieces(thought).count() as u64);
        speaker.say(Part::Reasoning, thought).await?;
    }

    let question = question(request);
    if question.trim_start().starts_with("/refuse") {
        speaker.say(Part::Refusal, script::REFUSAL).await?;
        return Ok(FinishReason::Refusal);
    }
    if beyond::answer(&question, speaker).await? {
        speaker.go_wrong().await?;
        return Ok(FinishReason::Stop);
    }
    let results = tools::results(&request.messages);
    if !results.is_empty() {
        speaker.say(Part::Text, &tools::tell(&results)).await?;
    } else if let Some(calls) = tools::calls(request, &question, &mut rng) {
        speaker.say(Part::Text, "This is the demo model; it asks for a tool and waits for the result.").await?;
        for (index, call) in (0..).zip(&calls) {
            speaker.call(index, call).await?;
        }
        speaker.go_wrong().await?;
        return Ok(FinishReason::ToolCalls);
    } else {
        speaker.say(Part::Text, script::opening(&mut rng)).await?;
        speaker.say(Part::Text, &quoted(request, &question)).await?;
        for section in Script::new(rng.next(), plan.length) {
            speaker.say(Part::Text, &section).await?;
        }
    }
    speaker.go_wrong().await?;
    Ok(FinishReason::Stop)
}

/// The question, repeated: it shows that it arrived, and in a longer conversation that the rest did too.
fn quoted(request: &ModelRequest, question: &str) -> String {
    let line = question.trim().lines().next().unwrap_or_default();
    let mut quote: String = line.chars().take(200).collect();
    if quote.is_empty() {
        return String::new();
    }
    if quote.len() < question.trim().len() {
        quote.push_str(" ...");
    }
    match request.messages.iter().filter(|message| message.role == Role::User).count() {
        0 | 1 => format!("You wrote:\n\n> {quote}\n\n"),
        questions => format!("This is message {questions} of yours in this conversation:\n\n> {quote}\n\n"),
    }
}

/// `provider_options.demo`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    tokens_per_second: Option<f64>,
    first_token_ms: Option<u64>,
    tokens: Option<u64>,
    seed: Option<i64>,
    error: Option<ErrorCode>,
    error_after: u64,
    stall: Option<u64>,
}

impl Options {
    fn parse(options: &Map<String, Value>) -> Result<Self, ErrorInfo> {
        if options.is_empty() {
            return Ok(Self::default());
        }
        Self::deserialize(options).map_err(|_| {
            let wrong = options.iter().find(|&(name, value)| {
                let alone = Map::from_iter([(name.clone(), value.clone())]);
                Self::deserialize(&alone).is_err()
            });
            let field = wrong.map_or_else(String::new, |(name, _)| format!(".{name}"));
            ErrorInfo::new(ErrorCode::BadField, "not an option of the demo, or not a value that it takes")
                .with_field(format!("provider_options.demo{field}"))
        })
    }
}

/// What a request asks for, read once.
struct Plan {
    seed: u64,
    pace: Pace,
    reasoning_tokens: u64,
    length: Length,
    /// The exact number of text tokens, if asked for.
    tokens: Option<u64>,
    /// What goes wrong, and after how many tokens.
    fault: Option<(u64, Fault)>,
}

#[derive(Clone)]
enum Fault {
    Error(ErrorInfo),
    Stall,
}

/// A number of an option becomes a wait of at most this, so that no sum of them overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

impl Plan {
    fn of(request: &ModelRequest) -> Result<Self, ErrorInfo> {
        let options = Options::parse(&request.options)?;
        let question = question(request);
        let seed =
            options.seed.or(request.seed).map_or_else(|| conversation_seed(&request.messages), i64::cast_unsigned);
        let (rate, first_token_ms) = match request.model.as_str() {
            "fast" => (200.0, 50),
            "slow" => (8.0, 1_500),
            _ => (50.0, 300),
        };
        let rate = options.tokens_per_second.unwrap_or(rate);
        let interval = if rate > 0.0 {
            Duration::try_from_secs_f64(1.0 / rate).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
        } else {
            Duration::ZERO
        };
        let first_token = Duration::from_millis(options.first_token_ms.unwrap_or(first_token_ms)).min(LONGEST_WAIT);
        let fault = match (options.error, options.stall) {
            (Some(code), _) => Some((options.error_after, Fault::Error(asked_for(code)))),
            (None, Some(after)) => Some((after, Fault::Stall)),
            (None, None) => fault_in(&question),
        };
        Ok(Self {
            seed,
            pace: Pace { interval, first_token, rng: Rng::new(seed), next_at: None },
            reasoning_tokens: reasoning_tokens(request),
            length: match options.tokens {
                Some(_) => Length::Endless,
                None if contains_word(&question, "long") => Length::Long,
                None => Length::Normal,
            },
            tokens: options.tokens,
            fault,
        })
    }
}

fn reasoning_tokens(request: &ModelRequest) -> u64 {
    match (request.reasoning_effort.as_deref(), request.model.as_str()) {
        (Some("none"), _) => 0,
        (Some("minimal"), _) => 15,
        (Some("low"), _) => 30,
        (Some("high" | "xhigh" | "max"), _) => 150,
        (Some(_), _) | (None, "reasoning") => 70,
        (None, _) => 0,
    }
}

/// The fault that `/error CODE [after N]` or `/stall [after N]` asks for.
fn fault_in(question: &str) -> Option<(u64, Fault)> {
    let mut words = question.split_whitespace();
    let command = words.next()?;
    let mut rest = words.peekable();
    let fault = match command {
        "/stall" => Fault::Stall,
        "/error" => {
            let code = rest.next_if(|&word| word != "after").unwrap_or(ErrorCode::ProviderError.as_str());
            let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
            match known {
                Some(&code) => Fault::Error(asked_for(code)),
                None => Fault::Error(ErrorInfo::new(ErrorCode::InvalidRequest, "the demo knows no error of that code")),
            }
        }
        _ => return None,
    };
    let after = if rest.next() == Some("after") { rest.next().and_then(|n| n.parse().ok()) } else { None };
    Some((after.unwrap_or(0), fault))
}

fn asked_for(code: ErrorCode) -> ErrorInfo {
    let mut error = ErrorInfo::new(code, "the demo was asked for this error");
    error.provider = Some("demo".to_owned());
    (error.status, error.retry_after_ms) = match code {
        ErrorCode::RateLimit => (Some(429), Some(1_000)),
        ErrorCode::Overloaded => (Some(529), None),
        ErrorCode::Authentication => (Some(401), None),
        ErrorCode::ProviderError => (Some(500), None),
        _ => (None, None),
    };
    error
}

/// The text of the last user message.
fn question(request: &ModelRequest) -> String {
    request.messages.iter().rfind(|message| message.role == Role::User).map(Message::plain_text).unwrap_or_default()
}

/// Whether `word` occurs in `text` as a whole word, in any case.
fn contains_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|found| found.eq_ignore_ascii_case(word))
}

fn input_tokens(request: &ModelRequest) -> u64 {
    let words = |text: &str| pieces(text).count() as u64;
    request
        .messages
        .iter()
        .map(|message| {
            let calls =
                message.tool_calls.iter().map(|call| words(&call.function.name) + words(&call.function.arguments));
            words(&message.plain_text()) + calls.sum::<u64>()
        })
        .sum()
}

/// The same conversation gives the same seed (FNV-1a), on every machine and in every version.
fn conversation_seed(messages: &[Message]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for message in messages {
        let role = [message.role as u8];
        for byte in role.iter().chain(message.plain_text().as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// When the next token is due.
#[derive(Clone)]
struct Pace {
    /// Between two tokens, on average. Zero: as fast as it goes.
    interval: Duration,
    first_token: Duration,
    rng: Rng,
    next_at: Option<Instant>,
}

impl Pace {
    /// Waits until the next token may be said.
    async fn wait(&mut self) {
        let due = *self.next_at.get_or_insert_with(|| Instant::now() + self.first_token);
        if self.interval.is_zero() && due <= Instant::now() {
            // Lets readers and a cancel have their turn now and then.
            tokio::task::coop::consume_budget().await;
            return;
        }
        sleep_until(due).await;
        // From the time it was due, not from now: the average stays right however coarse the timer is.
        self.next_at = Some(due + self.interval.mul_f64(0.4 + 1.2 * self.rng.fraction()));
    }
}

/// What is being said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Text,
    Reasoning,
    Refusal,
}

/// Why the rest of a turn stays unsaid.
enum Cut {
    Finish(FinishReason),
    Error(ErrorInfo),
}

/// Says text token by token, at the plan's pace and within its limits.
struct Speaker<'a> {
    turn: &'a mut dyn Turn,
    pace: Pace,
    fault: Option<(u64, Fault)>,
    max_tokens: u64,
    max_text_tokens: u64,
    /// Tokens of any kind.
    said: u64,
    texted: u64,
    reasoned: u64,
}

impl<'a> Speaker<'a> {
    fn new(turn: &'a mut dyn Turn, plan: &Plan, max_tokens: Option<u64>) -> Self {
        Self {
            turn,
            pace: plan.pace.clone(),
            fault: plan.fault.clone(),
            max_tokens: max_tokens.unwrap_or(u64::MAX),
            max_text_tokens: plan.tokens.unwrap_or(u64::MAX),
            said: 0,
            texted: 0,
            reasoned: 0,
        }
    }

    async fn say(&mut self, part: Part, text: &str) -> Result<(), Cut> {
        for piece in pieces(text) {
            if part == Part::Text && self.texted >= self.max_text_tokens {
                self.go_wrong().await?;
                return Err(Cut::Finish(FinishReason::Stop));
            }
            self.next_token().await?;
            match part {
                Part::Text => {
                    self.texted += 1;
                    self.turn.emit(ModelEvent::Text(piece));
                }
                Part::Reasoning => {
                    self.reasoned += 1;
                    self.turn.emit(ModelEvent::Reasoning(piece));
                }
                Part::Refusal => self.turn.emit(ModelEvent::Refusal(piece)),
            }
        }
        Ok(())
    }

    async fn call(&mut self, index: u32, call: &tools::Call) -> Result<(), Cut> {
        let tools::Call { id: call_id, name, arguments } = call;
        // The name is known before the first argument.
        for delta in std::iter::once("").chain(pieces(arguments)) {
            self.next_token().await?;
            self.turn.emit(ModelEvent::ToolCallDelta { index, call_id, name, delta });
        }
        self.turn.emit(ModelEvent::ToolCall { index, call_id, name, arguments });
        Ok(())
    }

    /// Something that is no text.
    fn event(&mut self, event: ModelEvent<'_>) {
        self.turn.emit(event);
    }

    /// Waits until the next token is due, and counts it.
    async fn next_token(&mut self) -> Result<(), Cut> {
        if self.said >= self.max_tokens {
            return Err(Cut::Finish(FinishReason::Length));
        }
        self.pace.wait().await;
        if self.fault.as_ref().is_some_and(|(after, _)| self.said >= *after) {
            self.go_wrong().await?;
        }
        self.said += 1;
        Ok(())
    }

    /// Does what the fault says, if there is one still to come: an answer shorter than its fault ends with it.
    async fn go_wrong(&mut self) -> Result<(), Cut> {
        match self.fault.take() {
            Some((_, Fault::Error(error))) => Err(Cut::Error(error)),
            Some((_, Fault::Stall)) => pending().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
