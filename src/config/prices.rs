//! Prices of models.

use serde::Deserialize;

use super::{
    Config,
    error::{KeyPath, Problem},
};

/// What the tokens of a model cost, per million, in the currency of whoever configures them.
///
/// The key is `provider/model`, or the beginning of one with a `*` behind it: `openai/gpt-5*`,
/// `groq/*`. The exact name wins, then the longest beginning.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// Tokens read.
    pub input: f64,
    /// Tokens written, reasoning included.
    pub output: f64,
    /// Tokens read from the provider's cache. Default: as `input`.
    #[serde(default)]
    pub cached: Option<f64>,
    /// Tokens read and written to the provider's cache. Default: as `input`.
    #[serde(default)]
    pub cache_write: Option<f64>,
    /// Tokens read that are audio. Default: as `input`.
    #[serde(default)]
    pub input_audio: Option<f64>,
    /// Tokens written that are audio. Default: as `output`.
    #[serde(default)]
    pub output_audio: Option<f64>,
}

/// Checks every price.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    for (name, price) in &config.prices {
        let path = KeyPath::from("prices").key(name);
        let is_model = name.split_once('/').is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty());
        let beginning = name.strip_suffix('*').unwrap_or(name);
        if beginning.contains('*') || (!is_model && !name.ends_with('*')) {
            let problem = Problem::new(path.clone(), "expected `provider/model`, or the beginning of it and a `*`");
            problems.push(problem.with_fix("for example `[prices.\"openai/gpt-5*\"]`"));
        }
        let PriceConfig { input, output, cached, cache_write, input_audio, output_audio } = *price;
        let values = [
            ("input", Some(input)),
            ("output", Some(output)),
            ("cached", cached),
            ("cache_write", cache_write),
            ("input_audio", input_audio),
            ("output_audio", output_audio),
        ];
        for (key, value) in values {
            if value.is_some_and(|value| !value.is_finite() || value < 0.0) {
                problems.push(Problem::new(path.clone().key(key), "expected a price per million tokens, 0 or more"));
            }
        }
    }
}
