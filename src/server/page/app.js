// The playground: a list of conversations, one of them open, a composer, and the socket between them.

import { borrowKey, getKey } from "./api.js";
import { Chat } from "./chat.js";
import { Conversation } from "./conversation.js";
import { $, h } from "./dom.js";
import { Inspector } from "./inspector.js";
import { List } from "./list.js";
import { chooseModel, fetchModels, showModels } from "./models.js";
import { keep, openSettings, prepareSettings, settings } from "./settings.js";
import { Share, linkTo, readLink } from "./share.js";

// Title, what it shows, message, model, whether tools are offered.
const EXAMPLES = [
  ["Markdown", "Headings, a list, a table and code, as they are written", "Show me what you can do.", "demo/markdown"],
  ["Reasoning", "The model thinks first; fold it away", "Think about it first: why is an answer a log?", "demo/reasoning"],
  ["Tool call", "You play the tool, the model uses your result", "What is the weather in Oslo and Lima?", "demo/markdown", true],
  ["Approval", "The tool waits for your yes, and you may edit what it gets", "What is the weather in Rome?", "demo/markdown", true, { approvals: { "*": "always" } }],
  ["Long answer", "Long enough to stop, reload or cut the network", "Give me a long answer, please.", "demo/markdown"],
  ["Fast", "200 tokens a second", "Give me a long answer, and be quick.", "demo/fast"],
  ["Search", "A tool of the provider's own, with its sources", "/search web sockets", "demo/markdown"],
  ["Failure", "Retries, then an error with its code", "/error overloaded", "demo/markdown"],
];

const input = $("#input");
const isPhone = () => matchMedia("(pointer: coarse)").matches;
const inspector = new Inspector($("#inspector"));
let connection = {};

const chat = new Chat({
  isDenied: async () => (await fetchModels()) === 401,
  onFrame: (direction, text, frame) => inspector.add(direction, text, frame),
  onState: showConnection,
  onError: (frame) => toast(frame.message),
  onShown: showOpen,
  onListed: () => list.refresh(),
  onUnheard(text) {
    input.value = [text, input.value].filter(Boolean).join("\n");
    input.oninput();
  },
  onGone(conversation, wasDeleted) {
    const isShown = conversation === chat.conversation;
    if (conversation.isViewed) return showViewer(wasDeleted ? "This conversation was deleted." : "This conversation is not shared any more.");
    const copy = new Conversation(conversation.id, conversation);
    conversation.forget();
    if (isShown) chat.open(new Conversation());
    list.refresh();
    const undo = () => {
      copy.save();
      chat.open(copy);
    };
    if (wasDeleted && isShown && copy.answers.length) toast("The conversation was deleted elsewhere.", "Keep it in this browser", undo);
  },
  announce,
});

const list = new List({
  current: () => chat.conversation.id,
  open: (id) => chat.open(Conversation.load(id)),
  begin,
  renamed(id, title) {
    if (chat.conversation.id === id) chat.conversation.title = title;
    showOpen();
  },
  deleted(id) {
    if (chat.conversation.id !== id) return;
    chat.conversation.forget();
    chat.open(new Conversation());
  },
  failed: toast,
});

const share = new Share({ copy, shared: () => list.refresh() });

// --- What is open ---

function begin() {
  chat.open(new Conversation());
  input.focus();
}
$("#new").onclick = $("#own").onclick = begin;
$("#elsewhere").onclick = () => share.open(chat.conversation);

/** What depends on the conversation that is open, and on whether it runs. */
function showOpen() {
  const { conversation } = chat;
  const { id, title, share: token, isViewed } = conversation;
  const running = chat.running();
  document.title = title ? `${title} · Tokenwire` : "Tokenwire playground";
  document.body.classList.toggle("viewing", isViewed);
  $("#elsewhere").hidden = isViewed;
  $("#stop").hidden = !running;
  $("#send").setAttribute("aria-label", running ? "Add" : "Send");
  input.placeholder = !running ? "Ask anything" : isPhone() ? "Add something" : "Add something; Ctrl+Enter interrupts";
  if (isViewed) showViewer();
  else $("#viewer").hidden = true;
  const address = isViewed ? linkTo({ c: id, share: token }) : conversation.answers.length ? linkTo({ c: id }) : location.pathname;
  if (address !== location.href) history.replaceState(null, "", address);
  list.show();
}

function showViewer(problem) {
  $("#viewer").hidden = false;
  $("#viewer span").textContent = problem ?? "You are looking on: this conversation is shared with you.";
}

function openLink() {
  const { k: key, ...asked } = readLink();
  // It is not left in the address, where it could be seen, kept or passed on.
  if (key) history.replaceState(null, "", linkTo(asked));
  if (!key || key === getKey()) return openAsked(asked);
  if (!connection.name) chat.open(Conversation.last());
  $("#borrow").onclose = ({ target }) => {
    if (target.returnValue !== "use") return showOpen();
    borrowKey(key);
    fetchModels();
    chat.reconnect();
    openAsked(asked);
  };
  $("#borrow").returnValue = "";
  $("#borrow").showModal();
}

function openAsked({ c, g, share: token }) {
  const { conversation } = chat;
  if (c === conversation.id && token === conversation.share) return;
  if (g && conversation.find(g)) return;
  if (c && token) chat.open(new Conversation(c, { share: token }));
  else if (c) chat.open(Conversation.load(c));
  else chat.open(g ? Conversation.holding(g) : Conversation.last());
}
addEventListener("hashchange", openLink);
addEventListener("pagehide", () => chat.saveNow());
document.addEventListener("visibilitychange", () => document.hidden && chat.saveNow());

// --- The bar at the top ---

function showConnection(state) {
  connection = state;
  const wait = Math.ceil((state.until - Date.now()) / 1000);
  const away = navigator.onLine ? "Reconnecting" : "Offline";
  const labels = { connecting: "Connecting", open: "Connected", denied: "Key needed", closed: "Disconnected", waiting: wait > 1 ? `${away}, ${wait} s` : away };
  const button = $("#connection");
  button.dataset.state = state.name;
  button.title = state.reason ?? (state.name === "waiting" ? "Connect now" : "");
  button.lastChild.textContent = labels[state.name];
  $("#keybar").hidden = state.name !== "denied";
  if (state.name !== "open") return;
  if (!$("#model").length) fetchModels();
  list.refresh();
}
setInterval(() => connection.name === "waiting" && showConnection(connection), 500);
$("#connection").onclick = () => chat.wire.connect();

function inspect(on) {
  $("#inspector").hidden = !on;
  $("#inspect").setAttribute("aria-pressed", on);
  document.body.classList.toggle("inspecting", on);
  if (on) inspector.refresh();
}
const isWide = matchMedia("(min-width: 1100px)").matches;
$("#inspect").onclick = $("#inspector .close").onclick = () => {
  inspect($("#inspector").hidden);
  if (isWide) keep({ noInspector: $("#inspector").hidden });
};

$("#theme").onclick = () => {
  const now = settings.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  keep({ theme: now === "dark" ? "light" : "dark" });
  document.documentElement.dataset.theme = settings.theme;
};

$("#configure").onclick = () => openSettings();
$("#keybar button").onclick = () => openSettings("key");
prepareSettings((isNewKey) => {
  showModels();
  if (isNewKey) fetchModels().then(() => chat.reconnect());
});

// --- Messages to the person ---

function announce(text) {
  $("#announce").textContent = text;
}

/** Says something for a while, with `action` a button beside it. */
function toast(text = "", action, click) {
  $("#toast").replaceChildren(text, action ? h("button", { type: "button", click: () => (toast(), click()) }, action) : "");
  clearTimeout(toast.timer);
  if (text) toast.timer = setTimeout(toast, action ? 12_000 : 4000, "");
}

function copy(text, done = "Copied.") {
  const failed = () => toast("The browser does not allow copying here.");
  navigator.clipboard ? navigator.clipboard.writeText(text).then(() => toast(done), failed) : failed();
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-copy]");
  if (button?.dataset.copy === "code") return copy($("code", button.closest(".code")).textContent);
  if (!button) return;
  const { parts } = chat.conversation.find(button.closest(".answer").dataset.id);
  copy(parts.filter(({ kind }) => kind === "text" || kind === "refusal").map(({ text }) => text).join("\n\n"));
});

// --- The composer ---

function say(how) {
  how(input.value);
  input.value = "";
  input.oninput();
}
$("#composer").onsubmit = (event) => {
  event.preventDefault();
  say((text) => chat.ask(text));
};
input.oninput = () => {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
};
input.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || isPhone()) return;
  event.preventDefault();
  if (chat.running() && (event.ctrlKey || event.metaKey)) return say((text) => chat.steer(text, true));
  $("#composer").requestSubmit();
};
$("#stop").onclick = () => chat.stop();
addEventListener("keydown", ({ key, defaultPrevented }) => key === "Escape" && !defaultPrevented && !$("dialog:modal") && chat.stop());

function offerTools(tools) {
  keep({ tools });
  $("#tools").setAttribute("aria-pressed", !!tools);
}
$("#tools").onclick = () => offerTools(!settings.tools);

$("#examples").append(...EXAMPLES.map(([title, note, text, model, tools, more]) => {
  const click = () => {
    chooseModel(model);
    if (tools) offerTools(true);
    chat.ask(text, more);
  };
  return h("button", { type: "button", click }, h("strong", null, title), h("span", null, note));
}));

// The keyboard of a phone covers the page: the page then ends above it.
function fit() {
  document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
  scrollTo(0, 0);
  chat.thread.keepUp();
}
visualViewport.onresize = fit;

if (settings.theme) document.documentElement.dataset.theme = settings.theme;
offerTools(settings.tools);
inspect(isWide && !settings.noInspector);
fit();
openLink();
fetchModels();
chat.wire.connect();
if (matchMedia("(pointer: fine)").matches) input.focus();
