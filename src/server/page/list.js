// The list of conversations: those that the server keeps, and those of which only this browser has a copy.
//
// Beside a wide page it is always there; on a narrow one it is a drawer, a modal dialog that leaves with Escape or a touch beside it.

import { call } from "./api.js";
import { copies, dropCopy, isMine, renameCopy } from "./conversation.js";
import { $, ago, h, icon } from "./dom.js";
import { keep, settings } from "./settings.js";

const PAGE = 50;
const EVERY_MS = 20_000;
const drawer = $("#list");
const wide = matchMedia("(min-width: 1000px)");

export class List {
  #kept = [];
  #next;
  #renaming;
  #isKnown = false;
  #asked = 0;
  #opened;

  /** `current()` is the conversation that is shown; `open(id)` and `begin()` show another or a new one; `renamed(id, title)`, `deleted(id)`. */
  constructor(actions) {
    this.actions = actions;
    $("#menu").onclick = () => this.toggle();
    $("#begin").onclick = () => this.#leave(actions.begin);
    $("#more").onclick = () => this.refresh(this.#next);
    drawer.onclick = ({ target }) => target === drawer && drawer.close();
    drawer.onclose = () => $("#menu").setAttribute("aria-expanded", drawer.open);
    $("#delete").onclose = ({ target }) => target.returnValue === "delete" && this.#delete(this.#opened);
    wide.onchange = () => this.#place();
    this.#place();
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    setInterval(() => document.hidden || !drawer.open || this.refresh(), EVERY_MS);
  }

  toggle() {
    const isOpen = drawer.open;
    if (wide.matches) keep({ noList: isOpen });
    if (isOpen) return drawer.close();
    if (!wide.matches) drawer.showModal();
    else this.#place();
    $("#menu").setAttribute("aria-expanded", "true");
    this.refresh();
  }

  /** Beside the page where there is room, away where there is none. */
  #place() {
    drawer.close();
    if (!wide.matches || settings.noList) return;
    // Not `show()`, which would take the focus.
    drawer.setAttribute("open", "");
    $("#menu").setAttribute("aria-expanded", "true");
  }

  #leave(then, ...what) {
    if (drawer.matches(":modal")) drawer.close();
    then(...what);
  }

  /** Asks the server again, with `cursor` for older ones. Several calls at once are one. */
  async refresh(cursor) {
    const asked = ++this.#asked;
    await new Promise((done) => setTimeout(done, 50));
    if (asked !== this.#asked) return;
    const { status, data: page } = await call("GET", `/v1/conversations?limit=${PAGE}${cursor ? `&cursor=${cursor}` : ""}`);
    if (asked !== this.#asked || status !== 200) return this.show();
    const isNew = ({ id }) => !page.data.some((one) => one.id === id);
    const end = page.data.at(-1)?.updated_at;
    // Of the newest page it takes the place; what was shown of older ones stays.
    const others = cursor ? this.#kept : this.#kept.filter(({ updated_at }) => page.next && updated_at < end);
    this.#kept = [...others.filter(isNew), ...page.data];
    if (cursor || !others.length) this.#next = page.next;
    this.#isKnown = true;
    this.show();
  }

  show() {
    if (this.#renaming) return;
    const kept = new Set(this.#kept.map(({ id }) => id));
    // While more of the server's may follow, what is not there cannot be told to be this browser's alone.
    const isAlone = this.#isKnown && !this.#next;
    const alone = copies().filter(({ id }) => !kept.has(id)).map((copy) => ({ ...copy, isAlone }));
    const all = [...this.#kept, ...alone].sort((a, b) => b.updated_at - a.updated_at);
    this.#draw(all.map((one) => this.#item(one)));
    $("#none").hidden = all.length > 0;
    $("#more").hidden = !this.#next;
  }

  /** Puts the items on the page, unless they are there as they are. Who was at one with the keyboard stays there. */
  #draw(items) {
    const shown = $("#conversations");
    if (shown.innerHTML === items.map(({ outerHTML }) => outerHTML).join("")) return;
    const { activeElement: at } = document;
    const id = at?.closest("#conversations li")?.dataset.id;
    shown.replaceChildren(...items);
    const item = id && items.find(({ dataset }) => dataset.id === id);
    if (item) [...item.querySelectorAll("button")].find(({ title }) => title === at.title)?.focus();
  }

  #item(one) {
    const { id, running, shared, updated_at, isAlone, latest } = one;
    const title = one.title || "Untitled";
    const mine = isMine(id, latest);
    const where = isAlone ? "only in this browser" : mine === undefined ? "" : mine ? "this device" : "another device";
    const button = (name, label, click) => h("button", { type: "button", class: "quiet", title: label, "aria-label": `${label}: ${title}`, click }, icon(name));
    const item = h("li", { "data-id": id, "aria-current": id === this.actions.current() ? "true" : null },
      h("button", { type: "button", class: "open", click: () => this.#leave(this.actions.open, id) },
        h("strong", null, title),
        h("span", null, running ? h("em", null, "answering") : ago(updated_at), where && ` · ${where}`, shared && " · shared")),
      h("div", null, button("edit", "Rename", () => this.#rename(item, id, title)), button("delete", "Delete", () => this.#ask(one, title))));
    return item;
  }

  #rename(item, id, title) {
    const field = h("input", { value: title, maxlength: 200, "aria-label": "Title" });
    const end = async (title) => {
      if (!this.#renaming) return;
      this.#renaming = false;
      if (title && title !== field.defaultValue) {
        renameCopy(id, title);
        const known = this.#kept.find((one) => one.id === id);
        if (known) known.title = title;
        this.actions.renamed(id, title);
        await call("PATCH", `/v1/conversations/${id}`, { json: { title } });
      }
      this.refresh();
    };
    field.onblur = () => end(field.value.trim());
    field.onkeydown = (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        end();
      }
    };
    const submit = (event) => (event.preventDefault(), end(field.value.trim()));
    this.#renaming = true;
    item.replaceChildren(h("form", { submit }, field));
    field.select();
  }

  #ask({ id, isAlone }, title) {
    this.#opened = id;
    $("#delete strong").textContent = title;
    $("#delete span").textContent = isAlone ? "Only this browser still has it." : "It goes from the server, for all your devices. An answer that runs in it is stopped.";
    $("#delete").returnValue = "";
    $("#delete").showModal();
  }

  async #delete(id) {
    const { status } = await call("DELETE", `/v1/conversations/${id}`);
    if (status !== 204 && status !== 404) return this.actions.failed("It could not be deleted: the server does not answer.");
    dropCopy(id);
    this.#kept = this.#kept.filter((one) => one.id !== id);
    this.actions.deleted(id);
    this.refresh();
  }
}
