"""A knock at Envoy's own listener, to see whether there is a rewriter before a list is refused for want of one.

A list that comes first, before anything has shown the rewriter, need not be refused: while its Check waits, the service sends
a request of its own to the listener that took the list. The request carries no token and is refused whatever the policy says,
and on a refusal Envoy runs the rewriter. So the answer is known in a few milliseconds.

Rules of this module:

* Only where nobody but processes of this machine can ask the service: else anyone who reaches it could have it connect anywhere.
* Nothing is believed of the answer; what counts is whether the rewriter came. So TLS is not verified, and nothing secret
  is sent. A listener that cannot be reached, or wants a client's certificate, is one where the list is refused.
* At most one knock at a listener in `PAUSE`, for which all lists wait that come meanwhile.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable

from authz.core.request import HttpRequest
from authz.core.response.presence import DUE_SECONDS, MOST_ENVOYS
from authz.core.servers import host_without_port
from authz.core.wire.bounded_cache import BoundedCache

PAUSE = DUE_SECONDS
"""Seconds between two knocks at one listener; a refusal asks for the rewriter no more often either."""
SECONDS = 0.15
"""Longest time for a knock, of the time that a Check has."""
AGENT = "mcp-authz-knock"
"""The user agent, by which operators know these requests in their logs."""
_TYPE = "application/x-mcp-authz-knock"
"""A content type that every server of a policy refuses."""
_ANSWER = 65_536


class Knocker:
    """Knocks at listeners."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Knock at no listener yet."""
        self._clock = clock
        self._last: BoundedCache[str, tuple[float, asyncio.Task[None]]] = BoundedCache(MOST_ENVOYS)

    async def knock(self, request: HttpRequest) -> None:
        """Knock where a request arrived, or wait for the knock that is under way there."""
        listener = request.listener()
        last = self._last.get(listener)
        if last is None or (last[1].done() and last[0] + PAUSE <= self._clock()):
            last = self._last.put(listener, (self._clock(), asyncio.create_task(_knock(listener, request))))
        await asyncio.shield(last[1])  # who hangs up leaves the knock to the others


async def _knock(listener: str, request: HttpRequest) -> None:
    address, _, port = listener.rpartition(":")
    place = request.host + request.path
    # A Unix socket or an internal listener has its clients in front of it.
    if not port.isdigit() or not place.isascii() or not place.isprintable() or " " in place:
        return
    with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(SECONDS):
            await _exchange(address, int(port), request)


async def _exchange(address: str, port: int, request: HttpRequest) -> None:
    tls = _unverified() if request.scheme == "https" else None
    name = host_without_port(request.host) if tls else None
    reader, writer = await asyncio.open_connection(
        address, port, ssl=tls, server_hostname=name, limit=_ANSWER
    )
    try:
        writer.write(_message(request))
        await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


def _message(request: HttpRequest) -> bytes:
    """Return the knock: to the host and path of a request, which Envoy has routed, and with nothing else of it."""
    lines = (
        f"POST {request.path.partition('?')[0]} HTTP/1.1",
        f"host: {request.host}",
        f"user-agent: {AGENT}",
        f"content-type: {_TYPE}",
        "content-length: 0",
        "connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode("ascii")


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
