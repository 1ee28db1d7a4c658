// Ollama's own chat.

import { Ollama } from "ollama";

/** @typedef {import("ollama").ChatRequest} Request */

const model = "qwen3";
const question = { role: "user", content: "Why is the sky blue?" };
/** @type {import("ollama").Tool} */
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Looks outside.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

/** @param {string} baseUrl */
export const connect = (baseUrl) => new Ollama({ host: baseUrl, headers: { authorization: "Bearer key" } });

/** @param {Ollama} client @param {Request} fields */
const ask = (client, fields) => client.chat({ ...fields, stream: true });

/** @param {Ollama} client */
export const plain = (client) => ask(client, { model, messages: [question] });

/** @param {Ollama} client */
export const turns = (client) =>
  ask(client, {
    model,
    messages: [
      { role: "system", content: "Be brief." },
      question,
      { role: "assistant", content: "Scattering." },
      { role: "user", content: "And at dusk?" },
    ],
  });

/** @param {Ollama} client */
export const sampling = (client) =>
  ask(client, {
    model,
    messages: [{ role: "system", content: "Be brief." }, question],
    options: { temperature: 0.5, top_p: 0.9, num_predict: 100, seed: 7 },
  });

/** @param {Ollama} client */
export const stop = (client) => ask(client, { model, messages: [question], options: { stop: ["END"] } });

/** @param {Ollama} client */
export const penalties = (client) =>
  ask(client, {
    model,
    messages: [question],
    options: { presence_penalty: 0.5, frequency_penalty: 0.25, top_k: 40 },
  });

/** @param {Ollama} client */
export const image = (client) =>
  ask(client, { model, messages: [{ role: "user", content: "What is this?", images: ["iVBORw0KGgo="] }] });

/** @param {Ollama} client */
export const tool_results = (client) =>
  ask(client, {
    model,
    messages: [
      { role: "user", content: "What is the weather in Rome and Atlantis?" },
      {
        role: "assistant",
        content: "I look.",
        tool_calls: [
          { function: { name: "weather", arguments: { city: "Rome" } } },
          { function: { name: "weather", arguments: { city: "Atlantis" } } },
        ],
      },
      { role: "tool", tool_name: "weather", content: "sunny" },
      { role: "tool", tool_name: "weather", content: "no such city" },
    ],
    tools: [weather],
  });

/** @param {Ollama} client */
export const schema = (client) =>
  ask(client, {
    model,
    messages: [question],
    format: {
      type: "object",
      properties: { answer: { type: "string" } },
      required: ["answer"],
      additionalProperties: false,
    },
  });

/** @param {Ollama} client */
export const effort = (client) => ask(client, { model, messages: [question], think: "high" });

/** @param {Ollama} client */
export const budget = (client) =>
  ask(client, { model, messages: [question], think: true, options: { num_predict: 4096 } });

/** @param {Ollama} client */
export const logprobs = (client) => ask(client, { model, messages: [question], logprobs: true, top_logprobs: 2 });

/** @param {Ollama} client */
export const round_trip = async (client) => {
  const question = { role: "user", content: "What is the weather in Rome?" };
  /** @type {import("ollama").Message & { tool_calls: import("ollama").ToolCall[] }} */
  const answer = { role: "assistant", content: "", thinking: "", tool_calls: [] };
  for await (const { message } of await client.chat({
    model,
    messages: [question],
    tools: [weather],
    think: "high",
    stream: true,
  })) {
    answer.thinking += message.thinking ?? "";
    answer.tool_calls.push(...(message.tool_calls ?? []));
  }
  const result = { role: "tool", tool_name: "weather", content: "sunny" };
  await ask(client, { model, messages: [question, answer, result], tools: [weather], think: "high" });
};
