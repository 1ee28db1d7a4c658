// The playground: a conversation, a composer, and the socket between them.

import { AnswerView } from "./answer.js";
import { Conversation, apply, randomId } from "./conversation.js";
import { $, h, json, store } from "./dom.js";
import { Inspector } from "./inspector.js";
import { Wire } from "./wire.js";

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = [{ type: "function", function: { name: "get_weather", description: "The weather in a city, now.", parameters } }];
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

const log = $("#log");
const input = $("#input");
const picker = $("#model");
const form = $("#settings form");
const inspector = new Inspector($("#inspector"));
const views = new Map();
let settings = { toolsJson: JSON.stringify(TOOLS, null, 2), ...store.get("tokenwire.settings") };
let conversation = new Conversation();
let connection = {};
// Whether the page follows the answer.
let stick = true;

function keep(changes) {
  Object.assign(settings, changes);
  store.set("tokenwire.settings", settings);
}

// --- The socket ---

const getKey = () => store.get("tokenwire.key", "sessionStorage") ?? store.get("tokenwire.key") ?? "";

const wire = new Wire({
  url: () => `${location.origin.replace("http", "ws")}/v1/stream`,
  protocols: () => ["tokenwire.v1", ...(getKey() ? [`tokenwire.bearer.${getKey()}`] : [])],
  isDenied: async () => (await fetchModels()) === 401,
  onFrame: (direction, text, frame) => inspector.add(direction, text, frame),
  onState: showConnection,
  onError: (frame) => toast(frame.message),
  onEvent(frame) {
    const answer = conversation.find(frame.id);
    if (!answer) return;
    apply(answer, frame);
    if (answer.state === "lost") conversation.merge().forEach(renew);
    views.get(answer.key)?.update();
    if (frame.type === "tool_wait") announce("The model waits for the result of a tool.");
    if (answer.state === "running") return save();
    announce({ finished: "The answer is complete.", cancelled: "The answer was stopped." }[answer.state] ?? `The answer failed: ${answer.error.message}`);
    save.now();
    showRunning();
  },
});

/** Saves the conversation soon, at most twice a second. */
const save = () => (save.timer ??= setTimeout(save.now, 500));
save.now = () => {
  clearTimeout(save.timer);
  save.timer = undefined;
  conversation.save();
};

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
  if (state.name === "open" && !picker.length) fetchModels();
}
setInterval(() => connection.name === "waiting" && showConnection(connection), 500);
$("#connection").onclick = () => wire.connect();

// --- Models ---

const OTHER = "Other model …";

/** Fills the picker. Returns the HTTP status, or undefined without a network. */
async function fetchModels() {
  try {
    const response = await fetch("/v1/models", { headers: getKey() ? { authorization: `Bearer ${getKey()}` } : {} });
    if (response.ok) showModels((await response.json()).data.map(({ id }) => id));
    return response.status;
  } catch {}
}

function showModels(ids) {
  const chosen = settings.model || ids[0];
  picker.replaceChildren(...[...new Set([...ids, chosen, OTHER])].map((id) => h("option", { value: id }, id)));
  picker.value = chosen;
}

const models = () => [...picker.options].map(({ value }) => value).filter((id) => id !== OTHER);

function chooseModel(id) {
  keep({ model: id });
  showModels(models());
}
picker.onchange = () => {
  if (picker.value !== OTHER) return chooseModel(picker.value);
  chooseModel(settings.model);
  openSettings("model");
};

// --- The conversation ---

const running = () => conversation.visible().findLast(({ state }) => state === "running");

function open(next) {
  for (const { key, state } of conversation.entries) if (state === "running") wire.detach(key);
  conversation = next;
  views.clear();
  show();
  conversation.visible().forEach(resume);
}

function resume({ key, state, start, after, epoch }) {
  if (state !== "running") return;
  Object.assign(conversation.find(key), { liveFrom: Date.now() + 300, pace: undefined });
  if (start) wire.start(start);
  else wire.attach(key, after, epoch);
}

/** Puts every visible entry on the page, in order. */
function show() {
  const entries = conversation.visible();
  const view = (entry) => (entry.role === "user" ? { root: h("div", { class: "question" }, h("p", null, entry.text)) } : new AnswerView(entry, actions));
  for (const entry of entries) if (!views.has(entry.key)) views.set(entry.key, view(entry));
  $("#thread").replaceChildren(...entries.map(({ key }) => views.get(key).root));
  $("#empty").hidden = entries.length > 0;
  const last = entries.findLast(({ role }) => role !== "user");
  history.replaceState(null, "", last ? `#g=${last.key}` : location.pathname);
  showRunning();
  scroll();
}

/** Shows an entry that another tab has added or changed. */
function renew(entry) {
  views.delete(entry.key);
  show();
  resume(entry);
}

/** Adds to the running answer: at its next turn, or at once. */
function steer(text, interrupt) {
  const answer = running();
  if (!text.trim()) return;
  const input_id = randomId();
  (answer.pending ??= []).push({ input_id, text: text.trim() });
  wire.ask({ type: "input", id: answer.key, input_id, interrupt, messages: [{ role: "user", content: text.trim() }] });
  views.get(answer.key).update();
}

function ask(text, more) {
  if (!text.trim() || running()) return;
  conversation.add({ key: randomId(), role: "user", text: text.trim() });
  start(more);
}

function start(more) {
  const id = randomId();
  const { system, effort, away, tools, toolsJson, extra } = settings;
  const model = settings.model || picker.value || "demo/markdown";
  const frame = {
    type: "start", id, model,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...conversation.messages()],
    ...(tools && { tools: json(toolsJson) }),
    ...(effort && { reasoning_effort: effort }),
    ...(away && { on_disconnect: "continue" }),
    ...json(extra),
    ...more,
  };
  conversation.add({ key: id, role: "assistant", model, state: "running", parts: [], after: 0, sentAt: Date.now(), start: frame });
  wire.start(frame);
  stick = true;
  show();
  save.now();
  announce("The answer begins.");
}

const actions = {
  rendered: () => stick && scroll(),
  retry(answer) {
    if (running()) return;
    answer.hidden = true;
    start();
  },
  decide(answer, call, approve, more) {
    call.decided = true;
    wire.ask({ type: approve ? "approve" : "deny", id: answer.key, call_id: call.call_id, ...more });
    views.get(answer.key).update();
  },
  resolve(answer, call, content, isError) {
    call.sent = true;
    wire.ask({ type: "tool_result", id: answer.key, call_id: call.call_id, content, is_error: isError });
    views.get(answer.key).update();
  },
  suggest({ name, text }) {
    const city = String(json(text)?.city);
    return JSON.stringify(name === "get_weather" ? { city, temperature: (city.charCodeAt(0) * 7) % 30, sky: "light rain" } : { ok: true });
  },
  link: ({ key }) => copy(`${location.origin}/#g=${key}`, "Link copied. It shows this answer, live, in another tab."),
};

function stop() {
  const id = running()?.key;
  if (id) wire.ask({ type: "cancel", id });
}

function showRunning() {
  $("#stop").hidden = !running();
  input.placeholder = running() ? "Add something; Ctrl+Enter interrupts" : "Ask anything";
}

function openLink() {
  const id = new URLSearchParams(location.hash.slice(1)).get("g");
  if (id && conversation.find(id)) return;
  const found = Conversation.load(id);
  // An answer of another browser: the server has all of it.
  if (id && !found.find(id)) found.add({ key: id, role: "assistant", state: "running", parts: [], after: 0 });
  open(found);
}
addEventListener("hashchange", openLink);
addEventListener("storage", ({ key }) => key === conversation.storageKey && conversation.merge().forEach(renew));
addEventListener("pagehide", save.now);
document.addEventListener("visibilitychange", () => document.hidden && save.now());

// --- The page ---

function scroll() {
  log.scrollTop = log.scrollHeight;
}
log.onscroll = () => {
  stick = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  $("#latest").hidden = stick;
};
$("#latest").onclick = scroll;

function announce(text) {
  $("#announce").textContent = text;
}

function toast(text) {
  $("#toast").textContent = text;
  clearTimeout(toast.timer);
  if (text) toast.timer = setTimeout(toast, 4000, "");
}

function copy(text, done = "Copied.") {
  const failed = () => toast("The browser does not allow copying here.");
  navigator.clipboard ? navigator.clipboard.writeText(text).then(() => toast(done), failed) : failed();
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-copy]");
  if (button?.dataset.copy === "code") return copy($("code", button.closest(".code")).textContent);
  if (!button) return;
  const { parts } = conversation.find(button.closest(".answer").dataset.id);
  copy(parts.filter(({ kind }) => kind === "text" || kind === "refusal").map(({ text }) => text).join("\n\n"));
});

$("#composer").onsubmit = (event) => {
  event.preventDefault();
  if (running()) steer(input.value, false);
  else ask(input.value);
  input.value = "";
  input.oninput();
};
input.oninput = () => {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
};
input.onkeydown = (event) => {
  const isPhone = matchMedia("(pointer: coarse)").matches;
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || isPhone) return;
  event.preventDefault();
  if (running() && (event.ctrlKey || event.metaKey)) {
    steer(input.value, true);
    input.value = "";
    return input.oninput();
  }
  $("#composer").requestSubmit();
};
$("#stop").onclick = stop;
addEventListener("keydown", ({ key }) => key === "Escape" && !$("dialog[open]") && stop());

$("#examples").append(...EXAMPLES.map(([title, note, text, model, tools, more]) => {
  const click = () => {
    if (models().includes(model)) chooseModel(model);
    if (tools) offerTools(true);
    ask(text, more);
  };
  return h("button", { type: "button", click }, h("strong", null, title), h("span", null, note));
}));

$("#new").onclick = () => {
  save.now();
  open(new Conversation());
  input.focus();
};

function offerTools(tools) {
  keep({ tools });
  $("#tools").setAttribute("aria-pressed", !!tools);
}
$("#tools").onclick = () => offerTools(!settings.tools);

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

function openSettings(focus) {
  const values = { ...settings, key: getKey(), remember: store.get("tokenwire.key") };
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = !!values[field.name];
    else if (field.name) field.value = values[field.name] ?? "";
  }
  $("#settings").showModal();
  form.elements[focus]?.focus();
}
$("#configure").onclick = () => openSettings();
$("#keybar button").onclick = () => openSettings("key");

form.oninput = () => {
  for (const field of [form.elements.toolsJson, form.elements.extra]) {
    field.setCustomValidity(typeof json(field.value || "{}") === "object" ? "" : "This is not JSON.");
  }
};
$("#settings").onclose = ({ target }) => {
  if (target.returnValue !== "save") return;
  const { key, remember, away, ...rest } = Object.fromEntries(new FormData(form));
  const isNew = key !== getKey();
  store.set("tokenwire.key", remember ? undefined : key || undefined, "sessionStorage");
  store.set("tokenwire.key", (remember && key) || undefined);
  keep({ ...rest, away: !!away, toolsJson: rest.toolsJson || JSON.stringify(TOOLS, null, 2) });
  showModels(models());
  if (isNew) fetchModels().then(() => wire.connect(true));
};

// The keyboard of a phone covers the page: the page then ends above it.
function fit() {
  document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
  scrollTo(0, 0);
  if (stick) scroll();
}
visualViewport.onresize = fit;

if (settings.theme) document.documentElement.dataset.theme = settings.theme;
offerTools(settings.tools);
inspect(isWide && !settings.noInspector);
fit();
openLink();
fetchModels();
wire.connect();
if (matchMedia("(pointer: fine)").matches) input.focus();
