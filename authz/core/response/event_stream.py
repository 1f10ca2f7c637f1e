"""A body of server-sent events, each judged when it is complete.

Rules of this module:

* What is refused is replaced by an error where it stood, so its id still counts for resumption; the events after it are
  judged in turn. An event that is too large ends the stream, after the error.
* A notification about something its reader may not see loses its data and keeps its id. Clients pass over such an
  event (WHATWG HTML 9.2.6), but count it for resumption.
* The ids of events are bound to their reader, because a server may redeliver to anyone who knows one. Each id is changed
  before its event is judged, so it is bound in whatever form the event leaves. Without ids a stream keeps every byte.
* A stream whose caller's token expired is ended between two events (`expire`). The request that it answers is answered
  with an error, unless the server gave its events ids: then the client can come back for the answer with a new token
  (Last-Event-ID), which an error would keep it from.
* An event's data passes unread only when there is no opening brace in it: without one there is no JSON object
  (priming events, the endpoint event of the 2024-11-05 transport). There may be none outside its data either. This
  settles comments, unknown fields and readers with another notion of where a line ends.
"""

from collections.abc import Callable

from authz.core.request import RequestId
from authz.core.response.commands import (
    PAUSE,
    Body,
    Commands,
    Headers,
    Judged,
    ResponseOutcome,
    Stop,
    expired,
    refusal,
)
from authz.core.response.filter_result import Cause
from authz.core.response.held import Held
from authz.core.response.judgement import ResponseTerms, judge, refused
from authz.core.wire.sse import Event, Parser, with_data, with_ids, without_data

_EVENTS_AT_ONCE, _BYTES_AT_ONCE = 512, 8192
"""Events of one chunk that are sent on, and bytes that are cut into events, before the thread is given back."""
_JUDGING_COST = 4
"""How many events that are sent on take as long as one that is judged."""


class EventStream:
    """A stream of server-sent events, each judged when it is complete."""

    def __init__(self, reading: ResponseTerms, held: Held) -> None:
        self._reading = reading
        self._held = held
        self._parser = Parser(max_bytes=reading.bounds.bytes)
        self._resumable = False

    def open(self) -> Commands:
        """Take the headers."""
        yield Headers(length=None, rewritten=True)

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes."""
        since_pause = 0
        for start in range(0, len(data), _BYTES_AT_ONCE):
            for each in self._parser.feed(data[start : start + _BYTES_AT_ONCE]):
                event = with_ids(each, self._reading.bind_event)
                taken = _JUDGING_COST if b"{" in each.raw else 1
                since_pause += taken
                if since_pause > _EVENTS_AT_ONCE:
                    yield PAUSE
                    since_pause = taken
                self._resumable = self._resumable or event.named
                yield from self._judged(event)
            yield from self._check_room()

    def _check_room(self) -> Commands:
        if self._parser.overflowed:
            yield from self.refuse(Cause.TOO_LARGE)
        elif not self._held.resize(self._parser.held):
            yield from self.refuse(Cause.NO_ROOM)

    def end(self) -> Commands:
        """Take the end of the body."""
        if event := self._parser.close():
            yield from self._judged(with_ids(event, self._reading.bind_event), blank_line=b"\n\n")

    def refuse(self, cause: Cause) -> Commands:
        """End the stream, because its next event cannot be read or held."""
        self._held.resize(0)
        yield refused(cause)
        yield from self._answer(refusal)
        yield Stop()

    def _judged(self, event: Event, blank_line: bytes = b"") -> Commands:
        """Judge an event; `blank_line` is what it lacks to be read, and gets when it is replaced."""
        if b"{" not in event.raw:
            if event.raw:
                yield Body(event.raw)
            return
        if event.raw.count(b"{") != event.data.count(b"{"):
            yield refused(Cause.AMBIGUOUS)
            if event.data:
                yield from self._answer(refusal)
            return
        judged, allowed = yield from self._held.alone(
            judge(event.data, self._reading), len(event.data), PAUSE
        )
        yield judged
        if allowed is None:
            yield Body(with_data(event, refusal(self._reading.request_id)) + blank_line)
        elif not allowed:
            yield Body(without_data(event) or b"\n")
        else:
            yield Body(event.raw if allowed == event.data else with_data(event, allowed))

    def expire(self) -> Commands:
        """End the stream, because its caller's token expired."""
        yield Judged(ResponseOutcome.EXPIRED)
        if not self._resumable:
            yield from self._answer(expired)
        yield Stop()

    def _answer(self, error: Callable[[RequestId], bytes]) -> Commands:
        """Answer the request in an event of its own; there is none to answer when its id is not known."""
        if self._reading.request_id is not None:
            yield Body(b"data: " + error(self._reading.request_id) + b"\n\n")
