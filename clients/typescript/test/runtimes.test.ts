// The built package in other runtimes than Node and the browser, and in their workers: streams, resumes on another connection,
// answers a tool, and stops. A runtime that is not installed is left out.

import { execFile, spawnSync } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { useServer } from "./support.js";

const RUNTIMES = { bun: ["bun"], deno: ["deno", "run", "--allow-net", "--allow-read"] };
const PACKAGE = path.join(import.meta.dirname, "..");

const { shared } = useServer();

describe.each(Object.entries(RUNTIMES))("%s", (name, [program, ...options]) => {
  const isInstalled = spawnSync(name, ["--version"]).status === 0;
  test.runIf(isInstalled).each(["main", "worker"])("in its %s thread", async (where) => {
    let connections = 0;
    shared.proxy.shape = () => {
      const isFirst = connections++ === 0;
      let bytes = 0;
      return (direction, length) => {
        if (direction === "down") bytes += length;
        return isFirst && bytes > 1_500 ? "cut" : undefined;
      };
    };
    const run = promisify(execFile);
    const script = path.join(PACKAGE, "test/runtime/main.mjs");
    const { stdout } = await run(program!, [...options, script, shared.proxy.url, where], { timeout: 25_000 });
    const { text, results, status } = JSON.parse(stdout);
    expect(results).toEqual(["fine in Paris"]);
    expect(text).toContain("fine in Paris");
    expect(status).toBe("cancelled");
    expect(connections).toBe(2);
  });
});
