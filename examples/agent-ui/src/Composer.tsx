import { type FormEvent, type KeyboardEvent, useState } from "react";

interface ComposerProps {
  isRunning: boolean;
  onSend: (text: string, interrupt?: boolean) => void;
  onStop: () => void;
}

/** Where one writes. While an answer runs, what is sent steers it: at its next turn, or at once. */
export function Composer({ isRunning, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState("");
  const send = (interrupt?: boolean) => {
    if (!text.trim()) return;
    onSend(text.trim(), interrupt);
    setText("");
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form className="composer" onSubmit={submit}>
      <textarea
        aria-label="Message"
        placeholder={isRunning ? "Steer the answer …" : "Write a message …"}
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div>
        {isRunning && (
          <button type="button" className="stop" onClick={onStop}>
            Stop
          </button>
        )}
        {isRunning && text.trim() && (
          <button type="button" title="Cut the answer off, and go on with this" onClick={() => send(true)}>
            Cut in
          </button>
        )}
        {(!isRunning || text.trim()) && (
          <button
            className="primary"
            disabled={!text.trim()}
            title={isRunning ? "Say it when this turn is over" : undefined}
          >
            {isRunning ? "Queue" : "Send"}
          </button>
        )}
      </div>
    </form>
  );
}
