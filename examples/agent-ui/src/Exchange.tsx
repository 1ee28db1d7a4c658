import { memo } from "react";
import type { Answer, AnswerPart, ConversationGeneration, Message, Run } from "tokenwire";
import { useAnswer } from "tokenwire/react";
import { Call } from "./Call";
import { Ending } from "./Ending";
import { Markdown } from "./Markdown";
import { Media } from "./Media";
import { Sources } from "./Sources";

interface ExchangeProps {
  generation: ConversationGeneration;
  onRetry: (text: string) => void;
}

/** What somebody said, and the answer. */
export const Exchange = memo(function Exchange({ generation, onRetry }: ExchangeProps) {
  const { messages, run } = generation;
  const said = textOf(news(messages));
  const status = useAnswer(run, (answer) => answer.status);
  const isUnderWay = status === "pending" || status === "running";
  return (
    <>
      <p className="said">{said}</p>
      <article className="answer" aria-busy={isUnderWay} data-status={status}>
        <Parts run={run} isUnderWay={isUnderWay} />
        {isUnderWay ? <Waiting run={run} /> : <Ending run={run} onRetry={() => onRetry(said)} />}
      </article>
    </>
  );
});

/** A part that has not changed is the same object, so of a thousand parts only the growing one renders. */
function Parts({ run, isUnderWay }: { run: Run; isUnderWay: boolean }) {
  const parts = useAnswer(run, (answer) => answer.parts);
  const citations = useAnswer(run, (answer) => answer.parts.filter((part) => part.type === "citation"));
  return (
    <>
      {parts.map((part, at) => (
        <Part key={at} part={part} run={run} isGrowing={isUnderWay && at === parts.length - 1} />
      ))}
      {citations.length > 0 && <Sources citations={citations} />}
    </>
  );
}

interface PartProps {
  part: AnswerPart;
  run: Run;
  isGrowing: boolean;
}

const Part = memo(function Part({ part, run, isGrowing }: PartProps) {
  switch (part.type) {
    case "text":
      return <Markdown text={part.text} />;
    case "refusal":
      return <p className="refusal">{part.text}</p>;
    case "reasoning":
      return (
        <details className="reasoning" open={isGrowing}>
          <summary>{isGrowing ? "Thinking …" : "Thoughts"}</summary>
          {part.text}
        </details>
      );
    case "tool_call":
    case "server_tool_call":
      return <Call call={part} run={run} />;
    case "media":
      return <Media media={part} />;
    case "input":
      return (
        <p className="said">
          {textOf(part.messages)}
          {part.state === "dropped" && <small>came too late: nothing followed</small>}
        </p>
      );
    case "citation":
      return null;
  }
});

/** What there is to say before something arrives. */
function Waiting({ run }: { run: Run }) {
  const text = useAnswer(run, waitingFor);
  return <p className="waiting">{text}</p>;
}

function waitingFor({ status, parts, retry }: Answer): string | null {
  if (retry) return `${retry.reason.message}; attempt ${retry.attempt} with ${retry.provider} …`;
  if (status === "pending") return "Sending …";
  return parts.length === 0 ? "…" : null;
}

/** The messages that are new: a start may repeat the whole conversation. */
function news(messages: readonly Message[]): readonly Message[] {
  return messages.slice(messages.findLastIndex(({ role }) => role === "assistant") + 1);
}

function textOf(messages: readonly Message[]): string {
  return messages
    .filter(({ role }) => role === "user")
    .map(({ content }) => (typeof content === "string" ? content : "(more than text)"))
    .join("\n");
}
