// The connection, against a server that the test plays: what is sent again, and what is noticed when.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Run, Tokenwire, type TokenwireError, type TokenwireOptions } from "../src/index.js";
import { FakeSocket } from "./support.js";

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  vi.stubGlobal("fetch", async () => new Response("{}", { status: 200 }));
});
// It is loaded when it is needed, which takes time that is not the tests'.
await import("../src/http.js");
const clients: Tokenwire[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function connect(options: TokenwireOptions = {}): Tokenwire {
  const client = new Tokenwire("ws://server", { WebSocket: FakeSocket, ...options });
  clients.push(client);
  return client;
}
const REQUEST = { model: "m", messages: [{ role: "user" as const, content: "Hello" }] };
const tick = () => vi.advanceTimersByTimeAsync(0);

/** A run that is under way: `started` and one piece of text have come. */
async function running(tw: Tokenwire, request = {}): Promise<Run> {
  const run = tw.start({ ...REQUEST, id: "g1", ...request });
  await tick();
  FakeSocket.last.hello();
  FakeSocket.last.say(
    { type: "started", id: "g1", seq: 1, epoch: "e1", model: "m", provider: "p" },
    { type: "text", id: "g1", seq: 4, delta: "Once" },
  );
  return run;
}

/** The connection is lost, and there again. */
async function lost(): Promise<FakeSocket> {
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(300);
  FakeSocket.last.hello();
  return FakeSocket.last;
}

test.each([
  ["ws://server", "ws://server/v1/stream"],
  ["https://server/", "wss://server/v1/stream"],
  ["https://server/llm", "wss://server/llm/v1/stream"],
  ["wss://server/llm/v1/stream", "wss://server/llm/v1/stream"],
  [new URL("http://server:8080/v1/"), "ws://server:8080/v1/stream"],
])("the address %s", async (url, expected) => {
  clients.push(new Tokenwire(url, { WebSocket: FakeSocket }));
  clients.at(-1)!.attach("g");
  await tick();
  expect(FakeSocket.last.url).toBe(expected);
});

test("a path is relative to the page, and the page's own origin the default", async () => {
  vi.stubGlobal("location", { href: "https://app.example/chat/index.html?a#b" });
  for (const [url, expected] of [
    [undefined, "wss://app.example/v1/stream"],
    ["/llm", "wss://app.example/llm/v1/stream"],
    ["llm", "wss://app.example/chat/llm/v1/stream"],
  ]) {
    clients.push(new Tokenwire(url, { WebSocket: FakeSocket }));
    clients.at(-1)!.attach("g");
    await tick();
    expect(FakeSocket.last.url).toBe(expected);
  }
});

test("it is opened by the first use, with the token as a subprotocol", async () => {
  const tw = connect({ token: async () => "secret" });
  expect(FakeSocket.all).toEqual([]);
  expect(tw.status).toBe("idle");
  tw.start(REQUEST);
  await tick();
  expect(FakeSocket.last.protocols).toEqual(["tokenwire.v1", "tokenwire.bearer.secret"]);
  expect(tw.status).toBe("connecting");
  expect(FakeSocket.last.sent).toEqual([]);
  FakeSocket.last.hello();
  expect(tw.status).toBe("open");
  expect(FakeSocket.last.sent).toMatchObject([{ type: "start", ...REQUEST }]);
});

test("an unanswered start is sent again, with the same id", async () => {
  const tw = connect();
  tw.start({ ...REQUEST, id: "g1" });
  await tick();
  FakeSocket.last.hello();
  const again = await lost();
  expect(again.sent).toEqual([{ type: "start", id: "g1", ...REQUEST }]);
});

test("what has begun goes on after the last seq, in the same epoch", async () => {
  const run = await running(connect());
  const again = await lost();
  expect(again.sent).toEqual([{ type: "attach", id: "g1", after: 4, epoch: "e1" }]);
  again.say({ type: "text", id: "g1", seq: 4, delta: "Once" }, { type: "text", id: "g1", seq: 9, delta: " upon" });
  expect(run.answer.text).toBe("Once upon");
});

test("an event that only a newer client knows counts as read", async () => {
  const run = await running(connect());
  FakeSocket.last.say({ type: "hologram", id: "g1", seq: 5 }, { type: "news" });
  expect((await lost()).sent).toEqual([{ type: "attach", id: "g1", after: 5, epoch: "e1" }]);
  expect(run.answer.status).toBe("running");
});

test("what nobody has confirmed is said again: results, decisions, inputs, cancel", async () => {
  const run = await running(connect());
  run.toolResult("c1", "18");
  run.approve("c2");
  run.deny("c3", "no");
  void run.input("Shorter", { input_id: "i1" });
  run.cancel("stop");
  expect(FakeSocket.last.types).toEqual(["start", "tool_result", "approve", "deny", "input", "cancel"]);
  const again = await lost();
  expect(again.types).toEqual(["attach", "tool_result", "approve", "deny", "input", "cancel"]);
  again.say(
    { type: "tool_result", id: "g1", seq: 5, call_id: "c1", content: "18" },
    { type: "tool_decision", id: "g1", seq: 6, call_id: "c2", approved: true, by: "client" },
    { type: "input_accepted", id: "g1", input_id: "i1" },
  );
  expect((await lost()).types).toEqual(["attach", "deny", "cancel"]);
});

test("a repeated answer that had arrived is no news", async () => {
  const heard: TokenwireError[] = [];
  const run = await running(connect({ onRefused: (error) => heard.push(error) }));
  const refused = { type: "error", id: "g1", code: "already_resolved", message: "", retryable: false } as const;
  run.toolResult("c1", "18");
  FakeSocket.last.say(refused);
  expect(heard.length).toBe(1);
  (await lost()).say(refused);
  expect(heard.length).toBe(1);
});

test.each(["gap", "generation_not_found"] as const)("what cannot be resumed ends: %s", async (code) => {
  const run = await running(connect());
  const read = (async () => {
    for await (const _ of run);
  })();
  (await lost()).say({ type: "error", id: "g1", code, message: "gone", retryable: false });
  await expect(run.result).rejects.toMatchObject({ code });
  await expect(read).rejects.toMatchObject({ code });
  expect(run.answer).toMatchObject({ status: "lost", text: "Once" });
});

test("the waits grow, with jitter, and begin anew after a connection that works", async () => {
  const tw = connect();
  tw.start(REQUEST);
  await tick();
  vi.spyOn(Math, "random").mockReturnValue(1);
  for (const wait of [300, 600, 1_200, 2_400, 4_800, 9_600, 15_000, 15_000]) {
    const { length } = FakeSocket.all;
    FakeSocket.last.end();
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(FakeSocket.all.length).toBe(length);
    expect(tw.status).toBe("waiting");
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all.length).toBe(length + 1);
  }
  // A hello alone shows nothing: the server may close again and again.
  FakeSocket.last.hello();
  FakeSocket.last.say({ type: "pong" });
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(300);
  expect(tw.status).toBe("connecting");
  vi.mocked(Math.random).mockRestore();
});

test("a socket that does not open in time is given up", async () => {
  const tw = connect();
  tw.start(REQUEST);
  await vi.advanceTimersByTimeAsync(11_500);
  expect(FakeSocket.all.length).toBe(2);
});

test("silence after something was sent is asked about soon, and then the connection is made anew", async () => {
  const tw = connect();
  const run = await running(tw);
  await vi.advanceTimersByTimeAsync(1_000);
  run.cancel();
  await vi.advanceTimersByTimeAsync(4_000);
  expect(FakeSocket.last.types.at(-1)).toBe("ping");
  FakeSocket.last.say({ type: "pong" });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(FakeSocket.all.length).toBe(1);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(FakeSocket.last.types.filter((type) => type === "ping").length).toBe(2);
  await vi.advanceTimersByTimeAsync(7_000);
  expect(FakeSocket.all.length).toBe(2);
});

test("after sleep the connection is tried at once", async () => {
  const tw = connect();
  await running(tw);
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(FakeSocket.last.types.at(-1)).toBe("ping");
  expect(tw.status).toBe("open");
  await vi.advanceTimersByTimeAsync(7_000);
  expect(FakeSocket.all.length).toBe(2);
});

test("what had come before sleep and is heard after it does not hide that the connection is dead", async () => {
  const tw = connect();
  const run = await running(tw);
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(1_000);
  FakeSocket.last.say({ type: "text", id: run.id, seq: 2, delta: "late" });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(FakeSocket.all.length).toBe(2);
});

test("a page that is shown again, or a network that is back, is not waited for", async () => {
  const events = new EventTarget();
  vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
  vi.stubGlobal("removeEventListener", events.removeEventListener.bind(events));
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  vi.stubGlobal("document", document);
  const tw = connect();
  await running(tw);
  for (const [target, event] of [
    [document, "visibilitychange"],
    [events, "pageshow"],
    [document, "resume"],
  ] as const) {
    target.dispatchEvent(new Event(event));
    expect(FakeSocket.last.types.at(-1)).toBe("ping");
    FakeSocket.last.say({ type: "pong" });
    FakeSocket.last.sent = [];
  }
  FakeSocket.last.end();
  document.visibilityState = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
  expect(tw.status).toBe("waiting");
  document.visibilityState = "visible";
  events.dispatchEvent(new Event("online"));
  expect(tw.status).toBe("connecting");
});

test("going away: what runs may end there, starts wait for the next connection", async () => {
  const tw = connect();
  const run = await running(tw);
  FakeSocket.last.say({ type: "going_away", reason: "restart", reconnect_in_ms: 1_200 });
  const next = tw.start({ ...REQUEST, id: "g2" });
  FakeSocket.last.say({ type: "error", id: "g2", code: "shutting_down", message: "", retryable: true });
  expect(tw.status).toBe("open");
  const usage = { input_tokens: 1, output_tokens: 1, source: "provider" };
  const end = { type: "finished", id: "g1", seq: 5, reason: "stop", usage, timing: { queue_ms: 0, total_ms: 1 } };
  FakeSocket.last.say(end);
  expect((await run.result).status).toBe("finished");
  expect(tw.status).toBe("waiting");
  await vi.advanceTimersByTimeAsync(1_199);
  expect(FakeSocket.all.length).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  FakeSocket.last.hello();
  expect(FakeSocket.last.sent).toMatchObject([{ type: "start", id: "g2" }]);
  expect(next.answer.status).toBe("pending");
});

test("going away: closed by the server, it comes back when the server wants", async () => {
  const tw = connect();
  await running(tw);
  FakeSocket.last.say({ type: "going_away", reason: "restart", reconnect_in_ms: 5_000 });
  FakeSocket.last.end(4001);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(FakeSocket.all.length).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  FakeSocket.last.hello();
  expect(FakeSocket.last.types).toEqual(["attach"]);
});

test.each([1000, 1002, 1007, 1008, 1009, 4501])("close code %i ends everything", async (code) => {
  const tw = connect();
  const run = await running(tw);
  const conversation = tw.conversation("c1");
  FakeSocket.last.end(code, "why");
  await expect(run.result).rejects.toMatchObject({ code: "connection_closed", retryable: false });
  expect(conversation.state.error?.message).toContain("why");
  expect(tw.status).toBe("idle");
  // The next use tries again.
  tw.start(REQUEST);
  await tick();
  expect(FakeSocket.all.length).toBe(2);
});

test.each([1001, 1006, 1011, 1012, 1013, 4002, 4003, 4004])("close code %i does not", async (code) => {
  const tw = connect();
  const run = await running(tw);
  FakeSocket.last.end(code);
  await tick();
  expect(tw.status).toBe("waiting");
  expect(run.answer.status).toBe("running");
});

test("a key that ends while the connection is open is asked for anew", async () => {
  let calls = 0;
  const tw = connect({ token: () => `key-${++calls}` });
  const run = await running(tw);
  FakeSocket.last.end(4500);
  await tick();
  expect(FakeSocket.last.protocols.at(-1)).toBe("tokenwire.bearer.key-2");
  FakeSocket.last.end(4500);
  await expect(run.result).rejects.toMatchObject({ code: "not_authenticated" });
  expect(calls).toBe(2);
});

test("a token callback that fails is called again", async () => {
  let calls = 0;
  const tw = connect({
    token: async () => {
      if (++calls === 1) throw new Error("offline");
      return "key";
    },
  });
  tw.start(REQUEST);
  await tick();
  expect(tw.status).toBe("waiting");
  await vi.advanceTimersByTimeAsync(300);
  expect(FakeSocket.last.protocols.at(-1)).toBe("tokenwire.bearer.key");
});

test("a token that cannot be sent is an error", async () => {
  class Refusing extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      throw new SyntaxError("invalid subprotocol");
    }
  }
  const run = connect({ WebSocket: Refusing, token: "a b" }).start(REQUEST);
  await expect(run.result).rejects.toMatchObject({ code: "not_authenticated" });
  expect(run.answer.status).toBe("failed");
});

test("given up after reconnectForMs", async () => {
  const run = connect({ reconnectForMs: 5_000 }).start(REQUEST);
  await tick();
  for (let second = 0; second < 15; second++) {
    FakeSocket.last.end();
    await vi.advanceTimersByTimeAsync(1_000);
  }
  await expect(run.result).rejects.toMatchObject({ code: "connection_lost", retryable: true });
});

test("what waits is bounded", async () => {
  const tw = connect({ maxUnconfirmed: 3 });
  const runs = [1, 2, 3].map(() => tw.start(REQUEST));
  const fourth = tw.start(REQUEST);
  await expect(fourth.result).rejects.toMatchObject({ code: "queue_full", retryable: true });
  expect(runs.map(({ answer }) => answer.status)).toEqual(["pending", "pending", "pending"]);
  expect(() => runs[0]!.approve("c")).toThrow(expect.objectContaining({ code: "queue_full" }));
});

test("a start that is too large is refused here, and harms no other run", async () => {
  const tw = connect();
  const run = await running(tw);
  FakeSocket.last.hello({ max_frame_bytes: 200 });
  const large = tw.start({ model: "m", messages: [{ role: "user", content: "é".repeat(100) }] });
  await expect(large.result).rejects.toMatchObject({ code: "frame_too_large" });
  expect(run.answer.status).toBe("running");
});

test("a connection that is not needed is closed after a while, and opened again", async () => {
  const tw = connect({ idleMs: 5_000 });
  const run = await running(tw);
  run.detach();
  await vi.advanceTimersByTimeAsync(4_000);
  expect(tw.status).toBe("open");
  await vi.advanceTimersByTimeAsync(2_500);
  expect(tw.status).toBe("idle");
  expect(vi.getTimerCount()).toBe(0);
  tw.attach("g2");
  await tick();
  expect(FakeSocket.all.length).toBe(2);
});

test("close ends everything and leaves no timer", async () => {
  const tw = connect();
  const run = await running(tw);
  const conversation = tw.conversation("c1");
  tw.close();
  await expect(run.result).rejects.toMatchObject({ code: "closed" });
  expect(conversation.state.error?.code).toBe("closed");
  expect(tw.status).toBe("closed");
  await expect(tw.start(REQUEST).result).rejects.toMatchObject({ code: "closed" });
  await expect(tw.attach("g").result).rejects.toMatchObject({ code: "closed" });
  expect(tw.conversation("c2").state.error?.code).toBe("closed");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(vi.getTimerCount()).toBe(0);
});
