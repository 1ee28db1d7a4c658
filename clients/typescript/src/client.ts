import { Conversation } from "./conversation.js";
import { closed, TokenwireCore } from "./core.js";
import type { Tools } from "./tools.js";

export type { AttachOptions, StartRequest, TokenwireOptions } from "./core.js";

/** Options of `Tokenwire.conversation`. */
export interface ConversationOptions {
  /** A token of the owner's, to watch a conversation of somebody else's. */
  share?: string;
  /** Carries out calls of its generations that wait for a result, those of other devices included: see `AttachOptions`. */
  tools?: Tools;
}

/**
 * A client of one server: it has one WebSocket, which is opened at the first use, and opened again whenever it is lost.
 * Every run and conversation goes on by itself then.
 */
export class Tokenwire extends TokenwireCore {
  /** Watches a conversation. One that nobody has begun is made by its first generation. */
  conversation(id: string, { share, tools }: ConversationOptions = {}): Conversation {
    const known = this.conversations.get(id) as Conversation | undefined;
    if (known) return known;
    const conversation = new Conversation(this, id, share, tools);
    if (this.status === "closed") {
      conversation.fail(closed());
    } else {
      this.conversations.set(id, conversation);
      conversation.resume();
    }
    return conversation;
  }
}
