//! What a chunk of chat completions looks like: the fields that mean something here, in all the
//! places where vendors put them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

use super::super::{
    json::{self, Count, JsonText, List, Number, ReadObject, Text, lenient_object},
    template::Kind,
};
use super::usage::ChatUsage;

lenient_object! {
    pub(super) struct Chunk<'a> {
        choices: Choices<'a>,
        usage: Option<ChatUsage>,
        /// Groq's.
        x_groq: XGroq,
        error: Option<Value>,
        /// DeepInfra's.
        error_message: Text<'a>,
        /// Addresses that Perplexity and xAI name, and the pages there, which Perplexity repeats in every chunk.
        citations: List<Text<'a>>,
        search_results: List<Page<'a>>,
        id: Text<'a>,
    }
}

impl Chunk<'_> {
    /// The text of a chunk that has one text and nothing else that matters.
    pub fn only_text(&self) -> Option<(&str, Kind)> {
        let Choice { delta, finish_reason, usage, logprobs, .. } = self.choices.first.as_ref()?;
        let is_bare = self.usage.is_none()
            && usage.is_none()
            && self.x_groq.usage.is_none()
            && self.error.is_none()
            && self.error_message.is_empty()
            && self.citations.0.is_empty()
            && self.search_results.0.is_empty()
            && finish_reason.is_empty()
            && logprobs.content.0.is_empty()
            && logprobs.refusal.0.is_empty()
            && delta.refusal.is_empty()
            && delta.tool_calls.0.is_empty()
            && delta.function_call.is_none()
            && delta.reasoning_details.0.is_empty()
            && delta.annotations.0.is_empty()
            && delta.images.0.is_empty()
            && delta.executed_tools.0.is_empty()
            && delta.audio.is_none();
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
        logprobs: Logprobs<'a>,
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
        annotations: List<Value>,
        /// OpenRouter's.
        images: List<Image<'a>>,
        /// Groq's.
        executed_tools: List<Value>,
        audio: Option<Audio<'a>>,
    }
}

/// A piece of the reasoning as OpenRouter and Vercel's gateway write it beside the plain one.
#[derive(Debug, Default)]
pub(super) struct ReasoningDetail<'a> {
    pub kind: Text<'a>,
    pub index: Count,
    pub id: Text<'a>,
    pub text: Text<'a>,
    pub summary: Text<'a>,
    pub signature: Text<'a>,
    pub format: Text<'a>,
    /// All other fields: they must come back, too.
    pub rest: Map<String, Value>,
}

impl<'de> ReadObject<'de> for ReasoningDetail<'de> {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "index" => self.index = map.next_value()?,
            "id" => self.id = map.next_value()?,
            "text" => self.text = map.next_value()?,
            "summary" => self.summary = map.next_value()?,
            "signature" => self.signature = map.next_value()?,
            "format" => self.format = map.next_value()?,
            _ => {
                self.rest.insert(key.to_owned(), map.next_value()?);
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ReasoningDetail<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::read_object(deserializer)
    }
}

lenient_object! {
    pub(super) struct Call<'a> {
        index: Count,
        id: Text<'a>,
        function: Function<'a>,
        /// The signature of the thought that led to the call, from Gemini behind this wire format.
        extra_content: Option<Value>,
    }
}

lenient_object! {
    pub(super) struct Page<'a> {
        url: Text<'a>,
    }
}

lenient_object! {
    pub(super) struct Image<'a> {
        image_url: ImageUrl<'a>,
    }
}

lenient_object! {
    pub(super) struct ImageUrl<'a> {
        url: Text<'a>,
    }
}

lenient_object! {
    pub(super) struct Audio<'a> {
        id: Text<'a>,
        data: Text<'a>,
        transcript: Text<'a>,
    }
}

lenient_object! {
    pub(super) struct Logprobs<'a> {
        content: List<Logprob<'a>>,
        refusal: List<Logprob<'a>>,
    }
}

lenient_object! {
    pub(super) struct Logprob<'a> {
        token: Text<'a>,
        logprob: Number,
        top_logprobs: List<TopLogprob<'a>>,
    }
}

lenient_object! {
    pub(super) struct TopLogprob<'a> {
        token: Text<'a>,
        logprob: Number,
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
        /// Mistral's.
        thinking: Content<'a>,
        signature: Text<'a>,
        reference_ids: Option<Value>,
        image_url: Option<ImageUrl<'a>>,
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
