// The page itself: phone, keyboard, keys, untrusted text, and the markdown renderer.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answerOf, ask, ended, openPage, startBrowser, startServer, until, wrote } from "./harness.mjs";

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

const widthOf = (page) => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);

for (const width of [320, 375]) {
  test(`at ${width} pixels nothing scrolls sideways and the composer stays in sight`, async () => {
    const phone = { viewport: { width, height: 700 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
    const page = await openPage(browser, server.url, { ...phone, options: { tokens_per_second: 0 } });
    const fits = async (state) => {
      const [scroll, inner] = await widthOf(page);
      assert.ok(scroll <= inner && inner === width, `${state}: ${scroll} in ${inner}`);
    };
    await page.waitForSelector('#connection[data-state="open"]');
    await fits("empty");
    // The longest that the bar may say.
    await page.evaluate(() => {
      document.querySelector("#connection").dataset.state = "waiting";
      document.querySelector("#connection").lastChild.textContent = "Reconnecting, 15 s";
    });
    const { x, width: button } = await page.locator("#theme").boundingBox();
    assert.ok(x + button <= width, "the bar fits");
    await ask(page, `Hello ${"w".repeat(300)}`);
    await ended(page);
    await fits("answered");
    await page.click("#new");
    await page.click("#examples button >> text=Tool call");
    await page.waitForSelector(".call form:not([hidden])");
    await fits("tool call");
    await page.click("#menu");
    await page.waitForSelector("#list[open] li >> text=What is the weather");
    await fits("list");
    await page.keyboard.press("Escape");
    await page.click("#elsewhere");
    await page.waitForSelector("#qr:not([hidden])");
    await fits("open elsewhere");
    const dialog = await page.locator("#share").boundingBox();
    assert.ok(dialog.x >= 0 && dialog.x + dialog.width <= width, "the dialog fits");
    await page.keyboard.press("Escape");
    await page.click("#inspect");
    await page.click("#frames summary >> nth=1");
    await fits("inspector");
    await page.click("#inspector .close");
    await page.click("#stop");
    await page.click("#configure");
    await fits("settings");
    await page.keyboard.press("Escape");

    // A keyboard takes half of the page.
    await page.setViewportSize({ width, height: 360 });
    await until(page, () => {
      const { top, bottom } = document.querySelector("#composer").getBoundingClientRect();
      return top > 0 && bottom <= 360;
    });
    page.check();
  });
}

test("the page follows the answer until one scrolls away", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 300, tokens: 1500 } });
  await ask(page, "Hello");
  await wrote(page, 2500);
  const fromEnd = () => page.evaluate(() => {
    const { scrollHeight, scrollTop, clientHeight } = document.querySelector("#log");
    return scrollHeight - scrollTop - clientHeight;
  });
  assert.ok((await fromEnd()) < 60);
  await page.mouse.move(400, 300);
  await page.mouse.wheel(0, -600);
  await page.waitForSelector("#latest:not([hidden])");
  await wrote(page, 4000);
  assert.ok((await fromEnd()) > 400);
  await page.click("#latest");
  assert.ok((await fromEnd()) < 60);
  page.check();
});

test("the whole round works with the keyboard alone", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 0 } });
  await until(page, () => document.activeElement.id === "input");
  await page.keyboard.type("first line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.keyboard.press("Enter");
  await ended(page);
  assert.equal(await page.locator(".question").innerText(), "first line\nsecond line");
  const nameless = await page.locator("button, input, select, textarea").evaluateAll((nodes) =>
    nodes.filter((node) => !node.textContent.trim() && !node.ariaLabel && !node.labels?.length).map((node) => node.outerHTML));
  assert.deepEqual(nameless, []);
  page.check();
});

test("dark and light follow the system, and a choice stays", async () => {
  const page = await openPage(browser, server.url, { colorScheme: "dark" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await page.click("#theme");
  const light = await paper();
  assert.notEqual(light, dark);
  assert.equal(await page.evaluate(() => JSON.parse(localStorage["tokenwire.settings"]).theme), "light");
  await page.click("#theme");
  assert.equal(await paper(), dark);
  page.check();
});

test("HTML in an answer is text", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 0 } });
  const html = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> [x](javascript:alert(1)) ![y](https://example.com/y.png)`;
  await ask(page, html);
  await ended(page);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator(".answer img, .answer script, .question img, .answer iframe").count(), 0);
  assert.match(await page.locator(".answer blockquote").innerText(), /<img src=x onerror="window.hacked=1"><script>/);
  const links = await page.locator(".answer a").evaluateAll((nodes) => nodes.map((node) => node.getAttribute("href")));
  assert.deepEqual(links, ["https://example.com/y.png"]);
  page.check();
});

test("a model can be chosen from the list or named", async () => {
  const page = await openPage(browser, server.url, { options: { tokens_per_second: 0, first_token_ms: 0 } });
  await page.waitForSelector("#model option[value='demo/fast']", { state: "attached" });
  await page.selectOption("#model", "demo/fast");
  await ask(page, "Hello");
  await ended(page);
  assert.match(await page.locator(".who").innerText(), /demo\/fast/);
  await page.selectOption("#model", { label: "Other model …" });
  await page.fill("dialog[open] [name=model]", "demo/anything");
  await page.click("dialog[open] .primary");
  await ask(page, "Hello");
  await ended(page);
  assert.match(await page.locator(".who").last().innerText(), /demo\/anything/);
  assert.equal((await answerOf(page)).state, "finished");
  page.check();
});

test("a server with keys asks for one, once", async () => {
  const key = "k".repeat(40);
  const locked = await startServer({ TOKENWIRE_CONFIG: "locked.toml" });
  try {
    const page = await openPage(browser, locked.url, { noisy: true, options: { tokens_per_second: 0 } });
    await page.click("#keybar button");
    await page.fill("dialog[open] [name=key]", key);
    await page.click("dialog[open] .primary");
    await page.waitForSelector('#connection[data-state="open"]');
    await page.waitForSelector("#model option[value='demo/fast']", { state: "attached" });
    await ask(page, "Hello");
    await ended(page);
    await page.reload();
    await page.waitForSelector('#connection[data-state="open"]');
    assert.equal((await answerOf(page)).state, "finished");
    page.check();
  } finally {
    await locked.stop();
  }
});

// Each is [markdown, the text and tags that it becomes].
const MARKDOWN = [
  ["a **b** *c* ~~d~~ `e` __f__ _g_", "<p>a <strong>b</strong> <em>c</em> <del>d</del> <code>e</code> <strong>f</strong> <em>g</em></p>"],
  ["***both*** and **bold *in* bold**", "<p><strong><em>both</em></strong> and <strong>bold <em>in</em> bold</strong></p>"],
  ["snake_case_name 2 * 3 * 4 \\*no\\*", "<p>snake_case_name 2 * 3 * 4 *no*</p>"],
  ["`` a ` b `` and **`*`**", "<p><code>a ` b</code> and <strong><code>*</code></strong></p>"],
  ["# A\n## B ##\ntext", "<h2>A</h2><h3>B</h3><p>text</p>"],
  ["one\ntwo  \nthree", "<p>one\ntwo<br>three</p>"],
  ["- a\n- b\n  - c\n\n    still c\n- d", "<ul><li>a</li><li>b<ul><li><p>c</p><p>still c</p></li></ul></li><li>d</li></ul>"],
  ["3. a\n4. b\n\ntext", '<ol start="3"><li>a</li><li>b</li></ol><p>text</p>'],
  ["1. a\n   ```js\n   x\n   ```\n2. b", "<ol><li>a<figure>x</figure></li><li>b</li></ol>"],
  ["> a\n> - b\n\nc", "<blockquote><p>a</p><ul><li>b</li></ul></blockquote><p>c</p>"],
  ["| a | b |\n|---|--:|\n| 1 | `x\\|y` |\n\nend", "<div><table><thead><tr><th>a</th><th class=\"right\">b</th></tr></thead><tbody><tr><td>1</td><td class=\"right\"><code>x|y</code></td></tr></tbody></table></div><p>end</p>"],
  ["```\n<b> **no**\n```\nafter", "<figure>&lt;b&gt; **no**</figure><p>after</p>"],
  ["---\n***\n- - -", "<hr><hr><hr>"],
  ["[a](https://x.test/(y) \"t\") <https://z.test> https://w.test/a_b_c.", '<p><a href="https://x.test/(y)">a</a> <a href="https://z.test/">https://z.test</a> <a href="https://w.test/a_b_c">https://w.test/a_b_c</a>.</p>'],
  ["[a](javascript:alert(1)) [b](data:text/html,x) [c](/d) [https://e.test](https://f.test)", '<p>a b c <a href="https://f.test/">https://e.test</a></p>'],
  ["<script>alert(1)</script> &amp; <b onclick=x>", "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp; &lt;b onclick=x&gt;</p>"],
  ["**open `and [half](", "<p>**open `and [half](</p>"],
];

test("markdown becomes nodes, the same in one piece and letter by letter", async () => {
  const page = await openPage(browser, server.url);
  const results = await page.evaluate(async (cases) => {
    const { Markdown } = await import("/markdown.js");
    const tags = (root) => {
      for (const code of root.querySelectorAll("figure")) code.replaceChildren(code.querySelector("code").textContent);
      for (const node of root.querySelectorAll("*")) {
        for (const name of node.getAttributeNames()) {
          if (!["href", "start"].includes(name) && !(name === "class" && ["TD", "TH"].includes(node.tagName))) node.removeAttribute(name);
        }
      }
      return root.innerHTML;
    };
    return cases.map(([text]) => {
      const whole = document.createElement("div");
      new Markdown(whole).update(text, false);
      const grown = document.createElement("div");
      const markdown = new Markdown(grown);
      for (let i = 1; i <= text.length; i++) markdown.update(text.slice(0, i), true);
      markdown.update(text, false);
      return [tags(whole), tags(grown)];
    });
  }, MARKDOWN);
  for (const [i, [text, expected]] of MARKDOWN.entries()) {
    assert.equal(results[i][0], expected, text);
    assert.equal(results[i][1], expected, `letter by letter: ${text}`);
  }
  page.check();
});

test("hostile markdown takes no time", async () => {
  const page = await openPage(browser, server.url);
  const slowest = await page.evaluate(async () => {
    const { Markdown } = await import("/markdown.js");
    const hostile = ["*a ", "**a", "`", "[", "[a](", "> ", "- ", "_a*", "|a", "![", "<https://", "```\n", "\\", "1. ", "  - x\n    "];
    const times = hostile.map((piece) => {
      const begin = performance.now();
      new Markdown(document.createElement("div")).update(piece.repeat(20_000), false);
      return [performance.now() - begin, piece];
    });
    return times.sort((a, b) => b[0] - a[0])[0];
  });
  assert.ok(slowest[0] < 2000, `${slowest}`);
  page.check();
});
