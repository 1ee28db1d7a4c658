// What the browser tests share: the real binary, a headless Chromium, and a network that can be cut.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
const binary = process.env.TOKENWIRE_BIN ?? path.join(target, "debug", "tokenwire");
const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const CHROMIUM_ARGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

/** Starts the server on a free port. `env` configures it. */
export async function startServer(env = {}) {
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0"], {
    cwd: path.dirname(fileURLToPath(import.meta.url)),
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (match) resolve(match[0]);
    });
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
  // Whatever goes wrong, the test does not leave it behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  };
  return { url, port: Number(new URL(url).port), stop };
}

export function startBrowser() {
  const executablePath = CHROMIUM.find((candidate) => candidate && existsSync(candidate));
  return chromium.launch({ executablePath, args: CHROMIUM_ARGS.split(" ") });
}

/** A TCP proxy on a port of its own: a network that the test can cut, silence and restore. */
export async function startProxy(port) {
  const sockets = new Set();
  let mode = "up";
  // `swallowed` counts the bytes that were let through nowhere.
  const proxy = { port, swallowed: 0 };
  const server = net.createServer((client) => {
    if (mode === "down") return client.destroy();
    const upstream = net.connect(proxy.port, "127.0.0.1");
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      sockets.add(from);
      from.on("data", (data) => {
        if (mode === "silent" || (mode === "deaf" && from === upstream)) proxy.swallowed += data.length;
        else to.write(data);
      });
      from.on("error", () => {});
      from.on("close", () => (sockets.delete(from), to.destroy()));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Cuts every connection and refuses new ones. */
    drop: () => ((mode = "down"), cut()),
    /** Keeps connections open and lets nothing through, as when a phone loses its network. */
    silence: () => (mode = "silent"),
    /** Lets nothing through to the browser; the server still hears it. */
    deafen: () => (mode = "deaf"),
    /** Lets new connections through. Those from before stay dead. */
    restore: () => {
      if (mode !== "up") cut();
      mode = "up";
    },
    stop: () => (cut(), server.close()),
  });
}

const NETWORK_NOISE = /WebSocket connection to|ERR_CONNECTION|ERR_INTERNET_DISCONNECTED|ERR_EMPTY_RESPONSE|ERR_SOCKET|status of 401/;

/**
 * A page of a new context. Any console error, uncaught exception or violation of the content security policy fails the test, when
 * `page.check()` is called. `settings` are those of the playground; `options` are `provider_options.demo`.
 */
export async function openPage(browser, url, { settings = {}, options, noisy = false, context, ...contextOptions } = {}) {
  const own = context ?? (await browser.newContext({ viewport: { width: 1280, height: 800 }, ...contextOptions }));
  const page = await own.newPage();
  const problems = [];
  page.on("console", (message) => {
    if (message.type() !== "error" || (noisy && NETWORK_NOISE.test(message.text()))) return;
    problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(error.stack));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ blockedURI, violatedDirective }) => console.error(`CSP ${violatedDirective}: ${blockedURI}`));
  });
  if (options) settings = { extra: JSON.stringify({ provider_options: { demo: options } }), ...settings };
  await page.addInitScript((value) => localStorage.setItem("tokenwire.settings", JSON.stringify(value)), settings);
  page.check = () => assert.deepEqual(problems, []);
  await page.goto(url);
  return page;
}

export async function ask(page, text) {
  await page.fill("#input", text);
  await page.click("#send");
}

/** Waits until the last answer on the page has ended. */
export const ended = (page) => page.waitForSelector(".answer:last-child:not(.running) .actions button", { timeout: 30_000 });

/** Waits until `condition()` holds. */
export async function eventually(condition) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  throw new Error(`waited in vain for ${condition}`);
}

/** Waits until `condition(argument)` holds in the page. (Playwright's own wait needs `eval`, which the page's policy forbids.) */
export const until = (page, condition, argument) => eventually(() => page.evaluate(condition, argument));

/** Waits until the last answer has at least `length` characters. */
export const wrote = (page, length) =>
  until(page, (least) => document.querySelector(".answer:last-child .parts")?.textContent.length >= least, length);

/** The last answer: its HTML as it is shown, and the model's text as it was kept. */
export const answerOf = (page) =>
  page.evaluate(() => {
    const node = document.querySelector(".answer:last-child");
    const key = Object.keys(localStorage).find((name) => localStorage[name].includes(`"${node.dataset.id}"`));
    const entry = JSON.parse(localStorage[key]).find((one) => one.key === node.dataset.id);
    return {
      id: entry.key,
      state: entry.state,
      text: entry.parts.map((part) => part.text ?? "").join("\u0000"),
      html: node.querySelector(".parts").innerHTML,
    };
  });

/** What the demo answers to a question when nothing disturbs it. */
export async function undisturbed(browser, url, question, options = {}) {
  const page = await openPage(browser, url, { options: { ...options, tokens_per_second: 0, first_token_ms: 0 } });
  await ask(page, question);
  await ended(page);
  const { text, html } = await answerOf(page);
  await page.context().close();
  return { text, html };
}
