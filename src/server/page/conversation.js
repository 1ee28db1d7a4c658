// A conversation: the answers that belong together, each with the question that it answers.
//
// The server is the source of truth as long as it keeps the conversation: its list of changes (`seq`, `epoch`) says which answers there
// are and in which order. A copy is kept in localStorage, so that a page shows at once what it has, and what nobody else has any more.
//
// An answer is plain data: `{ key, question, at, seq, mine, instead, ... }` and what `events.js` makes of its events. Answers are only
// added and only grow, so the copies of two tabs merge without conflict.

import { store } from "./dom.js";
import { partsOf, plainText, turns } from "./events.js";

const PREFIX = "tokenwire.conversation.";
const LAST = "tokenwire.last";
const KEPT = 30;
// Characters of base64.
const KEPT_MEDIA = 200_000;

/** A random name of ten letters and digits. */
export function randomId() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => letters[byte % 32]).join("");
}

export class Conversation {
  /** With `share`, a token, it is somebody else's: it is only looked at, and no copy is kept. */
  constructor(id, { title, share, seq = 0, epoch, answers = [] } = {}) {
    Object.assign(this, { id: id ?? randomId(), isNew: !id, title, share, seq, epoch, answers });
  }

  /** This browser's copy of it; an empty one if there is none. */
  static load(id) {
    return new Conversation(id, stored(id));
  }

  /** The last one that was open here, or a new one. */
  static last() {
    const id = store.get(LAST);
    return stored(id).answers.length ? Conversation.load(id) : new Conversation();
  }

  /** The one with the answer `key`; a new one with nothing else when this browser knows of none. */
  static holding(key) {
    const id = savedIds().find((id) => stored(id).answers.some((answer) => answer.key === key));
    if (id) return Conversation.load(id);
    return new Conversation(undefined, { answers: [{ key, question: [], at: Date.now(), state: "running", parts: [], after: 0 }] });
  }

  get isViewed() {
    return !!this.share;
  }

  /** Whether the server may have something of it: not of one that was just made here. */
  get mayBeKept() {
    return !this.isNew || !!this.epoch;
  }

  find(key) {
    return this.answers.find((answer) => answer.key === key);
  }

  /** What is shown: one that was asked for again takes the place of the one before, and of what had followed. */
  shown(answers = this.answers) {
    const shown = [];
    for (const answer of answers) {
      const at = answer.instead ? shown.findIndex((other) => rootOf(other) === answer.instead) : -1;
      if (at >= 0) shown.length = at;
      shown.push(answer);
    }
    return shown;
  }

  /** The answer that runs, of those that are shown the last one. */
  running() {
    return this.shown().findLast(({ state }) => state === "running");
  }

  /** Adds an answer that is started here, with `again` in place of that one. */
  begin(answer, again) {
    const question = again ? again.question : answer.question;
    const begun = { at: Date.now(), mine: true, state: "running", parts: [], after: 0, ...answer, question };
    if (again) begun.instead = rootOf(again);
    this.answers.push(begun);
    return begun;
  }

  /** What was said, as a model reads it, up to and with the question of `last`. */
  messages(last) {
    const shown = this.shown();
    const said = shown.slice(0, shown.indexOf(last) + 1).flatMap(({ question, parts }) => [...question.map(asked), ...turns(parts)]);
    return last.system ? [{ role: "system", content: last.system }, ...said] : said;
  }

  /** The answer before `last`, where the server can be expected to go on from it. */
  before(last) {
    const shown = this.shown();
    const before = shown[shown.indexOf(last) - 1];
    const isKept = before?.seq && !before.recalled && !isOpen(before);
    return isKept && (before.system || "") === (last.system || "") ? before : undefined;
  }

  /** Takes note of which list of changes it is. Another one than before has none of the places that were known. */
  meet(epoch) {
    if (this.epoch === epoch) return;
    if (this.epoch) {
      this.seq = 0;
      for (const answer of this.answers) answer.seq = undefined;
    }
    this.epoch = epoch;
  }

  /** Where a page of history begins that has all that is not known here, or not to its end. */
  get knownTo() {
    const open = this.answers.filter((answer) => answer.seq && isOpen(answer)).map(({ seq }) => seq - 1);
    return Math.min(this.seq, ...open);
  }

  /** Puts a generation that the server tells of in its place. Returns its answer. */
  admit({ id, seq, model, messages, continue_from, started_at }) {
    const known = this.find(id);
    if (known?.seq) return known;
    // What was started here and is not confirmed yet comes after what the server has.
    const waiting = this.answers.filter((answer) => answer.start && answer !== known);
    const before = this.answers.filter((answer) => answer !== known && !waiting.includes(answer));
    const place = known ? {} : this.#place(before, messages, continue_from);
    const answer = known ?? { key: id, model, at: started_at ?? Date.now(), state: "running", parts: [], after: 0, ...place };
    if (!before.length && !known) before.push(...pastOf(id, messages));
    answer.seq = seq;
    this.answers = [...before, answer, ...waiting];
    return answer;
  }

  /** What a generation asks, and whether it does so again: its messages end where a question stands that is shown. */
  #place(answers, messages, continueFrom) {
    const users = ofUser(messages);
    const shown = this.shown(answers);
    const from = shown.findIndex(({ key }) => key === continueFrom);
    const whole = [...shown.slice(0, from + 1).flatMap(saidIn), ...users];
    let said = [];
    // Where it begins is not known here.
    if (continueFrom && from < 0) shown.length = 0;
    for (const answer of shown) {
      said = [...said, ...answer.question];
      if (answer.question.length && isSame(said, whole)) return { question: answer.question, instead: rootOf(answer) };
      said.push(...inputsOf(answer));
    }
    return { question: ofUser(messages.slice(messages.findLastIndex(({ role }) => role === "assistant") + 1)) };
  }

  /** Keeps a copy, except where another tab is further. When the storage is full, older conversations make room. */
  save() {
    if (this.isViewed || this.isGone || !this.answers.length) return;
    const theirs = new Map(stored(this.id).answers.map((answer) => [answer.key, answer]));
    const answers = this.answers.map((ours) => {
      const other = theirs.get(ours.key);
      theirs.delete(ours.key);
      ours.mine ||= other?.mine;
      return other && isFurther(other, ours) ? other : lighter(ours);
    });
    answers.push(...theirs.values());
    const others = savedIds().filter((id) => id !== this.id);
    if (store.get(LAST) !== this.id) {
      store.set(LAST, this.id);
      for (const id of others.splice(0, others.length - KEPT + 1)) store.set(PREFIX + id);
    }
    const { title, seq, epoch } = this;
    while (!store.set(PREFIX + this.id, { title, seq, epoch, answers }) && others.length) store.set(PREFIX + others.shift());
  }

  /** Drops this browser's copy for good. */
  forget() {
    this.isGone = true;
    store.set(PREFIX + this.id);
  }
}

/** What this browser has a copy of, as the server's list would show it, the newest first. */
export function copies() {
  return savedIds().map((id) => {
    const { title, answers } = stored(id);
    const { at, key } = answers.at(-1);
    return { id, title: title ?? answers.flatMap(({ question }) => question)[0]?.slice(0, 60), updated_at: at, latest: key };
  }).reverse();
}

/** Whether the answer `key` of that conversation was asked for here; undefined when it is not known here. */
export const isMine = (id, key) => {
  const answer = stored(id).answers.find((answer) => answer.key === key);
  return answer && !!answer.mine;
};

export function renameCopy(id, title) {
  const copy = stored(id);
  if (copy.answers.length) store.set(PREFIX + id, { ...copy, title });
}

export const dropCopy = (id) => store.set(PREFIX + id);

function stored(id) {
  const copy = store.get(PREFIX + id);
  return Array.isArray(copy?.answers) ? copy : { answers: [] };
}

/** The ids of every copy, the oldest first. */
function savedIds() {
  const at = (id) => stored(id).answers.at(-1)?.at;
  return store.keys().filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length)).filter(at).sort((a, b) => at(a) - at(b));
}

/** A question as a message. */
export const asked = (content) => ({ role: "user", content });

const isOpen = ({ state }) => state === "running" || state === "lost";
const isFurther = (a, b) => a.after > b.after || (!isOpen(a) && isOpen(b));
const rootOf = ({ instead, key }) => instead ?? key;
const isSame = (a, b) => a.length === b.length && a.every((text, i) => text === b[i]);
const inputsOf = ({ parts }) => parts.filter(({ kind, dropped }) => kind === "input" && !dropped).map(({ text }) => text);
const saidIn = (answer) => [...answer.question, ...inputsOf(answer)];
const ofUser = (messages) => messages.filter(({ role }) => role === "user").map(({ content }) => plainText(content));

/** The answers that a generation's own messages tell of, where nothing else does any more. */
function pastOf(id, messages) {
  const past = [];
  const end = messages.findLastIndex(({ role }) => role === "assistant" || role === "tool") + 1;
  for (const message of messages.slice(0, end)) {
    const isQuestion = message.role === "user";
    if (isQuestion && !past.at(-1)?.said.length) past.at(-1)?.question.push(plainText(message.content)) ?? past.push(begin(message));
    else if (isQuestion) past.push(begin(message));
    else if (message.role !== "system") (past.at(-1) ?? (past.push(begin()), past.at(-1))).said.push(message);
  }
  return past.map(({ question, said }, i) => ({ key: `${id}.${i}`, question, at: Date.now(), state: "finished", reason: "stop", parts: partsOf(said), after: 0 }));
}

const begin = (message) => ({ question: message ? [plainText(message.content)] : [], said: [] });

/** The answer as it is kept: large images and audio would take the room of everything else. */
function lighter(answer) {
  const isLarge = ({ kind, pieces }) => kind === "media" && pieces.join("").length > KEPT_MEDIA;
  if (!answer.parts.some(isLarge)) return answer;
  return { ...answer, parts: answer.parts.map((part) => (isLarge(part) ? { ...part, pieces: [], isGone: true } : part)) };
}
