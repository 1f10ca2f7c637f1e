"""A scripted model behind the API of OpenAI's chat completions, on loopback: it makes the calls of the user's message.

It is no language model, and nothing leaves this machine.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import agent_stories


def _message(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Answer a conversation: with the calls that its user asked for, and after them with a word."""
    if messages[-1]["role"] == "tool":
        return {"role": "assistant", "content": agent_stories.DONE}
    calls = agent_stories.asked(messages[-1]["content"])
    written = [
        {
            "id": f"call-{at}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for at, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": written}


class Scripted:
    """What the model was sent, the last conversation."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[dict[str, Any]] = []

    def read(self) -> list[str]:
        """Give what it read of each call, in their order."""
        results = {row["tool_call_id"]: row["content"] for row in self.messages if row["role"] == "tool"}
        return [results[name] for name in sorted(results)]


@contextmanager
def scripted_openai() -> Iterator[Scripted]:
    """Serve the model on a free port."""
    model = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.messages = body["messages"]
            message = _message(model.messages)
            finish = "tool_calls" if "tool_calls" in message else "stop"
            choice = {"index": 0, "finish_reason": finish, "message": message}
            answer = {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "scripted",
                "choices": [choice],
            }
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
