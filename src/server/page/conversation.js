// A conversation, as it is kept: plain data in localStorage, shared by the tabs of this browser.
//
// An entry is a question `{ key, role: "user", text, at }` or an answer, whose key is its
// generation's id. Entries are only added and answers only grow, so two tabs merge without conflict.

import { store } from "./dom.js";

const PREFIX = "tokenwire.conversation.";
const KEPT = 10;
// Characters of base64.
const KEPT_MEDIA = 200_000;

/** A random name of ten letters and digits. */
export function randomId() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => letters[byte % 32]).join("");
}

export class Conversation {
  constructor(id = randomId(), entries = []) {
    this.id = id;
    this.entries = entries;
  }

  /** The one with the answer `key`, else the last one, else a new one. */
  static load(key) {
    const all = saved().map((id) => new Conversation(id, stored(id)));
    const last = store.get("tokenwire.last");
    return all.find((one) => (key ? one.find(key) : one.id === last)) ?? new Conversation();
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
  }

  /** Takes over what another tab has saved. Returns the entries that are new or changed here. */
  merge() {
    const changed = stored(this.id).filter((theirs) => {
      const ours = this.find(theirs.key);
      if (!ours) this.entries.push(theirs);
      else if (theirs.hidden && !ours.hidden) ours.hidden = true;
      else if (ours.state === "lost" && isFurther(theirs, ours)) Object.assign(ours, theirs);
      else return false;
      return true;
    });
    this.entries.sort((a, b) => a.at - b.at);
    return changed.map(({ key }) => this.find(key));
  }

  /** What is saved of an entry: large images and audio would take the room of everything else. */
  #kept(entry) {
    const isLarge = ({ kind, pieces }) => kind === "media" && pieces.join("").length > KEPT_MEDIA;
    if (!entry.parts?.some(isLarge)) return entry;
    return { ...entry, parts: entry.parts.map((part) => (isLarge(part) ? { ...part, pieces: [], isGone: true } : part)) };
  }

  /** Saves it, except where another tab is further. When the storage is full, older conversations make room. */
  save() {
    if (!this.entries.length) return;
    const theirs = new Map(stored(this.id).map((entry) => [entry.key, entry]));
    const entries = this.entries.map((ours) => {
      const other = theirs.get(ours.key);
      theirs.delete(ours.key);
      return other && isFurther(other, ours) ? { ...other, hidden: ours.hidden } : this.#kept(ours);
    });
    entries.push(...theirs.values());
    const others = saved().filter((id) => id !== this.id);
    if (store.get("tokenwire.last") !== this.id) {
      store.set("tokenwire.last", this.id);
      for (const id of others.splice(0, others.length - KEPT + 1)) store.set(PREFIX + id);
    }
    while (!store.set(this.storageKey, entries) && others.length) store.set(PREFIX + others.shift());
  }

  /** What was said so far, as a model reads it; tool calls only with their result. */
  messages() {
    return this.visible().flatMap(({ role, text, parts }) => (role === "user" ? [{ role, content: text }] : turns(parts)));
  }
}

function stored(id) {
  const entries = store.get(PREFIX + id);
  return Array.isArray(entries) ? entries : [];
}

/** The ids of every saved conversation, the oldest first. */
function saved() {
  const at = (id) => stored(id).at(-1)?.at ?? 0;
  return store.keys().filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length)).sort((a, b) => at(a) - at(b));
}

const isOpen = ({ state }) => state === "running" || state === "lost";
const isFurther = (a, b) => a.after > b.after || (!isOpen(a) && isOpen(b));

function turns(parts) {
  const messages = [];
  let content = "";
  let calls = [];
  let native;
  let isWhole = true;
  const flush = () => {
    if (!content && !calls.length) return;
    const tool_calls = calls.map(({ call_id, name, text }) => ({ id: call_id, type: "function", function: { name, arguments: text || "{}" } }));
    // It holds every call: with one that has no result, the provider would refuse it.
    messages.push({ role: "assistant", content: content || null, ...(calls.length && { tool_calls }), ...(isWhole && native && { native }) });
    for (const { call_id, result } of calls) messages.push({ role: "tool", tool_call_id: call_id, content: result });
    content = "";
    calls = [];
    native = undefined;
    isWhole = true;
  };
  for (const { kind, text, ...part } of parts) {
    // The native answer is the last thing that its turn says.
    if (native || (calls.length && kind === "text") || kind === "input") flush();
    if (kind === "input" && !part.dropped) messages.push({ role: "user", content: text });
    if (kind === "text" || kind === "refusal") content += text;
    else if (kind === "call" && part.result != null) calls.push({ text, ...part });
    else if (kind === "call") isWhole = false;
    else if (kind === "native") native = part.native;
  }
  flush();
  return messages;
}

/** Puts an event into an answer. */
export function apply(answer, frame) {
  const { parts } = answer;
  const call = () => {
    const { call_id, name } = frame;
    return parts.find((part) => part.call_id === call_id) ?? (parts.push({ kind: "call", text: "", call_id, name }), parts.at(-1));
  };
  const end = (state, { usage, timing, reason, by, error }) => {
    Object.assign(answer, { state, usage, timing, reason, by, error, start: undefined });
    for (const part of parts) part.waits = part.asks = false;
    answer.pending = undefined;
  };
  if (frame.delta) measure(answer, frame.seq);
  if (frame.seq) answer.after = frame.seq;
  switch (frame.type) {
    case "started":
      Object.assign(answer, { epoch: frame.epoch, model: answer.model ?? `${frame.provider}/${frame.model}`, start: undefined });
      break;
    case "text":
    case "reasoning":
    case "refusal":
      if (parts.at(-1)?.kind !== frame.type) parts.push({ kind: frame.type, text: "" });
      parts.at(-1).text += frame.delta;
      break;
    case "tool_call_delta":
      call().text += frame.delta;
      break;
    case "tool_call":
      Object.assign(call(), { text: frame.invalid ? frame.arguments : JSON.stringify(frame.arguments), whole: true });
      break;
    case "server_tool_call":
    case "server_tool_result": {
      const { call_id, name, arguments: args, result, is_error } = frame;
      const found = parts.find((part) => part.kind === "served" && part.call_id === call_id);
      const part = found ?? (parts.push({ kind: "served", call_id, name }), parts.at(-1));
      Object.assign(part, args !== undefined && { args }, result !== undefined && { result, isError: is_error });
      break;
    }
    case "citation": {
      const source = { url: frame.url, title: frame.title ?? frame.url ?? frame.quote };
      const sources = (answer.sources ??= []);
      if (source.title && !sources.some(({ url, title }) => url === source.url && title === source.title)) sources.push(source);
      break;
    }
    case "media": {
      const { index, media_type, data, url } = frame;
      const part = parts.find((one) => one.kind === "media" && one.index === index) ?? (parts.push({ kind: "media", index, media_type, url, pieces: [] }), parts.at(-1));
      if (data) part.pieces.push(data);
      break;
    }
    case "native":
      parts.push({ kind: "native", native: { provider: frame.provider, content: frame.content } });
      break;
    case "warning":
      parts.push({ kind: "warning", text: `${frame.field}: ${frame.message}` });
      break;
    case "tool_approval":
      Object.assign(call(), { asks: true });
      break;
    case "tool_decision":
      Object.assign(call(), { asks: false, denied: !frame.approved, edited: frame.arguments && JSON.stringify(frame.arguments) });
      break;
    case "tool_progress":
      Object.assign(call(), { progress: frame.message ?? [frame.progress, frame.total].filter((n) => n != null).join(" / ") });
      break;
    case "input":
      answer.pending = (answer.pending ?? []).filter(({ input_id }) => input_id !== frame.input_id);
      for (const { content } of frame.messages) {
        const text = typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
        parts.push({ kind: "input", text, dropped: frame.state === "dropped" });
      }
      break;
    case "tool_wait":
      answer.pace = undefined;
      for (const part of parts) if (frame.call_ids.includes(part.call_id)) part.waits = true;
      break;
    case "tool_result": {
      const { content, is_error } = frame;
      const result = typeof content === "string" ? content : content.map(({ text }) => text ?? "").join("");
      Object.assign(call(), { result, isError: is_error, waits: false });
      break;
    }
    case "retry":
      parts.push({ kind: "retry", attempt: frame.attempt, provider: frame.provider, continues: frame.continues, code: frame.reason.code, delay: frame.delay_ms });
      break;
    case "finished":
    case "cancelled":
    case "failed":
      end(frame.type, frame);
      break;
    case "error":
      end(["gap", "generation_not_found"].includes(frame.code) ? "lost" : "failed", { error: frame });
  }
}

/** The pace as it is seen here, from the first delta that is not only caught up on. */
function measure(answer, seq) {
  const now = Date.now();
  answer.firstAt ??= now;
  if (now > (answer.liveFrom ?? 0)) answer.pace ??= { seq, from: now };
  if (answer.pace) answer.pace.to = now;
}

/** Tokens per second, or undefined. */
export function tokensPerSecond({ usage, timing, parts, pace, after }) {
  const ms = timing?.total_ms - timing?.first_token_ms;
  if (usage && ms > 100 && !parts.some(({ kind }) => kind === "call")) return (usage.output_tokens / ms) * 1000;
  return pace?.to - pace?.from > 250 ? ((after - pace.seq) / (pace.to - pace.from)) * 1000 : undefined;
}
