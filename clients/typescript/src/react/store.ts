// How components hear of what changes: at most once in a frame, all together, and only of what they have selected.

import { useRef, useSyncExternalStore } from "react";
import type { Answer } from "../answer.js";
import type { Run } from "../run.js";

/** A page that is not shown has no frames; what it shows in its title should change nevertheless. */
const LATEST_MS = 100;

const waiting = new Set<() => void>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Whether more of the answer is to come. */
export function isUnderWay({ status }: Answer): boolean {
  return status === "pending" || status === "running";
}

/** Calls `listener` in the next frame, together with all others, so that React renders once for them. */
function soon(listener: () => void): void {
  waiting.add(listener);
  if (timer !== undefined) return;
  frame = globalThis.requestAnimationFrame?.(flush);
  timer = setTimeout(flush, LATEST_MS);
}

function flush(): void {
  if (frame !== undefined) cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = timer = undefined;
  const listeners = [...waiting];
  waiting.clear();
  for (const listener of listeners) listener();
}

/** Calls `listener` in the frame after something has changed. Returns what ends it. */
export function onChange(source: Pick<Run, "subscribe">, listener: () => void): () => void {
  // One function for each subscription: the same listener may hear of several sources.
  const tell = () => listener();
  const stop = source.subscribe(() => soon(tell));
  return () => {
    stop();
    waiting.delete(tell);
  };
}

/** As `onChange`; the end of a run is told at once. */
export function onAnswer(run: Run, listener: () => void): () => void {
  const stop = onChange(run, listener);
  const stopEnd = run.subscribe(() => {
    if (!isUnderWay(run.answer)) listener();
  });
  return () => {
    stop();
    stopEnd();
  };
}

/**
 * What `select` makes of what `read` gives. It is the same object as long as it has the same entries, so a selector may
 * make new arrays and objects.
 */
export function useSelected<S, T>(
  subscribe: (listener: () => void) => () => void,
  read: () => S,
  select: (source: S) => T,
): T {
  const kept = useRef<{ source: S; select: (source: S) => T; value: T } | undefined>(undefined);
  const snapshot = () => {
    const last = kept.current;
    const source = read();
    if (last && Object.is(last.source, source) && last.select === select) return last.value;
    const next = select(source);
    const value = last && hasSameEntries(last.value, next) ? last.value : next;
    kept.current = { source, select, value };
    return value;
  };
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

function hasSameEntries(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isPlain(a) || !isPlain(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && Object.is(a[key], b[key]))
  );
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype;
}
