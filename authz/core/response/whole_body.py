"""A body that is held until its end, and then judged as one message.

The headers are held with it. So the length is known, and what is refused is answered with 502 instead of a broken stream.
"""

from authz.core.response.commands import (
    PAUSE,
    BadGateway,
    Body,
    Commands,
    Headers,
    Judged,
    ResponseOutcome,
)
from authz.core.response.filter_result import Cause
from authz.core.response.held import Held
from authz.core.response.judgement import ResponseTerms, judge, refused


class WholeBody:
    """A body that is held until its end, and then judged as one message."""

    _error_status = False

    def __init__(self, reading: ResponseTerms, held: Held) -> None:
        self._reading = reading
        self._held = held
        self._body = bytearray()

    def open(self) -> Commands:
        """Take the headers."""
        return iter(())

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        size = len(self._body) + len(data)
        if size > self._reading.bounds.bytes:
            yield from self.refuse(Cause.TOO_LARGE)
        elif not self._held.resize(size):
            yield from self.refuse(Cause.NO_ROOM)
        else:
            self._body += data

    def end(self) -> Commands:
        """Take the end of the body."""
        body, self._body = bytes(self._body), bytearray()
        judged: Judged = Judged(ResponseOutcome.PASSED)
        allowed: bytes | None = body
        if body:
            judged, allowed = yield from self._held.alone(
                judge(body, self._reading, error_status=self._error_status), len(body), PAUSE
            )
        yield judged
        if allowed is None or (body and not allowed):
            yield BadGateway()
            return
        yield Headers(length=len(allowed), rewritten=allowed is not body and allowed != body)
        del body
        if allowed:
            yield Body(allowed)

    def expire(self) -> Commands:
        """Go on: a body that is held is one answer and no stream."""
        return iter(())

    def refuse(self, cause: Cause) -> Commands:
        """Refuse the response, which goes no further."""
        self._body.clear()
        self._held.resize(0)
        yield refused(cause)
        yield BadGateway()


class ErrorBody(WholeBody):
    """JSON under a status that is no success, which need not be a message."""

    _error_status = True


class UnreadableBody(WholeBody):
    """A body that cannot be judged: it may have no byte."""

    _cause = Cause.UNREADABLE

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        if data:
            yield from self.refuse(self._cause)


class CodedBody(UnreadableBody):
    """A body in a content coding that is not undone here."""

    _cause = Cause.CODING
