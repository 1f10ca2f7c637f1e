"""An Authorization header to a Principal, or to the reason why not.

The steps, in the order in which a token fails them:

1. Form (RFC 7515 section 7.1): three non-empty segments, each the one canonical base64url spelling of its bytes;
   header and claims are strict JSON objects. Two readers of an accepted token cannot see two tokens.
2. Header: parameters that bring their own key, their own processing rules or another wrapping are refused unread.
3. Issuer: the claim selects the terms of trust, compared to the letter. It is not believed yet: it only chooses whose
   keys the signature must satisfy. An unknown issuer never causes a key to be looked up, let alone fetched.
4. Algorithm: pinned by the terms, then bound to the key; the header cannot widen either (RFC 8725 section 3.1).
5. Signature.
6. Claims: each check is one small function in the order of `_CHECKS`; the first that refuses decides.

What is refused is a value (`Refused`) with one `Reason`, and a fixed text for the operator that holds nothing of
the token. Not handled here: encrypted tokens, opaque tokens and introspection, revocation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from authz.core.keys import ALGORITHMS, KeySet, unbase64url
from authz.core.principal import Principal
from authz.core.reasons import Reason
from authz.core.strictjson import JSONValue, StrictJSONError, loads

MAX_CHARS = 16384
"""Longest token that is decoded."""

Claims = dict[str, JSONValue]

_TOKEN68 = bytes(c for c in range(128) if chr(c).isalnum() or chr(c) in "-._~+/")
_REFUSED_PARAMETERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"})
_ID_TOKEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash"})
_MAX_LEEWAY = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The terms on which one issuer's access tokens are accepted.

    Attributes:
        issuer: what `iss` must be, to the letter.
        audiences: one of them must be in `aud` (RFC 7519 section 4.1.3; RFC 8707).
        algorithms: the only signature algorithms accepted, all asymmetric.
        types: accepted `typ` header values in lower case; "" stands for an absent one (RFC 9068 section 4).
        leeway: seconds by which clocks may differ, 0 to 600.
        scopes_claim: claim with the scopes, a space-separated string or a list; `permissions` is merged in.
        roles_claim: claim with the roles, a list of strings, or a string that is one role.
        client_claim: claim with the OAuth client; None for `azp`, else `client_id`.
        required_claims: claim to the value it must have, in type too; None for any value but null.
        max_token_age: seconds since `iat` after which a token is too old; None for no limit.
        allowed_clients: OAuth clients whose tokens are accepted; None for all.
        refuse_id_tokens: refuse what bears the marks of an OpenID Connect ID token: a `nonce`, `at_hash` or `c_hash`
            claim, `token_use: id`, or `typ: ID` among the claims.

    Raises:
        ValueError: at construction, for terms that would trust nobody, anybody, or a symmetric algorithm.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str] = frozenset({"RS256"})
    types: frozenset[str] = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
    leeway: float = 60.0
    scopes_claim: str = "scope"
    roles_claim: str = "roles"
    client_claim: str | None = None
    required_claims: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    max_token_age: float | None = None
    allowed_clients: frozenset[str] | None = None
    refuse_id_tokens: bool = True

    def __post_init__(self) -> None:
        """Refuse terms that cannot be meant."""
        problems = (
            (not self.issuer, "an issuer is required"),
            (
                not self.audiences or "" in self.audiences,
                "at least one audience is required, and none may be empty",
            ),
            (not self.algorithms, "at least one algorithm is required"),
            (not self.algorithms <= ALGORITHMS, "only asymmetric signature algorithms are accepted"),
            (any(name != name.lower() for name in self.types), "types are compared in lower case"),
            (not 0 <= self.leeway <= _MAX_LEEWAY, "leeway must be from 0 to 600 seconds"),
            (self.max_token_age is not None and not self.max_token_age > 0, "max_token_age must be positive"),
        )
        for wrong, msg in problems:
            if wrong:
                raise ValueError(msg)


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


def bearer(value: str | None) -> str | Refused:
    """Take the token out of an Authorization header (RFC 6750 section 2.1).

    Args:
        value: the header as sent, None when there is none. Copies of it joined with "," are refused.

    Returns:
        The token, not judged beyond its alphabet and length, or why there is none.
    """
    if not value:
        return Refused(reason=Reason.MISSING_TOKEN, detail="no authorization header")
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        return _malformed("the authorization scheme is not Bearer")
    if len(token) > MAX_CHARS:
        return _malformed("the token is too long")
    body = token.rstrip("=")
    if not body or body.encode("ascii", "replace").translate(None, _TOKEN68):
        return _malformed("the authorization header is not one scheme, one space and one token")
    return token


def verify(token: str, trusts: Mapping[str, tuple[Trust, KeySet | None]], now: float) -> Principal | Refused:
    """Verify an access token (RFC 7519 section 7.2, RFC 9068 section 4, under the advice of RFC 8725).

    Args:
        token: the token as sent; any string.
        trusts: for each accepted issuer, by its `iss`, the terms and its keys; None while no keys are at hand.
        now: seconds since the epoch.

    Returns:
        Who calls, or why the token is not accepted. Nothing is raised.
    """
    jws = read_compact(token)
    if isinstance(jws, Refused):
        return jws
    claims = _object(jws.payload)
    if claims is None:
        return _malformed("the claims are not a strict JSON object")
    issuer = claims.get("iss")
    terms = trusts.get(issuer) if isinstance(issuer, str) else None
    if terms is None or terms[0].issuer != issuer:
        return Refused(
            reason=Reason.UNKNOWN_ISSUER, detail="iss is not a configured issuer, compared to the letter"
        )
    trust, keys = terms
    refused = (
        _check_typ(jws, trust) or check_signature(jws, keys, trust.algorithms) or _check(claims, trust, now)
    )
    return replace(refused, issuer=trust.issuer) if refused else _principal(claims, trust)


def read_compact(token: str) -> Jws | Refused:
    """Take a token apart (RFC 7515 section 5.2, steps 1 to 7), refusing every spelling but the canonical one."""
    if len(token) > MAX_CHARS:
        return _malformed("the token is too long")
    segments = token.split(".")
    if len(segments) != 3:
        return _malformed(_NOT_THREE.get(len(segments), "the token does not have three segments"))
    header, payload, signature = map(unbase64url, segments)
    if not (header and payload and signature):
        return _malformed("a segment is empty or not canonical base64url")
    parameters = _object(header)
    if parameters is None:
        return _malformed("the header is not a strict JSON object")
    refused = _check_header(parameters)
    return refused or Jws(
        alg=cast("str", parameters["alg"]),
        kid=cast("str | None", parameters.get("kid")),
        typ=cast("str", parameters.get("typ", "")).lower(),
        payload=payload,
        signing_input=token.rpartition(".")[0].encode("ascii"),
        signature=signature,
    )


def check_signature(jws: Jws, keys: KeySet | None, algorithms: frozenset[str]) -> Refused | None:
    """Say why the signature is not by one of `keys` under one of `algorithms`; None when it is. Claims are not read."""
    if jws.alg not in algorithms:
        return Refused(reason=Reason.BAD_SIGNATURE, detail="the header's alg is not accepted for this issuer")
    if keys is None:
        return Refused(reason=Reason.KEYS_UNAVAILABLE, detail="no keys of the issuer are at hand")
    key = keys.find(jws.kid)
    if key is None:
        return Refused(
            reason=Reason.UNKNOWN_KEY, detail="the issuer's keys do not hold the header's kid", kid=jws.kid
        )
    if jws.alg not in key.algorithms:
        return Refused(reason=Reason.BAD_SIGNATURE, detail="the header's alg is not one of the key's")
    if not key.verify(jws.alg, jws.signing_input, jws.signature):
        return Refused(reason=Reason.BAD_SIGNATURE, detail="the signature does not verify")
    return None


_NO_AUDIENCE = "Auth0 issues such tokens when the client requested no audience"
_NOT_THREE: Mapping[int, str] = {
    1: f"the token is opaque, not a JWT; {_NO_AUDIENCE}",
    5: f"the token is encrypted (JWE); {_NO_AUDIENCE}",
}


def _malformed(detail: str) -> Refused:
    return Refused(reason=Reason.MALFORMED_TOKEN, detail=detail)


def _bad_claims(detail: str) -> Refused:
    return Refused(reason=Reason.BAD_CLAIMS, detail=detail)


def _object(data: bytes) -> Claims | None:
    try:
        value = loads(data)
    except StrictJSONError:
        return None
    return value if isinstance(value, dict) else None


def _check_header(parameters: Claims) -> Refused | None:
    if not _REFUSED_PARAMETERS.isdisjoint(parameters):
        return _malformed(
            "the header has a parameter that is never accepted, such as crit, jwk, jku, x5c or x5u"
        )
    if "alg" not in parameters:
        return _malformed("the header has no alg")
    if all(isinstance(parameters.get(name, ""), str) for name in ("alg", "kid", "typ")):
        return None
    return _malformed("the header's alg, kid or typ is not a string")


def _check_typ(jws: Jws, trust: Trust) -> Refused | None:
    return None if jws.typ in trust.types else _malformed("the header's typ is not that of an access token")


def _check(claims: Claims, trust: Trust, now: float) -> Refused | None:
    for check in _CHECKS:
        refused = check(claims, trust, now)
        if refused is not None:
            return refused
    return None


def _check_numbers(claims: Claims, _trust: Trust, _now: float) -> Refused | None:
    if "exp" not in claims:
        return _bad_claims("exp is missing")
    if all(_is_number(claims[name]) for name in ("exp", "nbf", "iat") if name in claims):
        return None
    return _bad_claims("exp, nbf or iat is not a number")


def _check_expiry(claims: Claims, trust: Trust, now: float) -> Refused | None:
    if now < _number(claims, "exp") + trust.leeway:
        return None
    return Refused(reason=Reason.EXPIRED_TOKEN, detail="exp has passed")


def _check_start(claims: Claims, trust: Trust, now: float) -> Refused | None:
    if all(_number(claims, name) <= now + trust.leeway for name in ("nbf", "iat") if name in claims):
        return None
    return Refused(reason=Reason.NOT_YET_VALID, detail="nbf or iat is in the future")


def _check_age(claims: Claims, trust: Trust, now: float) -> Refused | None:
    if trust.max_token_age is None:
        return None
    if "iat" not in claims:
        return _bad_claims("iat is missing, and max_token_age is set")
    if now < _number(claims, "iat") + trust.max_token_age + trust.leeway:
        return None
    return Refused(reason=Reason.EXPIRED_TOKEN, detail="the token is older than max_token_age")


def _check_audience(claims: Claims, trust: Trust, _now: float) -> Refused | None:
    audiences = _words(claims, "aud")
    if audiences is None:
        return _bad_claims("aud is neither a string nor a list of strings")
    if trust.audiences.isdisjoint(audiences):
        return Refused(reason=Reason.WRONG_AUDIENCE, detail="aud names none of the configured audiences")
    return None


def _check_use(claims: Claims, trust: Trust, _now: float) -> Refused | None:
    marked = (
        not _ID_TOKEN_CLAIMS.isdisjoint(claims)
        or claims.get("token_use") == "id"
        or claims.get("typ") == "ID"
    )
    return _bad_claims("an ID token is not an access token") if marked and trust.refuse_id_tokens else None


def _check_required(claims: Claims, trust: Trust, _now: float) -> Refused | None:
    for name, wanted in trust.required_claims.items():
        value = claims.get(name)
        # By type too, because True == 1 == 1.0 in Python and not in JSON.
        if value is None or (wanted is not None and (type(value) is not type(wanted) or value != wanted)):
            return _bad_claims("a required claim is missing or has another value")
    return None


def _check_caller(claims: Claims, trust: Trust, _now: float) -> Refused | None:
    client = _client(claims, trust)
    if not isinstance(claims.get("sub", ""), str) or not isinstance(client, str):
        return _bad_claims("sub or the client claim is not a string")
    if trust.allowed_clients is not None and client not in trust.allowed_clients:
        return _bad_claims("the client is not one of the allowed clients")
    return None


def _check_grants(claims: Claims, trust: Trust, _now: float) -> Refused | None:
    if _words(claims, trust.roles_claim) is None:
        return _bad_claims("the roles claim is neither a string nor a list of strings")
    if _scopes(claims, trust) is None:
        return _bad_claims("the scopes or permissions are not a string or list of scope words")
    return None


_CHECKS: tuple[Callable[[Claims, Trust, float], Refused | None], ...] = (
    _check_numbers,
    _check_expiry,
    _check_start,
    _check_age,
    _check_audience,
    _check_use,
    _check_required,
    _check_caller,
    _check_grants,
)


def _is_number(value: JSONValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(claims: Claims, name: str) -> float:
    return cast("float", claims[name])


def _words(claims: Claims, name: str) -> tuple[str, ...] | None:
    """Give a claim that is one string or a list of strings; () when it is absent, None when it is anything else."""
    value = claims.get(name, [])
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return None
    return tuple(cast("list[str]", value))


def _scopes(claims: Claims, trust: Trust) -> tuple[str, ...] | None:
    """Give scopes and permissions, each once; None when one is not a scope-token (RFC 6749 section 3.3).

    A word with a space inside would be two scopes to whoever reads them joined.
    """
    value = claims.get(trust.scopes_claim)
    scopes = value.split(" ") if isinstance(value, str) else _words(claims, trust.scopes_claim)
    permissions = _words(claims, "permissions")
    if scopes is None or permissions is None:
        return None
    words = tuple(dict.fromkeys(word for word in (*scopes, *permissions) if word))
    return words if all(word.isascii() and word.isprintable() and " " not in word for word in words) else None


def _client(claims: Claims, trust: Trust) -> JSONValue:
    return claims.get(trust.client_claim or ("azp" if "azp" in claims else "client_id"), "")


def _principal(claims: Claims, trust: Trust) -> Principal:
    return Principal(
        issuer=trust.issuer,
        subject=cast("str", claims.get("sub", "")),
        client=cast("str", _client(claims, trust)),
        scopes=_scopes(claims, trust) or (),
        roles=_words(claims, trust.roles_claim) or (),
        claims=claims,
        expires=_number(claims, "exp"),
    )
