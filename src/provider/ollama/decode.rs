//! Lines of Ollama into events.

use std::borrow::Cow;

use serde_json::{Value, json};
use tokenwire_protocol::{ErrorInfo, FinishReason, TokenLogprob, TopLogprob};

use super::super::{
    Decoder, Flow, Message, ModelEvent, Turn, Usage, errors, finish,
    json::{self, Count, JsonText, List, Text, lenient_object},
    said::Said,
    template::Kind,
    tool_calls::{Piece, ToolCalls},
    truncated,
};

/// Decodes one answer, of `/api/chat` or of the older `/api/generate`.
///
/// Every line has its own time, so there is no template to learn. Calls come whole. The end is a line
/// with `done`.
#[derive(Default)]
pub(super) struct OllamaDecoder {
    tool_calls: ToolCalls,
    /// How many calls came. Their own indexes are left out or repeated by some versions.
    calls: u64,
    done_reason: Option<String>,
    is_done: bool,
    said: Said,
}

lenient_object! {
    struct Line<'a> {
        message: LineMessage<'a>,
        /// Of `/api/generate`.
        response: Text<'a>,
        thinking: Text<'a>,
        done: Option<Value>,
        done_reason: Text<'a>,
        prompt_eval_count: Count,
        eval_count: Count,
        logprobs: Option<Value>,
        error: Option<Value>,
    }
}

lenient_object! {
    struct LineMessage<'a> {
        content: Text<'a>,
        thinking: Text<'a>,
        tool_calls: List<Call<'a>>,
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

impl Decoder for OllamaDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let data = message.data;
        if let Ok(line) = serde_json::from_str(data) {
            self.take(line, data, turn)
        } else if let Some(mended) = json::mend(data)
            && let Ok(line) = serde_json::from_str(&mended)
        {
            self.take(line, &mended, turn)
        } else {
            Err(errors::unreadable())
        }
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if !self.is_done {
            return Err(truncated());
        }
        if let Some(native) = self.native() {
            turn.emit(ModelEvent::Native(native));
        }
        let reason = match self.done_reason.as_deref().and_then(finish::normalize) {
            // Old versions do not say why.
            None if self.tool_calls.any() => FinishReason::ToolCalls,
            None => FinishReason::Other,
            Some(reason) => finish::reconcile(reason, self.tool_calls.any(), false),
        };
        turn.emit(ModelEvent::Finish { reason, provider_reason: self.done_reason.take().map(Cow::Owned) });
        Ok(())
    }
}

impl OllamaDecoder {
    fn take(&mut self, line: Line<'_>, data: &str, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let Line { message, response, thinking, done, done_reason, prompt_eval_count, eval_count, logprobs, error } =
            line;
        if error.is_some() {
            let value = serde_json::from_str::<Value>(data).map_err(|_| errors::unreadable())?;
            if let Some(error) = errors::of_message(&value) {
                return Err(error);
            }
        }
        let noting = &mut self.said.noting(turn);
        for thinking in [&message.thinking, &thinking] {
            Kind::Reasoning.emit(thinking, noting);
        }
        for text in [&message.content, &response] {
            Kind::Text.emit(text, noting);
        }
        for call in &message.tool_calls.0 {
            let (name, arguments) = (&*call.function.name, &*call.function.arguments);
            let index = self.calls;
            self.calls += 1;
            self.tool_calls.add(Piece { index: Some(index), id: &call.id, name, arguments }, noting)?;
            self.tool_calls.close(index, noting);
        }
        if let Some(Value::Array(tokens)) = logprobs {
            let tokens: Vec<TokenLogprob> = tokens.iter().filter_map(token_logprob).collect();
            if !tokens.is_empty() {
                turn.emit(ModelEvent::Logprobs(tokens));
            }
        }
        let usage = Usage { input_tokens: prompt_eval_count.0, output_tokens: eval_count.0, ..Usage::default() };
        if usage != Usage::default() {
            turn.emit(ModelEvent::Usage(usage));
        }
        if done != Some(Value::Bool(true)) {
            return Ok(Flow::More);
        }
        self.is_done = true;
        self.done_reason = Some(done_reason.into_cow().into_owned()).filter(|reason| !reason.is_empty());
        match self.done_reason.as_deref() {
            Some(reason) if finish::normalize(reason).is_none() => Err(errors::of_finish_reason(reason)),
            _ => Ok(Flow::Done),
        }
    }

    /// The answer as a message, where tool calls came of thinking, which the model is to see again.
    fn native(&mut self) -> Option<Value> {
        let Said { text, reasoning, calls } = std::mem::take(&mut self.said);
        (!calls.is_empty() && !reasoning.is_empty()).then(|| {
            json!({
                "role": "assistant",
                "content": text,
                "thinking": reasoning,
                "tool_calls": super::request::tool_calls(&calls),
            })
        })
    }
}

fn token_logprob(token: &Value) -> Option<TokenLogprob> {
    let top = token["top_logprobs"].as_array().into_iter().flatten();
    let top = top.filter_map(|token| Some(TopLogprob { token: text(token)?, logprob: token["logprob"].as_f64()? }));
    Some(TokenLogprob { token: text(token)?, logprob: token["logprob"].as_f64()?, top: top.collect() })
}

fn text(token: &Value) -> Option<String> {
    token["token"].as_str().map(str::to_owned)
}
