"""The real server, and a client that starts generations on it."""

import json
import os
import re
import subprocess
import tempfile

from websockets.sync.client import connect

TERMINAL = {"finished", "failed", "cancelled"}


class Tokenwire:
    def __init__(self, binary, env):
        # An empty folder, so that no configuration file lies about.
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0"],
            cwd=self._folder.name,
            env={"PATH": os.environ["PATH"], **env},
            stdout=subprocess.PIPE,
            # It logs every refusal.
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in self._process.stdout:
            if match := re.search(r"http://(127\.0\.0\.1:\d+)", line):
                self._address = match[1]
                break
        else:
            raise SystemExit("tokenwire did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def ask(self, name, starts):
        """Runs one generation after the other on one connection: yields the events of each. `name` goes into their
        ids. Every tool says that it is sunny."""
        with connect(f"ws://{self._address}/v1/stream", subprotocols=["tokenwire.v1"]) as socket:
            for number, start in enumerate(starts):
                id = f"{name}-{number}"
                socket.send(json.dumps({"type": "start", "id": id, **start}))
                events = []
                while not events or events[-1]["type"] not in TERMINAL:
                    frame = json.loads(socket.recv(timeout=30))
                    if frame["type"] == "error":
                        raise SystemExit(f"refused: {frame}")
                    if frame.get("id") == id:
                        events.append(frame)
                    if frame["type"] == "tool_wait":
                        for call in frame["call_ids"]:
                            result = {"type": "tool_result", "id": id, "call_id": call, "content": "sunny"}
                            socket.send(json.dumps(result))
                yield events
