// Fails when a page that imports the core has to load more than the limit, minified and compressed.

import { buildSync } from "esbuild";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 6_144;
const { outputFiles } = buildSync({
  entryPoints: ["dist/index.js"],
  bundle: true,
  minify: true,
  format: "esm",
  // What is loaded only when it is needed is not counted.
  splitting: true,
  outdir: "size",
  write: false,
});
const [core] = outputFiles.filter(({ path }) => path.endsWith("index.js"));
const bytes = gzipSync(core.contents, { level: 9 }).length;
console.log(`core: ${bytes} of ${LIMIT_BYTES} bytes`);
if (bytes > LIMIT_BYTES) process.exitCode = 1;
