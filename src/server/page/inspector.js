// The frame inspector: every frame of this page's socket, with time, direction, type and size.

import { $, bytes, h, json } from "./dom.js";

const LIMIT = 2_000;
// Often enough to look alive, seldom enough to leave the answer its frames.
const EVERY_MS = 120;
const encoder = new TextEncoder();

export class Inspector {
  #frames = [];
  #fresh = [];
  #paused = false;
  #totals = { in: [0, 0], out: [0, 0] };
  #begin = performance.now();
  #timer = 0;

  constructor(root) {
    this.root = root;
    this.list = $("#frames", root);
    $("#filter", root).oninput = () => this.refresh();
    $("#clear", root).onclick = () => {
      this.#frames = [];
      this.refresh();
    };
    $("#pause", root).onclick = ({ currentTarget }) => {
      this.#paused = !this.#paused;
      currentTarget.setAttribute("aria-pressed", this.#paused);
      if (!this.#paused) this.refresh();
    };
  }

  add(direction, text, frame) {
    const size = encoder.encode(text).length;
    const row = { at: performance.now() - this.#begin, direction, text, frame, size };
    this.#totals[direction][0]++;
    this.#totals[direction][1] += size;
    for (const list of [this.#frames, this.#fresh]) if (list.push(row) > LIMIT) list.shift();
    if (!this.root.hidden) this.#timer ||= setTimeout(() => this.#draw(this.#paused), EVERY_MS);
  }

  /** Shows everything anew: after opening the panel, another filter, or a pause. */
  refresh() {
    this.list.replaceChildren();
    this.#fresh = [...this.#frames];
    this.#draw();
    this.list.scrollTop = this.list.scrollHeight;
  }

  #draw(onlyTotals) {
    this.#timer = clearTimeout(this.#timer);
    const { in: [framesIn, bytesIn], out: [framesOut, bytesOut] } = this.#totals;
    $("#totals", this.root).textContent = `↓ ${framesIn} frames, ${bytes(bytesIn)}   ↑ ${framesOut} frames, ${bytes(bytesOut)}`;
    if (onlyTotals) return;
    const { list } = this;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const wanted = $("#filter", this.root).value.trim().toLowerCase();
    list.append(...this.#fresh.filter(({ text }) => !wanted || text.toLowerCase().includes(wanted)).map(element));
    this.#fresh = [];
    while (list.childElementCount > LIMIT) list.firstChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

function element({ at, direction, text, frame, size }) {
  const detail = frame.delta ?? frame.code ?? frame.reason?.code ?? frame.reason ?? frame.model ?? frame.name ?? frame.title ?? frame.media_type ?? frame.message ?? "";
  const cells = {
    at: (at / 1000).toFixed(3),
    way: direction === "in" ? "↓" : "↑",
    type: String(frame.type),
    seq: String(frame.seq ?? ""),
    detail: String(detail).slice(0, 80).replaceAll("\n", "⏎"),
    size: bytes(size),
  };
  const toggle = ({ target }) => {
    if (!$("pre", target)) target.append(h("pre", { tabindex: "0" }, JSON.stringify(json(text), null, 2)));
  };
  return h("details", { class: direction, toggle }, h("summary", null, Object.entries(cells).map(([name, value]) => h("span", { class: name }, value))));
}
