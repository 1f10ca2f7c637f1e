"""Who reads a response, and under what conditions, restored from what the Check of its request left.

With the caller's identity comes the request's id, so that a refusal of the response answers the request, and the moment at
which the token is no longer accepted, so that a stream can end then.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authz.core.identity.principal import Caller, Principal
from authz.core.identity.session import Sessions, UnboundSessions
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Verdict
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, HttpRequest, RequestId
from authz.core.response.caller_metadata import KEY, CallerMetadata, decode_caller
from authz.core.response.recognition import Recognise, Recognition
from authz.core.servers import Changed, Server, nothing_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseContext:
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

    @property
    def recognise(self) -> Recognise | None:
        """What takes note of the items in the response; None where nothing was approved."""
        lock = self.server.lock
        return (
            None if lock is None or self.recognition is None else self.recognition.by(self.server.name, lock)
        )

    def visible(self, item: Item) -> bool:
        """Return whether an item stands in the caller's lists."""
        verdict = self._judge(item)
        return verdict is not None and self.server.lists_item(item, verdict)

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
        servers: Mapping[str, Server],
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
            servers: the protected servers by name.
            now: seconds since the epoch.
            longest_name: characters of the longest name that a request may hold.
            sessions: binds sessions.
            grace: seconds for which a response may stay open after its caller's token is no longer accepted.
            changed: whether a locked item was last seen changed.
            recognition: takes note of the items in lists.

        Returns:
            The context; None if the metadata has none or names an unknown server.
        """
        server, text = servers.get(metadata.get("server", "")), metadata.get(KEY)
        if server is None or text is None:
            return None
        encoded = decode_caller(text)
        if encoded is None:
            return None
        terms, request = server.issuers.get(encoded.iss), _request(encoded)
        issuer = "" if terms is None else terms.name
        caller = Caller.of(_principal(encoded), server.name, issuer=issuer)
        return cls(
            server=server,
            caller=caller,
            uses={kind: EvaluationContext(caller, request, method, None) for kind, method in USES.items()},
            remaining_ms=max(0, int((encoded.exp - now) * 1000)),
            request_id=encoded.request_id,
            longest_name=longest_name,
            seconds=None if encoded.ends is None else max(0.0, encoded.ends + grace - now),
            sessions=sessions,
            changed=changed,
            recognition=recognition,
        )


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
