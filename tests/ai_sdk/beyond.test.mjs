// What a message holds beyond text: reasoning, files, sources, what its provider must see again, messages of others.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, test } from "node:test";
import WebSocket from "ws";
import { closeAll, openPage, quick, startProvider, startServer, until } from "./harness.mjs";

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
const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

test("reasoning is a part of its own", async () => {
  const { chat } = openPage(server, { body: { ...quick(), model: "demo/reasoning" } });
  await chat.sendMessage({ text: "Hello" });
  assert.deepEqual(chat.last.parts.map((part) => part.type), ["step-start", "reasoning", "text"]);
  assert.equal(chat.part("reasoning").state, "done");
  assert.ok(chat.last.metadata.usage.outputTokenDetails.reasoningTokens > 0);
});

test("files go to the model", async () => {
  const { chat } = openPage(server, { body: scripted });
  const files = [
    { type: "file", mediaType: "image/png", url: PIXEL },
    { type: "file", mediaType: "image", url: "https://example.com/a.jpg" },
    { type: "file", mediaType: "application/pdf", url: "data:application/pdf;base64,JVBERg==", filename: "a.pdf" },
    { type: "file", mediaType: "audio/mpeg", url: "data:audio/mpeg;base64,SUQz" },
  ];
  const sending = chat.sendMessage({ text: "What is this?", files });
  const call = await provider.call();
  assert.deepEqual(call.request.messages[0].content, [
    { type: "image_url", image_url: { url: PIXEL } },
    { type: "image_url", image_url: { url: "https://example.com/a.jpg" } },
    { type: "file", file: { file_data: "data:application/pdf;base64,JVBERg==", filename: "a.pdf" } },
    { type: "input_audio", input_audio: { data: "SUQz", format: "mp3" } },
    { type: "text", text: "What is this?" },
  ]);
  call.text("Files.");
  call.finish();
  await sending;
});

test("a frame may hold large files", async () => {
  const { chat } = openPage(server, { body: scripted });
  const url = `data:image/png;base64,${"A".repeat(4 << 20)}`;
  const sending = chat.sendMessage({ text: "Look", files: [{ type: "file", mediaType: "image/png", url }] });
  const call = await provider.call();
  assert.equal(call.request.messages[0].content[0].image_url.url.length, url.length);
  call.finish();
  await sending;
  assert.equal(chat.status, "ready");
});

test("files come from the model", async () => {
  const { chat } = openPage(server, { body: quick() });
  await chat.sendMessage({ text: "/image" });
  const file = chat.part("file");
  assert.equal(file.mediaType, "image/svg+xml");
  const [, data] = /^data:image\/svg\+xml;base64,(.*)$/.exec(file.url);
  assert.match(Buffer.from(data, "base64").toString(), /^<svg .*<\/svg>$/);
});

test("sources and searches of the provider's own", async () => {
  const { chat } = openPage(server, { body: quick() });
  await chat.sendMessage({ text: "/search sockets" });
  const sources = chat.last.parts.filter((part) => part.type === "source-url");
  assert.deepEqual(sources.map(({ title }) => title), ["WebSocket", "RFC 6455: The WebSocket Protocol"]);
  const search = chat.part("dynamic-tool");
  assert.deepEqual([search.toolName, search.state, search.providerExecuted], ["web_search", "output-available", true]);
  assert.equal(search.output.length, 2);
  const text = chat.last.parts.findLast((part) => part.type === "text");
  assert.deepEqual(text.citations.map(({ source }) => source.url), sources.map(({ url }) => url));
  // None of it is in the way of the next question.
  await chat.sendMessage({ text: "Thanks" });
  assert.match(chat.text, /message 2 of yours/);
});

test("a refusal is text that says so", async () => {
  const { chat } = openPage(server, { body: quick() });
  await chat.sendMessage({ text: "/refuse" });
  assert.equal(chat.part("text").providerMetadata.tokenwire.refusal, true);
  assert.equal(chat.last.metadata.finishReason, "content-filter");
});

test("what the provider must see again comes back to it", async () => {
  const { chat } = openPage(server, { body: scripted });
  let sending = chat.sendMessage({ text: "Hello" });
  let call = await provider.call();
  const extra = { google: { thought_signature: "opaque" } };
  const function_ = { name: "look", arguments: "{}" };
  call.delta({ tool_calls: [{ index: 0, id: "signed", type: "function", function: function_, extra_content: extra }] });
  call.finish("tool_calls");
  await sending;
  const native = chat.part("custom");
  assert.equal(native.kind, "tokenwire.native");
  assert.equal(native.providerMetadata.tokenwire.provider, "scripted");
  // As if it had been stored, and the generation is gone.
  const later = openPage(server, { body: scripted, messages: JSON.parse(JSON.stringify(chat.messages)) });
  sending = later.chat.sendMessage({ text: "And?" });
  call = await provider.call();
  assert.deepEqual(call.request.messages[1].tool_calls[0].extra_content, extra);
  call.text("Well.");
  call.finish();
  await sending;
});

test("what a native client adds is in the message, and the chat is a conversation", async () => {
  const { chat } = openPage(server, { body: scripted });
  const sending = chat.sendMessage({ text: "Hello" });
  let call = await provider.call();
  call.text("First. ");
  const native = new WebSocket(server.socketUrl.replace("ai-sdk", "stream"));
  const frames = [];
  native.on("message", (data) => frames.push(JSON.parse(data)));
  await once(native, "open");
  native.send(JSON.stringify({ type: "watch", conversation: chat.id }));
  const started = await until("the generation", () => frames.find((frame) => frame.type === "conversation"));
  await until("its text", () => frames.some((frame) => frame.type === "text"));
  const messages = [{ role: "user", content: "Shorter, please." }];
  native.send(JSON.stringify({ type: "input", id: started.id, input_id: "i1", messages }));
  await until("the answer", () => frames.some((frame) => frame.type === "input_accepted"));
  call.finish();
  call = await provider.call();
  assert.equal(call.request.messages.at(-1).content, "Shorter, please.");
  call.text("Second.");
  call.finish();
  await sending;
  native.close();
  assert.deepEqual(chat.last.parts.map((part) => part.type), ["step-start", "text", "steering-message", "step-start", "text"]);
  const next = chat.sendMessage({ text: "Next" });
  call = await provider.call();
  assert.deepEqual(
    call.request.messages.map(({ role, content }) => [role, content]),
    [["user", "Hello"], ["assistant", "First. "], ["user", "Shorter, please."], ["assistant", "Second."], ["user", "Next"]],
  );
  call.finish();
  await next;
});

test("warnings reach onData and stay out of the message", async () => {
  const data = [];
  const { chat } = openPage(server, { body: { ...scripted, provider_options: {}, top_k: 3 }, onData: (part) => data.push(part) });
  const sending = chat.sendMessage({ text: "Hello" });
  const call = await provider.call();
  call.text("Hi");
  call.finish();
  await sending;
  assert.deepEqual(chat.last.parts.map((part) => part.type), ["step-start", "text"]);
  for (const part of data) assert.match(part.type, /^data-tokenwire-/);
});
