import { useCallback, useSyncExternalStore } from "react";

/** The conversation is in the link, so another tab or device that opens it sees the same. */
export function useConversationId(): [id: string, begin: () => void] {
  const id = useSyncExternalStore(subscribe, read);
  return [id, useCallback(() => void (location.hash = random()), [])];
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

function read(): string {
  if (location.hash.length < 2) history.replaceState(null, "", `#${random()}`);
  return location.hash.slice(1);
}

function random(): string {
  // `crypto.randomUUID` is missing on a page that came over plain HTTP from another machine.
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
