import type { EventFrame } from "./protocol.js";

/** With so many events waiting, deltas are merged. */
const MERGE_FROM = 256;
/** What an event takes beside its text, roughly. */
const EVENT_SIZE = 100;

/** The piece that a delta carries; undefined for every other event. */
export function deltaOf(frame: EventFrame): string | undefined {
  return "delta" in frame ? frame.delta : undefined;
}

/** The events that wait for one reader of a run: bounded, because the server's log can be read again. */
export class EventQueue {
  #waiting: { event: EventFrame; size: number }[] = [];
  #size = 0;
  #maxSize: number;
  #wake: (() => void) | undefined;
  #isEnded = false;
  #error: Error | undefined;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** How many events wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Adds an event of `size` characters. Says whether there was room; there always is for one. */
  push(event: EventFrame, size: number): boolean {
    size += EVENT_SIZE;
    if (this.length && this.#size + size > this.#maxSize) return false;
    this.#size += size;
    const last = this.#waiting.at(-1);
    if (this.length >= MERGE_FROM && last && isSamePart(last.event, event)) {
      last.event = { ...event, delta: deltaOf(last.event)! + deltaOf(event)! } as EventFrame;
      last.size += size;
    } else {
      this.#waiting.push({ event, size });
    }
    this.#wake?.();
    return true;
  }

  /** After what waits comes nothing more, or the error. */
  end(error?: Error): void {
    this.#isEnded = true;
    this.#error = error;
    this.#wake?.();
  }

  /** The next event, as soon as there is one; undefined at the end. */
  async next(): Promise<EventFrame | undefined> {
    while (!this.length) {
      if (this.#error) throw this.#error;
      if (this.#isEnded) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const { event, size } = this.#waiting.shift()!;
    this.#size -= size;
    return event;
  }
}

function isSamePart(a: EventFrame, b: EventFrame): boolean {
  return a.type === b.type && deltaOf(a) !== undefined && callOf(a) === callOf(b);
}

function callOf(frame: EventFrame): string | undefined {
  return "call_id" in frame ? frame.call_id : undefined;
}
