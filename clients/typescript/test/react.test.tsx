// @vitest-environment happy-dom
// @vitest-environment-options {"settings":{"fetch":{"disableSameOriginPolicy":true}}}
// The hooks, in a page, against the real server.

import { act, cleanup, render, renderHook, screen, waitFor } from "@testing-library/react";
import { memo, type ReactNode, StrictMode, useEffect, useState } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type AnswerPart, type Run, Tokenwire } from "../src/index.js";
import {
  TokenwireProvider,
  useAnswer,
  useConnectionStatus,
  useConversation,
  useGeneration,
  useTokenwire,
} from "../src/react/index.js";
import { demo, FakeSocket, useServer } from "./support.js";

const { connect, shared } = useServer();

beforeEach(() => sessionStorage.clear());
afterEach(cleanup);

/** Some 800 ms. */
const SLOW = { tokens_per_second: 250 };

function within(client: Tokenwire, strict = false) {
  return ({ children }: { children: ReactNode }) => {
    const provided = <TokenwireProvider client={client}>{children}</TokenwireProvider>;
    return strict ? <StrictMode>{provided}</StrictMode> : provided;
  };
}

function fake() {
  const client = new Tokenwire("wss://example.com", { WebSocket: FakeSocket as never });
  return { client, socket: () => FakeSocket.last };
}

test("a stream renders what shows the text, and not what is around it", async () => {
  const renders = { page: 0, text: 0 };
  function Page() {
    renders.page++;
    const { start, run, status } = useGeneration();
    return (
      <>
        <button onClick={() => start(demo(400, { tokens_per_second: 400 }))}>{status ?? "ask"}</button>
        <Text run={run} />
      </>
    );
  }
  function Text({ run }: { run: Run | undefined }) {
    renders.text++;
    return <p data-testid="text">{useAnswer(run, (answer) => answer.text)}</p>;
  }
  const client = connect();
  render(<Page />, { wrapper: within(client) });
  act(() => screen.getByText("ask").click());
  await waitFor(() => screen.getByText("finished"), { timeout: 10_000 });

  const { text } = await connect().start(demo(400)).result;
  expect(screen.getByTestId("text").textContent).toBe(text);
  // Nothing, pending, running, finished.
  expect(renders.page).toBeLessThanOrEqual(4);
  expect(renders.text).toBeGreaterThan(10);
  expect(renders.text).toBeLessThan(200);
});

test("parts that have not changed are the same objects, so their components stay as they are", async () => {
  const renders: Record<string, number> = {};
  const Part = memo(({ part }: { part: AnswerPart }) => {
    renders[part.type] = (renders[part.type] ?? 0) + 1;
    return null;
  });
  function Parts({ run }: { run: Run }) {
    return useAnswer(run, (answer) => answer.parts).map((part, at) => <Part key={at} part={part} />);
  }
  const run = connect().start(demo(300, SLOW, { model: "demo/reasoning" }));
  render(<Parts run={run} />);
  await waitFor(() => expect(renders.text).toBeDefined(), { timeout: 5_000 });
  const { reasoning } = renders;
  await run.result;
  await waitFor(() => expect(renders.text).toBeGreaterThan(9));
  expect(renders.reasoning).toBe(reasoning);
});

test("a selector may make new objects, and renders only when their entries are others", async () => {
  let renders = 0;
  const run = connect().start(demo(200, SLOW));
  const { result } = renderHook(() => {
    renders++;
    return useAnswer(
      run,
      ({ status, parts }) => ({ status, calls: parts.filter(({ type }) => type === "tool_call") }).status,
    );
  });
  const list = renderHook(() => useAnswer(run, ({ parts }) => parts.map(({ type }) => type)));
  await waitFor(() => expect(result.current).toBe("finished"), { timeout: 5_000 });
  expect(list.result.current).toEqual(["text"]);
  expect(renders).toBeLessThanOrEqual(4);
});

test("a component that reads `answer` has all of it", async () => {
  const { result } = renderHook(() => useGeneration(), { wrapper: within(connect()) });
  expect(result.current).toMatchObject({ run: undefined, status: undefined, answer: undefined, isRunning: false });
  act(() => void result.current.start(demo(100)));
  expect(result.current).toMatchObject({ status: "pending", isRunning: true });
  await waitFor(() => expect(result.current.status).toBe("finished"));
  expect(result.current.answer).toBe(result.current.run!.answer);
  expect(result.current).toMatchObject({
    isRunning: false,
    error: undefined,
    answer: { usage: { output_tokens: 100 } },
  });
});

test("it is stopped, steered, and fails with its error", async () => {
  const { result } = renderHook(() => useGeneration(), { wrapper: within(connect()) });
  const { start, cancel, input } = result.current;
  await expect(input("Hello")).rejects.toMatchObject({ code: "too_late" });

  act(() => void start(demo(2_000, SLOW)));
  await waitFor(() => expect(result.current.answer!.text).not.toBe(""));
  await input("Shorter!", { interrupt: true });
  await waitFor(() => expect(result.current.answer!.parts.map(({ type }) => type)).toContain("input"));
  act(() => cancel("enough"));
  await waitFor(() => expect(result.current.answer).toMatchObject({ status: "cancelled", reason: "enough" }));

  act(() => void start(demo(50, { error: "overloaded", error_after: 5 })));
  await waitFor(() => expect(result.current).toMatchObject({ status: "failed", error: { code: "overloaded" } }));
  expect([result.current.start, result.current.cancel, result.current.input]).toEqual([start, cancel, input]);
});

test("Strict Mode: a start in an effect that has an id starts once, and nothing is cancelled", async () => {
  const { client, socket } = fake();
  function Page() {
    const { start, status } = useGeneration({ cancelOnUnmount: true });
    useEffect(() => void start({ id: "g1", model: "demo/markdown", messages: [] }), [start]);
    return <p>{status}</p>;
  }
  const { unmount } = render(<Page />, { wrapper: within(client, true) });
  await waitFor(() => expect(socket().sent).toBeDefined());
  act(() => socket().hello());
  act(() => socket().say({ type: "started", id: "g1", seq: 1, epoch: "e", model: "m", provider: "p" }));
  await waitFor(() => screen.getByText("running"));
  expect(socket().types).toEqual(["start"]);
  unmount();
  await waitFor(() => expect(socket().types).toEqual(["start", "cancel"]));
  client.close();
});

test("leaving is not stopping: who comes back with the id has everything", async () => {
  const client = connect();
  const first = renderHook(() => useGeneration(), { wrapper: within(client, true) });
  act(() => void first.result.current.start(demo(200, SLOW, { id: "stays" })));
  await waitFor(() => expect(first.result.current.answer!.text.length).toBeGreaterThan(50));
  first.unmount();

  const second = renderHook(({ id }) => useGeneration({ id }), {
    wrapper: within(client, true),
    initialProps: { id: "stays" as string | undefined },
  });
  expect(second.result.current.answer!.text.length).toBeGreaterThan(50);
  await waitFor(() => expect(second.result.current.status).toBe("finished"), { timeout: 5_000 });
  second.rerender({ id: undefined });
  expect(second.result.current.run).toBeUndefined();
});

test("a reload goes on with what was started, and answers its tools", async () => {
  const { text } = await connect().start(demo(300)).result;
  const asked: string[] = [];
  const page = () => {
    const client = connect();
    const tools = {
      get_weather: {
        parameters: PLACE,
        run: ({ city }: { city: string }) => (asked.push(city), { city, celsius: 18 }),
      },
    };
    return { client, ...renderHook(() => useGeneration({ storageKey: "chat", tools }), { wrapper: within(client) }) };
  };
  const before = page();
  act(() => void before.result.current.start(demo(300, SLOW)));
  await waitFor(() => expect(before.result.current.answer!.text.length).toBeGreaterThan(100));
  before.client.close();
  before.unmount();

  const after = page();
  await waitFor(() => expect(after.result.current.status).toBe("finished"), { timeout: 5_000 });
  expect(after.result.current.answer!.text).toBe(text);

  act(() => void after.result.current.start({ ...ASK_WEATHER, provider_options: { demo: SLOW } }));
  await waitFor(() => expect(after.result.current.answer!.parts.at(-1)?.type).toBe("tool_call"), { timeout: 5_000 });
  after.client.close();
  after.unmount();
  const last = page();
  await waitFor(() => expect(last.result.current.status).toBe("finished"), { timeout: 5_000 });
  expect(asked).toContain("Paris");
});

test("what the server has forgotten is forgotten here", async () => {
  sessionStorage.setItem("chat", "longgone");
  const { result } = renderHook(() => useGeneration({ storageKey: "chat" }), { wrapper: within(connect()) });
  await waitFor(() => expect(sessionStorage.getItem("chat")).toBeNull());
  await waitFor(() => expect(result.current.run).toBeUndefined());

  const named = renderHook(() => useGeneration({ id: "longgone" }), { wrapper: within(connect()) });
  await waitFor(() =>
    expect(named.result.current).toMatchObject({ status: "lost", error: { code: "generation_not_found" } }),
  );
});

const PLACE = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const ASK_WEATHER = {
  model: "demo/fast",
  messages: [{ role: "user" as const, content: "What is the weather in Paris?" }],
};

test("a tool runs the function of the newest render, with arguments that were edited", async () => {
  const { result } = renderHook(
    () => {
      const [unit, setUnit] = useState("K");
      const run = ({ city }: { city: string }) => `${city}: 291 ${unit}`;
      const generation = useGeneration({ tools: { get_weather: { parameters: PLACE, run } } });
      return { ...generation, answer: generation.answer, setUnit };
    },
    { wrapper: within(connect()) },
  );
  act(() => void result.current.start({ ...ASK_WEATHER, approvals: { "*": "always" } }));
  const call = () => result.current.answer!.parts.find((part) => part.type === "tool_call")!;
  await waitFor(() => expect(call().state).toBe("approval"), { timeout: 5_000 });
  act(() => result.current.setUnit("Kelvin"));
  act(() => result.current.approve(call().call_id, { city: "Rome" }));
  await waitFor(() => expect(call()).toMatchObject({ state: "done", content: "Rome: 291 Kelvin" }), { timeout: 5_000 });
});

test("a provider makes a client of its own, and closes it when it is gone", async () => {
  const seen: (Tokenwire | undefined)[] = [];
  function Page() {
    const client = useTokenwire();
    seen.push(client);
    const { start, answer } = useGeneration();
    return <button onClick={() => start(demo(20))}>{`${useConnectionStatus()} ${answer?.status}`}</button>;
  }
  const { WebSocket } = connect().options;
  const { unmount } = render(
    <StrictMode>
      <TokenwireProvider url={shared.server.url} WebSocket={WebSocket}>
        <Page />
      </TokenwireProvider>
    </StrictMode>,
  );
  act(() => screen.getByText("idle undefined").click());
  await waitFor(() => screen.getByText("open finished"));
  expect(new Set(seen).size).toBe(1);
  unmount();
  await waitFor(() => expect(seen[0]!.status).toBe("closed"));
});

test("a page that a server rendered is taken over as it is", async () => {
  sessionStorage.setItem("chat", (await connect().start(demo(20)).result).id);
  function Page() {
    const { status } = useGeneration({ storageKey: "chat" });
    const { generations } = useConversation("c0");
    return <p>{`${useConnectionStatus()} ${status} ${generations.length} ${useTokenwire() !== undefined}`}</p>;
  }
  const { WebSocket } = connect().options;
  const page = (
    <TokenwireProvider url={shared.server.url} WebSocket={WebSocket}>
      <Page />
    </TokenwireProvider>
  );
  const container = document.body.appendChild(document.createElement("div"));
  container.innerHTML = renderToString(page);
  expect(container.textContent).toBe("idle undefined 0 false");
  const problems = vi.spyOn(console, "error");
  render(page, { container, hydrate: true });
  await waitFor(() => screen.getByText("open finished 0 true"));
  expect(problems.mock.calls.map(String).filter((text) => /hydrat|did not match/i.test(text))).toEqual([]);
  problems.mockRestore();
});

test("a hook without a provider says what is missing", () => {
  expect(() => renderHook(() => useGeneration())).toThrow("TokenwireProvider");
});

test("a conversation shows what any device says in it, and steers what runs", async () => {
  const options = { model: "demo/markdown", provider_options: { demo: { tokens: 400, ...SLOW } } };
  const laptop = renderHook(() => useConversation("shared", options), { wrapper: within(connect(), true) });
  const phone = renderHook(() => useConversation("shared", options), { wrapper: within(connect(), true) });
  await act(async () => void (await laptop.result.current.send("Why is the sky blue?")));
  expect(laptop.result.current.generations).toHaveLength(1);
  expect(laptop.result.current.title).toBe("Why is the sky blue?");
  await waitFor(() => expect(phone.result.current.running).toHaveLength(1));
  const { id, messages, run } = phone.result.current.generations[0]!;
  await waitFor(() => expect(run.answer.text).not.toBe(""));
  expect(messages).toEqual([{ role: "user", content: "Why is the sky blue?" }]);

  await act(async () => {
    const steered = await phone.result.current.send("Shorter, please.", { interrupt: true });
    expect(steered.id).toBe(id);
  });
  await waitFor(() => expect(laptop.result.current.running).toHaveLength(0), { timeout: 10_000 });
  expect(laptop.result.current.generations[0]!.run.answer.parts.map(({ type }) => type)).toEqual([
    "text",
    "input",
    "text",
  ]);
  await run.result;

  // What comes after an end continues it.
  await act(async () => void (await phone.result.current.send("And at night?")));
  await waitFor(() => expect(laptop.result.current.generations).toHaveLength(2));
  expect(laptop.result.current.generations[1]).toMatchObject({ continue_from: id });
  act(() => laptop.result.current.cancel("enough"));
  await waitFor(() => expect(phone.result.current.running).toHaveLength(0));
  expect(phone.result.current.generations[1]!.run.answer).toMatchObject({ status: "cancelled", reason: "enough" });

  await act(() => laptop.result.current.conversation!.rename("The sky"));
  await waitFor(() => expect(phone.result.current.title).toBe("The sky"));
});

test("another device answers the tools of a conversation, as after a reload", async () => {
  const first = connect();
  const run = ({ city }: { city: string }) => `${city}: 18`;
  const second = renderHook(() => useConversation("tools", { tools: { get_weather: { parameters: PLACE, run } } }), {
    wrapper: within(connect()),
  });
  const tools = [{ type: "function" as const, function: { name: "get_weather", parameters: PLACE } }];
  const { parts } = await first.conversation("tools").start({ ...ASK_WEATHER, tools }).result;
  expect(parts).toContainEqual(expect.objectContaining({ type: "tool_call", content: "Paris: 18" }));
  second.unmount();
});

test("a conversation that one of two components leaves is watched by the other", async () => {
  const client = connect();
  const wrapper = within(client, true);
  const stays = renderHook(() => useConversation("two"), { wrapper });
  const leaves = renderHook(() => useConversation("two"), { wrapper });
  leaves.unmount();
  await new Promise((resolve) => setTimeout(resolve));
  connect().conversation("two").start(demo(10));
  await waitFor(() => expect(stays.result.current.generations).toHaveLength(1));
  const { conversation } = stays.result.current;
  stays.unmount();
  await waitFor(() => expect(conversation!.state.error).toMatchObject({ code: "closed" }));
});

test("what is said without a network is there at once", async () => {
  shared.proxy.drop();
  const { model, provider_options } = demo(50);
  const options = { model, provider_options };
  const { result } = renderHook(() => useConversation("offline", options), { wrapper: within(connect()) });
  act(() => void result.current.send("Anybody?"));
  expect(result.current.generations).toMatchObject([{ messages: [{ content: "Anybody?" }] }]);
  shared.proxy.restore();
  await waitFor(() => expect(result.current.generations[0]!.run.answer.status).toBe("finished"), { timeout: 10_000 });
  expect(result.current.generations).toHaveLength(1);
});

test("where the server keeps no more of what would be continued, the page says it all again", async () => {
  const { client, socket } = fake();
  const { result } = renderHook(() => useConversation("c1", { model: "m" }), { wrapper: within(client) });
  await waitFor(() => expect(socket().sent).toBeDefined());
  act(() => socket().hello());
  const say = (id: string, messages: unknown, ...more: object[]) =>
    act(() =>
      socket().say(
        {
          type: "conversation",
          conversation: "c1",
          epoch: "e",
          seq: 1,
          change: "generation",
          id,
          model: "m",
          messages,
        },
        { type: "started", id, seq: 1, epoch: "e", model: "m", provider: "p" },
        { type: "text", id, seq: 2, delta: "Hi." },
        { type: "finished", id, seq: 3, reason: "stop", usage: {}, timing: {} },
        ...(more as []),
      ),
    );
  say("g1", [{ role: "user", content: "Hello" }]);
  let said: Promise<Run>;
  act(() => void (said = result.current.send("And?")));
  const { id } = socket().sent.at(-1) as { id: string };
  expect(socket().sent.at(-1)).toMatchObject({ type: "start", continue_from: "g1" });
  const error = { code: "generation_not_found", field: "continue_from", message: "gone", retryable: false };
  act(() => socket().say({ type: "error", id, ...error }));
  await waitFor(() => expect(socket().types.filter((type) => type === "start")).toHaveLength(2));
  const again = socket().sent.at(-1) as { id: string; messages: unknown };
  expect(again.messages).toEqual([
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Hi." },
    { role: "user", content: "And?" },
  ]);
  expect(result.current.generations.map(({ id }) => id)).toEqual(["g1", again.id]);
  act(() => socket().say({ type: "started", id: again.id, seq: 1, epoch: "e", model: "m", provider: "p" }));
  expect((await said!).id).toBe(again.id);
  client.close();
});
