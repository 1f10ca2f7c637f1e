"""Who calls: what a verified token says, and nothing that was not verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.core.reasons import Reason
from authz.core.wire.bounded_cache import BoundedCache


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRejected:
    """A token that is not accepted: a value, never an exception.

    Attributes:
        reason: why, in one word of the closed list.
        detail: fixed text for the operator; never a value from the token.
        issuer: the configured issuer, once `iss` selected one; its keys are what `unknown_key` asks for.
        kid: for `unknown_key`, the key id that the token names, None when it names none. The sender chose it: look it
            up, but never log it.
        question: the token, where its issuer has to be asked about it first; empty otherwise. Never log it.
        unverified: what the token says of itself, for the record of its refusal; None if its claims are unreadable.
    """

    reason: Reason
    detail: str
    issuer: str = ""
    kid: str | None = field(default=None, repr=False)
    question: str = field(default="", repr=False)
    unverified: "Unverified | None" = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """What a rejected token says of where it is from and for whom; anybody can write it. Each text is bounded.

    Attributes:
        iss: the issuer.
        aud: the audiences, joined with ", ".
        azp: the client.
    """

    iss: str = ""
    aud: str = ""
    azp: str = ""

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> "Unverified":
        """Read them from claims of any form; what is no text, or no list of texts, is left out."""
        client = claims.get("azp", claims.get("client_id"))
        return cls(iss=_bounded(claims.get("iss")), aud=_bounded(claims.get("aud")), azp=_bounded(client))


_MOST_CHARS, _MOST_AUDIENCES = 256, 4


def _bounded(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(each[:_MOST_CHARS] for each in value[:_MOST_AUDIENCES] if isinstance(each, str))
    return value[:_MOST_CHARS].encode(errors="replace").decode() if isinstance(value, str) else ""


def malformed(detail: str) -> TokenRejected:
    """Reject a token, or a header, for its form."""
    return TokenRejected(reason=Reason.MALFORMED_TOKEN, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller, as one verified access token describes it.

    Attributes:
        issuer: the token's `iss`, exactly the configured issuer.
        subject: `sub`, empty when the token has none.
        client: the OAuth client (`azp`, else `client_id`, or the configured claim), empty when none is named.
        scopes: whole words, in the token's order.
        roles: whole words, in the token's order.
        groups: whole names or paths, in the token's order; none where no rule asks for them.
        claims: every claim of the token.
        expires: `exp`, in seconds since the epoch.
        holder: what stands for the subject in the tags of sessions and events, if the token has none; else empty.
    """

    issuer: str
    subject: str
    client: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    claims: Mapping[str, Any] = field(repr=False)
    expires: float
    holder: str = ""
    groups: tuple[str, ...] = ()


ANONYMOUS = Principal(issuer="", subject="", client="", scopes=(), roles=(), claims={}, expires=0.0)
"""The principal of a caller without an acceptable token, where a server is open to such callers."""


class CallerCache:
    """Answers that are computed once for a caller; the caller and its cache are dropped together.

    Attributes:
        conditions: expression -> its value, for expressions that read nothing but the caller.
        verdicts: rules or item -> verdict, where the verdict depends on nothing but the caller and the item.
        sessions: session id as sent -> the server's id, for ids that were verified.
        replies: kind of reply -> the bytes of its part about the caller.
        reader: the bytes that say who reads an answer, as they were made last, behind what else they depend on.
    """

    __slots__ = ("conditions", "reader", "replies", "sessions", "verdicts")

    def __init__(self) -> None:
        """Start empty."""
        self.conditions: BoundedCache[object, Any] = BoundedCache(4096)
        self.verdicts: BoundedCache[object, Any] = BoundedCache(256)
        self.sessions: BoundedCache[object, str] = BoundedCache(64)
        self.replies: BoundedCache[object, bytes] = BoundedCache(64)
        self.reader: tuple[object, bytes] = (None, b"")


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """A principal at one server.

    Attributes:
        principal: who calls.
        server: the server's name.
        scopes: the principal's scopes as a set.
        roles: the principal's roles as a set.
        groups: the principal's groups as a set.
        ends: moment from which the caller's token is no longer accepted, in seconds since the epoch; None for never.
        issuer: what the policy file calls the principal's issuer.
        cache: answers that were computed for this caller.
    """

    principal: Principal
    server: str
    scopes: frozenset[str]
    roles: frozenset[str]
    groups: frozenset[str] = frozenset()
    ends: float | None = None
    issuer: str = ""
    cache: CallerCache = field(default_factory=CallerCache, repr=False)

    @classmethod
    def of(
        cls, principal: Principal, server: str, ends: float | None = None, *, issuer: str = ""
    ) -> "Caller":
        """Return a principal prepared for decisions at a server."""
        scopes, roles, groups = map(frozenset, (principal.scopes, principal.roles, principal.groups))
        return cls(principal, server, scopes, roles, groups, ends, issuer)
