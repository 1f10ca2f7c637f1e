"""Callers described by claims, for questions to a policy without a token.

The claims pass the same checks as those of a verified token. What every token has need not be written: `iss` of the
server's only issuer, one accepted `aud`, an `exp` an hour ahead, and `iat` where the age of tokens is limited are added.
A claim that is given is never changed.
"""

from collections.abc import Mapping
from typing import Any

from authz.core.identity.claims import claim_at, principal
from authz.core.identity.issuer import ClaimPath, IssuerTerms
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.reasons import Reason
from authz.core.servers import Server
from authz.tools.claim_paths import put

_SUBJECT = "somebody"
"""The subject of a description that names none."""
_LIFETIME = 3600
_NO_ISSUER = TokenRejected(
    reason=Reason.UNKNOWN_ISSUER,
    detail="iss is not an issuer of this server, or none is given and the server trusts several",
)


def caller_of(claims: Mapping[str, Any], server: Server, now: float) -> Caller | TokenRejected:
    """Return the caller with these claims, or why the server would reject a token with them.

    Args:
        claims: as a token would have them; no signature is needed.
        server: whose terms they must meet.
        now: seconds since the epoch.
    """
    terms = terms_for(claims, server)
    if terms is None:
        return _NO_ISSUER
    who = principal(completed(claims, terms, now), terms, now)
    return who if isinstance(who, TokenRejected) else Caller.of(who, server.name, issuer=terms.name)


def completed(claims: Mapping[str, Any], terms: IssuerTerms, now: float) -> dict[str, Any]:
    """Return the claims with those that every token has."""
    whole = dict(claims)
    for path, value in _missing(claims, terms, now).items():
        whole = put(whole, path, value)
    return whole


def names_an_issuer(claims: Mapping[str, Any], server: Server) -> bool:
    """Tell whether it is clear which issuer's token is described: `iss` says so, or there is only one."""
    return "iss" in claims or len(server.issuers) == 1


def added(claims: Mapping[str, Any], server: Server) -> tuple[str, ...]:
    """Name the claims that `caller_of` adds."""
    terms = terms_for(claims, server)
    return () if terms is None else tuple(".".join(path) for path in _missing(claims, terms, 0))


def terms_for(claims: Mapping[str, Any], server: Server) -> IssuerTerms | None:
    """Return the terms of the issuer whose token is described; None if the server trusts no such issuer."""
    if not names_an_issuer(claims, server):
        return None
    issuer = claims.get("iss", next(iter(server.issuers), None))
    return server.issuers.get(issuer) if isinstance(issuer, str) else None


def _missing(claims: Mapping[str, Any], terms: IssuerTerms, now: float) -> dict[ClaimPath, Any]:
    """Return the claims that every token has and the description lacks, by their paths."""
    usual: dict[ClaimPath, Any] = {
        ("iss",): terms.issuer,
        terms.audience_claim: min(terms.audiences),
        ("exp",): int(now) + _LIFETIME,
    }
    if terms.max_token_age is not None:
        usual["iat",] = int(now)
    if terms.require_subject:
        usual[terms.subject_claim] = _SUBJECT
    return {path: value for path, value in usual.items() if claim_at(dict(claims), path, _ABSENT) == _ABSENT}


_ABSENT = "\0"
"""No claim of a description has this value."""
