// A consumer that is slower than the model: bounded memory here, exact text.

import { expect, test } from "vitest";
import WebSocket from "ws";
import { demo, joined, useServer } from "./support.js";

const harness = useServer();
const { connect } = harness;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Counts what the client sends. */
function counting() {
  const sent: string[] = [];
  class Counting extends WebSocket {
    override send(data: any): void {
      sent.push(JSON.parse(String(data)).type);
      super.send(data);
    }
  }
  return { sent, options: { WebSocket: Counting as never } };
}

test("30,000 tokens and a consumer that sleeps: few events, exact text", async () => {
  const expected = (await connect().start(demo(30_000)).result).text;
  const run = connect().start(demo(30_000));
  let text = "";
  let events = 0;
  for await (const event of run) {
    if (event.type === "text") text += event.delta;
    if (++events % 20 === 0) await sleep(1);
  }
  expect(text).toBe(expected);
  expect(events).toBeLessThan(30_000);
});

test("a consumer that is far behind reads the server's log again", async () => {
  const { sent, options } = counting();
  const tw = connect({ ...options, maxBuffered: 20_000 });
  const run = tw.start(demo(30_000, { tokens_per_second: 30_000 }));
  const iterator = run.text[Symbol.asyncIterator]();
  let text = (await iterator.next()).value as string;
  // The whole answer comes and goes meanwhile, but only so much of it waits.
  const { text: expected } = await run.result;
  expect(expected.length).toBeGreaterThan(100_000);
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    text += next.value;
    if (text.length % 7 === 0) await sleep(1);
  }
  expect(text).toBe(expected);
  expect(sent.filter((type) => type === "attach").length).toBeGreaterThan(3);
  expect(tw.get(run.id)).toBeUndefined();
});

test("a slow consumer holds up neither the answer nor another reader", async () => {
  const run = connect({ maxBuffered: 5_000 }).start(demo(10_000, { tokens_per_second: 20_000 }));
  const slow = run[Symbol.asyncIterator]();
  await slow.next();
  const fast = joined(run.text);
  const { text } = await run.result;
  expect(await fast).toBe(text);
  await slow.return();
});

test("a consumer that sleeps while the network fails", async () => {
  const expected = (await connect().start(demo(3_000)).result).text;
  const { shared } = harness;
  const run = connect({ maxBuffered: 5_000 }).start(demo(3_000, { tokens_per_second: 3_000 }));
  let text = "";
  let pieces = 0;
  for await (const piece of run.text) {
    text += piece;
    if (++pieces % 40 === 0) {
      await sleep(5);
      if (pieces % 400 === 0) (shared.proxy.drop(), shared.proxy.restore());
    }
  }
  expect(text).toBe(expected);
});
