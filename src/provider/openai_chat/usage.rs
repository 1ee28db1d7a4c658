//! The usage of chat completions, in all the places where vendors put its numbers.

use super::super::{
    Usage,
    json::{Count, lenient_object},
};

lenient_object! {
    pub(super) struct ChatUsage {
        prompt_tokens: Count,
        completion_tokens: Count,
        total_tokens: Count,
        prompt_tokens_details: PromptDetails,
        completion_tokens_details: CompletionDetails,
        /// DeepSeek's.
        prompt_cache_hit_tokens: Count,
        /// Moonshot's and Together's.
        cached_tokens: Count,
        /// Databricks' and Doubleword's, as Anthropic's.
        cache_read_input_tokens: Count,
        cache_creation_input_tokens: Count,
        reasoning_tokens: Count,
    }
}

lenient_object! {
    pub(super) struct PromptDetails {
        cached_tokens: Count,
        cache_write_tokens: Count,
        cache_creation_tokens: Count,
        audio_tokens: Count,
    }
}

lenient_object! {
    pub(super) struct CompletionDetails {
        reasoning_tokens: Count,
        audio_tokens: Count,
    }
}

impl ChatUsage {
    pub fn normalize(&self) -> Usage {
        let input_tokens = self.prompt_tokens.0;
        let reasoning_tokens = self.completion_tokens_details.reasoning_tokens.0.or(self.reasoning_tokens.0);
        let mut output_tokens = self.completion_tokens.0;
        if let (Some(output), Some(reasoning)) = (output_tokens, reasoning_tokens)
            && self.excludes_reasoning(output, reasoning)
        {
            output_tokens = Some(output.saturating_add(reasoning));
        }
        let prompt = &self.prompt_tokens_details;
        Usage {
            input_tokens,
            output_tokens,
            cached_tokens: prompt
                .cached_tokens
                .0
                .or(self.prompt_cache_hit_tokens.0)
                .or(self.cached_tokens.0)
                .or(self.cache_read_input_tokens.0),
            cache_write_tokens: prompt
                .cache_write_tokens
                .0
                .or(prompt.cache_creation_tokens.0)
                .or(self.cache_creation_input_tokens.0),
            reasoning_tokens,
            // Where there is no audio they are 0 in every answer.
            input_audio_tokens: prompt.audio_tokens.0.filter(|tokens| *tokens > 0),
            output_audio_tokens: self.completion_tokens_details.audio_tokens.0.filter(|tokens| *tokens > 0),
            is_partial: false,
        }
    }

    /// Whether `completion_tokens` leaves the reasoning out, as it does for xAI's models, whose total
    /// is the sum of all three, and for Gemini behind the Vercel gateway, which reports 9 tokens with
    /// 61 of reasoning and bills 70. Gateways pass such numbers on, so they decide and not the
    /// vendor's name.
    fn excludes_reasoning(&self, output: u64, reasoning: u64) -> bool {
        let all = self.prompt_tokens.0.unwrap_or(0).saturating_add(output).saturating_add(reasoning);
        reasoning > output || (reasoning > 0 && self.total_tokens.0 == Some(all))
    }
}
