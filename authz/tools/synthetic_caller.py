"""Callers that are described by claims, for questions to a policy without a token.

The claims go through the checks and the reading that those of a verified token go through. What every token has and a
description need not repeat is added: `iss` of the server's only issuer, one accepted `aud`, an `exp` an hour ahead, and
`iat` where the age of tokens is limited. A claim that is given is never changed.
"""

from collections.abc import Mapping
from typing import Any

from authz.core.identity.claims import principal
from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.reasons import Reason
from authz.core.servers import Server

_LIFE = 3600


class ClaimsRefused(Exception):  # noqa: N818 - the refusal is an answer, not a fault
    """A token with these claims would be refused.

    Attributes:
        refused: why.
    """

    def __init__(self, refused: TokenRejected) -> None:
        """Keep the refusal; the exception's text is its fixed one."""
        super().__init__(refused.detail)
        self.refused = refused


def caller_of(claims: Mapping[str, Any], server: Server, now: float) -> Caller:
    """Give who calls a server with these claims; no signature is asked for.

    Args:
        claims: as a token would have them.
        server: whose terms they must meet.
        now: seconds since the epoch.

    Raises:
        ClaimsRefused: the server would refuse a token with them.
    """
    trust = _trust(claims, server)
    if trust is None:
        detail = "iss is not an issuer of this server, or none is given and the server trusts several"
        raise ClaimsRefused(TokenRejected(reason=Reason.UNKNOWN_ISSUER, detail=detail))
    full = {**claims, **_absent(claims, trust, now)}
    who = principal(full, trust, now)
    if isinstance(who, TokenRejected):
        raise ClaimsRefused(who)
    return Caller.of(who, server.name)


def names_an_issuer(claims: Mapping[str, Any], server: Server) -> bool:
    """Tell whether it is settled which issuer's token is described: by `iss`, or because there is only one."""
    return "iss" in claims or len(server.issuers) == 1


def added(claims: Mapping[str, Any], server: Server) -> tuple[str, ...]:
    """Name the claims that `caller_of` adds."""
    trust = _trust(claims, server)
    return () if trust is None else tuple(_absent(claims, trust, 0))


def _trust(claims: Mapping[str, Any], server: Server) -> IssuerTerms | None:
    if not names_an_issuer(claims, server):
        return None
    issuer = claims.get("iss", next(iter(server.issuers), None))
    return server.issuers.get(issuer) if isinstance(issuer, str) else None


def _absent(claims: Mapping[str, Any], trust: IssuerTerms, now: float) -> dict[str, Any]:
    """Give the claims to add."""
    usual: dict[str, Any] = {"iss": trust.issuer, "aud": min(trust.audiences), "exp": int(now) + _LIFE}
    if trust.max_token_age is not None:
        usual["iat"] = int(now)
    return {name: value for name, value in usual.items() if name not in claims}
