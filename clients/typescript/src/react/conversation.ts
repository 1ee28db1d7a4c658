import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { StartRequest } from "../client.js";
import type { Conversation, ConversationGeneration, ConversationState } from "../conversation.js";
import { TokenwireError } from "../errors.js";
import type { Message } from "../protocol.js";
import type { Run } from "../run.js";
import type { Tools } from "../tools.js";
import { historyOf, titleOf } from "./messages.js";
import { useClientSource } from "./provider.js";
import { isUnderWay, onAnswer, onChange, useSelected } from "./store.js";
import { withNewest } from "./tools.js";

type Request = Omit<StartRequest, "messages" | "conversation" | "continue_from" | "tools">;

/** Options of `useConversation`: how to watch it, and what every start in it has (`model`, `tools`, `approvals` ...). */
export interface UseConversationOptions extends Partial<Omit<Request, "id" | "signal">> {
  /** A token of the owner's, to watch a conversation of somebody else's. */
  share?: string;
  /**
   * Tools that this page carries out, also for generations of other devices and after a reload. Functions may be other ones
   * with each render.
   */
  tools?: Tools;
}

/** Options of `send`. What it has in common with a start applies only when one is made. */
export interface SendOptions extends Partial<Request> {
  /** When a generation runs: cut its turn off, instead of waiting for its next one. Default false. */
  interrupt?: boolean;
}

/** What `useConversation` gives. Its functions stay the same as long as the conversation is the same. */
export interface UseConversationResult extends Pick<ConversationState, "deleted" | "error"> {
  /** The conversation itself, to rename, share or delete it. Undefined in the first render and on a server. */
  readonly conversation: Conversation | undefined;
  /**
   * The generations of every device, the oldest first, each with the messages that started it. What this component has
   * sent is there at once, also without a network. It changes when one is added, not with what they say: `useAnswer`
   * of each `run` has that.
   */
  readonly generations: readonly ConversationGeneration[];
  /** Those that have not ended. */
  readonly running: readonly ConversationGeneration[];
  /** The title that it was given, or the first words of its first message. */
  readonly title: string | undefined;
  /**
   * Says something: steers the generation that runs, or starts one that continues the last. Resolves with that run
   * when the server has taken it; rejects with a `TokenwireError`, as the run's `error` says, too.
   */
  send(messages: string | Message[], options?: SendOptions): Promise<Run>;
  /** Cancels everything that runs in it. */
  cancel(reason?: string): void;
}

/** Own starts, which the server may not have told of yet. */
interface Own {
  conversation: Conversation;
  generations: readonly ConversationGeneration[];
}

const NOTHING: readonly ConversationGeneration[] = [];

/** Watches a conversation while the component is there. One that nobody has begun is made by its first generation. */
export function useConversation(id: string, options: UseConversationOptions = {}): UseConversationResult {
  const { share } = options;
  const client = useClientSource();
  const newest = useRef(options);
  useEffect(() => void (newest.current = options));
  const watch = useCallback(() => {
    const tools = withNewest(newest.current.tools, () => newest.current.tools);
    return client().conversation(id, { share, tools });
  }, [client, id, share]);

  const [watched, setWatched] = useState<{ watch: () => Conversation; conversation: Conversation }>();
  useEffect(() => {
    const conversation = watch();
    setWatched({ watch, conversation });
    return hold(conversation);
  }, [watch]);
  const conversation = watched?.watch === watch ? watched.conversation : undefined;

  const state = useSelected(
    useCallback((listener) => (conversation ? onChange(conversation, listener) : () => {}), [conversation]),
    () => conversation?.state,
    (state) => state,
  );
  const [own, setOwn] = useState<Own>();
  const generations = useMemo(() => {
    if (!state) return NOTHING;
    return own && own.conversation === conversation ? merged(state.generations, own.generations) : state.generations;
  }, [state, own, conversation]);
  const running = useRunning(generations);

  const ownNow = useRef<Own>(undefined);
  const { send, cancel } = useMemo(() => {
    const all = () => {
      const conversation = watch();
      const mine = ownNow.current?.conversation === conversation ? ownNow.current.generations : [];
      return merged(conversation.state.generations, mine);
    };

    const start = (messages: Message[], request: Partial<Request>, continue_from?: string) => {
      const { share: _share, tools, ...common } = newest.current;
      const conversation = watch();
      const model = request.model ?? common.model ?? "";
      const run = conversation.start({
        ...common,
        ...request,
        model,
        tools: withNewest(tools, () => newest.current.tools),
        messages,
        continue_from,
      });
      const mine = ownNow.current?.conversation === conversation ? ownNow.current.generations : [];
      // What was refused was said in vain, and is said again here.
      const kept = mine.filter(({ run }) => !isForgotten(run.answer.error));
      const generations = [...kept, { id: run.id, model, messages, continue_from, run }];
      setOwn((ownNow.current = { conversation, generations }));
      return run;
    };

    const say = async (messages: Message[], { interrupt, ...request }: SendOptions) => {
      const running = all()
        .filter(({ run }) => isUnderWay(run.answer))
        .at(-1);
      if (running) {
        try {
          await running.run.input(messages, { interrupt });
          return running.run;
        } catch (error) {
          if (!(error instanceof TokenwireError) || error.code !== "too_late") throw error;
          // It can be continued once it has ended.
          await running.run.result.catch(() => {});
        }
      }
      const before = all()
        .filter(({ run }) => wasAccepted(run))
        .at(-1)?.id;
      const run = start(messages, request, before);
      const error = await answered(run);
      if (!error) return run;
      if (!isForgotten(error) || before === undefined) throw error;
      // The server keeps for a while only what it would go on from; this page has it still.
      const again = start([...historyOf(all(), before), ...messages], request);
      const failed = await answered(again);
      if (failed) throw failed;
      return again;
    };

    return {
      send: (messages: string | Message[], options: SendOptions = {}) => {
        const said = say(typeof messages === "string" ? [{ role: "user", content: messages }] : messages, options);
        // Who does not wait for it sees the run's error.
        said.catch(() => {});
        return said;
      },
      cancel: (reason?: string) => {
        for (const { run } of all()) if (isUnderWay(run.answer)) run.cancel(reason);
      },
    };
  }, [watch]);

  return {
    conversation,
    generations,
    running,
    title: state?.title ?? titleOf(generations),
    deleted: state?.deleted,
    error: state?.error,
    send,
    cancel,
  };
}

function useRunning(generations: readonly ConversationGeneration[]): readonly ConversationGeneration[] {
  const underWay = () => generations.filter(({ run }) => isUnderWay(run.answer));
  return useSelected(
    useCallback(
      (listener) => {
        const stops = generations.filter(({ run }) => isUnderWay(run.answer)).map(({ run }) => onAnswer(run, listener));
        return () => stops.forEach((stop) => stop());
      },
      [generations],
    ),
    () =>
      underWay()
        .map(({ id }) => id)
        .join(" "),
    underWay,
  );
}

function merged(
  theirs: readonly ConversationGeneration[],
  own: readonly ConversationGeneration[],
): readonly ConversationGeneration[] {
  const told = new Set(theirs.map(({ id }) => id));
  const untold = own.filter(({ id }) => !told.has(id));
  return untold.length ? [...theirs, ...untold] : theirs;
}

/** Whether the server has ever had it: what was refused cannot be continued. */
function wasAccepted({ answer }: Run): boolean {
  return !(answer.status === "failed" && answer.model === undefined && answer.usage === undefined);
}

function isForgotten(error: TokenwireError | undefined): boolean {
  return error?.code === "generation_not_found" && error.field === "continue_from";
}

/** Waits until the server has taken the start. Gives the error if it has refused it. */
async function answered(run: Run): Promise<TokenwireError | undefined> {
  if (run.answer.status === "pending") {
    await new Promise<void>((resolve) => {
      const stop = run.subscribe(() => {
        if (run.answer.status === "pending") return;
        stop();
        resolve();
      });
    });
  }
  return wasAccepted(run) ? undefined : run.answer.error;
}

const holders = new WeakMap<Conversation, number>();

/** Keeps a conversation watched as long as one component needs it. Returns what ends it. */
function hold(conversation: Conversation): () => void {
  holders.set(conversation, (holders.get(conversation) ?? 0) + 1);
  return () => {
    holders.set(conversation, holders.get(conversation)! - 1);
    // Strict Mode, or the next component, comes at once.
    setTimeout(() => {
      if (!holders.get(conversation)) conversation.close();
    });
  };
}
