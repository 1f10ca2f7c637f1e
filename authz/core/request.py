"""One HTTP request as Envoy saw it, in plain values."""

from collections.abc import Mapping

import msgspec


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge hands to the engine; nothing in it has been judged yet.

    Attributes:
        method: HTTP method, as sent.
        scheme: "http" or "https", as Envoy saw it.
        host: the authority, as sent.
        path: the raw path with its query string, as Envoy forwards it.
        headers: lower-case name to value. A header sent several times is joined with "," and named in `repeated`.
        repeated: names of headers that were sent more than once.
        body: the exact bytes that go upstream; empty when there is no body.
        body_complete: False when Envoy says it cut the body, or did not hand over raw bytes.
        source: the peer's address without the port, empty when unknown.
    """

    method: str
    scheme: str = "https"
    host: str
    path: str
    headers: Mapping[str, str]
    repeated: frozenset[str] = frozenset()
    body: bytes = b""
    body_complete: bool = True
    source: str = ""
