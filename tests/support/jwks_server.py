"""An issuer's web server on loopback that answers as a test says, well or badly, and a clock that a test moves."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.waiting import DEADLINE

Answer = Callable[["Connection"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked: `POST /path`, say, and the headers by lower-case name."""

    line: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


@dataclass(slots=True, kw_only=True)
class Connection:
    """One connection with its request read; what is written is counted by the server."""

    server: "IssuerSite"
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.server.sent += len(data)

    def reset(self) -> None:
        """End the connection with a reset instead of an end of stream."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def page(body: Any, *, status: int = 200, kind: str = "application/json", **headers: str) -> Answer:
    """Answer with a document; what is not bytes is written as JSON, underscores in header names become hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-length": str(len(content)), "connection": "close", "content-type": kind, **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)

    async def answer(connection: Connection) -> None:
        await connection.write(f"HTTP/1.1 {status} -\r\n{head}\r\n".encode() + content)

    return answer


MIB = 1_048_576
_ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


async def stream_100_mb(connection: Connection) -> None:
    await connection.write(_ENDLESS)
    for _ in range(1600):
        await connection.write(b" " * 65_536)


async def drip(connection: Connection) -> None:
    """A byte whenever the loop comes round, so that no single read takes long."""
    await connection.write(_ENDLESS)
    while True:
        await connection.write(b" ")
        await asyncio.sleep(0.01)


async def say_nothing(connection: Connection) -> None:
    await asyncio.sleep(DEADLINE * 2)


async def reset(connection: Connection) -> None:
    connection.reset()


async def reset_halfway(connection: Connection) -> None:
    await connection.write(_ENDLESS + b'{"keys":[')
    connection.reset()


async def stop_halfway(connection: Connection) -> None:
    await connection.write(_ENDLESS.replace(b"\r\n\r\n", b"\r\ncontent-length: 900\r\n\r\n") + b'{"keys":[')


async def garbage(connection: Connection) -> None:
    await connection.write(b"\x15\x03\x01\x00\x02\x02\x16" * 100)


async def endless_headers(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.write(b"x-filler: " + b"x" * 60_000 + b"\r\n")


@cache
def gzip_bomb() -> Answer:
    """64 MiB of spaces around an otherwise acceptable document, packed."""
    return page(gzip.compress(b" " * (64 * MIB), 1), content_encoding="gzip")


@dataclass(slots=True, kw_only=True)
class IssuerSite:
    """Serves `pages` by path, 404 elsewhere. An async context manager.

    Attributes:
        pages: how each path answers; changed at will while it serves.
        context: serves https when given.
        requests: what was asked, in order.
        sent: bytes handed to the system for sending.
    """

    pages: dict[str, Answer] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://{self.host}:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has had enough, or the test has
        finally:
            self._open.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        pairs = (text.partition(": ") for text in fields)
        request = Request(line=line, headers={name.lower(): value for name, _, value in pairs})
        self.requests.append(request)
        answer = self.pages.get(request.path, page({"error": "not found"}, status=404))
        await answer(Connection(server=self, writer=writer))


@dataclass(slots=True)
class HandClock:
    """A clock that stands still until the test moves it, and the sleep of one task that ends when the test says so."""

    now: float = 1_000.0
    _asked: asyncio.Queue[float] = field(default_factory=asyncio.Queue)
    _ends: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._asked.put_nowait(seconds)
        await self._ends.get()

    async def pause(self) -> float:
        """Wait until the task sleeps, and give for how many seconds it would."""
        return await asyncio.wait_for(self._asked.get(), DEADLINE)

    async def wake(self, seconds: float = 0.0) -> float:
        """Let so much time pass, end the sleep, and give the next pause."""
        self.now += seconds
        self._ends.put_nowait(None)
        return await self.pause()


def https(directory: Path) -> tuple[ssl.SSLContext, str]:
    """Make a certificate for 127.0.0.1 that is its own authority: the server's context, and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer of a test")])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    public, private = directory / "authority.pem", directory / "private.pem"
    public.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)
