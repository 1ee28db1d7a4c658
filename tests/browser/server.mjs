// The real binary, and a network that can be cut: what tests in the browser and tests of the clients share.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
const binary = process.env.TOKENWIRE_BIN ?? path.join(target, "debug", "tokenwire");

/** Starts the server on a free port. `env` configures it; `signal` sends it a signal. */
export async function startServer(env = {}) {
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0"], {
    cwd: path.dirname(fileURLToPath(import.meta.url)),
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (match) resolve(match[0]);
    });
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
  // Whatever goes wrong, the test does not leave it behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  };
  return { url, port: Number(new URL(url).port), stop, signal: (name) => child.kill(name) };
}

/**
 * A TCP proxy on a port of its own: a network that the test can cut, silence and restore.
 *
 * `shape`, if it is set, is called for each new connection, and what it returns for each piece of data with its direction
 * ("up", "down") and length: it gives the milliseconds by which the piece is late, or "cut" to end the connection there.
 */
export async function startProxy(port) {
  const sockets = new Set();
  let mode = "up";
  // `swallowed` counts the bytes that were let through nowhere, `connections` all that were made.
  /** @type {{ port: number, swallowed: number, connections: number, shape?: () => (direction: string, length: number) => number | "cut" | undefined }} */
  const proxy = { port, swallowed: 0, connections: 0 };
  const server = net.createServer((client) => {
    if (mode === "down") return client.destroy();
    proxy.connections++;
    const upstream = net.connect(proxy.port, "127.0.0.1");
    const shape = proxy.shape?.();
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      const direction = from === client ? "up" : "down";
      let sent = Promise.resolve();
      const write = (data) => {
        const late = shape?.(direction, data.length);
        if (late === "cut") return client.destroy();
        if (late === undefined) return to.write(data);
        // Late pieces keep their order.
        sent = sent.then(() => new Promise((resolve) => setTimeout(resolve, late))).then(() => to.write(data));
      };
      sockets.add(from);
      from.on("data", (data) => {
        if (mode === "silent" || (mode === "deaf" && from === upstream)) proxy.swallowed += data.length;
        else write(data);
      });
      from.on("error", () => {});
      from.on("close", () => (sockets.delete(from), to.destroy()));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Cuts every connection and refuses new ones. */
    drop: () => ((mode = "down"), cut()),
    /** Keeps connections open and lets nothing through, as when a phone loses its network. */
    silence: () => (mode = "silent"),
    /** Lets nothing through to the browser; the server still hears it. */
    deafen: () => (mode = "deaf"),
    /** Lets new connections through. Those from before stay dead. */
    restore: () => {
      if (mode !== "up") cut();
      mode = "up";
    },
    stop: () => (cut(), server.close()),
  });
}

/** Waits until `condition()` holds. */
export async function eventually(condition) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  throw new Error(`waited in vain for ${condition}`);
}
