// Building nodes, numbers for people, and storage.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: `h("p", { class: "note" }, "text", child)`. Strings become text, never HTML; functions listeners. */
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
  const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Does `work` once in the next animation frame, however often it is called. */
export function perFrame(work) {
  let asked = false;
  return () => {
    if (!asked) requestAnimationFrame(() => ((asked = false), work()));
    asked = true;
  };
}

export const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`);

export const bytes = (n) => (n < 1000 ? `${n} B` : `${(n / 1000).toFixed(1)} kB`);

/** Parsed JSON, or undefined. */
export function json(text) {
  try {
    return JSON.parse(text);
  } catch {}
}

/** Storage that may be full, blocked or absent: then nothing is kept, and the page works on. */
export const store = {
  get: (key, area = "localStorage") => attempt(() => json(window[area].getItem(key)) ?? undefined),
  keys: () => attempt(() => Object.keys(localStorage)) ?? [],
  /** Without a value the key is removed. Returns whether it worked. */
  set: (key, value, area = "localStorage") =>
    !!attempt(() => {
      if (value === undefined) window[area].removeItem(key);
      else window[area].setItem(key, JSON.stringify(value));
      return true;
    }),
};

function attempt(access) {
  try {
    return access();
  } catch {}
}

/** How long ago that was, in a word or two. */
export function ago(at, now = Date.now()) {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}
