//! Events of Cohere chat into events.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tokenwire_protocol::{Citation, ErrorInfo, FinishReason, TokenLogprob};

use super::super::{
    Decoder, Flow, Message, ModelEvent, Turn, Usage, errors, finish,
    framing::DONE,
    json::{self, Count, JsonText, List, Text, lenient_object},
    said::Said,
    template::{Kind, Template},
    tool_calls::{Piece, ToolCalls},
    truncated,
};

/// Decodes one answer.
///
/// Its end is `message-end`; the `[DONE]` that mostly follows is not waited for. The plan that a model
/// makes before it calls tools is reasoning: it is not part of the answer.
#[derive(Default)]
pub(super) struct CohereDecoder {
    tool_calls: ToolCalls,
    finish_reason: Option<String>,
    is_done: bool,
    template: Template,
    /// Whether the template is that of a plan's pieces.
    is_planning: bool,
    /// The plan, as its reasoning.
    plan: Said,
    /// All but the plan.
    said: Said,
}

lenient_object! {
    struct StreamEvent<'a> {
        kind = "type": Text<'a>,
        index: Count,
        delta: Delta<'a>,
        logprobs: Option<Value>,
        /// Of an error, which has no type.
        message: Text<'a>,
    }
}

lenient_object! {
    struct Delta<'a> {
        message: DeltaMessage<'a>,
        finish_reason: Text<'a>,
        usage: CohereUsage,
        error: Text<'a>,
    }
}

lenient_object! {
    struct DeltaMessage<'a> {
        content: Content<'a>,
        tool_plan: Text<'a>,
        tool_calls: List<Call<'a>>,
        citations: List<Value>,
    }
}

lenient_object! {
    struct Content<'a> {
        text: Text<'a>,
        thinking: Text<'a>,
    }
}

lenient_object! {
    struct Call<'a> {
        id: Text<'a>,
        function: Function<'a>,
    }
}

lenient_object! {
    struct Function<'a> {
        name: Text<'a>,
        arguments: JsonText<'a>,
    }
}

lenient_object! {
    struct CohereUsage {
        tokens: Tokens,
        /// What is paid, which leaves out what Cohere itself puts into the prompt.
        billed_units: Tokens,
        cached_tokens: Count,
    }
}

lenient_object! {
    struct Tokens {
        input_tokens: Count,
        output_tokens: Count,
        reasoning_tokens: Count,
    }
}

impl Decoder for CohereDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let data = message.data;
        if message.event == "error" {
            return Err(errors::of_error_event(data));
        }
        let said = if self.is_planning { &mut self.plan } else { &mut self.said };
        if self.template.emit(data, &mut said.noting(turn)) {
            return Ok(Flow::More);
        }
        if let Ok(event) = serde_json::from_str(data) {
            self.take(event, data, turn)
        } else if let Some(mended) = json::mend(data)
            && let Ok(event) = serde_json::from_str(&mended)
        {
            self.take(event, &mended, turn)
        } else if data.trim_ascii_start().starts_with('{') {
            Err(errors::unreadable())
        } else {
            if data.trim_ascii() != DONE {
                turn.skipped();
            }
            Ok(Flow::More)
        }
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if !self.is_done {
            return Err(truncated());
        }
        self.tool_calls.close_all(&mut self.said.noting(turn));
        if let Some(native) = self.native() {
            turn.emit(ModelEvent::Native(native));
        }
        let reason = match self.finish_reason.as_deref().and_then(finish::normalize) {
            None => FinishReason::Other,
            Some(reason) => finish::reconcile(reason, self.tool_calls.any(), false),
        };
        turn.emit(ModelEvent::Finish { reason, provider_reason: self.finish_reason.take().map(Cow::Owned) });
        Ok(())
    }
}

impl CohereDecoder {
    fn take(&mut self, event: StreamEvent<'_>, data: &str, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let StreamEvent { kind, index, delta, logprobs, message } = event;
        match &*kind {
            "content-delta" | "content-start" => self.take_content(&delta.message.content, logprobs, data, turn),
            "tool-plan-delta" => {
                let plan = &delta.message.tool_plan;
                Kind::Reasoning.emit(plan, &mut self.plan.noting(turn));
                self.template.learn(data, plan, Kind::Reasoning);
                self.is_planning = true;
            }
            "tool-call-start" | "tool-call-delta" => {
                for call in &delta.message.tool_calls.0 {
                    let (name, arguments) = (&*call.function.name, &*call.function.arguments);
                    let piece = Piece { index: index.0, id: &call.id, name, arguments };
                    self.tool_calls.add(piece, &mut self.said.noting(turn))?;
                }
            }
            "tool-call-end" => {
                if let Some(index) = index.0 {
                    self.tool_calls.close(index, &mut self.said.noting(turn));
                }
            }
            "citation-start" => {
                for source in delta.message.citations.0 {
                    turn.emit(ModelEvent::Citation(citation(source)));
                }
            }
            "message-end" => {
                self.take_end(&delta, data, turn)?;
                return Ok(Flow::Done);
            }
            "message-start" | "content-end" | "citation-end" | "debug" => {}
            _ => {
                let value = serde_json::from_str::<Value>(data).map_err(|_| errors::unreadable())?;
                if let Some(error) = errors::of_message(&value) {
                    return Err(error);
                }
                if kind.is_empty() && !message.is_empty() {
                    return Err(errors::of_error_event(data));
                }
                turn.skipped();
            }
        }
        Ok(Flow::More)
    }

    fn take_content(&mut self, content: &Content<'_>, logprobs: Option<Value>, data: &str, turn: &mut dyn Turn) {
        let noting = &mut self.said.noting(turn);
        Kind::Reasoning.emit(&content.thinking, noting);
        Kind::Text.emit(&content.text, noting);
        let learned = match (&*content.text, &*content.thinking) {
            _ if logprobs.is_some() => None,
            (text, "") => Some((text, Kind::Text)),
            ("", thinking) => Some((thinking, Kind::Reasoning)),
            _ => None,
        };
        if let Some((text, kind)) = learned {
            self.template.learn(data, text, kind);
            self.is_planning = false;
        }
        let tokens: Vec<TokenLogprob> = match logprobs {
            Some(Value::Array(items)) => items.iter().filter_map(token_logprob).collect(),
            Some(item) => token_logprob(&item).into_iter().collect(),
            None => Vec::new(),
        };
        if !tokens.is_empty() {
            turn.emit(ModelEvent::Logprobs(tokens));
        }
    }

    fn take_end(&mut self, delta: &Delta<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        self.is_done = true;
        let usage = delta.usage.normalize();
        if usage != Usage::default() {
            turn.emit(ModelEvent::Usage(usage));
        }
        let reason = &*delta.finish_reason;
        if !delta.error.is_empty() {
            let message = serde_json::from_str::<Value>(data).map_err(|_| errors::unreadable())?;
            return Err(errors::of_error_event(&message["delta"].to_string()));
        }
        if !reason.is_empty() && finish::normalize(reason).is_none() {
            return Err(errors::of_finish_reason(reason));
        }
        self.finish_reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        Ok(())
    }

    /// The answer as a message, where tool calls came of reasoning: the model is to see both again, and
    /// the plan has no other place.
    fn native(&mut self) -> Option<Value> {
        let (plan, Said { text, reasoning, calls }) =
            (std::mem::take(&mut self.plan).reasoning, std::mem::take(&mut self.said));
        if calls.is_empty() || (plan.is_empty() && reasoning.is_empty()) {
            return None;
        }
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        let mut content = Vec::new();
        if !reasoning.is_empty() {
            content.push(json!({"type": "thinking", "thinking": reasoning}));
        }
        if !text.is_empty() {
            content.push(json!({"type": "text", "text": text}));
        }
        if !content.is_empty() {
            message.insert("content".into(), content.into());
        }
        if !plan.is_empty() {
            message.insert("tool_plan".into(), plan.into());
        }
        message.insert("tool_calls".into(), super::request::tool_calls(&calls, Default::default()));
        Some(Value::Object(message))
    }
}

impl CohereUsage {
    fn normalize(&self) -> Usage {
        let Self { tokens, billed_units, cached_tokens } = self;
        Usage {
            input_tokens: tokens.input_tokens.0.or(billed_units.input_tokens.0),
            output_tokens: tokens.output_tokens.0.or(billed_units.output_tokens.0),
            cached_tokens: cached_tokens.0,
            reasoning_tokens: tokens.reasoning_tokens.0,
            ..Usage::default()
        }
    }
}

/// A citation with all of its sources; address and title are those of the first that has them.
fn citation(source: Value) -> Citation {
    let find = |name: &str| {
        let sources = source["sources"].as_array().into_iter().flatten();
        let mut places = sources.flat_map(|source| [&source["document"], &source["tool_output"]]);
        places.find_map(|place| place[name].as_str()).map(str::to_owned)
    };
    // `text` of a citation is the answer's, not the source's: it is no quote.
    Citation { url: find("url"), title: find("title"), quote: None, source }
}

/// How likely a piece of text was. Cohere says so per token, but does not say where in the piece each ends.
fn token_logprob(item: &Value) -> Option<TokenLogprob> {
    let logprobs = item["logprobs"].as_array()?;
    let token = item["text"].as_str().unwrap_or_default().to_owned();
    let logprob = logprobs.iter().filter_map(Value::as_f64).sum();
    (!logprobs.is_empty()).then_some(TokenLogprob { token, logprob, top: Vec::new() })
}
