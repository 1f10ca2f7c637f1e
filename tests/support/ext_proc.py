"""A call of the rewriter without gRPC."""

from collections.abc import AsyncIterator, Iterable
from typing import Any


class Written:
    """The context of a call, as far as the rewriter needs it: keeps what is written."""

    def __init__(self) -> None:
        self.responses: list[Any] = []

    async def write(self, response: Any) -> None:
        """Keep one response."""
        self.responses.append(response)


async def responses(processor: Any, requests: Iterable[Any]) -> list[Any]:
    """Give all responses to these requests."""

    async def replay() -> AsyncIterator[Any]:
        for request in requests:
            yield request

    written = Written()
    await processor.process(replay(), written)
    return written.responses
