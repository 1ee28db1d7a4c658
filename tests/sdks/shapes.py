"""Checks bodies by the SDKs' own request types, which know more than the conversations say."""

import json
import re
import subprocess


def check(folder, bodies):
    """What the types say against the bodies, by provider: `bodies` is by provider and conversation."""
    return by_typescript(folder, bodies)


def by_typescript(folder, bodies):
    """Writes the bodies as literals of the SDKs' types, and has `tsc` look at them and at the Node scripts.

    A literal may hold no field that its type does not have.
    """
    lines, owners = [], {}
    for provider, conversations in bodies.items():
        if not provider.body_type:
            continue
        for name, body in conversations.items():
            lines.append(f"export const {provider.script}_{name}: {provider.body_type} = {json.dumps(body)};")
            owners[len(lines)] = (provider.name, name)
        # A type that were not found would take anything.
        wrong = json.dumps({**conversations["plain"], "no such field": 1})
        lines += ["// @ts-expect-error", f"export const {provider.script}: {provider.body_type} = {wrong};"]
        owners[len(lines) - 1] = owners[len(lines)] = (provider.name, "no such field")
    with open(f"{folder}/bodies.ts", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    done = subprocess.run(
        ["npx", "--no-install", "tsc", "--project", folder], cwd=folder, capture_output=True, text=True, check=False
    )
    problems = {}
    for line in done.stdout.splitlines():
        if line.startswith(" "):
            # More about the line before.
            continue
        match = re.match(r"bodies\.ts\((\d+),", line)
        name, conversation = owners.get(int(match[1]), ("", "")) if match else ("", "")
        problems.setdefault(name, []).append(f"{conversation} (types): {line}" if name else line)
    return problems
