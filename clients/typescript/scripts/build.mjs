// Makes dist/: the modules and their types by tsc, and the protocol's types as they are generated.

import { spawnSync } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
rmSync(path.join(here, "dist"), { recursive: true, force: true });
const { status } = spawnSync(path.join(here, "node_modules/.bin/tsc"), ["--project", here], { stdio: "inherit" });
copyFileSync(path.join(here, "../../protocol/typescript/tokenwire.d.ts"), path.join(here, "dist/protocol.d.ts"));
process.exitCode = status ?? 1;
