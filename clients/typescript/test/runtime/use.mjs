// A client used in whatever runtime this is: what came of it, as JSON can hold it.

import { Tokenwire } from "../../dist/index.js";

export async function use(url) {
  const tw = new Tokenwire(url);
  const request = (tokens, options) => ({
    model: "demo/markdown",
    messages: [{ role: "user", content: "What is the weather in Paris?" }],
    provider_options: { demo: { tokens, first_token_ms: 0, tokens_per_second: 0, ...options } },
  });
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const tools = { get_weather: { description: "The weather", parameters, run: ({ city }) => `fine in ${city}` } };
  const answered = await tw.start({ ...request(200), tools }).result;

  const run = tw.start(request(100_000, { tokens_per_second: 100 }));
  for await (const piece of run.text) if (piece) run.cancel();
  const { status } = await run.result;
  tw.close();
  const results = answered.parts.filter(({ type }) => type === "tool_call").map(({ content }) => content);
  return { status, text: answered.text, results };
}
