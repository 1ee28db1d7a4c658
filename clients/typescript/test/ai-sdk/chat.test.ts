// Chats of the AI SDK against the real server: sending, stopping, resuming, tools, errors.

import {
  type ChatInit,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from "ai";
import { expect, test } from "vitest";
import WebSocket from "ws";
import { TokenwireError } from "../../src/ai-sdk/index.js";
import { eventually } from "../support.js";
import { demo, expectBill, type Message, useChats } from "./support.js";

const { shared, connect, open } = useChats();
const SLOW = demo(5_000, { tokens_per_second: 400 });

test("an answer becomes a message with its model, usage and timing", async () => {
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" }, demo(120));
  expect(chat.status).toBe("ready");
  expect(chat.last.parts.map(({ type }) => type)).toEqual(["step-start", "text"]);
  expect(chat.last.metadata).toMatchObject({
    generationId: chat.last.id,
    provider: "demo",
    finishReason: "stop",
    usage: { outputTokens: 120 },
    timing: { totalMs: expect.any(Number) },
  });
});

test("options of the transport and of a message are one body", async () => {
  const { chat } = open({
    transport: connect({
      body: async () => ({ ...demo(200).body, max_tokens: 20 }),
      prepareSendMessagesRequest: ({ id, trigger, messages, body, requestMetadata }) => {
        expect([id, trigger, requestMetadata]).toEqual([chat.id, "submit-message", "mine"]);
        return { messages: messages.slice(-1), body: { ...body, max_tokens: 30 } };
      },
    }),
  });
  await chat.sendMessage({ text: "Hello" }, { body: { model: "demo/reasoning" }, metadata: "mine" });
  expect(chat.last.metadata).toMatchObject({ model: "reasoning", finishReason: "length", usage: { outputTokens: 30 } });
});

test("an answer is made anew", async () => {
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" }, demo(30));
  const first = chat.last;
  await chat.regenerate(demo(40));
  expect(chat.messages.length).toBe(2);
  expect(chat.last.id).not.toBe(first.id);
  expect(chat.last.metadata!.usage!.outputTokens).toBe(40);
});

test("reasoning, sources, files and tools of the provider", async () => {
  const { chat, transport } = open();
  await chat.sendMessage({ text: "Hello" }, demo(60, {}, { model: "demo/reasoning" }));
  expect(chat.part("reasoning").text.length).toBeGreaterThan(50);
  await chat.sendMessage({ text: "/search the news" }, demo());
  expect(chat.part("source-url").url).toMatch(/^https:/);
  expect(chat.part("dynamic-tool")).toMatchObject({ state: "output-available", providerExecuted: true });
  await chat.sendMessage({ text: "/image" }, demo());
  expect(chat.part("file").url).toMatch(/^data:image\//);
  expect(new Set(transport.chunks.map(({ type }) => type))).toContain("reasoning-delta");
});

test.each([
  ["before the connection is there", "unsent", SLOW],
  ["before the first token", "submitted", demo(50, { first_token_ms: 60_000 })],
  ["in the middle", "streaming", SLOW],
] as const)("the chat's stop %s", async (_name, state, options) => {
  const { chat } = open();
  const ends: { isAbort: boolean; message: Message }[] = [];
  const sent = chat.sendMessage({ text: "Hello" }, options);
  if (state === "submitted") await eventually(async () => (await running(chat)) === 1);
  if (state === "streaming") await eventually(() => chat.messages.length === 2 && chat.text.length > 200);
  await chat.stop();
  await sent;
  expect(chat.status).toBe("ready");
  await eventually(async () => (await running(chat)) === 0);
  const partial = chat.messages.length === 2 ? chat.text : "";
  // What was said until the end, and what it cost, is there to be read.
  chat["onFinish" as never] = ((end: any) => ends.push(end)) as never;
  await chat.resumeStream();
  expect(chat.status).toBe("ready");
  if (state === "unsent") {
    expect(chat.messages.length).toBeLessThan(2);
  } else {
    expectBill(chat.last);
    expect(chat.text.startsWith(partial)).toBe(true);
    expect(ends).toMatchObject([{ isAbort: true }]);
  }
  // Once: then there is nothing to resume.
  const { messages } = chat;
  await chat.resumeStream();
  expect(chat.messages).toEqual(messages);
});

test("the transport's stop: the same message gets the rest of its text and the bill", async () => {
  const ends: { isAbort: boolean; message: Message }[] = [];
  const { chat, transport } = open({ onFinish: (end) => void ends.push(end) });
  const sent = chat.sendMessage({ text: "Hello" }, SLOW);
  await eventually(() => chat.messages.length === 2 && chat.text.length > 200);
  transport.stop(chat.id);
  transport.stop(chat.id);
  await sent;
  expect(chat.status).toBe("ready");
  expectBill(chat.last);
  expect(ends).toMatchObject([{ isAbort: true, isError: false, message: { id: chat.last.id } }]);
  expect(transport.chunks.at(-1)).toMatchObject({ type: "abort" });
  await chat.sendMessage({ text: "Hello" }, demo(30));
  expect(chat.last.metadata!.finishReason).toBe("stop");
});

test("a stop on another device ends the chat as its own does", async () => {
  const automatic: unknown[] = [];
  const { chat } = open({ sendAutomaticallyWhen: (it) => automatic.push(it) < 0 });
  const other = open({ id: chat.id });
  const sent = chat.sendMessage({ text: "Hello" }, SLOW);
  await eventually(() => chat.messages.length === 2 && chat.text.length > 200);
  void other.chat.resumeStream();
  await eventually(() => other.chat.messages.length === 1 && other.chat.text.length > 200);
  await other.chat.stop();
  await sent;
  expectBill(chat.last);
  expect(automatic).toEqual([]);
});

test("who cancels the stream only leaves", async () => {
  const { chat, transport } = open();
  const stream = await transport.sendMessages({
    chatId: chat.id,
    messages: [{ id: "m", role: "user", parts: [{ type: "text", text: "Hello" }] }],
    trigger: "submit-message",
    messageId: undefined,
    abortSignal: undefined,
    ...demo(300, { tokens_per_second: 1_000 }),
  });
  const reader = stream.getReader();
  for (let read = 0; read < 5; read++) await reader.read();
  await reader.cancel();
  await chat.resumeStream();
  expect(chat.last.metadata).toMatchObject({ finishReason: "stop", usage: { outputTokens: 300 } });
});

test("with `abort: leave` the chat's stop only leaves, and the transport's stops", async () => {
  const { chat, transport } = open({ transport: connect({ abort: "leave" }) });
  void chat.sendMessage({ text: "Hello" }, SLOW);
  await eventually(() => chat.messages.length === 2 && chat.text.length > 200);
  await chat.stop();
  expect(chat.status).toBe("ready");
  const { length } = chat.text;
  const resumed = chat.resumeStream();
  await eventually(() => chat.text.length > length);
  transport.stop(chat.id);
  await resumed;
  expectBill(chat.last);
});

test("a page that is opened anew goes on with the answer", async () => {
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" }, demo(400));
  const whole = chat.text;
  const first = open();
  void first.chat.sendMessage({ text: "Hello" }, demo(400, { tokens_per_second: 800 }));
  await eventually(() => first.chat.messages.length === 2 && first.chat.text.length > 300);
  first.transport.close();
  const second = open({ id: first.chat.id, messages: first.chat.messages.slice(0, 1) });
  await second.chat.resumeStream();
  expect(second.chat.text).toBe(whole);
  expect(second.chat.last.metadata!.usage!.outputTokens).toBe(400);
  await second.chat.resumeStream();
  expect(second.chat.messages.length).toBe(2);
});

test("a resumption that is begun twice stops nothing", async () => {
  const { chat, transport } = open();
  void chat.sendMessage({ text: "Hello" }, demo(300, { tokens_per_second: 600 }));
  await eventually(() => chat.messages.length === 2 && chat.text.length > 100);
  // The socket is open, so that the first is sent before it is aborted.
  const page = open({ id: chat.id, transport });
  await Promise.all([page.chat.resumeStream(), page.chat.resumeStream()]);
  await eventually(() => page.chat.status === "ready");
  expect(page.chat.last.metadata).toMatchObject({ finishReason: "stop", usage: { outputTokens: 300 } });
});

test("chats share a socket, and one that fails does not disturb the other", async () => {
  const { chat, transport } = open();
  const before = shared.proxy.connections;
  const other = open({ transport });
  await Promise.all([
    chat.sendMessage({ text: "Hello" }, demo(200)),
    other.chat.sendMessage({ text: "/error overloaded after 20" }, demo(200, { tokens_per_second: 500 })),
  ]);
  expect(shared.proxy.connections - before).toBe(1);
  expect(chat.last.metadata!.finishReason).toBe("stop");
  expect(other.chat.status).toBe("error");
  expect(other.chat.text).not.toBe("");
  expect(other.chat.last.metadata!.error).toMatchObject({ code: "overloaded" });
  expect(other.chat.error).toBeInstanceOf(TokenwireError);
  expect(other.chat.error).toMatchObject({ code: "overloaded", retryable: true });
});

test("a request that is refused says what is wrong with it", async () => {
  const { chat } = open();
  await chat.sendMessage({ text: "Hello" }, { body: { temperature: "hot" } });
  expect(chat.status).toBe("error");
  expect(chat.error).toMatchObject({ name: "TokenwireError", code: "bad_field", field: "body.temperature" });
  await chat.sendMessage({ text: "Hello" }, { body: { model: "nobody/nothing" } });
  expect(chat.error).toBeInstanceOf(TokenwireError);
  await chat.sendMessage({ text: "Hello" }, demo());
  expect(chat.status).toBe("ready");
});

test("what is no JSON is an error of its own chat alone", async () => {
  const { chat, transport } = open();
  const other = open({ transport });
  await Promise.all([
    chat.sendMessage({ text: "Hello" }, { body: { seed: 1n } }),
    other.chat.sendMessage({ text: "Hello" }, demo()),
  ]);
  expect(chat.error).toBeInstanceOf(TypeError);
  expect(other.chat.status).toBe("ready");
  await chat.sendMessage({ text: "Hello" }, { body: { seed: 1n } });
  expect(chat.error).toBeInstanceOf(TypeError);
});

test("a closed transport says so", async () => {
  const { chat, transport } = open();
  const sent = chat.sendMessage({ text: "Hello" }, SLOW);
  await eventually(() => chat.messages.length === 2);
  expect(transport.status).toBe("open");
  transport.close();
  await sent;
  expect(chat.error).toMatchObject({ code: "closed" });
  expect(transport.status).toBe("closed");
  await chat.resumeStream();
  expect(chat.error).toMatchObject({ code: "closed" });
});

test("where there is no page, a transport can be made but not used", async () => {
  const { chat } = open({ transport: connect({ url: undefined }) });
  await chat.sendMessage({ text: "Hello" });
  expect(chat.error).toBeInstanceOf(TypeError);
});

const WEATHER = {
  tools: [
    {
      type: "function",
      function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
    },
  ],
};

/** A chat whose page knows the weather. */
function openWithTools(init: ChatInit<Message> = {}) {
  const called: unknown[] = [];
  const page = open({
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall: ({ toolCall }) => {
      called.push(toolCall.input);
      const { toolName: tool, toolCallId } = toolCall;
      void page.chat.addToolOutput({ tool: tool as never, toolCallId, output: { celsius: 18 } as never });
    },
    ...init,
    transport: connect({ body: { ...demo().body, ...WEATHER } }),
  });
  return { ...page, called };
}

test("a tool of the page is called once for each call, and the answer goes on in the same message", async () => {
  const { chat, called } = openWithTools();
  await chat.sendMessage({ text: "What is the weather in Paris and London?" });
  await eventually(() => chat.status === "ready" && chat.last?.metadata?.finishReason === "stop");
  expect(called).toEqual([{ city: "Paris" }, { city: "London" }]);
  expect(chat.messages.length).toBe(2);
  expect(chat.part("tool-get_weather")).toMatchObject({ state: "output-available", output: { celsius: 18 } });
  expect(chat.last.parts.at(-1)).toMatchObject({ type: "text", state: "done" });
});

test.each([true, false])("an approval: %s", async (approved) => {
  const { chat } = openWithTools({
    sendAutomaticallyWhen: ({ messages }) =>
      lastAssistantMessageIsCompleteWithApprovalResponses({ messages }) ||
      lastAssistantMessageIsCompleteWithToolCalls({ messages }),
  });
  void chat.sendMessage({ text: "What is the weather in Paris?" }, { body: { approvals: { get_weather: "always" } } });
  await eventually(() => chat.status === "ready" && chat.messages.length === 2);
  const { state, approval } = chat.part("tool-get_weather");
  expect(state).toBe("approval-requested");
  await chat.addToolApprovalResponse({ id: approval.id, approved, reason: "my word" });
  await eventually(() => chat.status === "ready" && chat.last?.metadata?.finishReason === "stop");
  expect(chat.part("tool-get_weather").state).toBe(approved ? "output-available" : "output-denied");
});

test("a stop while the answer goes on behind a tool", async () => {
  const { chat, transport } = openWithTools();
  const slow = demo(undefined, { tokens: undefined, tokens_per_second: 40 });
  void chat.sendMessage({ text: "What is the weather in Paris?" }, slow);
  await eventually(
    () => chat.messages.length === 2 && chat.last.parts.at(-1)?.type === "text" && chat.last.parts.length > 3,
  );
  await chat.stop();
  await chat.resumeStream();
  expectBill(chat.last);
  expect(chat.messages.length).toBe(2);
  expect(chat.part("tool-get_weather").state).toBe("output-available");
  expect(transport.chunks.at(-1)).toMatchObject({ type: "abort" });
});

test("the class of socket can be another one", async () => {
  const urls: string[] = [];
  class Named extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      urls.push(url);
    }
  }
  const url = `${shared.proxy.url}/v1/ai-sdk?model=demo/reasoning`;
  const { chat } = open({ transport: connect({ url, WebSocket: Named }) });
  const { model: _, ...body } = demo().body;
  await chat.sendMessage({ text: "Hello" }, { body });
  expect(chat.last.metadata!.model).toBe("reasoning");
  expect(urls).toEqual([url.replace("http", "ws")]);
});

/** How many generations of a chat run. */
async function running(chat: { id: string }): Promise<number> {
  const answer = await fetch(`${shared.server.url}/v1/conversations?limit=100`);
  const { data } = (await answer.json()) as { data: { id: string; running: number }[] };
  return data.find(({ id }) => id === chat.id)?.running ?? 0;
}
