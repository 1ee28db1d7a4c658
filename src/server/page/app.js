// The playground: a conversation, a composer, and the socket between them.

import { AnswerView } from "./answer.js";
import { Conversation, apply, randomId } from "./conversation.js";
import { Inspector } from "./inspector.js";
import { Wire } from "./wire.js";
import { $, h, icon, json, store } from "./dom.js";

const TOOLS = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city, now.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}];
const EXAMPLES = [
  ["Markdown", "Headings, a list, a table and code, as they are written", "Show me what you can do.", "demo/markdown"],
  ["Reasoning", "The model thinks first; fold it away", "Think about it first: why is an answer a log?", "demo/reasoning"],
  ["Tool call", "You play the tool, the model uses your result", "What is the weather in Oslo and Lima?", "demo/markdown", true],
  ["Long answer", "Long enough to stop, reload or cut the network", "Give me a long answer, please.", "demo/markdown"],
  ["Fast", "200 tokens a second", "Give me a long answer, and be quick.", "demo/fast"],
  ["Failure", "Retries, then an error with its code", "/error overloaded", "demo/markdown"],
];

const log = $("#log");
const thread = $("#thread");
const input = $("#input");
const picker = $("#model");
const form = $("#settings form");
const inspector = new Inspector($("#inspector"));
const views = new Map();
let settings = { tools: false, toolsJson: JSON.stringify(TOOLS, null, 2), ...store.get("tokenwire.settings") };
let conversation = new Conversation();
let stick = true;

// --- The socket ---

const getKey = () => store.get("tokenwire.key", sessionStorage) ?? store.get("tokenwire.key") ?? "";

const wire = new Wire({
  url: () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`,
  protocols: () => ["tokenwire.v1", ...(getKey() ? [`tokenwire.bearer.${getKey()}`] : [])],
  isDenied: async () => [401, 403].includes((await fetchModels())?.status),
  onFrame: (direction, text, frame) => inspector.add(direction, text, frame),
  onState: showConnection,
  onError: (frame) => toast(frame.message),
  onEvent(frame) {
    const answer = conversation.find(frame.id);
    if (!answer) return;
    apply(answer, frame);
    if (answer.state === "lost") for (const entry of conversation.merge()) renew(entry);
    views.get(answer.key)?.update();
    if (answer.state !== "running") {
      announce({ finished: "The answer is complete.", cancelled: "The answer was stopped." }[answer.state] ?? `The answer failed: ${answer.error.message}`);
      save.now();
      showRunning();
    } else if (frame.type === "tool_wait") {
      announce("The model waits for the result of a tool.");
    }
    save();
  },
});

/** Saves soon, at most twice a second. */
const save = Object.assign(() => (save.timer ??= setTimeout(save.now, 500)), {
  now() {
    clearTimeout(save.timer);
    save.timer = undefined;
    conversation.save();
  },
});

function resume(answer) {
  if (answer.state !== "running") return;
  answer.liveFrom = Date.now() + 300;
  if (answer.start) wire.start(answer.start);
  else wire.attach(answer.key, answer.after, answer.epoch);
}

let connection = {};
function showConnection(state) {
  connection = state;
  const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
  const away = navigator.onLine ? "Reconnecting" : "Offline";
  const labels = { connecting: "Connecting", open: "Connected", denied: "Key needed", closed: "Disconnected", waiting: seconds > 1 ? `${away}, ${seconds} s` : away };
  const button = $("#connection");
  button.dataset.state = state.name;
  $("span:last-child", button).textContent = labels[state.name];
  button.title = { waiting: "Connect now", closed: state.reason || `Closed with code ${state.code}`, denied: "Enter a key" }[state.name] ?? "";
  $("#keybar").hidden = state.name !== "denied";
  if (state.name === "open" && !picker.options.length) fetchModels();
}
setInterval(() => connection.name === "waiting" && showConnection(connection), 500);
$("#connection").onclick = () => (connection.name === "denied" ? openSettings("key") : wire.connect());

async function fetchModels() {
  let response;
  try {
    response = await fetch("/v1/models", { headers: getKey() ? { authorization: `Bearer ${getKey()}` } : {} });
    if (response.ok) showModels((await response.json()).data.map(({ id }) => String(id)));
  } catch {}
  return response;
}

// --- Models ---

const OTHER = "\u0000other";

function showModels(ids) {
  const groups = Map.groupBy ? Map.groupBy(ids, (id) => id.split("/")[0]) : new Map([["Models", ids]]);
  const chosen = settings.model ?? ids[0];
  if (chosen && !ids.includes(chosen)) groups.set("Other", [chosen]);
  picker.replaceChildren(
    ...[...groups].map(([label, group]) => h("optgroup", { label }, group.map((id) => h("option", { value: id }, id)))),
    h("option", { value: OTHER }, "Other model …"));
  picker.value = chosen ?? OTHER;
}

const models = () => [...picker.options].map(({ value }) => value);

function chooseModel(id) {
  settings.model = id;
  keepSettings();
  if (!models().includes(id)) showModels(models().filter((value) => value !== OTHER));
  picker.value = id;
}

picker.onchange = () => {
  if (picker.value !== OTHER) return chooseModel(picker.value);
  picker.value = settings.model ?? picker.options[0].value;
  $("#other").showModal();
};
$("#other").onclose = ({ target }) => {
  const id = $("input", target).value.trim();
  if (target.returnValue === "use" && id) chooseModel(id);
};

// --- The conversation ---

const running = () => conversation.visible().findLast(({ state }) => state === "running");

function open(next) {
  for (const { key, state } of conversation.entries) if (state === "running") wire.detach(key);
  conversation = next;
  views.clear();
  show();
  for (const entry of conversation.visible()) resume(entry);
}

/** Puts every visible entry on the page, in order. */
function show() {
  const entries = conversation.visible();
  thread.replaceChildren(...entries.map((entry) => {
    if (!views.has(entry.key)) views.set(entry.key, entry.role === "user" ? question(entry) : new AnswerView(entry, actions));
    return views.get(entry.key).root;
  }));
  $("#empty").hidden = entries.length > 0;
  const last = entries.findLast(({ role }) => role !== "user");
  history.replaceState(null, "", last ? `#g=${last.key}` : location.pathname);
  showRunning();
  scroll();
}

const question = ({ text }) => ({ root: h("div", { class: "question" }, h("p", null, text)) });

/** An entry that another tab has added or changed. */
function renew(entry) {
  views.delete(entry.key);
  show();
  resume(entry);
}

function ask(text) {
  if (!text.trim() || running()) return;
  conversation.add({ key: randomId(), role: "user", text: text.trim() });
  start();
}

function start() {
  const id = randomId();
  const { system, effort, maxTokens, keep, tools, toolsJson, extra } = settings;
  const model = picker.value || settings.model || "demo/markdown";
  const messages = [...(system ? [{ role: "system", content: system }] : []), ...conversation.messagesBefore()];
  const frame = {
    type: "start", id, model, messages,
    ...(tools && { tools: json(toolsJson) }),
    ...(effort && { reasoning_effort: effort }),
    ...(maxTokens && { max_tokens: Number(maxTokens) }),
    ...(keep && { on_disconnect: "continue" }),
    ...json(extra || "{}"),
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
  resolve(answer, call, content, isError) {
    call.sent = true;
    wire.ask({ type: "tool_result", id: answer.key, call_id: call.call_id, content, ...(isError && { is_error: true }) });
    views.get(answer.key).update();
  },
  suggest({ name, text }) {
    const { city } = json(text) ?? {};
    return JSON.stringify(name === "get_weather" ? { city, temperature: 8 + (String(city).length * 7) % 20, sky: "light rain" } : { ok: true });
  },
  link: ({ key }) => copy(`${location.origin}${location.pathname}#g=${key}`, "Link copied. It shows this answer live in another tab."),
};

function stop() {
  const answer = running();
  if (answer) wire.ask({ type: "cancel", id: answer.key });
}

function showRunning() {
  const busy = !!running();
  $("#send").hidden = busy;
  $("#stop").hidden = !busy;
}

addEventListener("storage", ({ key }) => {
  if (key === conversation.storageKey) for (const entry of conversation.merge()) renew(entry);
});
addEventListener("pagehide", save.now);
document.addEventListener("visibilitychange", () => document.hidden && save.now());

function openLink() {
  const id = new URLSearchParams(location.hash.slice(1)).get("g");
  if (id && conversation.find(id)) return;
  const found = Conversation.load(id);
  // An answer of another browser: only its name is known, and the server has the rest.
  if (id && !found.entries.length) found.add({ key: id, role: "assistant", state: "running", parts: [], after: 0 });
  open(found);
}
addEventListener("hashchange", openLink);

// --- The page ---

function scroll() {
  log.scrollTop = log.scrollHeight;
}
log.addEventListener("scroll", () => {
  stick = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  $("#latest").hidden = stick;
}, { passive: true });
$("#latest").onclick = () => ((stick = true), scroll());

function announce(text) {
  $("#announce").textContent = text;
}

let toastTimer;
function toast(text) {
  $("#toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("#toast").textContent = ""), 4000);
}

async function copy(text, done = "Copied.") {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    toast("The browser does not allow copying here.");
  }
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  if (button.dataset.copy === "code") return copy($("code", button.closest(".code")).textContent);
  const { parts } = conversation.find(button.closest(".answer").dataset.id);
  copy(parts.filter(({ kind }) => kind === "text" || kind === "refusal").map(({ text }) => text).join("\n\n"));
});

$("#composer").onsubmit = (event) => {
  event.preventDefault();
  if (running()) return;
  ask(input.value);
  input.value = "";
  grow();
};
$("#stop").onclick = stop;
input.onkeydown = (event) => {
  const isPhone = matchMedia("(pointer: coarse)").matches;
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !isPhone) {
    event.preventDefault();
    $("#composer").requestSubmit();
  }
};
addEventListener("keydown", (event) => event.key === "Escape" && !$("dialog[open]") && stop());

function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 200)}px`;
}
input.oninput = grow;

$("#examples").append(...EXAMPLES.map(([title, note, text, model, tools]) =>
  h("button", {
    type: "button",
    click() {
      if (models().includes(model)) chooseModel(model);
      if (tools) setTools(true);
      ask(text);
    },
  }, h("strong", null, title), h("span", null, note))));

$("#new").onclick = () => {
  save.now();
  open(new Conversation());
  input.focus();
};

function setTools(on) {
  settings.tools = on;
  $("#tools").setAttribute("aria-pressed", on);
  keepSettings();
}
$("#tools").onclick = () => setTools(!settings.tools);

function showInspector(on) {
  $("#inspector").hidden = !on;
  $("#inspect").setAttribute("aria-pressed", on);
  document.body.classList.toggle("inspecting", on);
  if (on) inspector.refresh();
}
const isWide = matchMedia("(min-width: 1100px)");
$("#inspect").onclick = () => {
  const on = $("#inspector").hidden;
  showInspector(on);
  if (isWide.matches) keepSettings({ inspector: on });
};
$("#inspector .close").onclick = () => $("#inspect").click();

$("#theme").onclick = () => {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!settings.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  keepSettings({ theme: isDark ? "light" : "dark" });
  showTheme();
};
function showTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
}

// --- Settings ---

function keepSettings(more) {
  settings = { ...settings, ...more };
  store.set("tokenwire.settings", settings);
}

function openSettings(focus) {
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = !!settings[field.name];
    else if (field.name) field.value = settings[field.name] ?? "";
  }
  form.elements.key.value = getKey();
  form.elements.remember.checked = store.get("tokenwire.key") !== undefined;
  $("#settings").showModal();
  if (focus) form.elements[focus].focus();
}
$("#configure").onclick = () => openSettings();
$("#keybar button").onclick = () => openSettings("key");

form.oninput = () => {
  const bad = (text, fits) => (text.trim() && !fits(json(text)) ? "This is not JSON of that shape." : "");
  form.elements.toolsJson.setCustomValidity(bad(form.elements.toolsJson.value, Array.isArray));
  form.elements.extra.setCustomValidity(bad(form.elements.extra.value, (value) => value && typeof value === "object" && !Array.isArray(value)));
};
$("#settings").onclose = ({ target }) => {
  if (target.returnValue !== "save") return;
  const { key, remember, ...rest } = Object.fromEntries(new FormData(form));
  const was = getKey();
  store.set("tokenwire.key", (!remember && key) || undefined, sessionStorage);
  store.set("tokenwire.key", (remember && key) || undefined);
  keepSettings({ keep: false, ...rest });
  if (!rest.toolsJson.trim()) keepSettings({ toolsJson: JSON.stringify(TOOLS, null, 2) });
  if (key !== was || connection.name === "denied") {
    fetchModels();
    wire.connect(true);
  }
};

// The keyboard of a phone covers the page; the page then ends above it.
function fit() {
  document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
  if (stick) scroll();
}
visualViewport?.addEventListener("resize", fit);

showTheme();
setTools(settings.tools);
showInspector(isWide.matches && settings.inspector !== false);
fit();
openLink();
fetchModels();
wire.connect();
if (matchMedia("(pointer: fine)").matches) input.focus();
