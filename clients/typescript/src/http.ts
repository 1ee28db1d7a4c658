// What goes over HTTP. It is seldom needed, so it is loaded when it is.

import type { Answer } from "./answer.js";
import { clientError, TokenwireError } from "./errors.js";
import type { CancelledBy, ErrorInfo, FinishReason, TokenUsage } from "./protocol.js";

const ANSWER_WITHIN_MS = 10_000;

/** A server's routes, and the token that they want. */
export interface Routes {
  /** `https://host/prefix/v1/`. */
  url: URL;
  token: () => Promise<string | undefined>;
}

/** @throws TokenwireError as the server answers, or `http` */
export async function request<T>(routes: Routes, method: string, path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await ask(routes.url, await routes.token(), method, path, body);
  } catch (cause) {
    throw clientError("http", "the server could not be reached", true, cause);
  }
  const answer = (await response.json().catch(() => undefined)) as { error?: Partial<ErrorInfo> } | undefined;
  if (response.ok) return answer as T;
  const { status } = response;
  const code = status === 401 ? "not_authenticated" : "http";
  const message = `the server answers with status ${status}`;
  throw new TokenwireError({ code, message, status, retryable: status >= 500, ...answer?.error });
}

/** Whether the server refuses the token, as far as it can be asked. */
export async function isDenied({ url }: Routes, token: string | undefined): Promise<boolean> {
  const response = await ask(url, token, "GET", "conversations?limit=1").catch(() => undefined);
  return response?.status === 401;
}

/** A generation as `GET /v1/conversations/{id}` has it. */
interface Kept {
  id: string;
  state: "running" | "finished" | "cancelled" | "failed";
  text?: string;
  usage?: TokenUsage;
  finish_reason?: FinishReason;
  by?: CancelledBy;
  error?: ErrorInfo;
}

/** What is kept of an ended generation: the one with the change `seq` of the conversation. */
export async function kept(routes: Routes, conversation: string, seq: number, id: string): Promise<Partial<Answer>> {
  const path = `conversations/${conversation}?after=${seq - 1}&limit=1`;
  const { data } = await request<{ data: Kept[] }>(routes, "GET", path);
  if (data[0]?.id !== id || data[0].state === "running") throw clientError("generation_not_found", "it is not kept");
  const { state, text = "", usage, finish_reason, by, error } = data[0];
  return { status: state, text, usage, reason: finish_reason, by, error: error && new TokenwireError(error) };
}

function ask(url: URL, token: string | undefined, method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  return fetch(new URL(path, url), { method, headers, signal, body: body && JSON.stringify(body) } as RequestInit);
}
