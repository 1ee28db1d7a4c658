// Markdown to DOM nodes, while it is still being written.
//
// What a model writes is untrusted: every node is built here, text only ever becomes text, and
// links lead to http and https only. HTML in the text is shown as it stands.

import { h, icon } from "./dom.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)/;
const DELIMITERS = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const DEEPEST = 8;

/** A growing text in `root`. Only what may still change is rendered again. */
export class Markdown {
  #settled = 0;
  #tail = [];

  constructor(root) {
    this.root = root;
  }

  /** Shows `text`, which begins with what was shown before. `open`: more will follow. */
  update(text, open) {
    const lines = text.slice(this.#settled).split("\n");
    const blocks = parse(lines, open);
    const tail = blocks.map((block, i) => {
      const old = this.#tail[i];
      block.source = `${block.open} ${lines.slice(block.from, block.to).join("\n")}`;
      const node = old?.block.source === block.source ? old.node : (old && grow(old, block)) || render(block, 0);
      if (!old) this.root.append(node);
      else if (old.node !== node) old.node.replaceWith(node);
      return { block, node };
    });
    for (const { node } of this.#tail.slice(blocks.length)) node.remove();

    // Once the first line of the next block is complete, nothing that follows can change a block.
    let settled = 0;
    while (blocks[settled + 1]?.from < lines.length - 1) settled++;
    if (settled) for (const line of lines.slice(0, blocks[settled].from)) this.#settled += line.length + 1;
    this.#tail = tail.slice(settled);
  }
}

/** Code that only became longer keeps its node. */
function grow({ block: old, node }, { type, open, lang, text }) {
  if (old.type !== "code" || type !== "code" || !old.open || !open || old.lang !== lang || !text.startsWith(old.text)) return null;
  node.querySelector("code").append(text.slice(old.text.length));
  return node;
}

// --- Blocks ---

function parse(lines, open) {
  const blocks = [];
  const last = lines.length - 1;
  const isTable = (at) =>
    lines[at].includes("|") &&
    ((DELIMITERS.test(lines[at + 1] ?? "") && cells(lines[at + 1]).length === cells(lines[at]).length) ||
      // A header whose delimiters are still being written.
      (open && at >= last - 1 && /^\s*\|/.test(lines[at]) && /^[\s|:-]*$/.test(lines[at + 1] ?? "")));
  const interrupts = (at) => [FENCE, HEADING, RULE, QUOTE, /^ {0,3}([-*+]|1[.)]) +\S/].some((start) => start.test(lines[at])) || isTable(at);

  for (let i = 0; i < lines.length; ) {
    const line = lines[i];
    const from = i++;
    let block;
    let match;
    if (!line.trim()) {
      continue;
    } else if ((match = FENCE.exec(line))) {
      const [, fence, lang] = match;
      const indent = new RegExp(`^ {0,${line.search(/\S/)}}`);
      const body = [];
      const closes = (text) => text.startsWith(fence) && !text.replaceAll(fence[0], "");
      while (i < lines.length && !closes(lines[i].trim())) body.push(lines[i++].replace(indent, ""));
      const isClosed = i++ <= last;
      block = { type: "code", lang, text: body.join("\n"), open: open && !isClosed };
    } else if ((match = HEADING.exec(line))) {
      block = { type: "heading", level: match[1].length, text: match[2] ?? "" };
    } else if (RULE.test(line)) {
      block = { type: "rule" };
    } else if (QUOTE.test(line)) {
      while (QUOTE.test(lines[i] ?? "")) i++;
      block = { type: "quote", lines: lines.slice(from, i).map((text) => text.replace(QUOTE, "")) };
    } else if (ITEM.test(line)) {
      block = parseList(lines, from);
      i = block.to;
    } else if (isTable(from)) {
      const align = cells(lines[i++] ?? "").map((cell) => (/:$/.test(cell) ? (/^:/.test(cell) ? "center" : "right") : null));
      while (lines[i]?.includes("|")) i++;
      block = { type: "table", align, rows: [line, ...lines.slice(from + 2, i)].map(cells) };
    } else {
      while (lines[i]?.trim() && !interrupts(i)) i++;
      block = { type: "paragraph", text: lines.slice(from, i).join("\n").trim() };
    }
    blocks.push({ open: open && i > last, ...block, from, to: i });
  }
  return blocks;
}

function parseList(lines, i) {
  const [, lead, marker] = ITEM.exec(lines[i]);
  const ordered = /\d/.test(marker);
  const items = [];
  let loose = false;
  let width = 0;
  const itemAt = (at) => {
    const match = ITEM.exec(lines[at]);
    return match && match[1].length <= lead.length + 1 && /\d/.test(match[2]) === ordered && !RULE.test(lines[at]) && match;
  };
  for (; i < lines.length; i++) {
    const line = lines[i];
    const indent = line.search(/\S/);
    const inside = Math.min(width, lead.length + 2);
    const match = itemAt(i);
    if (match) {
      const [whole, before, sign, after] = match;
      width = after.length > 4 ? before.length + sign.length + 1 : whole.length;
      items.push([line.slice(width)]);
    } else if (indent < 0) {
      let next = i;
      while (next < lines.length && !lines[next].trim()) next++;
      if (next === lines.length || !(itemAt(next) || lines[next].search(/\S/) >= inside)) break;
      loose ||= !!itemAt(next);
      items.at(-1).push("");
      i = next - 1;
    } else if (indent >= inside) {
      items.at(-1).push(line.slice(Math.min(indent, width)));
    } else if (items.at(-1).at(-1) && ![FENCE, HEADING, QUOTE, ITEM, RULE].some((start) => start.test(line))) {
      items.at(-1).push(line.trim());
    } else {
      break;
    }
  }
  return { type: "list", ordered, first: parseInt(marker, 10), items, loose, to: i };
}

const cells = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

function render(block, depth) {
  const { type, open, text, lines } = block;
  const inner = (body, isOpen) => (depth < DEEPEST ? parse(body, isOpen) : [{ type: "paragraph", text: body.join("\n") }]);
  const deeper = (child) => render(child, depth + 1);
  switch (type) {
    case "code": {
      const copy = h("button", { type: "button", class: "quiet", "data-copy": "code", "aria-label": "Copy code" }, icon("copy"), "Copy");
      return h("figure", { class: "code" }, h("figcaption", null, block.lang || "text", copy),
        h("pre", { tabindex: "0" }, h("code", null, open ? text : highlight(text))));
    }
    case "heading":
      return h(`h${Math.min(block.level + 1, 6)}`, null, inline(text, open));
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", null, inner(lines, open).map(deeper));
    case "list": {
      const { ordered, first, items, loose } = block;
      const item = (body, i) => {
        const children = inner(body, open && i === items.length - 1);
        const tight = !loose && children.filter((child) => child.type === "paragraph").length < 2;
        return h("li", null, children.flatMap((child) => (tight && child.type === "paragraph" ? inline(child.text, child.open) : deeper(child))));
      };
      return h(ordered ? "ol" : "ul", { start: ordered && first !== 1 && first }, items.map(item));
    }
    case "table": {
      const [head, ...rows] = block.rows;
      const row = (tag) => (texts) => h("tr", null, head.map((_, i) => h(tag, { class: block.align[i] }, inline(texts[i] ?? "", open))));
      return h("div", { class: "table", tabindex: "0" }, h("table", null, h("thead", null, row("th")(head)), h("tbody", null, rows.map(row("td")))));
    }
    default:
      return h("p", null, inline(text, open));
  }
}

// --- Inside a block ---

const SPECIAL = /\\([!-/:-@[-`{-~])|(`+)|(\*\*|__|~~|\*|_)|(!?\[)|<(https?:\/\/[^\s<>]+)>|(https?:\/\/[^\s<>]+)|( {2,}|\\)\n/g;
const TARGET = /\(\s*<?((?:[^\s()<>]|\([^\s()]*\))*)>?(?:\s+"[^"]*")?\s*\)/y;
const TAGS = { "**": "strong", __: "strong", "~~": "del", "*": "em", _: "em" };

/** Text with emphasis, code and links, as nodes. With `open`, what is not closed yet is closed at the end. */
function inline(text, open, depth = 0) {
  const nodes = [];
  // What has no end from here on, and is not looked for again.
  const endless = new Set();
  const find = (what, search) => {
    const end = endless.has(what) ? -1 : search();
    if (end < 0) endless.add(what);
    return end;
  };
  const special = new RegExp(SPECIAL);
  let done = 0;
  let match;
  const put = (node, to) => {
    nodes.push(text.slice(done, match.index), ...[node].flat());
    special.lastIndex = done = to;
  };
  while ((match = special.exec(text))) {
    const [, escaped, ticks, delimiter, bracket, angle, bare, hard] = match;
    const after = special.lastIndex;
    if (open && after === text.length && (ticks || delimiter)) {
      // Too early to say what it opens.
      put([], after);
    } else if (escaped) {
      put(escaped, after);
    } else if (hard !== undefined) {
      put(h("br"), after);
    } else if (ticks) {
      const end = find(ticks, () => closingTicks(text, after, ticks.length));
      if (end >= 0) put(h("code", null, text.slice(after, end).replace(/^ (.*\S.*) $/s, "$1")), end + ticks.length);
      else if (open && ticks === "`") put(h("code", null, text.slice(after)), text.length);
    } else if (angle || bare) {
      const url = angle ?? trimUrl(bare);
      put(link(url, [url]), angle ? after : match.index + url.length);
    } else if (depth >= DEEPEST) {
      continue;
    } else if (delimiter) {
      if (!/\S/.test(text[after] ?? "") || (delimiter[0] === "_" && /\w/.test(text[match.index - 1] ?? ""))) continue;
      const end = find(delimiter, () => closing(text, after, delimiter));
      const inner = end >= 0 ? text.slice(after, end) : open && delimiter[1] ? text.slice(after) : "";
      if (inner) put(h(TAGS[delimiter], null, inline(inner, open && end < 0, depth + 1)), end < 0 ? text.length : end + delimiter.length);
    } else {
      const end = find(bracket, () => closingBracket(text, after));
      if (end < 0 || text[end + 1] !== "(") continue;
      TARGET.lastIndex = end + 1;
      const target = TARGET.exec(text);
      const label = () => inline(text.slice(after, end), false, depth + 1);
      if (target) put(link(target[1], label()), TARGET.lastIndex);
      else if (open && !text.includes(")", end)) put(label(), text.length);
    }
  }
  return [...nodes, text.slice(done)];
}

function closingTicks(text, from, length) {
  for (const { index, 0: run } of text.slice(from).matchAll(/`+/g)) if (run.length === length) return from + index;
  return -1;
}

function closing(text, from, delimiter) {
  const [sign, second] = delimiter;
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") i = Math.max(i, text.indexOf("`", i + 1));
    if (text[i] !== sign) continue;
    let run = 1;
    while (text[i + run] === sign) run++;
    const fits = second ? run >= 2 : run % 2 === 1;
    const inWord = sign === "_" && /\w/.test(text[i + run] ?? "");
    if (i > from && fits && !inWord && /\S/.test(text[i - 1])) return i + run - delimiter.length;
    i += run - 1;
  }
  return -1;
}

function closingBracket(text, from) {
  for (let i = from, depth = 0; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "[") depth++;
    else if (text[i] === "]" && depth-- === 0) return i;
  }
  return -1;
}

function trimUrl(url) {
  url = url.replace(/[.,;:!?'"*_~`\]]+$/, "");
  return url.endsWith(")") && !url.includes("(") ? trimUrl(url.slice(0, -1)) : url;
}

function link(url, label) {
  const target = URL.parse ? URL.parse(url) : URL.canParse(url) ? new URL(url) : null;
  if (!["http:", "https:"].includes(target?.protocol)) return label;
  // No link inside a link.
  label = label.map((node) => (node.nodeName === "A" ? node.textContent : node));
  return h("a", { href: target.href, target: "_blank", rel: "noopener noreferrer" }, label);
}

const WORDS =
  "as async await break case class const continue def else enum except export false fn for from func function if impl import in " +
  "interface let match mod mut new none null pub raise return self static struct switch this throw trait true try type use var void while with yield";
const TOKEN = new RegExp(
  "(//.*|(?<=^|\\s)#.*|/\\*[^]*?\\*/)|(\"(?:\\\\.|[^\"\\\\\n])*\"|'(?:\\\\.|[^'\\\\\n])*'|`(?:\\\\.|[^`\\\\])*`)|\\b(\\d[\\w.]*)|\\b(" +
    `${WORDS.replaceAll(" ", "|")})\\b`, "gim");

/** Comments, strings, numbers and common words, whatever the language: enough to read by. */
function highlight(text) {
  const nodes = [];
  let done = 0;
  for (const match of text.length < 50_000 ? text.matchAll(TOKEN) : []) {
    const kind = ["comment", "string", "number", "word"][match.slice(1).findIndex(Boolean)];
    nodes.push(text.slice(done, match.index), h("span", { class: `t-${kind}` }, match[0]));
    done = match.index + match[0].length;
  }
  return [...nodes, text.slice(done)];
}
