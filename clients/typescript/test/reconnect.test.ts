// Against the real server through a network that fails: nothing is lost, nothing is paid twice.

import { expect, test } from "vitest";
import WebSocket from "ws";
import { startServer } from "../../../tests/browser/server.mjs";
import { Tokenwire } from "../src/index.js";
import { changed, demo, eventually, joined, useServer } from "./support.js";

const { shared, connect } = useServer();

/** What is answered to the same request when nothing disturbs it. */
async function undisturbed(tokens: number, options = {}): Promise<string> {
  return (await connect().start(demo(tokens, options)).result).text;
}

test("a network that is cut in the middle, several times", async () => {
  const expected = await undisturbed(600);
  const run = connect().start(demo(600, { tokens_per_second: 300 }));
  const read = joined(run.text);
  for (const length of [100, 600, 1_200]) {
    await changed(run, () => run.answer.text.length > length);
    shared.proxy.drop();
    shared.proxy.restore();
  }
  expect((await run.result).text).toBe(expected);
  expect(await read).toBe(expected);
});

test("what is asked while offline is sent when the server is there", async () => {
  shared.proxy.drop();
  const tw = connect();
  const runs = [1, 2, 3].map((seed) => tw.start(demo(50, { seed })));
  const stopped = tw.start(demo(5_000));
  stopped.cancel();
  expect((await stopped.result).status).toBe("cancelled");
  await changed(tw, () => tw.status === "waiting");
  shared.proxy.restore();
  for (const run of runs) expect((await run.result).usage?.output_tokens).toBe(50);
});

test("a start whose answer is lost is sent again, and pays once", async () => {
  const tw = connect();
  const first = tw.start(demo(5));
  await first.result;
  shared.proxy.deafen();
  const before = shared.proxy.swallowed;
  const run = tw.start(demo(100, { tokens_per_second: 200 }));
  await eventually(() => shared.proxy.swallowed > before);
  shared.proxy.drop();
  shared.proxy.restore();
  const { usage } = await run.result;
  expect(usage?.output_tokens).toBe(100);
  const events = [];
  for await (const event of run) events.push(event.type);
  expect(events.filter((type) => type === "started")).toEqual(["started"]);
});

test("a cancel that nobody answered is sent again", async () => {
  const run = connect().start(demo(50_000, { tokens_per_second: 200 }));
  await changed(run, () => run.answer.text !== "");
  shared.proxy.drop();
  run.cancel("offline");
  shared.proxy.restore();
  expect(await run.result).toMatchObject({ status: "cancelled", reason: "offline" });
});

test("results, decisions and inputs outlive a lost connection", async () => {
  const tw = connect();
  const messages = [{ role: "user" as const, content: "What is the weather in Paris?" }];
  const tools = [{ function: { name: "get_weather", parameters: { type: "object" } } }];
  const run = tw.start(demo(2_000, { tokens_per_second: 500 }, { messages, tools, approvals: { "*": "always" } }));
  for await (const event of run) {
    if (event.type === "tool_approval") {
      shared.proxy.drop();
      run.approve(event.call_id);
      shared.proxy.restore();
    } else if (event.type === "tool_wait") {
      shared.proxy.drop();
      void run.input("And in London?", { input_id: "i1" });
      run.toolResult(event.call_ids[0]!, "sunny");
      shared.proxy.restore();
    }
  }
  const { parts } = await run.result;
  expect(parts.find((part) => part.type === "tool_call")).toMatchObject({ state: "done", content: "sunny" });
  expect(parts.filter((part) => part.type === "input")).toMatchObject([{ input_id: "i1" }]);
});

test("a tool whose result is lost on the way is not carried out twice", async () => {
  let calls = 0;
  const messages = [{ role: "user" as const, content: "What is the weather in Paris?" }];
  const get_weather = async () => {
    calls++;
    shared.proxy.silence();
    setTimeout(() => (shared.proxy.drop(), shared.proxy.restore()), 100);
    return "sunny";
  };
  const run = connect().start(demo(500, {}, { messages, tools: { get_weather } }));
  expect((await run.result).text).toContain("sunny");
  expect(calls).toBe(1);
});

test("a network that falls silent is noticed", async () => {
  const expected = await undisturbed(400);
  const tw = connect();
  const run = tw.start(demo(400, { tokens_per_second: 200 }));
  await changed(run, () => run.answer.text.length > 100);
  shared.proxy.silence();
  // Something is sent, and nothing comes: that is asked about soon.
  run.approve("no-such-call");
  await changed(tw, () => tw.status !== "open");
  shared.proxy.restore();
  expect((await run.result).text).toBe(expected);
}, 40_000);

test("nobody there to authenticate with: the token is asked for again, and then it is an error", async () => {
  const env = { TOKENWIRE_CONFIG: "locked.toml" };
  const server = await startServer(env);
  const key = "k".repeat(40);
  const given: string[] = [];
  const keys = ["old", key];
  const tw = new Tokenwire(server.url, {
    WebSocket,
    token: () => {
      given.push(keys.shift() ?? key);
      return given.at(-1)!;
    },
  });
  expect((await tw.start(demo(20)).result).status).toBe("finished");
  expect(given).toEqual(["old", key]);
  await tw
    .conversation("c1")
    .rename("A title")
    .catch((error) => expect(error.code).toBe("conversation_not_found"));
  tw.close();

  for (const token of ["wrong", () => "wrong", undefined]) {
    const denied = new Tokenwire(server.url, { WebSocket, token });
    await expect(denied.start(demo(20)).result).rejects.toMatchObject({ code: "not_authenticated" });
    denied.close();
  }
  await server.stop();
});

test("a server that goes away is followed to the next one", async () => {
  const first = await startServer({ TOKENWIRE_LIMITS_DRAIN_SECONDS: "20" });
  const { port } = shared.proxy;
  shared.proxy.port = first.port;
  try {
    const tw = connect();
    const running = tw.start(demo(300, { tokens_per_second: 300 }));
    await changed(running, () => running.answer.text !== "");
    first.signal("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 100));
    shared.proxy.port = port;
    const next = tw.start(demo(50));
    expect((await running.result).status).toBe("finished");
    expect((await next.result).status).toBe("finished");
  } finally {
    shared.proxy.port = port;
    await first.stop();
  }
});

test("a server that forgot everything: the run is lost, and says so", async () => {
  const first = await startServer();
  const { port } = shared.proxy;
  shared.proxy.port = first.port;
  const run = connect().start(demo(5_000, { tokens_per_second: 200 }));
  await changed(run, () => run.answer.text !== "");
  shared.proxy.port = port;
  await first.stop();
  await expect(run.result).rejects.toMatchObject({ code: "generation_not_found" });
  expect(run.answer.status).toBe("lost");
});
