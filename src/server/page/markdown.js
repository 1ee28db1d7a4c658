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

/** A growing text in `root`. Only blocks that may still change are rendered again. */
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
    const ends = [];
    let offset = this.#settled;
    for (const line of lines) ends.push((offset += line.length + 1));

    const tail = blocks.map((block, i) => {
      const old = this.#tail[i];
      block.source = lines.slice(block.from, block.to).join("\n") + (block.open ? "\0" : "");
      const node = (old && (old.block.source === block.source ? old.node : grow(old, block))) || render(block, 0);
      if (!old) this.root.append(node);
      else if (old.node !== node) old.node.replaceWith(node);
      return { block, node };
    });
    for (const { node } of this.#tail.slice(blocks.length)) node.remove();

    // A block is settled when the first line of the next one is complete: nothing that follows can change it.
    let settled = 0;
    while (settled + 1 < blocks.length && blocks[settled + 1].from < lines.length - 1) settled++;
    if (settled) this.#settled = ends[blocks[settled].from - 1];
    this.#tail = tail.slice(settled);
  }
}

/** Code that only became longer keeps its node. */
function grow({ block: old, node }, block) {
  if (old.type !== "code" || block.type !== "code" || old.lang !== block.lang || old.closed || block.closed) return null;
  if (!block.text.startsWith(old.text)) return null;
  const code = node.querySelector("code");
  if (code.firstChild?.nodeType === Node.TEXT_NODE) code.firstChild.appendData(block.text.slice(old.text.length));
  else code.textContent = block.text;
  return node;
}

function parse(lines, open) {
  const blocks = [];
  const last = lines.length - 1;
  let i = 0;
  const isTable = (at) =>
    lines[at].includes("|") &&
    ((DELIMITERS.test(lines[at + 1] ?? "") && cells(lines[at + 1]).length === cells(lines[at]).length) ||
      // A header whose delimiters are still being written.
      (open && at >= last - 1 && /^\s*\|/.test(lines[at]) && /^[\s|:-]*$/.test(lines[at + 1] ?? "")));
  const interrupts = (at) =>
    FENCE.test(lines[at]) || HEADING.test(lines[at]) || RULE.test(lines[at]) || QUOTE.test(lines[at]) ||
    /^ {0,3}([-*+]|1[.)]) +\S/.test(lines[at]) || isTable(at);

  while (i < lines.length) {
    const line = lines[i];
    const from = i;
    let match;
    if (!line.trim()) {
      i++;
    } else if ((match = FENCE.exec(line))) {
      const [, fence, lang] = match;
      const indent = line.search(/\S/);
      const body = [];
      const closes = (text) => text.trim().startsWith(fence) && !text.trim().replaceAll(fence[0], "");
      while (++i < lines.length && !closes(lines[i])) body.push(lines[i].replace(new RegExp(`^ {0,${indent}}`), ""));
      blocks.push({ type: "code", from, lang, text: body.join("\n"), closed: i++ < lines.length });
    } else if ((match = HEADING.exec(line))) {
      blocks.push({ type: "heading", from, level: match[1].length, text: match[2] ?? "" });
      i++;
    } else if (RULE.test(line)) {
      blocks.push({ type: "rule", from });
      i++;
    } else if (QUOTE.test(line)) {
      const body = [];
      while (i < lines.length && QUOTE.test(lines[i])) body.push(lines[i++].replace(QUOTE, ""));
      blocks.push({ type: "quote", from, lines: body });
    } else if (ITEM.test(line) && line.search(/\S/) < 4) {
      const list = parseList(lines, i);
      blocks.push({ type: "list", from, ...list });
      i = list.to;
    } else if (isTable(i)) {
      const align = cells(lines[i + 1] ?? "").map((c) => (c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : ""));
      const rows = [cells(line)];
      for (i += 2; i < lines.length && lines[i].includes("|"); i++) rows.push(cells(lines[i]));
      blocks.push({ type: "table", from, align, rows });
    } else {
      const body = [line];
      while (++i < lines.length && lines[i].trim() && !interrupts(i)) body.push(lines[i]);
      blocks.push({ type: "paragraph", from, text: body.join("\n").trim() });
    }
    const block = blocks.at(-1);
    if (block?.from === from) Object.assign(block, { to: i, open: open && i > last });
  }
  return blocks;
}

function parseList(lines, i) {
  const [, lead, marker] = ITEM.exec(lines[i]);
  const ordered = /\d/.test(marker);
  const items = [];
  let loose = false;
  let width = 0;
  const isItem = (line) => {
    const match = ITEM.exec(line);
    return match && match[1].length <= lead.length + 1 && /\d/.test(match[2]) === ordered ? match : null;
  };
  while (i < lines.length) {
    const line = lines[i];
    const indent = line.search(/\S/);
    const match = isItem(line);
    const inside = Math.min(width, lead.length + 2);
    if (match && !RULE.test(line)) {
      width = match[3].length > 4 ? match[1].length + match[2].length + 1 : match[0].length;
      items.push([line.slice(width)]);
    } else if (indent < 0) {
      let next = i;
      while (next < lines.length && !lines[next].trim()) next++;
      if (next === lines.length || !(isItem(lines[next]) || lines[next].search(/\S/) >= inside)) break;
      loose ||= !!isItem(lines[next]);
      items.at(-1).push("");
      i = next - 1;
    } else if (indent >= inside) {
      items.at(-1).push(line.slice(Math.min(indent, width)));
    } else if (items.at(-1).at(-1) && !FENCE.test(line) && !HEADING.test(line) && !QUOTE.test(line) && !ITEM.test(line) && !RULE.test(line)) {
      items.at(-1).push(line.trim());
    } else {
      break;
    }
    i++;
  }
  return { ordered, first: parseInt(marker, 10), items, loose, to: i };
}

const cells = (line) =>
  line
    .trim()
    .replace(/^\||(?<!\\)\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));

function render(block, depth) {
  const { open } = block;
  const nested = (lines) =>
    depth < DEEPEST ? parse(lines, open).map((inner) => render(inner, depth + 1)) : [lines.join("\n")];
  switch (block.type) {
    case "code":
      return h("figure", { class: "code" },
        h("figcaption", null, h("span", null, block.lang || "text"),
          h("button", { type: "button", class: "quiet", "data-copy": "code", "aria-label": "Copy code" }, icon("copy"), "Copy")),
        h("pre", { tabindex: "0" }, h("code", null, block.closed || !open ? highlight(block.text) : block.text)));
    case "heading":
      return h(`h${Math.min(block.level + 1, 6)}`, null, inline(block.text, open));
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", null, nested(block.lines));
    case "list":
      return h(block.ordered ? "ol" : "ul", block.ordered && block.first !== 1 ? { start: block.first } : null,
        block.items.map((lines, i) => {
          const task = /^\[([ xX])\] +/.exec(lines[0]);
          if (task) lines = [lines[0].slice(task[0].length), ...lines.slice(1)];
          const blocks = depth < DEEPEST ? parse(lines, open && i === block.items.length - 1) : [{ type: "paragraph", text: lines.join("\n") }];
          const tight = !block.loose && blocks.filter(({ type }) => type === "paragraph").length < 2;
          const children = blocks.flatMap((inner) =>
            inner.type === "paragraph" && tight ? inline(inner.text, inner.open) : [render(inner, depth + 1)]);
          const box = task && h("input", { type: "checkbox", disabled: true, checked: task[1] !== " ", "aria-label": "task" });
          return h("li", task ? { class: "task" } : null, box, children);
        }));
    case "table": {
      const row = (tag) => (texts) =>
        h("tr", null, block.rows[0].map((_, i) => h(tag, { class: block.align[i] || null }, inline(texts[i] ?? "", open))));
      return h("div", { class: "table", tabindex: "0" },
        h("table", null, h("thead", null, row("th")(block.rows[0])), h("tbody", null, block.rows.slice(1).map(row("td")))));
    }
    default:
      return h("p", null, inline(block.text, open));
  }
}

const SPECIAL = /\\([!-/:-@[-`{-~])|(`+)|(\*\*|__|~~|\*|_)|(!?\[)|<(https?:\/\/[^\s<>]+)>|(https?:\/\/[^\s<>]+)|( {2,}|\\)\n/g;
const TAGS = { "**": "strong", __: "strong", "~~": "del", "*": "em", _: "em" };

/** Text with emphasis, code and links, as nodes. With `open`, what is not closed yet counts as closed at the end. */
function inline(text, open, depth = 0) {
  const nodes = [];
  // Delimiters that have no end after this point: they are not looked for again.
  const dead = new Set();
  const special = new RegExp(SPECIAL);
  let done = 0;
  let match;
  const put = (node, to) => {
    if (match.index > done) nodes.push(text.slice(done, match.index));
    nodes.push(...[node].flat());
    special.lastIndex = done = to;
  };
  while ((match = special.exec(text))) {
    const [whole, escaped, ticks, delimiter, bracket, angle, bare, hard] = match;
    const after = special.lastIndex;
    if (escaped) {
      put(escaped, after);
    } else if (hard !== undefined) {
      put(h("br"), after);
    } else if (ticks) {
      const end = dead.has(ticks) ? -1 : closingTicks(text, after, ticks.length);
      if (end < 0) dead.add(ticks);
      if (end >= 0) put(h("code", null, text.slice(after, end).replace(/^ (.*\S.*) $/s, "$1")), end + ticks.length);
      else if (open && ticks.length === 1 && after < text.length) put(h("code", null, text.slice(after)), text.length);
    } else if (angle || bare) {
      const url = angle ?? trimUrl(bare);
      put(link(url, [url]), angle ? after : match.index + url.length);
    } else if (depth >= DEEPEST) {
      continue;
    } else if (delimiter) {
      if (!/\S/.test(text[after] ?? " ") || (delimiter[0] === "_" && /\w/.test(text[match.index - 1] ?? ""))) continue;
      const end = dead.has(delimiter) ? -1 : closing(text, after, delimiter);
      if (end < 0) dead.add(delimiter);
      const inner = end >= 0 ? text.slice(after, end) : open && delimiter.length === 2 ? text.slice(after) : "";
      if (inner) put(h(TAGS[delimiter], null, inline(inner, open && end < 0, depth + 1)), end < 0 ? text.length : end + delimiter.length);
    } else if (bracket) {
      const end = dead.has("[") ? -1 : closingBracket(text, after);
      if (end < 0) dead.add("[");
      if (end < 0 || text[end + 1] !== "(") continue;
      const target = /\(\s*<?((?:[^\s()<>]|\([^\s()]*\))*)>?(?:\s+"[^"]*")?\s*\)/y;
      target.lastIndex = end + 1;
      const found = target.exec(text);
      if (!found && !(open && !text.includes(")", end))) continue;
      const label = inline(text.slice(after, end) || whole, false, depth + 1);
      put(found ? link(found[1], label) : label, found ? target.lastIndex : text.length);
    }
  }
  if (done < text.length) nodes.push(text.slice(done));
  return nodes;
}

function closingTicks(text, from, length) {
  const run = /`+/g;
  run.lastIndex = from;
  for (let match; (match = run.exec(text)); ) if (match[0].length === length) return match.index;
  return -1;
}

function closing(text, from, delimiter) {
  const [sign] = delimiter;
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") i = Math.max(i, text.indexOf("`", i + 1));
    else if (text[i] === sign) {
      let run = 1;
      while (text[i + run] === sign) run++;
      const fits = delimiter.length === 2 ? run >= 2 : run % 2 === 1;
      const isWord = sign === "_" && /\w/.test(text[i + run] ?? "");
      if (i > from && fits && !isWord && /\S/.test(text[i - 1])) return i + run - delimiter.length;
      i += run - 1;
    }
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
  let target = null;
  try {
    target = new URL(url);
  } catch {}
  if (!["http:", "https:"].includes(target?.protocol)) return label;
  // No link inside a link.
  label = label.map((node) => (node.nodeName === "A" ? node.textContent : node));
  return h("a", { href: target.href, target: "_blank", rel: "noopener noreferrer nofollow" }, label);
}

const WORDS =
  "as async await break case catch class const continue def default do elif else enum except export extends false finally fn for from func " +
  "function if impl import in interface is let loop match mod mut new nil none not null or package pass pub raise return self static struct " +
  "super switch this throw trait true try type undefined use var void while with yield";
const CODE = new RegExp(
  String.raw`(//.*|(?<=^|\s)#.*|/\*[\s\S]*?\*/)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|` +
    "`(?:\\\\.|[^`\\\\])*`" +
    String.raw`)|\b(\d[\w.]*)|\b(${WORDS.replaceAll(" ", "|")})\b`, "gim");

/** Comments, strings, numbers and common words, in any language: enough to read by. */
function highlight(text) {
  if (text.length > 50_000) return [text];
  const nodes = [];
  let done = 0;
  for (const match of text.matchAll(CODE)) {
    const kind = ["comment", "string", "number", "word"][match.slice(1).findIndex(Boolean)];
    nodes.push(text.slice(done, match.index), h("span", { class: `t-${kind}` }, match[0]));
    done = match.index + match[0].length;
  }
  nodes.push(text.slice(done));
  return nodes;
}
