//! How a model on Bedrock is asked to think. Converse has no field for it, so every maker has its own.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Message, Role, ToolChoice},
};

use super::super::{HttpRequest, ModelRequest};

/// The least that Claude accepts as a thinking budget.
const MIN_THINKING_TOKENS: u64 = 1024;

/// Who made a model: the API is the same for all of them, what they take is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// With its version: 3.7, 4.6.
    Claude(u8, u8),
    /// Amazon's, and whether it thinks.
    Nova {
        thinks: bool,
    },
    GptOss,
    /// Any other, or one whose ARN does not tell.
    Other,
}

impl Family {
    pub(super) fn of(model: &str) -> Self {
        if let Some((_, version)) = model.split_once("claude") {
            // `claude-opus-4-6-v1`, `claude-3-7-sonnet-20250219-v1:0`: a date is no number of a version.
            let mut numbers = version.split(['-', '.', ':']).skip_while(|part| part.parse::<u8>().is_err());
            let mut number = || numbers.next().and_then(|part| part.parse().ok()).unwrap_or(0);
            Self::Claude(number(), number())
        } else if model.contains("amazon.nova") {
            Self::Nova { thinks: model.contains("amazon.nova-2") }
        } else if model.contains("gpt-oss") {
            Self::GptOss
        } else {
            Self::Other
        }
    }

    pub(super) fn is_claude(self) -> bool {
        matches!(self, Self::Claude(..))
    }

    /// Whether it takes cache points: others refuse the whole request.
    pub(super) fn caches(self) -> bool {
        match self {
            Self::Claude(major, minor) => (major, minor) >= (3, 5),
            Self::Nova { .. } => true,
            Self::GptOss | Self::Other => false,
        }
    }

    /// Whether the result of a tool may say that the tool failed.
    pub(super) fn takes_status(self) -> bool {
        matches!(self, Self::Claude(..) | Self::Nova { .. })
    }
}

/// What is sent so that the model thinks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Thinking {
    /// Fields of the model's own, for `additionalModelRequestFields`.
    pub fields: Map<String, Value>,
    /// `outputConfig.effort`.
    pub effort: Option<&'static str>,
    /// The most tokens of thinking, where that is bounded: the answer's tokens come on top.
    pub budget: Option<u64>,
    /// Claude thinks: then it takes no sampling parameters.
    pub is_claude: bool,
}

/// How the model is asked to think, with warnings about what it cannot be asked.
pub(super) fn thinking(
    request: &ModelRequest,
    family: Family,
    provider: &str,
    http: &mut HttpRequest,
) -> Result<Thinking, ErrorInfo> {
    let effort = match request.reasoning_effort.as_deref() {
        None => None,
        Some(effort) => Some(Effort::read(effort)?),
    };
    if effort.is_none() && request.reasoning_budget.is_none() {
        return Ok(Thinking::default());
    }
    if let Family::Claude(major, minor) = family {
        return Ok(claude(request, (major, minor), effort, provider, http));
    }
    if request.reasoning_budget.is_some() {
        http.warn("reasoning_budget", "was left out: the model is not known to take one");
    }
    let Some(effort) = effort else { return Ok(Thinking::default()) };
    let fields = match family {
        Family::Nova { thinks: true } if effort == Effort::None => json!({"reasoningConfig": {"type": "disabled"}}),
        Family::Nova { thinks: true } => {
            json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort.of_three()}})
        }
        Family::GptOss if effort != Effort::None => json!({"reasoning_effort": effort.of_three()}),
        _ => {
            http.warn("reasoning_effort", "was left out: the model is not known to take one");
            json!({})
        }
    };
    Ok(Thinking { fields: fields.as_object().cloned().unwrap_or_default(), ..Thinking::default() })
}

fn claude(
    request: &ModelRequest,
    version: (u8, u8),
    effort: Option<Effort>,
    provider: &str,
    http: &mut HttpRequest,
) -> Thinking {
    if effort == Some(Effort::None) && request.reasoning_budget.is_none() {
        return Thinking::default();
    }
    let field = if request.reasoning_budget.is_some() { "reasoning_budget" } else { "reasoning_effort" };
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_))) {
        http.warn(field, "was left out: the model does not think when it must call a tool");
        return Thinking::default();
    }
    if version < (3, 7) {
        http.warn(field, "was left out: the model does not think");
        return Thinking::default();
    }
    if let (Some(effort), None, true) = (effort, request.reasoning_budget, version >= (4, 6)) {
        let fields = Map::from_iter([("thinking".to_owned(), json!({"type": "adaptive"}))]);
        return Thinking { fields, effort: Some(effort.of_claude()), budget: None, is_claude: true };
    }
    // The API wants to see the thinking that led to the calls whose results it is given.
    let is_question = |message: &&Message| message.role == Role::User;
    let loop_messages = request.messages.iter().rev().take_while(|message| !is_question(message));
    let is_unsigned = |message: &Message| !message.tool_calls.is_empty() && !has_thinking(message, provider);
    if loop_messages.into_iter().any(is_unsigned) {
        http.warn(field, "was left out: the calls before this turn were made without thinking");
        return Thinking::default();
    }
    let budget = request.reasoning_budget.or(effort.map(Effort::budget)).unwrap_or_default();
    // It must be below the tokens of the whole answer.
    let budget = request.max_tokens.map_or(budget, |max| budget.min(max.saturating_sub(1)));
    if budget < MIN_THINKING_TOKENS {
        http.warn(field, "was left out: there is room for fewer than 1024 tokens of thinking");
        return Thinking::default();
    }
    let fields = Map::from_iter([("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": budget}))]);
    Thinking { fields, effort: None, budget: Some(budget), is_claude: true }
}

fn has_thinking(message: &Message, provider: &str) -> bool {
    message.native.as_ref().is_some_and(|native| native.provider == provider)
        || message.extra.get("thinking_blocks").and_then(Value::as_array).is_some_and(|blocks| !blocks.is_empty())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    fn read(effort: &str) -> Result<Self, ErrorInfo> {
        Ok(match effort {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::Xhigh,
            "max" => Self::Max,
            _ => {
                let message = "expected none, minimal, low, medium, high, xhigh or max";
                return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
            }
        })
    }

    /// For models that know `low`, `medium` and `high`.
    fn of_three(self) -> &'static str {
        match self {
            Self::None | Self::Minimal | Self::Low => "low",
            Self::Medium => "medium",
            Self::High | Self::Xhigh | Self::Max => "high",
        }
    }

    fn of_claude(self) -> &'static str {
        match self {
            Self::Xhigh => "xhigh",
            Self::Max => "max",
            _ => self.of_three(),
        }
    }

    /// Tokens, for models that want a number.
    fn budget(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal => MIN_THINKING_TOKENS,
            Self::Low => 4096,
            Self::Medium => 8192,
            Self::High => 16_384,
            Self::Xhigh | Self::Max => 24_576,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_tell_who_made_them() {
        for (model, family) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", Family::Claude(3, 0)),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Family::Claude(3, 7)),
            ("global.anthropic.claude-opus-4-6-v1", Family::Claude(4, 6)),
            ("eu.anthropic.claude-sonnet-4-20250514-v1:0", Family::Claude(4, 0)),
            (
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                Family::Claude(4, 5),
            ),
            ("anthropic.claude-v2:1", Family::Claude(1, 0)),
            ("amazon.nova-lite-v1:0", Family::Nova { thinks: false }),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova { thinks: true }),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
