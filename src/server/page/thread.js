// The conversation on the page: its questions and answers in order, and whether the page follows what is written.

import { AnswerView } from "./answer.js";
import { $, h } from "./dom.js";

const log = $("#log");

export class Thread {
  #views = new Map();
  #actions;
  // Whether the page follows the answer.
  #follows = true;

  /** `actions`: those of an answer. */
  constructor(actions) {
    this.#actions = { ...actions, rendered: () => this.#follows && this.scroll() };
    log.onscroll = () => {
      this.#follows = !$("#empty").hidden || log.scrollHeight - log.scrollTop - log.clientHeight < 48;
      $("#latest").hidden = this.#follows;
    };
    $("#latest").onclick = () => this.scroll();
  }

  /** Shows these answers; those that are there already stay as they are. */
  show(answers) {
    for (const answer of answers) if (!this.#views.has(answer.key)) this.#views.set(answer.key, this.#view(answer));
    const nodes = answers.flatMap(({ key }) => this.#views.get(key).nodes);
    const thread = $("#thread");
    // What is there is not taken out and put in again: it would lose its focus and selection.
    for (const node of [...thread.children]) if (!nodes.includes(node)) node.remove();
    nodes.forEach((node, i) => thread.children[i] !== node && thread.insertBefore(node, thread.children[i] ?? null));
    $("#empty").hidden = answers.length > 0;
    this.keepUp();
  }

  #view(answer) {
    const view = new AnswerView(answer, this.#actions);
    const from = !answer.mine && answer.seq && !this.#actions.isViewer() ? h("span", null, "asked elsewhere") : "";
    const question = answer.question.length && h("div", { class: "question" }, answer.question.map((text) => h("p", null, text)), from);
    return { view, nodes: [question, view.root].filter(Boolean) };
  }

  /** Shows an answer's present state. */
  update({ key }) {
    this.#views.get(key)?.view.update();
  }

  /** Forgets how an answer was shown, for it is made of other parts now. */
  renew({ key }) {
    this.#views.delete(key);
  }

  clear() {
    this.#views.clear();
    $("#thread").replaceChildren();
    this.#follows = true;
  }

  scroll() {
    log.scrollTop = $("#empty").hidden ? log.scrollHeight : 0;
  }

  /** Scrolls to the end, where the page follows it; with `anyway` it does so from now on. */
  keepUp(anyway = false) {
    this.#follows ||= anyway;
    $("#latest").hidden = this.#follows;
    if (this.#follows) this.scroll();
  }
}
