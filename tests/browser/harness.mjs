// What the browser tests share beside the server and the network: a headless Chromium.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { eventually } from "./server.mjs";

export { eventually, root, startProxy, startServer } from "./server.mjs";

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const CHROMIUM_ARGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

export function startBrowser() {
  const executablePath = CHROMIUM.find((candidate) => candidate && existsSync(candidate));
  return chromium.launch({ executablePath, args: CHROMIUM_ARGS.split(" ") });
}

const NETWORK_NOISE = /WebSocket connection to|ERR_CONNECTION|ERR_INTERNET_DISCONNECTED|ERR_EMPTY_RESPONSE|ERR_SOCKET|status of (401|404|502)/;

/**
 * A page of a new context. Any console error, uncaught exception or violation of the content security policy fails the test, when
 * `page.check()` is called. `settings` are those of the playground; `options` are `provider_options.demo`.
 *
 * @typedef {{ settings?: object, options?: object, noisy?: boolean, context?: import("playwright-core").BrowserContext }} Extras
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {Extras & import("playwright-core").BrowserContextOptions} [options]
 * @returns {Promise<import("playwright-core").Page & { check: () => void }>}
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

/** Waits until `condition(argument)` holds in the page. (Playwright's own wait needs `eval`, which the page's policy forbids.) */
export const until = (page, condition, argument) => eventually(() => page.evaluate(condition, argument));

/** Waits until the last answer has at least `length` characters. */
export const wrote = (page, length) =>
  until(page, (least) => document.querySelector(".answer:last-child .parts")?.textContent.length >= least, length);

/** The last answer: its HTML as it is shown, and the model's text as it was kept. */
export const answerOf = (page) =>
  page.evaluate(() => {
    const node = document.querySelector(".answer:last-child");
    const key = Object.keys(localStorage).find((name) => name.startsWith("tokenwire.conversation.") && localStorage[name].includes(`"key":"${node.dataset.id}"`));
    const entry = JSON.parse(localStorage[key]).answers.find((one) => one.key === node.dataset.id);
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
