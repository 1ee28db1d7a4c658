import type { ErrorCode, ErrorInfo } from "./protocol.js";

/**
 * What goes wrong on the client's own side, beside the codes of the protocol:
 *
 * - `not_authenticated`: the server does not take the token.
 * - `connection_closed`: the server closed the connection for a reason that would end the next one, too.
 * - `connection_lost`: there was no connection for longer than `reconnectForMs`.
 * - `closed`: `Tokenwire.close` was called, or `Conversation.close`.
 * - `detached`: `Run.detach` was called.
 * - `queue_full`: more waits for a connection, or for the server's word, than `maxUnconfirmed`.
 * - `http`: an HTTP request failed without a code of the protocol.
 */
export type ClientErrorCode =
  "not_authenticated" | "connection_closed" | "connection_lost" | "closed" | "detached" | "queue_full" | "http";

/** Every error of this package. */
export class TokenwireError extends Error {
  override readonly name = "TokenwireError";
  /** What went wrong. Treat a code that you do not know by `retryable`. */
  readonly code: ErrorCode | ClientErrorCode;
  /** Whether the same request may succeed when it is made again. */
  readonly retryable: boolean;
  /** How long to wait before that, in milliseconds, where it is known. */
  readonly retryAfterMs: number | undefined;
  /** The field of the request that is at fault, as a path: `messages[0].role`. */
  readonly field: string | undefined;
  /** The wire's own object, with what has no name here: `provider`, `status`, `provider_code`, `request_id`. */
  readonly info: Omit<ErrorInfo, "code"> & { code: ErrorCode | ClientErrorCode };

  constructor(info: TokenwireError["info"], options?: ErrorOptions) {
    super(info.message, options);
    this.code = info.code;
    this.retryable = info.retryable;
    this.retryAfterMs = info.retry_after_ms;
    this.field = info.field;
    this.info = info;
  }
}

/** An error of the client's own. */
export function clientError(
  code: ErrorCode | ClientErrorCode,
  message: string,
  retryable = false,
  cause?: unknown,
): TokenwireError {
  return new TokenwireError({ code, message, retryable }, cause === undefined ? undefined : { cause });
}
