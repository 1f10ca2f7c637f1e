"""Who reads a response, and on which terms it is judged: found in what its Check left, and in the service.

A response whose Check left nothing has no reader, and no list of it passes. Where the Check asked for nothing, Envoy asks
because of what the answer says of the server itself (`authz.render.server_answers`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from authz.core.denial import challenge_in_its_place
from authz.core.mcp.methods import STREAMS
from authz.core.request import RequestId
from authz.core.response.caller_metadata import KEY, LISTENER, LISTS, POOL, SUBJECT, read_request_id
from authz.core.response.context import ResponseContext
from authz.core.response.held import HeldBytes
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds
from authz.core.response.streams import OpenStreams
from authz.core.servers import Server
from authz.edge.envoy.received import texts
from authz.edge.telemetry.response_record import ResponseFacts
from authz.edge.tracing.responses import ResponseObserver

NAMESPACE = "envoy.filters.http.ext_authz"
"""Where ext_authz leaves its dynamic metadata."""

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


class Reader:
    """Who reads one response.

    Attributes:
        said: what the Check left, as far as it is text.
        context: who reads; None if that is not known.
        server: the server that answers, "" if that is not known.
        request_id: id of the request that is answered; None if it has none or it is not known.
        asked: whether the Check asked for the rewriter.
    """

    __slots__ = ("asked", "context", "request_id", "said", "server")

    def __init__(self, said: Mapping[str, str], context: ResponseContext | None) -> None:
        """Read what was said, and who was found by it."""
        self.said = said
        self.context = context
        self.asked = KEY in said or said.get("decision") != "allow"
        self.server = said.get("server", "") if context is None else context.server.name
        self.request_id: RequestId = read_request_id(said) if context is None else context.request_id

    def bind_session(self, session: str | None) -> str | None:
        """Return what the client gets for the server's session id, None for none.

        Raises:
            ValueError: the id cannot be bound, or it is not known to whom.
        """
        if session is None or not self.asked:  # then ext_authz replaces the id that the server sent
            return None
        if self.context is None:
            msg = "a session for nobody"
            raise ValueError(msg)
        return self.context.bind_session(session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Finds the readers of a process's responses.

    Attributes:
        resolve: finds who reads.
        observe: counts the responses that come.
        bounds: how much of a message is read.
        held: what all responses hold.
        streams: counts the streams that are open.
        came: is told of each response that was asked for and came by the way of lists: at which listener its request
            arrived, and from whom.
        watch: what else is needed of the service.
        numbers: numbers the responses.
    """

    resolve: Resolve
    observe: ResponseObserver
    bounds: FilterBounds
    held: HeldBytes
    streams: OpenStreams
    came: Callable[[str, str], None]
    watch: Watch
    numbers: Iterator[int] = field(default_factory=count)

    def find(self, namespaces: Mapping[str, Any]) -> Reader:
        """Find who reads a response by the dynamic metadata that came with it, and count the response."""
        metadata = namespaces.get(NAMESPACE)
        said = {} if metadata is None else texts(metadata)
        reader = Reader(said, self.resolve(said))
        if reader.asked:
            if said.get(POOL) == LISTS:
                self.came(said.get(LISTENER, ""), said.get(SUBJECT, ""))
            self.observe.rewriter_came(reader.server)
        return reader

    def begin(self, reader: Reader) -> Callable[[], None] | None:
        """Count a stream, and return what ends it; None for a response that is none."""
        if reader.context is None or reader.said.get("method") not in STREAMS:
            return None
        owner = reader.context.caller.principal
        self.streams.begin(owner, reader.server)
        return partial(self.streams.end, owner, reader.server)

    def terms(self, reader: Reader) -> ResponseTerms:
        """Return on which terms a response is judged."""
        context = reader.context
        challenge = _own_challenge(
            self.watch.server_named(reader.said) if context is None else context.server
        )
        terms = partial(
            ResponseTerms,
            bounds=self.bounds,
            request_id=reader.request_id,
            server=reader.server,
            held=self.held,
            challenge=challenge,
            own=reader.said.get("decision") == "deny",
        )
        if context is None:
            return terms(visible=None, bind_event=lambda _: None)
        return terms(
            visible=context.visible,
            usable=context.usable,
            ttl_ms=context.remaining_ms,
            bind_event=context.bind_event,
            recognise=context.recognise,
        )


def _own_challenge(server: Server | None) -> Callable[[int], str] | None:
    return partial(challenge_in_its_place, server) if server is not None and server.forward_token else None
