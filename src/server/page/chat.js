// What is open: a conversation, the socket that keeps it live, and what is said in it from here.
//
// ```text
//   watch ──► changes (which answers there are) ─┐
//   history ─► answers whose events are gone    ─┼─► Conversation ──► Thread
//   attach ──► events of each answer            ─┘         └──► copy in this browser
// ```

import { call, getKey } from "./api.js";
import { Conversation, asked, randomId } from "./conversation.js";
import { json } from "./dom.js";
import { apply, recall } from "./events.js";
import { chosenModel } from "./models.js";
import { settings } from "./settings.js";
import { Thread } from "./thread.js";
import { Wire } from "./wire.js";

const PAGE = 200;
const ENDS = { finished: "The answer is complete.", cancelled: "The answer was stopped." };

export class Chat {
  conversation = new Conversation();
  // The one that is shown, and those in which an answer still runs.
  #open = new Map();
  // What was said here while an answer ran and the model has not heard: `input_id` to the answer's key and the text.
  #unheard = new Map();
  #timer = 0;

  /**
   * `onFrame`, `onState`, `onError`, `isDenied`: as of `Wire`. `onShown()`: another conversation, or something else runs in it.
   * `onUnheard(text)`: what was said came too late for the answer, which did not come to its end. `onListed()`: the list of conversations may have changed. `onGone(conversation, wasDeleted)`: it was taken away elsewhere.
   * `announce(text)` is read out.
   */
  constructor(options) {
    Object.assign(this, options);
    const { onFrame, onError, isDenied } = options;
    this.thread = new Thread({
      isViewer: () => this.conversation.isViewed,
      retry: (answer) => this.#start(answer.question, answer),
      decide: (answer, call, approve, more) => {
        call.decided = true;
        this.#tell(answer, { type: approve ? "approve" : "deny", call_id: call.call_id, ...more });
      },
      resolve: (answer, call, content, isError) => {
        call.sent = true;
        this.#tell(answer, { type: "tool_result", call_id: call.call_id, content, is_error: isError });
      },
      suggest({ name, text }) {
        const city = String(json(text)?.city);
        return JSON.stringify(name === "get_weather" ? { city, temperature: (city.charCodeAt(0) * 7) % 30, sky: "light rain" } : { ok: true });
      },
    });
    this.wire = new Wire({
      url: () => `${location.origin.replace("http", "ws")}/v1/stream`,
      protocols: () => ["tokenwire.v1", ...(getKey() ? [`tokenwire.bearer.${getKey()}`] : [])],
      onState: (state) => {
        if (state.name === "open") this.#catchUp(this.conversation);
        this.onState(state);
      },
      onEvent: (frame) => void this.#event(frame),
      onChange: (frame) => this.#change(frame),
      onFrame, onError, isDenied,
    });
  }

  running() {
    return this.conversation.running();
  }

  // --- What is open ---

  /** Shows a conversation and keeps it live. Answers that run in the one before go on. */
  open(next) {
    const before = this.conversation;
    this.saveNow();
    this.wire.unwatch(before.id);
    if (!before.running() || before.isViewed) this.#leave(before);
    const isLive = this.#open.has(next.id);
    const conversation = this.#open.get(next.id) ?? next;
    this.conversation = conversation;
    this.#open.set(conversation.id, conversation);
    this.thread.clear();
    this.#show();
    const { id, seq: after, epoch, share } = conversation;
    this.wire.watch(id, share ? { share } : { after, epoch });
    if (!isLive) conversation.shown().forEach((answer) => this.#resume(answer));
    this.#catchUp(conversation);
  }

  /** The key is another one, and so is whoever asks. */
  reconnect() {
    this.wire.connect(true);
  }

  #leave(conversation) {
    this.#open.delete(conversation.id);
    for (const { key } of conversation.answers) this.wire.detach(key);
  }

  #resume(answer) {
    if (answer.state !== "running" || this.conversation.isViewed) return;
    Object.assign(answer, { liveFrom: Date.now() + 300, pace: undefined });
    if (answer.start) this.wire.start(answer.start);
    else this.wire.attach(answer.key, answer.after, answer.epoch);
  }

  #show() {
    this.thread.show(this.conversation.shown());
    this.onShown();
  }

  /** Reads the pages of history that say what the socket does not: titles, and answers whose events are gone. */
  async #catchUp(conversation) {
    const { id, share } = conversation;
    if (!conversation.mayBeKept) return;
    for (let after = conversation.knownTo; after !== undefined; ) {
      const { status, data: page } = await call("GET", `/v1/conversations/${id}?limit=${PAGE}&after=${after}`, { share });
      if (status !== 200 || this.#open.get(id) !== conversation) return;
      const isAnother = after > 0 && conversation.epoch !== page.epoch;
      conversation.meet(page.epoch);
      conversation.title = page.title;
      if (!isAnother) for (const entry of page.data) this.#recall(conversation, entry);
      after = isAnother ? 0 : page.next;
    }
    this.saveNow();
    if (conversation === this.conversation) this.#show();
  }

  #recall(conversation, entry) {
    const answer = conversation.admit(entry);
    const isLost = answer.state === "lost";
    // Nothing was seen of it, or the rest cannot be had: then what is left of it counts.
    if (entry.state !== "running" && (isLost || (answer.state === "running" && !answer.after))) recall(answer, entry);
    else if (isLost) {
      Object.assign(answer, { state: "running", parts: [], after: 0, epoch: undefined, error: undefined });
      this.wire.attach(answer.key, 0);
    } else return;
    this.thread.renew(answer);
  }

  #change(frame) {
    const conversation = this.#open.get(frame.conversation);
    if (!conversation) return;
    if (frame.type === "error" || frame.change === "deleted") {
      this.#leave(conversation);
      return this.onGone(conversation, frame.change === "deleted");
    }
    conversation.meet(frame.epoch);
    conversation.seq = Math.max(conversation.seq, frame.seq);
    if (frame.change === "renamed") conversation.title = frame.title;
    if (frame.change === "generation") {
      const answer = conversation.admit(frame);
      if (answer.state === "running" || answer.recalled) this.wire.follow(answer.key, conversation.isViewed);
      if (conversation === this.conversation) this.#show();
    }
    this.#save();
    this.onListed();
  }

  async #event(frame) {
    const conversation = [...this.#open.values()].find((one) => one.find(frame.id));
    if (!conversation) return;
    const answer = conversation.find(frame.id);
    if (frame.field === "continue_from") return this.#startWhole(conversation, answer);
    if (frame.type === "input" && frame.state === "applied") this.#unheard.delete(frame.input_id);
    // Its log is gone, and what is left of it is shown already.
    if (frame.type === "error" && answer.state !== "running") return;
    const isShown = () => conversation === this.conversation;
    if (answer.recalled) this.thread.renew(answer);
    apply(answer, frame);
    if (frame.type === "started" && isShown()) this.#show();
    // The rest cannot be read where it was; before that is said, history is asked.
    if (answer.state === "lost") await this.#catchUp(conversation);
    if (isShown()) this.thread.update(answer);
    if (frame.type === "tool_wait" || frame.type === "tool_approval") this.announce("The model waits for you.");
    if (answer.state === "running") return this.#save();
    if (isShown()) this.announce(ENDS[answer.state] ?? `The answer failed: ${answer.error.message}`);
    conversation.save();
    if (!isShown() && !conversation.running()) this.#leave(conversation);
    if (isShown()) this.onShown();
    this.onListed();
    if (isShown()) this.#sayAgain(answer);
  }

  /** What the model did not hear is asked next; after an answer that was stopped or failed, who said it may think again. */
  #sayAgain({ key, state }) {
    const unheard = [...this.#unheard].filter(([, said]) => said.key === key);
    for (const [input_id] of unheard) this.#unheard.delete(input_id);
    const text = unheard.map(([, said]) => said.text).join("\n");
    if (text && state === "finished") this.ask(text);
    else if (text) this.onUnheard(text);
  }

  /** Saves soon, at most twice a second. */
  #save() {
    this.#timer ||= setTimeout(() => this.saveNow(), 500);
  }

  saveNow() {
    this.#timer = clearTimeout(this.#timer);
    for (const conversation of this.#open.values()) conversation.save();
  }

  // --- What is said ---

  /** Asks, with `more` fields of a start frame. While an answer runs, it is steered. */
  ask(text, more) {
    if (!text.trim() || this.conversation.isViewed) return;
    if (this.running()) this.steer(text, false);
    else this.#start([text.trim()], undefined, more);
  }

  /** Adds to the running answer: at its next turn, or at once. */
  steer(text, interrupt) {
    const answer = this.running();
    if (!text.trim() || !answer) return;
    const input_id = randomId();
    (answer.pending ??= []).push({ input_id, text: text.trim() });
    this.#unheard.set(input_id, { key: answer.key, text: text.trim() });
    this.#tell(answer, { type: "input", input_id, interrupt, messages: [{ role: "user", content: text.trim() }] });
  }

  stop() {
    const answer = !this.conversation.isViewed && this.running();
    if (answer) this.wire.ask({ type: "cancel", id: answer.key });
  }

  #tell(answer, frame) {
    this.wire.ask({ id: answer.key, ...frame });
    this.thread.update(answer);
  }

  #start(question, again, more) {
    const { conversation } = this;
    if (this.running() || conversation.isViewed) return;
    const { system, effort, away, tools, toolsJson, extra } = settings;
    const model = chosenModel();
    const answer = conversation.begin({ key: randomId(), question, model, system, sentAt: Date.now() }, again);
    const before = conversation.before(answer);
    answer.start = {
      type: "start", id: answer.key, model, conversation: conversation.id,
      ...(before ? { continue_from: before.key, messages: answer.question.map(asked) } : { messages: conversation.messages(answer) }),
      ...(tools && { tools: json(toolsJson) }),
      ...(effort && { reasoning_effort: effort }),
      ...(away && { on_disconnect: "continue" }),
      ...json(extra),
      ...more,
    };
    this.wire.start(answer.start);
    this.#show();
    this.thread.keepUp(true);
    this.saveNow();
    this.announce("The answer begins.");
  }

  /** The server has nothing to go on from any more: this page says what was said. */
  #startWhole(conversation, answer) {
    const { continue_from: _, ...start } = answer.start;
    answer.start = { ...start, messages: conversation.messages(answer) };
    this.wire.start(answer.start);
  }
}
