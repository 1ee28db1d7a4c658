import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const client = (file: string) => fileURLToPath(new URL(`../../clients/typescript/src/${file}`, import.meta.url));
// The page and the server have one origin, as they would behind a proxy of yours.
const proxy = { "/v1": { target: process.env.TOKENWIRE_URL ?? "http://127.0.0.1:8080", ws: true, xfwd: true } };

export default defineConfig({
  server: { proxy },
  preview: { proxy },
  // In this repository the package is its source. Outside of it, `npm install tokenwire` is enough, without these lines.
  resolve: {
    alias: [
      { find: "tokenwire/react", replacement: client("react/index.ts") },
      { find: "tokenwire", replacement: client("index.ts") },
    ],
    dedupe: ["react"],
  },
});
