//! Vendors that speak a wire format, as rows of data.

use std::sync::Arc;

pub use super::call_ids::CallIdRule;
use super::{Adapter, anthropic::Anthropic, openai_chat::OpenAiChat};

/// How a vendor departs from its wire format. The default suits a server that nobody has heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The field that bounds the answer's length.
    pub max_tokens_field: &'static str,
    /// The field of the seed.
    pub seed_field: &'static str,
    /// Whether usage may be asked for with `stream_options`. Most send none without it.
    pub include_usage: bool,
    /// Whether the role `developer` is known. Elsewhere it is sent as `system`.
    pub developer_role: bool,
    /// Where the reasoning effort goes.
    pub effort: Effort,
    /// Whether the reasoning of earlier answers may stand in the conversation.
    pub takes_reasoning: bool,
    /// Which ids of tool calls are accepted.
    pub call_ids: CallIdRule,
    /// Whether the result of a tool must name the tool.
    pub name_in_tool_result: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Quirks {
    const DEFAULT: Self = Self {
        max_tokens_field: "max_tokens",
        seed_field: "seed",
        include_usage: true,
        developer_role: false,
        effort: Effort::Field,
        takes_reasoning: false,
        call_ids: CallIdRule::Any,
        name_in_tool_result: false,
    };
}

/// Where the reasoning effort goes in a request of chat completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// `reasoning_effort`, as it is.
    #[default]
    Field,
    /// `reasoning: {effort}`.
    Object,
    /// `thinking: {type}`: on, or off for `none`.
    Thinking,
    /// `enable_thinking`: on, or off for `none`.
    EnableThinking,
    /// `chat_template_kwargs`, which servers of open models hand to the model's template.
    TemplateArguments,
}

/// A vendor.
#[derive(Clone, Copy, Debug)]
pub struct Vendor {
    /// The provider's name: the first half of `provider/model`.
    pub name: &'static str,
    /// The wire format that it speaks.
    pub wire_format: &'static str,
    /// Where it is, without a slash at the end.
    pub base_url: &'static str,
    /// The environment variable that points it elsewhere, as the vendor's own SDK names it.
    pub base_url_env: &'static str,
    /// The environment variable of the key.
    pub key_env: &'static str,
    /// Whether it works only with a key. Servers on one's own machine mostly do without.
    pub needs_key: bool,
    /// How it departs from its wire format.
    pub quirks: Quirks,
    /// Models to offer in a picker.
    pub models: &'static [&'static str],
}

/// The vendor of that name.
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

/// The adapter of that wire format.
pub fn adapter(wire_format: &str) -> Option<Arc<dyn Adapter>> {
    match wire_format {
        "openai-chat" => Some(Arc::new(OpenAiChat)),
        "anthropic" => Some(Arc::new(Anthropic)),
        _ => None,
    }
}

/// Every vendor, the best known first.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        name: "openai",
        wire_format: "openai-chat",
        base_url: "https://api.openai.com/v1",
        base_url_env: "OPENAI_BASE_URL",
        key_env: "OPENAI_API_KEY",
        needs_key: true,
        quirks: Quirks { max_tokens_field: "max_completion_tokens", developer_role: true, ..Quirks::DEFAULT },
        models: &["gpt-5", "gpt-5-mini", "gpt-4.1"],
    },
    Vendor {
        name: "anthropic",
        wire_format: "anthropic",
        base_url: "https://api.anthropic.com",
        base_url_env: "ANTHROPIC_BASE_URL",
        key_env: "ANTHROPIC_API_KEY",
        needs_key: true,
        quirks: Quirks { call_ids: CallIdRule::Word, ..Quirks::DEFAULT },
        models: &["claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"],
    },
];
