// examples/browser.html, served from another port of this machine, as its comment says.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";
import { openPage, root, startBrowser, startServer, until } from "./harness.mjs";

let server;
let browser;
let files;
let url;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
  const page = await readFile(path.join(root, "examples/browser.html"));
  files = http.createServer((request, response) => {
    response.setHeader("content-type", request.url.startsWith("/browser.html") ? "text/html" : "image/x-icon");
    response.end(request.url.startsWith("/browser.html") ? page : undefined);
  });
  files.listen(0, "127.0.0.1");
  await once(files, "listening");
  url = `http://127.0.0.1:${files.address().port}/browser.html?server=${server.url.replace("http", "ws")}`;
});
after(async () => {
  await browser?.close();
  files?.close();
  await server?.stop();
});

const wrote = (page, length) => until(page, (least) => document.querySelector("#answer").textContent.length >= least, length);
const status = (page, text) => page.waitForSelector(`#status >> text=${text}`, { timeout: 30_000 });
const textOf = (page) => page.locator("#answer").evaluate((node) => node.textContent);

test("the example streams, goes on after a reload, and stops", async () => {
  const page = await openPage(browser, url);
  await page.fill("#question", "Hello");
  await page.click("text=Ask");
  await status(page, "finished: stop");
  const undisturbed = await textOf(page);

  await page.click("text=Ask");
  await wrote(page, 200);
  await page.reload();
  await status(page, "finished: stop");
  assert.equal(await textOf(page), undisturbed);

  await page.fill("#question", "Give me a long answer, please.");
  await page.click("text=Ask");
  await wrote(page, 100);
  await page.click("#stop");
  await status(page, "cancelled: client");
  page.check();
});
