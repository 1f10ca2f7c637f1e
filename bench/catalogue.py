"""Lists of tools, and an MCP server that serves nothing else.

The server has every list ready as bytes, so that a list costs it next to nothing: what is added on the way back is then
compared with the least that a list can cost, and looks as bad as it can. It serves the list of the size that the
request's header `x-bench-tools` names.
"""

import argparse
import asyncio
import json
from typing import cast

import uvloop

from authz.demo.ports import loopback

SIZES = (10, 100, 1_000, 5_000)
"""Numbers of tools that are served; the last list has about 4 MB."""
HEADER = "x-bench-tools"
_PARAGRAPH = (
    "Does one thing, and says so at some length: what it takes, what it gives, and when to use another. "
)


def name_of(number: int) -> str:
    """Name a tool; names are of different lengths, and neighbours differ in more than a digit."""
    return f"{('read', 'write', 'search', 'delete', 'convert')[number % 5]}_{number * 7919 % 99991}_item"


def description_of(number: int) -> str:
    """Describe a tool, at some length."""
    return _PARAGRAPH * (3 + number % 3)


def document(count: int) -> bytes:
    """Make the answer to tools/list with so many tools of about 800 bytes each."""
    return json.dumps(
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": [_tool(number) for number in range(count)]}},
        separators=(",", ":"),
    ).encode()


def _tool(number: int) -> dict[str, object]:
    properties = {
        name: {"type": kind, "description": f"{name} of the item, see {number}"}
        for name, kind in (("path", "string"), ("limit", "integer"), ("recursive", "boolean"))
    }
    return {
        "name": name_of(number),
        "title": f"Item {number}",
        "description": description_of(number),
        "inputSchema": {"type": "object", "properties": properties, "required": ["path"]},
    }


class _Served(asyncio.Protocol):
    """One connection of the server."""

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
        if len(rest) < int(fields[b"content-length"]):
            return
        self._received = b""
        self._transport.write(self._answers[fields[HEADER.encode()]])


async def serve(port: int) -> None:
    """Serve on loopback until the process is ended."""
    answers = {}
    for size in SIZES:
        body = document(size)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        answers[str(size).encode()] = head.encode() + body
    server = await asyncio.get_running_loop().create_server(
        lambda: _Served(answers), loopback("127.0.0.1"), port
    )
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    uvloop.run(serve(parser.parse_args().port))
