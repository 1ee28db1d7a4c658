// Google's Gemini API.

import { FunctionCallingConfigMode, GoogleGenAI, ThinkingLevel } from "@google/genai";

/** @typedef {import("@google/genai").GenerateContentParameters} Request */
/** @typedef {import("@google/genai").Part} Part */

const model = "gemini-2.5-flash";
/** @type {import("@google/genai").FunctionDeclaration} */
const weather = {
  name: "weather",
  description: "Looks outside.",
  parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
/** @type {import("@google/genai").FunctionDeclaration} */
const now = { name: "now", description: "Tells the time." };

/** @param {string} baseUrl */
export const connect = (baseUrl) => new GoogleGenAI({ apiKey: "key", httpOptions: { baseUrl } });

/** @param {Part[]} parts @returns {import("@google/genai").Content} */
const user = (...parts) => ({ role: "user", parts });

const question = user({ text: "Why is the sky blue?" });
const weatherQuestion = user({ text: "What is the weather in Rome?" });

/** @param {GoogleGenAI} client @param {Request} fields */
const ask = (client, fields) => client.models.generateContentStream(fields);

/** @param {GoogleGenAI} client @param {string} text @param {Part} part */
const show = (client, text, part) => ask(client, { model, contents: [user({ text }, part)] });

/** @param {GoogleGenAI} client */
export const plain = (client) => ask(client, { model, contents: [question] });

/** @param {GoogleGenAI} client */
export const turns = (client) =>
  ask(client, {
    model,
    contents: [question, { role: "model", parts: [{ text: "Scattering." }] }, user({ text: "And at dusk?" })],
    config: { systemInstruction: "Be brief." },
  });

/** @param {GoogleGenAI} client */
export const sampling = (client) =>
  ask(client, {
    model,
    contents: [question],
    config: {
      systemInstruction: "Be brief.",
      temperature: 0.5,
      topP: 0.9,
      maxOutputTokens: 100,
      seed: 7,
    },
  });

/** @param {GoogleGenAI} client */
export const stop = (client) => ask(client, { model, contents: [question], config: { stopSequences: ["END"] } });

/** @param {GoogleGenAI} client */
export const penalties = (client) =>
  ask(client, {
    model,
    contents: [question],
    config: { presencePenalty: 0.5, frequencyPenalty: 0.25, topK: 40 },
  });

/** @param {GoogleGenAI} client */
export const image = (client) =>
  show(client, "What is this?", { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } });

/** @param {GoogleGenAI} client */
export const image_url = (client) =>
  show(client, "What is this?", { fileData: { mimeType: "image/png", fileUri: "https://example.com/cat.png" } });

/** @param {GoogleGenAI} client */
export const file = (client) =>
  show(client, "Sum it up.", { inlineData: { mimeType: "application/pdf", data: "JVBERi0=" } });

/** @param {GoogleGenAI} client */
export const audio = (client) =>
  show(client, "What is said?", { inlineData: { mimeType: "audio/wav", data: "UklGRg==" } });

/** @param {GoogleGenAI} client */
export const tool_forced = (client) =>
  ask(client, {
    model,
    contents: [weatherQuestion],
    config: {
      tools: [{ functionDeclarations: [weather, now] }],
      toolConfig: {
        functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["weather"] },
      },
    },
  });

/** @param {GoogleGenAI} client */
export const tool_required = (client) =>
  ask(client, {
    model,
    contents: [weatherQuestion],
    config: {
      tools: [{ functionDeclarations: [weather, now] }],
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
    },
  });

/** @param {GoogleGenAI} client */
export const tool_results = (client) =>
  ask(client, {
    model,
    contents: [
      user({ text: "What is the weather in Rome and Atlantis?" }),
      {
        role: "model",
        parts: [
          { text: "I look." },
          { functionCall: { name: "weather", args: { city: "Rome" } } },
          { functionCall: { name: "weather", args: { city: "Atlantis" } } },
        ],
      },
      user(
        { functionResponse: { name: "weather", response: { output: "sunny" } } },
        { functionResponse: { name: "weather", response: { error: "no such city" } } },
      ),
    ],
    config: { tools: [{ functionDeclarations: [weather] }] },
  });

/** @param {GoogleGenAI} client */
export const schema = (client) =>
  ask(client, {
    model,
    contents: [question],
    config: {
      responseMimeType: "application/json",
      responseJsonSchema: {
        type: "object",
        properties: { answer: { type: "string" } },
        required: ["answer"],
        additionalProperties: false,
      },
    },
  });

/** @param {GoogleGenAI} client */
export const effort = (client) =>
  ask(client, {
    model: "gemini-3-pro-preview",
    contents: [question],
    config: { thinkingConfig: { includeThoughts: true, thinkingLevel: ThinkingLevel.HIGH } },
  });

/** @param {GoogleGenAI} client */
export const budget = (client) =>
  ask(client, {
    model,
    contents: [question],
    config: { maxOutputTokens: 4096, thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } },
  });

/** @param {GoogleGenAI} client */
export const logprobs = (client) =>
  ask(client, { model, contents: [question], config: { responseLogprobs: true, logprobs: 2 } });

/** @param {GoogleGenAI} client */
export const round_trip = async (client) => {
  const chat = client.chats.create({
    model: "gemini-3-pro-preview",
    config: {
      tools: [{ functionDeclarations: [weather] }],
      thinkingConfig: { includeThoughts: true, thinkingLevel: ThinkingLevel.HIGH },
    },
  });
  for await (const _ of await chat.sendMessageStream({ message: "What is the weather in Rome?" }));
  const result = { functionResponse: { name: "weather", response: { output: "sunny" } } };
  for await (const _ of await chat.sendMessageStream({ message: result }));
};
