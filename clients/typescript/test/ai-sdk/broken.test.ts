// Chats whose network breaks: at any byte, before an answer, for long, and for good.

import { lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { expect, test } from "vitest";
import { startServer } from "../../../../tests/browser/server.mjs";
import { eventually } from "../support.js";
import { demo, expectBill, useChats } from "./support.js";

const { shared, connect, open } = useChats();
const SEED = Number(process.env.SOAK_SEED ?? 1);
const ROUNDS = 30;

/** Numbers in 0 .. 1, the same for the same seed (mulberry32). */
function randomness(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What a page sees of a message. */
const seen = ({ parts }: { parts: unknown[] }) => parts;

test(`connections that break at any byte, seed ${SEED}`, { timeout: 60_000 }, async () => {
  const random = randomness(SEED);
  const request = demo(300, { tokens_per_second: 600 }, { model: "demo/reasoning" });
  const calm = open();
  await calm.chat.sendMessage({ text: "Hello" }, request);
  let cuts = 0;
  shared.proxy.shape = () => {
    let left = random() < 0.8 ? Math.floor(random() ** 2 * 40_000) : Infinity;
    return (_direction: string, length: number) => {
      left -= length;
      if (left >= 0) return undefined;
      cuts++;
      return "cut";
    };
  };
  await Promise.all(
    Array.from({ length: ROUNDS }, async () => {
      const { chat } = open();
      await chat.sendMessage({ text: "Hello" }, request);
      expect(chat.error).toBeUndefined();
      expect(seen(chat.last)).toEqual(seen(calm.chat.last));
      expect(chat.last.metadata!.usage).toEqual(calm.chat.last.metadata!.usage);
      expect(chat.last.id).toBe(chat.last.metadata!.generationId);
    }),
  );
  expect(cuts).toBeGreaterThan(ROUNDS / 2);
});

test(`tools on connections that break at any byte, seed ${SEED}`, { timeout: 60_000 }, async () => {
  const random = randomness(SEED + 1);
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
  const paced = { tokens: undefined, tokens_per_second: 200 };
  const ask = async () => {
    const called: unknown[] = [];
    const { chat } = open({
      transport: connect({ body: { ...demo(0, paced).body, tools } }),
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
      onToolCall: ({ toolCall: { toolName: tool, toolCallId, input } }) => {
        called.push(input);
        void chat.addToolOutput({ tool: tool as never, toolCallId, output: { celsius: 18 } as never });
      },
    });
    void chat.sendMessage({ text: "What is the weather in Paris and London?" });
    await eventually(
      () => chat.status === "error" || (chat.status === "ready" && chat.last?.metadata?.finishReason === "stop"),
    );
    expect(chat.error).toBeUndefined();
    expect(called).toEqual([{ city: "Paris" }, { city: "London" }]);
    return chat.last.parts.map((part) => ({ ...part, toolCallId: undefined }));
  };
  const calm = await ask();
  let cuts = 0;
  shared.proxy.shape = () => {
    let left = random() < 0.8 ? Math.floor(random() ** 2 * 12_000) : Infinity;
    return (_direction: string, length: number) => {
      left -= length;
      if (left >= 0) return undefined;
      cuts++;
      return "cut";
    };
  };
  for (const parts of await Promise.all(Array.from({ length: ROUNDS / 2 }, ask))) expect(parts).toEqual(calm);
  expect(cuts).toBeGreaterThan(5);
});

test("what is sent without a network arrives once there is one", async () => {
  shared.proxy.drop();
  const { chat, transport } = open();
  const sent = chat.sendMessage({ text: "Hello" }, demo(40));
  await eventually(() => transport.status === "waiting");
  expect(chat.status).toBe("submitted");
  shared.proxy.restore();
  await sent;
  expect(chat.last.metadata!.usage!.outputTokens).toBe(40);
});

test("an answer is not paid twice when the request's first answer is lost", async () => {
  const { chat, transport } = open();
  await chat.sendMessage({ text: "Hello" }, demo(10));
  // The server hears the request, and the page hears nothing.
  shared.proxy.deafen();
  const sent = chat.sendMessage({ text: "Hello again" }, demo(40));
  await eventually(() => shared.proxy.swallowed > 0);
  shared.proxy.restore();
  await sent;
  expect(chat.last.metadata!.usage!.outputTokens).toBe(40);
  const { data } = (await (await fetch(`${shared.server.url}/v1/conversations?limit=100`)).json()) as any;
  expect(data.find(({ id }: any) => id === chat.id).generations).toBe(2);
  expect(transport.status).toBe("open");
});

test("a stop without a network stops when there is one", async () => {
  const { chat, transport } = open();
  void chat.sendMessage({ text: "Hello" }, demo(5_000, { tokens_per_second: 100 }));
  await eventually(() => chat.messages.length === 2 && chat.text.length > 100);
  shared.proxy.drop();
  await eventually(() => transport.status === "waiting");
  await chat.stop();
  expect(chat.status).toBe("ready");
  shared.proxy.restore();
  await chat.resumeStream();
  expectBill(chat.last);
});

test("an approval that is given before there is a connection", async () => {
  const tool = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } };
  const body = { ...demo(undefined, { tokens: undefined }).body, tools: [tool], approvals: { get_weather: "always" } };
  const sendAutomaticallyWhen = (chat: any) =>
    lastAssistantMessageIsCompleteWithApprovalResponses(chat) || lastAssistantMessageIsCompleteWithToolCalls(chat);
  const first = open({ transport: connect({ body }) });
  await first.chat.sendMessage({ text: "What is the weather?" });
  first.transport.close();

  shared.proxy.drop();
  const second = open({
    id: first.chat.id,
    messages: first.chat.messages,
    transport: connect({ body }),
    sendAutomaticallyWhen,
    onToolCall: ({ toolCall: { toolName: tool, toolCallId } }) =>
      void second.chat.addToolOutput({ tool: tool as never, toolCallId, output: "sunny" as never }),
  });
  void second.chat.resumeStream();
  await eventually(() => second.transport.status === "waiting");
  await second.chat.addToolApprovalResponse({ id: second.chat.part("tool-get_weather").approval.id, approved: true });
  await eventually(() => second.chat.status === "submitted");
  shared.proxy.restore();
  await eventually(() => second.chat.last.metadata?.finishReason === "stop");
  expect(second.chat.part("tool-get_weather")).toMatchObject({ state: "output-available", output: "sunny" });
});

test("what was never sent is not sent any more after a stop", async () => {
  shared.proxy.drop();
  const { chat, transport } = open();
  const sent = chat.sendMessage({ text: "Hello" }, demo(40));
  await eventually(() => transport.status === "waiting");
  await chat.stop();
  await sent;
  shared.proxy.restore();
  await chat.resumeStream();
  expect(chat.status).toBe("ready");
  expect(chat.messages.length).toBe(1);
});

test("a server that stays away is an error after `reconnectForMs`", async () => {
  shared.proxy.drop();
  const { chat } = open({ transport: connect({ reconnectForMs: 200 }) });
  await chat.sendMessage({ text: "Hello" }, demo(40));
  expect(chat.error).toMatchObject({ name: "TokenwireError", code: "connection_lost", retryable: true });
  shared.proxy.restore();
  await chat.regenerate(demo(40));
  expect(chat.status).toBe("ready");
});

test("a key that is refused is asked for again, and then it is an error", async () => {
  const server = await startServer({ TOKENWIRE_CONFIG: "locked.toml" });
  const key = "k".repeat(40);
  const keys = ["old", key];
  const good = open({ transport: connect({ url: server.url, token: async () => keys.shift() ?? key }) });
  await good.chat.sendMessage({ text: "Hello" }, demo(20));
  expect(good.chat.last.metadata!.usage!.outputTokens).toBe(20);
  expect(keys).toEqual([]);
  for (const token of ["wrong", async () => "wrong", undefined]) {
    const { chat } = open({ transport: connect({ url: server.url, token }) });
    await chat.sendMessage({ text: "Hello" }, demo(20));
    expect(chat.error).toMatchObject({ code: "not_authenticated" });
  }
  await server.stop();
});
