// Cohere's chat, version 2.

import { CohereClientV2 } from "cohere-ai";

/** @typedef {import("cohere-ai").Cohere.V2ChatStreamRequest} Request */

const model = "command-a-03-2025";
/** @type {Request["messages"][number]} */
const question = { role: "user", content: "Why is the sky blue?" };
/** @type {Request["messages"][number]} */
const weatherQuestion = { role: "user", content: "What is the weather in Rome?" };
/** @type {import("cohere-ai").Cohere.ToolV2} */
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Looks outside.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
/** @type {import("cohere-ai").Cohere.ToolV2} */
const now = {
  type: "function",
  function: { name: "now", description: "Tells the time.", parameters: { type: "object", properties: {} } },
};

/** @param {string} baseUrl */
export const connect = (baseUrl) => new CohereClientV2({ token: "key", environment: baseUrl });

/** @param {CohereClientV2} client @param {Request} fields */
const ask = (client, fields) => client.chatStream(fields);

/** @param {CohereClientV2} client @param {string} url */
const show = (client, url) =>
  ask(client, {
    model,
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", imageUrl: { url } },
        ],
      },
    ],
  });

/** @param {CohereClientV2} client */
export const plain = (client) => ask(client, { model, messages: [question] });

/** @param {CohereClientV2} client */
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

/** @param {CohereClientV2} client */
export const sampling = (client) =>
  ask(client, {
    model,
    messages: [{ role: "system", content: "Be brief." }, question],
    temperature: 0.5,
    p: 0.9,
    maxTokens: 100,
    seed: 7,
  });

/** @param {CohereClientV2} client */
export const stop = (client) => ask(client, { model, messages: [question], stopSequences: ["END"] });

/** @param {CohereClientV2} client */
export const penalties = (client) =>
  ask(client, { model, messages: [question], presencePenalty: 0.5, frequencyPenalty: 0.25, k: 40 });

/** @param {CohereClientV2} client */
export const image = (client) => show(client, "data:image/png;base64,iVBORw0KGgo=");

/** @param {CohereClientV2} client */
export const image_url = (client) => show(client, "https://example.com/cat.png");

/** @param {CohereClientV2} client */
export const tool_forced = (client) =>
  // No tool can be named, so only that one is offered.
  ask(client, { model, messages: [weatherQuestion], tools: [weather], toolChoice: "REQUIRED" });

/** @param {CohereClientV2} client */
export const tool_required = (client) =>
  ask(client, { model, messages: [weatherQuestion], tools: [weather, now], toolChoice: "REQUIRED" });

/** @param {CohereClientV2} client */
export const tool_results = (client) =>
  ask(client, {
    model,
    messages: [
      { role: "user", content: "What is the weather in Rome and Atlantis?" },
      {
        role: "assistant",
        content: "I look.",
        toolCalls: [
          { id: "callRome1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } },
          { id: "callAtla2", type: "function", function: { name: "weather", arguments: '{"city":"Atlantis"}' } },
        ],
      },
      { role: "tool", toolCallId: "callRome1", content: "sunny" },
      { role: "tool", toolCallId: "callAtla2", content: "no such city" },
    ],
    tools: [weather],
  });

/** @param {CohereClientV2} client */
export const schema = (client) =>
  ask(client, {
    model,
    messages: [question],
    responseFormat: {
      type: "json_object",
      jsonSchema: {
        type: "object",
        properties: { answer: { type: "string" } },
        required: ["answer"],
        additionalProperties: false,
      },
    },
  });

/** @param {CohereClientV2} client */
export const effort = (client) => ask(client, { model, messages: [question], thinking: { type: "enabled" } });

/** @param {CohereClientV2} client */
export const budget = (client) =>
  ask(client, { model, messages: [question], maxTokens: 4096, thinking: { type: "enabled", tokenBudget: 2048 } });

/** @param {CohereClientV2} client */
export const logprobs = (client) => ask(client, { model, messages: [question], logprobs: true });

/** @param {CohereClientV2} client */
export const round_trip = async (client) => {
  /** @type {Omit<Request, "messages">} */
  const fields = { model, tools: [weather], thinking: { type: "enabled" } };
  let toolPlan = "";
  const toolCalls = [];
  for await (const event of await ask(client, { ...fields, messages: [weatherQuestion] })) {
    if (event.type === "tool-plan-delta") toolPlan += event.delta?.message?.toolPlan ?? "";
    const call = event.type === "tool-call-start" && event.delta?.message?.toolCalls;
    if (call) toolCalls.push(call);
  }
  await ask(client, {
    ...fields,
    messages: [
      weatherQuestion,
      { role: "assistant", toolPlan, toolCalls },
      { role: "tool", toolCallId: toolCalls[0].id, content: "sunny" },
    ],
  });
};
