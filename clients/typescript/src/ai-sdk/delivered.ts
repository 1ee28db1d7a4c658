import type { UIMessageChunk } from "ai";

/**
 * What the reader of an answer has of it, so that the answer can be said again from its beginning. A replay has the same
 * chunks; only deltas are joined, and calls that were answered meanwhile are not offered again. So chunks are counted
 * for each part, and the deltas of a part by characters.
 */
export class Delivered {
  #parts = new Map<string, { delivered: number; passed: number }>();

  get isEmpty(): boolean {
    return !this.#parts.size;
  }

  /** From now on it is said again. */
  restart(): void {
    for (const part of this.#parts.values()) part.passed = 0;
  }

  /** What of the next chunk is new: all, nothing, or the end of its delta. */
  restOf(chunk: UIMessageChunk): UIMessageChunk | undefined {
    const key = keyOf(chunk);
    const field = "inputTextDelta" in chunk ? "inputTextDelta" : "delta";
    const delta = (chunk as { [field]?: string })[field];
    let part = this.#parts.get(key);
    if (!part) this.#parts.set(key, (part = { delivered: 0, passed: 0 }));
    const known = part.delivered - part.passed;
    const size = delta?.length ?? 1;
    part.passed += size;
    if (known >= size) return undefined;
    part.delivered = part.passed;
    return known && delta ? ({ ...chunk, [field]: delta.slice(known) } as UIMessageChunk) : chunk;
  }
}

/** The same for all chunks of a kind that belong to one part. */
export function keyOf(chunk: UIMessageChunk): string {
  const { id, toolCallId, approvalId, sourceId } = chunk as Record<string, unknown>;
  return `${chunk.type} ${id ?? toolCallId ?? approvalId ?? sourceId ?? ""}`;
}
