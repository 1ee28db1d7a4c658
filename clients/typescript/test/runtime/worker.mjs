import { use } from "./use.mjs";

self.onmessage = async ({ data }) => self.postMessage(await use(data));
