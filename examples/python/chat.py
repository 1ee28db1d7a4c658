"""Asks one question and shows the answer as it comes.

    python chat.py "Why is the sky blue?" openai/gpt-4.1

Ctrl-C stops the answer, and what it used is still shown. When the connection breaks, the answer goes on where it was.
Start `tokenwire` first; TOKENWIRE_URL names another server than ws://127.0.0.1:8080, TOKENWIRE_KEY the key for it.
"""
import asyncio, json, os, signal, sys, uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

URL = os.environ.get("TOKENWIRE_URL", "ws://127.0.0.1:8080") + "/v1/stream"
KEY = os.environ.get("TOKENWIRE_KEY")


async def main(question, model="demo/markdown"):
    answer = {"id": str(uuid.uuid4())}
    start = {"type": "start", **answer, "model": model, "messages": [{"role": "user", "content": question}]}
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)

    async def stop(socket):
        await stopped.wait()
        await socket.send(json.dumps({"type": "cancel", "id": answer["id"]}))

    # Connects again by itself, once the answer has begun.
    sockets = connect(
        URL, subprotocols=["tokenwire.v1"], additional_headers={"Authorization": f"Bearer {KEY}"} if KEY else None,
        max_size=None, process_exception=lambda error: None if "epoch" in answer else error,
    )
    async for socket in sockets:
        stopping = asyncio.create_task(stop(socket))
        try:
            # Its epoch and the last position are all that it takes to get the rest.
            await socket.send(json.dumps({"type": "attach", **answer} if "epoch" in answer else start))
            async for frame in socket:
                frame = json.loads(frame)
                if frame["type"] == "text":
                    print(frame["delta"], end="", flush=True)
                if frame["type"] == "started":
                    answer["epoch"] = frame["epoch"]
                answer["after"] = frame.get("seq", answer.get("after", 0))
                if frame["type"] in ("finished", "cancelled", "failed", "error"):
                    why = frame.get("error") or frame.get("usage") or frame
                    return print(f"\n{frame['type']}:", json.dumps(why), file=sys.stderr)
        except ConnectionClosed:
            pass
        finally:
            stopping.cancel()


if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
try:
    asyncio.run(main(*sys.argv[1:]))
except OSError as error:
    sys.exit(f"no Tokenwire at {URL}: {error}")
