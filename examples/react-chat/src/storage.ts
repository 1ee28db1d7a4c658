import type { ChatMessage } from "./transport";

/** The messages of a chat, kept in this browser: the server keeps answers, and a chat belongs to its page. */
export function load(id: string): ChatMessage[] {
  return JSON.parse(localStorage.getItem(id) ?? "[]") as ChatMessage[];
}

export function save(id: string, messages: ChatMessage[]): void {
  try {
    localStorage.setItem(id, JSON.stringify(messages));
  } catch {
    // It is full, of images perhaps. The chat goes on without.
  }
}
