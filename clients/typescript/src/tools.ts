import type { EventFrame, Tool, ToolFunction } from "./protocol.js";
import type { Run } from "./run.js";

/** What a tool's function is told beside its arguments. */
export interface ToolCallContext {
  /** The call. */
  callId: string;
  /** The generation that made it. */
  run: Run;
  /** Aborted when the result is not needed any more: the generation has ended, or another device was faster. */
  signal: AbortSignal;
}

/**
 * Carries out a call. What it returns is the result: a string as it is, anything else as JSON. What it throws becomes
 * a result with `is_error` that holds the error's message, and the model goes on with that.
 */
// The arguments have the shape that the tool's parameters say, as far as the model keeps to it.
export type ToolHandler = (args: any, context: ToolCallContext) => unknown;

/** A tool with what the model is told of it. Without `run`, the application answers by `Run.toolResult`. */
export interface ToolDefinition extends Omit<ToolFunction, "name"> {
  /** Carries out a call. */
  run?: ToolHandler;
}

/** Tools by name. A function alone is a tool without arguments. */
export type Tools = Record<string, ToolHandler | ToolDefinition>;

/** A run that this client did not start may have its results already: they are waited for so long. */
const GRACE_MS = 250;

/** The tools as the protocol has them. */
export function toolList(tools: Tools): Tool[] {
  return Object.entries(tools).map(([name, tool]) => {
    if (typeof tool === "function") return { type: "function", function: { name } };
    const { run: _run, ...rest } = tool;
    return { type: "function", function: { name, ...rest } };
  });
}

/** Answers the calls of a run by the functions in `tools`. */
export function answerCalls(run: Run, tools: Tools, isOwn: boolean): void {
  const calls = new Map<string, { name: string; args: unknown; invalid?: boolean }>();
  const running = new Map<string, AbortController>();
  run.observer = (frame: EventFrame) => {
    switch (frame.type) {
      case "tool_call":
        calls.set(frame.call_id, { name: frame.name, args: frame.arguments, invalid: frame.invalid });
        break;
      case "tool_decision": {
        const call = calls.get(frame.call_id);
        if (call && frame.arguments !== undefined) Object.assign(call, { args: frame.arguments, invalid: false });
        break;
      }
      case "tool_wait":
        for (const callId of frame.call_ids) {
          running.set(callId, new AbortController());
          if (isOwn) void carryOut(callId);
          else setTimeout(carryOut, GRACE_MS, callId);
        }
        break;
      case "tool_result":
        running.get(frame.call_id)?.abort();
        running.delete(frame.call_id);
        break;
      case "finished":
      case "cancelled":
      case "failed":
        for (const controller of running.values()) controller.abort();
        running.clear();
    }
  };

  async function carryOut(callId: string): Promise<void> {
    const call = calls.get(callId);
    const signal = running.get(callId)?.signal;
    const tool = call && Object.hasOwn(tools, call.name) ? tools[call.name] : undefined;
    const handler = typeof tool === "function" ? tool : tool?.run;
    if (!call || !signal || !handler) return;
    try {
      if (call.invalid) throw new Error("the arguments are not valid JSON");
      const result = await handler(call.args, { callId, run, signal });
      run.toolResult(callId, typeof result === "string" ? result : (JSON.stringify(result) ?? ""));
    } catch (error) {
      if (!signal.aborted) run.toolResult(callId, error instanceof Error ? error.message : String(error), true);
    }
  }
}
