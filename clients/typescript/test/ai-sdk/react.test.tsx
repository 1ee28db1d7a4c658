// @vitest-environment happy-dom
// `useChat` in a page, on the real server.

import { Chat, useChat } from "@ai-sdk/react";
import { act, cleanup, render, screen } from "@testing-library/react";
import { StrictMode, useState } from "react";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support.js";
import { demo, expectBill, type Message, useChats } from "./support.js";

const { connect } = useChats();
afterEach(cleanup);

const SLOW = demo(300, { tokens_per_second: 400 });
let page: ReturnType<typeof useChat<Message>>;

function ChatPage(props: Parameters<typeof useChat<Message>>[0]) {
  page = useChat<Message>(props);
  return <p>{page.status}</p>;
}

/** Something that the chat goes away from. */
function Shell(props: Parameters<typeof useChat<Message>>[0]) {
  const [isThere, setThere] = useState(true);
  return (
    <>
      {isThere && <ChatPage {...props} />}
      <button onClick={() => setThere((isThere) => !isThere)}>Toggle</button>
    </>
  );
}

const toggle = () => act(() => screen.getByText("Toggle").click());
const text = () =>
  page.messages
    .at(-1)
    ?.parts.map((part) => (part.type === "text" ? part.text : ""))
    .join("") ?? "";
const wrote = (length: number) => eventually(() => page.messages.length === 2 && text().length > length);
const done = () => eventually(() => page.status === "ready" && page.messages.at(-1)?.metadata?.usage !== undefined);

test("in strict mode a chat that is resumed is not stopped", async () => {
  const transport = connect();
  const id = `chat-${crypto.randomUUID()}`;
  const first = render(<ChatPage {...{ id, transport: connect({ abort: "leave" }) }} />);
  act(() => void page.sendMessage({ text: "Hello" }, SLOW));
  await wrote(100);
  first.unmount();
  render(
    <StrictMode>
      <ChatPage {...{ id, transport, resume: true }} />
    </StrictMode>,
  );
  await done();
  expect(page.messages.at(-1)!.metadata).toMatchObject({ finishReason: "stop", usage: { outputTokens: 300 } });
});

test("with `abort: leave` a chat goes on without its component, and with it again", async () => {
  const transport = connect({ abort: "leave" });
  const id = `chat-${crypto.randomUUID()}`;
  render(<Shell {...{ id, transport, resume: true }} />);
  act(() => void page.sendMessage({ text: "Hello" }, SLOW));
  await wrote(100);
  toggle();
  toggle();
  await done();
  expect(page.messages.at(-1)!.metadata).toMatchObject({ finishReason: "stop", usage: { outputTokens: 300 } });
});

test("a chat of one's own outlives its component", async () => {
  const chat = new Chat<Message>({ transport: connect() });
  render(<Shell chat={chat} />);
  act(() => void page.sendMessage({ text: "Hello" }, SLOW));
  await wrote(100);
  toggle();
  await eventually(() => chat.status === "ready");
  expect(chat.lastMessage!.metadata).toMatchObject({ finishReason: "stop", usage: { outputTokens: 300 } });
});

test("the stop button, and then what it cost", async () => {
  const transport = connect();
  render(<ChatPage transport={transport} />);
  act(() => void page.sendMessage({ text: "Hello" }, demo(5_000, { tokens_per_second: 400 })));
  await wrote(100);
  act(() => transport.stop(page.id));
  await eventually(() => page.status === "ready");
  expectBill(page.messages.at(-1)!);
  act(() => void page.sendMessage({ text: "Again" }, demo(5_000, { tokens_per_second: 400 })));
  await eventually(() => page.messages.length === 4 && text().length > 100);
  await act(() => page.stop());
  expect(page.status).toBe("ready");
  await act(() => page.resumeStream());
  await done();
  expectBill(page.messages.at(-1)!);
  expect(page.messages.length).toBe(4);
});
