import { useChat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { useEffect, useRef, useState } from "react";
import { Composer } from "./Composer";
import { Message } from "./Message";
import { load, save } from "./storage";
import { run } from "./tools";
import { type ChatMessage, transport } from "./transport";

const MODELS = ["demo/markdown", "demo/reasoning", "demo/fast", "demo/slow"];

/** What the demo model can show. */
const SUGGESTIONS = [
  ["Stream", "Tell me something, with a long answer"],
  ["Tools", "What is the weather in Paris and New York?"],
  ["Approval", "Please delete my old files"],
  ["Search", "/search How do WebSockets work?"],
  ["Image", "/image"],
  ["Error", "/error overloaded after 30"],
] as const;

export function Chat({ id, onNew }: { id: string; onNew: () => void }) {
  const [model, setModel] = useState(MODELS[0]!);
  const chat = useChat<ChatMessage>({
    id,
    transport,
    messages: load(id),
    // After a reload, and in a second tab, the running answer goes on here.
    resume: true,
    throttle: 30,
    async onToolCall({ toolCall: { toolName: tool, toolCallId, input } }) {
      const output = await run(tool, input);
      void addToolOutput({ tool: tool as never, toolCallId, output: output as never });
    },
    sendAutomaticallyWhen: (chat) =>
      lastAssistantMessageIsCompleteWithToolCalls(chat) || lastAssistantMessageIsCompleteWithApprovalResponses(chat),
  });
  const { messages, status, error, sendMessage, regenerate, stop, addToolOutput, addToolApprovalResponse } = chat;
  const isRunning = status === "submitted" || status === "streaming";
  const body = { model };
  const log = useRef<HTMLElement>(null);

  // What was loaded is not saved again, so that no tab overwrites what another has.
  useEffect(() => save(id, messages), [id, status]);
  // Another tab has gone on with the chat: so does this one.
  useEffect(() => {
    const changed = ({ key }: StorageEvent) => {
      if (key !== id || isRunning) return;
      chat.setMessages(load(id));
      void chat.resumeStream();
    };
    addEventListener("storage", changed);
    return () => removeEventListener("storage", changed);
  }, [id, isRunning]);

  const send = (text: string, files?: FileList) => {
    // The end: the list is laid out from below, so that it stays in sight.
    log.current?.scrollTo(0, 0);
    void sendMessage({ text, files }, { body });
  };

  return (
    <>
      <header>
        <h1>Chat</h1>
        <nav>
          <select aria-label="Model" value={model} onChange={(event) => setModel(event.target.value)}>
            {MODELS.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <button onClick={onNew}>New</button>
        </nav>
      </header>
      <main ref={log} tabIndex={-1} aria-label="Conversation">
        <div>
          {messages.length === 0 && <Welcome onPick={send} />}
          {messages.map((message, at) => (
            <Message
              key={message.id}
              message={message}
              isRunning={isRunning && at === messages.length - 1}
              onDecide={(id, approved) => void addToolApprovalResponse({ id, approved })}
            />
          ))}
          {status === "submitted" && <p className="waiting">…</p>}
          {error && (
            <div className="error" role="alert">
              <p>{error.message}</p>
              <button onClick={() => void regenerate({ body })}>Try again</button>
            </div>
          )}
          {status === "ready" && messages.at(-1)?.role === "assistant" && (
            <button className="again" onClick={() => void regenerate({ body })}>
              Regenerate
            </button>
          )}
        </div>
      </main>
      <footer>
        <Composer isRunning={isRunning} onSend={send} onStop={stop} />
      </footer>
    </>
  );
}

function Welcome({ onPick }: { onPick: (text: string) => void }) {
  return (
    <section className="welcome">
      <h2>What can I do for you?</h2>
      <p>The demo model needs no key. Reload in the middle of an answer, or open this page in a second tab.</p>
      <ul>
        {SUGGESTIONS.map(([name, text]) => (
          <li key={name}>
            <button onClick={() => onPick(text)}>
              <strong>{name}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
