// Writes the code of the guide to test/guide/, where the type checker reads it.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const here = path.resolve(import.meta.dirname, "..");
const folder = path.join(here, "test/guide");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
for (const file of ["README.md", "../../docs/typescript.md"]) {
  const blocks = [...readFileSync(path.join(here, file), "utf8").matchAll(/^```(tsx?)\n(.*?)^```/gms)];
  const name = path.basename(file, ".md").toLowerCase();
  blocks.forEach(([, type, code], at) => {
    writeFileSync(path.join(folder, `${name}-${at + 1}.${type}`), `${code}export {};\n`);
  });
}
