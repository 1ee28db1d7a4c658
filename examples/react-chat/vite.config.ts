import { defineConfig } from "vite";

// The page and the server have one origin, as they would behind a proxy of yours.
const proxy = { "/v1": { target: process.env.TOKENWIRE_URL ?? "http://127.0.0.1:8080", ws: true, xfwd: true } };

export default defineConfig({ server: { proxy }, preview: { proxy } });
