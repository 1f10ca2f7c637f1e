"""The demo's parts as tests drive them: one stack a process, raw requests, and a server that answers in given bytes.

Rules of this module:

* Requests and answers are written and read as bytes on a socket, because a client library would repair what the tests
  want to send.
* That nothing arrived is shown by a barrier: after the refused request a good one is sent, and it must be the only
  one in the server's log. So nobody waits for something not to happen.
* Whatever waits, waits until a deadline and for a condition.
"""

import contextlib
import dataclasses
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from authz.demo.gateway import Gateway, Ports
from authz.demo.mcp_server import Arrival
from authz.demo.ports import free_port
from authz.demo.stack import Stack

DEADLINE = 20.0
"""Seconds that anything here may take; a lack of cores is no failure, a hang is."""
MODERN = "2026-07-28"
EVERYTHING = {"scope": "files:read files:delete", "roles": ["admin"]}
"""Fields of a token that may use all five tools."""
TOOLS = ("echo", "get_user_info", "list_files", "delete_file", "system_status")

_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}

Lines = Sequence[tuple[str, str]]


@cache
def _start(config: pytest.Config) -> Stack:
    stack = Stack(forms=("native",))
    stack.__enter__()
    config.add_cleanup(partial(stack.__exit__, None, None, None))
    return stack


def shared_stack(config: pytest.Config, *more: str) -> Stack:
    """Give the stack of this process, with the native gateway and `more` forms of it.

    Started by the first test that asks, ended with the session.
    """
    stack = _start(config)
    for form in more:
        if form not in stack.gateways:
            gateway = stack._gateway(form)
            gateway.start()
            stack.gateways[form] = gateway
    return stack


def another_gateway(
    stack: Stack, name: str, *, upstream: str = "", edit: Callable[[str], str] | None = None
) -> Gateway:
    """Describe one more gateway on a stack's parts, not started.

    Args:
        stack: gives issuer, MCP server and supervisor.
        name: unique in the stack.
        upstream: URL of another MCP server.
        edit: changes the text of the demo's policy.
    """
    native = stack.gateways["native"]
    ports = Ports(envoy=free_port(), admin=free_port(), http=free_port())
    policy = native.policy
    if edit is not None:
        policy = stack.supervisor.logs / f"{name}-policy.yaml"
        policy.write_text(edit(native.policy.read_text("utf-8")), encoding="utf-8")
    return dataclasses.replace(
        native,
        name=name,
        policy=policy,
        ports=ports,
        upstream=upstream or native.upstream,
        environment={**native.environment, "DEMO_RESOURCE": f"http://localhost:{ports.envoy}/mcp"},
    )


def message(method: str, params: dict[str, Any] | None = None, *, request_id: Any = 1) -> bytes:
    """Write a request of the modern era."""
    params = {**(params or {}), "_meta": _META}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


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
        try:
            return str(self.error["data"]["reason"])
        except (ValueError, KeyError, TypeError):
            return ""

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


def arrived(stack: Stack, act: Callable[[], Any], port: int = 0) -> list[Arrival]:
    """Do something and give what of it reached the MCP server, which serves afterwards as before."""
    port = port or stack.gateways["native"].ports.envoy
    before = len(stack.arrivals())
    act()
    assert 200 == ask(port, stack.token(), call("get_user_info")).status
    *others, barrier = stack.arrivals()[before:]
    assert "get_user_info" == barrier.tool
    return others


def eventually(holds: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and give it; the last answer when time is up."""
    end, pause = time.monotonic() + DEADLINE, threading.Event()
    while not (answer := holds()) and time.monotonic() < end:
        pause.wait(0.02)
    return answer


def metrics(gateway: Gateway) -> dict[str, float]:
    """Read a service's metrics: sample with labels, as the text format writes it, to value."""
    text = httpx.get(f"{gateway.http}/metrics", trust_env=False, timeout=DEADLINE).text
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


@dataclass
class RawServer:
    """An MCP server that answers each request with the bytes in `script`, and keeps the requests in `seen`.

    An element of the script is bytes to send, or an event to wait for.
    """

    port: int
    script: Sequence[bytes | threading.Event] = ()
    seen: list[bytes] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        """Answer one request and close."""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(DEADLINE)
            self.seen.append(_read_request(connection))
            for step in self.script:
                if isinstance(step, threading.Event):
                    step.wait(DEADLINE)
                else:
                    connection.sendall(step)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.splitlines() if line.startswith(b"content-length:")]
    while len(body) < sum(map(int, lengths)) and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def raw_server() -> Iterator[RawServer]:
    """Run a `RawServer` on a free port, one thread a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
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


def socket_of(gateway: Gateway) -> Path:
    """Give the path of a gateway's gRPC socket."""
    return gateway._socket
