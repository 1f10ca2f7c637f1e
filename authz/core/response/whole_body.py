"""A body that is held until its end, and then judged as one message.

The headers are held with it. So the length is known, and what is refused is answered with 502 instead of a broken stream.
"""

from collections.abc import Generator

from authz.core.response.commands import (
    PAUSE,
    BadGateway,
    Body,
    Command,
    Commands,
    Headers,
    Judged,
    ResponseOutcome,
    Stop,
)
from authz.core.response.filter_result import Cause
from authz.core.response.held import Held
from authz.core.response.judgement import PASSED, Judgement, ResponseTerms, judge, refused
from authz.core.wire.slices import whole

_AT_ONCE = 65_536
"""Bytes of the longest body that is judged in one step, which takes less than a millisecond."""


class WholeBody:
    """A body that is held until its end, and then judged as one message."""

    _error_status = False

    def __init__(self, reading: ResponseTerms, held: Held) -> None:
        self._reading = reading
        self._held = held
        self._body = bytearray()

    def open(self) -> Commands:
        """Take the headers."""
        return ()

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        size = len(self._body) + len(data)
        if size > self._reading.bounds.bytes:
            return self.refuse(Cause.TOO_LARGE)
        if not self._held.resize(size):
            return self.refuse(Cause.NO_ROOM)
        self._body += data
        return ()

    def end(self) -> Commands:
        """Take the end of the body."""
        body, self._body = bytes(self._body), bytearray()
        if not body:
            return PASSED, Headers(length=0, rewritten=False)
        judgement = judge(body, self._reading, error_status=self._error_status)
        return _sent(body, whole(judgement)) if len(body) <= _AT_ONCE else self._judged(body, judgement)

    def _judged(self, body: bytes, judgement: Generator[None, None, Judgement]) -> Commands:
        """Judge in slices."""
        commands = _sent(body, (yield from self._held.alone(judgement, len(body), PAUSE)))
        del body  # what is sent may be far shorter, and takes long if its reader is slow
        yield from commands

    def expire(self) -> Commands:
        """Go on: a body that is held is one answer and no stream."""
        return ()

    def refuse(self, cause: Cause) -> Commands:
        """Refuse the response, which goes no further."""
        self._body.clear()
        self._held.resize(0)
        yield refused(cause)
        yield BadGateway()


def _sent(body: bytes, judgement: Judgement) -> tuple[Command, ...]:
    """Return what follows from the judgement of a body."""
    judged, allowed = judgement
    if not allowed:
        return judged, BadGateway()
    return judged, Headers(length=len(allowed), rewritten=allowed is not body), Body(allowed)


class ErrorBody(WholeBody):
    """JSON under a status that is no success, which need not be a message."""

    _error_status = True


class OtherBody(ErrorBody):
    """A body under a status that is no success and a label that is no message's, or none: read if it begins as JSON does.

    Some clients look at no label, and some servers write a false one. Of anything else, such as an HTML page,
    nothing is held.
    """

    def __init__(self, reading: ResponseTerms, held: Held) -> None:
        super().__init__(reading, held)
        self._begun = self._passes = False

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        if not self._passes:
            yield from super().chunk(data)
            first = b"" if self._begun else data.lstrip(_BEFORE_JSON)[:1]
            self._begun = self._begun or first != b""
            self._passes = first not in _HELD
            if not self._passes:
                return
            data, self._body = bytes(self._body), bytearray()
            self._held.resize(0)
            yield Judged(ResponseOutcome.PASSED)
            yield Headers(length=None, rewritten=False)
        if data:
            yield Body(data)

    def end(self) -> Commands:
        """Take the end of the body."""
        return () if self._passes else super().end()

    def expire(self) -> Commands:
        """End what is being sent; what is held goes on."""
        if self._passes:
            yield Judged(ResponseOutcome.EXPIRED)
            yield Stop()


_HELD = (b"", b"{", b"[")
"""What is held: JSON that could be a message, and what has not begun."""
_BEFORE_JSON = b" \t\n\v\f\r\0\xef\xbb\xbf\xfe\xff"
"""What some readers pass over in front of JSON: white space, the marks of byte order, and half of a wide character."""


class UnreadableBody(WholeBody):
    """A body that cannot be judged: it may have no byte."""

    _cause = Cause.UNREADABLE

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        return self.refuse(self._cause) if data else ()


class CodedBody(UnreadableBody):
    """A body in a content coding that is not undone here."""

    _cause = Cause.CODING
