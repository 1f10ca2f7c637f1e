"""Claims that somebody wrote down -> the caller they would be, by the code that reads a verified token's claims."""

from collections.abc import Mapping
from typing import Any

from authz.core.claims import check_claims, principal
from authz.core.occasion import Caller
from authz.core.reasons import Reason
from authz.core.refused import Refused
from authz.core.server import Server

_LIFETIME = 3600


class ClaimsRefused(ValueError):  # noqa: N818 - the word of the records
    """Claims that no token may have at this server.

    Attributes:
        refused: reason and detail; holds nothing of the claims.
    """

    def __init__(self, refused: Refused) -> None:
        """Keep the refusal; its reason and detail are the text."""
        super().__init__(f"{refused.reason}: {refused.detail}")
        self.refused = refused


def caller_of(claims: Mapping[str, Any], server: Server, now: float = 0.0) -> Caller:
    """Give the caller whom a token with these claims would stand for.

    What every token has and nobody wants to write is filled in where it is missing: `iss` (the server's first
    issuer), `aud` (an audience of it), `iat` and `exp`. What is given is judged as a token's would be.

    Args:
        claims: claims; as YAML or JSON has them.
        server: where the caller asks.
        now: seconds since the epoch, from which `exp` and `nbf` among the claims are judged.

    Raises:
        ClaimsRefused: a token with these claims would not be accepted.
    """
    issuer = claims.get("iss", next(iter(server.trusts), ""))
    trust = server.trusts.get(issuer) if isinstance(issuer, str) else None
    if trust is None:
        detail = "iss is not a configured issuer, compared to the letter"
        raise ClaimsRefused(Refused(reason=Reason.UNKNOWN_ISSUER, detail=detail))
    usual = {"iss": issuer, "aud": min(trust.audiences), "iat": int(now), "exp": int(now) + _LIFETIME}
    whole = {**usual, **claims}
    refused = check_claims(whole, trust, now)
    if refused is not None:
        raise ClaimsRefused(refused)
    return Caller.of(principal(whole, trust), server.name)
