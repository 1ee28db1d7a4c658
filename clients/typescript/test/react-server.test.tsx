// Rendering on a server, where there is no page and no WebSocket.

import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import {
  TokenwireProvider,
  useAnswer,
  useConnectionStatus,
  useConversation,
  useGeneration,
  useTokenwire,
} from "../src/react/index.js";

export function Page() {
  const { status, run, isRunning } = useGeneration({ storageKey: "chat" });
  const text = useAnswer(run, (answer) => answer.text);
  const { generations, title } = useConversation("c1");
  const hasClient = useTokenwire() !== undefined;
  return <p>{[useConnectionStatus(), status, isRunning, text, generations.length, title, hasClient].join()}</p>;
}

test("the hooks render on a server", () => {
  expect("window" in globalThis).toBe(false);
  const html = renderToString(
    <TokenwireProvider url="/">
      <Page />
    </TokenwireProvider>,
  );
  expect(html).toBe("<p>idle,,false,,0,,false</p>");
});
