"""Who reads a response, and under what conditions, restored from what the Check of its request left.

With the caller's identity comes the request's id, so that a refusal of the response answers the request, and the moment at
which the token is no longer accepted, so that a stream can end then.
"""

from collections.abc import Mapping

import msgspec

from authz.core.identity.principal import Caller, Principal
from authz.core.identity.session import Sessions, UnboundSessions
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.index import Candidates
from authz.core.policy.policy import Verdict
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, HttpRequest, RequestId
from authz.core.response.caller_metadata import KEY, CallerMetadata, decode_caller, read_request_id
from authz.core.response.recognition import Recognition, ResponseRecognition
from authz.core.servers import Changed, Server, nothing_changed
from authz.core.wire.bounded_cache import BoundedCache

_LONGEST_KNOWN = 4096
"""Characters of the longest text for which it is remembered who it is."""


class Known(msgspec.Struct, frozen=True, eq=False):
    """A caller at a server under a policy, as the text says that a Check left.

    Attributes:
        server: the server.
        caller: who asks.
        uses: for each kind of item, the context in which it would be used.
        expires: moment at which the token expires.
        ends: moment from which it is no longer accepted; None for never.
    """

    server: Server
    caller: Caller
    uses: Mapping[Kind, EvaluationContext]
    expires: float
    ends: float | None


class KnownCallers:
    """Reads callers, and remembers them with what was computed for them. One lives as long as a policy is in force.

    Only the Check of an allowed request leaves a text, so no stranger fills it.
    """

    def __init__(self) -> None:
        """Know nobody."""
        self._known: BoundedCache[tuple[str, str, str], Known] = BoundedCache(1024)

    def find(self, metadata: Mapping[str, str], servers: Mapping[str, Server]) -> Known | None:
        """Return the caller of whom a Check left this; None if it left none or names an unknown server.

        Args:
            metadata: the texts of ext_authz's dynamic metadata.
            servers: the protected servers by name, of the policy that it names.
        """
        server, text = servers.get(metadata.get("server", "")), metadata.get(KEY)
        if server is None or text is None:
            return None
        key = (metadata.get("policy", ""), server.name, text)
        found = self._known.get(key)
        if found is None:
            found = _read(text, server)
            if found is not None and len(text) <= _LONGEST_KNOWN:
                self._known.put(key, found)
        return found if found is None or found.server is server else _read(text, server)


class ResponseContext(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Who reads a response, and under what conditions.

    Attributes:
        server: the server that answers.
        caller: who asks.
        uses: for each kind of item, the context in which it would be used.
        remaining_ms: milliseconds until the caller's token expires: the longest time that a client may keep a list.
        request_id: id of the caller's JSON-RPC request; None if it has none or it is not known.
        longest_name: characters of the longest name that a request may hold, and so a list may show.
        seconds: how long the response may stay open; None for no limit.
        sessions: binds the session that the response begins, and its events; None refuses every session and event id.
        changed: whether a locked item was last seen changed.
        recognition: takes note of the items in lists.
        seen: whether what these rules are about stands in the caller's lists, as far as that was asked.
    """

    server: Server
    caller: Caller
    uses: Mapping[Kind, EvaluationContext]
    remaining_ms: int
    request_id: RequestId = None
    longest_name: int = DEFAULT_LIMITS.name
    seconds: float | None = None
    sessions: Sessions | UnboundSessions | None = None
    changed: Changed = nothing_changed
    recognition: Recognition | None = None
    seen: BoundedCache[Candidates | None, bool] = msgspec.field(default_factory=lambda: BoundedCache(256))

    @property
    def recognise(self) -> ResponseRecognition | None:
        """What takes note of the items in the response; None where nothing was approved."""
        lock = self.server.lock
        return (
            None if lock is None or self.recognition is None else self.recognition.by(self.server.name, lock)
        )

    def visible(self, item: Item) -> bool:
        """Return whether an item stands in the caller's lists.

        A list has many names and few sets of rules about them. Where a verdict depends on the caller alone, it is found
        once for each set; a task is judged by itself, and so is an item that the lock may have something against.
        """
        alone = item.kind is Kind.TASK or not self._is_unquestioned(item)
        rules = None if alone else self.server.policy.rules_by_item.get(item)
        seen = self.seen.get(rules) if 0 < len(item.name) <= self.longest_name else False
        if seen is None:
            verdict = self._judge(item)
            seen = verdict is not None and self.server.lists_item(item, verdict)
            if rules is not None and rules.cacheable_by_caller:
                self.seen.put(rules, seen)
        return seen

    def _is_unquestioned(self, item: Item) -> bool:
        """Return whether the lock, if there is one, leaves an item to the rules: it is approved and nothing changed."""
        lock = self.server.lock
        if lock is None:
            return True
        known = self.recognition
        return known is not None and known.sightings.is_quiet(self.server.name) and lock.names(item)

    def usable(self, item: Item) -> bool:
        """Return whether the caller may use an item, and so hear of it: the judgement of a call, without arguments."""
        verdict = self._judge(item)
        return verdict is not None and verdict.reason is Reason.ALLOWED

    def _judge(self, item: Item) -> Verdict | None:
        """Return the verdict on an item's place in a list; None for what no request can name."""
        nameable = 0 < len(item.name) <= self.longest_name
        return self.server.judge(self.uses[item.kind], item, self.changed) if nameable else None

    def bind_session(self, session: str) -> str:
        """Return the id by which the caller may use the server's session.

        Raises:
            ValueError: the id cannot be bound.
        """
        if not isinstance(self.sessions, Sessions):
            msg = "there is no key to bind sessions with"
            raise ValueError(msg)  # noqa: TRY004 - nobody passed a wrong type
        return self.sessions.bind(self.caller, session)

    def bind_event(self, event: bytes) -> bytes | None:
        """Return the id by which the caller may resume a stream after an event of the server; None for no id."""
        return self.sessions.bind_event(self.caller, event) if isinstance(self.sessions, Sessions) else None

    @classmethod
    def decode(
        cls,
        metadata: Mapping[str, str],
        found: Known | None,
        now: float,
        *,
        longest_name: int = DEFAULT_LIMITS.name,
        sessions: Sessions | UnboundSessions | None = None,
        grace: float = 0.0,
        changed: Changed = nothing_changed,
        recognition: Recognition | None = None,
    ) -> "ResponseContext | None":
        """Read the context that a Check left.

        Args:
            metadata: the texts of ext_authz's dynamic metadata.
            found: the caller of whom it tells.
            now: seconds since the epoch.
            longest_name: characters of the longest name that a request may hold.
            sessions: binds sessions.
            grace: seconds for which a response may stay open after its caller's token is no longer accepted.
            changed: whether a locked item was last seen changed.
            recognition: takes note of the items in lists.

        Returns:
            The context; None if there is no caller.
        """
        if found is None:
            return None
        return cls(
            server=found.server,
            caller=found.caller,
            uses=found.uses,
            remaining_ms=max(0, int((found.expires - now) * 1000)),
            request_id=read_request_id(metadata),
            longest_name=longest_name,
            seconds=None if found.ends is None else max(0.0, found.ends + grace - now),
            sessions=sessions,
            changed=changed,
            recognition=recognition,
        )


def _read(text: str, server: Server) -> Known | None:
    """Return the caller of a text that a Check at a server left; None for any other text."""
    encoded = decode_caller(text)
    if encoded is None:
        return None
    terms, request = server.issuers.get(encoded.iss), _request(encoded)
    issuer = "" if terms is None else terms.name
    caller = Caller.of(_principal(encoded), server.name, issuer=issuer)
    uses = {kind: EvaluationContext(caller, request, method, None) for kind, method in USES.items()}
    return Known(server, caller, uses, encoded.exp, encoded.ends)


def _principal(encoded: CallerMetadata) -> Principal:
    return Principal(
        issuer=encoded.iss,
        subject=encoded.sub,
        client=encoded.client,
        scopes=encoded.scopes,
        roles=encoded.roles,
        claims=encoded.claims,
        expires=encoded.exp,
        holder=encoded.holder,
        groups=encoded.groups,
    )


def _request(encoded: CallerMetadata) -> HttpRequest:
    return HttpRequest(
        method="POST",  # by which an item would be used, also where a GET stream redelivers a list
        scheme=encoded.scheme,
        host=encoded.host,
        path=encoded.path,
        headers=encoded.headers,
        source=encoded.source,
    )
