// What the tests share: the real binary, a chat of the AI SDK's own, and a provider that the test drives.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { AbstractChat, WebSocketChatTransport, uiMessageChunkSchema } from "ai";
import WebSocket from "ws";

export const here = path.dirname(fileURLToPath(import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? path.resolve(here, "../../target");
const binary = process.env.TOKENWIRE_BIN ?? path.join(target, "debug", "tokenwire");
/** Only a failing test waits so long. */
const DEADLINE_MS = 20_000;

/** Starts the server on a free port, with this configuration. */
export async function startServer(toml = "") {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tokenwire-ai-sdk-"));
  const config = path.join(folder, "tokenwire.toml");
  writeFileSync(config, toml);
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0", "--config", config], {
    cwd: folder,
    env: { PATH: process.env.PATH },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (match) resolve(match[0]);
    });
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
  // Whatever goes wrong, the test does not leave it behind.
  process.on("exit", () => child.kill("SIGKILL"));
  /** Asks it to shut down. */
  const drain = () => child.kill("SIGTERM");
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  };
  return { url, socketUrl: `${url.replace("http", "ws")}/v1/ai-sdk`, drain, stop };
}

/** Waits until `isSo()`, which something under way makes so. */
export async function until(what, isSo) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await isSo();
    if (found) return found;
    if (Date.now() > end) assert.fail(`${what}: that did not come`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A WebSocket class whose frames are recorded, and whose every chunk is checked against the SDK's own schema. */
export function recording() {
  const record = { sent: [], received: [], sockets: [], faults: [] };
  record.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      record.sockets.push(this);
      this.on("message", async (data, isBinary) => {
        const frame = JSON.parse(data);
        record.received.push(frame);
        if (isBinary || typeof frame.type !== "string" || typeof frame.requestId !== "string") record.faults.push(frame);
        if (frame.type !== "chunk") return;
        const { validate } = uiMessageChunkSchema();
        const result = await validate(frame.chunk);
        if (!result.success) record.faults.push({ frame, error: String(result.error) });
      });
    }
    send(text, ...rest) {
      record.sent.push(JSON.parse(text));
      super.send(text, ...rest);
    }
  };
  record.chunks = (requestId = record.sent.at(-1).requestId) =>
    record.received.filter((frame) => frame.type === "chunk" && frame.requestId === requestId).map(({ chunk }) => chunk);
  return record;
}

class Chat extends AbstractChat {
  constructor({ messages = [], ...init }) {
    const state = {
      status: "ready",
      error: undefined,
      messages: structuredClone(messages),
      pushMessage: (message) => (state.messages = [...state.messages, message]),
      popMessage: () => (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (at, message) => (state.messages = state.messages.with(at, structuredClone(message))),
      snapshot: (value) => structuredClone(value),
    };
    super({ ...init, state });
  }

  get last() {
    return this.messages.at(-1);
  }

  /** The text of the last message. */
  get text() {
    return textOf(this.last);
  }

  part(type) {
    return this.last.parts.find((part) => part.type === type);
  }
}

export const textOf = (message) =>
  message.parts
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("");

/** What stays open after a test: it is closed at its end. */
const open = [];
export async function closeAll() {
  for (const one of open.splice(0)) await one();
}

/** A page: a chat with a transport of its own, unless it shares one. */
export function openPage(server, { transport, record = recording(), body, params, protocols, ...init } = {}) {
  transport ??= new WebSocketChatTransport({
    url: server.socketUrl,
    webSocket: record.WebSocket,
    body,
    params,
    protocols,
  });
  const chat = new Chat({ id: `chat-${Math.random().toString(36).slice(2)}`, transport, ...init });
  const close = () => transport.close();
  open.push(() => {
    close();
    assert.deepEqual(record.faults, []);
  });
  return { chat, transport, record, close };
}

/** The fields of a body that make the demo model quick. */
export const quick = (demo = {}) => ({
  model: "demo/markdown",
  provider_options: { demo: { tokens_per_second: 0, first_token_ms: 0, seed: 7, ...demo } },
});

/** A provider in the shape of OpenAI's chat completions. Each request waits for the test to answer it. */
export async function startProvider() {
  const waiting = [];
  const server = http.createServer(async (request, response) => {
    if (request.method !== "POST") return response.writeHead(404).end();
    let text = "";
    for await (const piece of request) text += piece;
    response.writeHead(200, { "content-type": "text/event-stream" });
    const say = (choice, rest = {}) =>
      response.write(`data: ${JSON.stringify({ id: "c", choices: choice ? [{ index: 0, ...choice }] : [], ...rest })}\n\n`);
    waiting.push({
      request: JSON.parse(text),
      delta: (delta) => say({ delta }),
      text: (content) => say({ delta: { content } }),
      finish: (finish_reason = "stop") => {
        say({ delta: {}, finish_reason });
        say(null, { usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 } });
        response.end("data: [DONE]\n\n");
      },
      break: () => response.destroy(),
      closed: new Promise((resolve) => response.on("close", resolve)),
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${server.address().port}`;
  return {
    toml: `[providers.scripted]\nwire_format = "openai-chat"\nbase_url = "${base}/v1"\napi_key = "none"\n[retry]\nattempts = 1\n`,
    /** The next request. */
    call: () => until("a request to the provider", () => waiting.shift()),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
