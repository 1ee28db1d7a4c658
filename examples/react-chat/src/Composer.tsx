import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";

interface ComposerProps {
  isRunning: boolean;
  onSend: (text: string, files?: FileList) => void;
  onStop: () => void;
}

/** Where one writes, and stops. */
export function Composer({ isRunning, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState("");
  const [count, setCount] = useState(0);
  const files = useRef<HTMLInputElement>(null);
  const canSend = !isRunning && (text.trim() !== "" || count > 0);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!canSend) return;
    onSend(text.trim(), count ? files.current!.files! : undefined);
    setText("");
    setCount(0);
    // The message has read the files by then.
    setTimeout(() => (files.current!.value = ""));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    submit(event);
  };
  return (
    <form className="composer" onSubmit={submit}>
      <label className="attach" title="Attach files">
        <input ref={files} type="file" multiple aria-label="Files" onChange={(event) => setCount(event.target.files!.length)} />
        {count || "+"}
      </label>
      <textarea
        aria-label="Message"
        placeholder="Write a message …"
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {isRunning ? (
        <button type="button" className="stop" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button className="primary" disabled={!canSend}>
          Send
        </button>
      )}
    </form>
  );
}
