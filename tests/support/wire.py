"""HTTP requests and answers as bytes on a socket, because a client library would repair what the tests want to send."""

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.waiting import DEADLINE

MODERN = "2026-07-28"

_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}

Lines = Sequence[tuple[str, str]]

LEGACY_HEADERS = {"mcp-protocol-version": "2025-11-25", "mcp-method": None, "mcp-name": None}
"""Changes to the headers of a modern client that make them those of the last version before."""


def message(method: str, params: dict[str, Any] | None = None, *, request_id: Any = 1) -> bytes:
    """Write a request of the modern era."""
    params = {**(params or {}), "_meta": _META}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


def legacy(method: str, params: dict[str, Any] | None = None, *, request_id: Any = 1) -> bytes:
    """Write a request as the versions before 2026-07-28 have it."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}).encode()


def call(tool: str = "echo", **arguments: Any) -> bytes:
    """Write a tools/call; echo is given what it needs."""
    return message("tools/call", {"name": tool, "arguments": arguments or {"message": "hi"}})


def headers(port: int, token: str | None, body: bytes) -> dict[str, str]:
    """Give the headers that a modern client sends with a body."""
    asked = json.loads(body) if body else {}
    name = asked.get("params", {}).get("name")
    lines = {
        "host": f"localhost:{port}",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": asked.get("method"),
        "mcp-name": name,
        "content-length": str(len(body)) if body else None,
    }
    if token is None:
        del lines["authorization"]
    return {name: value for name, value in lines.items() if value is not None}


def request(
    port: int,
    token: str | None,
    body: bytes,
    *,
    start: str = "POST /mcp HTTP/1.1",
    change: dict[str, str | None] | None = None,
    more: Lines = (),
    sent: bytes | None = None,
) -> bytes:
    """Write an HTTP/1.1 request; without changes it is what a modern client sends.

    Args:
        port: Envoy's, for `host`.
        token: bearer token, None for none.
        body: the body that the headers describe.
        start: the request line.
        change: headers to replace, or with None to leave out.
        more: header lines to add, also of names that are there.
        sent: what follows the headers, when it is not `body`.
    """
    lines = {**headers(port, token, body), **(change or {})}
    every = [*((name, value) for name, value in lines.items() if value is not None), *more]
    head = "\r\n".join([start, *(f"{name}: {value}" for name, value in every), "", ""])
    return head.encode("latin-1") + (body if sent is None else sent)


def chunked(body: bytes, size: int = 16384) -> bytes:
    """Write a body in the chunked coding (RFC 9112 section 7.1)."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """An HTTP response; status 0 when the connection ended without one, `whole` when the body came to its end."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True

    @property
    def error(self) -> dict[str, Any]:
        """The JSON-RPC error."""
        return dict(json.loads(self.body)["error"])

    @property
    def reason(self) -> str:
        """The reason of a denial, "" where there is none."""
        return str(self.denial.get("reason", ""))

    @property
    def denial(self) -> dict[str, Any]:
        """What a denial says for programs, in an error or in a tool's result; empty where there is none."""
        try:
            body = json.loads(self.body)
            return dict(body["error"]["data"] if "error" in body else body["result"]["_meta"])
        except (ValueError, KeyError, TypeError):
            return {}

    @property
    def tools(self) -> list[str]:
        """Names in a list of tools."""
        return [tool["name"] for tool in json.loads(self.body)["result"]["tools"]]


def receive(connection: socket.socket, method: str = "POST") -> Answer:
    """Read one answer to a request of this method."""
    reply = http.client.HTTPResponse(connection, method=method)
    try:
        reply.begin()
    except (http.client.HTTPException, ConnectionError):
        return Answer()
    body, whole = bytearray(), True
    try:
        while part := reply.read1(65536):
            body += part
    except (http.client.HTTPException, ConnectionError):
        whole = False
    return Answer(reply.status, {n.lower(): v for n, v in reply.getheaders()}, bytes(body), whole)


def exchange(port: int, data: bytes, *, finish: bool = False) -> Answer:
    """Send bytes over a connection of their own and read one answer; `finish` closes our side after sending."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        with contextlib.suppress(ConnectionError):  # refused before all was sent; the answer may be there
            connection.sendall(data)
            if finish:
                connection.shutdown(socket.SHUT_WR)
        return receive(connection, data.partition(b" ")[0].decode())


def read_all(port: int, data: bytes) -> bytes:
    """Send bytes over a connection of their own, and read all that comes until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(data)
        got = bytearray()
        while part := connection.recv(65536):
            got += part
        return bytes(got)


def ask(port: int, token: str | None, body: bytes, **changes: Any) -> Answer:
    """Send a request as `request` writes it."""
    return exchange(port, request(port, token, body, **changes))


def untagged(body: bytes) -> bytes:
    """Give a stream with the server's own ids of events, which a client gets behind a tag."""
    return re.sub(rb"(^|[\r\n])id: [A-Za-z0-9_-]{43}\.", rb"\1id: ", body)
