import { memo, type ReactNode, useMemo } from "react";

/**
 * The Markdown that models write, as React elements: no HTML of the model's gets into the page. The text is cut into
 * blocks, and a block that has not changed does not render, so a long answer costs no more per token than a short one.
 */
export function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => blocksOf(text), [text]);
  return (
    <div className="markdown">
      {blocks.map((block, at) => (
        <Block key={at} text={block} />
      ))}
    </div>
  );
}

/** Cuts at blank lines, but not within a fence. */
function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  let isInFence = false;
  for (const piece of text.split(/\n{2,}/)) {
    const continues = isInFence;
    if ((piece.match(/^ {0,3}```/gm)?.length ?? 0) % 2) isInFence = !isInFence;
    if (continues) blocks[blocks.length - 1] += `\n\n${piece}`;
    else if (piece.trim()) blocks.push(piece);
  }
  return blocks;
}

const Block = memo(function Block({ text }: { text: string }) {
  return <>{elementsOf(text.split("\n"))}</>;
});

const MARK = /^(?: {0,3})(?:(#{1,6}) |(```)|(> ?)|([-*+] )|(\d+[.)] )|(\|)|((?:[-*_] *){3,}$))/;

/** The elements of a block's lines: lines that begin alike belong together. */
function elementsOf(lines: string[]): ReactNode[] {
  const elements: ReactNode[] = [];
  for (let at = 0; at < lines.length;) {
    const from = at++;
    const line = lines[from]!;
    const [, heading, fence, quote, bullet, number, row, rule] = MARK.exec(line) ?? [];
    const take = (belongs: (line: string) => boolean) => {
      while (at < lines.length && belongs(lines[at]!)) at++;
      return lines.slice(from, at);
    };
    if (rule) elements.push(<hr key={from} />);
    else if (heading) elements.push(headingOf(heading.length, line.trim().slice(heading.length + 1), from));
    else if (fence) {
      const code = take((line) => !/^ {0,3}```/.test(line)).slice(1);
      at++;
      elements.push(
        <pre key={from} tabIndex={0}>
          <code>{code.join("\n")}</code>
        </pre>,
      );
    } else if (quote) {
      const quoted = take((line) => line.startsWith(">")).map((line) => line.replace(/^ {0,3}> ?/, ""));
      elements.push(<blockquote key={from}>{elementsOf(quoted)}</blockquote>);
    } else if (bullet || number) {
      const items = itemsOf(
        take((line) => /^( {2,}|\t)/.test(line) || MARK.exec(line)?.[bullet ? 4 : 5] !== undefined),
      );
      elements.push(
        bullet ? (
          <ul key={from}>{items}</ul>
        ) : (
          <ol key={from} start={parseInt(number!)}>
            {items}
          </ol>
        ),
      );
    } else if (row)
      elements.push(
        tableOf(
          take((line) => line.trimStart().startsWith("|")),
          from,
        ),
      );
    else elements.push(<p key={from}>{inline(take((line) => line.trim() !== "" && !MARK.test(line)).join("\n"))}</p>);
  }
  return elements;
}

function headingOf(level: number, text: string, key: number): ReactNode {
  // The page has its h1 and h2.
  const Heading = `h${Math.min(level + 2, 6)}` as "h3";
  return <Heading key={key}>{inline(text)}</Heading>;
}

function itemsOf(lines: string[]): ReactNode[] {
  const items: string[][] = [];
  for (const line of lines) {
    if (/^( {2,}|\t)/.test(line)) items.at(-1)?.push(line.trimStart());
    else items.push([line.replace(/^ {0,3}(?:[-*+]|\d+[.)]) /, "")]);
  }
  return items.map(([first = "", ...rest], at) => (
    <li key={at}>
      {inline(first)}
      {elementsOf(rest)}
    </li>
  ));
}

function tableOf(lines: string[], key: number): ReactNode {
  const rows = lines.map((line) =>
    line
      .trim()
      .replace(/^\||\|$/g, "")
      .split(/(?<!\\)\|/),
  );
  const [head = [], , ...body] = rows;
  const cells = (row: string[], Cell: "th" | "td") =>
    row.map((cell, at) => <Cell key={at}>{inline(cell.trim().replaceAll("\\|", "|"))}</Cell>);
  return (
    <div key={key} className="table" tabIndex={0}>
      <table>
        <thead>
          <tr>{cells(head, "th")}</tr>
        </thead>
        <tbody>
          {body.map((row, at) => (
            <tr key={at}>{cells(row, "td")}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const INLINE = /`([^`\n]+)`|\*\*(.+?)\*\*|(?<![\w*])[*_](?=\S)(.+?)[*_](?!\w)|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)/gs;

function inline(text: string): ReactNode[] {
  const nodes: ReactNode[] = [];
  let end = 0;
  for (const { 0: all, index, 1: code, 2: strong, 3: soft, 4: link, 5: href } of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, index));
    end = index + all.length;
    if (code) nodes.push(<code key={index}>{code}</code>);
    else if (strong) nodes.push(<strong key={index}>{inline(strong)}</strong>);
    else if (soft) nodes.push(<em key={index}>{inline(soft)}</em>);
    else
      nodes.push(
        <a key={index} href={href} target="_blank" rel="noreferrer">
          {link}
        </a>,
      );
  }
  nodes.push(text.slice(end));
  return nodes;
}
