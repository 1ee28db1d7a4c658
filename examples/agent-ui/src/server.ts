/** Where the server is: `?server=wss://host`, or where the page comes from. */
export const server = new URLSearchParams(location.search).get("server") ?? "/";

const DEMO = ["demo/markdown", "demo/reasoning", "demo/fast", "demo/slow"];

/** The models that may be asked. */
export async function models(): Promise<string[]> {
  try {
    const response = await fetch(new URL("/v1/models", new URL(server.replace(/^ws/, "http"), location.href)));
    const { data } = (await response.json()) as { data: { id: string }[] };
    return data.map(({ id }) => id);
  } catch {
    return DEMO;
  }
}
