// `main.mjs URL`, or `main.mjs URL worker`: says what came of it in one line.

import process from "node:process";
import { use } from "./use.mjs";

const [url, where] = process.argv.slice(2);
if (where === "worker") {
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => {
    console.log(JSON.stringify(data));
    worker.terminate();
  };
  worker.postMessage(url);
} else {
  console.log(JSON.stringify(await use(url)));
}
