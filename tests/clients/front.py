"""A proxy in front of Envoy that makes a client send what others send, or lose its session: `python -m … PORT TARGET`.

* Requests with the header `x-client: nulls` get a `null` for every member of a message that may be left out, as the
  SDKs for Go, Java and C# write them.
* A call of the tool `unknown_method` becomes a request of a method that no version knows.
* A call of the tool `lose_session`, and everything after it in the same session, carries an id of a session that the
  gateway never gave, as after a restart with another key.

Everything else passes unchanged.
"""

import asyncio
import json
import sys
from typing import Any

from tests.support.editing_proxy import Request, serve

UNKNOWN = "vendor/unknown"
_SESSION = "mcp-session-id"


class Front:
    """Edits requests; remembers which sessions are lost."""

    def __init__(self) -> None:
        self._lost: set[str] = set()

    def edit(self, request: Request) -> None:
        """Change one request in place."""
        message = _message(request.body)
        if request.headers.pop("x-client", "") == "nulls" and message:
            _add_nulls(message)
            request.body = json.dumps(message).encode()
        tool = (message.get("params") or {}).get("name")
        if message.get("method") == "tools/call" and tool == "unknown_method":
            _rename(request, message)
        session = request.headers.get(_SESSION, "")
        if session and tool == "lose_session":
            self._lost.add(session)
        if session in self._lost:
            request.headers[_SESSION] = session[::-1]


def _message(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _add_nulls(message: dict[str, Any]) -> None:
    if "method" not in message:
        for member in ("result", "error"):
            message.setdefault(member, None)
        return
    message.setdefault("params", None)
    if message["params"] is not None:
        message["params"].setdefault("_meta", None)
        if message["method"] == "tools/call":
            message["params"].setdefault("arguments", None)


def _rename(request: Request, message: dict[str, Any]) -> None:
    message["method"] = UNKNOWN
    for member in ("name", "arguments"):
        message["params"].pop(member, None)
    request.body = json.dumps(message).encode()
    if "mcp-method" in request.headers:
        request.headers["mcp-method"] = UNKNOWN
        request.headers.pop("mcp-name", None)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), Front().edit))
