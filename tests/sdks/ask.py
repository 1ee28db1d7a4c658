"""Runs one SDK's script: `ask.py SCRIPT BASE_URL`. Each of its functions is a conversation.

A script has `connect(base_url)`, which makes a client, and functions named as the conversations, which take it.
"""

import importlib
import os
import sys

from conversations import CONVERSATIONS

script, base_url = sys.argv[1:]
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "python"))
module = importlib.import_module(script)
for name in CONVERSATIONS:
    if say := getattr(module, name, None):
        try:
            say(module.connect(f"{base_url}/{name}"))
        except Exception as error:
            # The recorder's refusal comes out as an error of each SDK's own; whether it was one is seen by the
            # request being there or not.
            print(f"{name}: {type(error).__name__}: {error}"[:500], file=sys.stderr)
