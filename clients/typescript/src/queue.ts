import type { EventFrame } from "./protocol.js";

/** With so many events waiting, deltas are merged. */
const MERGE_FROM = 256;
/** What an event takes beside its text, roughly. */
const EVENT_SIZE = 100;

/** Which of the deltas, or undefined for every other event. */
export function deltaOf(frame: EventFrame): string | undefined {
  return "delta" in frame && typeof frame.delta === "string" ? frame.delta : undefined;
}

function merged(last: EventFrame | undefined, next: EventFrame): EventFrame | undefined {
  if (last?.type !== next.type || deltaOf(last) === undefined) return undefined;
  if ("call_id" in last && "call_id" in next && last.call_id !== next.call_id) return undefined;
  return { ...next, delta: deltaOf(last)! + deltaOf(next)! } as EventFrame;
}

/** The events that wait for one reader of a run: bounded, because the server's log can be read again. */
export class EventQueue {
  #events: EventFrame[] = [];
  #head = 0;
  #size = 0;
  #maxSize: number;
  #wake: (() => void) | undefined;
  #error: Error | undefined;
  #isEnded = false;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** How many events wait. */
  get length(): number {
    return this.#events.length - this.#head;
  }

  /** Adds an event of `size` characters. Says whether there was room; there always is for one. */
  push(event: EventFrame, size: number): boolean {
    const cost = size + EVENT_SIZE;
    if (this.length && this.#size + cost > this.#maxSize) return false;
    this.#size += cost;
    const merge = this.length >= MERGE_FROM ? merged(this.#events.at(-1), event) : undefined;
    if (merge) this.#events[this.#events.length - 1] = merge;
    else this.#events.push(event);
    this.#wake?.();
    return true;
  }

  /** Nothing follows but what waits, and then the error if there is one. */
  end(error?: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    this.#wake?.();
  }

  /** The next event if one waits; `undefined` once it has ended. */
  async next(): Promise<EventFrame | undefined> {
    while (!this.length) {
      if (this.#error) throw this.#error;
      if (this.#isEnded) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#take();
  }

  #take(): EventFrame {
    const event = this.#events[this.#head++]!;
    if (!this.length) {
      this.#events = [];
      this.#head = this.#size = 0;
    } else if (this.#head >= MERGE_FROM) {
      this.#events.splice(0, this.#head);
      this.#head = 0;
    }
    return event;
  }
}
