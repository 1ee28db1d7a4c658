// What the tests of the examples share: a page of an example as a user has it, in a headless Chromium.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { openPage, root, startBrowser } from "../../../tests/browser/harness.mjs";

export type Browser = Awaited<ReturnType<typeof startBrowser>>;
export type Page = Awaited<ReturnType<Browser["newPage"]>> & {
  /** Fails when the page has complained of anything. */
  check(): void;
};
type ContextOptions = Parameters<Browser["newContext"]>[0];

declare global {
  interface Window {
    /** Those by which the page has sent something. */
    usedSockets: Set<WebSocket>;
  }
}

/** An example that Vite serves, with the server behind it. */
export interface Site {
  url: string;
  stop(): Promise<void>;
}

/** Builds an example and serves it, or serves it as `npm run dev` does. */
export async function serveExample(name: string, server: string, script: "preview" | "dev" = "preview"): Promise<Site> {
  const cwd = path.join(root, "examples", name);
  if (script === "preview") {
    const { status, stdout, stderr } = spawnSync("npm", ["run", "build"], { cwd, encoding: "utf8" });
    if (status !== 0) throw new Error(stdout + stderr);
  }
  const vite = path.join(cwd, "node_modules/vite/bin/vite.js");
  const args = [vite, ...(script === "preview" ? [script] : []), "--host", "127.0.0.1", "--port", "0"];
  const env = { ...process.env, TOKENWIRE_URL: server, NO_COLOR: "1", FORCE_COLOR: undefined };
  const child: ChildProcess = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "inherit"] });
  process.on("exit", () => child.kill("SIGKILL"));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const match = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (match) resolve(`${match[0]}/`);
    });
    child.on("exit", (code) => reject(new Error(`vite ended with ${code}`)));
  });
  return {
    url,
    async stop() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

/** A page of a context of its own, whose starts have these options of the demo model. */
export async function open(browser: Browser, url: string, demo: object = {}, options?: ContextOptions): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  await context.addInitScript((demo) => {
    const { send } = WebSocket.prototype;
    window.usedSockets = new Set();
    WebSocket.prototype.send = function (data) {
      window.usedSockets.add(this);
      const frame = JSON.parse(String(data));
      const request = frame.type === "send" ? frame.body : frame;
      if (frame.type === "start" || frame.type === "send") request.provider_options = { demo };
      send.call(this, JSON.stringify(frame));
    };
    localStorage.model ??= "demo/markdown";
  }, demo);
  const settings: object = { context, noisy: true };
  return (await openPage(browser, url, settings)) as unknown as Page;
}
