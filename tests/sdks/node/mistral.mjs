// Mistral's chat completions.

import { Mistral } from "@mistralai/mistralai";

/** @typedef {import("@mistralai/mistralai/models/components").ChatCompletionStreamRequest} Request */
/** @typedef {Exclude<import("@mistralai/mistralai/models/components").UserMessage["content"], string | null>[number]} Part */

const model = "mistral-medium-latest";
/** @type {Request["messages"][number]} */
const question = { role: "user", content: "Why is the sky blue?" };
/** @type {Request["messages"][number]} */
const weatherQuestion = { role: "user", content: "What is the weather in Rome?" };
/** @type {NonNullable<Request["tools"]>[number]} */
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Looks outside.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
/** @type {NonNullable<Request["tools"]>[number]} */
const now = {
  type: "function",
  function: { name: "now", description: "Tells the time.", parameters: { type: "object", properties: {} } },
};

/** @param {string} baseUrl */
export const connect = (baseUrl) => new Mistral({ apiKey: "key", serverURL: baseUrl });

/** @param {Mistral} client @param {Request} fields */
const ask = (client, fields) => client.chat.stream(fields);

/** @param {Mistral} client @param {string} text @param {Part} part */
const show = (client, text, part) =>
  ask(client, { model, messages: [{ role: "user", content: [{ type: "text", text }, part] }] });

/** @param {Mistral} client */
export const plain = (client) => ask(client, { model, messages: [question] });

/** @param {Mistral} client */
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

/** @param {Mistral} client */
export const sampling = (client) =>
  ask(client, {
    model,
    messages: [{ role: "system", content: "Be brief." }, question],
    temperature: 0.5,
    topP: 0.9,
    maxTokens: 100,
    randomSeed: 7,
  });

/** @param {Mistral} client */
export const stop = (client) => ask(client, { model, messages: [question], stop: ["END"] });

/** @param {Mistral} client */
export const penalties = (client) =>
  ask(client, { model, messages: [question], presencePenalty: 0.5, frequencyPenalty: 0.25 });

/** @param {Mistral} client */
export const image = (client) =>
  show(client, "What is this?", { type: "image_url", imageUrl: { url: "data:image/png;base64,iVBORw0KGgo=" } });

/** @param {Mistral} client */
export const image_url = (client) =>
  show(client, "What is this?", { type: "image_url", imageUrl: { url: "https://example.com/cat.png" } });

/** @param {Mistral} client */
export const file = (client) =>
  show(client, "Sum it up.", {
    type: "document_url",
    documentUrl: "data:application/pdf;base64,JVBERi0=",
    documentName: "paper.pdf",
  });

/** @param {Mistral} client */
export const audio = (client) => show(client, "What is said?", { type: "input_audio", inputAudio: "UklGRg==" });

/** @param {Mistral} client */
export const tool_forced = (client) =>
  ask(client, {
    model,
    messages: [weatherQuestion],
    tools: [weather, now],
    toolChoice: { type: "function", function: { name: "weather" } },
    parallelToolCalls: false,
  });

/** @param {Mistral} client */
export const tool_required = (client) =>
  ask(client, { model, messages: [weatherQuestion], tools: [weather, now], toolChoice: "required" });

/** @param {Mistral} client */
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
      { role: "tool", toolCallId: "callRome1", name: "weather", content: "sunny" },
      { role: "tool", toolCallId: "callAtla2", name: "weather", content: "no such city" },
    ],
    tools: [weather],
  });

/** @param {Mistral} client */
export const schema = (client) =>
  ask(client, {
    model,
    messages: [question],
    responseFormat: {
      type: "json_schema",
      jsonSchema: {
        name: "answer",
        strict: true,
        schemaDefinition: {
          type: "object",
          properties: { answer: { type: "string" } },
          required: ["answer"],
          additionalProperties: false,
        },
      },
    },
  });

/** @param {Mistral} client */
export const effort = (client) => ask(client, { model, messages: [question], reasoningEffort: "high" });
