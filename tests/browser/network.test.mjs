// Nothing is lost: reloads, lost networks, dead sockets, a second tab, a server that forgot.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { answerOf, ask, ended, eventually, openPage, startBrowser, startProxy, startServer, undisturbed, wrote } from "./harness.mjs";

const QUESTION = "Give me a long answer, please.";
// Some four seconds: long enough to be disturbed in the middle.
const OPTIONS = { tokens: 900, tokens_per_second: 225 };

let server;
let browser;
let proxy;
let expected;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
  proxy = await startProxy(server.port);
  expected = await undisturbed(browser, server.url, QUESTION, OPTIONS);
});
after(async () => {
  await browser?.close();
  proxy?.stop();
  await server?.stop();
});

beforeEach(() => proxy.restore());

/** Checks that the last answer is exact, in what is kept and in what is shown. */
async function isExact(page) {
  await ended(page);
  const { state, text, html } = await answerOf(page);
  assert.equal(state, "finished");
  assert.equal(text, expected.text);
  assert.ok(html === expected.html, `not what is shown without a disturbance: ${html}`);
  page.check();
}

const open = (url, more) => openPage(browser, url, { options: OPTIONS, noisy: true, ...more });

test("a reload in mid-answer goes on without a gap or a repeat", async () => {
  const page = await open(server.url);
  await ask(page, QUESTION);
  for (const length of [200, 800, 1500]) {
    await wrote(page, length);
    await page.reload();
    assert.equal(await page.locator(".answer.running").count(), 1);
  }
  await isExact(page);
  assert.equal(await page.locator(".answer").count(), 1);
});

test("a reload before the first token goes on, too", async () => {
  const page = await open(server.url);
  await ask(page, QUESTION);
  await page.reload();
  await isExact(page);
});

test("a cut network is noticed, and afterwards the rest arrives", async () => {
  const page = await open(proxy.url);
  await ask(page, QUESTION);
  await wrote(page, 400);
  proxy.drop();
  await page.waitForSelector('#connection[data-state="waiting"]');
  const { text } = await answerOf(page);
  assert.ok(expected.text.startsWith(text));
  proxy.restore();
  await isExact(page);
});

test("offline and back: the browser's own word is enough to reconnect", async () => {
  const page = await open(proxy.url);
  await ask(page, QUESTION);
  await wrote(page, 400);
  // This alone would leave the open WebSocket as it is.
  await page.context().setOffline(true);
  proxy.drop();
  await page.waitForSelector("#connection >> text=Offline");
  await page.waitForSelector("#connection >> text=2 s");
  proxy.restore();
  await page.context().setOffline(false);
  await page.waitForSelector('#connection[data-state="open"]', { timeout: 3000 });
  await isExact(page);
});

test("what was asked without a network is asked once it is back", async () => {
  const page = await open(proxy.url);
  await page.waitForSelector('#connection[data-state="open"]');
  proxy.drop();
  await page.waitForSelector('#connection[data-state="waiting"]');
  await ask(page, QUESTION);
  assert.equal(await page.locator(".answer.silent").count(), 1);
  proxy.restore();
  await isExact(page);
});

test("a start whose answer was lost is sent again and runs once", async () => {
  const page = await open(proxy.url);
  await page.waitForSelector('#connection[data-state="open"]');
  proxy.deafen();
  await ask(page, QUESTION);
  await eventually(() => proxy.swallowed > 0);
  proxy.restore();
  await isExact(page);
  const frames = await page.locator("#frames .type").allTextContents();
  assert.equal(frames.filter((type) => type === "start").length, 2);
  assert.equal(frames.filter((type) => type === "started").length, 1);
});

test("stop on a socket that is dead without saying so still stops", async () => {
  const page = await open(proxy.url);
  await ask(page, QUESTION);
  await wrote(page, 200);
  proxy.silence();
  await page.click("#stop");
  // New connections go through, the silent one stays as it is until the page gives it up.
  await page.waitForSelector('#connection:not([data-state="open"])', { timeout: 15_000 });
  proxy.restore();
  await ended(page);
  page.check();
});

test("what is said to an answer that has ended already is asked next", async () => {
  const page = await open(proxy.url, { options: { first_token_ms: 1500, tokens_per_second: 0 } });
  await page.waitForSelector('#connection[data-state="open"]');
  await ask(page, "First");
  await eventually(() => page.locator("#frames .type", { hasText: "started" }).count());
  proxy.deafen();
  await eventually(async () => {
    const { data } = await (await fetch(`${server.url}/v1/conversations`)).json();
    return data.some(({ title, running }) => title === "First" && !running);
  });
  await ask(page, "Second");
  await page.waitForSelector(".pending p");
  proxy.restore();
  await eventually(async () => (await page.locator("#thread > .question p").allInnerTexts()).join() === "First,Second");
  await ended(page);
  assert.match((await answerOf(page)).text, /message 2 of yours/);
  assert.equal(await page.inputValue("#input"), "");
  page.check();
});

test("a second tab shows the same answer live, and both are exact", async () => {
  const first = await open(server.url);
  await ask(first, QUESTION);
  await wrote(first, 100);
  const second = await open(first.url(), { context: first.context() });
  await wrote(second, 300);
  assert.equal(await second.locator(".answer.running").count(), 1);
  assert.equal(await second.locator(".question").innerText(), QUESTION);
  await Promise.all([isExact(first), isExact(second)]);

  // What one tab asks next, the other shows.
  await ask(second, "Hello");
  await first.waitForSelector(".question >> text=Hello");
  await Promise.all([ended(first), ended(second)]);
  assert.deepEqual(await answerOf(first), await answerOf(second));
});

test("another browser with the link shows the answer live, and may stop it", async () => {
  const first = await open(server.url, { options: { ...OPTIONS, tokens_per_second: 40 } });
  await ask(first, QUESTION);
  await wrote(first, 100);
  const other = await open(first.url());
  await wrote(other, 300);
  await other.click("#stop");
  await Promise.all([ended(first), ended(other)]);
  const [one, two] = [await answerOf(first), await answerOf(other)];
  assert.equal(one.state, "cancelled");
  assert.deepEqual([two.state, two.text], ["cancelled", one.text]);
  assert.ok(expected.text.startsWith(one.text));
});

test("a link to an answer that is not there says so", async () => {
  const page = await open(`${server.url}/#g=nothere`);
  await ended(page);
  assert.match(await page.locator(".alert").innerText(), /generation_not_found/);
  page.check();
});

test("a position from another log is not used: the answer is read anew", async () => {
  const first = await open(server.url);
  await ask(first, QUESTION);
  await wrote(first, 300);
  const saved = await first.evaluate(() => ({ ...localStorage }));
  const link = first.url();
  await first.context().close();

  const context = await browser.newContext();
  await context.addInitScript((entries) => {
    for (const [key, value] of Object.entries(entries)) localStorage[key] ??= value.replace(/"epoch":"[^"]*"/g, '"epoch":"another"');
  }, saved);
  const page = await open(link, { context });
  await isExact(page);
  assert.equal(await page.locator(".answer").count(), 1);
});

test("a server that forgot the answer is said, and what had arrived is kept", async (t) => {
  const [short, next] = [await startServer(), await startServer()];
  const through = await startProxy(short.port);
  t.after(() => Promise.all([short.stop(), next.stop(), through.stop()]));
  const page = await open(through.url);
  await ask(page, QUESTION);
  await wrote(page, 400);
  await short.stop();
  through.port = next.port;
  await ended(page);
  assert.match(await page.locator(".alert").innerText(), /kept/);
  const { state, text } = await answerOf(page);
  assert.equal(state, "lost");
  assert.ok(text.length >= 400 && expected.text.startsWith(text));
  await page.click("text=Try again");
  await isExact(page);
});
