// Azure OpenAI with the date of an API version: OpenAI's SDK, told another place.

import { AzureOpenAI } from "openai";

export * from "./openai_chat.mjs";

/** @param {string} baseUrl */
export const connect = (baseUrl) =>
  new AzureOpenAI({ apiKey: "key", endpoint: baseUrl, apiVersion: "2025-04-01-preview" });
