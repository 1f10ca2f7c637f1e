"""A few requests before each sample: they fill caches, and show that the variant is answered as it should be."""

import socket

from bench.httpload import answer_missing

CALLS = 60
"""More than there are callers, so that every token that can be remembered is."""


def warm(port: int, requests: list[bytes], start: int, *, denied: bool) -> int:
    """Send `CALLS` requests one after the other, beginning with number `start`.

    Args:
        port: of a listener on loopback.
        requests: a population.
        start: number of the first request.
        denied: whether every answer must be an error, else every answer must be a result.

    Returns:
        How many were sent.

    Raises:
        RuntimeError: an answer was of the other kind.
    """
    wanted = b'"error"' if denied else b'"result"'
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as connection:
        for number in range(start, start + CALLS):
            connection.sendall(requests[number % len(requests)])
            answer = _answer(connection)
            if wanted not in answer.partition(b"\r\n\r\n")[2]:
                msg = f"expected {wanted.decode()} in the answer: {answer.decode(errors='replace')[:500]}"
                raise RuntimeError(msg)
    return CALLS


def _answer(connection: socket.socket) -> bytes:
    received = b""
    while answer_missing(received):
        part = connection.recv(65_536)
        if not part:
            msg = "closed in the middle of an answer"
            raise RuntimeError(msg)
        received += part
    return received
