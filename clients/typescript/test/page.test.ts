// The built package in a page, in a headless Chromium.

import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startBrowser } from "../../../tests/browser/harness.mjs";
import type { Run, Tokenwire } from "../src/index.js";
import { demo, useServer } from "./support.js";

type Browser = Awaited<ReturnType<typeof startBrowser>>;
type Page = Awaited<ReturnType<Browser["newPage"]>>;

declare global {
  /** What the page has. */
  interface Window {
    tw: Tokenwire;
    /** Starts a generation, and shows its text as it comes. */
    show(request: Parameters<Tokenwire["start"]>[0]): Run;
    run: Run;
    sockets: number;
    longTasks: number[];
  }
}

const PAGE = `
  import { Tokenwire } from "../dist/index.js";
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longTasks.push(duration);
  }).observe({ type: "longtask" });
  window.sockets = 0;
  const Native = WebSocket;
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given);
      sockets++;
    }
  };
  window.tw = new Tokenwire(new URLSearchParams(location.search).get("server"));
  window.show = (request) => {
    window.run = tw.start(request);
    const node = document.createElement("pre");
    document.body.append(node);
    run.subscribe(() => (node.textContent = run.answer.text));
    return run;
  };
`;

const { shared, connect } = useServer();
let browser: Browser;
let site: http.Server;
const pages: Page[] = [];
beforeAll(async () => {
  browser = await startBrowser();
  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: import.meta.dirname },
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const script = outputFiles[0]!.text;
  site = http.createServer((_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(
      `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module">${script}</script>`,
    );
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
});
afterEach(async () => {
  for (const page of pages.splice(0)) await page.context().close();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
});

async function open(): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  pages.push(page);
  page.on("pageerror", (error) => {
    throw error;
  });
  const { port } = site.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/?server=${encodeURIComponent(shared.proxy.url)}`);
  await page.waitForFunction(() => window.tw);
  return page;
}

/** Starts it in the page. */
const start = (page: Page, request: ReturnType<typeof demo>) =>
  page.evaluate((request) => void window.show(request), request);
const wrote = (page: Page, length: number) =>
  page.waitForFunction((least) => window.run.answer.text.length > least, length, { polling: 20 });
const result = (page: Page) => page.evaluate(async () => (await window.run.result).text);
const expected = async (tokens: number) => (await connect().start(demo(tokens)).result).text;

test("an answer streams into the page", async () => {
  const page = await open();
  await start(page, demo(200, { tokens_per_second: 400 }));
  await wrote(page, 50);
  expect(await result(page)).toBe(await expected(200));
  expect(await page.textContent("pre")).toBe(await expected(200));
});

test("offline and back", async () => {
  const page = await open();
  await start(page, demo(600, { tokens_per_second: 300 }));
  await wrote(page, 200);
  await page.context().setOffline(true);
  shared.proxy.drop();
  await page.waitForFunction(() => window.tw.status === "waiting");
  shared.proxy.restore();
  await page.context().setOffline(false);
  expect(await result(page)).toBe(await expected(600));
  expect(await page.evaluate(() => window.sockets)).toBe(2);
});

test("a page that was frozen while its network died", async () => {
  const page = await open();
  await start(page, demo(600, { tokens_per_second: 300 }));
  await wrote(page, 200);
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  await session.send("Debugger.pause");
  shared.proxy.silence();
  // No timer runs meanwhile; so long a gap is taken for sleep.
  await new Promise((resolve) => setTimeout(resolve, 10_500));
  await session.send("Debugger.disable");
  await page.waitForFunction(() => window.tw.status !== "open");
  shared.proxy.restore();
  expect(await result(page)).toBe(await expected(600));
});

test("two tabs on one conversation", async () => {
  const [one, two] = [await open(), await open()];
  await two.evaluate(() => void window.tw.conversation("page"));
  await start(one, demo(300, { tokens_per_second: 300 }, { conversation: "page" }));
  const seen = two.evaluate(async () => {
    const conversation = window.tw.conversation("page");
    await new Promise<void>((resolve) => conversation.subscribe(resolve));
    return (await conversation.state.generations[0]!.run.result).text;
  });
  expect(await seen).toBe(await result(one));
});

test("30,000 tokens leave the page responsive", async () => {
  const page = await open();
  await start(page, demo(30_000, { tokens_per_second: 10_000 }));
  expect(await result(page)).toBe(await expected(30_000));
  const { longTasks } = await page.evaluate(() => ({ longTasks: window.longTasks }));
  // Most of it is the layout of so much text, in which the client has no part.
  expect(Math.max(0, ...longTasks)).toBeLessThan(500);
});

test("20 generations at once on one socket", async () => {
  const page = await open();
  const texts = await page.evaluate(
    (request) => Promise.all(Array.from({ length: 20 }, async () => (await window.show({ ...request }).result).text)),
    demo(200, { tokens_per_second: 300 }),
  );
  expect(new Set(texts)).toEqual(new Set([await expected(200)]));
  expect(await page.evaluate(() => window.sockets)).toBe(1);
});

test("a reload goes on where it was", async () => {
  const page = await open();
  await start(page, demo(400, { tokens_per_second: 300 }, { id: "reloaded" }));
  await wrote(page, 100);
  await page.reload();
  await page.waitForFunction(() => window.tw);
  const text = await page.evaluate(async () => (await window.tw.attach("reloaded").result).text);
  expect(text).toBe(await expected(400));
});
