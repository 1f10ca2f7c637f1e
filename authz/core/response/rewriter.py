"""One HTTP response from an MCP server: what of it is sent on, and when.

The caller reports the response as it comes (headers, chunks, end) and carries out the actions it is given, in order.

Rules of this module:

* Every response with a body is judged; nothing follows from the request, and little from the status: there are clients
  that read the result in a 300 or a 500. Below 200 and from 300 on, a body that is labelled neither as JSON nor as
  server-sent events passes (the HTML page of a 502), and so does JSON that is no message and holds no list (see
  `list_filter`). So does a response without a body.
* The media type selects a reader, compared without regard to case and parameters. One that has no reader, a content
  coding, or a charset other than UTF-8 makes a body unreadable: it is refused at its first byte, and its headers are
  held until then, since an empty body is harmless under any label.
* What is held is counted in one budget for all responses of a process (`held`). A response that finds no room there is
  refused; what others hold is kept. Of all that is held, one large body is judged at a time, since judging takes several
  times its size.
* Judging is done in slices, with `PAUSE` among the commands where others may have the thread.
* JSON: the headers are held until the whole body was judged. So the length is known, and what is refused is
  answered with 502 instead of a broken stream.
* Server-sent events: the headers pass at once, then event by event, each judged by itself. What is refused is
  replaced by an error where it stood, so its id still counts for resumption; the events after it are judged in turn.
  An event that is too large ends the stream, after the error.
* The error bears the id of the request that is answered, when it is known, whatever was refused: the one who asked
  must not wait for an answer that was in it. An answer that comes after all finds nobody waiting.
* A notification about something its reader may not see loses its data and keeps its id. Clients pass over such an
  event (WHATWG HTML 9.2.6), but count it for resumption. As a JSON body, which no client expects, it is refused.
* The ids of events are bound to their reader, because a server may redeliver to anyone who knows one. Each id is changed
  before its event is judged, so it is bound in whatever form the event leaves. Without ids a stream keeps every byte.
* A stream whose caller's token expired is ended between two events (`expire`). The request that it answers is answered
  with an error, unless the server gave its events ids: then the client can come back for the answer with a new token
  (Last-Event-ID), which an error would keep it from. A body that is held is let finish: it is one answer, not a stream.
* An event's data passes unread only when there is no opening brace in it: without one there is no JSON object
  (priming events, the endpoint event of the 2024-11-05 transport). There may be none outside its data either. This
  settles comments, unknown fields and readers with another notion of where a line ends.
* Without a verdict on who reads (`visible` is None), every list is refused.
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeAlias

from authz.core.mcp.item import Visible
from authz.core.request import RequestId
from authz.core.response.commands import (
    PAUSE,
    BadGateway,
    Body,
    Commands,
    Headers,
    Judged,
    Release,
    ResponseOutcome,
    Stop,
    expired,
    refusal,
)
from authz.core.response.filter_result import Cause, FilterResult, ListRejected, Trimmed, Untouched, Withheld
from authz.core.response.held import Held, HeldBytes
from authz.core.response.list_filter import DEFAULT_BOUNDS, FilterBounds, filter_in_slices
from authz.core.wire.sse import Event, Parser, with_data, with_ids, without_data

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;,\"']*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """The response headers that matter: the status, and two field values, empty when absent, joined by "," when repeated."""

    status: int
    content_type: str = ""
    content_encoding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTerms:
    """For whom a response is judged, and how much of it at most.

    Attributes:
        visible: whether an item stands in the reader's lists; None refuses every list.
        usable: whether the reader may use an item, and so hear of it; None for what is visible.
        ttl_ms: longest time in milliseconds a client may keep a list; None leaves it alone.
        bounds: largest JSON body and largest event, and most items of a list.
        request_id: id of the request that is answered; None when it has none or it is not known.
        server: the server that answers; "" when it is not known.
        held: the budget for what is held of all responses.
        bind_event: from the server's id of an event to the reader's, None for none; leaves ids as they are by default.
    """

    visible: Visible | None
    usable: Visible | None = None
    ttl_ms: int | None = None
    bounds: FilterBounds = DEFAULT_BOUNDS
    request_id: RequestId = None
    server: str = ""
    held: HeldBytes = field(default_factory=HeldBytes)
    bind_event: Callable[[bytes], bytes | None] = lambda event: event


class Rewriter:
    """The state of one response. The order is: `headers` once, `chunk` any number of times, `end` once."""

    def __init__(self, reading: ResponseTerms) -> None:
        """Begin a response that is judged as `reading` says; `close` it when it is over."""
        self._reading = reading
        self._reader: _BodyReader | None = None
        self._held = reading.held.open(reading.server)
        self._over = False

    def headers(self, head: ResponseHead, *, bodyless: bool) -> Commands:
        """Take the response's headers.

        Args:
            head: what the headers say.
            bodyless: whether the response ends with them.
        """
        if bodyless:
            return self._until_over(iter((Judged(ResponseOutcome.PASSED), Release())))
        self._reader = _reader(head)(self._reading, self._held)
        return self._until_over(self._reader.open())

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes of the body; before the headers, or when nothing may follow, they are dropped."""
        return self._until_over(self._reader.chunk(data)) if self._reader else iter(())

    def end(self) -> Commands:
        """Take the end of the body."""
        if self._reader:
            yield from self._until_over(self._reader.end())
            self.close()

    def expire(self) -> Commands:
        """End a response that is being sent, because its caller's token expired; one that is held goes on."""
        return self._until_over(self._reader.expire()) if self._reader else iter(())

    def close(self) -> None:
        """Release what is held; nothing may follow."""
        self._over = True
        self._reader = None
        self._held.close()

    def _until_over(self, actions: Commands) -> Commands:
        if self._over:
            return
        for action in actions:
            self._over = isinstance(action, Release | BadGateway | Stop)
            yield action
            if self._over:
                self.close()
                return


class _BodyReader(Protocol):
    """One manner to read a body."""

    def open(self) -> Commands: ...
    def chunk(self, data: bytes) -> Commands: ...
    def end(self) -> Commands: ...
    def expire(self) -> Commands: ...


class _Unjudged:
    """A status that carries no result, and a body that no client takes for a message: everything passes."""

    def __init__(self, _reading: ResponseTerms, _held: Held) -> None:
        """Need nothing."""

    def open(self) -> Commands:
        yield Judged(ResponseOutcome.PASSED)
        yield Headers(length=None, rewritten=False)

    def chunk(self, data: bytes) -> Commands:
        if data:
            yield Body(data)

    def end(self) -> Commands:
        return iter(())

    def expire(self) -> Commands:
        yield Judged(ResponseOutcome.EXPIRED)
        yield Stop()


class _Whole:
    """A body that is held until its end, and then judged as one message."""

    _error_status = False

    def __init__(self, reading: ResponseTerms, held: Held) -> None:
        self._reading = reading
        self._held = held
        self._body = bytearray()

    def open(self) -> Commands:
        return iter(())

    def chunk(self, data: bytes) -> Commands:
        size = len(self._body) + len(data)
        if size > self._reading.bounds.bytes:
            yield from self._refuse(Cause.TOO_LARGE)
        elif not self._held.resize(size):
            yield from self._refuse(Cause.NO_ROOM)
        else:
            self._body += data

    def end(self) -> Commands:
        body, self._body = bytes(self._body), bytearray()
        judged: Judged = Judged(ResponseOutcome.PASSED)
        allowed: bytes | None = body
        if body:
            judged, allowed = yield from self._held.alone(
                _judge(body, self._reading, error_status=self._error_status), len(body), PAUSE
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
        return iter(())

    def _refuse(self, cause: Cause) -> Commands:
        self._body.clear()
        self._held.resize(0)
        yield _refused(cause)
        yield BadGateway()


class _ErrorBody(_Whole):
    """JSON under a status that is no success, which need not be a message."""

    _error_status = True


class _Unreadable(_Whole):
    """A body that cannot be judged: it may have no byte."""

    def chunk(self, data: bytes) -> Commands:
        if data:
            yield from self._refuse(Cause.UNREADABLE)


_EVENTS_AT_ONCE, _BYTES_AT_ONCE = 512, 8192
"""Events of one chunk that are judged, and bytes that are cut into events, before the thread is given back."""


class _Events:
    """A stream of server-sent events, each judged when it is complete."""

    def __init__(self, reading: ResponseTerms, held: Held) -> None:
        self._reading = reading
        self._held = held
        self._parser = Parser(max_bytes=reading.bounds.bytes)
        self._resumable = False

    def open(self) -> Commands:
        yield Headers(length=None, rewritten=True)

    def chunk(self, data: bytes) -> Commands:
        since_pause = 0
        for start in range(0, len(data), _BYTES_AT_ONCE):
            for each in self._parser.feed(data[start : start + _BYTES_AT_ONCE]):
                event = with_ids(each, self._reading.bind_event)
                since_pause += 1
                if since_pause > _EVENTS_AT_ONCE:
                    yield PAUSE
                    since_pause = 1
                self._resumable = self._resumable or event.named
                yield from self._judged(event)
            yield from self._check_room()

    def _check_room(self) -> Commands:
        if self._parser.overflowed:
            yield from self._break_off(Cause.TOO_LARGE)
        elif not self._held.resize(self._parser.held):
            yield from self._break_off(Cause.NO_ROOM)

    def end(self) -> Commands:
        if event := self._parser.close():
            yield from self._judged(with_ids(event, self._reading.bind_event), blank_line=b"\n\n")

    def _break_off(self, cause: Cause) -> Commands:
        """End the stream, because its next event cannot be held."""
        self._held.resize(0)
        yield _refused(cause)
        yield from self._answer(refusal)
        yield Stop()

    def _judged(self, event: Event, blank_line: bytes = b"") -> Commands:
        """Judge an event; `blank_line` is what it lacks to be read, and gets when it is replaced."""
        if b"{" not in event.raw:
            if event.raw:
                yield Body(event.raw)
            return
        if event.raw.count(b"{") != event.data.count(b"{"):
            yield _refused(Cause.AMBIGUOUS)
            if event.data:
                yield from self._answer(refusal)
            return
        judged, allowed = yield from self._held.alone(
            _judge(event.data, self._reading), len(event.data), PAUSE
        )
        yield judged
        if allowed is None:
            yield Body(with_data(event, refusal(self._reading.request_id)) + blank_line)
        elif not allowed:
            yield Body(without_data(event) or b"\n")
        else:
            yield Body(event.raw if allowed == event.data else with_data(event, allowed))

    def expire(self) -> Commands:
        yield Judged(ResponseOutcome.EXPIRED)
        if not self._resumable:
            yield from self._answer(expired)
        yield Stop()

    def _answer(self, error: Callable[[RequestId], bytes]) -> Commands:
        """Answer the request in an event of its own; there is none to answer when its id is not known."""
        if self._reading.request_id is not None:
            yield Body(b"data: " + error(self._reading.request_id) + b"\n\n")


_Verdict: TypeAlias = tuple[Judged, bytes | None]
"""What became of a message, and the bytes that may be sent for it: empty when it is withheld, None when refused."""


def _judge(
    message: bytes, reading: ResponseTerms, *, error_status: bool = False
) -> Generator[None, None, _Verdict]:
    """Judge a message, in slices."""
    result = yield from filter_in_slices(
        message,
        reading.visible or _nothing,
        usable=reading.usable,
        ttl_ms=reading.ttl_ms,
        bounds=reading.bounds,
        error_status=error_status,
    )
    return _verdict(message, result, known=reading.visible is not None)


def _verdict(message: bytes, result: FilterResult, *, known: bool) -> _Verdict:
    """Return what follows from the filter's result; of an unknown reader no list is."""
    match result:
        case Untouched():
            return Judged(ResponseOutcome.PASSED), message
        case Withheld():
            return Judged(ResponseOutcome.TRIMMED), b""
        case Trimmed() if known:
            cut = any(count.trimmed for count in result.counts)
            outcome = ResponseOutcome.TRIMMED if cut else ResponseOutcome.UNCHANGED
            return Judged(outcome, result.counts), result.document
        case ListRejected():
            return _refused(result.cause), None
        case _:
            return _refused(Cause.UNKNOWN_READER), None


def _refused(cause: Cause) -> Judged:
    return Judged(ResponseOutcome.REFUSED, cause=cause)


def _nothing(_item: object) -> bool:
    return False


_Reader: TypeAlias = Callable[[ResponseTerms, Held], _BodyReader]
_JSON, _EVENT_STREAM = "application/json", "text/event-stream"
_READERS: Mapping[tuple[str, bool], _Reader] = MappingProxyType(
    {
        (_JSON, True): _Whole,
        (_JSON, False): _ErrorBody,
        (_EVENT_STREAM, True): _Events,
        (_EVENT_STREAM, False): _Events,
    }
)
"""How a body is read, by its media type and whether its status is a success."""


def _reader(head: ResponseHead) -> _Reader:
    success, label = 200 <= head.status < 300, head.content_type.lower()
    if not (success or "json" in label or _EVENT_STREAM in label):
        return _Unjudged
    coded = head.content_encoding.strip().lower() not in ("", "identity")
    foreign = any(name not in ("utf-8", "utf8") for name in _CHARSET.findall(label))
    if coded or foreign:
        return _Unreadable
    media = label.partition(";")[0].strip()
    if not success and media.endswith("json"):
        media = _JSON  # application/problem+json
    return _READERS.get((media, success), _Unreadable)
