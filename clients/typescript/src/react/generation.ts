import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Answer, AnswerStatus } from "../answer.js";
import type { StartRequest } from "../client.js";
import { clientError, type TokenwireError } from "../errors.js";
import type { Run } from "../run.js";
import type { Tools } from "../tools.js";
import { useAnswer } from "./answer.js";
import { useClientSource } from "./provider.js";
import { isUnderWay } from "./store.js";
import { withNewest } from "./tools.js";

/** Options of `useGeneration`. */
export interface UseGenerationOptions {
  /** A generation that exists, to be attached to: one that another page or device has started. */
  id?: string;
  /**
   * Keeps the name of what was started under this key in the `sessionStorage`, so that a reload goes on with it. When the
   * server no longer knows it, it is forgotten.
   */
  storageKey?: string;
  /** Tools that this page carries out, also after a reload. Functions may be other ones with each render. */
  tools?: Tools;
  /** Cancel what runs when the component is gone. Default false: leaving is not stopping. */
  cancelOnUnmount?: boolean;
}

/** What `useGeneration` gives. Its functions stay the same. */
export interface UseGenerationResult extends Pick<Run, "cancel" | "input" | "approve" | "deny" | "toolResult"> {
  /**
   * Runs a generation, and shows it in place of the one before. In an effect give it an `id`: a start that is repeated,
   * as Strict Mode does, then starts once.
   */
  start(request: StartRequest): Run;
  /** The generation that was started or attached to. */
  readonly run: Run | undefined;
  readonly id: string | undefined;
  readonly status: AnswerStatus | undefined;
  /** Whether it is `pending` or `running`, so that there is something to stop. */
  readonly isRunning: boolean;
  /** Why it is `failed` or `lost`. */
  readonly error: TokenwireError | undefined;
  /**
   * Everything up to now. A component that reads this renders with every change of the answer, at most once in a
   * frame; one that does not renders only when something else here changes. To read less of it, or in another
   * component, there is `useAnswer(run, select)`.
   */
  readonly answer: Answer | undefined;
}

/**
 * One generation at a time: starts it, steers it, stops it, and finds it again after a reload.
 *
 * When the component is gone, the generation goes on, and so does this client's reading of it: a component that asks for
 * the same `id` has all of it at once.
 */
export function useGeneration(options: UseGenerationOptions = {}): UseGenerationResult {
  const { id, storageKey } = options;
  const client = useClientSource();
  // A run is shown for the `id` that it was found or started with.
  const [shown, setShown] = useState<{ id?: string; run: Run }>();
  const run = shown && shown.id === id ? shown.run : undefined;

  const newest = useRef<UseGenerationOptions & { run?: Run }>({});
  useEffect(() => void (newest.current = { ...options, run }));

  useEffect(() => {
    const known = id ?? stored(storageKey);
    if (known === undefined) return;
    const run = client().attach(known, { tools: withNewest(newest.current.tools, () => newest.current.tools) });
    setShown({ id, run });
    if (id !== undefined) return;
    run.result.catch(({ code }: TokenwireError) => {
      if (code !== "generation_not_found" || stored(storageKey) !== known) return;
      store(storageKey, undefined);
      setShown((now) => (now?.run === run ? undefined : now));
    });
  }, [client, id, storageKey]);

  const leaving = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    // Strict Mode comes back at once.
    clearTimeout(leaving.current);
    return () => {
      const { run, cancelOnUnmount } = newest.current;
      if (cancelOnUnmount) leaving.current = setTimeout(() => run?.cancel());
    };
  }, []);

  const start = useCallback(
    (request: StartRequest) => {
      const tools = withNewest(newest.current.tools, () => newest.current.tools);
      const run = client().start(tools ? { tools, ...request } : request);
      store(storageKey, run.id);
      newest.current.run = run;
      setShown({ id, run });
      return run;
    },
    [client, id, storageKey],
  );
  const verbs = useMemo(() => verbsOf(() => newest.current.run), []);

  const reads = useRef(false);
  const answer = useAnswer(run, (answer) => (reads.current ? answer : { status: answer.status, error: answer.error }));
  return useMemo(
    () => ({
      ...verbs,
      start,
      run,
      id: run?.id,
      status: answer?.status,
      isRunning: run !== undefined && isUnderWay(run.answer),
      error: answer?.error,
      get answer() {
        reads.current = true;
        return run?.answer;
      },
    }),
    [verbs, start, run, answer],
  );
}

/** What can be asked of the generation that is shown; without one, nothing is asked. */
function verbsOf(run: () => Run | undefined): Pick<Run, "cancel" | "input" | "approve" | "deny" | "toolResult"> {
  return {
    cancel: (reason) => run()?.cancel(reason),
    input: async (messages, options) => {
      const now = run();
      if (!now) throw clientError("too_late", "no generation was started");
      return now.input(messages, options);
    },
    approve: (callId, args) => run()?.approve(callId, args),
    deny: (callId, reason) => run()?.deny(callId, reason),
    toolResult: (callId, content, isError) => run()?.toolResult(callId, content, isError),
  };
}

// A browser that keeps nothing throws on every access.

function stored(key: string | undefined): string | undefined {
  try {
    return (key !== undefined && sessionStorage.getItem(key)) || undefined;
  } catch {
    return undefined;
  }
}

function store(key: string | undefined, id: string | undefined): void {
  if (key === undefined) return;
  try {
    if (id === undefined) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, id);
  } catch {
    // Then a reload begins anew.
  }
}
