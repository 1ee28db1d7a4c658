//! The metadata of a UI message. What is not known is left out.

use serde_json::{Value, json};
use tokenwire_protocol::{ErrorInfo, Retry, Started, Timing, TokenUsage};

/// At the beginning.
pub(super) fn of_start(generation: &str, started: &Started) -> Value {
    json!({"generationId": generation, "model": started.model, "provider": started.provider})
}

/// When somebody else is asked.
pub(super) fn of_retry(retry: &Retry) -> Value {
    json!({"model": retry.model, "provider": retry.provider})
}

/// At the end, whatever it is. Usage is in the shape of the AI SDK.
pub(super) fn of_end(reason: &str, usage: &TokenUsage, timing: &Timing) -> Value {
    let TokenUsage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, .. } = usage;
    let Timing { queue_ms, first_token_ms, total_ms } = timing;
    known(json!({
        "finishReason": reason,
        "usage": {
            "inputTokens": input_tokens, "outputTokens": output_tokens, "totalTokens": input_tokens + output_tokens,
            "inputTokenDetails": {"cacheReadTokens": cached_tokens, "cacheWriteTokens": cache_write_tokens},
            "outputTokenDetails": {"reasoningTokens": reasoning_tokens},
            "cost": usage.cost, "source": usage.source,
        },
        "timing": {"queueMs": queue_ms, "firstTokenMs": first_token_ms, "totalMs": total_ms},
    }))
}

/// Of a failure.
pub(super) fn of_error(error: &ErrorInfo) -> Value {
    let ErrorInfo { code, message, retryable, retry_after_ms, .. } = error;
    known(json!({"code": code, "message": message, "retryable": retryable, "retryAfterMs": retry_after_ms}))
}

/// Without the fields that are null: an application's schema has them as optional.
pub(super) fn known(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
        for field in fields.values_mut() {
            *field = known(field.take());
        }
    }
    value
}
