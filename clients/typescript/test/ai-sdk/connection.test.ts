// The transport on a socket whose server is the test.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TokenwireChatTransport } from "../../src/ai-sdk/index.js";
import { FakeSocket } from "../support.js";

let transport: TokenwireChatTransport;
beforeEach(() => {
  FakeSocket.all = [];
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  transport.close();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A stream whose request has reached the server. */
async function send(options: ConstructorParameters<typeof TokenwireChatTransport>[0] = {}) {
  transport ??= new TokenwireChatTransport({ url: "wss://example.com", WebSocket: FakeSocket, ...options });
  const stream = await transport.sendMessages({
    chatId: "c",
    trigger: "submit-message",
    messageId: undefined,
    messages: [],
    abortSignal: undefined,
  });
  return stream.getReader();
}

/** The server accepts the newest connection. */
async function open() {
  await vi.advanceTimersByTimeAsync(0);
  const socket = FakeSocket.last as any;
  socket.readyState = 1;
  socket.onopen();
  return FakeSocket.last;
}

beforeEach(() => (transport = undefined as never));

const frame = (index = -1) => FakeSocket.last.sent.at(index) as any;
const chunk = (requestId: string, chunk: object) => ({ type: "chunk", requestId, chunk });

test("a token travels as a subprotocol, and the address may have a path and a query", async () => {
  void (await send({ url: "https://example.com/llm/?model=m", token: async () => "key" }));
  await vi.advanceTimersByTimeAsync(0);
  expect(FakeSocket.last.url).toBe("wss://example.com/llm/v1/ai-sdk?model=m");
  expect(FakeSocket.last.protocols).toEqual(["tokenwire.v1", "tokenwire.bearer.key"]);
});

test("a socket that is silent is asked, and made anew when it does not answer", async () => {
  const reader = await send();
  const first = await open();
  const { requestId } = frame();
  first.say(chunk(requestId, { type: "start", messageId: "m", messageMetadata: { generationId: requestId } }));
  first.say(
    chunk(requestId, { type: "text-start", id: "t" }),
    chunk(requestId, { type: "text-delta", id: "t", delta: "Hel" }),
  );
  await vi.advanceTimersByTimeAsync(27_000);
  expect(frame()).toEqual({ type: "ping", requestId: "ping" });
  first.say({ type: "pong", requestId: "ping" });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(FakeSocket.all.length).toBe(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(FakeSocket.all.length).toBe(2);
  const second = await open();
  // What was read so far is asked for by its name, not with all messages again.
  expect(second.sent).toEqual([{ type: "resume", requestId, id: "c", generation: requestId }]);
  second.say({ type: "start", requestId });
  second.say(chunk(requestId, { type: "start", messageId: "m", messageMetadata: { generationId: requestId } }));
  second.say(
    chunk(requestId, { type: "text-start", id: "t" }),
    chunk(requestId, { type: "text-delta", id: "t", delta: "Hello" }),
  );
  second.say(chunk(requestId, { type: "text-end", id: "t" }), { type: "end", requestId });
  const chunks: any[] = [];
  for (let read = await reader.read(); !read.done; read = await reader.read()) chunks.push(read.value);
  expect(chunks.map(({ type, delta }) => delta ?? type)).toEqual(["start", "text-start", "Hello", "text-end"]);
});

test("a server that goes away is left when what it says has ended", async () => {
  void (await send());
  const first = await open();
  const { requestId } = frame();
  first.say(chunk(requestId, { type: "start", messageId: "m" }));
  first.say({ type: "going-away", requestId: "server", reason: "restart", reconnectInMs: 1_200 });
  void (await send());
  const later = frame().requestId;
  first.say({ type: "error", requestId: later, code: "shutting_down", message: "not any more", retryable: true });
  expect(transport.status).toBe("open");
  first.say({ type: "end", requestId });
  expect(transport.status).toBe("waiting");
  await vi.advanceTimersByTimeAsync(1_200);
  await open();
  expect(frame()).toMatchObject({ type: "send", requestId: later, generation: later });
});

test("an answer that is gone on the server is an error", async () => {
  const reader = await send();
  const { requestId } = await open().then(() => frame());
  FakeSocket.last.say(
    chunk(requestId, { type: "start", messageId: "m", messageMetadata: { generationId: requestId } }),
  );
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(1_000);
  await open();
  FakeSocket.last.say({ type: "no-active", requestId });
  await reader.read();
  await expect(reader.read()).rejects.toMatchObject({ code: "generation_not_found" });
  expect(transport.status).toBe("open");
});

test("another answer in the place of the one that was read is stopped, and is an error", async () => {
  const reader = await send();
  const { requestId } = await open().then(() => frame());
  FakeSocket.last.say(chunk(requestId, { type: "start", messageId: "m" }));
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(1_000);
  await open();
  expect(frame().type).toBe("send");
  FakeSocket.last.say(
    chunk(requestId, { type: "start", messageId: "m", messageMetadata: { generationId: "another" } }),
  );
  expect(frame()).toEqual({ type: "abort", requestId, stop: true });
  await reader.read();
  await expect(reader.read()).rejects.toMatchObject({ code: "generation_not_found" });
});

test("a reader that is slow finds deltas joined", async () => {
  const reader = await send();
  const { requestId } = await open().then(() => frame());
  for (let at = 0; at < 1_000; at++) FakeSocket.last.say(chunk(requestId, { type: "text-delta", id: "t", delta: "x" }));
  FakeSocket.last.say({ type: "end", requestId });
  expect((await reader.read()).value).toEqual({ type: "text-delta", id: "t", delta: "x".repeat(1_000) });
  expect((await reader.read()).done).toBe(true);
});

test("a chat that goes on resumes nothing any more", async () => {
  transport = new TokenwireChatTransport({ url: "wss://example.com", WebSocket: FakeSocket });
  const resumed = transport.reconnectToStream({ chatId: "c" });
  const other = transport.reconnectToStream({ chatId: "d" });
  const refused = expect(resumed).rejects.toMatchObject({ name: "AbortError" });
  void (await send());
  await refused;
  const { types } = await open();
  expect(types).toEqual(["resume", "send"]);
  FakeSocket.last.say({ type: "no-active", requestId: frame(0).requestId });
  expect(await other).toBe(null);
});
