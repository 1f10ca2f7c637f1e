"""How much is read from one request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what is read from one request.

    Attributes:
        depth: nesting of JSON containers.
        name: characters of a tool's or prompt's name, a URI, a task id, a method or a request id.
        items: things that one message may name (`subscriptions/listen`).
        args: bytes of a request whose arguments an expression may read. An expression can take time in the square of
            what it reads, which the engine's own budget does not bound.
    """

    depth: int = 64
    name: int = 2048
    items: int = 256
    args: int = 32_768


DEFAULT_LIMITS = Limits()
