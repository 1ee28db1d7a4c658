// Building nodes. Strings become text nodes and never HTML.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: `h("p", { class: "note" }, "text", child)`. Functions become listeners, `true` an empty attribute. */
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

/** An icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Calls `work` once in the next animation frame, however often it is asked for. */
export function perFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

export const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`);

export const bytes = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`);

/** Parsed JSON, or undefined. */
export function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Storage that may be full, blocked or absent: then nothing is kept, and the page works on. */
export const store = {
  get: (key, area = localStorage) => {
    try {
      return json(area.getItem(key)) ?? undefined;
    } catch {
      return undefined;
    }
  },
  set: (key, value, area = localStorage) => {
    try {
      if (value === undefined) area.removeItem(key);
      else area.setItem(key, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  },
};
