// Tools of the page, tools of the server, and approvals.

import assert from "node:assert/strict";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import {
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from "ai";
import { closeAll, here, openPage, startProvider, startServer, until } from "./harness.mjs";

let server, provider;
before(async () => {
  provider = await startProvider();
  const tools = JSON.stringify([path.join(here, "tool_server.mjs")]);
  server = await startServer(`${provider.toml}\n[mcp.calc]\nprefix = ""\ncommand = ${JSON.stringify(process.execPath)}\nargs = ${tools}\n`);
  await until("the server's tools", async () => {
    const list = await (await fetch(`${server.url}/v1/tools`)).json();
    return list.data.some((tool) => tool.name === "add");
  });
});
afterEach(closeAll);
after(async () => {
  await server.stop();
  provider.stop();
});

const weather = {
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};
const body = { model: "scripted/model", tools: [weather], server_tools: [] };
const withServerTools = { model: "scripted/model" };

let calls = 0;
/** The model calls a tool, in two pieces. */
function callTool(call, name, input, index = 0) {
  const id = `call_${++calls}`;
  const text = JSON.stringify(input);
  const at = Math.floor(text.length / 2);
  call.delta({ tool_calls: [{ index, id, type: "function", function: { name, arguments: text.slice(0, at) } }] });
  call.delta({ tool_calls: [{ index, function: { arguments: text.slice(at) } }] });
  return id;
}

/** A page that answers every call at once. */
function answering(output, init = {}) {
  const seen = [];
  const page = openPage(server, {
    body,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall: ({ toolCall }) => {
      seen.push(toolCall);
      void page.chat.addToolOutput({ tool: toolCall.toolName, toolCallId: toolCall.toolCallId, ...output });
    },
    ...init,
  });
  return Object.assign(page, { seen });
}

const tool = (message) => message.role === "tool";
const done = (chat, text) => until(`"${text}"`, () => chat.status === "ready" && chat.last.parts && chat.text.endsWith(text));

test("a tool of the page is called, answered, and the answer goes on in the same message", async () => {
  const { chat, record, seen } = answering({ output: { celsius: 20 } });
  chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  call.text("Let me look. ");
  const id = callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  call = await provider.call();
  assert.deepEqual(call.request.messages.filter(tool), [
    { role: "tool", tool_call_id: id, content: '{"celsius":20}' },
  ]);
  call.text("It is 20 degrees.");
  call.finish();
  await done(chat, "20 degrees.");
  assert.deepEqual(seen.map(({ toolName, input }) => [toolName, input]), [["get_weather", { city: "Paris" }]]);
  assert.equal(chat.messages.length, 2);
  assert.deepEqual(
    chat.last.parts.map((part) => part.type),
    ["step-start", "text", "tool-get_weather", "step-start", "text"],
  );
  const part = chat.part("tool-get_weather");
  assert.deepEqual([part.state, part.output, part.input], ["output-available", { celsius: 20 }, { city: "Paris" }]);
  // One generation: the second request went on with it, and its usage is that of both turns.
  const starts = record.received.filter((frame) => frame.chunk?.type === "start").map((frame) => frame.chunk.messageId);
  assert.equal(new Set(starts).size, 1);
  assert.equal(starts.length, 2);
  assert.equal(chat.last.metadata.usage.inputTokens, 22);
  assert.equal(record.sent.length, 2);
});

test("a tool of the page that failed is reported to the model", async () => {
  const { chat } = answering({ state: "output-error", errorText: "no network" });
  chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  call = await provider.call();
  assert.match(call.request.messages.find(tool).content, /no network/);
  call.text("I cannot say.");
  call.finish();
  await done(chat, "I cannot say.");
  assert.equal(chat.part("tool-get_weather").state, "output-error");
});

test("two calls, answered one after the other", async () => {
  const { chat } = openPage(server, { body, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls });
  chat.sendMessage({ text: "Paris and Rome?" });
  let call = await provider.call();
  const ids = [callTool(call, "get_weather", { city: "Paris" }, 0), callTool(call, "get_weather", { city: "Rome" }, 1)];
  call.finish("tool_calls");
  const inputs = () => chat.last.parts.filter((part) => part.state === "input-available");
  await until("both calls", () => chat.status === "ready" && inputs().length === 2);
  await chat.addToolOutput({ tool: "get_weather", toolCallId: ids[1], output: "hot" });
  await chat.addToolOutput({ tool: "get_weather", toolCallId: ids[0], output: "warm" });
  call = await provider.call();
  assert.deepEqual(
    call.request.messages.filter(tool).map(({ tool_call_id, content }) => [tool_call_id, content]),
    [[ids[0], "warm"], [ids[1], "hot"]],
  );
  call.text("Done.");
  call.finish();
  await done(chat, "Done.");
});

test("when the waiting generation is gone, the same request starts another one", async () => {
  const { chat, record } = openPage(server, {
    body: { ...body, timeouts: { tool_ms: 1 } },
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  const id = callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  await until("the call", () => chat.status === "ready" && chat.part("tool-get_weather"));
  const message = chat.last.id;
  const other = openPage(server, { id: chat.id });
  await until("the end of the generation", async () => {
    await other.chat.resumeStream();
    return other.record.received.at(-1).type === "no-active";
  });
  chat.addToolOutput({ tool: "get_weather", toolCallId: id, output: "warm" });
  call = await provider.call();
  assert.deepEqual(call.request.messages.map(({ role }) => role), ["user", "assistant", "tool"]);
  assert.equal(call.request.messages[1].tool_calls[0].function.arguments, '{"city":"Paris"}');
  call.text("It is warm.");
  call.finish();
  await done(chat, "It is warm.");
  assert.equal(chat.last.id, message);
  assert.equal(chat.messages.length, 2);
  assert.equal(record.faults.length, 0);
});

test("a new question cancels what waits, and the call gets an error for a result", async () => {
  const { chat } = openPage(server, { body });
  chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  const id = callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  await until("the call", () => chat.status === "ready" && chat.part("tool-get_weather"));
  const waiting = chat.last.metadata.generationId;
  chat.sendMessage({ text: "Never mind." });
  call = await provider.call();
  const messages = call.request.messages;
  assert.deepEqual(messages.map(({ role }) => role), ["user", "assistant", "tool", "user"]);
  assert.equal(messages[2].tool_call_id, id);
  call.text("Fine.");
  call.finish();
  await done(chat, "Fine.");
  const history = await (await fetch(`${server.url}/v1/conversations/${chat.id}`)).json();
  const states = Object.fromEntries(history.data.map(({ id, state }) => [id, state]));
  assert.equal(states[waiting], "cancelled");
  assert.equal(history.data.length, 2);
});

test("a page that comes back sees the call again, and can answer it; what is answered is not called again", async () => {
  const first = openPage(server, { body });
  first.chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  await until("the call", () => first.chat.status === "ready" && first.chat.part("tool-get_weather"));
  first.close();

  const second = answering({ output: "warm" }, { id: first.chat.id, messages: first.chat.messages });
  second.chat.resumeStream();
  call = await provider.call();
  call.text("It is ");
  await until("text", () => second.chat.text === "It is ");
  assert.equal(second.seen.length, 1);

  const third = answering({ output: "cold" }, { id: first.chat.id, messages: first.chat.messages.slice(0, 1) });
  const resuming = third.chat.resumeStream();
  await until("text", () => third.chat.text === "It is ");
  assert.equal(third.seen.length, 0);
  const part = third.chat.part("tool-get_weather");
  assert.deepEqual([part.state, part.output, part.input], ["output-available", "warm", { city: "Paris" }]);
  call.text("warm.");
  call.finish();
  await resuming;
  await done(second.chat, "It is warm.");
  assert.equal(third.chat.text, "It is warm.");
});

test("two tabs that both answer read the same generation", async () => {
  const first = openPage(server, { body, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls });
  first.chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  const id = callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  await until("the call", () => first.chat.status === "ready" && first.chat.part("tool-get_weather"));
  const second = openPage(server, {
    body,
    id: first.chat.id,
    messages: first.chat.messages,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
  });
  first.chat.addToolOutput({ tool: "get_weather", toolCallId: id, output: "warm" });
  call = await provider.call();
  call.text("It is ");
  await until("text", () => first.chat.text === "It is ");
  second.chat.addToolOutput({ tool: "get_weather", toolCallId: id, output: "cold" });
  await until("text", () => second.chat.text === "It is ");
  call.text("warm.");
  call.finish();
  await done(first.chat, "It is warm.");
  await done(second.chat, "It is warm.");
});

test("arguments that are no JSON are an error of the call", async () => {
  const { chat, seen } = answering({ output: "never" });
  chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  call.delta({ tool_calls: [{ index: 0, id: "bad", type: "function", function: { name: "get_weather", arguments: '{"city' } }] });
  call.finish("tool_calls");
  call = await provider.call();
  assert.match(call.request.messages.find(tool).content, /not valid JSON/);
  call.text("Sorry.");
  call.finish();
  await done(chat, "Sorry.");
  assert.equal(seen.length, 0);
  assert.equal(chat.part("tool-get_weather").state, "output-error");
});

test("tools of the server run there, and come back with the messages", async () => {
  const { chat, seen, record } = answering({ output: "never" }, { body: withServerTools });
  chat.sendMessage({ text: "1 + 2?" });
  let call = await provider.call();
  assert.ok(call.request.tools.some(({ function: { name } }) => name === "add"));
  const ids = [callTool(call, "add", { a: 1, b: 2 }, 0), callTool(call, "fail", {}, 1)];
  call.finish("tool_calls");
  call = await provider.call();
  call.text("3.");
  call.finish();
  await done(chat, "3.");
  const [add, fail] = chat.last.parts.filter((part) => part.type === "dynamic-tool");
  assert.deepEqual([add.toolName, add.state, add.output, add.providerExecuted], ["add", "output-available", { sum: 3 }, true]);
  assert.deepEqual([fail.state, fail.errorText], ["output-error", "the tool is out of order"]);
  assert.equal(seen.length, 0);
  assert.equal(record.sent.length, 1);
  chat.sendMessage({ text: "Thanks" });
  call = await provider.call();
  assert.deepEqual(call.request.messages.map(({ role }) => role), ["user", "assistant", "tool", "tool", "assistant", "user"]);
  assert.deepEqual(call.request.messages.filter(tool).map((message) => message.tool_call_id), ids);
  call.text("Bye.");
  call.finish();
  await done(chat, "Bye.");
});

for (const approved of [true, false]) {
  test(`a call that ${approved ? "is approved is carried out" : "is denied is not"}`, async () => {
    const { chat } = openPage(server, {
      body: { ...withServerTools, approvals: { add: "always" } },
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    });
    chat.sendMessage({ text: "1 + 2?" });
    let call = await provider.call();
    callTool(call, "add", { a: 1, b: 2 });
    call.finish("tool_calls");
    const part = () => chat.part("dynamic-tool");
    await until("the request", () => chat.status === "ready" && part()?.state === "approval-requested");
    assert.deepEqual(part().input, { a: 1, b: 2 });
    const message = chat.last.id;
    chat.addToolApprovalResponse({ id: part().approval.id, approved, reason: approved ? undefined : "too dear" });
    call = await provider.call();
    const result = call.request.messages.find(tool).content;
    assert.match(result, approved ? /"sum":3/ : /too dear/);
    call.text("Well.");
    call.finish();
    await done(chat, "Well.");
    assert.equal(part().state, approved ? "output-available" : "output-denied");
    assert.equal(part().approval.approved, approved);
    assert.equal(chat.last.id, message);
    assert.equal(chat.messages.length, 2);
  });
}

test("a tool of the page that must be approved is offered when it is", async () => {
  const { chat, seen } = answering(
    { output: "warm" },
    {
      body: { ...body, approvals: { get_weather: "always" } },
      sendAutomaticallyWhen: (options) =>
        lastAssistantMessageIsCompleteWithApprovalResponses(options) || lastAssistantMessageIsCompleteWithToolCalls(options),
    },
  );
  chat.sendMessage({ text: "How warm is it in Paris?" });
  let call = await provider.call();
  callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  const part = () => chat.part("tool-get_weather");
  await until("the request", () => chat.status === "ready" && part()?.state === "approval-requested");
  assert.equal(seen.length, 0);
  chat.addToolApprovalResponse({ id: part().approval.id, approved: true });
  call = await provider.call();
  assert.equal(call.request.messages.find(tool).content, "warm");
  assert.equal(seen.length, 1);
  call.text("It is warm.");
  call.finish();
  await done(chat, "It is warm.");
});

test("stopping while the server's tool or the page is awaited ends the generation", async () => {
  const { chat, record } = openPage(server, { body });
  chat.sendMessage({ text: "How warm is it in Paris?" });
  const call = await provider.call();
  callTool(call, "get_weather", { city: "Paris" });
  call.finish("tool_calls");
  await until("the call", () => chat.status === "ready" && chat.part("tool-get_weather"));
  record.sockets[0].send(JSON.stringify({ type: "abort", requestId: record.sent[0].requestId, stop: true }));
  await until("the end", async () => {
    const history = await (await fetch(`${server.url}/v1/conversations/${chat.id}`)).json();
    return history.data[0].state === "cancelled";
  });
});
