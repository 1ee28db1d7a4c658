// 200 clients whose network drops at any byte and is slow at times: every text is exact.

import { expect, test } from "vitest";
import { changed, demo, joined, useServer } from "./support.js";

const { shared, connect } = useServer();
const CLIENTS = 200;
const SEED = Number(process.env.SOAK_SEED ?? 1);

/** Numbers in 0 .. 1, the same for the same seed (mulberry32). */
function randomness(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test(`${CLIENTS} flaky clients, seed ${SEED}`, { timeout: 60_000 }, async () => {
  const random = randomness(SEED);
  const calm = connect();
  const questions = await Promise.all(
    Array.from({ length: 8 }, async (_, seed) => {
      const { text } = await calm.start(demo(150 + 50 * seed, { seed })).result;
      return { seed, tokens: 150 + 50 * seed, text };
    }),
  );

  let cuts = 0;
  shared.proxy.shape = () => {
    // Before the upgrade is through, in the middle, or not at all.
    let left = random() < 0.8 ? Math.floor(random() ** 2 * 30_000) : Infinity;
    const late = random() < 0.3 ? Math.floor(random() * 40) : undefined;
    return (_direction: string, length: number) => {
      left -= length;
      if (left >= 0) return late;
      cuts++;
      return "cut" as const;
    };
  };
  const wrong: string[] = [];
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, at) => {
      const { seed, tokens, text } = questions[at % questions.length]!;
      const tw = connect({ maxBuffered: random() < 0.3 ? 2_000 : undefined });
      const pace = 100 + Math.floor(random() * 400);
      const isStopped = random() < 0.1;
      const run = tw.start(demo(tokens, { seed, tokens_per_second: pace }));
      const read = joined(run.text);
      if (isStopped) {
        await changed(run, () => run.answer.text.length > 200 || run.answer.status === "finished");
        run.cancel();
      }
      const answer = await run.result;
      if ((await read) !== answer.text) wrong.push(`${at}: what was read is not the answer`);
      if (isStopped ? !text.startsWith(answer.text) : answer.text !== text) wrong.push(`${at}: ${answer.text.length}`);
      tw.close();
    }),
  );
  expect(wrong).toEqual([]);
  expect(cuts).toBeGreaterThan(CLIENTS / 2);
});
