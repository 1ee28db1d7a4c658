// What goes over HTTP. It is seldom needed, so it is loaded when it is.

const ANSWER_WITHIN_MS = 10_000;

/** The status and the JSON that a route answers with. Rejects when there is no answer in time. */
export async function request(
  url: URL,
  token: string | undefined,
  method: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const headers: Record<string, string> = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const response = await fetch(url, { method, headers, signal, body: body ? JSON.stringify(body) : null });
  return { status: response.status, body: await response.json().catch(() => undefined) };
}
