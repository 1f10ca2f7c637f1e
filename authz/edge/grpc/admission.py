"""How many calls a server has under way.

Each method has a share of its own. A stream of ext_proc lives as long as its response, hours for an event stream; with a
common share such streams would keep out Checks, which live for milliseconds. Likewise nobody who asks for reflection or
watches health can keep out either, and a service that refuses Checks still answers Envoy's health checks.
"""

from collections.abc import Callable

from authz.edge.grpc.transport import Services, Stream, Unary


class ServedMethod:
    """One method and its calls under way; belongs to the handlers' thread.

    Attributes:
        name: full name, `/package.Service/Method`.
        unary: its handler if it takes one message and returns one answer.
        stream: its handler otherwise.
    """

    __slots__ = ("_limit", "_refused", "_under_way", "name", "stream", "unary")

    def __init__(
        self,
        name: str,
        *,
        unary: Unary | None = None,
        stream: Stream | None = None,
        limit: int,
        refused: Callable[[str], None],
    ) -> None:
        """Admit `limit` calls at once, and tell `refused` of each one beyond."""
        self.name, self.unary, self.stream = name, unary, stream
        self._limit, self._refused = limit, refused
        self._under_way = 0

    def admit(self) -> bool:
        """Count a call that begins; return False, and count it as refused, if there are too many."""
        if self._under_way >= self._limit:
            self._refused(self.name)
            return False
        self._under_way += 1
        return True

    def release(self) -> None:
        """Count a call that was admitted and has ended."""
        self._under_way -= 1


def methods(services: Services) -> dict[str, ServedMethod]:
    """Return a server's methods by full name."""
    limit, refused = services.limit, services.refused
    found = [
        ServedMethod(name, unary=unary, limit=limit, refused=refused)
        for name, unary in services.unary.items()
    ]
    found += [
        ServedMethod(name, stream=stream, limit=limit, refused=refused)
        for name, stream in services.streams.items()
    ]
    return {method.name: method for method in found}
