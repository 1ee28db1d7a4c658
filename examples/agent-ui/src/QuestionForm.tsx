import { type FormEvent, useId, useState } from "react";
import type { Run, ToolCallPart } from "tokenwire";

/** A tool whose result is what a person says. */
export function QuestionForm({ call, run }: { call: ToolCallPart; run: Run }) {
  const { question = "", answers = [] } = call.arguments as { question?: string; answers?: string[] };
  const [text, setText] = useState("");
  const id = useId();
  const answer = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) run.toolResult(call.call_id, text.trim());
  };
  return (
    <form onSubmit={answer}>
      <label htmlFor={id}>{question}</label>
      {answers.length > 0 && (
        <div className="buttons">
          {answers.map((answer) => (
            <button key={answer} type="button" onClick={() => run.toolResult(call.call_id, answer)}>
              {answer}
            </button>
          ))}
        </div>
      )}
      <div className="buttons">
        <input id={id} placeholder="Your answer" value={text} onChange={(event) => setText(event.target.value)} />
        <button className="primary">Answer</button>
      </div>
    </form>
  );
}
