// One connection to a Tokenwire server that outlives its sockets.
//
// It remembers what it watches: for each generation the last `seq` and the epoch, the `start`
// that is not answered yet, and what was asked since and is not confirmed; for each conversation
// the last change. A new socket sends all of that again. Every one of these frames may safely
// arrive twice.

import { bytes } from "./dom.js";

const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 15_000;
const OPEN_WITHIN_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const TERMINAL = ["finished", "cancelled", "failed"];
// Codes after which the same connection would end the same way.
const isFinal = (code) => [1002, 1003, 1007, 1008, 1009, 1010].includes(code) || code >= 4500;

export class Wire {
  #socket = null;
  #watched = new Map();
  #conversations = new Map();
  #attempts = 0;
  #delay = null;
  #timer = 0;
  #heartbeatMs = 25_000;
  #maxFrameBytes = 1 << 20;
  #heardAt = 0;
  #sentAt = 0;
  #pingedAt = 0;

  /**
   * `url()` and `protocols()` are asked for each socket. `onEvent(frame)` gets what concerns a watched generation, once and in
   * order; `onChange(frame)` the changes of a watched conversation, also again, and an error about it; `onError(frame)` other errors; `onFrame(direction, text, frame)` everything. `onState({ name })` tells connecting,
   * open, waiting (`until`), denied or closed (`reason`). `isDenied()` finds out whether the server wants another key.
   */
  constructor(options) {
    Object.assign(this, options);
    setInterval(() => this.#checkHealth(), 1000);
    const wake = () => document.visibilityState === "visible" && this.#wake();
    document.addEventListener("visibilitychange", wake);
    for (const event of ["online", "offline", "pageshow"]) addEventListener(event, wake);
  }

  /** Runs a generation. One that the server would close the connection for is refused here. */
  start(frame) {
    const size = new Blob([JSON.stringify(frame)]).size;
    const message = `This has ${bytes(size)} with what goes before it, and the server takes ${bytes(this.#maxFrameBytes)} at once.`;
    if (size > this.#maxFrameBytes) return this.onEvent({ type: "error", id: frame.id, code: "frame_too_large", message });
    this.#watch(frame.id, { start: frame, after: 0 });
  }

  /** Reads a generation's log after a position. */
  attach(id, after, epoch) {
    this.#watch(id, { after, epoch });
  }

  /** Stops reading it. */
  detach(id) {
    if (this.#watched.delete(id)) this.#send({ type: "detach", id });
  }

  /** Reads what the server attaches to by itself, because a watched conversation has it. A viewer may not ask for it. */
  follow(id, isViewer) {
    if (!this.#watched.has(id)) this.#watched.set(id, { unconfirmed: [], after: 0, isViewer });
  }

  /** Watches a conversation, after a position; with `share`, a token, somebody else's. */
  watch(conversation, { after, epoch, share }) {
    this.#conversations.set(conversation, { after, epoch, share });
    this.#send({ type: "watch", conversation, after, epoch, share });
  }

  /** Stops watching it. */
  unwatch(conversation) {
    if (this.#conversations.delete(conversation)) this.#send({ type: "unwatch", conversation });
  }

  /** Sends a frame about a watched generation, on every new socket again until it is confirmed. */
  ask(frame) {
    this.#watched.get(frame.id)?.unconfirmed.push(frame);
    this.#send(frame);
  }

  /** Opens a socket now, if there is none; with `anew` another one. */
  connect(anew = false) {
    clearTimeout(this.#timer);
    if (this.#socket && !anew) return;
    this.#drop();
    this.onState({ name: "connecting" });
    let socket;
    try {
      socket = new WebSocket(this.url(), this.protocols());
    } catch {
      return this.onState({ name: "closed", reason: "The key has characters that cannot be sent." });
    }
    this.#socket = socket;
    this.#sentAt = Date.now();
    let opened = false;
    const live = (handler) => (event) => socket === this.#socket && handler(event);
    socket.onopen = live(() => {
      opened = true;
      this.#attempts = this.#pingedAt = 0;
      this.#heardAt = Date.now();
      this.onState({ name: "open" });
      for (const id of this.#watched.keys()) this.#resume(id);
      for (const [conversation, position] of this.#conversations) this.#send({ type: "watch", conversation, ...position });
    });
    socket.onmessage = live(({ data }) => this.#hear(data));
    socket.onclose = live(async ({ code, reason }) => {
      this.#socket = null;
      // A browser does not tell why an upgrade was refused, so another route is asked.
      const denied = code === 4500 || (!opened && (await this.isDenied()));
      if (this.#socket) return;
      if (denied) this.onState({ name: "denied" });
      else if (isFinal(code)) this.onState({ name: "closed", reason: reason || `Closed with code ${code}.` });
      else this.#wait();
    });
  }

  #watch(id, watched) {
    this.#watched.set(id, { unconfirmed: [], ...watched });
    this.#resume(id);
  }

  #resume(id) {
    const { start, after, epoch, unconfirmed, isViewer } = this.#watched.get(id);
    if (isViewer) return;
    this.#send(start ?? { type: "attach", id, after, epoch });
    for (const frame of unconfirmed) this.#send(frame);
  }

  #wait() {
    const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts++);
    const delay = this.#delay ?? most * (0.5 + Math.random() / 2);
    this.#delay = null;
    this.onState({ name: "waiting", until: Date.now() + delay });
    this.#timer = setTimeout(() => this.connect(), delay);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify(frame);
    this.#socket.send(text);
    this.#sentAt = Date.now();
    this.onFrame("out", text, frame);
  }

  #hear(text) {
    this.#heardAt = Date.now();
    this.#pingedAt = 0;
    const frame = JSON.parse(text);
    this.onFrame("in", text, frame);
    if (frame.type === "hello") {
      this.#heartbeatMs = (frame.heartbeat_seconds || 25) * 1000;
      this.#maxFrameBytes = frame.limits.max_frame_bytes;
    } else if (frame.type === "going_away") this.#delay = frame.reconnect_in_ms;
    else if (frame.type === "error") this.#refused(frame);
    else if (frame.type === "input_accepted") this.#accepted(frame);
    else if (frame.type === "conversation") this.#change(frame);
    else if (frame.seq) this.#event(frame);
  }

  #event(frame) {
    const watched = this.#watched.get(frame.id);
    if (!watched || frame.seq <= watched.after) return;
    // What was on its way when it was asked for from its beginning.
    if (!watched.after && frame.type !== "started") return;
    watched.after = frame.seq;
    watched.start = undefined;
    if (frame.type === "started") watched.epoch = frame.epoch;
    // A decision confirms what was said about the call, a result all of it.
    if (frame.type === "tool_decision") watched.unconfirmed = watched.unconfirmed.filter(({ type, call_id }) => type === "tool_result" || call_id !== frame.call_id);
    if (frame.type === "tool_result") watched.unconfirmed = watched.unconfirmed.filter(({ call_id }) => !call_id || call_id !== frame.call_id);
    if (TERMINAL.includes(frame.type)) this.#watched.delete(frame.id);
    this.onEvent(frame);
  }

  #change(frame) {
    const position = this.#conversations.get(frame.conversation);
    if (!position) return;
    // A viewer is attached by watching alone, so a new socket reads all of it again; what was read is left out by its `seq`.
    if (!position.share) Object.assign(position, { after: frame.seq, epoch: frame.epoch });
    if (frame.change === "deleted") this.#conversations.delete(frame.conversation);
    this.onChange(frame);
  }

  #accepted({ id, input_id }) {
    const watched = this.#watched.get(id);
    if (watched) watched.unconfirmed = watched.unconfirmed.filter((asked) => asked.input_id !== input_id);
  }

  #refused(frame) {
    const watched = this.#watched.get(frame.id);
    if (this.#conversations.delete(frame.conversation)) return this.onChange(frame);
    if (watched && ["call_not_found", "already_resolved", "generation_ended"].includes(frame.code)) {
      // Somebody else was faster; the event that says so is on its way.
      watched.unconfirmed = watched.unconfirmed.filter(({ type }) => !["tool_result", "approve", "deny"].includes(type));
    } else if (frame.code === "too_late") {
      // The end of the generation tells it, too.
      if (watched) watched.unconfirmed = watched.unconfirmed.filter(({ type }) => type !== "input");
    } else if (watched && (watched.start || ["gap", "generation_not_found"].includes(frame.code))) {
      this.#watched.delete(frame.id);
      this.onEvent(frame);
    } else {
      this.onError(frame);
    }
  }

  // A socket may be dead without saying so: after something was sent, two seconds of silence are
  // worth a ping; without, the server's heartbeat is.
  #checkHealth() {
    if (!this.#socket) return;
    const now = Date.now();
    const open = this.#socket.readyState === WebSocket.OPEN;
    const quiet = this.#sentAt > this.#heardAt ? 2000 : this.#heartbeatMs;
    if (open ? this.#pingedAt && now - this.#pingedAt > PONG_WITHIN_MS : now - this.#sentAt > OPEN_WITHIN_MS) {
      this.#drop();
      this.#wait();
    } else if (open && now - this.#heardAt > quiet) {
      this.#ping();
    }
  }

  #ping() {
    if (this.#pingedAt) return;
    this.#pingedAt = Date.now();
    this.#send({ type: "ping" });
  }

  // The network is back or gone, or the page is looked at again: no timer should have to notice.
  #wake() {
    if (!this.#socket && this.#timer) this.connect();
    else if (this.#socket?.readyState === WebSocket.OPEN) this.#ping();
  }
}
