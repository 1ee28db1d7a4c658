import type { Run, ServerToolCallPart, ToolCallPart } from "tokenwire";
import { ApprovalForm } from "./ApprovalForm";
import { QuestionForm } from "./QuestionForm";

const STATES: Record<ToolCallPart["state"] | ServerToolCallPart["state"], string> = {
  writing: "writing …",
  called: "called",
  running: "running …",
  approval: "needs your approval",
  waiting: "waiting …",
  denied: "denied",
  done: "done",
};

/** A tool call, from the first letter of its arguments to its result. */
export function Call({ call, run }: { call: ToolCallPart | ServerToolCallPart; run: Run }) {
  const state = call.is_error ? "failed" : STATES[call.state];
  return (
    <section
      className="call"
      data-state={call.is_error ? "failed" : call.state}
      aria-label={`Tool ${call.name}: ${state}`}
    >
      <header>
        <code>{call.name}</code>
        <span>{state}</span>
      </header>
      {call.type === "server_tool_call" ? <ServerCallBody call={call} /> : <CallBody call={call} run={run} />}
    </section>
  );
}

function CallBody({ call, run }: { call: ToolCallPart; run: Run }) {
  if (call.state === "approval") return <ApprovalForm call={call} run={run} />;
  if (call.state === "waiting" && call.name === "ask_user") return <QuestionForm call={call} run={run} />;
  return (
    <>
      <pre>{call.arguments === undefined ? call.arguments_text : json(call.arguments)}</pre>
      {call.progress !== undefined && <progress value={call.progress} max={call.total} aria-label={call.message} />}
      {call.message && call.state !== "done" && <p>{call.message}</p>}
      {call.reason && <p>{call.reason}</p>}
      {call.content !== undefined && <pre className="result">{json(call.content)}</pre>}
    </>
  );
}

function ServerCallBody({ call }: { call: ServerToolCallPart }) {
  return (
    <>
      {call.arguments !== undefined && <pre>{json(call.arguments)}</pre>}
      {call.result !== undefined && (
        <details>
          <summary>Result</summary>
          <pre className="result">{json(call.result)}</pre>
        </details>
      )}
    </>
  );
}

function json(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
