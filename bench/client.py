"""A blocking HTTP/1.1 connection to loopback that sends ready-made requests, and the check of what comes back."""

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

WARM_UP = 60
"""Requests before each sample: more than there are callers, so that every token that can be cached is."""
_LENGTH = b"content-length: "
_CHUNKED = b"transfer-encoding: chunked"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class HttpConnection:
    """One keep-alive connection; every answer must arrive within `timeout` seconds."""

    def __init__(self, port: int, *, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send a request and return its whole answer, head and body.

        Raises:
            ConnectionResetError: the other end hung up before the answer was complete.
        """
        self._socket.sendall(request)
        parts = [self._receive()]
        while (missing := missing_bytes(parts[0])) < 0:
            parts[0] += self._receive()
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        return b"".join(parts)

    def _receive(self) -> bytes:
        part = self._socket.recv(1 << 18)
        if not part:
            msg = "closed in the middle of an answer"
            raise ConnectionResetError(msg)
        return part


def missing_bytes(received: bytes) -> int:
    """Return how many bytes of an answer are still to come, or -1 while that is not known."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return -1
    if received.find(_CHUNKED, 0, end) >= 0:
        return 0 if received.endswith(_LAST_CHUNK) else -1
    at = received.index(_LENGTH, 0, end) + len(_LENGTH)
    return end + 4 + int(received[at : received.index(b"\r", at)]) - len(received)


def body_of(answer: bytes) -> bytes:
    """Return what follows the head of an answer."""
    return answer.partition(b"\r\n\r\n")[2]


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ", 2)[1])


def is_denied(answer: bytes) -> bool:
    """Return whether an answer is a denial, as an error or as a tool's result, rather than what was asked for.

    Raises:
        RuntimeError: the answer is neither.
    """
    status, body = status_of(answer), body_of(answer)
    if status == 200 and b'"result"' in body and b'"isError":true' not in body:
        return False
    if status in {401, 403} or (status == 200 and (b'"error"' in body or b'"isError":true' in body)):
        return True
    msg = f"expected a result or a denial as the answer: {answer.decode(errors='replace')[:500]}"
    raise RuntimeError(msg)


def warm_up(port: int, requests: Sequence[bytes], start: int, *, denied: bool) -> int:
    """Send `WARM_UP` requests one by one, beginning with number `start`; return how many were sent.

    They fill caches, and show that every request is denied, or every one answered with a result, as `denied` says.

    Raises:
        RuntimeError: an answer was of the other kind.
    """
    with HttpConnection(port) as connection:
        for number in range(start, start + WARM_UP):
            answer = connection.ask(requests[number % len(requests)])
            if is_denied(answer) != denied:
                wanted = "a denial" if denied else "a result"
                msg = f"expected {wanted} as the answer: {answer.decode(errors='replace')[:500]}"
                raise RuntimeError(msg)
    return WARM_UP
