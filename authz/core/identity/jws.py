"""A signed token in compact form (JWS, RFC 7515): taken apart, and its signature checked.

Rules of this module:

* Three non-empty segments, each the one canonical base64url spelling of its bytes; the header is a strict JSON object.
  Two readers of an accepted token cannot see two tokens.
* Header parameters that bring their own key, their own processing rules or another wrapping are refused unread.
* The algorithm is pinned by the caller, then bound to the key; the header cannot widen either (RFC 8725 section 3.1).
* The payload is bytes here. What it claims is judged in `claims`, after the signature.

Not handled: encrypted tokens (JWE), the JSON serializations, detached and unencoded payloads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from authz.core.identity.jwks import KeySet
from authz.core.identity.principal import TokenRejected, malformed
from authz.core.reasons import Reason
from authz.core.wire.base64url import unbase64url
from authz.core.wire.strict_json import JSONValue, StrictJSONError, loads

MAX_CHARS = 16384
"""Longest token that is decoded."""

_REFUSED_PARAMETERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Jws:
    """A token in strict compact form (RFC 7515 section 7.1) whose header may be acted upon; nothing is verified.

    Attributes:
        alg: the algorithm the header names.
        kid: the key the header names, None when it names none.
        typ: the header's `typ` in lower case, "" when absent.
        payload: the second segment, decoded.
        signing_input: what was signed: the first two segments as sent.
        signature: the third segment, decoded.
    """

    alg: str
    kid: str | None
    typ: str
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_compact(token: str) -> Jws | TokenRejected:
    """Take a token apart (RFC 7515 section 5.2, steps 1 to 7), refusing every spelling but the canonical one."""
    if len(token) > MAX_CHARS:
        return malformed("the token is too long")
    segments = token.split(".")
    if len(segments) != 3:
        return malformed(_NOT_THREE.get(len(segments), "the token does not have three segments"))
    payload, signature = unbase64url(segments[1]), unbase64url(segments[2])
    if not (payload and signature):
        return malformed(_NOT_CANONICAL)
    short = len(segments[0]) <= _REMEMBERED_CHARS
    header = _header(segments[0]) if short else _header.__wrapped__(segments[0])
    if isinstance(header, TokenRejected):
        return header
    alg, kid, typ = header
    return Jws(
        alg=alg,
        kid=kid,
        typ=typ,
        payload=payload,
        signing_input=token.rpartition(".")[0].encode("ascii"),
        signature=signature,
    )


_REMEMBERED, _REMEMBERED_CHARS = 256, 512
"""How many headers are remembered, since the tokens of an issuer share theirs, and how long one may be."""
_NOT_CANONICAL = "a segment is empty or not canonical base64url"


@lru_cache(maxsize=_REMEMBERED)
def _header(segment: str) -> tuple[str, str | None, str] | TokenRejected:
    """Read the first segment: the header's `alg`, `kid` and `typ`."""
    data = unbase64url(segment)
    if not data:
        return malformed(_NOT_CANONICAL)
    parameters = read_object(data)
    if parameters is None:
        return malformed("the header is not a strict JSON object")
    return _check_header(parameters) or (
        cast("str", parameters["alg"]),
        cast("str | None", parameters.get("kid")),
        cast("str", parameters.get("typ", "")).lower(),
    )


def check_signature(jws: Jws, keys: KeySet | None, algorithms: frozenset[str]) -> TokenRejected | None:
    """Say why the signature is not by one of `keys` under one of `algorithms`; None when it is. Claims are not read."""
    if jws.alg not in algorithms:
        return TokenRejected(
            reason=Reason.BAD_SIGNATURE, detail="the header's alg is not accepted for this issuer"
        )
    if keys is None:
        return TokenRejected(reason=Reason.KEYS_UNAVAILABLE, detail="no keys of the issuer are at hand")
    key = keys.find(jws.kid)
    if key is None:
        return TokenRejected(
            reason=Reason.UNKNOWN_KEY, detail="the issuer's keys do not hold the header's kid", kid=jws.kid
        )
    if jws.alg not in key.algorithms:
        return TokenRejected(reason=Reason.BAD_SIGNATURE, detail="the header's alg is not one of the key's")
    if not key.verify(jws.alg, jws.signing_input, jws.signature):
        return TokenRejected(reason=Reason.BAD_SIGNATURE, detail="the signature does not verify")
    return None


def read_object(data: bytes) -> dict[str, JSONValue] | None:
    """Read a strict JSON object; None for anything else."""
    try:
        value = loads(data)
    except StrictJSONError:
        return None
    return value if isinstance(value, dict) else None


_NO_AUDIENCE = "Auth0 issues such tokens when the client requested no audience"
_NOT_THREE: Mapping[int, str] = {
    1: f"the token is opaque, not a JWT; {_NO_AUDIENCE}",
    5: f"the token is encrypted (JWE); {_NO_AUDIENCE}",
}


def _check_header(parameters: Mapping[str, JSONValue]) -> TokenRejected | None:
    if not _REFUSED_PARAMETERS.isdisjoint(parameters):
        return malformed(
            "the header has a parameter that is never accepted, such as crit, jwk, jku, x5c or x5u"
        )
    if "alg" not in parameters:
        return malformed("the header has no alg")
    if all(isinstance(parameters.get(name, ""), str) for name in ("alg", "kid", "typ")):
        return None
    return malformed("the header's alg, kid or typ is not a string")
