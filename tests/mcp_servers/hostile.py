"""An MCP server that keeps no rule that a broken one would break. Of the standard library alone.

Its tools are named after what they do. What it sees of the client is appended to the file that MCP_TEST_LOG names.
"""

import json
import os
import sys
import time

TOOLS = ["echo", "garbage", "flood", "huge", "ask", "ignore", "late", "deaf", "twice", "progress"]


def note(what):
    with open(os.environ["MCP_TEST_LOG"], "a") as log:
        log.write(what + "\n")


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def result(request, text):
    say({"id": request["id"], "result": {"content": [{"type": "text", "text": text}]}})


def call(request):
    name = request["params"]["name"]
    if name == "garbage":
        for line in ["not json", "{", "[]", "7", '{"jsonrpc":"2.0"}', '{"jsonrpc":"2.0","id":{},"result":1}', "\x00",
                     '{"jsonrpc":"2.0","id":987654,"result":{}}', "[" * 100_000, "ü" * 100]:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        result(request, "after garbage")
    elif name == "flood":
        for _ in range(200):
            sys.stderr.write("x" * 10_000 + "\n")
            say({"method": "notifications/message", "params": {"level": "info", "data": "y" * 10_000}})
            say({"method": "notifications/unheard_of", "params": {"z": []}})
        result(request, "after the flood")
    elif name == "huge":
        result(request, "x" * (15 << 20))
    elif name == "ask":
        for number, method in enumerate(["sampling/createMessage", "elicitation/create", "roots/list", "unheard/of"]):
            params = {"messages": [], "maxTokens": 1, "message": "m", "requestedSchema": {"type": "object", "properties": {}}}
            say({"id": f"q{number}", "method": method, "params": params})
        answers = {}
        while len(answers) < 4:
            answer = json.loads(sys.stdin.readline())
            if str(answer.get("id", "")).startswith("q"):
                answers[answer["id"]] = "error" if "error" in answer else json.dumps(answer["result"], sort_keys=True)
        result(request, " ".join(answers[f"q{number}"] for number in range(4)))
    elif name == "ignore":
        note("called")
    elif name == "late":
        time.sleep(1.5)
        result(request, "too late")
        note("answered")
    elif name == "deaf":
        note("deaf")
        os.close(0)
        time.sleep(600)
    elif name == "twice":
        result(request, "first")
        result(request, "second")
    elif name == "progress":
        token = request["params"]["_meta"]["progressToken"]
        for count in range(20_000):
            say({"method": "notifications/progress", "params": {"progressToken": token, "progress": count,
                                                                "message": "on and on " * 50}})
        say({"method": "notifications/progress", "params": {"progressToken": "nobody's", "progress": 1}})
        result(request, "in the end")
    else:
        result(request, "echo")


for line in sys.stdin:
    request = json.loads(line)
    method = request.get("method")
    if method == "initialize":
        info = {"name": "hostile", "version": "1"}
        version = request["params"]["protocolVersion"]
        say({"id": request["id"], "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}})
    elif method == "tools/list":
        if os.environ.get("MCP_ENDLESS"):
            cursor = int((request.get("params") or {}).get("cursor") or 0) + 1
            tools = [{"name": f"t{cursor}", "inputSchema": {"type": "object"}}]
            say({"id": request["id"], "result": {"tools": tools, "nextCursor": str(cursor)}})
            continue
        say({"id": request["id"], "result": {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in TOOLS]}})
    elif method == "tools/call":
        call(request)
    elif method == "notifications/cancelled":
        note("cancelled")
    elif "id" in request and method:
        say({"id": request["id"], "result": {}})
