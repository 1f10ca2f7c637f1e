"""How much is read from one request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what is read from one request.

    Attributes:
        depth: nesting of JSON containers.
        name: characters of a tool's or prompt's name, a URI, a task id, a method or a request id.
        items: things that one message may name (`subscriptions/listen`).
    """

    depth: int = 64
    name: int = 2048
    items: int = 256


DEFAULT_LIMITS = Limits()
