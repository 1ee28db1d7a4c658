import type { ObjectDeltaFrame } from "./protocol.js";

/** The value with one change, as a new value that shares what has not changed. */
export function patched(value: unknown, change: Pick<ObjectDeltaFrame, "path" | "value" | "append">): unknown {
  const keys = change.path.split("/").slice(1);
  return at(value, 0);

  function at(target: unknown, depth: number): unknown {
    if (depth === keys.length) {
      return change.append === undefined ? change.value : String(target ?? "") + change.append;
    }
    const key = keys[depth]!.replaceAll("~1", "/").replaceAll("~0", "~");
    const copy = Array.isArray(target) ? [...target] : { ...(target as object) };
    const child = at(Object.hasOwn(copy, key) ? (copy as Record<string, unknown>)[key] : undefined, depth + 1);
    // Not by assignment: the key may be `__proto__`.
    Object.defineProperty(copy, key, { value: child, configurable: true, enumerable: true, writable: true });
    return copy;
  }
}
