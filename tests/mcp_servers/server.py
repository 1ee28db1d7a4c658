"""An MCP server of the official Python SDK: `server.py stdio`, or `server.py http PORT`, which prints its port.

What happens in it is appended to the file that MCP_TEST_LOG names.
"""

import os
import socket
import sys

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import AudioContent, CallToolResult, ImageContent, ResourceLink, TextContent

server = MCPServer("python")


def note(what: str) -> None:
    with open(os.environ["MCP_TEST_LOG"], "a") as log:
        log.write(what + "\n")


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
def add(a: int, b: int) -> dict[str, int]:
    """Adds two numbers."""
    return {"sum": a + b}


@server.tool(structured_output=False)
def picture() -> Image:
    """A picture of nothing."""
    return Image(data=b"\x00\x01\x02", format="png")


@server.tool()
def fail() -> str:
    """Never works."""
    raise ToolError("out of paper")


@server.tool(structured_output=False)
def show() -> CallToolResult:
    """Fails with everything that a result can hold."""
    return CallToolResult(
        content=[
            TextContent(type="text", text="out of paper"),
            ImageContent(type="image", data="AAEC", mimeType="image/png"),
            AudioContent(type="audio", data="AAEC", mimeType="audio/wav"),
            ResourceLink(type="resource_link", uri="file:///tray", name="tray"),
        ],
        isError=True,
    )


@server.tool()
async def slow(ctx: Context) -> str:
    """Is half done at once, and never ready."""
    await ctx.report_progress(1, 2, "half")
    note("slow began")
    try:
        await anyio.sleep_forever()
    finally:
        note("slow was cancelled")
    return "never"


@server.tool()
async def die(ctx: Context) -> str:
    """Ends the server in the middle of the call."""
    await ctx.report_progress(1)
    os._exit(3)


@server.tool()
async def grow(ctx: Context) -> str:
    """Gives the server one more tool."""
    server.add_tool(lambda: "grown up", name="grown", description="Came later.")
    await ctx.session.send_tool_list_changed()
    return "done"


@server.tool()
def environment() -> str:
    """The names of the variables that it got."""
    return " ".join(sorted(os.environ))


async def serve_http(port: int) -> None:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", port))
    print(listener.getsockname()[1], flush=True)
    app = server.streamable_http_app()

    async def checked(scope, receive, send):
        # What the configuration adds to every request.
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != b"Bearer let-me-in":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    await uvicorn.Server(uvicorn.Config(checked, log_level="warning")).serve(sockets=[listener])


note(f"started {os.getpid()}")
if sys.argv[1] == "http":
    anyio.run(serve_http, int(sys.argv[2]))
else:
    server.run("stdio")
