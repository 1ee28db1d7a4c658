// The frame inspector: every frame of this page's socket, with time, direction, type and size.

import { $, bytes, h, json, perFrame } from "./dom.js";

const LIMIT = 2_000;
const encoder = new TextEncoder();

export class Inspector {
  #frames = [];
  #fresh = [];
  #rows = [];
  #paused = false;
  #totals = { in: { frames: 0, bytes: 0 }, out: { frames: 0, bytes: 0 } };
  #begin = performance.now();
  #render = perFrame(() => this.#draw());

  constructor(root) {
    this.root = root;
    this.list = $("#frames", root);
    $("#filter", root).addEventListener("input", () => this.refresh());
    $("#clear", root).addEventListener("click", () => {
      this.#frames = [];
      this.refresh();
    });
    $("#pause", root).addEventListener("click", ({ currentTarget }) => {
      this.#paused = !this.#paused;
      currentTarget.setAttribute("aria-pressed", this.#paused);
      if (!this.#paused) this.refresh();
    });
  }

  add(direction, text, frame) {
    const size = encoder.encode(text).length;
    const detail = frame.delta ?? frame.code ?? frame.reason?.code ?? frame.reason ?? frame.model ?? "";
    const row = { at: performance.now() - this.#begin, direction, text, type: String(frame.type), seq: frame.seq ?? "", size, detail: String(detail) };
    this.#totals[direction].frames++;
    this.#totals[direction].bytes += size;
    this.#frames.push(row);
    if (this.#frames.length > LIMIT) this.#frames.shift();
    this.#fresh.push(row);
    if (this.#fresh.length > LIMIT) this.#fresh.shift();
    if (!this.root.hidden) this.#render();
  }

  /** Shows everything anew: after opening the panel, a new filter, or a pause. */
  refresh() {
    this.list.replaceChildren();
    this.#rows = [];
    this.#fresh = [...this.#frames];
    this.#draw(true);
  }

  #draw(anew = false) {
    const total = ({ frames, bytes: size }, arrow) => `${arrow} ${frames} frames · ${bytes(size)}`;
    $("#totals", this.root).textContent = `${total(this.#totals.in, "↓")}   ${total(this.#totals.out, "↑")}`;
    if (this.#paused && !anew) return;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const wanted = $("#filter", this.root).value.trim().toLowerCase();
    const rows = this.#fresh.filter(({ text }) => !wanted || text.toLowerCase().includes(wanted)).map(element);
    this.#fresh = [];
    this.list.append(...rows);
    this.#rows.push(...rows);
    for (const row of this.#rows.splice(0, Math.max(0, this.#rows.length - LIMIT))) row.remove();
    if (atEnd || anew) this.list.scrollTop = this.list.scrollHeight;
  }
}

function element({ at, direction, text, type, seq, size, detail }) {
  const cell = (name, ...content) => h("span", { class: name }, ...content);
  return h("details", {
      class: direction,
      toggle: ({ currentTarget: row }) => {
        if (row.open && !$("pre", row)) row.append(h("pre", { tabindex: "0" }, JSON.stringify(json(text), null, 2)));
      },
    },
    h("summary", null,
      cell("at", (at / 1000).toFixed(3)),
      cell("way", direction === "in" ? "↓" : "↑"),
      cell("type", type),
      cell("seq", String(seq)),
      cell("detail", detail.slice(0, 80).replaceAll("\n", "⏎")),
      cell("size", bytes(size))));
}
