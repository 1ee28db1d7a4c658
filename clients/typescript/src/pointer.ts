/** One change of a value: `value` replaces or adds what is at the path, `append` goes to the end of the text there. */
interface Change {
  value?: unknown;
  append?: string;
}

/** The value with a change at a JSON Pointer, as a new value that shares with the old one what has not changed. */
export function patched(value: unknown, path: string, change: Change): unknown {
  const [, ...keys] = path.split("/");
  return patchedAt(value, keys, change);
}

function patchedAt(value: unknown, [key, ...keys]: string[], change: Change): unknown {
  if (key === undefined) return change.append === undefined ? change.value : `${value ?? ""}${change.append}`;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  const name = key.replaceAll("~1", "/").replaceAll("~0", "~");
  copy[name] = patchedAt(copy[name], keys, change);
  return copy;
}
