import { type FileUIPart, isToolUIPart, type UIMessagePart } from "ai";
import { memo } from "react";
import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { Tool } from "./Tool";
import type { ChatMessage, Metadata } from "./transport";

interface MessageProps {
  message: ChatMessage;
  isRunning: boolean;
  onDecide: (approvalId: string, approved: boolean) => void;
}

export function Message({ message, isRunning, onDecide }: MessageProps) {
  const { role, parts, metadata } = message;
  const sources = parts.filter((part) => part.type === "source-url");
  return (
    <article className={role === "user" ? "said" : "answer"} aria-busy={isRunning}>
      {parts.map((part, at) => (
        <Part key={at} part={part} role={role} isRunning={isRunning} onDecide={onDecide} />
      ))}
      {sources.length > 0 && (
        <ol className="sources" aria-label="Sources">
          {sources.map(({ sourceId, url, title }) => (
            <li key={sourceId}>{/^https?:/i.test(url) ? <a href={url}>{title ?? url}</a> : (title ?? url)}</li>
          ))}
        </ol>
      )}
      {!isRunning && metadata?.usage && <Facts {...metadata} />}
    </article>
  );
}

interface PartProps extends Omit<MessageProps, "message"> {
  part: UIMessagePart<any, any>;
  role: ChatMessage["role"];
}

function Part({ part, role, isRunning, onDecide }: PartProps) {
  if (isToolUIPart(part)) return <Tool part={part} isRunning={isRunning} onDecide={onDecide} />;
  switch (part.type) {
    case "text":
      return role === "user" ? <p>{part.text}</p> : <Text text={part.text} />;
    case "reasoning":
      return (
        <details className="reasoning" open={part.state === "streaming"}>
          <summary>{part.state === "streaming" ? "Thinking …" : "Thoughts"}</summary>
          {part.text}
        </details>
      );
    case "file":
      return <File {...part} />;
    default:
      return null;
  }
}

/** A text that has not changed does not render. */
const Text = memo(function Text({ text }: { text: string }) {
  return (
    <div className="markdown">
      <Markdown remarkPlugins={[remarkGfm]}>{text}</Markdown>
    </div>
  );
});

function File({ mediaType, url, filename = mediaType }: FileUIPart) {
  if (mediaType.startsWith("image")) return <img className="media" src={url} alt={filename} />;
  return (
    <a href={url} download={filename}>
      {filename}
    </a>
  );
}

/** How the answer came about, and what it cost. */
function Facts({ model, finishReason, usage, timing, error }: Metadata) {
  const facts = [
    error?.code ?? (finishReason === "stop" ? undefined : finishReason),
    model,
    usage && `${usage.inputTokens} tokens in, ${usage.outputTokens} out`,
    usage?.cost !== undefined && `costs ${usage.cost.toFixed(4)}`,
    timing && `${(timing.totalMs / 1000).toFixed(1)} s`,
  ];
  return (
    <ul className="facts">
      {facts.map((fact) => fact && <li key={fact}>{fact}</li>)}
    </ul>
  );
}
