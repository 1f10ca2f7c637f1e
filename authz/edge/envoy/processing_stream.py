"""One ext_proc call: Envoy's messages about one response, in turn, to the replies.

Rules of this module:

* Whatever fails, the response is replaced with 502 while its headers are held, and ended where it stands after that.
  Then the call is read to its end without answering: closing it early would race with chunks under way. The 502
  bears the id of the JSON-RPC request once that is known.
* A session id in the headers is bound to who reads, whatever the status: some clients take it from any response. One
  that cannot be bound is a failure.
* Messages may come in any order. Request messages are waved through, so that a filter that sends them still works.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2

from authz.config.envoy_version import ATTRIBUTES
from authz.core.denial import challenge_in_its_place
from authz.core.identity.principal import Principal
from authz.core.identity.session import HEADER as SESSION
from authz.core.request import RequestId
from authz.core.response.caller_metadata import KEY, LISTENER
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
from authz.core.response.context import ResponseContext
from authz.core.response.filter_result import Cause
from authz.core.response.held import HeldBytes
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds
from authz.core.response.rewriter import Rewriter
from authz.core.response.streams import METHODS as STREAMS
from authz.core.response.streams import OpenStreams
from authz.core.servers import Server
from authz.edge.envoy.processing_messages import (
    PIECE,
    VALIDATORS,
    bad_gateway,
    body_reply,
    field_values,
    headers_reply,
    pieces,
    read_head,
    read_request_id,
    texts,
    trailers_reply,
    waved,
)
from authz.edge.envoy.response_report import ResponseReport
from authz.edge.telemetry.metrics import Metrics
from authz.edge.telemetry.response_record import ResponseFacts

FILTER = "envoy.filters.http.ext_proc"
"""Under this name Envoy sends the attributes that it was told to send."""
NAMESPACE = "envoy.filters.http.ext_authz"
"""Where ext_authz leaves its dynamic metadata."""

_FULL_DUPLEX: Any = processing_mode_pb2.ProcessingMode.FULL_DUPLEX_STREAMED

Resolve = Callable[[Mapping[str, str]], ResponseContext | None]
"""From the texts of ext_authz's dynamic metadata, empty if there is none, to who reads; None refuses every list."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a call of ext_proc needs of the service besides the reader.

    Attributes:
        server_named: finds the server that a Check's metadata names.
        write: takes the record of a response.
    """

    server_named: Callable[[Mapping[str, str]], Server | None] = lambda _metadata: None
    write: Callable[[ResponseFacts], None] = lambda _facts: None


class ProcessingStream:
    """One call of ext_proc.

    Attributes:
        seconds: how long the response may stay open, counted from its headers; None before them, and for no end.
    """

    def __init__(
        self,
        resolve: Resolve,
        observe: Metrics,
        bounds: FilterBounds,
        held: HeldBytes,
        streams: OpenStreams,
        came: Callable[[str], None],
        watch: "Watch",
    ) -> None:
        self.seconds: float | None = None
        self._resolve = resolve
        self._observe = observe
        self._bounds = bounds
        self._held = held
        self._streams = streams
        self._came = came
        self._watch = watch
        self._report = ResponseReport(observe, watch.write)
        self._challenge: str | None = None
        self._owner: Principal | None = None  # of a stream that is counted
        self._request_id: RequestId = None
        self._session: str | None = None
        self._modes: Any = None
        self._rewriter: Rewriter | None = None
        self._validators: list[str] = []
        self._headers_sent = False
        self._over = False

    def close(self) -> None:
        """Release what is held of the response."""
        if self._rewriter is not None:
            self._rewriter.close()
        if self._owner is not None:
            self._streams.end(self._owner, self._report.server)
            self._owner = None

    def answer(self, request: Any) -> Iterator[Any]:
        """Answer one ProcessingRequest, with any number of responses, and PAUSE among them."""
        if request.HasField("protocol_config"):
            self._modes = request.protocol_config
        kind = request.WhichOneof("request") or ""
        if kind.startswith("request"):
            echo = self._modes is not None and self._modes.request_body_mode == _FULL_DUPLEX
            yield waved(kind, getattr(request, kind), echo=echo)
        elif kind and not self._over:
            yield from self._guarded(kind, request)

    def expire(self) -> Iterator[Any]:
        """Answer that the caller's token expired."""
        if self._rewriter is None or self._over:
            return
        try:
            yield from self._carry_out(self._rewriter.expire())
        except Exception:  # noqa: BLE001 - whatever fails, the response ends
            yield from self._fail()

    def _guarded(self, kind: str, request: Any) -> Iterator[Any]:
        try:
            yield from _HANDLERS[kind](self, request)
        except Exception:  # noqa: BLE001 - the response must not pass, whatever it is; its text may quote the body
            yield from self._fail()

    def headers(self, request: Any) -> Iterator[Any]:
        """Take response_headers."""
        message = request.response_headers
        if self._rewriter or not (message.end_of_stream or self._full_duplex()):
            yield from self._fail()
            return
        context = self._find_context(request.metadata_context.filter_metadata)
        self._note_version(request.attributes)
        values = field_values(message.headers)
        head = read_head(values)
        self._report.status = head.status
        # Where the rewriter was not asked for, ext_authz replaces the id that the server sent.
        self._session = None if self._is_unasked() else _bind_session(values.get(SESSION), context)
        self._validators = [name for name in VALIDATORS if name in values]
        self._rewriter = Rewriter(self._terms(context))
        yield from self._carry_out(self._rewriter.headers(head, bodyless=message.end_of_stream))

    def _note_version(self, attributes: Mapping[str, Any]) -> None:
        """Note Envoy's version, if its configuration sends it."""
        given = attributes[FILTER].fields if FILTER in attributes else {}
        if all(name in given for name in ATTRIBUTES):
            self._observe.envoy_seen(tuple(int(given[name].number_value) for name in ATTRIBUTES))

    def _find_context(self, namespaces: Mapping[str, Any]) -> ResponseContext | None:
        given = self._report.said = texts(namespaces[NAMESPACE]) if NAMESPACE in namespaces else {}
        self._report.server, self._request_id = given.get("server", ""), read_request_id(given)
        if not self._is_unasked():
            self._came(given.get(LISTENER, ""))
        context = self._resolve(given)
        if context is not None:
            self._report.server, self._request_id = context.server.name, context.request_id
            self.seconds = context.seconds
            if given.get("method") in STREAMS:
                self._owner = context.caller.principal
                self._streams.begin(self._owner, self._report.server)
        if not self._is_unasked():
            self._observe.rewriter_came(self._report.server)
        return context

    def _is_unasked(self) -> bool:
        """Return whether the Check asked for nothing, and Envoy asks because of what the answer says."""
        return self._report.said.get("decision") == "allow" and KEY not in self._report.said

    def _own_challenge(self) -> Callable[[int], str] | None:
        server = self._watch.server_named(self._report.said)
        forwards = server is not None and server.forward_token
        return partial(challenge_in_its_place, server) if server is not None and forwards else None

    def _terms(self, context: ResponseContext | None) -> ResponseTerms:
        if context is None:
            return ResponseTerms(
                visible=None,
                bounds=self._bounds,
                request_id=self._request_id,
                server=self._report.server,
                held=self._held,
                challenge=self._own_challenge(),
                bind_event=lambda _: None,
            )
        return ResponseTerms(
            visible=context.visible,
            usable=context.usable,
            ttl_ms=context.remaining_ms,
            bounds=self._bounds,
            request_id=context.request_id,
            server=context.server.name,
            held=self._held,
            challenge=self._own_challenge(),
            bind_event=context.bind_event,
            recognise=context.recognise,
        )

    def body(self, request: Any) -> Iterator[Any]:
        """Take one response_body."""
        message = request.response_body
        yield from self._carry_out(self._begun().chunk(message.body))
        if message.end_of_stream:
            yield from self._carry_out(self._begun().end())
            yield from self._end_body()

    def trailers(self, _request: Any) -> Iterator[Any]:
        """Take response_trailers, which end a body whose chunks did not."""
        yield from self._carry_out(self._begun().end())
        if not self._over:
            self._over = True
            yield trailers_reply()

    def _begun(self) -> Rewriter:
        if self._rewriter is None:
            msg = "a response began without headers"
            raise ValueError(msg)
        return self._rewriter

    def _full_duplex(self) -> bool:
        """Whether bodies come in the one mode that lets headers wait; an Envoy that does not say so is trusted."""
        return self._modes is None or self._modes.response_body_mode == _FULL_DUPLEX

    def _carry_out(self, actions: Commands) -> Iterator[Any]:
        gathered = bytearray()
        try:
            for action in actions:
                match action:
                    case Judged():
                        self._report.judged(action, headers_sent=self._headers_sent)
                    case Body() if len(gathered) + len(action.data) < PIECE:
                        gathered += action.data
                    case _:
                        yield from pieces(gathered)
                        gathered.clear()
                        yield from self._reply(action)
        except Exception:  # the caller ends the response
            yield from pieces(gathered)  # it was judged before the rest failed
            raise
        yield from pieces(gathered)

    def _reply(self, action: Command) -> Iterator[Any]:
        match action:
            case Pause():
                yield PAUSE
            case Challenge():
                self._challenge = action.text
            case Release():
                self._headers_sent = self._over = True
                yield headers_reply(None, (), self._session, self._challenge)
            case Headers():
                self._headers_sent = True
                yield headers_reply(action, self._validators, self._session, self._challenge)
            case Body():
                yield from pieces(action.data)
            case BadGateway():
                self._over = True
                yield bad_gateway(self._request_id)
            case Stop():
                yield from self._end_body()

    def _end_body(self) -> Iterator[Any]:
        if not self._over:
            self._over = True
            yield body_reply(b"", last=True)

    def _fail(self) -> Iterator[Any]:
        if self._headers_sent:
            yield from self._end_body()
        elif not self._over:
            self._over = True
            yield bad_gateway(self._request_id)
        refused = Judged(ResponseOutcome.REFUSED, cause=Cause.INTERNAL)
        self._report.judged(refused, headers_sent=self._headers_sent)


def _bind_session(session: str | None, context: ResponseContext | None) -> str | None:
    """Return what the client gets for the server's session id.

    Raises:
        ValueError: the id cannot be bound, or it is not known to whom.
    """
    if session is None:
        return None
    if context is None:
        msg = "a session for nobody"
        raise ValueError(msg)
    return context.bind_session(session)


_HANDLERS: Mapping[str, Callable[[ProcessingStream, Any], Iterator[Any]]] = MappingProxyType(
    {
        "response_headers": ProcessingStream.headers,
        "response_body": ProcessingStream.body,
        "response_trailers": ProcessingStream.trailers,
    }
)
