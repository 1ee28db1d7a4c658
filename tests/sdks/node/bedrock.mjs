// Amazon Bedrock's ConverseStream.

import { BedrockRuntimeClient, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";

/** @typedef {import("@aws-sdk/client-bedrock-runtime").ConverseStreamCommandInput} Request */
/** @typedef {import("@aws-sdk/client-bedrock-runtime").ContentBlock} Block */

const modelId = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
/** @type {import("@aws-sdk/client-bedrock-runtime").Tool} */
const weather = {
  toolSpec: {
    name: "weather",
    description: "Looks outside.",
    inputSchema: { json: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
  },
};
/** @type {import("@aws-sdk/client-bedrock-runtime").Tool} */
const now = {
  toolSpec: {
    name: "now",
    description: "Tells the time.",
    inputSchema: { json: { type: "object", properties: {} } },
  },
};

/** @param {string} baseUrl */
export const connect = (baseUrl) =>
  new BedrockRuntimeClient({
    region: "us-east-1",
    endpoint: baseUrl,
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
    // The recorder speaks HTTP/1.1 only.
    requestHandler: new NodeHttpHandler(),
    maxAttempts: 1,
  });

/** @param {Block[]} content @returns {import("@aws-sdk/client-bedrock-runtime").Message} */
const user = (...content) => ({ role: "user", content });

const question = user({ text: "Why is the sky blue?" });
const weatherQuestion = user({ text: "What is the weather in Rome?" });

/** @param {string} base64 */
const bytes = (base64) => new Uint8Array(Buffer.from(base64, "base64"));

/** @param {BedrockRuntimeClient} client @param {Request} fields */
const ask = (client, fields) => client.send(new ConverseStreamCommand(fields));

/** @param {BedrockRuntimeClient} client @param {string} text @param {Block} part */
const show = (client, text, part) => ask(client, { modelId, messages: [user({ text }, part)] });

/** @param {BedrockRuntimeClient} client */
export const plain = (client) => ask(client, { modelId, messages: [question] });

/** @param {BedrockRuntimeClient} client */
export const turns = (client) =>
  ask(client, {
    modelId,
    system: [{ text: "Be brief." }],
    messages: [question, { role: "assistant", content: [{ text: "Scattering." }] }, user({ text: "And at dusk?" })],
  });

/** @param {BedrockRuntimeClient} client */
export const sampling = (client) =>
  ask(client, {
    modelId,
    system: [{ text: "Be brief." }],
    messages: [question],
    // This model refuses `topP` beside it.
    inferenceConfig: { temperature: 0.5, maxTokens: 100 },
  });

/** @param {BedrockRuntimeClient} client */
export const stop = (client) =>
  ask(client, { modelId, messages: [question], inferenceConfig: { stopSequences: ["END"] } });

/** @param {BedrockRuntimeClient} client */
export const penalties = (client) =>
  ask(client, { modelId, messages: [question], additionalModelRequestFields: { top_k: 40 } });

/** @param {BedrockRuntimeClient} client */
export const image = (client) =>
  show(client, "What is this?", { image: { format: "png", source: { bytes: bytes("iVBORw0KGgo=") } } });

/** @param {BedrockRuntimeClient} client */
export const file = (client) =>
  show(client, "Sum it up.", { document: { format: "pdf", name: "paper", source: { bytes: bytes("JVBERi0=") } } });

/** @param {BedrockRuntimeClient} client */
export const audio = (client) =>
  show(client, "What is said?", { audio: { format: "wav", source: { bytes: bytes("UklGRg==") } } });

/** @param {BedrockRuntimeClient} client */
export const tool_forced = (client) =>
  ask(client, {
    modelId,
    messages: [weatherQuestion],
    toolConfig: { tools: [weather, now], toolChoice: { tool: { name: "weather" } } },
  });

/** @param {BedrockRuntimeClient} client */
export const tool_required = (client) =>
  ask(client, {
    modelId,
    messages: [weatherQuestion],
    toolConfig: { tools: [weather, now], toolChoice: { any: {} } },
  });

/** @param {BedrockRuntimeClient} client */
export const tool_results = (client) =>
  ask(client, {
    modelId,
    messages: [
      user({ text: "What is the weather in Rome and Atlantis?" }),
      {
        role: "assistant",
        content: [
          { text: "I look." },
          { toolUse: { toolUseId: "callRome1", name: "weather", input: { city: "Rome" } } },
          { toolUse: { toolUseId: "callAtla2", name: "weather", input: { city: "Atlantis" } } },
        ],
      },
      user(
        { toolResult: { toolUseId: "callRome1", content: [{ text: "sunny" }] } },
        { toolResult: { toolUseId: "callAtla2", content: [{ text: "no such city" }], status: "error" } },
      ),
    ],
    toolConfig: { tools: [weather] },
  });

/** @param {BedrockRuntimeClient} client */
export const schema = (client) => {
  const schema = JSON.stringify({
    type: "object",
    properties: { answer: { type: "string" } },
    required: ["answer"],
    additionalProperties: false,
  });
  return ask(client, {
    modelId,
    messages: [question],
    outputConfig: {
      textFormat: { type: "json_schema", structure: { jsonSchema: { name: "answer", schema } } },
    },
  });
};

/** @param {BedrockRuntimeClient} client */
export const effort = (client) =>
  ask(client, {
    modelId: "us.anthropic.claude-opus-4-6-v1",
    messages: [question],
    outputConfig: { effort: "high" },
    additionalModelRequestFields: { thinking: { type: "adaptive" } },
  });

/** @param {BedrockRuntimeClient} client */
export const budget = (client) =>
  ask(client, {
    modelId,
    messages: [question],
    inferenceConfig: { maxTokens: 4096 },
    additionalModelRequestFields: { thinking: { type: "enabled", budget_tokens: 2048 } },
  });

/** @param {BedrockRuntimeClient} client */
export const round_trip = async (client) => {
  /** @type {Omit<Request, "messages">} */
  const fields = {
    modelId: "us.anthropic.claude-opus-4-6-v1",
    toolConfig: { tools: [weather] },
    outputConfig: { effort: "high" },
    additionalModelRequestFields: { thinking: { type: "adaptive" } },
  };
  const { stream } = await ask(client, { ...fields, messages: [weatherQuestion] });
  const call = { toolUseId: "", name: "" };
  let [text, signature, input] = ["", "", ""];
  for await (const { contentBlockStart, contentBlockDelta } of stream ?? []) {
    Object.assign(call, contentBlockStart?.start?.toolUse);
    text += contentBlockDelta?.delta?.reasoningContent?.text ?? "";
    signature += contentBlockDelta?.delta?.reasoningContent?.signature ?? "";
    input += contentBlockDelta?.delta?.toolUse?.input ?? "";
  }
  /** @type {import("@aws-sdk/client-bedrock-runtime").Message} */
  const answer = {
    role: "assistant",
    content: [{ reasoningContent: { reasoningText: { text, signature } } }, { toolUse: { ...call, input: JSON.parse(input) } }],
  };
  const result = user({ toolResult: { toolUseId: call.toolUseId, content: [{ text: "sunny" }] } });
  await ask(client, { ...fields, messages: [weatherQuestion, answer, result] });
};
