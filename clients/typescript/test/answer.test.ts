// An answer is made of events; the golden frames of the protocol are shared with every other client.

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { AnswerBuilder } from "../src/answer.js";
import { Tokenwire, type EventFrame } from "../src/index.js";
import { patched } from "../src/pointer.js";
import { EventQueue } from "../src/queue.js";
import { FakeSocket } from "./support.js";

const golden = new URL("../../../protocol/golden/server/", import.meta.url);
const frames = readdirSync(golden).map((name) => ({
  name,
  frame: JSON.parse(readFileSync(new URL(name, golden), "utf8")),
}));

/** Events of which an answer keeps nothing. */
const UNKEPT = ["logprobs", "native", "raw", "usage"];

function answerOf(...events: Record<string, unknown>[]) {
  const builder = new AnswerBuilder("g1");
  events.forEach((event, at) => builder.apply({ id: "g1", seq: at + 1, ...event } as unknown as EventFrame));
  return builder.answer;
}

test.each(frames)("the golden frame $name", async ({ frame }) => {
  const refused: unknown[] = [];
  const tw = new Tokenwire("ws://server", { WebSocket: FakeSocket, onRefused: (error) => refused.push(error.code) });
  const run = tw.attach("g1");
  const conversation = tw.conversation("c1");
  await Promise.resolve().then(() => {});
  FakeSocket.last.hello();
  const before = [run.answer, conversation.state];
  FakeSocket.last.say(frame);
  if (frame.seq && frame.id === "g1" && !frame.conversation && !UNKEPT.includes(frame.type)) {
    expect(run.answer).not.toEqual(before[0]);
  }
  if (frame.conversation) expect(conversation.state).not.toEqual(before[1]);
  if (frame.type === "error") expect(run.answer.error ?? refused[0]).toBeDefined();
  tw.close();
});

test("a tool call in each of its states", () => {
  const call = { call_id: "c1", name: "f" };
  const events = [
    { type: "tool_call_delta", index: 0, ...call, delta: '{"a"' },
    { type: "tool_call_delta", index: 0, ...call, delta: ":1}" },
    { type: "tool_call", index: 0, ...call, arguments: { a: 1 } },
    { type: "tool_approval", ...call, arguments: { a: 1 } },
    { type: "tool_decision", call_id: "c1", approved: true, by: "client", arguments: { a: 2 } },
    { type: "tool_wait", call_ids: ["c1"] },
    { type: "tool_progress", call_id: "c1", progress: 1, total: 2 },
    { type: "tool_result", call_id: "c1", content: "ok" },
  ];
  const states = events.map((_, at) => (answerOf(...events.slice(0, at + 1)).parts[0] as { state: string }).state);
  expect(states).toEqual(["writing", "writing", "called", "approval", "called", "waiting", "waiting", "done"]);
  expect(answerOf(...events).parts).toEqual([
    expect.objectContaining({ arguments: { a: 2 }, arguments_text: '{"a":1}', content: "ok", progress: 1, name: "f" }),
  ]);
});

test("pieces of media with the same number belong together", () => {
  const piece = { type: "media", index: 0, media_type: "audio/pcm" };
  const { parts } = answerOf({ ...piece, data: "AA==", has_more: true }, { ...piece, data: "AQ==" });
  expect(parts).toEqual([{ ...piece, data: ["AA==", "AQ=="], has_more: false }]);
});

test("a structured answer grows by its changes, and what they leave alone stays the same object", () => {
  const steps = [
    { path: "", value: {} },
    { path: "/items", value: [{ name: "a" }] },
    { path: "/items/1", value: { "x/y~z": "" } },
    { path: "/items/1/x~1y~0z", append: "text" },
  ];
  const values: any[] = [];
  for (const step of steps) values.push(patched(values.at(-1), step.path, step));
  expect(values.at(-1)).toEqual({ items: [{ name: "a" }, { "x/y~z": "text" }] });
  expect(values[1]).toEqual({ items: [{ name: "a" }] });
  expect(values[3].items[0]).toBe(values[1].items[0]);
});

test("a key that is called __proto__ changes nothing else", () => {
  patched({}, "/__proto__/polluted", { value: true });
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test("the queue merges deltas of one part when many wait, and is full at its bound", async () => {
  const queue = new EventQueue(100_000);
  const event = (seq: number, type = "text") =>
    ({ type, id: "g1", seq, delta: "x".repeat(10) }) as unknown as EventFrame;
  for (let seq = 1; seq <= 400; seq++) expect(queue.push(event(seq), 10)).toBe(true);
  expect(queue.length).toBe(256);
  queue.push(event(401, "reasoning"), 10);
  expect(queue.length).toBe(257);
  let seq = 402;
  while (queue.push(event(seq, "reasoning"), 10)) seq++;
  expect(seq).toBe(Math.floor(100_000 / 110) + 1);
  let text = "";
  let last = 0;
  queue.end();
  for (let next = await queue.next(); next; next = await queue.next()) {
    text += (next as { delta: string }).delta;
    last = next.seq;
  }
  expect([text.length, last]).toEqual([(seq - 1) * 10, seq - 1]);
  expect(queue.push(event(1), 1_000_000)).toBe(true);
});
