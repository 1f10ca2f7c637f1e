"""One HTTP response from an MCP server: what of it is sent on, and when.

The caller reports the response as it comes (headers, chunks, end) and carries out the actions it is given, in order.

Rules of this module:

* Every response with a body is judged; nothing follows from the request, and little from the status: there are clients
  that read the result in a 500. Under a status that is no success, JSON passes as well that is no message and holds no
  list (see `list_filter`), and so does a body that neither is labelled as JSON or server-sent events nor begins as JSON
  does: the HTML page of a 502. A response without a body passes.
* The media type selects a reader, compared without regard to case and parameters. A content coding is undone first
  (see `decoded_body`). A body is unreadable in a coding that is not known, in a charset other than UTF-8 and, under a
  success, in a media type that has no reader. It is refused at its first byte, and its headers are held until then,
  since an empty body is harmless under any label.
* What the server says about itself is not the client's. A redirect is refused, because it leads past the gateway. So is a
  challenge, whose metadata is the server's own: the gateway's takes its place where the server got the caller's token, and
  where it did not, no caller could answer it. A 401 counts as a challenge without one: clients look for metadata then.
  A denial of the service, which comes by here to show the rewriter, keeps its own (`own`).
* What is held is counted in one budget for all responses of a process (`held`). A response that finds no room there is
  refused; what others hold is kept. Of all that is held, one large body is judged at a time, since judging takes several
  times its size.
* Judging is done in slices, with `PAUSE` among the commands where others may have the thread.
* JSON is held until it is complete (see `whole_body`). Server-sent events pass one by one, their headers at once (see
  `event_stream`).
* The error bears the id of the request that is answered, when it is known, whatever was refused: the one who asked
  must not wait for an answer that was in it. An answer that comes after all finds nobody waiting.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeAlias

import msgspec

from authz.core.response.commands import (
    BadGateway,
    Challenge,
    Commands,
    Judged,
    Release,
    ResponseOutcome,
    Stop,
)
from authz.core.response.decoded_body import DecodedBody, Refusable
from authz.core.response.event_stream import EventStream
from authz.core.response.filter_result import Cause
from authz.core.response.held import Held
from authz.core.response.judgement import ResponseTerms, refused
from authz.core.response.whole_body import CodedBody, ErrorBody, OtherBody, UnreadableBody, WholeBody
from authz.core.wire.bounded_cache import BoundedCache
from authz.core.wire.content_coding import DECODERS

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;,\"']*)", re.IGNORECASE)


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """The response headers that matter: the status, and two field values, empty when absent, joined by "," when repeated.

    `challenged` says whether there is a challenge, by a server or a proxy.
    """

    status: int
    content_type: str = ""
    content_encoding: str = ""
    challenged: bool = False


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
        if bodyless or head.challenged or not 200 <= head.status < 300:
            return self._until_over(self._unusual(head, bodyless=bodyless))
        return self._until_over(self._begin(head))

    def _begin(self, head: ResponseHead) -> Commands:
        self._reader = _reader(head)(self._reading, self._held)
        return self._reader.open()

    def _unusual(self, head: ResponseHead, *, bodyless: bool) -> Commands:
        """Take headers that may not reach the client as they are, or have no body."""
        own = self._reading.own
        cause = None if own else _speaks_of_itself(head)
        if cause is Cause.CHALLENGE and head.status in _ANSWERABLE and self._reading.challenge is not None:
            yield Judged(ResponseOutcome.CHALLENGED, cause=cause)
            yield Challenge(self._reading.challenge(head.status))
        elif cause is not None:
            yield refused(cause)
            yield BadGateway()
            return
        elif head.challenged and not own:
            yield Challenge("")
        if bodyless:
            yield Judged(ResponseOutcome.PASSED)
            yield Release()
            return
        yield from self._begin(head)

    def chunk(self, data: bytes) -> Commands:
        """Take the next bytes of the body; before the headers, or when nothing may follow, they are dropped."""
        return self._until_over(self._reader.chunk(data)) if self._reader else ()

    def end(self) -> Commands:
        """Take the end of the body."""
        if self._reader:
            yield from self._until_over(self._reader.end())
            self.close()

    def expire(self) -> Commands:
        """End a response that is being sent, because its caller's token expired; one that is held goes on."""
        return self._until_over(self._reader.expire()) if self._reader else ()

    def close(self) -> None:
        """Release what is held; nothing may follow."""
        self._over = True
        self._reader = None
        self._held.close()

    def _until_over(self, actions: Commands) -> Commands:
        return () if self._over or not actions else self._watched(actions)

    def _watched(self, actions: Commands) -> Commands:
        for action in actions:
            self._over = isinstance(action, Release | BadGateway | Stop)
            yield action
            if self._over:
                self.close()
                return


_ANSWERABLE = frozenset({401, 403})
"""Statuses whose challenge is about the caller's token (RFC 6750 section 3.1)."""
_CHALLENGES = frozenset({401, 407})


def _speaks_of_itself(head: ResponseHead) -> Cause | None:
    """Return why an answer leads past the gateway; None if it does not. On any other status a challenge is just dropped."""
    if 300 <= head.status < 400:
        return Cause.REDIRECT
    if head.status in _CHALLENGES or (head.status == 403 and head.challenged):
        return Cause.CHALLENGE
    return None


class _BodyReader(Protocol):
    """One manner to read a body."""

    def open(self) -> Commands: ...
    def chunk(self, data: bytes) -> Commands: ...
    def end(self) -> Commands: ...
    def expire(self) -> Commands: ...


_Reader: TypeAlias = Callable[[ResponseTerms, Held], _BodyReader]
_JSON, _EVENT_STREAM = "application/json", "text/event-stream"
_READERS: Mapping[tuple[str, bool], Callable[[ResponseTerms, Held], Refusable]] = MappingProxyType(
    {
        (_JSON, True): WholeBody,
        (_JSON, False): ErrorBody,
        (_EVENT_STREAM, True): EventStream,
        (_EVENT_STREAM, False): EventStream,
    }
)
"""How a body is read, by its media type and whether its status is a success."""


_CHOSEN: BoundedCache[tuple[bool, str, str], _Reader] = BoundedCache(64)
"""Readers by success, media type and coding as they were written, the same in nearly every answer of a server."""
_LONGEST_LABEL = 128


def _reader(head: ResponseHead) -> _Reader:
    key = (200 <= head.status < 300, head.content_type, head.content_encoding)
    reader = _CHOSEN.get(key)
    if reader is None:
        reader = _choose(*key)
        if len(head.content_type) + len(head.content_encoding) <= _LONGEST_LABEL:
            _CHOSEN.put(key, reader)
    return reader


def _choose(success: bool, content_type: str, content_encoding: str) -> _Reader:
    label = content_type.lower()
    coding = content_encoding.strip().lower()
    if not (success or "json" in label or _EVENT_STREAM in label):
        return OtherBody if coding in _UNCODED else _decoding(coding, OtherBody)
    if any(name not in ("utf-8", "utf8") for name in _CHARSET.findall(label)):
        return UnreadableBody
    media = label.partition(";")[0].strip()
    if not success and media.endswith("json"):
        media = _JSON  # application/problem+json
    reader = _READERS.get((media, success), UnreadableBody)
    return reader if coding in _UNCODED else _decoding(coding, reader)


_UNCODED = frozenset({"", "identity"})


def _decoding(coding: str, reader: Callable[[ResponseTerms, Held], Refusable]) -> _Reader:
    """Return the reader of a body in a coding; several codings, one on the other, are not undone."""
    make = DECODERS.get(coding)
    if make is None:
        return CodedBody
    return lambda reading, held: DecodedBody(make(), reader(reading, held))
