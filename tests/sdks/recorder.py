"""A provider that writes down what it was asked, and refuses all but what it has an answer for."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What requests are answered with. No SDK tries again after a 400, nor does Tokenwire.
REFUSAL = json.dumps({"error": {"type": "invalid_request_error", "message": "recorded"}}).encode()


@dataclass
class Request:
    method: str
    # Path and query, without what says who asks.
    path: str
    # Names in lower case.
    headers: dict
    body: object
    # As they were sent.
    raw_path: str
    raw_body: bytes


class Recorder:
    """Listens on a free port. Base URLs are `url(who, provider, conversation)`."""

    def __init__(self):
        self._requests = {}
        self._answers = {}
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                _, who, provider, conversation, path = self.path.split("/", 4)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, f"/{path}", headers, json.loads(body), self.path, body)
                recorder._requests.setdefault((who, provider, conversation), []).append(request)
                answer = recorder._answers.pop((who, provider, conversation), None)
                kind, body = answer or ("application/json", REFUSAL)
                self.send_response(200 if answer else 400)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, who, provider, conversation=None):
        base = f"http://127.0.0.1:{self._server.server_port}/{who}/{provider}"
        return f"{base}/{conversation}" if conversation else base

    def answer(self, who, provider, conversation, answer):
        """The next request of that conversation gets this answer: a media type and a body."""
        self._answers[who, provider, conversation] = answer

    def take(self, who, provider, conversation):
        """The requests of that conversation so far. The next call gives those after them."""
        return self._requests.pop((who, provider, conversation), [])
