//! What a message of an answer holds: a `GenerateContentResponse`.

use serde_json::Value;

use super::super::{
    Usage,
    json::{Count, List, Text, lenient_object},
    template::Kind,
};

lenient_object! {
    pub(super) struct Chunk<'a> {
        candidates: List<Candidate<'a>>,
        usage = "usageMetadata": ChunkUsage<'a>,
        prompt_feedback = "promptFeedback": PromptFeedback<'a>,
        error: Option<Value>,
    }
}

lenient_object! {
    pub(super) struct PromptFeedback<'a> {
        block_reason = "blockReason": Text<'a>,
    }
}

lenient_object! {
    /// One of the answers. Only the first is read: others come when somebody asked for several.
    pub(super) struct Candidate<'a> {
        index: Count,
        content: Content<'a>,
        finish_reason = "finishReason": Text<'a>,
        citations = "citationMetadata": Option<Value>,
        grounding = "groundingMetadata": Option<Value>,
        url_context = "urlContextMetadata": Option<Value>,
        logprobs = "logprobsResult": Option<Value>,
    }
}

lenient_object! {
    pub(super) struct Content<'a> {
        parts: List<Part<'a>>,
    }
}

lenient_object! {
    /// A part, as far as plain text goes. What else parts hold is read from [`raw_parts`].
    pub(super) struct Part<'a> {
        text: Option<Text<'a>>,
        thought: Option<Value>,
        signature = "thoughtSignature": Text<'a>,
    }
}

lenient_object! {
    /// Totals so far, not differences.
    pub(super) struct ChunkUsage<'a> {
        prompt = "promptTokenCount": Count,
        candidates = "candidatesTokenCount": Count,
        thoughts = "thoughtsTokenCount": Count,
        cached = "cachedContentTokenCount": Count,
        tool_use = "toolUsePromptTokenCount": Count,
        prompt_details = "promptTokensDetails": List<ModalityCount<'a>>,
        candidates_details = "candidatesTokensDetails": List<ModalityCount<'a>>,
    }
}

lenient_object! {
    pub(super) struct ModalityCount<'a> {
        modality: Text<'a>,
        tokens = "tokenCount": Count,
    }
}

impl<'a> Chunk<'a> {
    pub(super) fn first_candidate(&mut self) -> Option<Candidate<'a>> {
        let candidates = std::mem::take(&mut self.candidates.0);
        candidates.into_iter().find(|candidate| candidate.index.0.unwrap_or(0) == 0)
    }
}

impl Candidate<'_> {
    /// The text of a candidate that holds one piece of text and nothing else.
    pub(super) fn only_text(&self) -> Option<(&str, Kind)> {
        let [part] = &self.content.parts.0[..] else { return None };
        let beside = [&self.citations, &self.grounding, &self.url_context, &self.logprobs];
        let is_plain = self.finish_reason.is_empty() && !part.is_special() && !beside.into_iter().any(is_set);
        part.text.as_deref().filter(|_| is_plain).map(|text| (text, part.kind()))
    }
}

impl Part<'_> {
    /// Whether it is more than plain text.
    pub(super) fn is_special(&self) -> bool {
        self.text.is_none() || !self.signature.is_empty()
    }

    pub(super) fn is_thought(&self) -> bool {
        self.thought == Some(Value::Bool(true))
    }

    pub(super) fn kind(&self) -> Kind {
        if self.is_thought() { Kind::Reasoning } else { Kind::Text }
    }
}

impl ChunkUsage<'_> {
    /// The numbers as all providers have them; `None` where there are none.
    pub(super) fn normalize(&self) -> Option<Usage> {
        let sum = |one: Count, other: Count| match (one.0, other.0) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        let audio = |details: &List<ModalityCount<'_>>| {
            let mut tokens = details.0.iter().filter(|count| &*count.modality == "AUDIO").map(|count| count.tokens.0);
            tokens.next().flatten()
        };
        let usage = Usage {
            // What tools of the provider's put into the prompt is counted apart, and so is thinking.
            input_tokens: sum(self.prompt, self.tool_use),
            output_tokens: sum(self.candidates, self.thoughts),
            cached_tokens: self.cached.0,
            reasoning_tokens: self.thoughts.0,
            input_audio_tokens: audio(&self.prompt_details),
            output_audio_tokens: audio(&self.candidates_details),
            ..Usage::default()
        };
        (usage != Usage::default()).then_some(usage)
    }
}

/// Whether there is anything in it: empty objects stand where nothing is meant.
pub(super) fn is_set(value: &Option<Value>) -> bool {
    value.as_ref().and_then(Value::as_object).is_some_and(|object| !object.is_empty())
}

/// The parts of the first candidate, whole.
pub(super) fn raw_parts(data: &str) -> Vec<Value> {
    let Ok(mut chunk) = serde_json::from_str::<Value>(data) else { return Vec::new() };
    let first = list(chunk["candidates"].take())
        .into_iter()
        .find(|candidate| matches!(candidate["index"].as_u64(), None | Some(0)));
    first.map(|mut candidate| list(candidate["content"]["parts"].take())).unwrap_or_default()
}

/// As [`List`] reads it.
fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Object(_) => vec![value],
        _ => Vec::new(),
    }
}
