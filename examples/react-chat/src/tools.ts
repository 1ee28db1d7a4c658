/** What this page can do for the model, in the shape that the server takes. */
export const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
  {
    type: "function",
    function: {
      name: "delete_files",
      description: "Deletes old files in a folder",
      parameters: {
        type: "object",
        properties: {
          folder: { type: "string", enum: ["Downloads", "Desktop"] },
          older_than_days: { type: "integer", minimum: 30 },
        },
        required: ["folder", "older_than_days"],
      },
    },
  },
];

/** Which calls wait until somebody has approved them. */
export const approvals = { delete_files: "always" };

/** Carries a call out. A pretence, so that the example needs no service and does no harm. */
export async function run(name: string, input: any): Promise<unknown> {
  switch (name) {
    case "get_weather":
      return { city: input.city, celsius: 5 + (input.city.length % 20), sky: "clear" };
    case "delete_files":
      return `Nothing was deleted: this is an example. It would have been what is older than ${input.older_than_days} days.`;
    default:
      throw new Error(`there is no tool ${name}`);
  }
}
