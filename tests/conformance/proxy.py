"""A proxy that adds a bearer token to every request, for programs that can send none: `python -m … PORT TARGET_PORT`.

The token comes in `TOKEN`. Only the heads of requests are read, to know where the next one begins; everything else
passes as bytes as they come, so streams stay streams, and the gateway's answers are seen as they are.
"""

import asyncio
import contextlib
import os
import sys

_HOST = "127.0.0.1"
_CHUNK = 65536

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def _lines(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _copy(reader: Reader, writer: Writer, size: int) -> None:
    while size > 0:
        data = await reader.readexactly(min(size, _CHUNK))
        writer.write(data)
        await writer.drain()
        size -= len(data)


async def _copy_chunks(reader: Reader, writer: Writer) -> None:
    size = -1
    while size != 0:
        line = await reader.readline()
        writer.write(line)
        size = int(line.partition(b";")[0], 16)
        await _copy(reader, writer, size)
        writer.write(
            await reader.readline()
        )  # the end of a chunk, or of the last, which has no trailers here


async def _requests(reader: Reader, writer: Writer, added: bytes) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        start, _, rest = head.partition(b"\r\n")
        writer.write(start + b"\r\n" + added + rest)
        lines = _lines(head)
        if b"chunked" in lines.get(b"transfer-encoding", b""):
            await _copy_chunks(reader, writer)
        else:
            await _copy(reader, writer, int(lines.get(b"content-length", b"0")))
        await writer.drain()


async def _answers(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def serve(port: int, target: int, token: str) -> None:
    """Serve until cancelled."""
    added = f"authorization: Bearer {token}\r\n".encode()

    async def connection(reader: Reader, writer: Writer) -> None:
        upstream = await asyncio.open_connection(_HOST, target)
        ways = [
            asyncio.create_task(_requests(reader, upstream[1], added)),
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


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), os.environ["TOKEN"]))
