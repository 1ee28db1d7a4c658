import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import "./style.css";

/** The chat is named in the address, so a reload or a second tab has the same. */
function App() {
  const [id, setId] = useState(idOfPage);
  useEffect(() => {
    const changed = () => setId(idOfPage());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return <Chat key={id} id={id} onNew={() => (location.hash = newId())} />;
}

function idOfPage(): string {
  if (!location.hash) history.replaceState(null, "", `#${newId()}`);
  return location.hash.slice(1);
}

function newId(): string {
  return `chat-${Math.random().toString(36).slice(2)}`;
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
