// Conversations: the list, several devices at one of them, links to take it elsewhere.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import jsqr from "jsqr";
import { PNG } from "pngjs";
import { answerOf, ask, ended, eventually, openPage, startBrowser, startServer, until, wrote } from "./harness.mjs";

const KEY = "k".repeat(40);
const FAST = { tokens_per_second: 400, first_token_ms: 0 };

let server;
let browser;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const open = (url, more) => openPage(browser, url, { options: FAST, ...more });
const titles = (page) => page.locator("#conversations strong").allInnerTexts();
const listed = (page, expected) => eventually(async () => JSON.stringify(await titles(page)) === JSON.stringify(expected));
const item = (page, title) => page.locator("#conversations li", { hasText: title });
/** All that a page shows of a conversation, but for the numbers, which depend on when one came. Screenshots leave empty styles behind. */
const shown = (page) =>
  page.evaluate(() => [...document.querySelectorAll(".question p, .answer .parts, .answer .alert")].map((node) => node.innerHTML.replaceAll(' style=""', "")));

/** Waits until a place of the page reads so. */
const reads = (place, expected) =>
  eventually(async () => {
    const text = await place.innerText();
    return typeof expected === "string" ? text === expected : expected.test(text);
  });

/** Waits until two devices show the same. */
const alike = (what, one, other) => eventually(async () => isDeepStrictEqual(await what(one), await what(other)));

/** What a phone's camera would read on the page. */
async function photograph(page) {
  await page.waitForSelector("#qr:not([hidden])");
  await until(page, () => document.querySelector("#qr").complete && document.querySelector("#qr").naturalWidth > 0);
  const { data, width, height } = PNG.sync.read(await page.locator("#qr").screenshot());
  return jsqr(new Uint8ClampedArray(data), width, height)?.data;
}

test("two devices at one tool loop: one asks, the other approves, the first steers, and both show the same end", async () => {
  const a = await open(server.url);
  await a.click("#examples button >> text=Approval");
  await a.locator(".call button >> text=Approve").waitFor();
  const b = await open(a.url());
  await b.locator(".call button >> text=Approve").waitFor();
  await reads(b.locator(".question p").first(), "What is the weather in Rome?");
  await reads(b.locator(".question span"), "asked elsewhere");

  await b.locator(".call textarea:visible").fill('{"city": "Oslo"}');
  await b.click(".call button >> text=Approve");
  for (const page of [a, b]) {
    await page.locator(".call button >> text=Send result").waitFor();
    await reads(page.locator(".call pre:not(.result)"), '{\n  "city": "Oslo"\n}');
  }
  await ask(a, "And say it in one line.");
  await a.waitForSelector(".pending p");
  await b.locator(".call button >> text=Send result").click();
  await Promise.all([ended(a), ended(b)]);
  for (const page of [a, b]) await reads(page.locator(".answer .question p"), "And say it in one line.");
  await alike(answerOf, b, a);
  await alike(shown, b, a);

  // The next question comes from the other one, and is seen and stopped live by the first.
  await b.click("#tools");
  await ask(b, "/stall");
  await a.waitForSelector(".answer:last-child.silent");
  await a.click("#stop");
  await Promise.all([ended(a), ended(b)]);
  assert.deepEqual([(await answerOf(a)).state, (await answerOf(b)).state], ["cancelled", "cancelled"]);
  await alike(shown, b, a);
  a.check();
  b.check();
});

test("who asks again replaces the answer on every device", async () => {
  const a = await open(server.url);
  await ask(a, "First");
  await ended(a);
  const b = await open(a.url());
  await ended(b);
  await ask(b, "Second");
  await a.waitForSelector(".question >> text=Second");
  await Promise.all([ended(a), ended(b)]);
  const { id } = await answerOf(a);
  await a.click(".answer:last-child [aria-label='Ask again']");
  for (const page of [a, b]) {
    await page.waitForSelector(`.answer:last-child:not([data-id="${id}"])`);
    await ended(page);
    await eventually(async () => isDeepStrictEqual(await page.locator(".question p").allInnerTexts(), ["First", "Second"]));
    assert.match((await answerOf(page)).text, /message 2 of yours/);
  }
  await b.reload();
  await ended(b);
  await alike(shown, b, a);
  a.check();
  b.check();
});

test("the list has what any device asks; names and deletions are everywhere", async () => {
  const own = await startServer();
  try {
    const a = await open(own.url, { noisy: true });
    await a.waitForSelector("#none:not([hidden])");
    await ask(a, "About cats");
    await ended(a);
    await a.click("#begin");
    await ask(a, "About dogs");
    await ended(a);
    await listed(a, ["About dogs", "About cats"]);
    await reads(item(a, "cats"), /this device/);

    const b = await open(own.url);
    await listed(b, ["About dogs", "About cats"]);
    await reads(item(b, "cats"), /just now$/);
    await item(b, "cats").click();
    await ended(b);
    await reads(b.locator(".question p"), "About cats");
    await reads(item(b, "cats"), /another device/);
    assert.equal(await item(b, "cats").getAttribute("aria-current"), "true");

    await item(b, "cats").hover();
    await item(b, "cats").locator("[title=Rename]").click();
    await b.keyboard.type("All about cats");
    await b.keyboard.press("Enter");
    await listed(b, ["All about cats", "About dogs"]);
    assert.match(await b.title(), /^All about cats/);
    // The other one sees it where it is open, and in its list.
    await item(a, "About cats").click();
    await until(a, () => document.title.startsWith("All about cats"));
    await listed(a, ["All about cats", "About dogs"]);

    await item(b, "All about cats").hover();
    await item(b, "All about cats").locator("[title=Delete]").click();
    await b.click("dialog[open] >> text=Cancel");
    await eventually(async () => (await titles(b)).length === 2);
    await item(b, "All about cats").locator("[title=Delete]").click();
    await b.click("#delete .danger");
    await listed(b, ["About dogs"]);
    await eventually(async () => (await b.locator(".answer").count()) === 0);
    // Where it was open it goes, too, and can be kept.
    await listed(a, ["About dogs"]);
    await a.waitForSelector("#empty:not([hidden])");
    await a.click("#toast button");
    await ended(a);
    await listed(a, ["About dogs", "All about cats"]);
    await reads(item(a, "cats"), /only in this browser/);
    await a.reload();
    await ended(a);
    await eventually(async () => (await titles(a)).length === 2);
    a.check();
    b.check();
  } finally {
    await own.stop();
  }
});

test("what only this browser still has stays readable, and goes on at the server", async (t) => {
  const [first, second] = [await startServer(), await startServer()];
  t.after(() => Promise.all([first.stop(), second.stop()]));
  const a = await open(first.url);
  await ask(a, "Remember this");
  await ended(a);
  const before = await shown(a);
  const saved = await a.evaluate(() => ({ ...localStorage }));
  await first.stop();

  // A server that has lost everything, at an address of its own.
  const context = await browser.newContext();
  await context.addInitScript((entries) => {
    for (const [key, value] of Object.entries(entries)) localStorage[key] ??= value;
  }, saved);
  const b = await open(second.url, { context, noisy: true });
  await ended(b);
  await eventually(async () => isDeepStrictEqual(await shown(b), before));
  await reads(item(b, "Remember this"), /only in this browser/);
  await ask(b, "Are you there?");
  await ended(b);
  assert.match((await answerOf(b)).text, /message 2 of yours/);
  await eventually(async () => /this device/.test(await item(b, "Re").innerText().catch(() => "")) || (await titles(b)).length === 1);
  // Another device learns of the past from what the question carried.
  const c = await open(b.url());
  await ended(c);
  await eventually(async () => isDeepStrictEqual(await c.locator(".question p").allInnerTexts(), ["Remember this", "Are you there?"]));
  await eventually(async () => (await titles(b)).length === 1);
  b.check();
  c.check();
});

test("a question goes without what was said before, as long as the server has that", async (t) => {
  const own = await startServer({ TOKENWIRE_RETENTION_SECONDS: "1" });
  t.after(() => own.stop());
  const page = await open(own.url);
  const sent = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(JSON.parse(payload))));
  await page.reload();
  const says = async (text, count) => {
    await ask(page, text);
    await until(page, (count) => document.querySelectorAll(".answer:not(.running) .actions button").length === 2 * count, count);
    assert.match((await answerOf(page)).text, new RegExp(`${count === 1 ? "You wrote" : `message ${count} of yours`}.*${text}`, "s"));
    return sent.filter(({ type }) => type === "start");
  };
  const [first] = await says("One", 1);
  const [, second] = await says("Two", 2);
  assert.equal(second.continue_from, first.id);
  assert.deepEqual(second.messages, [{ role: "user", content: "Two" }]);
  // Then its log is gone: what was said comes from the page.
  await eventually(() => page.evaluate(async (id) => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/v1/stream");
    socket.onopen = () => socket.send(JSON.stringify({ type: "attach", id }));
    const type = await new Promise((done) => (socket.onmessage = ({ data }) => /"hello"/.test(data) || done(JSON.parse(data).type)));
    socket.close();
    return type === "error";
  }, second.id));
  const [, , refused, whole] = await says("Three", 3);
  assert.deepEqual([refused.continue_from, whole.continue_from, whole.id], [second.id, undefined, refused.id]);
  assert.deepEqual(whole.messages.map(({ role }) => role), ["user", "assistant", "user", "assistant", "user"]);
  // A device that comes now sees each question once.
  const other = await open(page.url());
  await alike(shown, other, page);
  // With other instructions, the server's would be the wrong ones.
  await page.click("#configure");
  await page.fill("[name=system]", "Be brief.");
  await page.click("#settings [value=save]");
  const starts = await says("Four", 4);
  assert.deepEqual([starts.at(-1).continue_from, starts.at(-1).messages[0].role, starts.length], [undefined, "system", 5]);
  const [, , , , , five] = await says("Five", 5);
  assert.equal(five.continue_from, starts.at(-1).id);
  page.check();
  other.check();
});

test("an answer goes on while another conversation is looked at", async () => {
  const page = await open(server.url, { options: { tokens_per_second: 200, tokens: 400 } });
  await ask(page, "Something long");
  await wrote(page, 200);
  const url = page.url();
  await page.click("#begin");
  await eventually(async () => (await page.locator(".answer").count()) === 0);
  await page.waitForSelector("#stop", { state: "hidden" });
  await item(page, "Something long").first().click();
  assert.equal(page.url(), url);
  await ended(page);
  assert.equal((await answerOf(page)).state, "finished");
  page.check();
});

test("a shared link shows it live and lets nobody do anything, until it is taken back", async () => {
  const a = await open(server.url);
  await a.click("#examples button >> text=Approval");
  await a.locator(".call button >> text=Approve").waitFor();
  await a.click("#elsewhere");
  await a.locator("[value=shared]").check();
  await a.click("#make-link");
  await a.waitForSelector("#link-row:not([hidden])");
  const link = await a.inputValue("#link");
  assert.equal(await photograph(a), link);
  const viewer = await open(link, { noisy: true });
  await viewer.waitForSelector('.call[data-state="waiting"]');
  await eventually(async () => (await viewer.locator("#composer, .call form, .again, #elsewhere").filter({ visible: true }).count()) === 0);
  await reads(viewer.locator(".call pre:not(.result)"), '{\n  "city": "Rome"\n}');
  assert.equal(await viewer.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("tokenwire.conversation")).length), 0);
  await a.keyboard.press("Escape");
  await a.click(".call button >> text=Deny");
  await ended(a);
  const expected = JSON.stringify(await shown(a));
  await eventually(async () => JSON.stringify(await shown(viewer)) === expected);
  // History is there first, then the log, which has more.
  await viewer.reload();
  await eventually(async () => JSON.stringify(await shown(viewer)) === expected);

  await a.click("#elsewhere");
  await a.locator("[value=shared]").check();
  await a.waitForSelector("#link-row:not([hidden])");
  assert.equal(await a.inputValue("#link"), link);
  await a.click("#end-share");
  await viewer.waitForSelector("#viewer >> text=not shared any more");
  await viewer.click("#own");
  await viewer.waitForSelector("#composer");
  a.check();
  viewer.check();
});

test("a photographed link opens the conversation on another device, with the key and without a trace of it", async () => {
  const locked = await startServer({ TOKENWIRE_CONFIG: "locked.toml" });
  try {
    const a = await openPage(browser, `${locked.url}/#k=${KEY}`, { options: FAST, noisy: true });
    // Nobody is signed in by following a link alone.
    await a.click("#borrow [value=cancel]");
    await a.waitForSelector('#connection[data-state="denied"]');
    assert.ok(!a.url().includes(KEY), "the key leaves the address");
    await a.goto(`${locked.url}/#k=${KEY}`);
    await a.click("#borrow [value=use]");
    await a.waitForSelector('#connection[data-state="open"]');
    assert.ok(!a.url().includes(KEY), "the key leaves the address");
    // Before anything was asked: the other device is there from the first question on.
    await a.click("#elsewhere");
    await reads(a.locator("#share-note"), /holds your server key/);
    await a.waitForSelector("#share-warning:not([hidden])");
    await reads(a.locator("#share-warning"), new RegExp(`--listen 0\\.0\\.0\\.0:${locked.port}`));
    const link = await photograph(a);
    assert.equal(link, await a.inputValue("#link"));
    await a.keyboard.press("Escape");

    const requests = [];
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    context.on("request", (request) => requests.push(request.url()));
    const phone = await openPage(browser, link, { context, noisy: true, options: FAST });
    await phone.click("#borrow [value=use]");
    await phone.waitForSelector('#connection[data-state="open"]');
    await ask(a, "From the desk");
    await phone.waitForSelector(".question >> text=From the desk");
    await Promise.all([ended(a), ended(phone)]);
    await alike(shown, phone, a);
    await phone.reload();
    await ended(phone);
    assert.ok(!phone.url().includes(KEY));
    assert.deepEqual(requests.filter((url) => url.replace(link, "").includes(KEY)), []);

    // On a phone the list is a drawer.
    await phone.click("#menu");
    await listed(phone, ["From the desk"]);
    await phone.keyboard.press("Escape");
    await phone.waitForSelector("#list", { state: "hidden" });
    a.check();
    phone.check();
  } finally {
    await locked.stop();
  }
});
