"""A call of the rewriter without gRPC."""

from collections.abc import Iterable
from typing import Any

from envoy.service.ext_proc.v3 import external_processor_pb2 as pb

from authz.edge.grpc.transport import WOKEN, Woken


class FakeCall:
    """A call: gives messages one by one, keeps what is written, and lets time run out once they are through."""

    def __init__(self, requests: Iterable[Any] = ()) -> None:
        self.responses: list[Any] = []
        self.taken = 0
        self._requests = iter(requests)
        self._timed = False

    async def read(self) -> bytes | Woken | None:
        """Give the next message."""
        for request in self._requests:
            self.taken += 1
            message: bytes = request.SerializeToString()
            return message
        if self._timed:
            self._timed = False
            return WOKEN
        return None

    async def write(self, message: bytes) -> None:
        """Keep one response."""
        self.responses.append(pb.ProcessingResponse.FromString(message))

    async def pause(self) -> None:
        """Go on at once."""

    def wake_after(self, seconds: float) -> None:
        """Let time run out after the last message."""
        self._timed = True


async def responses(processor: Any, requests: Iterable[Any]) -> list[Any]:
    """Give all responses to these requests."""
    call = FakeCall(requests)
    await play(processor, call)
    return call.responses


async def play(processor: Any, call: FakeCall) -> None:
    """Let a call run to its end, with the message that ends it."""
    last = await processor.process(call)
    if last is not None:
        await call.write(last)
