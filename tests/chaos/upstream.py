"""The three MCP servers: one listener on loopback, a log of what reached them, and resets on request.

They speak just enough of both eras to be asked everything that a policy judges, and trust whoever asks. Every answer
says at which server, for whom and to which request it was given, so that an answer to another's request is noticed.
"""

import asyncio
import contextlib
import itertools
import json
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from tests.chaos.oracle import OFFERED
from tests.chaos.policies import RESOURCES

NUMBER = "x-number"
"""The header by which a request is known on both sides of the gateway."""
SESSION = "mcp-session-id"
_TICK = 0.25
"""Seconds between two events of a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request that reached an MCP server.

    Attributes:
        number: as the client sent it, "" for none.
        server: whose path it came to.
        subject: the caller, as the gateway names it.
        http_method: GET, POST or DELETE.
        method: the JSON-RPC method.
        name: the tool, prompt or URI; "" for none.
        opener: who opened the session that it names, "" for no session.
        at: when, by the monotonic clock.
    """

    number: str
    server: str
    subject: str
    http_method: str
    method: str
    name: str
    opener: str
    at: float


@dataclass(slots=True, kw_only=True)
class Upstream:
    """An async context manager that serves every MCP server.

    Attributes:
        resets: share of the requests whose connection is reset instead of answered, or in the middle of the answer.
        rng: chooses which.
        arrived: told of each arrival, before it is answered.
        count: arrivals so far.
        was_reset: connections that were reset.
    """

    rng: random.Random
    arrived: Callable[[Arrival], None] = lambda _arrival: None
    resets: float = 0.0
    count: int = 0
    was_reset: int = 0
    port: int = 0
    _openers: dict[str, str] = field(default_factory=dict)
    _ids: Any = field(default_factory=itertools.count)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the gateway has hung up, or the run is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection can be used again."""
        line, headers, body = await _read(reader)
        arrival, message = self._note(line, headers, body)
        fate = self.rng.random()
        if fate < self.resets / 2:
            return self._reset(writer)
        head, content = self._answer(arrival, message)
        if fate < self.resets:
            writer.write(head + content[: len(content) // 2])
            return self._reset(writer)
        writer.write(head + content)
        if arrival.http_method == "GET":
            await self._stream(arrival, writer)
        await writer.drain()
        return True

    def _note(self, line: str, headers: dict[str, str], body: bytes) -> tuple[Arrival, dict[str, Any]]:
        method, target, _ = line.split(" ")
        decoded = json.loads(body) if body else {}
        message = decoded if isinstance(decoded, dict) else {}
        params = message.get("params", {})
        arrival = Arrival(
            number=headers.get(NUMBER, ""),
            server=target.strip("/"),
            subject=headers.get("x-mcp-subject", ""),
            http_method=method,
            method=message.get("method", ""),
            name=params.get("name", params.get("uri", "")),
            opener=self._openers.get(headers.get(SESSION, ""), ""),
            at=time.monotonic(),
        )
        self.count += 1
        self.arrived(arrival)
        return arrival, message

    def _reset(self, writer: asyncio.StreamWriter) -> bool:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        self.was_reset += 1
        return False

    def _answer(self, arrival: Arrival, message: dict[str, Any]) -> tuple[bytes, bytes]:
        """Return head and body of the answer; every second one is a stream of events."""
        headers = {"content-type": "application/json"}
        if arrival.http_method == "GET":
            return _head({"content-type": "text/event-stream", "transfer-encoding": "chunked"}), b""
        if "id" not in message:
            return b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", b""
        if arrival.method == "initialize":
            session = f"session-{next(self._ids)}"
            self._openers[session] = arrival.subject
            headers[SESSION] = session
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": _result(arrival)}
        body = json.dumps(reply).encode()
        if int(message["id"]) % 2:
            headers["content-type"] = "text/event-stream"
            body = b"data: " + body + b"\n\n"
        return _head({**headers, "content-length": str(len(body))}), body

    async def _stream(self, arrival: Arrival, writer: asyncio.StreamWriter) -> None:
        """Notify of every resource, over and over, until the other side hangs up."""
        for uri in itertools.cycle(RESOURCES):
            told = {"uri": uri, "owner": arrival.opener, "server": arrival.server}
            note = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": told}
            event = f"data: {json.dumps(note)}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(_TICK)


def _result(arrival: Arrival) -> dict[str, Any]:
    listed = OFFERED.get(arrival.method)
    if listed is not None:
        key = arrival.method.partition("/")[0]
        named = "uri" if key == "resources" else "name"
        items = [{named: name, "name": name, **_schema(key)} for name in listed[1]]
        return {key: items, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    if arrival.method == "initialize":
        info = {"name": arrival.server, "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    told = {
        "server": arrival.server,
        "subject": arrival.subject,
        "number": arrival.number,
        "name": arrival.name,
    }
    text = json.dumps(told)
    if arrival.method == "resources/read":
        return {"contents": [{"uri": arrival.name, "text": text}]}
    if arrival.method == "prompts/get":
        return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}
    return {"content": [{"type": "text", "text": text}]}


def _schema(key: str) -> dict[str, Any]:
    return {"inputSchema": {"type": "object"}} if key == "tools" else {}


def _head(headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Read one request, whose body has a length or is chunked."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    if headers.get("transfer-encoding") == "chunked":
        return line, headers, await _chunks(reader)
    return line, headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)


async def settled(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
