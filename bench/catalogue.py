"""Lists of tools and other answers, and two MCP servers that serve nothing else.

Without a flag every answer is ready as bytes, so that it costs the server next to nothing: what is added on the way
back is then compared with the least that an answer can cost. The request's header `x-bench-answer` names it: the size
of a list, `result` for a call's as JSON, `events` for the same as server-sent events, `session` for a new session. With
`--sdk N` a server on the official SDK makes its list of N tools for every request, as most servers in Python do.
"""

import argparse
import asyncio
import json
from typing import cast

import uvloop

from authz.demo.ports import loopback
from bench.workload import UPSTREAM

SIZES = (10, 100, 1_000, 5_000)
"""Numbers of tools that are served; the last list has about 4 MB."""
SDK_SIZE = 1_000
HEADER = "x-bench-answer"
_VERBS = ("read", "write", "search", "delete", "convert")
_PARAGRAPH = (
    "Does one thing, and explains at some length what it takes, what it returns and when to use another. "
)


def name_of(number: int) -> str:
    """Name a tool; names are of different lengths, and neighbours differ in more than a digit."""
    return f"{_VERBS[number % 5]}_{number * 7919 % 99991}_item"


def _description_of(number: int) -> str:
    return _PARAGRAPH * (3 + number % 3)


def document(count: int) -> bytes:
    """Return the answer to tools/list with `count` tools of about 800 bytes each."""
    tools = [_tool(number) for number in range(count)]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}, separators=(",", ":")).encode()


def _tool(number: int) -> dict[str, object]:
    properties = {
        name: {"type": kind, "description": f"{name} of the item, see {number}"}
        for name, kind in (("path", "string"), ("limit", "integer"), ("recursive", "boolean"))
    }
    return {
        "name": name_of(number),
        "title": f"Item {number}",
        "description": _description_of(number),
        "inputSchema": {"type": "object", "properties": properties, "required": ["path"]},
    }


class _ReadyAnswers(asyncio.Protocol):
    """One connection of the server that has its answers ready."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        if len(rest) < int(fields.get(b"content-length", 0)):
            return
        self._received = b""
        self._transport.write(self._answers[fields[HEADER.encode()]])


def _json(body: bytes, further: str = "") -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{further}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _events(message: bytes) -> bytes:
    event = b"event: message\ndata: " + message + b"\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)


async def _serve_ready(port: int) -> None:
    answers = {str(size).encode(): _json(document(size)) for size in SIZES}
    result = UPSTREAM.encode()
    answers |= {b"result": _json(result), b"events": _events(result)}
    answers[b"session"] = _json(result, "mcp-session-id: 5f0c2b1e8a344f0e9d53\r\n")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _ReadyAnswers(answers), loopback("127.0.0.1"), port)
    await server.serve_forever()


async def _called(path: str, limit: int = 10, recursive: bool = False) -> str:
    return f"{path} {limit} {recursive}"


def _serve_sdk(port: int, tools: int) -> None:
    # Imported here because the SDK takes seconds to import, and the other server does without it.
    import uvicorn  # noqa: PLC0415
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415
    from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

    server = MCPServer("bench", log_level="WARNING")
    for number in range(tools):
        server.add_tool(_called, name=name_of(number), description=_description_of(number))
    anyone = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    served = server.streamable_http_app(streamable_http_path="/mcp", transport_security=anyone)
    uvicorn.run(served, host=loopback("127.0.0.1"), port=port, log_level="warning", access_log=False)


def main() -> None:
    """Serve on loopback until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--sdk", type=int, metavar="N")
    given = parser.parse_args()
    if given.sdk:
        _serve_sdk(given.port, given.sdk)
    else:
        uvloop.run(_serve_ready(given.port))


if __name__ == "__main__":
    main()
