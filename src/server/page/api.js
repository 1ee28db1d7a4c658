// The server's HTTP routes, and the key of this browser.

import { store } from "./dom.js";

const KEY = "tokenwire.key";

/** The server key: of this tab, else the one that is remembered, else empty. */
export const getKey = () => store.get(KEY, "sessionStorage") ?? store.get(KEY) ?? "";

export const isKeyRemembered = () => !!store.get(KEY) && !store.get(KEY, "sessionStorage");

/** Keeps a key for this tab, with `remember` for this browser. */
export function setKey(key, remember = false) {
  store.set(KEY, remember ? undefined : key || undefined, "sessionStorage");
  store.set(KEY, (remember && key) || undefined);
}

/** Uses a key in this tab, whichever this browser remembers. */
export const borrowKey = (key) => store.set(KEY, key, "sessionStorage");

/**
 * Asks a route. Returns `{ status, data }`: `data` is parsed JSON, or a blob of anything else; `status` is 0 without a network.
 * `json` and `text` are bodies, `share` is the token of somebody else's conversation.
 */
export async function call(method, path, { json, text, share } = {}) {
  const key = getKey();
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...(share && { "tokenwire-share": share }) };
  try {
    const response = await fetch(path, { method, headers, body: json ? JSON.stringify(json) : text });
    const isJson = response.headers.get("content-type") === "application/json";
    return { status: response.status, data: await (isJson ? response.json() : response.blob()) };
  } catch {
    return { status: 0 };
  }
}

/** Whether a page of that host can only be on the machine that the server is on. */
export const isLoopback = (host) => /^(.+\.)?localhost$|^127\.|^\[::1\]$/.test(host);
