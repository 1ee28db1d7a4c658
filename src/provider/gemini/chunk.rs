//! What a message of an answer holds: a `GenerateContentResponse`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::{
    Usage,
    json::{Count, ReadList, Text, lenient_object, read_list},
    template::Kind,
};

lenient_object! {
    pub(super) struct Chunk<'a> {
        candidates: FirstCandidate<'a>,
        usage = "usageMetadata": ChunkUsage,
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
        parts: Parts<'a>,
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
    pub(super) struct ChunkUsage {
        prompt = "promptTokenCount": Count,
        candidates = "candidatesTokenCount": Count,
        thoughts = "thoughtsTokenCount": Count,
        cached = "cachedContentTokenCount": Count,
        tool_use = "toolUsePromptTokenCount": Count,
        prompt_audio = "promptTokensDetails": AudioTokens,
        candidates_audio = "candidatesTokensDetails": AudioTokens,
    }
}

lenient_object! {
    pub(super) struct ModalityCount<'a> {
        modality: Text<'a>,
        tokens = "tokenCount": Count,
    }
}

/// The candidate that is read: the one with the index 0, or without one.
#[derive(Debug, Default)]
pub(super) struct FirstCandidate<'a>(pub Option<Candidate<'a>>);

impl<'de> ReadList<'de> for FirstCandidate<'de> {
    type Element = Candidate<'de>;

    fn add(&mut self, candidate: Candidate<'de>) {
        if self.0.is_none() && candidate.index.0.unwrap_or(0) == 0 {
            self.0 = Some(candidate);
        }
    }
}

impl<'de> Deserialize<'de> for FirstCandidate<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_list(deserializer)
    }
}

/// The parts of a message: mostly one, which takes no allocation.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    first: Option<Part<'a>>,
    rest: Vec<Part<'a>>,
}

impl<'a> Parts<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Part<'a>> {
        self.first.iter().chain(&self.rest)
    }
}

impl<'de> ReadList<'de> for Parts<'de> {
    type Element = Part<'de>;

    fn add(&mut self, part: Part<'de>) {
        match self.first {
            None => self.first = Some(part),
            Some(_) => self.rest.push(part),
        }
    }
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_list(deserializer)
    }
}

/// How many of the tokens are audio, out of a list by modality.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AudioTokens(Option<u64>);

impl<'de> ReadList<'de> for AudioTokens {
    type Element = ModalityCount<'de>;

    fn add(&mut self, count: ModalityCount<'de>) {
        if &*count.modality == "AUDIO" {
            self.0 = count.tokens.0;
        }
    }
}

impl<'de> Deserialize<'de> for AudioTokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_list(deserializer)
    }
}

impl Candidate<'_> {
    /// The text of a candidate that holds one piece of text and nothing else.
    pub(super) fn only_text(&self) -> Option<(&str, Kind)> {
        let Parts { first: Some(part), rest } = &self.content.parts else { return None };
        let beside = [&self.citations, &self.grounding, &self.url_context, &self.logprobs];
        let is_plain =
            rest.is_empty() && self.finish_reason.is_empty() && !part.is_special() && !beside.into_iter().any(is_set);
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

impl ChunkUsage {
    /// The numbers as all providers have them; `None` where there are none.
    pub(super) fn normalize(&self) -> Option<Usage> {
        let sum = |one: Count, other: Count| match (one.0, other.0) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        let usage = Usage {
            // What tools of the provider's put into the prompt is counted apart, and so is thinking.
            input_tokens: sum(self.prompt, self.tool_use),
            output_tokens: sum(self.candidates, self.thoughts),
            cached_tokens: self.cached.0,
            reasoning_tokens: self.thoughts.0,
            input_audio_tokens: self.prompt_audio.0,
            output_audio_tokens: self.candidates_audio.0,
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

/// As lists are read everywhere: a single object counts as a list of one.
fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Object(_) => vec![value],
        _ => Vec::new(),
    }
}
