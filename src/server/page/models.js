// The picker of models.

import { call } from "./api.js";
import { $, h } from "./dom.js";
import { keep, openSettings, settings } from "./settings.js";

const OTHER = "Other model …";
const picker = $("#model");

const models = () => [...picker.options].map(({ value }) => value).filter((id) => id !== OTHER);

/** Fills the picker. Returns the HTTP status, 0 without a network. */
export async function fetchModels() {
  const { status, data } = await call("GET", "/v1/models");
  if (status === 200) showModels(data.data.map(({ id }) => id));
  return status;
}

export function showModels(ids = models()) {
  const chosen = settings.model || ids[0];
  picker.replaceChildren(...[...new Set([...ids, chosen, OTHER])].map((id) => h("option", { value: id }, id)));
  picker.value = chosen;
}

/** Chooses a model, if the server has it. */
export function chooseModel(id) {
  if (!models().includes(id)) return;
  keep({ model: id });
  showModels();
}

export const chosenModel = () => settings.model || picker.value || "demo/markdown";

picker.onchange = () => {
  if (picker.value !== OTHER) return chooseModel(picker.value);
  showModels();
  openSettings("model");
};
