"""The terms on which an issuer is trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from authz.core.identity.jwks import ALGORITHMS

_MAX_LEEWAY = 600

ClaimPath = tuple[str, ...]
"""The names that lead to a claim: one for a claim of the token itself, more for a member of an object below it."""


ACCESS_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""Values of the header's `typ` that mark an access token (RFC 9068 section 2.1)."""


class Introspect(StrEnum):
    """About which tokens an issuer is asked (RFC 7662)."""

    NEVER = "never"
    OPAQUE = "opaque"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerTerms:
    """The terms on which one issuer's access tokens are accepted.

    Attributes:
        issuer: the exact value that `iss` must have.
        name: what the policy file calls it, and what conditions read as `issuer`.
        audiences: one of them must be in `aud` (RFC 7519 section 4.1.3; RFC 8707).
        algorithms: the only signature algorithms accepted, all asymmetric.
        types: accepted `typ` header values in lower case; "" means an absent one (RFC 9068 section 4).
        leeway: seconds by which clocks may differ, 0 to 600.
        scopes_claim: claim with the scopes, a space-separated string or a list.
        permissions_claim: claim with more scopes, merged in if it is a list of scope words; None for none.
        scope_prefix: what the issuer puts before a scope where a client requests it; rules never see it.
        roles_claim: claim with the roles, a list of strings, or a string that is one role.
        groups_claim: claim with the groups, likewise; None where no rule asks for groups, so that a claim which nobody
            reads refuses no token.
        client_claim: claim with the OAuth client; None for `azp`, else `client_id`.
        subject_claim: claim with the subject.
        audience_claim: claim that must have one of the audiences, a string or a list.
        required_claims: claim to the value it must have, in type too; None for any value but null.
        max_token_age: seconds since `iat` after which a token is too old; None for no limit.
        require_subject: refuse a token without `sub`. Two callers without one are the same caller to a session's tag,
            unless `sid` or `jti` tells them apart.
        allowed_clients: OAuth clients whose tokens are accepted; None for all.
        refuse_id_tokens: refuse what bears the marks of an OpenID Connect ID token: a `nonce`, `at_hash` or `c_hash`
            claim, `token_use: id`, or `typ: ID` among the claims. None to believe a token that says that it is an
            access token, by one of `ACCESS_TYPES` or among the claims by `typ: Bearer` or `token_use: access`.
        introspect: about which tokens the issuer is asked; of all it is where none of its keys are known.

    Raises:
        ValueError: at construction, for terms that would trust nobody, anybody, or a symmetric algorithm.
    """

    issuer: str
    name: str = ""
    audiences: frozenset[str]
    algorithms: frozenset[str] = frozenset({"RS256"})
    types: frozenset[str] = frozenset({"", "jwt"}) | ACCESS_TYPES
    leeway: float = 60.0
    scopes_claim: ClaimPath = ("scope",)
    permissions_claim: ClaimPath | None = None
    scope_prefix: str = ""
    roles_claim: ClaimPath = ("roles",)
    groups_claim: ClaimPath | None = None
    client_claim: ClaimPath | None = None
    subject_claim: ClaimPath = ("sub",)
    audience_claim: ClaimPath = ("aud",)
    required_claims: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    max_token_age: float | None = None
    require_subject: bool = True
    allowed_clients: frozenset[str] | None = None
    refuse_id_tokens: bool | None = None
    introspect: Introspect = Introspect.NEVER

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
