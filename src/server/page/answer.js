// One answer on the page: its parts as they grow, its end, and what it took.

import { tokensPerSecond } from "./events.js";
import { h, icon, json, perFrame, seconds } from "./dom.js";
import { Markdown } from "./markdown.js";

const ENDS = { finished: "Finished", cancelled: "Stopped", failed: "Failed", lost: "Interrupted" };
const SOURCES = { provider: "counted by the provider", partial: "partly estimated", estimated: "estimated" };

export class AnswerView {
  #parts = [];
  #body = h("div", { class: "parts" });
  #pending = h("div", { class: "pending" });
  #sources = h("ul", { class: "sources", "aria-label": "Sources" });
  #end = h("div", { role: "status" });
  #stats = h("p", { class: "stats" });
  #buttons = h("div", { class: "actions" });
  #shown = "";

  /**
   * `actions`: `retry(answer)`, `decide(answer, call, approve, more)`, `resolve(answer, call, content, isError)`, `suggest(call)`, `rendered()`,
   * and `isViewer()`: whether it is only looked at.
   */
  constructor(answer, actions) {
    this.answer = answer;
    this.actions = actions;
    this.model = h("p", { class: "who" });
    this.root = h("article", { class: "answer", "data-id": answer.key, "aria-label": "Answer" },
      this.model, this.#body, this.#pending, this.#sources, this.#end, h("footer", null, this.#stats, this.#buttons));
    this.update = perFrame(() => this.render());
    this.render();
  }

  render() {
    const { answer } = this;
    const { parts, state } = answer;
    const running = state === "running";
    parts.forEach((part, i) => {
      if (!this.#parts[i]) {
        const [node, show] = PARTS[part.kind](this);
        this.#body.append(node);
        this.#parts[i] = show;
      }
      this.#parts[i](part, running && i === parts.length - 1);
    });
    this.#pending.replaceChildren(...(answer.pending ?? []).map(({ text }) => h("p", null, text, h("span", null, "waits for the next turn"))));
    this.#showSources();
    this.model.textContent = answer.model ?? answer.key;
    this.root.classList.toggle("running", running);
    this.root.classList.toggle("silent", running && !parts.length);
    this.root.setAttribute("aria-busy", running);
    this.#stats.replaceChildren(...this.#numbers().filter(Boolean).map((text) => h("span", null, text)));
    if (this.#shown !== state) this.#showEnd();
    this.#shown = state;
    this.actions.rendered();
  }

  #numbers() {
    const { state, usage, timing, firstAt, sentAt, after } = this.answer;
    const pace = tokensPerSecond(this.answer);
    const first = timing ? timing.first_token_ms : firstAt && sentAt && firstAt - sentAt;
    const of = (count, name) => (count ? ` (${count} ${name})` : "");
    return [
      ENDS[state],
      usage?.cost != null && `${usage.cost.toPrecision(2)} cost`,
      usage
        ? `${usage.input_tokens}${of(usage.cached_tokens, "cached")} in, ${usage.output_tokens}${of(usage.reasoning_tokens, "reasoning")} out, ${SOURCES[usage.source]}`
        : after > 1 && `${after - 1} events`,
      first != null && `first token ${seconds(first)}`,
      pace && `${pace.toFixed(pace < 100 ? 1 : 0)} tokens/s`,
      timing && `${seconds(timing.total_ms)} in all`,
    ];
  }

  #showSources() {
    const { sources = [] } = this.answer;
    for (const { url, title } of sources.slice(this.#sources.childElementCount)) {
      const isLink = /^https?:/.test(url ?? "");
      this.#sources.append(h("li", null, isLink ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, title) : title));
    }
  }

  #showEnd() {
    const { answer, actions } = this;
    const { state, reason, error, by } = answer;
    const isBad = state === "failed" || state === "lost";
    const button = (name, label, click, more) => h("button", { type: "button", class: "quiet", title: label, "aria-label": label, click, ...more }, icon(name));
    const again = (node) => (actions.isViewer() ? "" : node);
    const retry = () => actions.retry(answer);
    let end = "";
    if (isBad) {
      const { code, message, field } = error;
      const text = state === "lost" ? "The server no longer has the rest of this answer. What had arrived is kept." : message;
      end = h("div", { class: "alert" }, h("div", null, h("strong", null, code, field && `: ${field}`), h("p", null, text)),
        again(h("button", { type: "button", class: "again", click: retry }, icon("retry"), "Try again")));
    } else if (state === "cancelled" && by !== "client") {
      end = h("p", { class: "info" }, by === "disconnect" ? "Stopped: nobody was here for a while." : "Stopped by the server.");
    } else if (state === "finished" && reason !== "stop") {
      end = h("p", { class: "info" }, `Ended early: ${reason.replace("_", " ")}.`);
    }
    this.#end.replaceChildren(end);
    this.#buttons.replaceChildren(
      button("copy", "Copy answer", null, { "data-copy": "answer" }),
      isBad ? "" : again(button("retry", "Ask again", retry, { class: "quiet again" })));
  }
}

/** For each kind of part: its node, and what shows its present state. `open`: it may still grow. */
const PARTS = {
  text: () => prose("prose"),
  refusal: () => prose("prose refusal"),

  reasoning() {
    const [body, grow] = prose("prose");
    const label = h("span");
    const root = h("details", { class: "reasoning", open: true }, h("summary", { click: () => (touched = true) }, icon("thought"), label), body);
    let touched = false;
    return [root, (part, open) => {
      if (!touched && root.open !== open) root.open = open;
      label.textContent = open ? "Thinking" : "Reasoning";
      grow(part, open);
    }];
  },

  retry() {
    const root = h("p", { class: "retrying" });
    return [root, ({ attempt, provider, continues, code, delay }) =>
      (root.textContent = `${code}: ${continues ? `${provider} goes on` : `attempt ${attempt} at ${provider}`}${delay ? ` after ${seconds(delay)}` : ""}`)];
  },

  /** What was said while the answer ran. */
  input() {
    const text = h("p");
    const root = h("div", { class: "question" }, text);
    return [root, (part) => {
      text.textContent = part.text;
      root.classList.toggle("dropped", part.dropped);
      root.title = part.dropped ? "The answer had ended" : "";
    }];
  },

  warning() {
    const root = h("p", { class: "retrying" });
    return [root, ({ text }) => (root.textContent = text)];
  },

  /** What a structured answer comes to. */
  object() {
    const state = h("span", { class: "state" });
    const value = h("pre", { tabindex: "0", "aria-label": "Value" });
    const root = h("section", { class: "call", "aria-label": "Structured answer" }, h("header", null, icon("tool"), h("code", null, "object"), state), value);
    return [root, ({ text, valid, errors }) => {
      write(value, [text, ...(errors ?? [])].join("\n"));
      root.dataset.state = valid ? "done" : "error";
      state.textContent = valid ? "fits the schema" : "does not fit the schema";
    }];
  },

  /** For the next request, not for people. */
  native: () => [h("span", { hidden: true }), () => {}],

  /** A tool of the provider's own. */
  served() {
    const name = h("code");
    const state = h("span", { class: "state" });
    const args = h("pre", { "aria-label": "Arguments" });
    const result = h("pre", { "aria-label": "Result" });
    const root = h("details", { class: "call served" }, h("summary", null, icon("tool"), name, state), args, result);
    return [root, (part) => {
      const isDone = part.result !== undefined;
      name.textContent = part.name;
      write(args, part.args == null ? "" : JSON.stringify(part.args, null, 2));
      write(result, isDone ? JSON.stringify(part.result, null, 2) : "");
      args.hidden = part.args == null;
      result.hidden = !isDone;
      root.dataset.state = isDone ? (part.isError ? "error" : "done") : "waiting";
      state.textContent = isDone ? (part.isError ? "failed at the provider" : "run by the provider") : "runs at the provider";
    }];
  },

  media({ actions }) {
    const root = h("figure", { class: "media" });
    let shown = "";
    return [root, (part, open) => {
      const state = `${part.pieces.length} ${open}`;
      if (state === shown || (open && !part.url && part.media_type.startsWith("audio/"))) return;
      shown = state;
      // An image has no height before it is decoded.
      root.replaceChildren(mediaNode(part, () => actions.rendered()));
    }];
  },

  call({ answer, actions }) {
    const name = h("code");
    const state = h("span", { class: "state" });
    const args = h("pre", { tabindex: "0", "aria-label": "Arguments" });
    const result = h("pre", { class: "result", tabindex: "0", "aria-label": "Result" });
    const field = h("textarea", { rows: 2, spellcheck: "false", "aria-label": "Result of the tool" });
    let part;
    const send = (isError) => (event) => {
      event.preventDefault();
      actions.resolve(answer, part, field.value, isError);
    };
    const form = h("form", { submit: send(false) }, field,
      h("div", null, h("button", { class: "primary" }, "Send result"), h("button", { type: "button", click: send(true) }, "Send as error")));
    const edited = h("textarea", { rows: 3, spellcheck: "false", "aria-label": "Arguments to approve" });
    edited.oninput = () => edited.setCustomValidity(json(edited.value)?.constructor === Object ? "" : "This is not a JSON object.");
    const approve = (event) => {
      event.preventDefault();
      const isEdited = edited.value !== pretty(part.text);
      actions.decide(answer, part, true, isEdited ? { arguments: json(edited.value) } : {});
    };
    const approval = h("form", { submit: approve }, edited,
      h("div", null, h("button", { class: "primary" }, "Approve"), h("button", { type: "button", click: () => actions.decide(answer, part, false, {}) }, "Deny")));
    const root = h("section", { class: "call", "aria-label": "Tool call" }, h("header", null, icon("tool"), name, state), args, approval, form, result);
    return [root, (now) => {
      part = now;
      const answered = part.result != null;
      name.textContent = part.name;
      write(args, part.whole ? pretty(part.edited ?? part.text) : part.text);
      const mayAct = !actions.isViewer();
      approval.hidden = !part.asks || !mayAct;
      args.hidden = !approval.hidden;
      if (part.asks) edited.value ||= pretty(part.text);
      write(result, answered ? pretty(part.result) : "");
      result.hidden = !answered;
      form.hidden = !part.waits || !!part.sent || !mayAct;
      if (!form.hidden) field.value ||= actions.suggest(part);
      const [kind, text] = answered
        ? part.isError ? ["error", "answered with an error"] : ["done", "answered"]
        : part.asks ? ["waiting", part.decided ? "sending" : "waits for approval"]
        : part.denied ? ["error", "denied"]
        : part.progress ? ["waiting", part.progress]
        : part.waits ? ["waiting", part.sent ? "sending" : "waits for a result"]
        : ["", answer.state === "running" ? "writing arguments" : "not answered"];
      root.dataset.state = kind;
      state.textContent = text;
    }];
  },
};

function prose(name) {
  const root = h("div", { class: name });
  const markdown = new Markdown(root);
  let shown = "";
  return [root, ({ text }, open) => {
    const state = `${text.length} ${open}`;
    if (state !== shown) markdown.update(text, open);
    shown = state;
  }];
}

function mediaNode({ media_type, url, pieces, isGone }, load) {
  if (isGone) return h("p", { class: "info" }, `${media_type}, too large to be kept here`);
  // Nothing is loaded from elsewhere by itself: whoever wants it follows the link.
  if (!pieces.length) return /^https?:/.test(url ?? "") ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, media_type) : h("span", null, media_type);
  const src = URL.createObjectURL(bytesOf(media_type, pieces));
  if (media_type.startsWith("image/")) return h("img", { src, alt: "An image that the model made", load });
  if (media_type.startsWith("audio/")) return h("audio", { src, controls: true });
  return h("a", { href: src, download: "" }, media_type);
}

/** Audio without a header is 16-bit mono at 24 kHz, as models send it: it gets the header of a WAV file. */
function bytesOf(type, pieces) {
  const bytes = pieces.map((piece) => Uint8Array.from(atob(piece), (letter) => letter.charCodeAt(0)));
  if (!/^audio\/(pcm|pcm16|l16)\b/i.test(type)) return new Blob(bytes, { type });
  const size = bytes.reduce((sum, { length }) => sum + length, 0);
  const rate = Number(/rate=(\d+)/.exec(type)?.[1] ?? 24000);
  const header = new DataView(new ArrayBuffer(44));
  const word = (at, text) => [...text].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF"), word(8, "WAVEfmt "), word(36, "data");
  for (const [at, value] of [[4, size + 36], [16, 16], [24, rate], [28, rate * 2], [40, size]]) header.setUint32(at, value, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) header.setUint16(at, value, true);
  return new Blob([header, ...bytes], { type: "audio/wav" });
}

const pretty = (text) => {
  const value = json(text);
  return value === undefined ? text : JSON.stringify(value, null, 2);
};

/** Leaves a node alone that shows this already, so that a selection in it stays. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
