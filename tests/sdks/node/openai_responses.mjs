// OpenAI's Responses.

import OpenAI from "openai";

/** @typedef {Omit<OpenAI.Responses.ResponseCreateParamsStreaming, "stream" | "store">} Request */

const model = "gpt-4.1";
/** @type {OpenAI.Responses.EasyInputMessage} */
const question = { role: "user", content: "Why is the sky blue?" };
/** @type {OpenAI.Responses.EasyInputMessage} */
const weatherQuestion = { role: "user", content: "What is the weather in Rome?" };
// Unlike chat completions this API is strict unless told otherwise.
/** @type {OpenAI.Responses.FunctionTool} */
const weather = {
  type: "function",
  name: "weather",
  description: "Looks outside.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
};
/** @type {OpenAI.Responses.FunctionTool} */
const now = {
  type: "function",
  name: "now",
  description: "Tells the time.",
  parameters: { type: "object", properties: {} },
  strict: false,
};

/** @param {string} baseUrl */
export const connect = (baseUrl) => new OpenAI({ apiKey: "key", baseURL: `${baseUrl}/v1` });

/** @param {OpenAI} client @param {Request} fields */
const ask = (client, fields) => client.responses.create({ ...fields, store: false, stream: true });

/** @param {OpenAI} client @param {string} text @param {OpenAI.Responses.ResponseInputContent} part */
const show = (client, text, part) =>
  ask(client, { model, input: [{ role: "user", content: [{ type: "input_text", text }, part] }] });

/** @param {OpenAI} client */
export const plain = (client) => ask(client, { model, input: [question] });

/** @param {OpenAI} client */
export const turns = (client) =>
  ask(client, {
    model,
    instructions: "Be brief.",
    input: [question, { role: "assistant", content: "Scattering." }, { role: "user", content: "And at dusk?" }],
  });

/** @param {OpenAI} client */
export const sampling = (client) =>
  ask(client, {
    model,
    instructions: "Be brief.",
    input: [question],
    temperature: 0.5,
    top_p: 0.9,
    max_output_tokens: 100,
  });

/** @param {OpenAI} client */
export const penalties = (client) => ask(client, { model, input: [question] });

/** @param {OpenAI} client */
export const image = (client) =>
  show(client, "What is this?", {
    type: "input_image",
    image_url: "data:image/png;base64,iVBORw0KGgo=",
    detail: "auto",
  });

/** @param {OpenAI} client */
export const image_url = (client) =>
  show(client, "What is this?", { type: "input_image", image_url: "https://example.com/cat.png", detail: "auto" });

/** @param {OpenAI} client */
export const file = (client) =>
  show(client, "Sum it up.", {
    type: "input_file",
    filename: "paper.pdf",
    file_data: "data:application/pdf;base64,JVBERi0=",
  });

/** @param {OpenAI} client */
export const tool_forced = (client) =>
  ask(client, {
    model,
    input: [weatherQuestion],
    tools: [weather, now],
    tool_choice: { type: "function", name: "weather" },
    parallel_tool_calls: false,
  });

/** @param {OpenAI} client */
export const tool_required = (client) =>
  ask(client, { model, input: [weatherQuestion], tools: [weather, now], tool_choice: "required" });

/** @param {OpenAI} client */
export const tool_results = (client) =>
  ask(client, {
    model,
    input: [
      { role: "user", content: "What is the weather in Rome and Atlantis?" },
      { role: "assistant", content: "I look." },
      { type: "function_call", call_id: "callRome1", name: "weather", arguments: '{"city":"Rome"}' },
      { type: "function_call", call_id: "callAtla2", name: "weather", arguments: '{"city":"Atlantis"}' },
      { type: "function_call_output", call_id: "callRome1", output: "sunny" },
      { type: "function_call_output", call_id: "callAtla2", output: "no such city" },
    ],
    tools: [weather],
  });

/** @param {OpenAI} client */
export const schema = (client) =>
  ask(client, {
    model,
    input: [question],
    text: {
      format: {
        type: "json_schema",
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
export const effort = (client) =>
  ask(client, {
    model: "gpt-5",
    input: [question],
    reasoning: { effort: "high", summary: "auto" },
    include: ["reasoning.encrypted_content"],
  });

/** @param {OpenAI} client */
export const budget = (client) => ask(client, { model, input: [question], max_output_tokens: 4096 });

/** @param {OpenAI} client */
export const logprobs = (client) =>
  ask(client, { model, input: [question], include: ["message.output_text.logprobs"], top_logprobs: 2 });

/** @param {OpenAI} client */
export const round_trip = async (client) => {
  /** @type {Request} */
  const fields = {
    model: "gpt-5",
    tools: [weather],
    reasoning: { effort: "high", summary: "auto" },
    include: ["reasoning.encrypted_content"],
  };
  const stream = client.responses.stream({ ...fields, store: false, input: [weatherQuestion] });
  const { output } = await stream.finalResponse();
  const call = output.find((item) => item.type === "function_call");
  /** @type {OpenAI.Responses.ResponseInputItem.FunctionCallOutput} */
  const result = { type: "function_call_output", call_id: call?.call_id ?? "", output: "sunny" };
  const answer = /** @type {OpenAI.Responses.ResponseInputItem[]} */ (output);
  await ask(client, { ...fields, input: [weatherQuestion, ...answer, result] });
};
