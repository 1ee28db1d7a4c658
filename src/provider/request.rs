//! What a model is asked in one turn, and how it comes from a start frame.

use std::time::Duration;

use serde_json::{Map, Value};
use tokenwire_protocol::{
    Start,
    message::{Message, Stop, Tool, ToolChoice},
};

/// How long connecting may take where nobody says.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a model is asked in one turn.
#[derive(Clone, Debug, Default)]
pub struct ModelRequest {
    /// The provider's name of the model, without the `provider/` in front.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens are drawn from.
    pub top_k: Option<u64>,
    /// Makes tokens that stand in the text less likely.
    pub presence_penalty: Option<f64>,
    /// Makes tokens less likely the more often they stand in the text.
    pub frequency_penalty: Option<f64>,
    /// The most tokens that the model may write.
    pub max_tokens: Option<u64>,
    /// Where the model stops.
    pub stop: Option<Stop>,
    /// Asks for the same answer to the same request.
    pub seed: Option<i64>,
    /// The shape of the answer, as in chat completions.
    pub response_format: Option<Value>,
    /// How long to think.
    pub reasoning_effort: Option<String>,
    /// The most tokens to think.
    pub reasoning_budget: Option<u64>,
    /// Whether to say how likely the tokens were.
    pub logprobs: bool,
    /// How many other tokens to name beside each.
    pub top_logprobs: Option<u8>,
    /// Whether the provider's own messages are wanted beside the events. The driver's business, not the adapter's.
    pub raw: bool,
    /// Fields for this provider alone, put into its request as they are.
    pub options: Map<String, Value>,
    /// How long connecting to the provider may take.
    pub connect_timeout: Duration,
}

impl ModelRequest {
    /// The first turn of `start`, asked of `provider`: its options are the ones under that name, and its
    /// model is the start's without the provider's name in front.
    pub fn from_start(start: Start, provider: &str) -> Self {
        let mut provider_options = start.provider_options;
        let model = start.model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
        Self {
            model: model.map(str::to_owned).unwrap_or(start.model),
            messages: start.messages,
            tools: start.tools,
            tool_choice: start.tool_choice,
            parallel_tool_calls: start.parallel_tool_calls,
            temperature: start.temperature,
            top_p: start.top_p,
            top_k: start.top_k,
            presence_penalty: start.presence_penalty,
            frequency_penalty: start.frequency_penalty,
            max_tokens: start.max_tokens,
            stop: start.stop,
            seed: start.seed,
            response_format: start.response_format,
            reasoning_effort: start.reasoning_effort,
            reasoning_budget: start.reasoning_budget,
            logprobs: start.logprobs,
            top_logprobs: start.top_logprobs,
            raw: start.raw,
            options: match provider_options.remove(provider) {
                Some(Value::Object(options)) => options,
                _ => Map::new(),
            },
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// Whether an earlier answer says nothing to `provider`: all that it held is in another provider's own form. A
/// provider refuses a message that is empty, so it is left out.
pub(super) fn is_empty_for(message: &Message, provider: &str) -> bool {
    message.native.as_ref().is_some_and(|native| native.provider != provider)
        && message.content.as_ref().is_none_or(|content| content.byte_len() == 0)
        && message.tool_calls.is_empty()
        && message.extra.is_empty()
}
