//! The words by which providers' errors are known.

use tokenwire_protocol::ErrorCode;

/// What is wrong, by an error's words in lower case, its message in lower case and its status: in this order,
/// and the vague words last.
pub(super) fn code(words: &[String], message: &str, status: Option<u16>) -> ErrorCode {
    words
        .iter()
        .find_map(|word| find(WORDS, word))
        .or_else(|| find(PHRASES, message))
        .or_else(|| is_about_unknown_model(message).then_some(ErrorCode::ModelNotFound))
        .or_else(|| status.map(of_status))
        .or_else(|| words.iter().find_map(|word| find(VAGUE_WORDS, word)))
        .unwrap_or(ErrorCode::ProviderError)
}

/// Parts of types and codes that say what is wrong whatever the status is.
const WORDS: &[(&str, ErrorCode)] = &[
    ("context_length", ErrorCode::ContextTooLong),
    ("context_size", ErrorCode::ContextTooLong),
    ("context_window", ErrorCode::ContextTooLong),
    ("request_too_large", ErrorCode::ContextTooLong),
    ("insufficient_quota", ErrorCode::Quota),
    ("exceeded_current_quota", ErrorCode::Quota),
    ("insufficient_balance", ErrorCode::Quota),
    ("insufficient_credits", ErrorCode::Quota),
    ("payment_required", ErrorCode::Quota),
    ("arrearage", ErrorCode::Quota),
    ("billing", ErrorCode::Quota),
    ("api_key", ErrorCode::Authentication),
    ("apikey", ErrorCode::Authentication),
    ("authentication", ErrorCode::Authentication),
    ("unauthenticated", ErrorCode::Authentication),
    ("unauthorized", ErrorCode::Authentication),
    ("model_not_found", ErrorCode::ModelNotFound),
    ("model_not_exist", ErrorCode::ModelNotFound),
    ("modelnotfound", ErrorCode::ModelNotFound),
    ("invalid_model", ErrorCode::ModelNotFound),
    ("unknown_model", ErrorCode::ModelNotFound),
    ("not_found_error", ErrorCode::ModelNotFound),
    ("content_filter", ErrorCode::ContentFilter),
    ("content_policy", ErrorCode::ContentFilter),
    ("responsibleaipolicy", ErrorCode::ContentFilter),
    ("data_inspection", ErrorCode::ContentFilter),
    ("moderation", ErrorCode::ContentFilter),
    ("sensitive", ErrorCode::ContentFilter),
    ("overloaded", ErrorCode::Overloaded),
    ("unavailable", ErrorCode::Overloaded),
    ("insufficient_system_resource", ErrorCode::Overloaded),
    // `timeout_error`, `ModelTimeoutException`, `TIMEOUT`, `gateway_timeout`.
    ("timeout", ErrorCode::ProviderTimeout),
    ("deadline_exceeded", ErrorCode::ProviderTimeout),
    ("rate_limit", ErrorCode::RateLimit),
    ("ratelimit", ErrorCode::RateLimit),
    ("too_many_requests", ErrorCode::RateLimit),
    ("throttl", ErrorCode::RateLimit),
    ("resource_exhausted", ErrorCode::RateLimit),
    ("permission", ErrorCode::Permission),
    ("access_denied", ErrorCode::Permission),
    ("accessdenied", ErrorCode::Permission),
    // The model wrote a call that does not fit the tool. Groq says 400, but the request was right.
    ("tool_use_failed", ErrorCode::ProviderError),
    // AWS.
    ("servicequotaexceeded", ErrorCode::Quota),
    ("expiredtoken", ErrorCode::Authentication),
    ("unrecognizedclient", ErrorCode::Authentication),
    ("invalidsignature", ErrorCode::Authentication),
];

/// Parts of types that are used for everything, so that a status says more.
const VAGUE_WORDS: &[(&str, ErrorCode)] = &[
    ("invalid_request", ErrorCode::InvalidRequest),
    ("bad_request", ErrorCode::InvalidRequest),
    ("validation", ErrorCode::InvalidRequest),
];

/// Parts of messages, for vendors whose types and statuses are vague.
const PHRASES: &[(&str, ErrorCode)] = &[
    // AWS says so of too many tokens per minute or day.
    ("please wait before trying again", ErrorCode::RateLimit),
    ("context length", ErrorCode::ContextTooLong),
    ("context window", ErrorCode::ContextTooLong),
    ("context size", ErrorCode::ContextTooLong),
    ("prompt is too long", ErrorCode::ContextTooLong),
    ("input is too long", ErrorCode::ContextTooLong),
    ("too many tokens", ErrorCode::ContextTooLong),
    ("maximum number of tokens", ErrorCode::ContextTooLong),
    ("credit balance", ErrorCode::Quota),
    ("insufficient balance", ErrorCode::Quota),
    ("insufficient credits", ErrorCode::Quota),
    ("exceeded your current quota", ErrorCode::Quota),
    ("incorrect api key", ErrorCode::Authentication),
    ("invalid api key", ErrorCode::Authentication),
    ("api key not valid", ErrorCode::Authentication),
    ("security token", ErrorCode::Authentication),
    ("request signature", ErrorCode::Authentication),
    ("overloaded", ErrorCode::Overloaded),
    ("rate limit", ErrorCode::RateLimit),
    ("too many requests", ErrorCode::RateLimit),
];

fn find(table: &[(&str, ErrorCode)], text: &str) -> Option<ErrorCode> {
    table.iter().find(|(part, _)| text.contains(part)).map(|(_, code)| *code)
}

fn is_about_unknown_model(message: &str) -> bool {
    message.contains("model")
        && ["does not exist", "not found", "invalid model", "unknown model", "no such model", "not a valid model"]
            .iter()
            .any(|phrase| message.contains(phrase))
}

fn of_status(status: u16) -> ErrorCode {
    match status {
        401 => ErrorCode::Authentication,
        402 => ErrorCode::Quota,
        403 => ErrorCode::Permission,
        404 => ErrorCode::ModelNotFound,
        413 => ErrorCode::ContextTooLong,
        429 => ErrorCode::RateLimit,
        503 | 529 => ErrorCode::Overloaded,
        408 | 504 | 524 => ErrorCode::ProviderTimeout,
        409 | 424 | 425 => ErrorCode::ProviderError,
        400..500 => ErrorCode::InvalidRequest,
        _ => ErrorCode::ProviderError,
    }
}
