//! How vendors depart from their wire formats: the words of the rows in [`vendors`](super::vendors).

use super::{
    call_ids::CallIdRule,
    openai,
    rules::{Lack, ModelRule},
};

/// How a vendor departs from its wire format. The default suits a server that nobody has heard of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quirks {
    /// What stands between the base URL and the path of OpenAI's APIs. What the base URL ends with and this
    /// begins with is not repeated.
    pub prefix: &'static str,
    /// The header of the key, in lower case. `None`: `Authorization: Bearer`.
    pub key_header: Option<&'static str>,
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
    /// Whether a tool that must be called is called only without thinking, which then has to be switched off.
    pub calls_without_thinking: bool,
    /// Whether the reasoning of earlier answers may stand in the conversation.
    pub takes_reasoning: bool,
    /// The fields of a message that are not in its wire format and still sent. `None`: all.
    pub message_fields: Option<&'static [&'static str]>,
    /// The field of a last message of the model's that says to go on with it. `None`: none is needed, or it cannot.
    pub prefill_field: Option<&'static str>,
    /// How files and audio are written.
    pub parts: PartShape,
    /// Whether hints what to cache are taken. Elsewhere they are left out.
    pub cache_control: bool,
    /// The highest temperature.
    pub max_temperature: f64,
    /// What it refuses.
    pub lacks: &'static [Lack],
    /// What some of its models want differently. The first that fits counts.
    pub model_rules: &'static [ModelRule],
    /// Which ids of tool calls are accepted.
    pub call_ids: CallIdRule,
    /// Whether the result of a tool must name the tool.
    pub name_in_tool_result: bool,
    /// Who serves the wire format.
    pub host: Host,
}

impl Default for Quirks {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Quirks {
    pub(super) const DEFAULT: Self = Self {
        prefix: "",
        key_header: None,
        max_tokens_field: "max_tokens",
        seed_field: "seed",
        include_usage: true,
        developer_role: false,
        effort: Effort::Field,
        calls_without_thinking: false,
        takes_reasoning: false,
        message_fields: None,
        prefill_field: None,
        parts: PartShape::OpenAi,
        cache_control: false,
        max_temperature: 2.0,
        lacks: &[],
        model_rules: &[],
        call_ids: CallIdRule::Any,
        name_in_tool_result: false,
        host: Host::Own,
    };

    /// The same for the API version that a section asks for.
    pub(crate) fn at_version(self, version: Option<&str>) -> Self {
        match self.host {
            Host::Azure if openai::is_old_azure(version) => {
                Self { include_usage: false, max_tokens_field: "max_tokens", developer_role: false, ..self }
            }
            _ => self,
        }
    }
}

/// Who serves a wire format: who made it, or a cloud that puts the model into the URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// Who made it.
    #[default]
    Own,
    /// Google's Vertex AI.
    Vertex,
    /// Azure OpenAI.
    Azure,
    /// Azure AI Foundry, which serves models of others than OpenAI.
    Foundry,
    /// AWS Bedrock.
    Bedrock,
}

/// Where the reasoning effort goes in a request of chat completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// `reasoning_effort`, as it is.
    #[default]
    Field,
    /// `reasoning: {effort}`, or `{max_tokens}`.
    Object,
    /// `thinking: {type}`: on, or off for `none`.
    Thinking,
    /// `thinking: {type}`, and `reasoning_effort` where it is on.
    ThinkingAndField,
    /// `enable_thinking`: on, or off for `none`; and `thinking_budget`.
    EnableThinking,
    /// `prompt_mode`: `reasoning`, or `null` for `none`.
    PromptMode,
    /// `chat_template_kwargs`, which servers of open models hand to the model's template.
    TemplateArguments,
}

/// How files and audio are written in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartShape {
    /// As OpenAI writes them.
    #[default]
    OpenAi,
    /// As Mistral does: a document by its URL, and audio without its format.
    Mistral,
}
