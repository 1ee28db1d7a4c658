// Sending, stopping, resuming: what a chat does with text.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { closeAll, openPage, quick, startProvider, startServer, textOf, until } from "./harness.mjs";

let server, provider;
before(async () => {
  provider = await startProvider();
  server = await startServer(provider.toml);
});
afterEach(closeAll);
after(async () => {
  await server.stop();
  provider.stop();
});

const scripted = { model: "scripted/model" };

test("an answer becomes a message with its model, usage and timing", async () => {
  const { chat, record } = openPage(server, { body: quick() });
  await chat.sendMessage({ text: "Hello" });
  assert.equal(chat.status, "ready");
  assert.equal(chat.last.role, "assistant");
  assert.match(chat.text, /demo/);
  const { generationId, model, provider, finishReason, usage, timing } = chat.last.metadata;
  assert.equal(chat.last.id, generationId);
  assert.deepEqual([model, provider, finishReason], ["markdown", "demo", "stop"]);
  assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
  assert.equal(usage.source, "provider");
  assert.ok(timing.totalMs >= timing.firstTokenMs);
  const chunks = record.received.filter((frame) => frame.type === "chunk");
  assert.deepEqual(chunks.map((frame) => frame.sequence), chunks.map((_, at) => at));
  assert.equal(record.received.at(-1).type, "end");
  assert.deepEqual(chat.last.parts.map((part) => part.type), ["step-start", "text"]);
  assert.equal(chat.part("text").state, "done");
});

test("the next question comes with what was said", async () => {
  const { chat } = openPage(server, { body: { ...scripted, system: "Be brief.", temperature: 0.5 } });
  let sending = chat.sendMessage({ text: "One" });
  let call = await provider.call();
  call.text("Eins");
  call.finish();
  await sending;
  sending = chat.sendMessage({ text: "Two" });
  call = await provider.call();
  assert.deepEqual(call.request.messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "One" },
    { role: "assistant", content: "Eins" },
    { role: "user", content: "Two" },
  ]);
  assert.equal(call.request.temperature, 0.5);
  call.text("Zwei");
  call.finish();
  await sending;
  assert.equal(chat.text, "Zwei");
  assert.deepEqual(chat.messages.map((message) => message.role), ["user", "assistant", "user", "assistant"]);
});

test("an answer is made anew", async () => {
  const { chat } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  let call = await provider.call();
  call.text("first");
  call.finish();
  await sending;
  const first = chat.last.id;
  const again = chat.regenerate();
  call = await provider.call();
  assert.deepEqual(call.request.messages, [{ role: "user", content: "Hello" }]);
  call.text("second");
  call.finish();
  await again;
  assert.equal(chat.messages.length, 2);
  assert.equal(chat.text, "second");
  assert.notEqual(chat.last.id, first);
});

test("stopping before the first token closes the connection to the provider", async () => {
  const { chat, record } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  await chat.stop();
  await Promise.all([sending, call.closed]);
  assert.equal(chat.status, "ready");
  await until("the end", () => record.received.at(-1)?.type === "end");
});

test("stopping in mid-answer keeps the text, and the socket with all else on it", async () => {
  const { chat, record, transport } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("half an ");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "half an ");
  const other = openPage(server, { transport, record });
  const besides = other.chat.sendMessage({ text: "Besides" }, { body: scripted });
  const bystander = await provider.call();
  await chat.stop();
  await Promise.all([sending, call.closed]);
  assert.equal(chat.text, "half an ");
  assert.equal(chat.status, "ready");
  bystander.text("still here");
  bystander.finish();
  await besides;
  assert.equal(other.chat.text, "still here");
  // What the stock client does not look at: the bill.
  const stopped = record.received.filter((frame) => frame.requestId === record.sent[0].requestId);
  assert.deepEqual(
    stopped.slice(-6).map((frame) => frame.chunk?.type ?? frame.type),
    ["text-end", "finish-step", "message-metadata", "finish", "abort", "end"],
  );
  assert.equal(record.sockets.length, 1);
  // And the chat goes on.
  const next = chat.sendMessage({ text: "Again" });
  const again = await provider.call();
  assert.deepEqual(again.request.messages[1], { role: "assistant", content: "half an " });
  again.text("whole");
  again.finish();
  await next;
  assert.equal(chat.text, "whole");
});

test("a reloaded page gets the whole answer, live from there on", async () => {
  const before = openPage(server, { body: scripted });
  before.chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.delta({ reasoning_content: "Let me see. " });
  for (const word of ["one ", "two ", "three "]) call.text(word);
  await until("the text", () => before.chat.last.role === "assistant" && before.chat.text === "one two three ");
  const half = structuredClone(before.chat.messages);
  before.close();

  // With the messages that the page had kept, and without any answer.
  const pages = [half, half.slice(0, 1)].map((messages) =>
    openPage(server, { id: before.chat.id, messages, body: scripted }),
  );
  const resuming = pages.map(({ chat }) => chat.resumeStream());
  for (const { chat } of pages) await until("the replay", () => chat.text === "one two three ");
  call.text("four");
  call.finish();
  await Promise.all(resuming);
  for (const { chat, record } of pages) {
    assert.equal(chat.text, "one two three four");
    assert.equal(chat.part("reasoning").text, "Let me see. ");
    assert.equal(chat.last.id, half[1].id);
    assert.equal(chat.messages.length, 2);
    assert.equal(chat.status, "ready");
    assert.equal(record.received[0].type, "start");
    assert.equal(record.chunks().filter((chunk) => chunk.type === "text-delta")[0].delta, "one two three ");
  }
});

test("a socket that drops in mid-answer costs nothing", async () => {
  const { chat, record } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("before ");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "before ");
  record.sockets[0].terminate();
  await sending;
  assert.equal(chat.status, "error");
  const resuming = chat.resumeStream();
  await until("the replay", () => chat.status === "streaming");
  call.text("and after");
  call.finish();
  await resuming;
  assert.equal(chat.text, "before and after");
  assert.equal(chat.status, "ready");
});

test("an end that nobody has read is told to who resumes, once", async () => {
  const { chat, record } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("before ");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "before ");
  record.sockets[0].terminate();
  await sending;
  call.text("and after");
  call.finish();
  await call.closed;
  await chat.resumeStream();
  assert.equal(chat.text, "before and after");
  await chat.resumeStream();
  assert.equal(record.received.at(-1).type, "no-active");
  assert.equal(chat.text, "before and after");
});

test("a chat in which nothing runs has nothing to resume", async () => {
  const { chat, record } = openPage(server, { body: quick() });
  await chat.resumeStream();
  assert.deepEqual([record.received[0].type, chat.status], ["no-active", "ready"]);
  await chat.sendMessage({ text: "Hello" });
  const text = chat.text;
  await chat.resumeStream();
  assert.equal(record.received.at(-1).type, "no-active");
  assert.equal(chat.text, text);
});

test("two chats share a socket, and a chat may have any name", async () => {
  const { chat, transport, record } = openPage(server, { body: quick(), id: "Grüße / 1" });
  const other = openPage(server, { transport, record });
  await Promise.all([chat.sendMessage({ text: "One" }), other.chat.sendMessage({ text: "Two" })]);
  assert.match(chat.text, /> One/);
  assert.match(other.chat.text, /> Two/);
  assert.equal(record.sockets.length, 1);
});

test("what another device stops ends with an abort", async () => {
  const { chat, record } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("half");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "half");
  const other = openPage(server, { id: chat.id, body: scripted });
  const resuming = other.chat.resumeStream();
  await until("the replay", () => other.chat.last?.role === "assistant" && other.chat.text === "half");
  await other.chat.stop();
  await Promise.all([sending, resuming, call.closed]);
  assert.equal(chat.text, "half");
  assert.equal(chat.status, "ready");
  assert.equal(chat.last.metadata.finishReason, "cancelled");
  assert.equal(record.chunks().at(-1).type, "abort");
});

test("frames of our own: ping, an abort that leaves, a send that is repeated", async () => {
  const { chat, record } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  const [socket] = record.sockets;
  socket.send(JSON.stringify({ type: "ping", requestId: "p1" }));
  await until("a pong", () => record.received.some((frame) => frame.type === "pong" && frame.requestId === "p1"));
  const { requestId, id, messages } = record.sent[0];
  const named = { type: "send", id, trigger: "submit-message", messages, headers: {}, body: scripted, generation: "named" };
  socket.send(JSON.stringify({ ...named, requestId: "n1" }));
  const second = await provider.call();
  socket.send(JSON.stringify({ ...named, requestId: "n2" }));
  second.text("said once");
  const deltas = (name) => record.chunks(name).filter((chunk) => chunk.type === "text-delta");
  await until("both", () => deltas("n1").length && deltas("n2").length);
  socket.send(JSON.stringify({ type: "abort", requestId: "n1", stop: false }));
  second.text(", and more");
  second.finish();
  await until("the end", () => record.received.some((frame) => frame.type === "end" && frame.requestId === "n2"));
  assert.ok(!record.received.some((frame) => frame.type === "end" && frame.requestId === "n1"));
  assert.equal(deltas("n2").map((chunk) => chunk.delta).join(""), "said once, and more");
  socket.send(JSON.stringify({ type: "abort", requestId, stop: true }));
  await Promise.all([sending, call.closed]);
  assert.equal(chat.status, "ready");
});
