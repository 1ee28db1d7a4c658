// Chats of the AI SDK on the transport of `tokenwire/ai-sdk`.

import { AbstractChat, type ChatInit, type ChatState, type UIMessage, uiMessageChunkSchema } from "ai";
import { afterEach, expect } from "vitest";
import WebSocket from "ws";
import { TokenwireChatTransport, type TokenwireMetadata } from "../../src/ai-sdk/index.js";
import type { TokenwireChatTransportOptions } from "../../src/ai-sdk/index.js";
import { useServer } from "../support.js";

export type Message = UIMessage<TokenwireMetadata>;

/** A chat without a page around it. */
export class Chat extends AbstractChat<Message> {
  constructor({ messages = [], ...init }: ChatInit<Message>) {
    const state: ChatState<Message> = {
      status: "ready",
      error: undefined,
      messages: structuredClone(messages),
      pushMessage: (message) => void (state.messages = [...state.messages, message]),
      popMessage: () => void (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (at, message) => void (state.messages = state.messages.with(at, structuredClone(message))),
      snapshot: (value) => structuredClone(value),
    };
    super({ ...init, state });
  }

  /** The last message. */
  get last(): Message {
    return this.messages.at(-1)!;
  }

  get text(): string {
    return this.last.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  }

  part(type: string): any {
    return this.last.parts.find((part) => part.type === type);
  }
}

/** Checks every chunk that the chat gets, and keeps it. */
class CheckedTransport extends TokenwireChatTransport<Message> {
  readonly chunks: any[] = [];

  override async sendMessages(options: Parameters<TokenwireChatTransport<Message>["sendMessages"]>[0]) {
    return this.#checked(await super.sendMessages(options));
  }

  override async reconnectToStream(options: Parameters<TokenwireChatTransport<Message>["reconnectToStream"]>[0]) {
    const stream = await super.reconnectToStream(options);
    return stream && this.#checked(stream);
  }

  #checked(stream: ReadableStream) {
    const check = async (chunk: unknown) => {
      const result = await uiMessageChunkSchema().validate!(chunk);
      if (!result.success) throw new Error(`no chunk of a UI message: ${JSON.stringify(chunk)}`);
      this.chunks.push(chunk);
      return chunk;
    };
    return stream.pipeThrough(
      new TransformStream({ transform: async (chunk, controller) => controller.enqueue(await check(chunk)) }),
    );
  }
}

/** A server with chats behind a network that can be cut. */
export function useChats(env: Record<string, string> = {}) {
  const { shared } = useServer(env);
  const transports: CheckedTransport[] = [];
  afterEach(() => {
    for (const transport of transports.splice(0)) transport.close();
  });
  const connect = (options: TokenwireChatTransportOptions<Message> = {}) => {
    const transport = new CheckedTransport({ url: shared.proxy.url, WebSocket, ...options });
    transports.push(transport);
    return transport;
  };
  return {
    shared,
    connect,
    /** A chat with a transport of its own, unless it is given one. */
    open({ transport = connect(), ...init }: ChatInit<Message> & { transport?: CheckedTransport } = {}) {
      const chat = new Chat({ id: `chat-${crypto.randomUUID()}`, transport, ...init });
      return { chat, transport };
    },
  };
}

/** The body that is answered by the demo model with so many tokens, as fast as it goes. */
export function demo(tokens = 50, options: Record<string, unknown> = {}, rest: Record<string, unknown> = {}) {
  const demo = { tokens, tokens_per_second: 0, first_token_ms: 0, seed: 7, ...options };
  return { body: { model: "demo/markdown", provider_options: { demo }, ...rest } };
}

/** A message that was stopped: with what it cost. */
export function expectBill(message: Message): void {
  expect(message.metadata).toMatchObject({ finishReason: "cancelled", usage: { source: expect.any(String) } });
  expect(message.metadata!.usage!.outputTokens).toBeGreaterThanOrEqual(0);
  expect(message.metadata!.timing!.totalMs).toBeGreaterThanOrEqual(0);
}
