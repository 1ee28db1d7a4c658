// Fails when a page has to load more than this of the package, minified and compressed.

import { buildSync } from "esbuild";
import { gzipSync } from "node:zlib";

const LIMITS = { "core-only": 6_000, index: 7_000, "ai-sdk/index": 4_000 };

for (const [entry, limit] of Object.entries(LIMITS)) {
  const { outputFiles } = buildSync({
    entryPoints: [`dist/${entry}.js`],
    bundle: true,
    minify: true,
    format: "esm",
    // What is loaded only when it is needed is not counted.
    splitting: true,
    outdir: "size",
    write: false,
  });
  // The entry comes first.
  const { contents } = outputFiles[0];
  const bytes = gzipSync(contents, { level: 9 }).length;
  console.log(`${entry}: ${bytes} of ${limit} bytes`);
  if (bytes > limit) process.exitCode = 1;
}
