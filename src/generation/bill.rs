//! What a generation cost: added up over its turns and attempts, on every ending.

use tokenwire_protocol::{TokenUsage, UsageSource};

use super::price;
use crate::{
    config::PriceConfig,
    provider::{ModelRequest, Usage},
};

/// Bytes of text per token in an estimate. English prose is nearer to four and a half, code and
/// other languages are below; the number is marked as estimated wherever it goes.
const BYTES_PER_TOKEN: u64 = 4;

/// Adds up what was used.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    settled: Option<TokenUsage>,
    /// What the requests of this turn cost that are over.
    turn: Option<TokenUsage>,
    /// The request that is at the provider now.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    request_bytes: u64,
    answer_bytes: u64,
    counted: Option<Usage>,
    price: Option<PriceConfig>,
}

impl Bill {
    /// A request goes to a provider, whose tokens have this price.
    pub fn open(&mut self, request: &ModelRequest, price: Option<PriceConfig>) {
        let messages: usize = request
            .messages
            .iter()
            .map(|message| {
                let calls: usize = message.tool_calls.iter().map(|call| call.function.arguments.len()).sum();
                message.content.as_ref().map_or(0, |content| content.byte_len()) + calls
            })
            .sum();
        self.open = Some(Open { request_bytes: messages as u64, answer_bytes: 0, counted: None, price });
    }

    /// The model wrote `bytes` of text, reasoning or arguments.
    pub fn wrote(&mut self, bytes: usize) {
        if let Some(open) = &mut self.open {
            open.answer_bytes += bytes as u64;
        }
    }

    /// The provider counted. Later numbers replace earlier ones, field by field.
    pub fn count(&mut self, usage: Usage) {
        let Some(open) = &mut self.open else { return };
        open.counted = Some(match open.counted {
            None => usage,
            Some(before) => Usage {
                input_tokens: usage.input_tokens.or(before.input_tokens),
                output_tokens: usage.output_tokens.or(before.output_tokens),
                cached_tokens: usage.cached_tokens.or(before.cached_tokens),
                cache_write_tokens: usage.cache_write_tokens.or(before.cache_write_tokens),
                reasoning_tokens: usage.reasoning_tokens.or(before.reasoning_tokens),
                input_audio_tokens: usage.input_audio_tokens.or(before.input_audio_tokens),
                output_audio_tokens: usage.output_audio_tokens.or(before.output_audio_tokens),
                is_partial: usage.is_partial,
            },
        });
    }

    /// Whether the provider has begun to answer the request.
    pub fn has_answer(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.answer_bytes > 0 || open.counted.is_some())
    }

    /// The provider refused the request: it costs nothing.
    pub fn refused(&mut self) {
        self.open = None;
    }

    /// The request is over, well or not.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            add(&mut self.turn, open.settle());
        }
    }

    /// The turn is over. What its requests cost, if there were any.
    pub fn close_turn(&mut self) -> Option<TokenUsage> {
        self.close();
        let usage = self.turn.take()?;
        add(&mut self.settled, usage.clone());
        Some(usage)
    }

    /// The whole bill.
    pub fn total(mut self) -> TokenUsage {
        self.close_turn();
        self.settled.unwrap_or_default()
    }
}

impl Open {
    fn settle(self) -> TokenUsage {
        let estimate = |bytes: u64| bytes.div_ceil(BYTES_PER_TOKEN);
        let counted = self.counted.unwrap_or_default();
        let source = match (counted.input_tokens, counted.output_tokens) {
            (Some(_), Some(_)) if !counted.is_partial => UsageSource::Provider,
            (None, None) => UsageSource::Estimated,
            _ => UsageSource::Partial,
        };
        let output = match counted.output_tokens {
            // A running number may lag behind the text that was received.
            Some(output) if counted.is_partial => output.max(estimate(self.answer_bytes)),
            Some(output) => output,
            None => estimate(self.answer_bytes),
        };
        let mut usage = TokenUsage {
            input_tokens: counted.input_tokens.unwrap_or(estimate(self.request_bytes)),
            output_tokens: output,
            cached_tokens: counted.cached_tokens,
            cache_write_tokens: counted.cache_write_tokens,
            reasoning_tokens: counted.reasoning_tokens,
            input_audio_tokens: counted.input_audio_tokens,
            output_audio_tokens: counted.output_audio_tokens,
            cost: None,
            source,
        };
        usage.cost = self.price.map(|price| price::cost(&usage, &price));
        usage
    }
}

fn add(sum: &mut Option<TokenUsage>, usage: TokenUsage) {
    *sum = Some(match sum {
        None => usage,
        Some(before) => self::sum(before, &usage),
    });
}

fn sum(a: &TokenUsage, b: &TokenUsage) -> TokenUsage {
    let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
    };
    TokenUsage {
        input_tokens: a.input_tokens + b.input_tokens,
        output_tokens: a.output_tokens + b.output_tokens,
        cached_tokens: add(a.cached_tokens, b.cached_tokens),
        cache_write_tokens: add(a.cache_write_tokens, b.cache_write_tokens),
        reasoning_tokens: add(a.reasoning_tokens, b.reasoning_tokens),
        input_audio_tokens: add(a.input_audio_tokens, b.input_audio_tokens),
        output_audio_tokens: add(a.output_audio_tokens, b.output_audio_tokens),
        // A sum with an unknown part would look like the whole.
        cost: a.cost.zip(b.cost).map(|(a, b)| price::rounded(a + b)),
        source: if a.source == b.source { a.source } else { UsageSource::Partial },
    }
}

#[cfg(test)]
mod tests {
    use tokenwire_protocol::message::Message;

    use super::*;

    fn opened() -> Bill {
        let mut bill = Bill::default();
        bill.open(&ModelRequest { messages: vec![Message::user("12345678")], ..ModelRequest::default() }, None);
        bill
    }

    #[test]
    fn what_nobody_counted_is_estimated() {
        let mut bill = opened();
        bill.wrote(9);
        let usage = bill.total();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.source), (2, 3, UsageSource::Estimated));
    }

    #[test]
    fn running_numbers_are_a_part_and_the_text_completes_them() {
        let mut bill = opened();
        bill.count(Usage { input_tokens: Some(100), output_tokens: Some(1), is_partial: true, ..Usage::default() });
        bill.wrote(40);
        let usage = bill.total();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.source), (100, 10, UsageSource::Partial));
    }

    #[test]
    fn turns_add_up_and_a_refused_request_costs_nothing() {
        let counted =
            Usage { input_tokens: Some(10), output_tokens: Some(5), cached_tokens: Some(1), ..Usage::default() };
        let mut bill = opened();
        bill.count(counted);
        assert_eq!(bill.close_turn().map(|usage| usage.source), Some(UsageSource::Provider));
        bill.open(&ModelRequest::default(), None);
        bill.refused();
        bill.open(&ModelRequest::default(), None);
        bill.count(counted);
        let usage = bill.total();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.cached_tokens), (20, 10, Some(2)));
        assert_eq!(usage.source, UsageSource::Provider);
    }
}
