//! The events of a Responses stream, as far as they are read.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{Citation, TokenLogprob, TopLogprob};

use super::super::{
    Usage,
    json::{Count, JsonText, Text, lenient_object},
};

lenient_object! {
    /// Any event: each has some of these.
    pub(super) struct StreamEvent<'a> {
        kind = "type": Text<'a>,
        output_index: Count,
        item_id: Text<'a>,
        delta: Text<'a>,
        text: Text<'a>,
        refusal: Text<'a>,
        arguments: JsonText<'a>,
        input: Text<'a>,
        code: Text<'a>,
        partial_image_b64: Text<'a>,
        output_format: Text<'a>,
        logprobs: Option<Value>,
        annotation: Option<Value>,
        item: Option<Value>,
        response: Response<'a>,
    }
}

lenient_object! {
    /// The response as a whole: with its end, and without anything but its id before that.
    pub(super) struct Response<'a> {
        id: Text<'a>,
        status: Text<'a>,
        error: Option<Value>,
        incomplete_details: IncompleteDetails<'a>,
        usage: Option<ResponseUsage>,
        output: Option<Value>,
    }
}

lenient_object! {
    pub(super) struct IncompleteDetails<'a> {
        reason: Text<'a>,
    }
}

lenient_object! {
    pub(super) struct ResponseUsage {
        input_tokens: Count,
        output_tokens: Count,
        input_tokens_details: InputDetails,
        output_tokens_details: OutputDetails,
    }
}

lenient_object! {
    pub(super) struct InputDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        audio_tokens: Count,
    }
}

lenient_object! {
    pub(super) struct OutputDetails {
        reasoning_tokens: Count,
        audio_tokens: Count,
    }
}

impl ResponseUsage {
    pub(super) fn normalize(&self) -> Usage {
        Usage {
            input_tokens: self.input_tokens.0,
            output_tokens: self.output_tokens.0,
            cached_tokens: self.input_tokens_details.cached_tokens.0,
            cache_write_tokens: self.input_tokens_details.cache_write_tokens.0,
            reasoning_tokens: self.output_tokens_details.reasoning_tokens.0,
            input_audio_tokens: self.input_tokens_details.audio_tokens.0,
            output_audio_tokens: self.output_tokens_details.audio_tokens.0,
            is_partial: false,
        }
    }
}

/// A text field of a JSON object; empty when there is none.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// The elements of a list; none of anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `[{token, logprob, top_logprobs: [{token, logprob}]}]`.
pub(super) fn logprobs(tokens: &Value) -> Vec<TokenLogprob> {
    let token = |value: &Value| Some((value["token"].as_str()?.to_owned(), value["logprob"].as_f64()?));
    let top = |value: &Value| token(value).map(|(token, logprob)| TopLogprob { token, logprob });
    let read = |value: &Value| {
        let (token, logprob) = token(value)?;
        Some(TokenLogprob { token, logprob, top: list(&value["top_logprobs"]).iter().filter_map(top).collect() })
    };
    list(tokens).iter().filter_map(read).collect()
}

/// Where a piece of the text comes from: a page, or a file that was searched.
pub(super) fn citation(annotation: Value) -> Citation {
    let named = |name: &str| annotation[name].as_str().map(str::to_owned);
    Citation {
        url: named("url"),
        title: named("title").or_else(|| named("filename")),
        quote: named("quote"),
        source: annotation,
    }
}

/// The media type of an image of that format.
pub(super) fn image_type(format: &str) -> Cow<'static, str> {
    if format.is_empty() { "image/png".into() } else { format!("image/{format}").into() }
}
