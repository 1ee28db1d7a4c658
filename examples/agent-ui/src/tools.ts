import type { Tools } from "tokenwire";

/** What this page can do for the model. `ask_user` has no `run`: Call.tsx asks, and answers. */
export const tools: Tools = {
  local_time: {
    description: "The date and time where the user is",
    run: () => new Date().toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" }),
  },
  get_weather: {
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    // A pretence, so that the example needs no service.
    run: ({ city }: { city: string }) => ({ city, celsius: 5 + (city.length % 20), sky: "clear" }),
  },
  delete_files: {
    description: "Deletes old files in a folder",
    parameters: {
      type: "object",
      properties: {
        folder: { type: "string", enum: ["Downloads", "Desktop"] },
        older_than_days: { type: "integer", minimum: 30 },
      },
      required: ["folder", "older_than_days"],
    },
    run: ({ folder, older_than_days }: { folder: string; older_than_days: number }) =>
      `Nothing was deleted: this is an example. It would have been what is older than ${older_than_days} days in ${folder}.`,
  },
  ask_user: {
    description: "Asks the user a question, with answers to choose from if there are any",
    parameters: {
      type: "object",
      properties: { question: { type: "string" }, answers: { type: "array", items: { type: "string" } } },
      required: ["question"],
    },
  },
};

/** Which calls wait until somebody has approved them. */
export const approvals = { delete_files: "always" };

/** What the demo model can show. */
export const suggestions = [
  ["Stream", "Tell me something, with a long answer"],
  ["Tools", "What is the weather in Paris and New York?"],
  ["Approval", "Please delete my old files"],
  ["A question back", "Use ask_user for my favourite colour"],
  ["Search", "/search How do WebSockets work?"],
  ["Image", "/image"],
] as const;
