// Conversations: every device sees every generation, with the messages that started it.

import { expect, test } from "vitest";
import WebSocket from "ws";
import { startServer } from "../../../tests/browser/server.mjs";
import { type Conversation, Tokenwire } from "../src/index.js";
import { changed, demo, eventually, joined, useServer } from "./support.js";

const { shared, connect } = useServer();
let last = 0;
const newId = () => `c${++last}`;
const has = (conversation: Conversation, count: number) =>
  changed(conversation, () => conversation.state.generations.length >= count);

test("one device asks, the other sees it live", async () => {
  const id = newId();
  const [laptop, phone] = [connect().conversation(id), connect().conversation(id)];
  const run = laptop.start(demo(100, { tokens_per_second: 300 }));
  await has(phone, 1);
  const [generation] = phone.state.generations;
  expect(generation).toMatchObject({ id: run.id, model: "demo/markdown", messages: demo().messages });
  expect(generation!.run).not.toBe(run);
  expect((await generation!.run.result).parts).toEqual((await run.result).parts);
  await has(laptop, 1);
  expect(laptop.state.generations[0]!.run).toBe(run);

  const next = phone.start(demo(20, {}, { continue_from: run.id }));
  await has(laptop, 2);
  expect(laptop.state.generations[1]).toMatchObject({ id: next.id, continue_from: run.id });
  expect((await laptop.state.generations[1]!.run.result).text).toBe((await next.result).text);
});

test("who comes later has all of it, and every event", async () => {
  const id = newId();
  const first = connect().conversation(id);
  const texts: string[] = [];
  for (let seed = 0; seed < 3; seed++) texts.push((await first.start(demo(50, { seed })).result).text);
  const late = connect().conversation(id);
  await has(late, 3);
  const answers = await Promise.all(late.state.generations.map(({ run }) => run.result));
  expect(answers.map(({ text }) => text)).toEqual(texts);
});

test("an answer under way survives a lost connection on both", async () => {
  const id = newId();
  const { text } = await connect().start(demo(300)).result;
  const [one, two] = [connect().conversation(id), connect().conversation(id)];
  const run = one.start(demo(300, { tokens_per_second: 300 }));
  await has(two, 1);
  const seen = two.state.generations[0]!.run;
  for (const length of [100, 500]) {
    await changed(seen, () => seen.answer.text.length > length);
    shared.proxy.drop();
    shared.proxy.restore();
  }
  expect((await seen.result).text).toBe(text);
  expect((await run.result).text).toBe(text);
  expect(two.state.generations.length).toBe(1);
});

test("either device stops it", async () => {
  const id = newId();
  const [one, two] = [connect().conversation(id), connect().conversation(id)];
  const run = one.start(demo(5_000, { tokens_per_second: 200 }));
  await has(two, 1);
  two.state.generations[0]!.run.cancel("from the phone");
  expect(await run.result).toMatchObject({ status: "cancelled", reason: "from the phone" });
});

test("renaming, deleting, and what is refused", async () => {
  const id = newId();
  const [one, two] = [connect().conversation(id), connect().conversation(id)];
  await one.start(demo(10)).result;
  await one.rename("A greeting");
  await changed(two, () => two.state.title === "A greeting");
  await expect(one.rename("")).rejects.toMatchObject({ code: "bad_field" });
  await one.delete();
  await changed(two, () => two.state.deleted === true);
  await expect(one.rename("Gone")).rejects.toMatchObject({ code: "conversation_not_found" });
});

test("a token of the owner's is needed to look on, and can be taken back", async () => {
  const id = newId();
  const owner = connect().conversation(id);
  await owner.start(demo(10)).result;
  const share = await owner.share();
  const viewer = connect().conversation(id, { share });
  const run = owner.start(demo(300, { tokens_per_second: 300 }));
  await has(viewer, 2);
  const seen = viewer.state.generations[1]!.run;
  await changed(seen, () => seen.answer.text.length > 100);
  shared.proxy.drop();
  shared.proxy.restore();
  expect((await seen.result).text).toBe((await run.result).text);
  await owner.unshare();
  await changed(viewer, () => viewer.state.error !== undefined);
  expect(viewer.state.error?.code).toBe("conversation_not_found");
});

test("an answer whose log is gone is read from what is kept of it", async () => {
  const server = await startServer({ TOKENWIRE_RETENTION_SECONDS: "1" });
  const [one, two] = [new Tokenwire(server.url, { WebSocket }), new Tokenwire(server.url, { WebSocket })];
  // Somebody watches, so the conversation is kept for longer than its generation.
  const watched = one.conversation("c");
  const first = watched.start(demo(300));
  const { text } = await first.result;
  await eventually(() =>
    two.attach(first.id).result.then(
      () => false,
      () => true,
    ),
  );
  const conversation = two.conversation("c");
  await has(conversation, 1);
  const { run } = conversation.state.generations[0]!;
  expect(await run.result).toMatchObject({ status: "finished", text, parts: [{ type: "text", text }] });
  await expect(joined(run.text)).rejects.toMatchObject({ code: "generation_not_found" });
  for (const tw of [one, two]) tw.close();
  await server.stop();
});

test("closing stops watching, not what runs", async () => {
  const conversation = connect().conversation(newId());
  const run = conversation.start(demo(100, { tokens_per_second: 400 }));
  await has(conversation, 1);
  conversation.close();
  expect(conversation.state.error?.code).toBe("closed");
  expect((await run.result).status).toBe("finished");
});
