// What goes over the socket of `/v1/ai-sdk`, as far as this client looks at it.

import type { UIMessage, UIMessageChunk } from "ai";
import type { ErrorInfo } from "../protocol.js";

/** Asks for an answer. */
export interface SendFrame {
  type: "send";
  requestId: string;
  /** The chat. */
  id: string;
  trigger: "submit-message" | "regenerate-message";
  messageId?: string;
  messages: UIMessage[];
  body: object;
  metadata?: unknown;
  /** A name for the generation: repeated with it, the frame never starts a second one. */
  generation: string;
}

/** Asks for what runs in a chat, or for the generation of that name, from its beginning. */
export interface ResumeFrame {
  type: "resume";
  requestId: string;
  id: string;
  generation?: string;
}

/** Ends a request: with its generation, or leaving it alone. */
export interface AbortFrame {
  type: "abort";
  requestId: string;
  stop: boolean;
}

/** An answer to a request. Frames about the connection have the `requestId` `server`. */
export type ReplyFrame = { requestId: string } & (
  { type: "start" | "end" | "no-active" } | { type: "chunk"; chunk: UIMessageChunk } | ({ type: "error" } & ErrorInfo)
);
