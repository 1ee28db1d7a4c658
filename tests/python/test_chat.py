"""examples/python/chat.py as its user runs it: a process of its own, against the real binary."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import unittest

CHAT = pathlib.Path(__file__).parents[2] / "examples/python/chat.py"
LONG = "Give me a long answer, please."


class Proxy:
    """Passes connections on to the server, and breaks the first one after so many bytes of the answer."""

    def __init__(self, port, break_after):
        self.port, self.break_after, self.connections = port, break_after, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            left = self.break_after if self.connections == 1 else None
            threading.Thread(target=self.serve, args=(client, left), daemon=True).start()

    def serve(self, client, left):
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            there = threading.Thread(target=self.pass_on, args=(client, server, None), daemon=True)
            there.start()
            self.pass_on(server, client, left)
            there.join()

    @staticmethod
    def pass_on(source, to, left):
        with contextlib.suppress(OSError):
            while data := source.recv(256):
                to.sendall(data)
                if left is not None and (left := left - len(data)) <= 0:
                    break
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        command = [os.environ["TOKENWIRE_BIN"], "serve", "--listen", "127.0.0.1:0"]
        cls.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.kill)
        for line in cls.server.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                cls.port = int(found[1])
                return
        raise AssertionError("the server did not say where it listens")

    def start(self, *arguments, url=None):
        environment = {**os.environ, "TOKENWIRE_URL": url or f"ws://127.0.0.1:{self.port}"}
        chat = subprocess.Popen(
            [sys.executable, CHAT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.addCleanup(chat.kill)
        return chat

    def ask(self, *arguments, **options):
        return self.start(*arguments, **options).communicate(timeout=60)

    def test_it_shows_the_answer_and_the_bill(self):
        answer, bill = self.ask("Hello")
        self.assertIn("> Hello", answer)
        self.assertRegex(bill, r'finished: \{.*"output_tokens"')

    def test_a_broken_connection_loses_and_repeats_nothing(self):
        undisturbed = self.start("Hello")
        proxy = Proxy(self.port, break_after=4_000)
        answer, _ = self.ask("Hello", url=proxy.url)
        undisturbed, _ = undisturbed.communicate(timeout=60)
        self.assertEqual(answer, undisturbed)
        self.assertEqual(proxy.connections, 2)

    def test_ctrl_c_stops_it_with_a_bill(self):
        chat = self.start(LONG)
        self.assertTrue(chat.stdout.read(100))
        chat.send_signal(signal.SIGINT)
        _, bill = chat.communicate(timeout=60)
        self.assertRegex(bill, r'cancelled: \{.*"source": "estimated"')

    def test_it_says_what_is_wrong(self):
        _, said = self.ask("Hello", "nobody/nothing")
        self.assertIn("unknown_model", said)
        _, said = self.ask("/error overloaded")
        self.assertIn('failed: {"code": "overloaded"', said)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        _, said = self.ask("Hello", url=f"ws://127.0.0.1:{port}")
        self.assertIn(f"no Tokenwire at ws://127.0.0.1:{port}", said)


if __name__ == "__main__":
    unittest.main()
