"""A proxy on loopback that edits requests before it sends them on; answers pass as bytes as they come.

So streams stay streams, and the gateway's answers are seen as they are. Requests are read whole, because what a client
of MCP sends is small.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

_HOST = "127.0.0.1"
_CHUNK = 65536

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@dataclass
class Request:
    """One HTTP/1.1 request: its first line, its headers by lower-case name, and its whole body."""

    start: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def write(self) -> bytes:
        """Write it with the length that its body has."""
        headers = {
            name: value
            for name, value in self.headers.items()
            if name not in {"content-length", "transfer-encoding"}
        }
        if self.body or not self.start.startswith(("GET ", "HEAD ", "OPTIONS ", "DELETE ")):
            headers["content-length"] = str(len(self.body))
        lines = [self.start, *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


Edit = Callable[[Request], None]


async def _body(reader: Reader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()  # the end of the last chunk, which has no trailers here
    return body


async def _requests(reader: Reader, writer: Writer, edit: Edit) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        request = Request(start, headers, await _body(reader, headers))
        edit(request)
        writer.write(request.write())
        await writer.drain()


async def _answers(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def serve(port: int, target: int, edit: Edit) -> None:
    """Serve until cancelled.

    Args:
        port: where to listen.
        target: the port to which requests go.
        edit: changes each request in place.
    """

    async def connection(reader: Reader, writer: Writer) -> None:
        upstream = await asyncio.open_connection(_HOST, target)
        ways = [
            asyncio.create_task(_requests(reader, upstream[1], edit)),
            asyncio.create_task(_answers(upstream[0], writer)),
        ]
        # Whichever side ends, the other one sees it end.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, upstream[1]):
            with contextlib.suppress(OSError):
                end.close()

    server = await asyncio.start_server(connection, _HOST, port)
    await server.serve_forever()
