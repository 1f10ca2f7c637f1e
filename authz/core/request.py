"""One HTTP request as Envoy saw it, in plain values; how much of it is read, and until when it may be decided."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what is read from one request.

    Attributes:
        depth: nesting of JSON containers.
        name: characters of a tool's or prompt's name, a URI, a task id, a method or a request id.
        items: things that one message may name (`subscriptions/listen`).
        args: bytes of a request whose arguments an expression may read. An expression can take time in the square of
            what it reads, which the engine's own budget does not bound.
        nodes: JSON values of a message.
        keys: members of a message's objects together.
        normalised: characters of keys beyond ASCII that are compared with the keys that are read. One can take as long
            as a hundred others.
    """

    depth: int = 64
    name: int = 2048
    items: int = 256
    args: int = 32_768
    nodes: int = 20_000
    keys: int = 12_000
    normalised: int = 1024


DEFAULT_LIMITS = Limits()


RequestId = str | int | None
"""The id of a JSON-RPC request; None if it has none."""


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
        listener: returns the address of Envoy at which the request arrived, with its port; empty when unknown. Few
            decisions ask for it, and to read it takes as long as all other fields.
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
    listener: Callable[[], str] = str


class HeaderChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a client's headers on the way upstream, besides those that the service always sets.

    Attributes:
        removed: names that are another spelling of one that the service sets.
        replaced: values that are sent on as they were judged, because Envoy may hold other bytes than it showed.
    """

    removed: tuple[str, ...] = ()
    replaced: Mapping[str, str] = MappingProxyType({})


UNCHANGED = HeaderChanges()


class Deadline(msgspec.Struct, frozen=True):
    """The moment from which a decision can no longer be an allow.

    Attributes:
        at: the moment, in seconds of the clock.
        clock: returns the current time.
    """

    at: float
    clock: Callable[[], float]


NEVER = Deadline(1.0, lambda: 0.0)
"""A deadline that never passes, for questions about a policy that no Envoy waits for."""
