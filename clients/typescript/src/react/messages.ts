import type { ConversationGeneration } from "../conversation.js";
import type { Content, Message } from "../protocol.js";

/** Most characters of a title that nobody gave; the server's own titles are as long. */
const TITLE_CHARS = 60;

/** Everything that was said up to the end of a generation: of those that it continues, of its start, and its text. */
export function historyOf(generations: readonly ConversationGeneration[], id: string | undefined): Message[] {
  const generation = generations.find((generation) => generation.id === id);
  if (!generation) return [];
  const { messages, continue_from, run } = generation;
  const said: Message[] = run.answer.text ? [{ role: "assistant", content: run.answer.text }] : [];
  const before = generations.slice(0, generations.indexOf(generation));
  return [...historyOf(before, continue_from), ...messages, ...said];
}

/** The first words of the first user message that has any. */
export function titleOf(generations: readonly ConversationGeneration[]): string | undefined {
  for (const { messages } of generations) {
    for (const { role, content } of messages) {
      const text = role === "user" ? plainText(content).trim().replace(/\s+/g, " ") : "";
      if (!text) continue;
      if (text.length <= TITLE_CHARS) return text;
      const cut = text.lastIndexOf(" ", TITLE_CHARS);
      return text.slice(0, cut > 0 ? cut : TITLE_CHARS);
    }
  }
  return undefined;
}

function plainText(content: Content | null | undefined): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => ("text" in part && typeof part.text === "string" ? part.text : "")).join("");
}
