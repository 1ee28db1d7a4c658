// OpenAI's chat completions.

import OpenAI from "openai";

const model = "gpt-4.1";
/** @type {OpenAI.ChatCompletionMessageParam} */
const question = { role: "user", content: "Why is the sky blue?" };
/** @type {OpenAI.ChatCompletionMessageParam} */
const weatherQuestion = { role: "user", content: "What is the weather in Rome?" };
/** @type {OpenAI.ChatCompletionTool} */
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Looks outside.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
/** @type {OpenAI.ChatCompletionTool} */
const now = {
  type: "function",
  function: { name: "now", description: "Tells the time.", parameters: { type: "object", properties: {} } },
};

/** @param {string} baseUrl */
export const connect = (baseUrl) => new OpenAI({ apiKey: "key", baseURL: `${baseUrl}/v1` });

/** @param {OpenAI} client @param {Omit<OpenAI.ChatCompletionCreateParamsStreaming, "stream">} fields */
const ask = (client, fields) =>
  client.chat.completions.create({ ...fields, stream: true, stream_options: { include_usage: true } });

/** @param {OpenAI} client @param {string} text @param {OpenAI.ChatCompletionContentPart} part */
const show = (client, text, part) =>
  ask(client, { model, messages: [{ role: "user", content: [{ type: "text", text }, part] }] });

/** @param {OpenAI} client */
export const plain = (client) => ask(client, { model, messages: [question] });

/** @param {OpenAI} client */
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

/** @param {OpenAI} client */
export const sampling = (client) =>
  ask(client, {
    model,
    messages: [{ role: "system", content: "Be brief." }, question],
    temperature: 0.5,
    top_p: 0.9,
    max_completion_tokens: 100,
    seed: 7,
  });

/** @param {OpenAI} client */
export const stop = (client) => ask(client, { model, messages: [question], stop: ["END"] });

/** @param {OpenAI} client */
export const penalties = (client) =>
  ask(client, { model, messages: [question], presence_penalty: 0.5, frequency_penalty: 0.25 });

/** @param {OpenAI} client */
export const image = (client) =>
  show(client, "What is this?", { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } });

/** @param {OpenAI} client */
export const image_url = (client) =>
  show(client, "What is this?", { type: "image_url", image_url: { url: "https://example.com/cat.png" } });

/** @param {OpenAI} client */
export const file = (client) =>
  show(client, "Sum it up.", {
    type: "file",
    file: { filename: "paper.pdf", file_data: "data:application/pdf;base64,JVBERi0=" },
  });

/** @param {OpenAI} client */
export const audio = (client) =>
  show(client, "What is said?", { type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } });

/** @param {OpenAI} client */
export const tool_forced = (client) =>
  ask(client, {
    model,
    messages: [weatherQuestion],
    tools: [weather, now],
    tool_choice: { type: "function", function: { name: "weather" } },
    parallel_tool_calls: false,
  });

/** @param {OpenAI} client */
export const tool_required = (client) =>
  ask(client, { model, messages: [weatherQuestion], tools: [weather, now], tool_choice: "required" });

/** @param {OpenAI} client */
export const tool_results = (client) =>
  ask(client, {
    model,
    messages: [
      { role: "user", content: "What is the weather in Rome and Atlantis?" },
      {
        role: "assistant",
        content: "I look.",
        tool_calls: [
          { id: "callRome1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } },
          { id: "callAtla2", type: "function", function: { name: "weather", arguments: '{"city":"Atlantis"}' } },
        ],
      },
      { role: "tool", tool_call_id: "callRome1", content: "sunny" },
      { role: "tool", tool_call_id: "callAtla2", content: "no such city" },
    ],
    tools: [weather],
  });

/** @param {OpenAI} client */
export const schema = (client) =>
  ask(client, {
    model,
    messages: [question],
    response_format: {
      type: "json_schema",
      json_schema: {
        name: "answer",
        strict: true,
        schema: {
          type: "object",
          properties: { answer: { type: "string" } },
          required: ["answer"],
          additionalProperties: false,
        },
      },
    },
  });

/** @param {OpenAI} client */
export const effort = (client) => ask(client, { model: "gpt-5", messages: [question], reasoning_effort: "high" });

/** @param {OpenAI} client */
export const logprobs = (client) => ask(client, { model, messages: [question], logprobs: true, top_logprobs: 2 });
