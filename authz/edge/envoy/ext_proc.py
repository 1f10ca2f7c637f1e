"""Envoy's ext_proc stream to the rewriter and back: translation, no judgement.

Serves `envoy.service.ext_proc.v3.ExternalProcessor`, for a filter with `response_header_mode: SEND`,
`response_body_mode: FULL_DUPLEX_STREAMED`, `response_trailer_mode: SEND` and `allow_content_length_header`.

Rules of this module:

* One call is one HTTP response; nothing is shared between calls.
* The reply to the headers may wait for the body: in this body mode Envoy sends on regardless. The content-length is
  always set or removed, except on a response without a body.
* Who reads comes from the dynamic metadata that ext_authz left, never from a header.
* When the caller's token has expired and the grace is over, a response that is being sent is ended as if the server
  had ended it, also while no message comes. While a client does not read, the end waits behind what the client has not
  taken; nothing more is read meanwhile.
* Bytes that follow one another are one message, up to its largest size: a stream of blank lines is a few messages, not a
  million. `PAUSE` stands among the answers where the rewriter lets others have the thread.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from authz.core.response.commands import Pause
from authz.core.response.held import HeldBytes
from authz.core.response.list_filter import DEFAULT_BOUNDS, FilterBounds
from authz.core.response.streams import OpenStreams, StreamShares
from authz.edge.envoy.processing_stream import ProcessingStream
from authz.edge.envoy.response_readers import Readers, Resolve, Watch
from authz.edge.grpc.transport import WOKEN, Call, Stream
from authz.edge.tracing.responses import ResponseObserver, ResponseTrace

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"


class Processor:
    """Handles the calls of Envoy's ext_proc filters."""

    def __init__(
        self,
        *,
        resolve: Resolve,
        observe: ResponseObserver,
        bounds: FilterBounds = DEFAULT_BOUNDS,
        held: HeldBytes | None = None,
        streams: OpenStreams | None = None,
        came: Callable[[str, str], None] = lambda _listener, _subject: None,
        watch: Watch | None = None,
        trace: Callable[[Call, ResponseObserver], ResponseTrace] | None = None,
    ) -> None:
        """Judge for the callers that `resolve` finds, hold what `held` has room for, and count in `streams`.

        `came` is told of each response that comes by the way of lists: at which listener its request arrived, from whom. `trace` begins to
        trace a response; None traces none.
        """
        self._trace = trace
        self._readers = Readers(
            resolve=resolve,
            observe=observe,
            bounds=bounds,
            held=held or HeldBytes(),
            streams=streams or OpenStreams(StreamShares(), time.monotonic),
            came=came,
            watch=watch or Watch(),
        )
        self.streams: Mapping[str, Stream] = MappingProxyType({f"/{SERVICE}/Process": self.process})

    async def process(self, call: Call) -> bytes | None:
        """Handle one call: ProcessingRequests in, ProcessingResponses out. Envoy cancels it in normal operation."""
        trace = None if self._trace is None else self._trace(call, self._readers.observe)
        stream = ProcessingStream(self._readers if trace is None else replace(self._readers, observe=trace))
        try:
            return await _converse(stream, call)
        finally:
            stream.close()
            if trace is not None:
                trace.end(stream.report.said, stream.report.status)


async def _converse(stream: ProcessingStream, call: Call) -> bytes | None:
    """Answer message by message; return the last reply of a response that has come to its end."""
    timed = False
    while (message := await call.read()) is not None:
        last: bytes | None = None
        for answer in stream.expire() if message is WOKEN else stream.answer(message):
            if last is not None:
                await call.write(last)
            last = None if isinstance(answer, Pause) else answer
            if last is None:
                await call.pause()
        if stream.complete:
            return last
        if last is not None:
            await call.write(last)
        if stream.seconds is not None and not timed:
            timed = True
            call.wake_after(stream.seconds)
    return None
