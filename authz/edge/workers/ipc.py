"""The line between a supervisor and one worker: messages over a socket that both inherited.

A message is four bytes of length and a msgpack map. The line is also how each notices the other's end: it closes when a
process ends, however it ends.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Self

import msgspec

from authz.edge.grpc.startup import ServerChoice
from authz.edge.http.status import WorkerStatus
from authz.edge.workers.metrics_merge import Family

_LENGTH = 4
MAX_BYTES = 64 * 1024 * 1024
"""A longer message is no message of ours."""


class Task(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """What `serve` was asked for, and what one worker has of it; the first message to a worker.

    Attributes:
        config: path of the policy file.
        resource: as the flag `--resource`.
        jwks: as the flags `--jwks`.
        allow_anonymous: as the flag.
        grpc: gRPC address, "" for the file's.
        http: HTTP address, "" for the file's.
        grace: as the flag `--grace`, None for the file's.
        session_keys: as the flags `--session-key-file`.
        grpc_server: as the flag `--grpc-server`.
        shared: whether other workers listen at the same gRPC address.
        hold: seconds to wait for every issuer's keys before a call is taken.
        session_key: random bytes that all workers of a service have alike, and that are kept nowhere.
    """

    config: str
    resource: str
    jwks: list[str]
    allow_anonymous: bool
    grpc: str
    http: str
    grace: float | None
    session_keys: list[str] = []
    grpc_server: ServerChoice = ServerChoice.AUTO
    shared: bool = False
    hold: float = 0.0
    session_key: bytes | None = None


class Ask(msgspec.Struct, tag=True, frozen=True):
    """A worker is asked for its `Report`."""


class End(msgspec.Struct, tag=True, frozen=True):
    """The whole service ends."""


class Started(msgspec.Struct, tag=True, frozen=True):
    """A worker serves."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """A worker cannot serve, and why."""

    why: str


class Report(msgspec.Struct, tag=True, frozen=True):
    """How a worker is, and what it counted; also its last message."""

    condition: WorkerStatus
    metrics: list[Family]


Message = Task | Ask | End | Started | Failed | Report
_DECODE: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode
_ENCODE = msgspec.msgpack.Encoder().encode


class WorkerChannel:
    """One end of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection; see `on`."""
        self._reader, self._writer = reader, writer

    @classmethod
    async def on(cls, connected: socket.socket) -> Self:
        """Use a connected socket, which is closed with the line."""
        return cls(*await asyncio.open_unix_connection(sock=connected))

    def send(self, message: Message) -> None:
        """Send; nothing happens when nobody is there any more."""
        data = _ENCODE(message)
        self._writer.write(len(data).to_bytes(_LENGTH) + data)

    async def receive(self) -> Message | None:
        """Wait for a message; None once nobody is there any more, or talks nonsense."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, msgspec.MsgspecError):
            length = int.from_bytes(await self._reader.readexactly(_LENGTH))
            if length <= MAX_BYTES:
                return _DECODE(await self._reader.readexactly(length))
        return None

    async def close(self) -> None:
        """Send what was not sent yet, and hang up."""
        with contextlib.suppress(OSError):
            await self._writer.drain()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
