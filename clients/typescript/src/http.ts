import type { TokenSource } from "./connection.js";
import { clientError, TokenwireError } from "./errors.js";
import type { ErrorInfo } from "./protocol.js";

const ANSWER_WITHIN_MS = 10_000;

/** Where the server's routes are: `https://host/prefix/v1/`. */
export function routesOf(url: string | URL | undefined): URL {
  const page = globalThis.location?.href;
  const routes = new URL(url ?? "/", page?.startsWith("http") ? page : undefined);
  routes.protocol = routes.protocol.replace(/^ws/, "http");
  routes.search = routes.hash = "";
  routes.pathname = routes.pathname.replace(/\/*(v1\/(stream)?)?$/, "/v1/");
  return routes;
}

/** The requests of the client that are no frames. */
export class Http {
  #routes: URL;
  #token: TokenSource | undefined;

  constructor(routes: URL, token: TokenSource | undefined) {
    this.#routes = routes;
    this.#token = token;
  }

  /** @throws TokenwireError as the server answers, or `http` */
  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    let response: Response;
    try {
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      response = await this.#fetch(path, token, {
        method,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
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
  async isDenied(token: string | undefined): Promise<boolean> {
    try {
      return (await this.#fetch("conversations?limit=1", token, {})).status === 401;
    } catch {
      return false;
    }
  }

  #fetch(path: string, token: string | undefined, init: RequestInit): Promise<Response> {
    const headers: Record<string, string> = {};
    if (token) headers.authorization = `Bearer ${token}`;
    if (init.body) headers["content-type"] = "application/json";
    return fetch(new URL(path, this.#routes), { ...init, headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  }
}
