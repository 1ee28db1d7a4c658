import type { Answer, Run } from "tokenwire";
import { useAnswer } from "tokenwire/react";

/** How it ended, and what it cost. */
export function Ending({ run, onRetry }: { run: Run; onRetry: () => void }) {
  const answer = useAnswer(run);
  return (
    <>
      {answer.warnings.map(({ field, message }) => (
        <p key={field} className="notice">
          {message}
        </p>
      ))}
      {answer.error && (
        <div className="error" role="alert">
          <p>
            <strong>{answer.error.code}</strong> {answer.error.message}
          </p>
          <button onClick={onRetry}>Try again</button>
        </div>
      )}
      <ul className="facts">
        {factsOf(answer).map((fact) => (
          <li key={fact}>{fact}</li>
        ))}
      </ul>
    </>
  );
}

function factsOf({ status, reason, by, model, provider, usage, timing }: Answer): string[] {
  const facts: string[] = [];
  if (status === "cancelled") facts.push(by === "client" ? "stopped" : `stopped by the ${by}`);
  if (status === "finished" && reason !== "stop") facts.push(String(reason));
  if (model) facts.push(`${provider}/${model}`);
  if (usage) {
    const about = usage.source === "provider" ? "" : "about ";
    facts.push(`${about}${usage.input_tokens} tokens in, ${usage.output_tokens} out`);
    if (usage.cached_tokens) facts.push(`${usage.cached_tokens} cached`);
    if (usage.reasoning_tokens) facts.push(`${usage.reasoning_tokens} to think`);
    if (usage.cost !== undefined) facts.push(`costs ${usage.cost.toFixed(4)}`);
  }
  if (timing) facts.push(`${(timing.total_ms / 1000).toFixed(1)} s`);
  return facts;
}
