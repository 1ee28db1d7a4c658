//! How a Claude model is asked to think, which every generation wants differently.

use serde_json::{Value, json};
use tokenwire_protocol::{
    ErrorCode, ErrorInfo,
    message::{Message, Role, ToolChoice},
};

use super::{
    super::{HttpRequest, ModelRequest},
    messages::{native_blocks, thinking_blocks},
};

/// The least that the API accepts as a thinking budget.
const MIN_THINKING_TOKENS: u64 = 1024;

/// How the model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Thinking {
    /// Not asked for, or not possible in this request.
    Off,
    /// With at most that many tokens.
    Budget(u64),
    /// As long as it likes, with an effort. What models from 4.6 on want.
    Adaptive(&'static str),
}

impl Thinking {
    /// What the request asks for, as far as the model and the conversation allow it.
    pub(in crate::provider) fn of(
        request: &ModelRequest,
        provider: &str,
        http: &mut HttpRequest,
    ) -> Result<Self, ErrorInfo> {
        let Some((effort, budget)) = wanted(request)? else { return Ok(Self::Off) };
        let field = if request.reasoning_budget.is_some() { "reasoning_budget" } else { "reasoning_effort" };
        if let Some(reason) = obstacle(request, provider) {
            http.warn(field, format!("the model was not asked to think: {reason}"));
            return Ok(Self::Off);
        }
        let version = version(&request.model);
        // 4.6 still takes budgets.
        if version >= (4, 7) || (version == (4, 6) && request.reasoning_budget.is_none()) {
            if request.reasoning_budget.is_some() {
                http.warn(field, format!("this model takes no budget, so it was asked for the effort {effort}"));
            }
            if effort == "xhigh" && version < (4, 7) {
                http.warn(field, "this model knows no xhigh, so it was asked for the effort high");
                return Ok(Self::Adaptive("high"));
            }
            return Ok(Self::Adaptive(effort));
        }
        // The budget must be below `max_tokens`.
        let possible = request.max_tokens.map_or(budget, |max| budget.min(max.saturating_sub(1)));
        if possible < MIN_THINKING_TOKENS {
            http.warn(
                field,
                format!("the model was not asked to think: it would need at least {MIN_THINKING_TOKENS} tokens"),
            );
            return Ok(Self::Off);
        }
        Ok(Self::Budget(possible))
    }

    pub(super) fn is_off(self) -> bool {
        self == Self::Off
    }

    /// The field `thinking`.
    pub(in crate::provider) fn field(self, model: &str) -> Option<Value> {
        match self {
            Self::Off => None,
            Self::Budget(tokens) => Some(json!({"type": "enabled", "budget_tokens": tokens})),
            // These keep their thoughts to themselves unless they are asked.
            Self::Adaptive(_) if version(model) >= (4, 7) => Some(json!({"type": "adaptive", "display": "summarized"})),
            Self::Adaptive(_) => Some(json!({"type": "adaptive"})),
        }
    }
}

/// The effort and the budget that the request asks for. A budget wins.
fn wanted(request: &ModelRequest) -> Result<Option<(&'static str, u64)>, ErrorInfo> {
    let effort = match request.reasoning_effort.as_deref() {
        None | Some("none") => None,
        Some("minimal") => Some(("low", MIN_THINKING_TOKENS)),
        Some("low") => Some(("low", 4096)),
        Some("medium") => Some(("medium", 8192)),
        Some("high") => Some(("high", 16_384)),
        Some("xhigh") => Some(("xhigh", 24_576)),
        Some("max") => Some(("max", 24_576)),
        Some(_) => {
            let message = "expected none, minimal, low, medium, high, xhigh or max";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
        }
    };
    Ok(match request.reasoning_budget {
        None => effort,
        Some(0) => None,
        Some(budget) => {
            let nearest = match budget {
                0..6144 => "low",
                6144..12_288 => "medium",
                _ => "high",
            };
            Some((effort.map_or(nearest, |(effort, _)| effort), budget))
        }
    })
}

/// What keeps the model from thinking.
fn obstacle(request: &ModelRequest, provider: &str) -> Option<&'static str> {
    if ((1, 0)..(3, 7)).contains(&version(&request.model)) {
        return Some("this model cannot");
    }
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_))) {
        return Some("this provider refuses that beside a tool that must be called");
    }
    let has_thinking = |message: &Message| {
        let blocks = native_blocks(message, provider).unwrap_or_else(|| thinking_blocks(message));
        blocks.iter().any(|block| {
            let is_thinking = block["type"] == "thinking" || block["type"] == "redacted_thinking";
            // As Bedrock's own wire format has it.
            is_thinking || block.get("reasoningContent").is_some()
        })
    };
    let is_native = |message: &Message| native_blocks(message, provider).is_some();
    if request
        .messages
        .last()
        .is_some_and(|last| last.role == Role::Assistant && !is_native(last) && !has_thinking(last))
    {
        return Some("it has to go on with an answer that began without");
    }
    if version(&request.model) >= (4, 6) {
        return None;
    }
    // It wants to see the thinking that led to the calls whose results it is given.
    let in_tool_loop = request.messages.iter().rev().take_while(|message| message.role != Role::User);
    if in_tool_loop.into_iter().any(|message| !message.tool_calls.is_empty() && !has_thinking(message)) {
        return Some("the thinking that led to the tool calls is missing");
    }
    None
}

/// The version in a model's name: `claude-opus-4-6` is 4.6, `claude-3-7-sonnet-20250219` 3.7. 0.0 for other names.
pub(in crate::provider) fn version(model: &str) -> (u8, u8) {
    let Some(at) = model.find("claude") else { return (0, 0) };
    let mut numbers = model[at..].split(['-', '.', '@', ':']).skip_while(|part| part.parse::<u8>().is_err());
    let mut number = || numbers.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn names_hold_versions() {
        for (model, expected) in [
            ("claude-opus-4-6", (4, 6)),
            ("claude-3-7-sonnet-20250219", (3, 7)),
            ("claude-3-haiku-20240307", (3, 0)),
            ("claude-sonnet-4-20250514", (4, 0)),
            ("claude-opus-4-1@20250805", (4, 1)),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)),
            ("anthropic/claude-opus-4.7", (4, 7)),
            ("claude-sonnet-5", (5, 0)),
            ("kimi-k2", (0, 0)),
        ] {
            assert_eq!(version(model), expected, "{model}");
        }
    }
}
