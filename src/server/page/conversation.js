// A conversation, as it is kept: plain data in localStorage, shared by the tabs of this browser.
//
// An entry is a question `{ key, role: "user", text, at }` or an answer, whose key is its
// generation's id. Entries are only added and answers only grow, so two tabs merge without a conflict.

import { store } from "./dom.js";

const PREFIX = "tokenwire.conversation.";
const KEPT = 10;

/** A random name of `length` letters and digits. */
export function randomId(length = 10) {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte % 32]).join("");
}

export class Conversation {
  constructor(id = randomId(), entries = []) {
    this.id = id;
    this.entries = entries;
  }

  /** The one with the answer `key`, or the last one, or a new one. */
  static load(key) {
    const ids = saved().map(({ id }) => id);
    const last = store.get("tokenwire.last");
    for (const id of key ? ids : [last]) {
      const entries = store.get(PREFIX + id);
      if (Array.isArray(entries) && (!key || entries.some((entry) => entry.key === key))) return new Conversation(id, entries);
    }
    return new Conversation();
  }

  get storageKey() {
    return PREFIX + this.id;
  }

  visible() {
    return this.entries.filter(({ hidden }) => !hidden);
  }

  find(key) {
    return this.entries.find((entry) => entry.key === key);
  }

  add(entry) {
    this.entries.push({ at: Date.now(), ...entry });
    return this.entries.at(-1);
  }

  /** Takes over what another tab has saved. Returns the entries that are new or changed here. */
  merge() {
    const changed = [];
    for (const theirs of this.#stored()) {
      const ours = this.find(theirs.key);
      if (!ours) changed.push(theirs) && this.entries.push(theirs);
      else if (theirs.hidden && !ours.hidden) changed.push(Object.assign(ours, { hidden: true }));
      else if (ours.state === "lost" && isFurther(theirs, ours)) changed.push(Object.assign(ours, theirs));
    }
    this.entries.sort((a, b) => a.at - b.at);
    return changed;
  }

  /** Saves it, where another tab is not further already. When the storage is full, older conversations make room. */
  save() {
    if (!this.entries.length) return;
    const stored = new Map(this.#stored().map((entry) => [entry.key, entry]));
    const entries = this.entries.map((ours) => {
      const theirs = stored.get(ours.key);
      stored.delete(ours.key);
      return theirs && isFurther(theirs, ours) ? { ...theirs, hidden: ours.hidden } : ours;
    });
    entries.push(...stored.values());
    const isNew = store.get("tokenwire.last") !== this.id;
    if (isNew) store.set("tokenwire.last", this.id);
    const others = () => saved().filter(({ id }) => id !== this.id);
    if (isNew) for (const { id } of others().slice(0, 1 - KEPT)) store.set(PREFIX + id);
    if (store.set(this.storageKey, entries)) return;
    for (const { id } of others()) store.set(PREFIX + id);
    store.set(this.storageKey, entries);
  }

  #stored() {
    const entries = store.get(this.storageKey);
    return Array.isArray(entries) ? entries : [];
  }

  /** The messages before an entry, as a model reads them: what was said, and calls that have a result. */
  messagesBefore(key) {
    const messages = [];
    for (const entry of this.visible()) {
      if (entry.key === key) break;
      if (entry.role === "user") messages.push({ role: "user", content: entry.text });
      else messages.push(...turns(entry.parts));
    }
    return messages;
  }
}

function isFurther(a, b) {
  return a.after > b.after || (a.state !== "running" && a.state !== "lost" && (b.state === "running" || b.state === "lost"));
}

/** Every saved conversation, the oldest first. */
function saved() {
  let keys = [];
  try {
    keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {}
  return keys
    .map((key) => ({ id: key.slice(PREFIX.length), at: store.get(key)?.at?.(-1)?.at ?? 0 }))
    .sort((a, b) => a.at - b.at);
}

function turns(parts) {
  const messages = [];
  let content = "";
  let calls = [];
  const flush = () => {
    if (!content && !calls.length) return;
    const tool_calls = calls.map(({ call_id, name, text }) => ({ id: call_id, type: "function", function: { name, arguments: text || "{}" } }));
    messages.push({ role: "assistant", content: content || null, ...(calls.length && { tool_calls }) });
    for (const { call_id, result } of calls) messages.push({ role: "tool", tool_call_id: call_id, content: result });
    content = "";
    calls = [];
  };
  for (const part of parts) {
    if (part.kind === "text" || part.kind === "refusal") {
      if (calls.length) flush();
      content += part.text;
    } else if (part.kind === "call" && part.result != null) {
      calls.push(part);
    }
  }
  flush();
  return messages;
}

/** Puts an event into an answer. */
export function apply(answer, frame) {
  const { parts } = answer;
  const part = (kind, found, fresh) => parts.findLast?.(found) ?? (parts.push({ kind, text: "", ...fresh }), parts.at(-1));
  const call = () => part("call", ({ call_id }) => call_id === frame.call_id, { call_id: frame.call_id, name: frame.name });
  const now = Date.now();
  if (frame.delta) measure(answer, frame, now);
  if (frame.seq) answer.after = frame.seq;
  switch (frame.type) {
    case "started":
      Object.assign(answer, { epoch: frame.epoch, model: answer.model ?? `${frame.provider}/${frame.model}`, start: undefined });
      break;
    case "text":
    case "reasoning":
    case "refusal": {
      const last = parts.at(-1);
      if (last?.kind === frame.type) last.text += frame.delta;
      else parts.push({ kind: frame.type, text: frame.delta });
      break;
    }
    case "tool_call_delta":
      call().text += frame.delta;
      break;
    case "tool_call":
      Object.assign(call(), { text: frame.invalid ? frame.arguments : JSON.stringify(frame.arguments), whole: true });
      break;
    case "tool_wait":
      for (const waiting of parts) if (frame.call_ids.includes(waiting.call_id)) waiting.waits = true;
      break;
    case "tool_result": {
      const content = typeof frame.content === "string" ? frame.content : frame.content.map(({ text }) => text ?? "").join("");
      Object.assign(call(), { result: content, isError: frame.is_error, waits: false });
      break;
    }
    case "retry":
      parts.push({ kind: "retry", attempt: frame.attempt, provider: frame.provider, code: frame.reason.code, delay: frame.delay_ms });
      break;
    case "finished":
    case "cancelled":
    case "failed":
      Object.assign(answer, { state: frame.type, usage: frame.usage, timing: frame.timing, reason: frame.reason, by: frame.by, error: frame.error });
      break;
    case "error": {
      const lost = ["gap", "generation_not_found"].includes(frame.code);
      const { code, message, retryable } = frame;
      Object.assign(answer, { state: lost ? "lost" : "failed", error: { code, message, retryable }, start: undefined });
    }
  }
  if (answer.state !== "running") for (const one of parts) one.waits = false;
}

/** Pace, as it is seen here: only deltas that follow another within a second, and nothing that is only caught up on. */
function measure(answer, { seq }, now) {
  answer.firstAt ??= now;
  if (now - answer.deltaAt < 1000 && now > (answer.liveFrom ?? 0)) {
    answer.paceTokens = (answer.paceTokens ?? 0) + seq - answer.after;
    answer.paceMs = (answer.paceMs ?? 0) + now - answer.deltaAt;
  }
  answer.deltaAt = now;
}

/** Tokens per second, or undefined. */
export function tokensPerSecond({ usage, timing, parts, paceTokens, paceMs }) {
  const ms = timing?.total_ms - timing?.first_token_ms;
  if (usage && ms > 100 && !parts.some(({ kind }) => kind === "call")) return (usage.output_tokens / ms) * 1000;
  return paceMs > 250 ? (paceTokens / paceMs) * 1000 : undefined;
}
