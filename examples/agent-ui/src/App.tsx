import { useState } from "react";
import { useConversation } from "tokenwire/react";
import { Composer } from "./Composer";
import { Exchange } from "./Exchange";
import { Header } from "./Header";
import { approvals, suggestions, tools } from "./tools";
import { useConversationId } from "./useConversationId";
import { useModel } from "./useModel";
import { useStickToEnd } from "./useStickToEnd";

/** One conversation. This renders when a generation begins or ends; what streams renders inside `Exchange`. */
export function App() {
  const [id, begin] = useConversationId();
  const [model, models, setModel] = useModel();
  const conversation = useConversation(id, { model, tools, approvals, on_disconnect: "continue" });
  const { generations, running, title, error, deleted, send, cancel } = conversation;
  const [refused, setRefused] = useState<string>();
  const log = useStickToEnd<HTMLElement>(generations.length === 0);

  const say = (text: string, interrupt?: boolean) => {
    setRefused(undefined);
    log.toEnd();
    send(text, { interrupt }).catch((error: Error) => setRefused(error.message));
  };
  const problem = deleted ? "This conversation was deleted." : (error?.message ?? refused);

  return (
    <>
      <Header title={title} models={models} model={model} onModel={setModel} onNew={begin} />
      <main ref={log.ref} tabIndex={-1} aria-label="Conversation">
        <div>
          {generations.length === 0 && <Welcome onPick={say} />}
          {generations.map((generation) => (
            <Exchange key={generation.id} generation={generation} onRetry={say} />
          ))}
        </div>
      </main>
      <footer>
        {problem && <p role="alert">{problem}</p>}
        <Composer isRunning={running.length > 0} onSend={say} onStop={() => cancel("stopped by the user")} />
      </footer>
    </>
  );
}

function Welcome({ onPick }: { onPick: (text: string) => void }) {
  return (
    <section className="welcome">
      <h2>What can I do for you?</h2>
      <p>The demo model needs no key. Open this page's link in a second tab or on a phone: both show the same, live.</p>
      <ul>
        {suggestions.map(([name, text]) => (
          <li key={name}>
            <button onClick={() => onPick(text)}>
              <strong>{name}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
