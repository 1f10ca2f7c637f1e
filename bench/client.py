"""A blocking HTTP/1.1 client for loopback: one connection, ready-made requests, the whole answer as bytes."""

import socket
from types import TracebackType
from typing import Self

from bench.httpload import answer_missing


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, *, timeout: float = 10.0) -> None:
        """Connect to a listener on loopback; every answer must come within `timeout` seconds."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send a request and give its whole answer, head and body.

        Raises:
            RuntimeError: the other end hung up in the middle.
        """
        self._socket.sendall(request)
        parts = [self._part()]
        while (missing := answer_missing(parts[0])) < 0:
            parts[0] += self._part()
        while missing > 0:
            parts.append(self._part())
            missing -= len(parts[-1])
        return b"".join(parts)

    def _part(self) -> bytes:
        part = self._socket.recv(1 << 18)
        if not part:
            msg = "closed in the middle of an answer"
            raise RuntimeError(msg)
        return part


def body_of(answer: bytes) -> bytes:
    """Give what follows the head of an answer."""
    return answer.partition(b"\r\n\r\n")[2]


def status_of(answer: bytes) -> int:
    """Give the status of an answer."""
    return int(answer.split(b" ", 2)[1])
