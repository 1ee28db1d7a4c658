import { type FormEvent, useId, useState } from "react";
import type { Run, ToolCallPart } from "tokenwire";

/** Asks whether a call may be carried out, with the model's arguments or with others. Every device shows it; the first decides. */
export function ApprovalForm({ call, run }: { call: ToolCallPart; run: Run }) {
  const asked = JSON.stringify(call.arguments, null, 2);
  const [text, setText] = useState(asked);
  const [problem, setProblem] = useState<string>();
  const id = useId();
  const approve = (event: FormEvent) => {
    event.preventDefault();
    try {
      run.approve(call.call_id, text === asked ? undefined : (JSON.parse(text) as Record<string, unknown>));
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <form onSubmit={approve}>
      <label htmlFor={id}>Arguments, which you may change</label>
      <textarea
        id={id}
        spellCheck={false}
        rows={text.split("\n").length}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {problem && <p role="alert">{problem}</p>}
      <div className="buttons">
        <button className="primary">Approve</button>
        <button type="button" onClick={() => run.deny(call.call_id, "the user said no")}>
          Deny
        </button>
      </div>
    </form>
  );
}
