//! What vendors and single models of chat completions lack, as data.

use super::quirks::Effort;

/// Something that a request can ask for and a vendor or a model refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// `temperature`, other than the default.
    Temperature,
    /// `top_p`, other than the default.
    TopP,
    /// `top_k`.
    TopK,
    /// `presence_penalty` and `frequency_penalty`.
    Penalties,
    /// `seed`.
    Seed,
    /// `stop`.
    Stop,
    /// `logprobs` and `top_logprobs`.
    Logprobs,
    /// `parallel_tool_calls`.
    ParallelToolCalls,
    /// `reasoning_effort`.
    Effort,
    /// `tools`, and calls in the conversation.
    Tools,
    /// A `tool_choice` other than `auto`.
    ToolChoice,
    /// `response_format` with a schema.
    JsonSchema,
    /// `response_format` without a schema.
    JsonObject,
    /// Images.
    Images,
    /// Anything but text in results of tools.
    MediaInResults,
    /// Audio.
    Audio,
    /// Files.
    Files,
}

/// What some models of a vendor want differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelRule {
    /// How their names begin, behind the last slash.
    pub starts: &'static [&'static str],
    /// What names of other models hold that begin so, too.
    pub except: &'static [&'static str],
    /// What they lack.
    pub lacks: &'static [Lack],
    /// What they lack unless the effort is `none`.
    pub lacks_while_thinking: &'static [Lack],
    /// Fields that they are asked with.
    pub adds: &'static [(&'static str, &'static str)],
    /// Where their effort goes, if not to the vendor's place.
    pub effort: Option<Effort>,
}

impl ModelRule {
    const DEFAULT: Self =
        Self { starts: &[], except: &[], lacks: &[], lacks_while_thinking: &[], adds: &[], effort: None };

    /// The first of `rules` that is for this model.
    pub(crate) fn of<'r>(rules: &'r [Self], model: &str) -> Option<&'r Self> {
        let name = model.rsplit('/').next().unwrap_or(model);
        rules.iter().find(|rule| {
            rule.starts.iter().any(|start| name.starts_with(start))
                && !rule.except.iter().any(|part| name.contains(part))
        })
    }
}

/// OpenAI's reasoning models, wherever they are served.
pub(crate) const OPENAI_MODELS: &[ModelRule] = &[
    ModelRule {
        starts: &["o1", "o3", "o4"],
        lacks: &[Lack::Temperature, Lack::TopP, Lack::Penalties, Lack::Logprobs, Lack::Stop, Lack::ParallelToolCalls],
        ..ModelRule::DEFAULT
    },
    // From 5.1 on they sample like others when they do not think.
    ModelRule {
        starts: &["gpt-5."],
        except: &["-chat"],
        lacks: &[Lack::Penalties, Lack::Stop],
        lacks_while_thinking: &[Lack::Temperature, Lack::TopP, Lack::Logprobs],
        ..ModelRule::DEFAULT
    },
    ModelRule {
        starts: &["gpt-5"],
        except: &["-chat"],
        lacks: &[Lack::Temperature, Lack::TopP, Lack::Penalties, Lack::Logprobs, Lack::Stop],
        ..ModelRule::DEFAULT
    },
];

/// xAI's reasoning models.
pub(crate) const XAI_MODELS: &[ModelRule] = &[
    ModelRule {
        starts: &["grok-4.20", "grok-4-0709", "grok-code"],
        except: &["multi-agent"],
        lacks: &[Lack::Penalties, Lack::Stop, Lack::Effort],
        ..ModelRule::DEFAULT
    },
    ModelRule { starts: &["grok-4", "grok-3-mini"], lacks: &[Lack::Penalties, Lack::Stop], ..ModelRule::DEFAULT },
];

/// Groq's reasoning models that would write their thoughts into the answer.
pub(crate) const GROQ_MODELS: &[ModelRule] = &[ModelRule {
    starts: &["qwen3", "qwen-qwq", "deepseek-r1"],
    adds: &[("reasoning_format", "parsed")],
    ..ModelRule::DEFAULT
}];

/// Mistral's models that always think.
pub(crate) const MISTRAL_MODELS: &[ModelRule] =
    &[ModelRule { starts: &["magistral"], effort: Some(Effort::PromptMode), ..ModelRule::DEFAULT }];

/// Moonshot's models that sample in one way only.
pub(crate) const MOONSHOT_MODELS: &[ModelRule] = &[ModelRule {
    starts: &["kimi-k2.5", "kimi-k2.6", "kimi-k3"],
    lacks: &[Lack::Temperature, Lack::TopP, Lack::Penalties],
    ..ModelRule::DEFAULT
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_counts() {
        let lacks = |model: &str| ModelRule::of(OPENAI_MODELS, model).map(|rule| rule.lacks.len());
        assert_eq!(lacks("gpt-5-mini"), Some(5));
        assert_eq!(lacks("openai/gpt-5.1"), Some(2));
        assert_eq!(lacks("o3-mini"), Some(6));
        for model in ["gpt-5-chat-latest", "gpt-4o", "olmo", "my-o3"] {
            assert_eq!(lacks(model), None, "{model}");
        }
    }
}
