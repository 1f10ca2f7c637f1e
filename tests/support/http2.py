"""One HTTP/2 request with prior knowledge, whose headers no library repairs."""

import socket
from collections.abc import Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.support.waiting import DEADLINE
from tests.support.wire import Lines, headers


def h2_headers(port: int, token: str | None, body: bytes, **changes: str) -> list[tuple[str, str]]:
    """Write the headers of a modern client; `changes` are to the pseudo-headers."""
    lines = headers(port, token, body)
    authority = lines.pop("host")
    pseudo = {":method": "POST", ":scheme": "http", ":path": "/mcp", ":authority": authority, **changes}
    return [*pseudo.items(), *lines.items()]


def h2_request(
    port: int, lines: Lines, body: bytes, trailers: Sequence[tuple[str, str]] = ()
) -> tuple[str, bytes]:
    """Send a request; return status and body, the status "" if the stream or the connection was broken off."""
    connection = H2Connection(
        H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    connection.initiate_connection()
    connection.send_headers(1, lines)
    connection.send_data(1, body, end_stream=not trailers)
    if trailers:
        connection.send_headers(1, trailers, end_stream=True)
    status, got = "", b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as sock:
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65536):
            for event in connection.receive_data(data):
                match event:
                    case ResponseReceived():
                        status = dict(event.headers)[b":status"].decode()
                    case DataReceived():
                        got += event.data
                    case StreamEnded() | StreamReset() | ConnectionTerminated():
                        return status, got
            sock.sendall(connection.data_to_send())
    return status, got
