// An MCP server of the official TypeScript SDK: `server.mjs stdio`, or `server.mjs http PORT`, which prints its port.
//
// What happens in it is appended to the file that MCP_TEST_LOG names.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const note = (what) => appendFileSync(process.env.MCP_TEST_LOG, `${what}\n`);
const text = (text) => ({ content: [{ type: "text", text }] });

const progress = ({ _meta, sendNotification }, more) =>
  sendNotification({ method: "notifications/progress", params: { progressToken: _meta.progressToken, ...more } });

function makeServer() {
  const server = new McpServer({ name: "typescript", version: "1.0.0" });
  server.registerTool("echo", { description: "Says it again.", inputSchema: { text: z.string() } }, ({ text: said }) =>
    text(said),
  );
  server.registerTool(
    "add",
    {
      description: "Adds two numbers.",
      inputSchema: { a: z.number(), b: z.number() },
      outputSchema: { sum: z.number() },
    },
    ({ a, b }) => ({ content: [], structuredContent: { sum: a + b } }),
  );
  server.registerTool("picture", { description: "A picture of nothing." }, () => ({
    content: [{ type: "image", data: "AAEC", mimeType: "image/png" }],
  }));
  server.registerTool("fail", { description: "Never works." }, () => ({ ...text("out of paper"), isError: true }));
  server.registerTool("show", { description: "Fails with everything that a result can hold." }, () => ({
    content: [
      { type: "text", text: "out of paper" },
      { type: "image", data: "AAEC", mimeType: "image/png" },
      { type: "audio", data: "AAEC", mimeType: "audio/wav" },
      { type: "resource_link", uri: "file:///tray", name: "tray" },
    ],
    isError: true,
  }));
  server.registerTool("slow", { description: "Is half done at once, and never ready." }, async (extra) => {
    await progress(extra, { progress: 1, total: 2, message: "half" });
    note("slow began");
    await new Promise((resolve) => extra.signal.addEventListener("abort", resolve));
    note("slow was cancelled");
    return text("never");
  });
  server.registerTool("die", { description: "Ends the server in the middle of the call." }, async (extra) => {
    await progress(extra, { progress: 1 });
    process.exit(3);
  });
  server.registerTool("grow", { description: "Gives the server one more tool." }, () => {
    server.registerTool("grown", { description: "Came later." }, () => text("grown up"));
    return text("done");
  });
  server.registerTool("environment", { description: "The names of the variables that it got." }, () =>
    text(Object.keys(process.env).sort().join(" ")),
  );
  return server;
}

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
}

function serveHttp(port) {
  const transports = new Map();
  const listener = createServer(async (request, response) => {
    // What the configuration adds to every request.
    if (request.headers.authorization !== "Bearer let-me-in") return response.writeHead(401).end();
    const body = await readBody(request);
    const id = request.headers["mcp-session-id"];
    let transport = transports.get(id);
    if (!transport && id) return response.writeHead(404).end();
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => transports.set(id, transport),
      });
      await makeServer().connect(transport);
    }
    await transport.handleRequest(request, response, body);
  });
  listener.listen(port, "127.0.0.1", () => console.log(listener.address().port));
}

note(`started ${process.pid}`);
if (process.argv[2] === "http") serveHttp(Number(process.argv[3]));
else await makeServer().connect(new StdioServerTransport());
