// Anthropic's Messages.

import Anthropic from "@anthropic-ai/sdk";

const model = "claude-sonnet-4-5";
// What Tokenwire asks for when the client does not say: the API wants a number.
const max_tokens = 8192;
/** @type {Anthropic.Tool} */
const weather = {
  name: "weather",
  description: "Looks outside.",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
/** @type {Anthropic.Tool} */
const now = { name: "now", description: "Tells the time.", input_schema: { type: "object", properties: {} } };

/** @param {string} baseUrl */
export const connect = (baseUrl) => new Anthropic({ apiKey: "key", baseURL: baseUrl });

/** @param {string} text @returns {Anthropic.TextBlockParam} */
const text = (text) => ({ type: "text", text });

/** @param {Anthropic.ContentBlockParam[]} content @returns {Anthropic.MessageParam} */
const user = (...content) => ({ role: "user", content });

const question = user(text("Why is the sky blue?"));
const weatherQuestion = user(text("What is the weather in Rome?"));

/** @param {Anthropic} client @param {Omit<Anthropic.MessageCreateParamsStreaming, "stream">} fields */
const ask = (client, fields) => client.messages.create({ ...fields, stream: true });

/** @param {Anthropic} client */
export const plain = (client) => ask(client, { model, max_tokens, messages: [question] });

/** @param {Anthropic} client */
export const turns = (client) =>
  ask(client, {
    model,
    max_tokens,
    system: "Be brief.",
    messages: [question, { role: "assistant", content: [text("Scattering.")] }, user(text("And at dusk?"))],
  });

/** @param {Anthropic} client */
export const sampling = (client) =>
  ask(client, {
    model,
    max_tokens: 100,
    system: "Be brief.",
    messages: [question],
    temperature: 0.5,
  });

/** @param {Anthropic} client */
export const stop = (client) => ask(client, { model, max_tokens, messages: [question], stop_sequences: ["END"] });

/** @param {Anthropic} client */
export const penalties = (client) => ask(client, { model, max_tokens, messages: [question], top_k: 40 });

/** @param {Anthropic} client */
export const image = (client) => {
  const message = user(text("What is this?"), {
    type: "image",
    source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" },
  });
  return ask(client, { model, max_tokens, messages: [message] });
};

/** @param {Anthropic} client */
export const image_url = (client) => {
  const source = { type: /** @type {const} */ ("url"), url: "https://example.com/cat.png" };
  return ask(client, { model, max_tokens, messages: [user(text("What is this?"), { type: "image", source })] });
};

/** @param {Anthropic} client */
export const file = (client) => {
  const message = user(text("Sum it up."), {
    type: "document",
    title: "paper.pdf",
    source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" },
  });
  return ask(client, { model, max_tokens, messages: [message] });
};

/** @param {Anthropic} client */
export const tool_forced = (client) =>
  ask(client, {
    model,
    max_tokens,
    messages: [weatherQuestion],
    tools: [weather, now],
    tool_choice: { type: "tool", name: "weather", disable_parallel_tool_use: true },
  });

/** @param {Anthropic} client */
export const tool_required = (client) =>
  ask(client, {
    model,
    max_tokens,
    messages: [weatherQuestion],
    tools: [weather, now],
    tool_choice: { type: "any" },
  });

/** @param {Anthropic} client */
export const tool_results = (client) =>
  ask(client, {
    model,
    max_tokens,
    messages: [
      user(text("What is the weather in Rome and Atlantis?")),
      {
        role: "assistant",
        content: [
          text("I look."),
          { type: "tool_use", id: "callRome1", name: "weather", input: { city: "Rome" } },
          { type: "tool_use", id: "callAtla2", name: "weather", input: { city: "Atlantis" } },
        ],
      },
      user(
        { type: "tool_result", tool_use_id: "callRome1", content: [text("sunny")] },
        { type: "tool_result", tool_use_id: "callAtla2", content: [text("no such city")], is_error: true },
      ),
    ],
    tools: [weather],
  });

/** @param {Anthropic} client */
export const schema = (client) =>
  ask(client, {
    model,
    max_tokens,
    messages: [question],
    output_config: {
      format: {
        type: "json_schema",
        schema: {
          type: "object",
          properties: { answer: { type: "string" } },
          required: ["answer"],
          additionalProperties: false,
        },
      },
    },
  });

/** @param {Anthropic} client */
export const effort = (client) =>
  ask(client, {
    model: "claude-opus-4-6",
    max_tokens: 4 * max_tokens,
    messages: [question],
    thinking: { type: "adaptive" },
    output_config: { effort: "high" },
  });

/** @param {Anthropic} client */
export const budget = (client) =>
  ask(client, {
    model,
    max_tokens: 4096,
    messages: [question],
    thinking: { type: "enabled", budget_tokens: 2048 },
  });

/** @param {Anthropic} client */
export const round_trip = async (client) => {
  /** @type {Omit<Anthropic.MessageCreateParamsStreaming, "stream" | "messages">} */
  const fields = {
    model: "claude-opus-4-6",
    max_tokens: 4 * max_tokens,
    thinking: { type: "adaptive" },
    output_config: { effort: "high" },
    tools: [weather],
  };
  const answer = await client.messages.stream({ ...fields, messages: [weatherQuestion] }).finalMessage();
  const call = answer.content.find((block) => block.type === "tool_use");
  const result = user({ type: "tool_result", tool_use_id: call?.id ?? "", content: [text("sunny")] });
  const messages = [weatherQuestion, { role: answer.role, content: answer.content }, result];
  await ask(client, { ...fields, messages });
};
