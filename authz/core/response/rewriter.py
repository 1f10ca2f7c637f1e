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
* JSON is held until it is complete (see `whole_body`). Server-sent events pass one by one, their headers at once (see
  `event_stream`).
* The error bears the id of the request that is answered, when it is known, whatever was refused: the one who asked
  must not wait for an answer that was in it. An answer that comes after all finds nobody waiting.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeAlias

from authz.core.response.commands import (
    BadGateway,
    Body,
    Commands,
    Headers,
    Judged,
    Release,
    ResponseOutcome,
    Stop,
)
from authz.core.response.event_stream import EventStream
from authz.core.response.held import Held
from authz.core.response.judgement import ResponseTerms
from authz.core.response.whole_body import ErrorBody, UnreadableBody, WholeBody

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;,\"']*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """The response headers that matter: the status, and two field values, empty when absent, joined by "," when repeated."""

    status: int
    content_type: str = ""
    content_encoding: str = ""


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


_Reader: TypeAlias = Callable[[ResponseTerms, Held], _BodyReader]
_JSON, _EVENT_STREAM = "application/json", "text/event-stream"
_READERS: Mapping[tuple[str, bool], _Reader] = MappingProxyType(
    {
        (_JSON, True): WholeBody,
        (_JSON, False): ErrorBody,
        (_EVENT_STREAM, True): EventStream,
        (_EVENT_STREAM, False): EventStream,
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
        return UnreadableBody
    media = label.partition(";")[0].strip()
    if not success and media.endswith("json"):
        media = _JSON  # application/problem+json
    return _READERS.get((media, success), UnreadableBody)
