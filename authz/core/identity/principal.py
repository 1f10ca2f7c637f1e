"""Who calls: what a verified token says, and nothing that was not verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.core.reasons import Reason

# The refusal of a token: a value, never an exception.


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRejected:
    """A token that is not accepted.

    Attributes:
        reason: why, in one word of the closed list.
        detail: fixed text for the operator; never a value from the token.
        issuer: the configured issuer, once `iss` selected one; its keys are what `unknown_key` asks for.
        kid: for `unknown_key`, the name the token gives, None when it names none. The sender chose it: to be looked
            up, never to be logged.
    """

    reason: Reason
    detail: str
    issuer: str = ""
    kid: str | None = field(default=None, repr=False)


def malformed(detail: str) -> TokenRejected:
    """Refuse a token, or a header, for its form."""
    return TokenRejected(reason=Reason.MALFORMED_TOKEN, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller, as one verified access token describes it.

    Attributes:
        issuer: the token's `iss`, equal to the configured issuer to the letter.
        subject: `sub`, empty when the token has none.
        client: the OAuth client (`azp`, else `client_id`, or the configured claim), empty when none is named.
        scopes: whole words, in the token's order.
        roles: whole words, in the token's order.
        claims: every claim of the token.
        expires: `exp`, in seconds since the epoch.
    """

    issuer: str
    subject: str
    client: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    claims: Mapping[str, Any] = field(repr=False)
    expires: float


ANONYMOUS = Principal(issuer="", subject="", client="", scopes=(), roles=(), claims={}, expires=0.0)
"""Nobody in particular: who calls without an acceptable token where a server is open to such callers."""
