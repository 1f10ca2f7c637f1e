"""One HTTP response from an MCP server: what of it is sent on, and when.

The caller reports the response as it comes (headers, chunks, end) and carries out the actions it is given, in order.

Rules of this module:

* Every 2xx response with a body is judged; nothing follows from the request. Other statuses carry no result that a
  client would take for a list, and pass. So does a response without a body.
* The media type selects a reader, compared without regard to case and parameters. One that has no reader, a content
  coding, or a charset other than UTF-8 makes a body unreadable: it is refused at its first byte, and its headers are
  held until then, since an empty body is harmless under any label.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from authz.core.mcp.item import Visible
from authz.core.request import RequestId
from authz.core.response.commands import (
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
from authz.core.response.list_filter import MAX_BYTES, Trimmed, Untouched, Withheld, trim
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
        visible: whether the reader may see an item; None refuses every list.
        ttl_ms: longest time in milliseconds a client may keep a list; None leaves it alone.
        max_bytes: largest JSON body, and largest event.
        request_id: id of the request that is answered; None when it has none or it is not known.
        bind_event: from the server's id of an event to the reader's, None for none; leaves ids as they are by default.
    """

    visible: Visible | None
    ttl_ms: int | None = None
    max_bytes: int = MAX_BYTES
    request_id: RequestId = None
    bind_event: Callable[[bytes], bytes | None] = lambda event: event


class Rewriter:
    """The state of one response. The order is: `headers` once, `chunk` any number of times, `end` once."""

    def __init__(self, reading: ResponseTerms) -> None:
        """Begin a response that is judged as `reading` says."""
        self._reading = reading
        self._reader: _BodyReader | None = None
        self._over = False

    def headers(self, head: ResponseHead, *, bodyless: bool) -> Commands:
        """Take the response's headers.

        Args:
            head: what the headers say.
            bodyless: whether the response ends with them.
        """
        if bodyless:
            return self._until_over(iter((Judged(ResponseOutcome.PASSED), Release())))
        self._reader = _reader(head)(self._reading)
        return self._until_over(self._reader.open())

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes of the body; before the headers, or when nothing may follow, they are dropped."""
        return self._until_over(self._reader.chunk(data)) if self._reader else iter(())

    def end(self) -> Commands:
        """Take the end of the body."""
        return self._until_over(self._reader.end()) if self._reader else iter(())

    def expire(self) -> Commands:
        """End a response that is being sent, because its caller's token expired; one that is held goes on."""
        return self._until_over(self._reader.expire()) if self._reader else iter(())

    def _until_over(self, actions: Commands) -> Commands:
        if self._over:
            return
        for action in actions:
            self._over = isinstance(action, Release | BadGateway | Stop)
            yield action
            if self._over:
                return


class _BodyReader(Protocol):
    """One manner to read a body."""

    def open(self) -> Commands: ...
    def chunk(self, data: bytes) -> Commands: ...
    def end(self) -> Commands: ...
    def expire(self) -> Commands: ...


class _Unjudged:
    """A status that carries no result: everything passes."""

    def __init__(self, reading: ResponseTerms) -> None:
        self._reading = reading

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

    def __init__(self, reading: ResponseTerms) -> None:
        self._reading = reading
        self._held = bytearray()

    def open(self) -> Commands:
        return iter(())

    def chunk(self, data: bytes) -> Commands:
        self._held += data
        if len(self._held) > self._reading.max_bytes:
            self._held.clear()
            yield Judged(ResponseOutcome.REFUSED)
            yield BadGateway()

    def end(self) -> Commands:
        body = bytes(self._held)
        judged, allowed = _judge(body, self._reading) if body else (Judged(ResponseOutcome.PASSED), body)
        yield judged
        if allowed is None or (body and not allowed):
            yield BadGateway()
            return
        yield Headers(length=len(allowed), rewritten=allowed != body)
        if allowed:
            yield Body(allowed)

    def expire(self) -> Commands:
        return iter(())


class _Unreadable(_Whole):
    """A body that cannot be judged: it may have no byte."""

    def __init__(self, reading: ResponseTerms) -> None:
        super().__init__(ResponseTerms(visible=reading.visible, max_bytes=0))


class _Events:
    """A stream of server-sent events, each judged when it is complete."""

    def __init__(self, reading: ResponseTerms) -> None:
        self._reading = reading
        self._parser = Parser(max_bytes=reading.max_bytes)
        self._resumable = False

    def open(self) -> Commands:
        yield Headers(length=None, rewritten=True)

    def chunk(self, data: bytes) -> Commands:
        for each in self._parser.feed(data):
            event = with_ids(each, self._reading.bind_event)
            self._resumable = self._resumable or event.named
            yield from self._judged(event)
        if self._parser.overflowed:
            yield Judged(ResponseOutcome.REFUSED)
            yield from self._answer(refusal)
            yield Stop()

    def end(self) -> Commands:
        if event := self._parser.close():
            yield from self._judged(with_ids(event, self._reading.bind_event), blank_line=b"\n\n")

    def _judged(self, event: Event, blank_line: bytes = b"") -> Commands:
        """Judge an event; `blank_line` is what it lacks to be read, and gets when it is replaced."""
        if b"{" not in event.raw:
            if event.raw:
                yield Body(event.raw)
            return
        if event.raw.count(b"{") != event.data.count(b"{"):
            yield Judged(ResponseOutcome.REFUSED)
            if event.data:
                yield from self._answer(refusal)
            return
        judged, allowed = _judge(event.data, self._reading)
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


def _judge(message: bytes, reading: ResponseTerms) -> tuple[Judged, bytes | None]:
    """What became of a message, and the bytes that may be sent for it: empty when it is withheld, None when refused."""
    verdict = trim(message, reading.visible or _nothing, ttl_ms=reading.ttl_ms, max_bytes=reading.max_bytes)
    if isinstance(verdict, Untouched):
        return Judged(ResponseOutcome.PASSED), message
    if isinstance(verdict, Withheld):
        return Judged(ResponseOutcome.TRIMMED), b""
    if isinstance(verdict, Trimmed) and reading.visible is not None:
        cut = any(count.trimmed for count in verdict.counts)
        return Judged(
            ResponseOutcome.TRIMMED if cut else ResponseOutcome.UNCHANGED, verdict.counts
        ), verdict.document
    return Judged(ResponseOutcome.REFUSED), None


def _nothing(_item: object) -> bool:
    return False


_READERS: Mapping[str, Callable[[ResponseTerms], _BodyReader]] = MappingProxyType(
    {"application/json": _Whole, "text/event-stream": _Events}
)


def _reader(head: ResponseHead) -> Callable[[ResponseTerms], _BodyReader]:
    if not 200 <= head.status < 300:
        return _Unjudged
    coded = head.content_encoding.strip().lower() not in ("", "identity")
    foreign = any(name.lower() not in ("utf-8", "utf8") for name in _CHARSET.findall(head.content_type))
    if coded or foreign:
        return _Unreadable
    return _READERS.get(head.content_type.partition(";")[0].strip().lower(), _Unreadable)
