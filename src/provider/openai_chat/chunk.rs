//! What a chunk of chat completions looks like: the fields that mean something here, in all the
//! places where vendors put them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use super::super::{
    Turn, Usage,
    json::{Count, JsonText, List, Text, lenient_object},
    template::Kind,
};

lenient_object! {
    pub(super) struct Chunk<'a> {
        choices: Choices<'a>,
        usage: Option<ChatUsage>,
        /// Groq's.
        x_groq: XGroq,
        error: Option<Value>,
        /// DeepInfra's.
        error_message: Text<'a>,
    }
}

impl Chunk<'_> {
    /// The text of a chunk that has one text and nothing else that matters.
    pub fn only_text(&self) -> Option<(&str, Kind)> {
        let Choice { delta, finish_reason, usage, .. } = self.choices.first.as_ref()?;
        let is_bare = self.usage.is_none()
            && usage.is_none()
            && self.x_groq.usage.is_none()
            && self.error.is_none()
            && self.error_message.is_empty()
            && finish_reason.is_empty()
            && delta.refusal.is_empty()
            && delta.tool_calls.0.is_empty()
            && delta.function_call.is_none()
            && delta.reasoning_details.0.is_empty();
        let Content::Text(content) = &delta.content else { return None };
        match (is_bare, &**content, &*delta.reasoning_content, &*delta.reasoning) {
            (true, text, "", "") => Some((text, Kind::Text)),
            (true, "", text, "") | (true, "", "", text) => Some((text, Kind::Reasoning)),
            _ => None,
        }
    }
}

lenient_object! {
    pub(super) struct XGroq {
        usage: Option<ChatUsage>,
    }
}

/// `choices`, of which only the one with index 0 is read.
#[derive(Debug, Default)]
pub(super) struct Choices<'a> {
    pub first: Option<Choice<'a>>,
    /// Whether there is a list at all, if only an empty one.
    pub is_present: bool,
}

lenient_object! {
    pub(super) struct Choice<'a> {
        index: Count,
        delta: Delta<'a>,
        finish_reason: Text<'a>,
        /// Moonshot's.
        usage: Option<ChatUsage>,
    }
}

lenient_object! {
    pub(super) struct Delta<'a> {
        content: Content<'a>,
        reasoning_content: Text<'a>,
        reasoning: Text<'a>,
        reasoning_details: List<ReasoningDetail<'a>>,
        refusal: Text<'a>,
        tool_calls: List<Call<'a>>,
        function_call: Option<Function<'a>>,
    }
}

lenient_object! {
    pub(super) struct ReasoningDetail<'a> {
        text: Text<'a>,
        summary: Text<'a>,
    }
}

lenient_object! {
    pub(super) struct Call<'a> {
        index: Count,
        id: Text<'a>,
        function: Function<'a>,
    }
}

lenient_object! {
    pub(super) struct Function<'a> {
        name: Text<'a>,
        arguments: JsonText<'a>,
    }
}

/// `content`: text, or a list of parts where Mistral reasons.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

lenient_object! {
    pub(super) struct ContentPart<'a> {
        text: Text<'a>,
        thinking: Content<'a>,
    }
}

impl Content<'_> {
    /// Emits the text and the reasoning in their order. `kind` is what text outside of `thinking` is.
    pub fn emit(&self, kind: Kind, turn: &mut dyn Turn) {
        match self {
            Self::Text(text) => kind.emit(text, turn),
            Self::Parts(parts) => {
                for part in parts {
                    part.thinking.emit(Kind::Reasoning, turn);
                    kind.emit(&part.text, turn);
                }
            }
        }
    }
}

lenient_object! {
    pub(super) struct ChatUsage {
        prompt_tokens: Count,
        completion_tokens: Count,
        total_tokens: Count,
        prompt_tokens_details: PromptDetails,
        completion_tokens_details: CompletionDetails,
        /// DeepSeek's.
        prompt_cache_hit_tokens: Count,
        /// Moonshot's and Together's.
        cached_tokens: Count,
        /// Databricks' and Doubleword's, as Anthropic's.
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        reasoning_tokens: Count,
    }
}

lenient_object! {
    pub(super) struct PromptDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        cache_creation_tokens: Count,
    }
}

lenient_object! {
    pub(super) struct CompletionDetails {
        reasoning_tokens: Count,
    }
}

impl ChatUsage {
    pub fn normalize(&self) -> Usage {
        let input_tokens = self.prompt_tokens.0;
        let reasoning_tokens = self.completion_tokens_details.reasoning_tokens.0.or(self.reasoning_tokens.0);
        let mut output_tokens = self.completion_tokens.0;
        if let (Some(output), Some(reasoning)) = (output_tokens, reasoning_tokens)
            && self.excludes_reasoning(output, reasoning)
        {
            output_tokens = Some(output.saturating_add(reasoning));
        }
        let prompt = &self.prompt_tokens_details;
        Usage {
            input_tokens,
            output_tokens,
            cached_tokens: prompt
                .cached_tokens
                .0
                .or(self.prompt_cache_hit_tokens.0)
                .or(self.cached_tokens.0)
                .or(self.cache_read_input_tokens.0),
            cache_write_tokens: prompt
                .cache_write_tokens
                .0
                .or(prompt.cache_creation_tokens.0)
                .or(self.cache_creation_input_tokens.0),
            reasoning_tokens,
            ..Usage::default()
        }
    }

    /// Whether `completion_tokens` leaves the reasoning out, as it does for xAI's models, whose total
    /// is the sum of all three, and for Gemini behind the Vercel gateway, which reports 9 tokens with
    /// 61 of reasoning and bills 70. Gateways pass such numbers on, so they decide and not the
    /// vendor's name.
    fn excludes_reasoning(&self, output: u64, reasoning: u64) -> bool {
        let all = self.prompt_tokens.0.unwrap_or(0).saturating_add(output).saturating_add(reasoning);
        reasoning > output || (reasoning > 0 && self.total_tokens.0 == Some(all))
    }
}

impl Default for Content<'_> {
    fn default() -> Self {
        Self::Text(Cow::Borrowed(""))
    }
}

impl<'de> Deserialize<'de> for Content<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Content<'de>, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content<'de>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content<'de>, A::Error> {
                Ok(Content::Parts(vec![ContentPart::deserialize(MapAccessDeserializer::new(map))?]))
            }

            crate::provider::json::otherwise_default! {
                visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_unit(),
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

impl<'de> Deserialize<'de> for Choices<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoicesVisitor;
        impl<'de> Visitor<'de> for ChoicesVisitor {
            type Value = Choices<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choices<'de>, A::Error> {
                let mut first = None;
                while let Some(choice) = seq.next_element::<Choice<'de>>()? {
                    if first.is_none() && choice.index.0.unwrap_or(0) == 0 {
                        first = Some(choice);
                    }
                }
                Ok(Choices { first, is_present: true })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Choices<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Choices::default())
            }

            crate::provider::json::otherwise_default! {
                visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str), visit_unit(),
            }
        }
        deserializer.deserialize_any(ChoicesVisitor)
    }
}
