"use client";

export { useAnswer } from "./answer.js";
export {
  useConversation,
  type SendOptions,
  type UseConversationOptions,
  type UseConversationResult,
} from "./conversation.js";
export { useGeneration, type UseGenerationOptions, type UseGenerationResult } from "./generation.js";
export { TokenwireProvider, useConnectionStatus, useTokenwire, type TokenwireProviderProps } from "./provider.js";
