//! Why models stop: the providers' words, and the few that clients see.

use tokenwire_protocol::FinishReason;

/// Normalises a provider's finish reason. `None`: the word says that the provider failed.
///
/// The list is open: a word that is not in it is [`FinishReason::Other`], never a failure.
/// Gateways pass on the words of what is behind them, so one table serves every wire format,
/// in upper and lower case.
pub(crate) fn normalize(reason: &str) -> Option<FinishReason> {
    Some(match reason.to_ascii_lowercase().as_str() {
        "stop" | "end_turn" | "eos" | "eos_token" | "stop_sequence" | "complete" | "completed" => FinishReason::Stop,
        "length" | "max_tokens" | "max_output_tokens" | "model_length" | "model_context_window_exceeded" => {
            FinishReason::Length
        }
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => FinishReason::ToolCalls,
        "content_filter"
        | "content_filtered"
        | "guardrail_intervened"
        | "sensitive"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "language"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation"
        | "model_armor" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        "pause_turn" | "compaction" => FinishReason::Pause,
        "error"
        | "failed"
        | "timeout"
        | "abort"
        | "network_error"
        | "insufficient_system_resource"
        | "malformed_function_call"
        | "unexpected_tool_call"
        | "too_many_tool_calls"
        | "malformed_response"
        | "missing_thought_signature"
        | "malformed_model_output"
        | "malformed_tool_use" => return None,
        _ => FinishReason::Other,
    })
}

/// Brings the reason in line with what was said: some vendors say `stop` after tool calls or a
/// refusal, and a turn without calls must not look as if it waited for their results.
pub(crate) fn reconcile(reason: FinishReason, has_calls: bool, is_refused: bool) -> FinishReason {
    match reason {
        FinishReason::Stop if has_calls => FinishReason::ToolCalls,
        FinishReason::Stop if is_refused => FinishReason::Refusal,
        FinishReason::ToolCalls if !has_calls => FinishReason::Other,
        _ => reason,
    }
}
