import { useState } from "react";
import { useConnectionStatus } from "tokenwire/react";

interface HeaderProps {
  title: string | undefined;
  models: string[];
  model: string;
  onModel: (model: string) => void;
  onNew: () => void;
}

export function Header({ title, models, model, onModel, onNew }: HeaderProps) {
  return (
    <header>
      <h1>{title ?? "New conversation"}</h1>
      <ConnectionStatus />
      <nav>
        <select aria-label="Model" value={model} onChange={(event) => onModel(event.target.value)}>
          {models.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <ShareButton />
        <button onClick={onNew}>New</button>
      </nav>
    </header>
  );
}

const WORDS = {
  idle: "Ready",
  connecting: "Connecting …",
  open: "Connected",
  waiting: "No connection, trying again …",
  closed: "Closed",
};

function ConnectionStatus() {
  const status = useConnectionStatus();
  return (
    <span className={`connection ${status}`} role="status" title={WORDS[status]}>
      <span>{WORDS[status]}</span>
    </span>
  );
}

/** Gives the link of the conversation to another device. */
function ShareButton() {
  const [isCopied, setCopied] = useState(false);
  const share = async () => {
    const isPhone = matchMedia("(pointer: coarse)").matches;
    try {
      if (isPhone && navigator.share) return await navigator.share({ url: location.href });
      await navigator.clipboard.writeText(location.href);
    } catch {
      // Not allowed, or changed their mind: the link is in the address bar.
      return;
    }
    setCopied(true);
    setTimeout(setCopied, 2_000, false);
  };
  return <button onClick={share}>{isCopied ? "Copied" : "Link"}</button>;
}
