// An answer on the page: streamed, stopped, with tools, reasoning and errors.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answerOf, ask, ended, openPage, startBrowser, startServer, undisturbed, until, wrote } from "./harness.mjs";

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

test("an answer streams in, as markdown, and ends with its numbers", async () => {
  const page = await openPage(browser, server.url);
  await page.click("#examples button >> text=Markdown");
  await wrote(page, 40);
  assert.equal(await page.locator("#stop").isVisible(), true);
  assert.equal(await page.locator(".answer.running").count(), 1);
  await ended(page);
  for (const element of ["h3", ".table table", "figure.code pre", "blockquote", "strong"]) {
    assert.ok(await page.locator(`.answer .prose ${element}`).count(), element);
  }
  const stats = await page.locator(".stats").innerText();
  assert.match(stats, /Finished.*out, counted by the provider.*first token \d.*tokens\/s.*in all/s);
  assert.equal((await answerOf(page)).state, "finished");
  page.check();
});

test("what is shown while it grows is what is shown in the end", async () => {
  const question = "Give me a long answer, please.";
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 400 } });
  await ask(page, question);
  await ended(page);
  const { text, html } = await answerOf(page);
  assert.deepEqual({ text, html }, await undisturbed(browser, server.url, question));
  await page.reload();
  assert.equal((await answerOf(page)).html, html);
  page.check();
});

test("stop ends the answer and keeps what was read", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 150 } });
  await ask(page, "Give me a long answer, please.");
  await wrote(page, 60);
  await page.click("#stop");
  await ended(page);
  const { state, text } = await answerOf(page);
  assert.equal(state, "cancelled");
  assert.ok(text.length >= 60 && (await undisturbed(browser, server.url, "Give me a long answer, please.")).text.startsWith(text));
  assert.match(await page.locator(".stats").innerText(), /Stopped/);
  assert.equal(await page.locator("#send").isVisible(), true);

  await ask(page, "And now?");
  await ended(page);
  assert.match((await answerOf(page)).text, /message 2 of yours/);
  page.check();
});

test("a tool of the provider's, its sources and an image are shown", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 300 } });
  await page.click("#examples button >> text=Search");
  await ended(page);
  const tool = page.locator(".answer .served");
  assert.match(await tool.locator("summary").innerText(), /web_search\s+run by the provider/);
  await tool.locator("summary").click();
  assert.match(await tool.locator("pre").first().innerText(), /"query": "web sockets"/);
  assert.deepEqual(await page.locator(".sources a").evaluateAll((links) => links.map(({ href, rel }) => [new URL(href).host, rel])), [
    ["developer.mozilla.org", "noopener noreferrer"],
    ["www.rfc-editor.org", "noopener noreferrer"],
  ]);
  await ask(page, "/image");
  await ended(page);
  const isDrawn = () => document.querySelector(".answer .media img")?.naturalWidth === 400;
  await until(page, isDrawn);
  await page.reload();
  await until(page, isDrawn);
  assert.equal(await page.locator(".sources a").count(), 2);
  page.check();
});

test("a call waits for approval, over a reload, and may be edited", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 300 } });
  await page.click("#examples button >> text=Approval");
  const approve = page.locator(".call button >> text=Approve");
  await approve.waitFor();
  await page.reload();
  await approve.waitFor();
  await page.locator(".call textarea:visible").fill('{"city": "Oslo"}');
  await approve.click();
  const form = page.locator(".call form:not([hidden])");
  await form.locator("button >> text=Send result").waitFor();
  assert.equal(await page.locator(".call pre:not(.result)").innerText(), '{\n  "city": "Oslo"\n}');
  await form.locator("button >> text=Send result").click();
  await ended(page);
  assert.equal((await answerOf(page)).state, "finished");

  await page.click("#new");
  await page.click("#examples button >> text=Approval");
  await page.click(".call button >> text=Deny");
  await ended(page);
  assert.match(await page.locator(".call .state").innerText(), /denied/);
  page.check();
});

test("a running answer is steered, at its turn's end or at once", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 100 } });
  await ask(page, "Give me a long answer, please.");
  await wrote(page, 40);
  await page.fill("#input", "And now in brief.");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector(".answer .question");
  await ended(page);
  assert.equal(await page.locator(".answer .question").innerText(), "And now in brief.");
  assert.match((await answerOf(page)).text, /message 2 of yours/);

  await ask(page, "Once more, long.");
  await wrote(page, 40);
  await page.fill("#input", "Then a last one.");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".pending p");
  await page.click("#stop");
  await ended(page);
  assert.equal(await page.locator(".pending p").count(), 0);
  assert.equal(await page.locator(".answer:last-child .dropped").count(), 1);
  assert.equal(await page.inputValue("#input"), "Then a last one.", "what was not heard can be said again");
  page.check();
});

test("stop works while the model is silent", async () => {
  const page = await openPage(browser, server.url);
  await ask(page, "/stall");
  await page.waitForSelector(".answer.silent");
  await page.keyboard.press("Escape");
  await ended(page);
  assert.equal((await answerOf(page)).state, "cancelled");
  page.check();
});

test("a tool call is shown, answered on the page, and used", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 300 } });
  await page.click("#examples button >> text=Tool call");
  await page.waitForSelector(".call:nth-of-type(2) form:not([hidden])");
  assert.deepEqual(await page.locator(".call pre:not(.result)").allInnerTexts(), ['{\n  "city": "Oslo"\n}', '{\n  "city": "Lima"\n}']);
  const forms = page.locator(".call form:not([hidden])");
  await forms.first().locator("textarea").fill('{"temperature": -3}');
  await forms.first().locator("text=Send result").click();
  await page.waitForSelector('.call[data-state="done"]');
  await forms.first().locator("textarea").fill("No such city");
  await forms.first().locator("text=Send as error").click();
  await ended(page);
  assert.equal(await page.locator('.call[data-state="error"]').count(), 1);
  assert.match(await page.locator(".parts > .prose").last().innerText(), /temperature\s+-3[\s\S]*No such city/);

  await ask(page, "Thank you");
  await ended(page);
  assert.match((await answerOf(page)).text, /Thank you/);
  page.check();
});

test("reasoning is shown while it lasts, then folds away", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 150 } });
  await page.click("#examples button >> text=Reasoning");
  await page.waitForSelector(".reasoning[open] .prose p");
  await page.waitForSelector(".reasoning:not([open])");
  await page.click(".reasoning summary");
  assert.match(await page.locator(".reasoning .prose").innerText(), /demo/);
  await ended(page);
  assert.match(await page.locator(".stats").innerText(), /reasoning\) out/);
  page.check();
});

test("an error shows its code, keeps the text before it, and can be tried again", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 400 } });
  await ask(page, "/error context_too_long after 20");
  await ended(page);
  assert.match(await page.locator(".alert").innerText(), /context_too_long/);
  const { id, state, text } = await answerOf(page);
  assert.equal(state, "failed");
  assert.ok(text.length > 20);
  await page.click("text=Try again");
  await page.waitForSelector(`.answer:not([data-id="${id}"]) .alert`);
  assert.equal(await page.locator(".answer").count(), 1);
  page.check();
});

test("a refused start and a refusal are told apart from an answer", async () => {
  const page = await openPage(browser, server.url, { settings: { model: "nowhere/nothing" } });
  await ask(page, "Hello");
  await ended(page);
  assert.match(await page.locator(".alert").innerText(), /unknown_model/);
  await page.selectOption("#model", "demo/markdown");
  await ask(page, "/refuse");
  await ended(page);
  assert.equal(await page.locator(".refusal").count(), 1);
  page.check();
});

test("a question that is too large is refused before the connection is lost", async (t) => {
  const own = await startServer({ TOKENWIRE_LIMITS_MAX_FRAME_BYTES: "4096" });
  t.after(() => own.stop());
  const page = await openPage(browser, own.url);
  await page.waitForSelector('#connection[data-state="open"]');
  await ask(page, "x".repeat(5000));
  await page.waitForSelector(".alert >> text=frame_too_large");
  assert.equal(await page.locator("#connection").getAttribute("data-state"), "open");
  page.check();
});

test("a structured answer shows whether it fits its schema", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } };
  const extra = JSON.stringify({ response_format, provider_options: { demo: { tokens_per_second: 0, tokens: 5 } } });
  const page = await openPage(browser, server.url, { settings: { extra } });
  await ask(page, "Hello");
  await ended(page);
  assert.equal(await page.locator("[aria-label='Structured answer'] .state").innerText(), "does not fit the schema");
  page.check();
});

test("every frame is in the inspector, which filters, pauses and expands", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 0, tokens: 40 } });
  await page.waitForSelector('#connection[data-state="open"]');
  const rows = page.locator("#frames .type");
  const shows = (types) => until(page, (wanted) => [...document.querySelectorAll("#frames .type")].map((row) => row.textContent).join().endsWith(wanted), types);
  await ask(page, "Hello");
  await shows("usage,finished");
  assert.deepEqual((await rows.allTextContents()).slice(0, 5), ["watch", "hello", "start", "conversation", "started"]);
  await page.fill("#filter", '"finished"');
  assert.deepEqual(await rows.allTextContents(), ["finished"]);
  await page.click("#frames summary");
  assert.equal(JSON.parse(await page.locator("#frames pre").innerText()).reason, "stop");
  await page.fill("#filter", "");
  await page.click("#pause");
  const [before, totals] = [await rows.count(), await page.locator("#totals").innerText()];
  await ask(page, "Hello again");
  await ended(page);
  await until(page, (old) => document.querySelector("#totals").innerText !== old, totals);
  assert.equal(await rows.count(), before);
  await page.click("#pause");
  assert.ok((await rows.count()) > before);
  await page.click("#clear");
  assert.equal(await rows.count(), 0);
  page.check();
});

test("the inspector holds 2,000 frames and the page keeps up with a flood", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 2000, tokens: 6000, first_token_ms: 0 } });
  await ask(page, "Hello");
  await ended(page);
  assert.ok((await page.locator("#frames details").count()) <= 2000);
  page.check();
});
