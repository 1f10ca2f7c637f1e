"""An MCP server that answers in given bytes, whatever it is asked."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.support.waiting import DEADLINE

Step = bytes | threading.Event | Callable[[], object]
"""Bytes to send, an event to wait for, or what is to be done."""


@dataclass
class RawServer:
    """An MCP server that answers each request with the steps in `script`, and keeps the requests in `seen`.

    The script is the same for every request, or made for each from its bytes. `sent` counts the bytes of all answers.
    Each connection is closed after its answer, so an answer that has an end must say `connection: close`: on a busy
    machine an Envoy that was not told sends the next request into the closed connection, and answers 503.
    """

    port: int
    script: Iterable[Step] | Callable[[bytes], Iterable[Step]] = ()
    seen: list[bytes] = field(default_factory=list)
    sent: int = 0

    def serve(self, connection: socket.socket) -> None:
        """Answer one request and close."""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(DEADLINE)
            request = _read_request(connection)
            self.seen.append(request)
            for step in self.script(request) if callable(self.script) else self.script:
                if isinstance(step, threading.Event):
                    step.wait(DEADLINE)
                elif isinstance(step, bytes):
                    connection.sendall(step)
                    self.sent += len(step)
                else:
                    step()


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-length:")
    ]
    while len(body) < sum(map(int, lengths)) and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def raw_server() -> Iterator[RawServer]:
    """Run a `RawServer` on a free port, one thread a connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        server = RawServer(listening.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join(DEADLINE)


def response(body: bytes, media: str = "application/json", status: str = "200 OK", *more: str) -> bytes:
    """Write a whole HTTP/1.1 response with a content-length."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {media}", f"content-length: {len(body)}", *more]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + body


def stream_head(media: str = "text/event-stream") -> bytes:
    """Write the head of a response that ends with its connection."""
    return f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\nconnection: close\r\n\r\n".encode()
