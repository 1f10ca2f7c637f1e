"""The claims of a verified token (RFC 7519 section 4, RFC 9068 section 2.2): the caller they name, or what is wrong.

Each check is one small function in the order of `_CHECKS`; the first that refuses decides. A check may rely on those
before it. What the caller was granted is read last.

A claim is found by its path. Where a path leads into something that is no object, the claim counts as null and not as
absent: a token that has something else there than the operator thinks is refused, before a deny by role misses it.
"""

from collections.abc import Callable, Sequence
from typing import cast

from authz.core.identity.issuer import ACCESS_TYPES, ClaimPath, IssuerTerms
from authz.core.identity.principal import Principal, TokenRejected
from authz.core.reasons import Reason
from authz.core.wire.strict_json import JSONValue

Claims = dict[str, JSONValue]

_ID_TOKEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash"})


def principal(claims: Claims, terms: IssuerTerms, now: float, typ: str = "") -> Principal | TokenRejected:
    """Return the principal, or why its claims do not meet the terms.

    Args:
        claims: what the token says.
        terms: the terms.
        now: seconds since the epoch.
        typ: the header's `typ` in lower case.
    """
    for check in _CHECKS:
        refused = check(claims, terms, now)
        if refused is not None:
            return refused
    if _is_id_token(claims, terms, typ):
        return _bad_claims("an ID token is not an access token")
    roles, scopes, groups = _words(claims, terms.roles_claim), _scopes(claims, terms), _groups(claims, terms)
    if roles is None:
        return _bad_claims("the roles claim is neither a string nor a list of strings")
    if scopes is None:
        return _bad_claims("the scopes are not a string or list of scope words")
    if isinstance(groups, TokenRejected):
        return groups
    subject = cast("str", claim_at(claims, terms.subject_claim, ""))
    return Principal(
        issuer=terms.issuer,
        subject=subject,
        client=cast("str", _client(claims, terms)),
        scopes=scopes,
        roles=roles,
        groups=groups,
        claims=claims,
        expires=_number(claims, "exp"),
        holder="" if subject else _holder(claims),
    )


def claim_at(claims: Claims, path: ClaimPath, absent: JSONValue = None) -> JSONValue:
    """Return the claim that a path leads to, `absent` if it ends earlier, None if it leads into what is no object."""
    value = claims.get(path[0], absent)
    for depth in range(1, len(path)):
        if not isinstance(value, dict):
            return absent if value is absent else None
        value = value.get(path[depth], absent)
    return value


def _holder(claims: Claims) -> str:
    """Return what stands for the subject of a token without one; empty if nothing does.

    `sid` comes first, because it outlives a renewed token and `jti` does not.
    """
    named = ((name, claims.get(name)) for name in ("sid", "jti"))
    return next((f"{name}:{value}" for name, value in named if isinstance(value, str) and value), "")


def _bad_claims(detail: str) -> TokenRejected:
    return TokenRejected(reason=Reason.BAD_CLAIMS, detail=detail)


_NO_SUBJECT = "sub is missing: have the issuer add it (Keycloak: the client scope basic), or set subject: optional on the issuer"


def _check_numbers(claims: Claims, _terms: IssuerTerms, _now: float) -> TokenRejected | None:
    if "exp" not in claims:
        return _bad_claims("exp is missing")
    for name in ("exp", "nbf", "iat"):
        if name in claims and not _is_number(claims[name]):
            return _bad_claims("exp, nbf or iat is not a number")
    return None


def _check_expiry(claims: Claims, terms: IssuerTerms, now: float) -> TokenRejected | None:
    if now < _number(claims, "exp") + terms.leeway:
        return None
    return TokenRejected(reason=Reason.EXPIRED_TOKEN, detail="exp has passed")


def _check_start(claims: Claims, terms: IssuerTerms, now: float) -> TokenRejected | None:
    for name in ("nbf", "iat"):
        if name in claims and not _number(claims, name) <= now + terms.leeway:
            return TokenRejected(reason=Reason.NOT_YET_VALID, detail="nbf or iat is in the future")
    return None


def _check_age(claims: Claims, terms: IssuerTerms, now: float) -> TokenRejected | None:
    if terms.max_token_age is None:
        return None
    if "iat" not in claims:
        return _bad_claims("iat is missing, and max_token_age is set")
    if now < _number(claims, "iat") + terms.max_token_age + terms.leeway:
        return None
    return TokenRejected(reason=Reason.EXPIRED_TOKEN, detail="the token is older than max_token_age")


def _check_audience(claims: Claims, terms: IssuerTerms, _now: float) -> TokenRejected | None:
    audiences, name = _words(claims, terms.audience_claim), ".".join(terms.audience_claim)
    if audiences is None:
        return _bad_claims(f"{name} is neither a string nor a list of strings")
    if terms.audiences.isdisjoint(audiences):
        detail = f"{name} names none of the configured audiences"
        return TokenRejected(reason=Reason.WRONG_AUDIENCE, detail=detail)
    return None


def _is_id_token(claims: Claims, terms: IssuerTerms, typ: str) -> bool:
    """Return whether the terms refuse a token as an ID token.

    A `nonce` is only a mark of one: Keycloak has put it into access tokens, too. A token that calls itself an ID token
    is one, whatever else it says.
    """
    if terms.refuse_id_tokens is False:
        return False
    if claims.get("token_use") == "id" or claims.get("typ") == "ID":
        return True
    if _ID_TOKEN_CLAIMS.isdisjoint(claims):
        return False
    says_access = typ in ACCESS_TYPES or claims.get("typ") == "Bearer" or claims.get("token_use") == "access"
    return terms.refuse_id_tokens is True or not says_access


def _check_required(claims: Claims, terms: IssuerTerms, _now: float) -> TokenRejected | None:
    for name, wanted in terms.required_claims.items():
        value = claims.get(name)
        # By type too, because True == 1 == 1.0 in Python and not in JSON.
        if value is None or (wanted is not None and (type(value) is not type(wanted) or value != wanted)):
            return _bad_claims("a required claim is missing or has another value")
    return None


def _check_caller(claims: Claims, terms: IssuerTerms, _now: float) -> TokenRejected | None:
    client, subject = _client(claims, terms), claim_at(claims, terms.subject_claim, "")
    if not isinstance(subject, str) or not isinstance(client, str):
        return _bad_claims("sub or the client claim is not a string")
    if terms.require_subject and not subject:
        return _bad_claims(_NO_SUBJECT)
    if terms.allowed_clients is not None and client not in terms.allowed_clients:
        return _bad_claims("the client is not one of the allowed clients")
    return None


_CHECKS: tuple[Callable[[Claims, IssuerTerms, float], TokenRejected | None], ...] = (
    _check_numbers,
    _check_expiry,
    _check_start,
    _check_age,
    _check_audience,
    _check_required,
    _check_caller,
)


def _is_number(value: JSONValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(claims: Claims, name: str) -> float:
    return cast("float", claims[name])


def _words(claims: Claims, path: ClaimPath) -> tuple[str, ...] | None:
    """Return a claim that is one string or a list of strings; () if it is absent, None if it is anything else."""
    value = claim_at(claims, path, [])
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        return None
    for word in value:
        if not isinstance(word, str):
            return None
    return tuple(cast("list[str]", value))


def _scopes(claims: Claims, terms: IssuerTerms) -> tuple[str, ...] | None:
    """Return scopes and permissions, each once; None if a scope is not a scope-token.

    Permissions are an extra that some issuers write. What is not a list of scope words means something else there.
    """
    value = claim_at(claims, terms.scopes_claim, "")
    scopes = value.split(" ") if isinstance(value, str) else _words(claims, terms.scopes_claim)
    if scopes is None or not _are_scope_words(scopes):
        return None
    more = claim_at(claims, terms.permissions_claim) if terms.permissions_claim else None
    permissions = _words(claims, terms.permissions_claim or ()) if isinstance(more, list) else None
    if permissions is None or not _are_scope_words(permissions):
        permissions = ()
    named = (word.removeprefix(terms.scope_prefix) for word in (*scopes, *permissions))
    return tuple(dict.fromkeys(filter(None, named)))


def _are_scope_words(words: Sequence[str]) -> bool:
    """Return whether each is a scope-token (RFC 6749 section 3.3), or empty.

    A word with a space inside would be two scopes to a reader of the joined list.
    """
    joined = " ".join(words)
    return joined.count(" ") == max(0, len(words) - 1) and joined.isascii() and (joined.isprintable())


def _client(claims: Claims, terms: IssuerTerms) -> JSONValue:
    return claim_at(claims, terms.client_claim or _USUAL_CLIENT["azp" in claims], "")


_USUAL_CLIENT: tuple[ClaimPath, ClaimPath] = (("client_id",), ("azp",))
"""Where the client stands without and with an `azp`, if the terms do not say."""


def _groups(claims: Claims, terms: IssuerTerms) -> tuple[str, ...] | TokenRejected:
    """Return the groups, none if nobody asks for them.

    Of a caller in many groups Entra ID sends none of them and says so. Taken for a caller without groups, it would
    escape a deny by group.
    """
    path = terms.groups_claim
    if path is None:
        return ()
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, dict) and path[0] in elsewhere and path[0] not in claims:
        return _bad_claims(_GROUPS_ELSEWHERE)
    found = _words(claims, path)
    return (
        _bad_claims("the groups claim is neither a string nor a list of strings") if found is None else found
    )


_GROUPS_ELSEWHERE = (
    "the caller is in more groups than the token lists (_claim_names): "
    "have the issuer send only the groups assigned to the application, or app roles"
)
