// Against the real server: streaming, stopping, tools, steering, errors.

import { expect, test } from "vitest";
import { type EventFrame, TokenwireError } from "../src/index.js";
import { changed, demo, joined, useServer } from "./support.js";

const { connect } = useServer();

const WEATHER = {
  get_weather: {
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    run: async ({ city }: { city: string }) => ({ city, celsius: 18 }),
  },
};
const ASK_WEATHER = { messages: [{ role: "user" as const, content: "What is the weather in Paris and London?" }] };

test("events, text and result are the same answer", async () => {
  const run = connect().start(demo(200, {}, { accumulate: true }));
  const events: EventFrame[] = [];
  const text = joined(run.text);
  for await (const event of run) events.push(event);
  expect(events[0]).toMatchObject({ type: "started", seq: 1, provider: "demo" });
  const end = events.at(-1)!;
  const answer = await run.result;
  expect(end).toMatchObject({ type: "finished", text: answer.text });
  expect(events.map((event) => (event.type === "text" ? event.delta : "")).join("")).toBe(answer.text);
  expect(await text).toBe(answer.text);
  expect(answer).toMatchObject({ status: "finished", reason: "stop", usage: { output_tokens: 200 } });
  expect(answer.parts).toEqual([{ type: "text", text: answer.text }]);
  expect(run.answer).toBe(answer);
});

test("a run can be iterated later and again", async () => {
  const run = connect().start(demo(300));
  const { text } = await run.result;
  expect(await joined(run.text)).toBe(text);
  const seqs: number[] = [];
  for await (const event of run) seqs.push(event.seq);
  expect(seqs[0]).toBe(1);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
});

test("a reader that comes in the middle has all of it, and nobody has a piece twice", async () => {
  const run = connect().start(demo(400, { tokens_per_second: 800 }));
  const first = joined(run.text);
  await changed(run, () => run.answer.text.length > 200);
  const second = joined(run.text);
  await changed(run, () => run.answer.text.length > 600);
  const third = joined(run.text);
  const { text } = await run.result;
  expect(await Promise.all([first, second, third])).toEqual([text, text, text]);
});

test("leaving the loop early leaves the generation running", async () => {
  const run = connect().start(demo(100, { tokens_per_second: 500 }));
  for await (const event of run) if (event.type === "text") break;
  expect((await run.result).usage?.output_tokens).toBe(100);
});

test("answers are told in batches, and keep what has not changed", async () => {
  const run = connect().start({ ...demo(5_000), model: "demo/reasoning" });
  const seen = [run.answer];
  run.subscribe(() => seen.push(run.answer));
  const answer = await run.result;
  expect(seen.at(-1)).toBe(answer);
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBeLessThan(500);
  expect(answer.parts.map(({ type }) => type)).toEqual(["reasoning", "text"]);
  const late = seen.filter(({ parts }) => parts.length === 2);
  expect(new Set(late.map(({ parts }) => parts[0])).size).toBe(1);
});

test.each(["pending", "running"])("cancel before the first token, while it is %s", async (status) => {
  const run = connect().start(demo(50, { first_token_ms: 60_000 }));
  await changed(run, () => run.answer.status === status);
  run.cancel("enough");
  run.cancel("twice");
  expect(await run.result).toMatchObject({ status: "cancelled", by: "client", reason: "enough", text: "" });
});

test("cancel while it streams keeps the text", async () => {
  const run = connect().start(demo(5_000, { tokens_per_second: 400 }));
  const read = joined(run.text);
  await changed(run, () => run.answer.text.length > 100);
  run.cancel();
  const { status, text, usage } = await run.result;
  expect(status).toBe("cancelled");
  expect(text.length).toBeGreaterThan(100);
  expect(await read).toBe(text);
  expect(usage?.output_tokens).toBeLessThan(5_000);
});

test("cancel while it waits for a tool, and after the end", async () => {
  const tw = connect();
  let aborted = 0;
  const never = (_: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => (aborted++, reject(new Error("stopped")))));
  const tools = { get_weather: { ...WEATHER.get_weather, run: never } };
  const run = tw.start(demo(50, {}, { ...ASK_WEATHER, tools }));
  await changed(run, () => run.answer.parts.some((part) => part.type === "tool_call" && part.state === "waiting"));
  run.cancel();
  expect((await run.result).status).toBe("cancelled");
  expect(aborted).toBe(2);
  run.cancel();
  expect(run.answer.status).toBe("cancelled");
});

test("an abort signal cancels, before and while it runs", async () => {
  const tw = connect();
  const before = tw.start(demo(50, {}, { signal: AbortSignal.abort() }));
  expect((await before.result).status).toBe("cancelled");
  expect(await joined(before.text)).toBe("");
  const controller = new AbortController();
  const run = tw.start(demo(5_000, { tokens_per_second: 400 }, { signal: controller.signal }));
  await changed(run, () => run.answer.text !== "");
  controller.abort();
  expect((await run.result).status).toBe("cancelled");
});

test("tools are answered by their functions", async () => {
  const run = connect().start(demo(500, {}, { ...ASK_WEATHER, tools: WEATHER }));
  const { parts, text } = await run.result;
  const calls = parts.filter((part) => part.type === "tool_call");
  expect(calls.map(({ arguments: args }) => args)).toEqual([{ city: "Paris" }, { city: "London" }]);
  expect(calls[0]).toMatchObject({ state: "done", content: '{"city":"Paris","celsius":18}' });
  expect(calls[0]!.arguments_text).toBe('{"city":"Paris"}');
  expect(text).toContain("| city | London |");
});

test("what a tool throws is a result that says so", async () => {
  const tools = {
    get_weather: () => {
      throw new Error("no weather today");
    },
  };
  const { parts } = await connect().start(demo(500, {}, { ...ASK_WEATHER, tools })).result;
  expect(parts.find((part) => part.type === "tool_call")).toMatchObject({
    content: "no weather today",
    is_error: true,
  });
});

test("a device that only attaches answers no tools, unless asked", async () => {
  const [mine, other, asked] = [connect(), connect(), connect()];
  const run = mine.start(demo(500, {}, { ...ASK_WEATHER, tools: [{ function: { name: "get_weather" } }] }));
  await changed(run, () => run.answer.status === "running");
  const looking = other.attach(run.id);
  await changed(looking, () => looking.answer.parts.some((part) => "state" in part && part.state === "waiting"));
  asked.attach(run.id, { tools: { get_weather: () => "sun" } });
  const { parts } = await looking.result;
  expect(parts.filter((part) => part.type === "tool_call")).toMatchObject([{ content: "sun" }]);
  expect((await run.result).parts).toEqual(parts);
});

test("approving with other arguments, and denying", async () => {
  const request = demo(500, {}, { ...ASK_WEATHER, tools: WEATHER, approvals: { "*": "always" } });
  const run = connect().start(request);
  for await (const event of run) {
    if (event.type !== "tool_approval") continue;
    const { city } = event.arguments as { city: string };
    if (city === "Paris") run.approve(event.call_id, { city: "Rome" });
    else run.deny(event.call_id, "not London");
  }
  const calls = run.answer.parts.filter((part) => part.type === "tool_call");
  expect(calls).toMatchObject([
    { state: "done", approved: true, arguments: { city: "Rome" }, content: '{"city":"Rome","celsius":18}' },
    { state: "denied", approved: false, reason: "not London" },
  ]);
});

test("steering is taken, shown, and refused once it is too late", async () => {
  const run = connect().start(demo(2_000, { tokens_per_second: 400 }));
  await changed(run, () => run.answer.text !== "");
  await run.input("In French!", { interrupt: true, input_id: "i1" });
  await changed(run, () => run.answer.parts.some((part) => part.type === "input"));
  const part = run.answer.parts.find((part) => part.type === "input");
  expect(part).toMatchObject({ input_id: "i1", state: "applied", messages: [{ role: "user", content: "In French!" }] });
  run.cancel();
  await run.result;
  await expect(run.input("Late")).rejects.toMatchObject({ code: "too_late" });
});

test("errors: refused, failed, not found", async () => {
  const tw = connect();
  const refused = tw.start(demo(5, {}, { temperature: "hot" as unknown as number }));
  await expect(refused.result).rejects.toMatchObject({ code: "bad_field", field: "temperature", retryable: false });
  expect(refused.answer.status).toBe("failed");
  await expect(joined(refused.text)).rejects.toBeInstanceOf(TokenwireError);

  const failed = tw.start(demo(50, { error: "rate_limit", error_after: 20 }));
  const types: string[] = [];
  for await (const { type } of failed) types.push(type);
  expect(types.at(-1)).toBe("failed");
  await expect(joined(failed.text)).rejects.toMatchObject({ code: "rate_limit" });
  await expect(failed.result).rejects.toMatchObject({ code: "rate_limit", retryable: true, retryAfterMs: 1_000 });
  expect(failed.answer).toMatchObject({ status: "failed", error: { info: { provider: "demo", status: 429 } } });
  expect(failed.answer.text).not.toBe("");

  const missing = tw.attach("nobody-knows");
  await expect(missing.result).rejects.toMatchObject({ code: "generation_not_found" });
  expect(missing.answer.status).toBe("lost");
});

test("a decision that comes too late is told to who wants to hear it", async () => {
  const heard: TokenwireError[] = [];
  const run = connect({ onRefused: (error) => heard.push(error) }).start(demo(5_000, { tokens_per_second: 200 }));
  await changed(run, () => run.answer.text !== "");
  run.approve("no-such-call");
  await expect.poll(() => heard.map(({ code }) => code)).toEqual(["call_not_found"]);
  run.cancel();
  expect((await run.result).status).toBe("cancelled");
});

test("two clients on one run see the same, and either stops it", async () => {
  const [one, two] = [connect(), connect()];
  const run = one.start(demo(5_000, { tokens_per_second: 400 }));
  await changed(run, () => run.answer.text.length > 50);
  const other = two.attach(run.id);
  await changed(other, () => other.answer.text.length > 200);
  other.cancel("from the other");
  const [a, b] = await Promise.all([run.result, other.result]);
  expect(a).toEqual(b);
  expect(a.reason).toBe("from the other");
});

test("detach leaves it running for others", async () => {
  const [one, two] = [connect(), connect()];
  const run = one.start(demo(200, { tokens_per_second: 400 }));
  await changed(run, () => run.answer.text.length > 50);
  run.detach();
  await expect(run.result).rejects.toMatchObject({ code: "detached" });
  expect(run.answer.status).toBe("lost");
  expect((await two.attach(run.id).result).usage?.output_tokens).toBe(200);
});

test("20 generations at once on one socket", async () => {
  const tw = connect();
  const runs = Array.from({ length: 20 }, (_, seed) => tw.start(demo(300, { tokens_per_second: 600, seed })));
  const again = connect();
  const expected = await Promise.all(runs.map(async (_, seed) => (await again.start(demo(300, { seed })).result).text));
  const texts = await Promise.all(runs.map((run) => joined(run.text)));
  expect(texts).toEqual(expected);
  expect(new Set(texts).size).toBeGreaterThan(10);
});

test("a citation, a search and an image are parts", async () => {
  const tw = connect();
  const ask = (content: string) => tw.start(demo(500, {}, { messages: [{ role: "user", content }] })).result;
  const { parts } = await ask("/search sockets");
  expect(parts.map(({ type }) => type)).toEqual(["server_tool_call", "text", "citation", "text", "citation"]);
  expect(parts[0]).toMatchObject({ name: "web_search", state: "done", arguments: { query: "sockets" } });
  const image = (await ask("/image")).parts.at(-1);
  expect(image).toMatchObject({ type: "media", media_type: "image/svg+xml", has_more: false });
});
