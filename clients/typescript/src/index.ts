export type {
  Answer,
  AnswerPart,
  AnswerStatus,
  CitationPart,
  InputPart,
  MediaPart,
  ServerToolCallPart,
  TextPart,
  ToolCallPart,
  ToolCallState,
} from "./answer.js";
export {
  Tokenwire,
  type AttachOptions,
  type ConversationOptions,
  type StartRequest,
  type TokenwireOptions,
} from "./client.js";
export type { ConnectionStatus, TokenSource, WebSocketClass, WebSocketLike } from "./connection.js";
export type { TokenwireCore } from "./core.js";
export type { Conversation, ConversationGeneration, ConversationState } from "./conversation.js";
export { TokenwireError, type ClientErrorCode } from "./errors.js";
export type * from "./protocol.js";
export type { InputOptions, Run } from "./run.js";
export type { ToolCallContext, ToolDefinition, ToolHandler, Tools } from "./tools.js";
