// What goes wrong, and how a chat shows it. Who may connect, and with which settings.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { closeAll, openPage, quick, startProvider, startServer, until } from "./harness.mjs";

const KEY = "a-key-that-is-long-enough-to-count";
let server, locked, provider;
before(async () => {
  provider = await startProvider();
  server = await startServer(provider.toml);
  locked = await startServer(
    `${provider.toml}\n[ai_sdk]\nmodel = "scripted/configured"\nabort = "leave"\n[[auth.keys]]\nprincipal = "page"\nkey = "${KEY}"\n`,
  );
});
afterEach(closeAll);
after(async () => {
  await Promise.all([server.stop(), locked.stop()]);
  provider.stop();
});

const scripted = { model: "scripted/model" };
const withKey = { protocols: ["tokenwire.v1", `tokenwire.bearer.${KEY}`] };

for (const [what, body, expected] of [
  ["an unknown model", { model: "nobody/nothing" }, /^model: no such model/],
  ["a field of the wrong type", { temperature: "hot" }, /^body\.temperature: expected a number/],
  ["a tool without a name", { tools: [{ type: "function", function: {} }] }, /^body\.tools\[0\]\.function\.name/],
]) {
  test(`${what} is an error of its request alone`, async () => {
    const { chat, record, transport } = openPage(server, { body: { ...scripted, ...body } });
    const other = openPage(server, { transport, record });
    const running = other.chat.sendMessage({ text: "Hello" }, { body: { ...scripted, temperature: 1, tools: [] } });
    const call = await provider.call();
    await chat.sendMessage({ text: "Hello" });
    assert.equal(chat.status, "error");
    assert.match(chat.error.message, expected);
    call.text("Still here.");
    call.finish();
    await running;
    assert.equal(other.chat.text, "Still here.");
    assert.equal(record.sockets.length, 1);
  });
}

test("a part that cannot be read is named", async () => {
  const messages = [{ id: "m", role: "assistant", parts: [{ type: "text", text: 5 }] }];
  const { chat } = openPage(server, { body: scripted, messages });
  await chat.sendMessage({ text: "Hello" });
  assert.equal(chat.status, "error");
  assert.equal(chat.error.message, "messages[0].parts[0].text: expected a string");
});

test("a provider that fails at once is an error for people", async () => {
  const { chat, record } = openPage(server, { body: quick() });
  await chat.sendMessage({ text: "/error quota" });
  assert.equal(chat.status, "error");
  assert.equal(chat.error.message, "the demo was asked for this error");
  assert.deepEqual(record.chunks().slice(-2).map((chunk) => chunk.type), ["finish", "error"]);
  await chat.sendMessage({ text: "Hello" });
  assert.equal(chat.status, "ready");
});

test("a provider that fails in mid-answer leaves the text and the bill", async () => {
  const { chat } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("half an answer");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "half an answer");
  call.break();
  await sending;
  assert.equal(chat.status, "error");
  assert.ok(chat.error.message.length > 0);
  assert.equal(chat.text, "half an answer");
  const { error, usage, finishReason } = chat.last.metadata;
  assert.equal(finishReason, "error");
  assert.ok(["network", "truncated"].includes(error.code), error.code);
  assert.equal(error.message, chat.error.message);
  assert.ok(usage.outputTokens > 0);
  // And the chat goes on.
  const again = chat.regenerate();
  const next = await provider.call();
  next.text("a whole one");
  next.finish();
  await again;
  assert.deepEqual([chat.text, chat.status], ["a whole one", "ready"]);
});

test("frames that are none are answered, and nothing else is disturbed", async () => {
  const { chat, record } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  const [socket] = record.sockets;
  const { requestId } = record.sent[0];
  const errors = () => record.received.filter((frame) => frame.type === "error");
  for (const [frame, code, field] of [
    ["5", "bad_json"],
    ['{"type":"nonsense","requestId":"x"}', "unknown_type", "type"],
    [`{"type":"abort"}`, "bad_field", "requestId"],
    [`{"type":"abort","requestId":"${requestId}","stop":"yes"}`, "bad_field", "stop"],
  ]) {
    const before = errors().length;
    socket.send(frame);
    await until("an error", () => errors().length > before);
    const error = errors().at(-1);
    assert.deepEqual([error.requestId, error.code, error.field], ["server", code, field]);
  }
  socket.send('{"type":"resume","requestId":"r1"}');
  await until("an error", () => errors().some((error) => error.requestId === "r1" && error.field === "id"));
  socket.send('{"type":"resume","requestId":"no name","id":"c"}');
  await until("an error", () => errors().some((error) => error.requestId === "no name" && error.field === "requestId"));
  socket.send('{"type":"abort","requestId":"unknown"}');
  call.text("Undisturbed.");
  call.finish();
  await sending;
  assert.equal(chat.text, "Undisturbed.");
});

test("a key travels in the subprotocol, and nobody sees another's chats", async () => {
  const refused = openPage(locked);
  await refused.chat.sendMessage({ text: "Hello" });
  assert.equal(refused.chat.status, "error");
  const { chat } = openPage(locked, withKey);
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("For you.");
  call.finish();
  await sending;
  assert.equal(chat.text, "For you.");
});

test("the model is the body's, else the URL's, else the configuration's", async () => {
  for (const [expected, init] of [
    ["configured", {}],
    ["of-url", { params: { model: "scripted/of-url" } }],
    ["of-body", { params: { model: "scripted/of-url" }, body: { model: "scripted/of-body" } }],
  ]) {
    const { chat } = openPage(locked, { ...withKey, ...init });
    const sending = chat.sendMessage({ text: "Hello" });
    const call = await provider.call();
    assert.equal(call.request.model, expected);
    call.finish();
    await sending;
  }
});

test("where an abort only leaves, the answer is there for who comes back", async () => {
  const { chat } = openPage(locked, withKey);
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("half ");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "half ");
  await chat.stop();
  await sending;
  const resuming = chat.resumeStream();
  await until("the replay", () => chat.status === "streaming");
  call.text("and half");
  call.finish();
  await resuming;
  assert.equal(chat.text, "half and half");
});

test("a server that shuts down says so, starts nothing new, and lets answers end", async () => {
  const leaving = await startServer(provider.toml);
  const { chat, record, transport } = openPage(leaving, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("To the ");
  await until("the text", () => chat.last.role === "assistant" && chat.text === "To the ");
  leaving.drain();
  const frame = await until("the word", () => record.received.find((frame) => frame.type === "going-away"));
  assert.equal(frame.requestId, "server");
  const late = openPage(leaving, { transport, record });
  await late.chat.sendMessage({ text: "Me too" }, { body: scripted });
  assert.match(late.chat.error.message, /shutting down/);
  call.text("end.");
  call.finish();
  await sending;
  assert.equal(chat.text, "To the end.");
  await leaving.stop();
});
