// One answer on the page: its parts as they grow, its end, and what it took.

import { Markdown } from "./markdown.js";
import { h, icon, perFrame, seconds } from "./dom.js";
import { tokensPerSecond } from "./conversation.js";

const SOURCES = { provider: "counted by the provider", partial: "partly estimated", estimated: "estimated" };
const ENDS = { finished: "Finished", cancelled: "Stopped", failed: "Failed", lost: "Interrupted" };
const REASONS = {
  length: "the length limit was reached", tool_calls: "a tool was called", content_filter: "a filter stopped it",
  refusal: "the model refused", pause: "the model paused", other: "the model stopped",
};

export class AnswerView {
  #parts = [];
  #body = h("div", { class: "parts" });
  #notice = h("div", { class: "notice" });
  #stats = h("p", { class: "stats" });
  #tools = h("div", { class: "actions" });
  #shown = "";

  /** `actions`: `retry(answer)`, `resolve(answer, call, content, isError)`, `link(answer)`, `rendered()`. */
  constructor(answer, actions) {
    this.answer = answer;
    this.actions = actions;
    this.root = h("article", { class: "answer", "data-id": answer.key, "aria-label": "Answer" },
      h("p", { class: "who" }, h("span", { class: "mark" }), answer.model ?? answer.key),
      this.#body, this.#notice, h("footer", null, this.#stats, this.#tools));
    this.update = perFrame(() => this.render());
    this.render();
  }

  render() {
    const { answer } = this;
    const running = answer.state === "running";
    answer.parts.forEach((part, i) => {
      const view = (this.#parts[i] ??= this.#add(part));
      view(part, running && i === answer.parts.length - 1);
    });
    this.root.classList.toggle("running", running);
    this.root.classList.toggle("silent", running && !answer.parts.length);
    this.root.setAttribute("aria-busy", running);
    this.#stats.replaceChildren(...this.#numbers().map((text) => h("span", null, text)));
    if (this.#shown !== answer.state) this.#end();
    this.actions.rendered();
  }

  #add(part) {
    const [node, view] = PARTS[part.kind](this);
    this.#body.append(node);
    return view;
  }

  #numbers() {
    const { state, usage, timing, firstAt, sentAt, after } = this.answer;
    const pace = tokensPerSecond(this.answer);
    const first = firstAt && sentAt ? firstAt - sentAt : timing?.first_token_ms;
    const reasoning = usage?.reasoning_tokens ? ` (${usage.reasoning_tokens} reasoning)` : "";
    const cached = usage?.cached_tokens ? ` (${usage.cached_tokens} cached)` : "";
    return [
      state !== "running" && ENDS[state],
      usage ? `${usage.input_tokens}${cached} in, ${usage.output_tokens}${reasoning} out, ${SOURCES[usage.source]}` : after > 1 && `${after - 1} events`,
      first != null && `first token ${seconds(first)}`,
      pace && `${pace.toFixed(pace < 100 ? 1 : 0)} tokens/s`,
      timing && `${seconds(timing.total_ms)} in all`,
    ].filter(Boolean);
  }

  #end() {
    const { answer, actions } = this;
    const { state, reason, error, by } = answer;
    this.#shown = state;
    const retry = (label) => h("button", { type: "button", class: "retry", click: () => actions.retry(answer) }, icon("retry"), label);
    const say = (kind, ...content) => this.#notice.replaceChildren(h("div", { class: kind, role: "status" }, ...content));
    if (state === "failed") {
      say("alert", h("div", null, h("strong", null, error.code), h("p", null, error.message)), retry("Try again"));
    } else if (state === "lost") {
      const why = error.code === "gap" ? "The server no longer has the part that follows here." : "The server does not know this answer, or no longer keeps it.";
      say("alert", h("div", null, h("strong", null, error.code), h("p", null, `${why} What had arrived is kept.`)), retry("Ask again"));
    } else if (state === "cancelled" && by !== "client") {
      say("info", by === "disconnect" ? "Stopped: nobody was here for a while." : "Stopped by the server.");
    } else if (state === "finished" && REASONS[reason] && reason !== "refusal") {
      say("info", `Ended because ${REASONS[reason]}.`);
    }
    this.#tools.replaceChildren(
      h("button", { type: "button", class: "quiet", "data-copy": "answer", "aria-label": "Copy answer", title: "Copy answer" }, icon("copy")),
      h("button", { type: "button", class: "quiet", "aria-label": "Copy link", title: "Copy a link that shows this answer live in another tab", click: () => actions.link(answer) }, icon("link")),
      state !== "running" && state !== "failed" && state !== "lost" &&
        h("button", { type: "button", class: "quiet", "aria-label": "Ask again", title: "Ask again", click: () => actions.retry(answer) }, icon("retry")) || "");
  }
}

/** For each kind of part: its node, and what shows its present state. `open`: it may still grow. */
const PARTS = {
  text: () => prose("prose"),
  refusal: () => prose("prose refusal"),

  reasoning() {
    const [body, grow] = prose("prose");
    const label = h("span", null, "Thinking");
    const root = h("details", { class: "reasoning", open: true }, h("summary", null, icon("thought"), label), body);
    let touched = false;
    root.firstChild.addEventListener("click", () => (touched = true));
    return [root, (part, open) => {
      if (!touched && root.open !== open) root.open = open;
      label.textContent = open ? "Thinking" : "Reasoning";
      grow(part, open);
    }];
  },

  retry() {
    const root = h("p", { class: "retrying" });
    return [root, ({ attempt, provider, code, delay }) => {
      root.textContent = `${code}: attempt ${attempt} at ${provider}${delay ? ` after ${seconds(delay)}` : ""}`;
    }];
  },

  call({ answer, actions }) {
    const name = h("code", null);
    const state = h("span", { class: "state" });
    const args = h("pre", { tabindex: "0", "aria-label": "Arguments" });
    const result = h("pre", { class: "result", tabindex: "0", "aria-label": "Result", hidden: true });
    const field = h("textarea", { rows: 2, spellcheck: "false", "aria-label": "Result of the tool" });
    let part;
    const send = (isError) => () => actions.resolve(answer, part, field.value, isError);
    const form = h("form", { hidden: true, submit: (event) => (event.preventDefault(), send(false)()) }, field,
      h("div", null, h("button", { class: "primary" }, "Send result"), h("button", { type: "button", click: send(true) }, "Send as error")));
    const root = h("section", { class: "call", "aria-label": "Tool call" }, h("header", null, icon("tool"), name, state), args, form, result);
    return [root, (now) => {
      part = now;
      name.textContent = part.name;
      const pretty = part.whole ? part.pretty ??= format(part.text) : part.text;
      if (args.textContent !== pretty) args.textContent = pretty;
      const answered = part.result != null;
      const waits = part.waits && !part.sent;
      if (form.hidden && waits && !field.value) field.value = actions.suggest(part);
      form.hidden = !waits;
      result.hidden = !answered;
      result.classList.toggle("bad", !!part.isError);
      if (answered && !result.textContent) result.textContent = format(part.result);
      const going = answer.state === "running" ? "writing arguments" : "not answered";
      root.dataset.state = answered ? (part.isError ? "error" : "done") : part.waits ? "waiting" : "";
      state.textContent = answered ? (part.isError ? "answered with an error" : "answered") : part.sent && part.waits ? "sending" : part.waits ? "waits for a result" : going;
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

function format(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
