import { useCallback } from "react";
import type { Answer } from "../answer.js";
import type { Run } from "../run.js";
import { onAnswer, useSelected } from "./store.js";

/**
 * The answer of a run, or what `select` takes of it. The component renders again when that has changed, at most once in a
 * frame however fast tokens arrive, and no component around it does. Parts that have not changed are the same objects,
 * so a component for a part may be a `memo`.
 *
 * `select` may be written in place, and may make new arrays and objects of what it takes.
 *
 * ```tsx
 * const text = useAnswer(run, (answer) => answer.text);
 * ```
 */
export function useAnswer(run: Run): Answer;
export function useAnswer(run: Run | undefined): Answer | undefined;
export function useAnswer<T>(run: Run, select: (answer: Answer) => T): T;
export function useAnswer<T>(run: Run | undefined, select: (answer: Answer) => T): T | undefined;
export function useAnswer<T>(run: Run | undefined, select?: (answer: Answer) => T): T | Answer | undefined {
  return useSelected(
    useCallback((listener) => (run ? onAnswer(run, listener) : () => {}), [run]),
    () => run?.answer,
    (answer) => (answer && select ? select(answer) : answer),
  );
}
