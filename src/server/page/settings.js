// What this browser is set to, and the dialog that changes it.

import { getKey, isKeyRemembered, setKey } from "./api.js";
import { $, json, store } from "./dom.js";

const KEY = "tokenwire.settings";
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = JSON.stringify(
  [{ type: "function", function: { name: "get_weather", description: "The weather in a city, now.", parameters } }], null, 2);

/** Read by all; changed by `keep` only. */
export const settings = { toolsJson: TOOLS, ...store.get(KEY) };

export function keep(changes) {
  Object.assign(settings, changes);
  store.set(KEY, settings);
}

const form = $("#settings form");

/** Opens the dialog at the field `focus`. */
export function openSettings(focus) {
  const values = { ...settings, key: getKey(), remember: isKeyRemembered() };
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = !!values[field.name];
    else if (field.name) field.value = values[field.name] ?? "";
  }
  $("#settings").showModal();
  form.elements[focus]?.focus();
}

/** `onSaved(isNewKey)` is called after each change. */
export function prepareSettings(onSaved) {
  form.oninput = () => {
    for (const field of [form.elements.toolsJson, form.elements.extra]) {
      field.setCustomValidity(typeof json(field.value || "{}") === "object" ? "" : "This is not JSON.");
    }
  };
  $("#settings").onclose = ({ target }) => {
    if (target.returnValue !== "save") return;
    const { key, remember, away, ...rest } = Object.fromEntries(new FormData(form));
    const isNewKey = key !== getKey();
    setKey(key, !!remember);
    keep({ ...rest, away: !!away, toolsJson: rest.toolsJson || TOOLS });
    onSaved(isNewKey);
  };
}
