import type { Tools } from "../tools.js";

/** The same tools, each of which runs the function that is the newest when it is called. */
export function withNewest(tools: Tools | undefined, newest: () => Tools | undefined): Tools | undefined {
  if (!tools) return undefined;
  const entries = Object.entries(tools).map(([name, tool]): [string, Tools[string]] => {
    const definition = typeof tool === "function" ? { run: tool } : tool;
    if (!definition.run) return [name, definition];
    const before = definition.run;
    return [
      name,
      {
        ...definition,
        run: (args, context) => {
          const now = newest()?.[name];
          return ((typeof now === "function" ? now : now?.run) ?? before)(args, context);
        },
      },
    ];
  });
  return Object.fromEntries(entries);
}
