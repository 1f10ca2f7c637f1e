"""From an Authorization header to a Principal, or the reason for rejecting its token.

The steps, in the order in which a token fails them:

1. Form and header (`jws`); the claims are a strict JSON object.
2. Issuer: the claim selects the terms of trust, compared exactly. It is not believed yet: it only chooses whose
   keys the signature must satisfy. An unknown issuer never causes a key to be looked up, let alone fetched.
3. Algorithm, key and signature (`jws`), under the terms.
4. Claims (`claims`).

A rejection is a value (`TokenRejected`) with one `Reason`, and a fixed text for the operator that contains nothing of
the token.

A token that says nothing by itself is asked about: `issuer_to_ask` says whom, the edge asks (RFC 7662), and
`judge_answer` takes the answer as claims, under the same terms. Until then the token is refused, and not accepted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from authz.core.identity.claims import principal
from authz.core.identity.issuer import Introspect, IssuerTerms
from authz.core.identity.jwks import KeySet, unbase64url
from authz.core.identity.jws import (
    MAX_CHARS,
    NO_HEADERS,
    JoseHeader,
    check_signature,
    is_signed,
    read_compact,
    read_object,
)
from authz.core.identity.principal import Principal, TokenRejected, Unverified, malformed
from authz.core.reasons import Reason
from authz.core.wire.bounded_cache import BoundedCache

_TOKEN68 = bytes(c for c in range(128) if chr(c).isalnum() or chr(c) in "-._~+/")


def bearer(value: str | None) -> str | TokenRejected:
    """Take the token out of an Authorization header (RFC 6750 section 2.1).

    Args:
        value: the header as sent, None if there is none. Copies of it joined with "," are refused.

    Returns:
        The token, not judged beyond its alphabet and length, or why there is none.
    """
    if not value:
        return TokenRejected(reason=Reason.MISSING_TOKEN, detail="no authorization header")
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        return malformed("the authorization scheme is not Bearer")
    if len(token) > MAX_CHARS:
        return malformed("the token is too long")
    body = token.rstrip("=")
    if not body or body.encode("ascii", "replace").translate(None, _TOKEN68):
        return malformed("the authorization header is not one scheme, one space and one token")
    return token


def verify(
    token: str,
    issuers: Mapping[str, tuple[IssuerTerms, KeySet | None]],
    now: float,
    headers: BoundedCache[str, JoseHeader] | None = None,
) -> Principal | TokenRejected:
    """Verify an access token (RFC 7519 section 7.2, RFC 9068 section 4, under the advice of RFC 8725).

    Args:
        token: the token as sent; any string.
        issuers: for each accepted issuer, by its `iss`, the terms and its keys; None if no keys are cached.
        now: seconds since the epoch.
        headers: first segments of tokens that were verified, to be read from and added to; None for none.

    Returns:
        The principal, or why the token is not accepted. Nothing is raised.
    """
    jws = read_compact(token, NO_HEADERS if headers is None else headers)
    if isinstance(jws, TokenRejected):
        return jws
    claims = read_object(jws.payload)
    if claims is None:
        return malformed("the claims are not a strict JSON object")
    issuer = claims.get("iss")
    found = issuers.get(issuer) if isinstance(issuer, str) else None
    if found is None or found[0].issuer != issuer:
        return TokenRejected(
            reason=Reason.UNKNOWN_ISSUER,
            detail="iss is not a configured issuer, compared exactly",
            unverified=Unverified.of(claims),
        )
    terms, keys = found
    verified = (
        _check_typ(jws.header, terms)
        or check_signature(jws, keys, terms.algorithms)
        or principal(claims, terms, now, jws.header.typ)
    )
    if isinstance(verified, TokenRejected):
        return replace(verified, issuer=terms.issuer, unverified=Unverified.of(claims))
    if headers is not None:
        _keep_header(token, jws.header, headers)
    return verified


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an issuer said about a token.

    Attributes:
        claims: what the token says; None if it is not active.
        until: moment from which it has to be asked again, in seconds since the epoch.
    """

    claims: Mapping[str, Any] | None
    until: float


def issuer_to_ask(token: str, issuers: Iterable[IssuerTerms]) -> IssuerTerms | None:
    """Return the terms of the issuer that must be asked about a token; None if the token is verified by itself.

    An opaque token does not say whose it is, so of the issuers of a server one is asked at most. A signed one does, and
    where the issuer's keys are known, they tell.
    """
    asked = next((terms for terms in issuers if terms.introspect is not Introspect.NEVER), None)
    if asked is None or not is_signed(token):
        return asked
    if asked.introspect is not Introspect.ALL:
        return None
    payload = unbase64url(token.split(".")[1])
    claims = read_object(payload) if payload else None
    return asked if claims is not None and claims.get("iss") == asked.issuer else None


NOT_ASKED = "the issuer's introspection endpoint has not answered whether the token is active"


def not_yet_asked(token: str, terms: IssuerTerms) -> TokenRejected:
    """Refuse a token until its issuer has answered; the caller is not at fault."""
    return TokenRejected(
        reason=Reason.KEYS_UNAVAILABLE, detail=NOT_ASKED, issuer=terms.issuer, question=token
    )


def judge_answer(answer: TokenAnswer, terms: IssuerTerms, now: float) -> Principal | TokenRejected:
    """Judge what an issuer said about a token as the claims of a token would be.

    What an issuer need not say it has vouched for by answering: who it is, and that the token is valid until it is asked
    again.
    """
    if answer.claims is None:
        detail = "the issuer says that the token is not active: expired, revoked or not its own"
        return TokenRejected(reason=Reason.INACTIVE_TOKEN, detail=detail, issuer=terms.issuer)
    claims = {"iss": terms.issuer, "exp": answer.until, **answer.claims}
    if claims["iss"] != terms.issuer:
        detail = "the answer about the token names another issuer"
        return TokenRejected(reason=Reason.UNKNOWN_ISSUER, detail=detail, issuer=terms.issuer)
    found = principal(claims, terms, now)
    return replace(found, issuer=terms.issuer) if isinstance(found, TokenRejected) else found


_HEADER_CHARS = 512
"""Longest first segment that is kept."""


def _keep_header(token: str, header: JoseHeader, headers: BoundedCache[str, JoseHeader]) -> None:
    """Keep the header of a verified token: the tokens of an issuer share theirs. An unverified one is a stranger's."""
    segment = token.partition(".")[0]
    if len(segment) <= _HEADER_CHARS and segment not in headers:
        headers.put(segment, header)


def validity(principal: Principal, terms: IssuerTerms) -> tuple[float, float]:
    """Return the moments from which, and from which no longer, a verified token is accepted.

    Args:
        principal: who the token says is calling.
        terms: the terms under which it was verified.

    Returns:
        Two moments in seconds since the epoch: those at which `verify` changes its mind, leeway included.
    """
    claims, leeway = principal.claims, terms.leeway
    starts = max(claims.get("nbf", float("-inf")), claims.get("iat", float("-inf"))) - leeway
    ends = principal.expires + leeway
    if terms.max_token_age is not None:
        ends = min(ends, claims["iat"] + terms.max_token_age + leeway)
    return starts, ends


def _check_typ(header: JoseHeader, terms: IssuerTerms) -> TokenRejected | None:
    return None if header.typ in terms.types else malformed("the header's typ is not that of an access token")
