// examples/agent-ui, built as its user builds it, in a headless Chromium: with the built-in model, and a network that
// breaks.

import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { startBrowser, startProxy } from "../../../tests/browser/harness.mjs";
import { type Browser, open, type Page, serveExample, type Site } from "./example.js";
import { demo, eventually, useServer } from "./support.js";

/** Some three seconds. */
const OPTIONS = { tokens: 600, tokens_per_second: 200, first_token_ms: 50 };
const QUESTION = "Why is the sky blue?";

declare global {
  /** What the test of a long answer counts. */
  interface Window {
    seen: { frames: number; renders: number; around: number };
  }
}

vi.setConfig({ testTimeout: 60_000 });
const { shared, connect } = useServer();
let browser: Browser;
let site: Site;
/** Between the page and everything else. */
let network: Awaited<ReturnType<typeof startProxy>>;
let expected: string;
const pages: Page[] = [];

beforeAll(async () => {
  browser = await startBrowser();
  site = await serveExample("agent-ui", shared.server.url);
  network = await startProxy(Number(new URL(site.url).port));
  const page = await openUi({ ...OPTIONS, tokens_per_second: 0 });
  await say(page, QUESTION);
  await ended(page);
  expected = await textOf(page);
}, 60_000);
afterEach(async () => {
  network.restore();
  const used = pages.splice(0);
  for (const page of used) await page.context().close();
  for (const page of used) page.check();
});
afterAll(async () => {
  await browser?.close();
  network?.stop();
  await site?.stop();
});

async function openUi(demo: object = OPTIONS, options?: Parameters<typeof open>[3], url = network.url): Promise<Page> {
  const page = await open(browser, url, demo, options);
  pages.push(page);
  return page;
}

async function say(page: Page, text: string, how = "Enter"): Promise<void> {
  await page.fill("[aria-label=Message]", text);
  if (how === "Enter") await page.press("[aria-label=Message]", "Enter");
  else await page.click(`.composer >> text=${how}`);
}

const ended = (page: Page, nth = -1) => page.locator(".answer[aria-busy=false] .facts").nth(nth).waitFor();
const textOf = (page: Page, nth = -1) => page.locator(".answer").nth(nth).locator(".markdown").innerHTML();
const wrote = (page: Page, length: number) =>
  eventually(async () => (await page.locator(".answer").last().innerText({ timeout: 20_000 })).length > length);

/** Checks that the answer is what it is without a disturbance. */
async function isExact(page: Page): Promise<void> {
  await ended(page);
  expect(await textOf(page)).toBe(expected);
}

test("it streams, and says what it cost", async () => {
  const page = await openUi();
  await page.click("text=Stream");
  await wrote(page, 100);
  expect(await page.locator(".answer[aria-busy=true]").count()).toBe(1);
  await ended(page);
  expect(await page.locator(".facts").innerText()).toMatch(/demo\/markdown\s+\d+ tokens in, 600 out\s+[\d.]+ s/);
  expect(await page.locator("h1").innerText()).toBe("Tell me something, with a long answer");
});

test("stop stops, and what had come stays", async () => {
  const page = await openUi({ tokens: 3_000, tokens_per_second: 100 });
  await say(page, QUESTION);
  await wrote(page, 200);
  await page.click(".stop");
  await ended(page);
  expect(await page.locator(".facts").innerText()).toContain("stopped");
  expect((await page.locator(".markdown").innerText()).length).toBeGreaterThan(100);
  // The next message goes on from there.
  await say(page, "Go on");
  await page.locator(".answer").nth(1).waitFor();
  await page.click(".stop");
  await ended(page, 1);
});

test("a reload in mid-answer goes on where it was", async () => {
  const page = await openUi();
  await say(page, QUESTION);
  for (const length of [100, 600]) {
    await wrote(page, length);
    await page.reload();
  }
  await isExact(page);
  expect(await page.locator(".said").allInnerTexts()).toEqual([QUESTION]);
});

test("offline and back", async () => {
  const page = await openUi();
  await say(page, QUESTION);
  await wrote(page, 200);
  await page.context().setOffline(true);
  network.drop();
  await page.locator(".connection.waiting").waitFor();
  network.restore();
  await page.context().setOffline(false);
  await isExact(page);
});

test("what is said without a network is shown, and said once it is back", async () => {
  const page = await openUi();
  await page.locator(".connection.open").waitFor();
  network.drop();
  await page.locator(".connection.waiting").waitFor();
  await say(page, QUESTION);
  await page.locator("text=Sending").waitFor();
  expect(await page.locator(".said").innerText()).toBe(QUESTION);
  network.restore();
  await isExact(page);
  expect(await page.locator(".answer").count()).toBe(1);
});

test("a page that slept while its network died", async () => {
  const page = await openUi();
  await say(page, QUESTION);
  await wrote(page, 200);
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  await session.send("Debugger.pause");
  network.silence();
  // No timer runs meanwhile; so long a gap is taken for sleep.
  await new Promise((resolve) => setTimeout(resolve, 10_500));
  await session.send("Debugger.disable");
  await page.locator(".connection:not(.open)").waitFor();
  network.restore();
  await isExact(page);
});

test("two tabs: one approves with other arguments, the other steers", async () => {
  const one = await openUi({ tokens_per_second: 60 });
  await say(one, "Please delete my old files");
  await one.locator("text=needs your approval").waitFor();
  const two = await openUi({}, undefined, one.url());
  const form = two.locator(".call form");
  await form.locator("textarea").fill('{ "folder": "Desktop", ');
  await form.locator("text=Approve").click();
  await form.locator("[role=alert]").waitFor();
  await form.locator("textarea").fill('{ "folder": "Desktop", "older_than_days": 7 }');
  // What waits for the next turn is said with the result.
  await say(one, "And be brief", "Queue");
  await form.locator("text=Approve").click();
  for (const page of [one, two]) {
    await ended(page);
    expect(await page.locator(".result").innerText()).toContain("older than 7 days in Desktop");
    expect(await page.locator(".answer .said").allInnerTexts()).toEqual(["And be brief"]);
  }
  expect(await two.locator(".answer").innerText()).toBe(await one.locator(".answer").innerText());
});

test("a denied call, a question back, and a second device that answers it", async () => {
  const page = await openUi({ tokens_per_second: 0 });
  await say(page, "Please delete my old files");
  await page.click("text=Deny");
  await ended(page);
  expect(await page.locator(".call").innerText()).toContain("the user said no");
  await say(page, "Use ask_user for my favourite colour");
  await page.locator("[placeholder='Your answer']").waitFor();
  const phone = await openUi({}, { viewport: { width: 360, height: 740 }, hasTouch: true }, page.url());
  await phone.fill("[placeholder='Your answer']", "Copper");
  await phone.press("[placeholder='Your answer']", "Enter");
  await ended(page, 1);
  expect(await page.locator(".call").nth(1).innerText()).toContain("Copper");
});

test("cut in: the turn is cut off, and the next one knows", async () => {
  const page = await openUi();
  await say(page, QUESTION);
  await wrote(page, 200);
  await say(page, "Shorter, please", "Cut in");
  await page.locator(".answer .said").waitFor();
  await ended(page);
  expect(await page.locator(".answer > *").evaluateAll((all) => all.map(({ className }) => className))).toEqual([
    "markdown",
    "said",
    "markdown",
    "facts",
  ]);
});

test("every state fits a phone, in both colour schemes", async () => {
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await openUi({ tokens_per_second: 0 }, { viewport: { width: 360, height: 740 }, colorScheme });
    const fits = async () => expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    const steps: [text: string, sees: string][] = [
      ["What is the weather in Paris and New York?", ".call .result"],
      ["Please delete my old files", ".call form textarea"],
      ["/search How do WebSockets work?", ".sources a"],
      ["/image", ".media"],
      ["/error overloaded after 20", ".error"],
      ["x".repeat(300), ".said"],
    ];
    await fits();
    let count = 0;
    for (const [text, sees] of steps) {
      await say(page, text);
      await page
        .locator(".answer")
        .nth(count)
        .locator(sees)
        .first()
        .waitFor(sees === ".said" ? { state: "hidden" } : {});
      await fits();
      if (sees.includes("form")) await page.click("text=Approve");
      await ended(page, count++);
      await fits();
    }
  }
});

test("30,000 tokens: the last cost no more than the first, and only what grows renders", async () => {
  const page = await openUi({ tokens: 30_000, tokens_per_second: 4_000, first_token_ms: 0 });
  await page.evaluate(() => {
    window.seen = { frames: 0, renders: 0, around: 0 };
    const count = () => {
      window.seen.frames++;
      requestAnimationFrame(count);
    };
    count();
    new MutationObserver((mutations) => {
      window.seen.renders++;
      if (mutations.some(({ target }) => target.parentElement?.closest("header, footer"))) window.seen.around++;
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  /** How long the page has worked, in seconds. */
  const worked = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    const parts = metrics.filter(({ name }) => /^(Script|Layout|RecalcStyle)Duration$/.test(name));
    return parts.reduce((sum, { value }) => sum + value, 0);
  };
  /** Waits until the answer is so long. Gives how long it is, in thousands of characters. */
  const grown = (least: number) =>
    page.evaluate(async (least) => {
      for (;;) {
        const length = (document.querySelector(".markdown")?.textContent.length ?? 0) / 1_000;
        if (length >= least) return length;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }, least);
  /** How long it works for a thousand characters, from one length to another. */
  const cost = async (from: number, to: number) => {
    const [lengthBefore, workedBefore] = [await grown(from), await worked()];
    const length = await grown(to);
    return ((await worked()) - workedBefore) / (length - lengthBefore);
  };
  await say(page, QUESTION);
  await grown(1);
  await page.evaluate(() => Object.assign(window.seen, { frames: 0, renders: 0, around: 0 }));
  const first = await cost(5, 35);
  const last = await cost(80, 110);
  const { frames, renders, around } = await page.evaluate(() => window.seen);
  await ended(page);
  expect(last).toBeLessThan(first * 3);
  // A thousand characters are some 250 tokens: at 200 tokens per second that is a tenth of the time.
  expect(last).toBeLessThan(0.125);
  expect(renders).toBeLessThanOrEqual(frames + 10);
  expect(around).toBe(0);
});

test("20 generations at once on one socket", async () => {
  const page = await openUi(OPTIONS, undefined, `${network.url}#twenty`);
  const conversation = connect().conversation("twenty");
  const request = demo(200, { tokens_per_second: 100 });
  const runs = Array.from({ length: 20 }, () => conversation.start(request));
  await page.locator(".answer").nth(19).waitFor();
  expect(await page.locator(".answer[aria-busy=true]").count()).toBe(20);
  const { text } = await runs[0]!.result;
  await ended(page, 19);
  const shown = await page.locator(".answer .markdown").evaluateAll((all) => all.map(({ innerHTML }) => innerHTML));
  expect(new Set(shown).size).toBe(1);
  // What is out of sight has no inner text.
  const first = await page.locator(".markdown").first().textContent();
  expect(first!.slice(0, 20)).toBe(text.replaceAll("*", "").slice(0, 20));
  expect(await page.evaluate(() => window.usedSockets.size)).toBe(1);
});

test("npm run dev shows the same page", async () => {
  const dev = await serveExample("agent-ui", shared.server.url, "dev");
  try {
    const page = await openUi(OPTIONS, undefined, dev.url);
    await say(page, QUESTION);
    await isExact(page);
  } finally {
    await dev.stop();
  }
});
