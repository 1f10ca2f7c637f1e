"""One ext_proc call: Envoy's messages about one response, in turn, to the replies.

Rules of this module:

* Whatever fails, the response is replaced with 502 while its headers are held, and ended where it stands after that.
  Then the call is read to its end without answering: closing it early would race with chunks under way. The 502
  bears the id of the JSON-RPC request once that is known. The log names the error's type, never its text.
* A body is judged only where Envoy's first message says that it comes in FULL_DUPLEX_STREAMED, as every supported Envoy's
  does: no other mode lets the headers wait for it.
* Once Envoy has said its last of the response, the last reply ends the call (`complete`). Nothing is under way then.
* A session id in the headers is bound to who reads, whatever the status: some clients take it from any response. One
  that cannot be bound is a failure.
* Messages may come in any order. Request messages are waved through, so that a filter that sends them still works.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeAlias

import structlog
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2

from authz.config.envoy_version import ATTRIBUTES
from authz.core.identity.session import HEADER as SESSION
from authz.core.request import RequestId
from authz.core.response.commands import (
    PAUSE,
    BadGateway,
    Body,
    Challenge,
    Command,
    Commands,
    Headers,
    Judged,
    Pause,
    Release,
    ResponseOutcome,
    Stop,
)
from authz.core.response.filter_result import Cause
from authz.core.response.rewriter import Rewriter
from authz.edge.envoy.processing_replies import (
    END,
    PIECE,
    TRAILERS,
    bad_gateway,
    headers_reply,
    pieces,
    waved,
)
from authz.edge.envoy.received import LENGTH, VALIDATORS, field_values, read, read_head
from authz.edge.envoy.response_readers import Readers
from authz.edge.envoy.response_report import ResponseReport

FILTER = "envoy.filters.http.ext_proc"
"""Under this name Envoy sends the attributes that it was told to send."""

_LOG = structlog.get_logger("authz.rewriter")
_VERSIONED = 16
"""One response in sixteen is looked at for the version of Envoy, which takes as long as all other headers."""
_FULL_DUPLEX: Any = processing_mode_pb2.ProcessingMode.FULL_DUPLEX_STREAMED

Replies = Iterable[bytes | Pause]
"""To be taken once, before the next message is answered; an empty tuple where there are none."""


class BodyModeError(Exception):
    """Envoy's bodies do not come in the one mode in which they can be judged, or it does not say in which."""


class ProcessingStream:
    """One call of ext_proc.

    Attributes:
        complete: whether the call may end with the reply that was given last: all of the response has come.
        report: what becomes known of the response.
    """

    __slots__ = (
        "_challenge",
        "_end_stream",
        "_headers_sent",
        "_length",
        "_modes",
        "_over",
        "_readers",
        "_request_id",
        "_rewriter",
        "_seconds",
        "_session",
        "_validators",
        "_waved",
        "complete",
        "report",
    )

    def __init__(self, readers: Readers) -> None:
        """Judge for the reader that `readers` finds."""
        self.complete = False
        self._readers = readers
        self.report = ResponseReport(readers.observe, readers.watch.write)
        self._seconds: float | None = None
        self._challenge: str | None = None
        self._end_stream: Callable[[], None] | None = None  # ends a stream that is counted
        self._request_id: RequestId = None
        self._session: str | None = None
        self._modes: Any = None
        self._rewriter: Rewriter | None = None
        self._length = ""  # as the server's headers have it
        self._validators: list[str] = []
        self._headers_sent = self._over = self._waved = False

    @property
    def seconds(self) -> float | None:
        """How long the response may stay open, counted from its headers; None for no end, and while it is held."""
        return self._seconds if self._headers_sent and not self._over else None

    def close(self) -> None:
        """Release what is held of the response."""
        if self._rewriter is not None:
            self._rewriter.close()
        if self._end_stream is not None:
            self._end_stream()
            self._end_stream = None

    def answer(self, message: bytes) -> Replies:
        """Answer one ProcessingRequest, with any number of responses, and PAUSE among them."""
        kind, part, request = read(message, begun=self._rewriter is not None)
        if self._modes is None and self._rewriter is None and request.HasField("protocol_config"):
            self._modes = request.protocol_config
        if kind.startswith("request"):
            self._waved = True
            echo = self._modes is not None and self._modes.request_body_mode == _FULL_DUPLEX
            return (waved(kind, part, echo=echo),)
        if not kind:
            return ()
        self.complete = not self._waved and (kind == "response_trailers" or part.end_of_stream)
        return () if self._over else self._guarded(_HANDLERS[kind], part, request)

    def expire(self) -> Replies:
        """Answer that the caller's token expired."""
        over = self._rewriter is None or self._over
        return () if over else self._guarded(ProcessingStream._expire, None, None)

    def _expire(self, _part: None, _request: None) -> Replies:
        return self._carry_out(self._begun().expire())

    def _guarded(self, handler: "_Handler", part: Any, request: Any) -> Replies:
        """Answer; whatever fails, the response must not pass, or ends."""
        try:
            replies = handler(self, part, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the response must not pass
            return self._fail(error)
        return self._each(replies) if replies else ()

    def _each(self, replies: Replies) -> Replies:
        try:
            yield from replies
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing more of the response may pass
            yield from self._fail(error)

    def headers(self, message: Any, request: Any) -> Replies:
        """Take response_headers."""
        if self._rewriter is not None:
            msg = "a response began twice"
            raise ValueError(msg)
        if not (message.end_of_stream or self._full_duplex()):
            raise BodyModeError
        reader = self._readers.find(request.metadata_context.filter_metadata)
        self.report.said, self.report.server = reader.said, reader.server
        self._request_id = reader.request_id
        self._seconds = None if reader.context is None else reader.context.seconds
        self._end_stream = self._readers.begin(reader)
        if next(self._readers.numbers) % _VERSIONED == 0:
            self._note_version(request.attributes)
        values = field_values(message.headers)
        head = read_head(values)
        self.report.status = head.status
        self._session = reader.bind_session(values.get(SESSION))
        self._length = values.get(LENGTH, "")
        self._validators = [name for name in VALIDATORS if name in values]
        self._rewriter = Rewriter(self._readers.terms(reader))
        return self._carry_out(self._rewriter.headers(head, bodyless=message.end_of_stream))

    def _note_version(self, attributes: Mapping[str, Any]) -> None:
        """Note Envoy's version, if its configuration sends it."""
        given = attributes[FILTER].fields if FILTER in attributes else {}
        if all(name in given for name in ATTRIBUTES):
            self._readers.observe.envoy_seen(tuple(int(given[name].number_value) for name in ATTRIBUTES))

    def body(self, message: Any, _request: Any) -> Replies:
        """Take one response_body."""
        rewriter = self._begun()
        if not message.end_of_stream:
            return self._carry_out(rewriter.chunk(message.body))
        if message.body:
            return self._carry_out(chain(rewriter.chunk(message.body), rewriter.end()), ends=True)
        return self._carry_out(rewriter.end(), ends=True)  # as Envoy ends most bodies

    def trailers(self, _part: Any, _request: Any) -> Replies:
        """Take response_trailers, which end a body whose chunks did not."""
        yield from self._carry_out(self._begun().end())
        if not self._over:
            self._over = True
            yield TRAILERS

    def _begun(self) -> Rewriter:
        if self._rewriter is None:
            msg = "a response began without headers"
            raise ValueError(msg)
        return self._rewriter

    def _full_duplex(self) -> bool:
        return self._modes is not None and self._modes.response_body_mode == _FULL_DUPLEX

    def _carry_out(self, actions: Commands, *, ends: bool = False) -> Replies:
        """Do what the rewriter says; `ends` says whether the body ends behind it."""
        return self._carried_out(actions, ends=ends) if actions or ends else ()

    def _carried_out(self, actions: Commands, *, ends: bool) -> Replies:
        gathered = bytearray()
        try:
            for action in actions:
                match action:
                    case Judged():
                        self.report.judged(action, headers_sent=self._headers_sent)
                    case Body() if len(gathered) + len(action.data) < PIECE:
                        gathered += action.data
                    case _:
                        if gathered:
                            yield from pieces(gathered)
                            gathered.clear()
                        yield from self._reply(action)
        except Exception:  # raised again: `_each` ends the response
            yield from pieces(gathered)  # it was judged before the rest failed
            raise
        ends = ends and not self._over
        self._over = self._over or ends
        if gathered or ends:
            yield from pieces(gathered, last=ends)

    def _reply(self, action: Command) -> Replies:
        match action:
            case Pause():
                yield PAUSE
            case Challenge():
                self._challenge = action.text
            case Release():
                self._headers_sent = self._over = True
                yield headers_reply(None, session=self._session, challenge=self._challenge)
            case Headers():
                self._headers_sent = True
                yield headers_reply(
                    action,
                    length=self._length,
                    validators=self._validators,
                    session=self._session,
                    challenge=self._challenge,
                )
            case Body():
                yield from pieces(action.data)
            case BadGateway():
                self._over = True
                yield bad_gateway(self._request_id)
            case Stop():
                yield from self._end_body()

    def _end_body(self) -> Replies:
        if not self._over:
            self._over = True
            yield END

    def _fail(self, error: Exception) -> Replies:
        _LOG.error("response failed", error=type(error).__name__)  # its text may quote the body
        if self._headers_sent:
            yield from self._end_body()
        elif not self._over:
            self._over = True
            yield bad_gateway(self._request_id)
        refused = Judged(ResponseOutcome.REFUSED, cause=Cause.INTERNAL)
        self.report.judged(refused, headers_sent=self._headers_sent)


_Handler: TypeAlias = Callable[[ProcessingStream, Any, Any], Replies]
"""Takes the part of the response that a message is about, and the message."""
_HANDLERS: Mapping[str, _Handler] = MappingProxyType(
    {
        "response_headers": ProcessingStream.headers,
        "response_body": ProcessingStream.body,
        "response_trailers": ProcessingStream.trailers,
    }
)
