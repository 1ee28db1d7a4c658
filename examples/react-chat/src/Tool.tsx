import { type DynamicToolUIPart, getToolName, type ToolUIPart } from "ai";

const STATES: Record<ToolUIPart["state"], string> = {
  "input-streaming": "writing …",
  "input-available": "running …",
  "approval-requested": "needs your approval",
  "approval-responded": "decided",
  "output-available": "done",
  "output-error": "failed",
  "output-denied": "denied",
};

interface ToolProps {
  part: ToolUIPart | DynamicToolUIPart;
  /** Whether the message is still being written. */
  isRunning: boolean;
  onDecide: (approvalId: string, approved: boolean) => void;
}

/** A tool call, from the first letter of its input to its output. */
export function Tool({ part, isRunning, onDecide }: ToolProps) {
  const { state, input, output, errorText, approval } = part;
  return (
    <section className="call" data-state={state} aria-label={`Tool ${getToolName(part)}: ${STATES[state]}`}>
      <header>
        <code>{getToolName(part)}</code>
        <span>{STATES[state]}</span>
      </header>
      {input !== undefined && <pre>{json(input)}</pre>}
      {state === "approval-requested" && approval && (
        <div className="buttons">
          <button className="primary" disabled={isRunning} onClick={() => onDecide(approval.id, true)}>
            Approve
          </button>
          <button disabled={isRunning} onClick={() => onDecide(approval.id, false)}>
            Deny
          </button>
        </div>
      )}
      {output !== undefined && <pre className="result">{json(output)}</pre>}
      {errorText && <p>{errorText}</p>}
    </section>
  );
}

function json(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
