"""The channel between a supervisor and one worker: messages over a socket pair that the worker inherits.

A message is four bytes of length and a msgpack map; nothing is unpickled, so a worker that was taken over cannot run code
in its supervisor. Each side learns from the channel that the other is gone: the kernel closes it when a process ends,
whatever the cause.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Self

import msgspec
from prometheus_client.core import Metric

from authz.core.mcp.item import ListName
from authz.edge.grpc.preload import ServerChoice
from authz.edge.http.memory import WorkerMemory
from authz.edge.http.status import WorkerStatus

_LENGTH = 4
MAX_BYTES = 64 * 1024 * 1024
"""A longer message ends the channel."""


class Task(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What one worker is to do; the first message to it.

    The fields from `config` to `otlp` are the flags of `serve`, unset ones empty or None.

    Attributes:
        shared: whether other workers listen at the same gRPC address.
        hold: seconds to wait for every issuer's keys before a call is taken.
        session_key: random bytes that are the same for all workers of a service, and are stored nowhere.
        files: the content of every file of the policy in force, by path, for a worker that finds no usable one on disk.
    """

    config: str
    resource: str
    jwks: list[str]
    allow_anonymous: bool
    grpc: str
    http: str
    grace: float | None
    session_keys: list[str] = []
    rewriter: str = ""
    console: bool = True
    audit: str = ""
    audit_format: str = ""
    otlp: str = ""
    grpc_server: ServerChoice = ServerChoice.AUTO
    shared: bool = False
    hold: float = 0.0
    session_key: bytes | None = None
    files: dict[str, bytes] = {}


class Started(msgspec.Struct, tag=True, frozen=True):
    """The worker serves, or cannot for this problem."""

    problem: str = ""


class Sighting(msgspec.Struct, tag=True, frozen=True):
    """What a worker saw of a locked item: for the other workers, to whom the supervisor passes it on.

    Attributes:
        server: the server's name.
        section: the list in which the item stands.
        name: its name there.
        digest: of the form that was seen; None once it is as approved again.
    """

    server: str
    section: ListName
    name: str
    digest: str | None


class Ask(msgspec.Struct, tag=True, frozen=True):
    """The worker shall send a `Report`."""


class Report(msgspec.Struct, tag=True, frozen=True):
    """A worker's status and metrics: the answer to `Ask`, and its last message."""

    status: WorkerStatus
    metrics: list[Metric]


class Recall(msgspec.Struct, tag=True, frozen=True):
    """The worker shall send what it remembers, with its answer to why the denial of this id came ("" for none).

    Attributes:
        number: what the answer names, since several may be awaited.
        why: id of a decision.
    """

    number: int
    why: str


class Recalled(msgspec.Struct, tag=True, frozen=True):
    """The answer to `Recall`."""

    number: int
    memory: WorkerMemory


class Came(msgspec.Struct, tag=True, frozen=True):
    """The rewriters of listeners came to a worker, and so to the service: each of its workers is told.

    Attributes:
        callers: for whom they came, by listener.
    """

    callers: dict[str, list[str]]


class End(msgspec.Struct, tag=True, frozen=True):
    """The whole service ends."""


Message = Task | Started | Ask | Report | Recall | Recalled | Came | End | Sighting
_MetricOnWire = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]


def _pack(metric: Metric) -> _MetricOnWire:
    samples = [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples]
    return metric.name, metric.documentation, metric.type, samples


def _unpack(_: type, wire: object) -> Metric:
    name, documentation, kind, samples = msgspec.convert(wire, _MetricOnWire)
    metric = Metric(name, documentation, kind)
    for sample in samples:
        metric.add_sample(*sample)
    return metric


_ENCODE = msgspec.msgpack.Encoder(enc_hook=_pack).encode
_DECODE: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message, dec_hook=_unpack).decode


class WorkerChannel:
    """One end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use these streams; see `open`."""
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, connected: socket.socket) -> Self:
        """Use a connected socket, which is closed with the channel."""
        return cls(*await asyncio.open_unix_connection(sock=connected))

    def send(self, message: Message) -> None:
        """Send a message; do nothing if the other end is gone."""
        data = _ENCODE(message)
        self._writer.write(len(data).to_bytes(_LENGTH) + data)

    async def receive(self) -> Message | None:
        """Wait for a message; return None if the other end is gone or sent something that is no message."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, msgspec.MsgspecError):
            length = int.from_bytes(await self._reader.readexactly(_LENGTH))
            if length <= MAX_BYTES:
                return _DECODE(await self._reader.readexactly(length))
        return None

    async def aclose(self) -> None:
        """Send what is not sent yet, and hang up."""
        with contextlib.suppress(OSError):
            await self._writer.drain()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
