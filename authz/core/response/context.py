"""From the Check of a list request to the rewriter of its response: who asked, and in what circumstances.

The rewriter runs in another gRPC call, perhaps in another process, and sees no request. So the Check leaves what
visibility depends on in dynamic metadata, which no client can set: the caller's identity, scopes and roles, and of
claims and headers only those that the server's rules read. The request's id goes with it, so that a refusal of the
response answers the request, and the moment at which the token is no longer accepted, so that a stream can end then. It is one JSON text under one key, `caller`, because Envoy's metadata would turn every
integer into a double.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from authz.core.identity.principal import Principal
from authz.core.identity.session import Sessions
from authz.core.mcp.item import Item, Kind, is_nameable
from authz.core.mcp.methods import USES
from authz.core.policy.context import Caller, EvaluationContext, visible_headers
from authz.core.policy.policy import Policy
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, HttpRequest, RequestId
from authz.core.servers import Server

KEY = "caller"


class _EncodedContext(msgspec.Struct, omit_defaults=True):
    """What is handed over; field names are short because Envoy sends it with every chunk."""

    iss: str
    sub: str
    client: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    exp: float
    claims: dict[str, Any]
    scheme: str
    host: str
    path: str
    headers: dict[str, str]
    source: str = ""
    request_id: RequestId = None
    ends: float | None = None


_DECODE = msgspec.json.Decoder(_EncodedContext).decode
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class VisibilityInputs:
    """What of a caller and a request a policy's rules can read; None where they can read all of it."""

    claims: frozenset[str] | None
    headers: frozenset[str] | None

    @classmethod
    def of(cls, policy: Policy) -> "VisibilityInputs":
        """Gather what the conditions read that decide about lists."""
        conditions = [rule.when for rule in policy.rules if rule.when is not None]
        return cls(
            claims=_union([condition.claims for condition in conditions if "jwt" in condition.reads]),
            headers=_union([condition.headers for condition in conditions if "request" in condition.reads]),
        )


def _union(sets: list[frozenset[str] | None]) -> frozenset[str] | None:
    return None if any(part is None for part in sets) else frozenset().union(*(part for part in sets if part))


def pack(
    principal: Principal,
    request: HttpRequest,
    reads: VisibilityInputs,
    *,
    request_id: RequestId = None,
    ends: float | None = None,
) -> str:
    """Write what the rewriter needs.

    Args:
        principal: who asks.
        request: in what circumstances.
        reads: what of both is written.
        request_id: id of the JSON-RPC request, with which a refusal of its response is answered.
        ends: moment from which the caller's token is no longer accepted, in seconds since the epoch; None for never.
    """
    headers = visible_headers(request)
    return _ENCODE(
        _EncodedContext(
            iss=principal.issuer,
            sub=principal.subject,
            client=principal.client,
            scopes=principal.scopes,
            roles=principal.roles,
            exp=principal.expires,
            claims=_only(principal.claims, reads.claims),
            scheme=request.scheme,
            host=request.host,
            path=request.path,
            headers=_only(headers, reads.headers),
            source=request.source,
            request_id=request_id,
            ends=ends,
        ),
    ).decode()


def _only(values: Mapping[str, Any], names: frozenset[str] | None) -> dict[str, Any]:
    return dict(values) if names is None else {name: values[name] for name in names if name in values}


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """Who reads a response, as the rewriter needs it.

    Attributes:
        target: the server that answers.
        caller: who asks.
        uses: for each kind of item, the circumstances in which it would be used.
        remaining_ms: milliseconds until the caller's token expires.
        request_id: id of the caller's JSON-RPC request; None when it has none or it is not known.
        seconds: how long the response may stay open; None for as long as it likes.
        sessions: binds the session that the response begins; None refuses every session.
        longest: characters of the longest name that a request may name, and so a list may show.
    """

    target: Server
    caller: Caller
    uses: Mapping[Kind, EvaluationContext]
    remaining_ms: int
    request_id: RequestId = None
    longest: int = DEFAULT_LIMITS.name
    seconds: float | None = None
    sessions: Sessions | None = None

    @property
    def server(self) -> str:
        """Name of the configured server."""
        return self.target.name

    def visible(self, item: Item) -> bool:
        """Tell whether the caller may see an item: the judgement of a call, without arguments."""
        nameable = len(item.name) <= self.longest and is_nameable(item)
        return nameable and self.target.policy.judge(self.uses[item.kind], item).reason is Reason.ALLOWED

    def bound(self, session: str) -> str:
        """Give the id by which the caller may use the server's session.

        Raises:
            ValueError: the id cannot be bound.
        """
        if self.sessions is None:
            msg = "there is no key to bind sessions with"
            raise ValueError(msg)
        return self.sessions.bind(self.caller, session)

    def ttl_ms(self) -> int:
        """Give the milliseconds for which the caller's token is still good."""
        return self.remaining_ms


def unpack(
    metadata: Mapping[str, str],
    servers: Mapping[str, Server],
    now: float,
    *,
    longest: int = DEFAULT_LIMITS.name,
    sessions: Sessions | None = None,
    grace: float = 0.0,
) -> ResponseContext | None:
    """Read what a Check handed over.

    Args:
        metadata: the texts of ext_authz's dynamic metadata.
        servers: the protected servers by name.
        now: seconds since the epoch.
        longest: characters of the longest name that a request may name, and so a list may show.
        sessions: binds sessions.
        grace: seconds for which a response may stay open after its caller's token is no longer accepted.

    Returns:
        Who reads, None when the metadata does not say or names an unknown server.
    """
    server, text = servers.get(metadata.get("server", "")), metadata.get(KEY)
    if server is None or text is None:
        return None
    try:
        baggage = _DECODE(text)
    except msgspec.DecodeError:
        return None
    principal = Principal(
        issuer=baggage.iss,
        subject=baggage.sub,
        client=baggage.client,
        scopes=baggage.scopes,
        roles=baggage.roles,
        claims=baggage.claims,
        expires=baggage.exp,
    )
    request = HttpRequest(
        method="POST",  # by which an item would be used, also where a GET stream redelivers a list
        scheme=baggage.scheme,
        host=baggage.host,
        path=baggage.path,
        headers=baggage.headers,
        source=baggage.source,
    )
    caller = Caller.of(principal, server.name)
    return ResponseContext(
        target=server,
        caller=caller,
        uses={kind: EvaluationContext(caller, request, method, None) for kind, method in USES.items()},
        remaining_ms=max(0, int((baggage.exp - now) * 1000)),
        request_id=baggage.request_id,
        seconds=None if baggage.ends is None else max(0.0, baggage.ends + grace - now),
        sessions=sessions,
        longest=longest,
    )
