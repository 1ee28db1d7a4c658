// What the tests share: the real server, what its demo answers, and a socket that the test plays the server of.

import { afterAll, afterEach, beforeAll } from "vitest";
import WebSocket from "ws";
import { startProxy, startServer } from "../../../tests/browser/server.mjs";
import { type StartRequest, Tokenwire, type TokenwireOptions } from "../src/index.js";
import type { ClientFrame, ServerFrame } from "../src/index.js";

export { eventually } from "../../../tests/browser/server.mjs";

type Server = Awaited<ReturnType<typeof startServer>>;
type Proxy = Awaited<ReturnType<typeof startProxy>>;

/** A server and a network before it, for the tests of one file; `env` configures the server. */
export function useServer(env: Record<string, string> = {}) {
  const shared = {} as { server: Server; proxy: Proxy };
  const clients: Tokenwire[] = [];
  beforeAll(async () => {
    shared.server = await startServer(env);
    shared.proxy = await startProxy(shared.server.port);
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    shared.proxy.shape = undefined;
    shared.proxy.restore();
  });
  afterAll(async () => {
    shared.proxy?.stop();
    await shared.server?.stop();
  });
  return {
    shared,
    /** A client behind the proxy. */
    connect(options: TokenwireOptions = {}): Tokenwire {
      const client = new Tokenwire(shared.proxy.url, { WebSocket, ...options });
      clients.push(client);
      return client;
    },
  };
}

/** A request to the demo model that is answered with so many tokens. */
export function demo(tokens = 50, options: Record<string, unknown> = {}, request: Partial<StartRequest> = {}) {
  return {
    model: "demo/markdown",
    messages: [{ role: "user" as const, content: "Hello" }],
    provider_options: { demo: { tokens, tokens_per_second: 0, first_token_ms: 0, ...options } },
    ...request,
  };
}

/** The pieces, joined. */
export async function joined(pieces: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece;
  return text;
}

/** Resolves when `store` has changed so that `condition` holds. */
export function changed(store: { subscribe(listener: () => void): () => void }, condition: () => boolean) {
  return new Promise<void>((resolve) => {
    if (condition()) return resolve();
    const stop = store.subscribe(() => {
      if (!condition()) return;
      stop();
      resolve();
    });
  });
}

/** A WebSocket whose server is the test. */
export class FakeSocket {
  /** Those that were opened, the newest last. */
  static all: FakeSocket[] = [];

  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }

  onopen = null;
  onmessage: ((event: any) => unknown) | null = null;
  onclose: ((event: any) => unknown) | null = null;
  onerror = null;
  readyState = 0 as 0 | 1 | 2 | 3;
  sent: ClientFrame[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.all.push(this);
  }

  send(data: unknown): void {
    this.sent.push(JSON.parse(String(data)));
  }

  close(): void {
    this.readyState = 3;
  }

  /** The types of what was sent. */
  get types(): string[] {
    return this.sent.map(({ type }) => type);
  }

  /** The server accepts the connection. */
  hello(limits = {}): void {
    this.readyState = 1;
    const all = { max_frame_bytes: 1_048_576, max_generations: 32, max_attachments: 64, ...limits };
    this.say({ type: "hello", session: "s", protocol: "tokenwire.v1", heartbeat_seconds: 25, limits: all });
  }

  say(...frames: (ServerFrame | Record<string, unknown>)[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** The connection ends. */
  end(code = 1006, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}
