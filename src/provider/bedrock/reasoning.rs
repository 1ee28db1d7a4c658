//! How a model on Bedrock is asked to think. Converse has no field for it, so every maker has its own.

use serde_json::{Map, Value, json};
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::super::{HttpRequest, ModelRequest, anthropic};

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
        if model.contains("claude") {
            let (major, minor) = anthropic::version(model);
            Self::Claude(major, minor)
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
    /// How it is, if it is Claude.
    pub claude: Option<anthropic::Thinking>,
}

impl Thinking {
    /// The most tokens of the answer when the request does not say: thinking counts, and the model's own default
    /// may be less than what it may think.
    pub(super) fn max_tokens(&self) -> Option<u64> {
        match self.claude? {
            anthropic::Thinking::Budget(tokens) => Some(anthropic::DEFAULT_MAX_TOKENS + tokens),
            anthropic::Thinking::Off | anthropic::Thinking::Adaptive(_) => None,
        }
    }
}

/// How the model is asked to think, with warnings about what it cannot be asked.
pub(super) fn thinking(
    request: &ModelRequest,
    family: Family,
    provider: &str,
    http: &mut HttpRequest,
) -> Result<Thinking, ErrorInfo> {
    if family.is_claude() {
        let claude = anthropic::Thinking::of(request, provider, http)?;
        let field = claude.field(&request.model).map(|field| ("thinking".to_owned(), field));
        return Ok(Thinking { fields: field.into_iter().collect(), claude: Some(claude) });
    }
    if request.reasoning_budget.is_some() {
        http.warn("reasoning_budget", "was left out: the model is not known to take one");
    }
    let Some(effort) = request.reasoning_effort.as_deref().map(Effort::read).transpose()? else {
        return Ok(Thinking::default());
    };
    let fields = match (family, effort) {
        (Family::Nova { thinks: true }, Effort::None) => json!({"reasoningConfig": {"type": "disabled"}}),
        (Family::Nova { thinks: true }, effort) => {
            json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort.name()}})
        }
        (Family::GptOss, Effort::Low | Effort::Medium | Effort::High) => json!({"reasoning_effort": effort.name()}),
        _ => {
            http.warn("reasoning_effort", "was left out: the model is not known to take this one");
            json!({})
        }
    };
    Ok(Thinking { fields: fields.as_object().cloned().unwrap_or_default(), claude: None })
}

/// An effort as models know it that know three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    None,
    Low,
    Medium,
    High,
}

impl Effort {
    fn read(effort: &str) -> Result<Self, ErrorInfo> {
        Ok(match effort {
            "none" => Self::None,
            "minimal" | "low" => Self::Low,
            "medium" => Self::Medium,
            "high" | "xhigh" | "max" => Self::High,
            _ => {
                let message = "expected none, minimal, low, medium, high, xhigh or max";
                return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
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
