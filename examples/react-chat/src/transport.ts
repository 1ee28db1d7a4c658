import { type UIMessage, WebSocketChatTransport } from "ai";
import { approvals, tools } from "./tools";

/** What the server says about an answer, beside its parts. */
export interface Metadata {
  model?: string;
  finishReason?: string;
  usage?: { inputTokens: number; outputTokens: number; cost?: number };
  timing?: { totalMs: number };
  error?: { code: string; message: string };
}

export type ChatMessage = UIMessage<Metadata>;

/** All chats of the page share its socket. `?server=wss://host` is another server than the one that the page comes from. */
export const transport = new WebSocketChatTransport<ChatMessage>({
  url: `${new URLSearchParams(location.search).get("server") ?? ""}/v1/ai-sdk`,
  body: { tools, approvals, on_disconnect: "continue" },
});
