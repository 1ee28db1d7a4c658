//! What tokens cost, by the prices of the configuration.

use std::collections::BTreeMap;

use tokenwire_protocol::TokenUsage;

use crate::config::PriceConfig;

/// The price of a model: of its exact name, else of the longest beginning of it that has one.
pub(super) fn find(prices: &BTreeMap<String, PriceConfig>, provider: &str, model: &str) -> Option<PriceConfig> {
    if prices.is_empty() {
        return None;
    }
    let name = format!("{provider}/{model}");
    let is_beginning = |&(key, _): &(&String, _)| key.strip_suffix('*').is_some_and(|key| name.starts_with(key));
    let beginning = || prices.iter().filter(is_beginning).max_by_key(|(key, _)| key.len()).map(|(_, price)| price);
    prices.get(&name).or_else(beginning).copied()
}

/// What `usage` costs.
pub(super) fn cost(usage: &TokenUsage, price: &PriceConfig) -> f64 {
    let count = |tokens: Option<u64>| tokens.unwrap_or(0);
    // Each token counts once: as what is dearest or cheapest about it.
    let (cached, cache_write) = (count(usage.cached_tokens), count(usage.cache_write_tokens));
    let input_audio = count(usage.input_audio_tokens).min(usage.input_tokens.saturating_sub(cached + cache_write));
    let output_audio = count(usage.output_audio_tokens).min(usage.output_tokens);
    let parts = [
        (usage.input_tokens.saturating_sub(cached + cache_write + input_audio), price.input),
        (cached, price.cached.unwrap_or(price.input)),
        (cache_write, price.cache_write.unwrap_or(price.input)),
        (input_audio, price.input_audio.unwrap_or(price.input)),
        (usage.output_tokens - output_audio, price.output),
        (output_audio, price.output_audio.unwrap_or(price.output)),
    ];
    rounded(parts.iter().map(|(tokens, price)| *tokens as f64 * price / 1e6).sum())
}

/// Without the noise of adding fractions: to a ten billionth.
pub(super) fn rounded(cost: f64) -> f64 {
    (cost * 1e10).round() / 1e10
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: PriceConfig =
        PriceConfig { input: 2.0, output: 8.0, cached: None, cache_write: None, input_audio: None, output_audio: None };

    #[test]
    fn the_exact_name_wins_and_then_the_longest_beginning() {
        let names = ["*", "openai/*", "openai/gpt-5*", "openai/gpt-5-mini", "groq/openai/gpt*"];
        let price = |at: usize| PriceConfig { input: at as f64, ..PRICE };
        let prices: BTreeMap<_, _> =
            names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), price(at))).collect();
        let found = |provider, model| find(&prices, provider, model).map(|price| price.input);
        assert_eq!(found("openai", "gpt-5-mini"), Some(3.0));
        assert_eq!(found("openai", "gpt-5-mini-2025"), Some(2.0));
        assert_eq!(found("openai", "gpt-4o"), Some(1.0));
        assert_eq!(found("groq", "openai/gpt-oss"), Some(4.0));
        assert_eq!(found("groq", "llama"), Some(0.0));
        assert_eq!(find(&BTreeMap::new(), "openai", "gpt-5"), None);
    }

    #[test]
    fn every_token_is_paid_once() {
        let usage = TokenUsage {
            input_tokens: 1000,
            output_tokens: 100,
            cached_tokens: Some(600),
            cache_write_tokens: Some(100),
            reasoning_tokens: Some(40),
            input_audio_tokens: Some(50),
            output_audio_tokens: Some(20),
            ..TokenUsage::default()
        };
        assert_eq!(cost(&usage, &PRICE), 0.0028);
        let price = PriceConfig {
            cached: Some(0.5),
            cache_write: Some(2.5),
            input_audio: Some(20.0),
            output_audio: Some(40.0),
            ..PRICE
        };
        // 250 at 2, 600 at 0.5, 100 at 2.5, 50 at 20; 80 at 8, 20 at 40.
        assert_eq!(cost(&usage, &price), 0.00349);
        let wrong = TokenUsage { input_tokens: 1, cached_tokens: Some(2), ..TokenUsage::default() };
        assert_eq!(cost(&wrong, &PRICE), 0.000_004);
    }
}
