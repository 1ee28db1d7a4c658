// examples/vanilla, as its comment says: the repository's folder served, in a headless Chromium.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root, startBrowser } from "../../../tests/browser/harness.mjs";
import { type Browser, open } from "./example.js";
import { useServer } from "./support.js";

const { shared } = useServer();
let browser: Browser;
let files: http.Server;
beforeAll(async () => {
  browser = await startBrowser();
  files = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, "http://localhost");
    const file = path.join(root, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    const content = await readFile(file).catch(() => undefined);
    response.statusCode = content ? 200 : 404;
    response.setHeader("content-type", file.endsWith(".js") ? "text/javascript" : "text/html");
    response.end(content);
  });
  files.listen(0, "127.0.0.1");
  await once(files, "listening");
});
afterAll(async () => {
  await browser?.close();
  files?.close();
});

test("the example streams, asks for approval, goes on after a reload, and stops", async () => {
  const { port } = files.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/examples/vanilla/?server=${encodeURIComponent(shared.server.url)}`;
  const page = await open(browser, url, { tokens_per_second: 150 });
  const status = (text: string) => page.locator(`#status >> text=${text}`).waitFor();
  await page.click("text=Ask");
  await page.locator("text=Approve").waitFor();
  await page.reload();
  await page.click("text=Approve");
  await status("finished");
  expect(await page.locator(".call").innerText()).toContain('{"city":"Paris","celsius":18}');

  await page.fill("#question", "Give me a long answer, please.");
  await page.click("text=Ask");
  await page.locator("#answer >> text=You wrote").waitFor();
  await page.click("#stop");
  await status("cancelled");
  page.check();
});
