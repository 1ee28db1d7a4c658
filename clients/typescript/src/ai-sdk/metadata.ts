import type { ErrorCode, UsageSource } from "../protocol.js";

/** The `metadata` of an answer: `useChat<UIMessage<TokenwireMetadata>>`. What is not known yet is not there. */
export interface TokenwireMetadata {
  /** The generation's name, also on the native protocol. */
  generationId?: string;
  model?: string;
  provider?: string;
  finishReason?: "stop" | "length" | "tool-calls" | "content-filter" | "other" | "cancelled" | "error";
  /** The provider's own word for it. */
  providerFinishReason?: string;
  usage?: {
    inputTokens: number;
    outputTokens: number;
    totalTokens: number;
    inputTokenDetails: { cacheReadTokens?: number; cacheWriteTokens?: number };
    outputTokenDetails: { reasoningTokens?: number };
    /** By the prices of the server's configuration, and in their currency. */
    cost?: number;
    /** Who counted. */
    source: UsageSource;
  };
  timing?: { queueMs: number; firstTokenMs?: number; totalMs: number };
  /** Why it failed. */
  error?: { code: ErrorCode; message: string; retryable: boolean; retryAfterMs?: number };
}
