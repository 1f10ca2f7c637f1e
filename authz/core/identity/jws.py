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
from types import MappingProxyType
from typing import cast

import msgspec

from authz.core.identity.jwks import KeySet, unbase64url
from authz.core.identity.principal import TokenRejected, malformed
from authz.core.reasons import Reason
from authz.core.wire.strict_json import JSONValue, StrictJSONError, loads

MAX_CHARS = 16384
"""Longest token that is decoded."""

_REFUSED_PARAMETERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"})


class JoseHeader(msgspec.Struct, frozen=True):
    """The parameters of a JOSE header that are acted upon (RFC 7515 section 4.1).

    Attributes:
        alg: the algorithm.
        kid: the key id, None if the header has none.
        typ: the media type of the token in lower case, "" if the header has none.
    """

    alg: str
    kid: str | None
    typ: str


@dataclass(slots=True, kw_only=True)  # not frozen, which would cost more than the rest of it
class Jws:
    """A token in strict compact form (RFC 7515 section 7.1) whose header may be acted upon; nothing is verified.

    Attributes:
        header: what the header says.
        payload: the second segment, decoded.
        signing_input: what was signed: the first two segments as sent.
        signature: the third segment, decoded.
    """

    header: JoseHeader
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


NO_HEADERS: Mapping[str, JoseHeader] = MappingProxyType({})


def read_compact(token: str, known_headers: Mapping[str, JoseHeader] = NO_HEADERS) -> Jws | TokenRejected:
    """Take a token apart (RFC 7515 section 5.2, steps 1 to 7), refusing every spelling but the canonical one.

    Args:
        token: any string.
        known_headers: first segments of tokens that were verified, and what they say.
    """
    if len(token) > MAX_CHARS:
        return malformed("the token is too long")
    segments = token.split(".")
    if len(segments) != 3:
        return malformed(_NOT_THREE.get(len(segments), "the token does not have three segments"))
    payload, signature = unbase64url(segments[1]), unbase64url(segments[2])
    if not (payload and signature):
        return malformed(_NOT_CANONICAL)
    header = known_headers.get(segments[0]) or _read_header(segments[0])
    if isinstance(header, TokenRejected):
        return header
    signing_input = token.rpartition(".")[0].encode("ascii")
    return Jws(header=header, payload=payload, signing_input=signing_input, signature=signature)


_NOT_CANONICAL = "a segment is empty or not canonical base64url"


def _read_header(segment: str) -> JoseHeader | TokenRejected:
    data = unbase64url(segment)
    if not data:
        return malformed(_NOT_CANONICAL)
    parameters = read_object(data)
    if parameters is None:
        return malformed("the header is not a strict JSON object")
    return _check_header(parameters) or JoseHeader(
        cast("str", parameters["alg"]),
        cast("str | None", parameters.get("kid")),
        cast("str", parameters.get("typ", "")).lower(),
    )


def is_signed(token: str) -> bool:
    """Return whether a token has the form of a signed one, and so can say itself whose it is."""
    head, *rest = token.split(".", 3)
    data = unbase64url(head) if len(rest) == 2 else None
    return data is not None and data.lstrip()[:1] == b"{"


def check_signature(jws: Jws, keys: KeySet | None, algorithms: frozenset[str]) -> TokenRejected | None:
    """Return why the signature is not by one of `keys` under one of `algorithms`; None if it is. Read no claims."""
    header = jws.header
    if header.alg not in algorithms:
        return TokenRejected(
            reason=Reason.BAD_SIGNATURE, detail="the header's alg is not accepted for this issuer"
        )
    if keys is None:
        return TokenRejected(reason=Reason.KEYS_UNAVAILABLE, detail="no keys of the issuer are at hand")
    key = keys.find(header.kid)
    if key is None:
        return TokenRejected(
            reason=Reason.UNKNOWN_KEY, detail="the issuer's keys do not hold the header's kid", kid=header.kid
        )
    if header.alg not in key.algorithms:
        return TokenRejected(reason=Reason.BAD_SIGNATURE, detail="the header's alg is not one of the key's")
    if not key.verify(header.alg, jws.signing_input, jws.signature):
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
