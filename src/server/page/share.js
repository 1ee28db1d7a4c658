// The dialog that takes a conversation elsewhere: to another device of one's own, or to somebody who may look on.

import { call, getKey, isLoopback } from "./api.js";
import { $, h, store } from "./dom.js";

const dialog = $("#share");
const TOKENS = "tokenwire.shared";

/** What an address of this page asks for: `c` a conversation, `share` its token, `g` an answer, `k` a key. */
export const readLink = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

/** An address that asks for it. All of it stands behind the `#`, which a browser sends to no server. */
export const linkTo = (asked, origin = location.origin) => `${origin}/#${new URLSearchParams(asked)}`;

export class Share {
  #conversation;
  #image = "";

  /** `copy(text)` puts a text into the clipboard; `shared()` is called when it was begun or ended. */
  constructor({ copy, shared }) {
    this.shared = shared;
    for (const tab of dialog.querySelectorAll("[name=how]")) tab.onchange = () => this.#show();
    $("#copy-link").onclick = () => copy($("#link").value);
    $("#make-link").onclick = () => this.#make();
    $("#end-share").onclick = () => this.#end();
    $("#link").onfocus = ({ target }) => target.select();
    dialog.onclose = () => this.#draw();
  }

  open(conversation) {
    this.#conversation = conversation;
    dialog.querySelector("[name=how]").checked = true;
    dialog.showModal();
    this.#show();
  }

  async #show() {
    // Nobody should take the link with the key for the other one while that is made.
    this.#draw();
    const isOwn = dialog.querySelector("[name=how]").checked;
    const { id } = this.#conversation;
    const token = store.get(TOKENS)?.[id];
    const hasKey = !!getKey();
    const isEmpty = !this.#conversation.answers.length;
    $("#share-note").textContent = isOwn
      ? hasKey ? "Opens this conversation with everything that you may do here. The link holds your server key: show it to nobody else." : "Opens this conversation with everything that you may do here."
      : isEmpty ? "There is nothing to look at yet. Ask something first."
      : "Whoever has the link can read this conversation, live, and change nothing." + (hasKey ? " They need a key of their own for this server." : "");
    $("#make-link").hidden = isOwn || !!token || isEmpty;
    $("#end-share").hidden = isOwn || !token;
    const { origin, warning } = await this.#origin();
    if (isOwn !== dialog.querySelector("[name=how]").checked) return;
    $("#share-warning").hidden = !warning;
    $("#share-warning").replaceChildren(...(warning ?? []));
    if (isOwn) this.#draw(linkTo({ c: id, ...(hasKey && { k: getKey() }) }, origin));
    else this.#draw(token && linkTo({ c: id, share: token }, origin));
  }

  /** Where another device finds this server: where this page was found, unless that is this machine's alone. */
  async #origin() {
    const { hostname, origin, port } = location;
    if (!isLoopback(hostname)) return { origin };
    const { data } = await call("GET", "/v1/addresses");
    if (data?.data?.length) return { origin: data.data[0] };
    const fix = h("code", null, `tokenwire serve --listen 0.0.0.0:${port || 80}`);
    return { origin, warning: ["This server listens on this machine only, so the link works in its browsers and nowhere else. For other devices, start it with ", fix, " and a key."] };
  }

  async #draw(link) {
    URL.revokeObjectURL(this.#image);
    this.#image = "";
    $("#qr").hidden = $("#link-row").hidden = !link;
    $("#link").value = link ?? "";
    if (!link) return;
    const { status, data } = await call("POST", "/v1/qr", { text: link });
    if ($("#link").value !== link) return;
    $("#qr").hidden = status !== 200;
    if (status !== 200) return;
    this.#image = URL.createObjectURL(data);
    $("#qr").src = this.#image;
  }

  async #make() {
    const { id } = this.#conversation;
    const { status, data } = await call("POST", `/v1/conversations/${id}/share`);
    if (status !== 200) return ($("#share-note").textContent = "The server does not keep this conversation any more, so it cannot be shared.");
    store.set(TOKENS, { ...store.get(TOKENS), [id]: data.token });
    this.#show();
    this.shared();
  }

  async #end() {
    const { id } = this.#conversation;
    const { status } = await call("DELETE", `/v1/conversations/${id}/share`);
    if (status !== 204 && status !== 404) return;
    const { [id]: _, ...others } = store.get(TOKENS) ?? {};
    store.set(TOKENS, others);
    this.#show();
    this.shared();
  }
}
