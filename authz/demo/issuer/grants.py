"""Users, what each may be granted, and the errors of the OAuth flows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from authz.demo.issuer.tokens import TokenIssuer

OFFLINE = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core section 11)."""
Form = Mapping[str, str]
"""The parameters of a request; each occurs once."""

# Auth0 sends 403 and 429 where RFC 6749 section 5.2 and RFC 8628 section 3.5 say 400.
_STATUS = MappingProxyType(
    {
        "authorization_pending": 403,
        "slow_down": 429,
        "expired_token": 403,
        "access_denied": 403,
        "invalid_grant": 403,
        "unauthorized_client": 403,
        "invalid_client": 401,
    }
)


class OAuthError(Exception):
    """An OAuth flow ends in an error.

    Attributes:
        error: the error code (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, RFC 7591 section 3.2.2).
        description: a sentence for the developer, without any secret.
    """

    def __init__(self, error: str, description: str) -> None:
        """Store the error code and its description."""
        self.error = error
        self.description = description
        super().__init__(f"{error}: {description}")

    @property
    def status(self) -> int:
        """The HTTP status that Auth0 sends with this error."""
        return _STATUS.get(self.error, 400)

    def body(self) -> dict[str, str]:
        """Return the error document."""
        return {"error": self.error, "error_description": self.description}


def refuse(error: str, description: str) -> NoReturn:
    """Raise an `OAuthError`."""
    raise OAuthError(error, description)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user who is always logged in and always consents.

    Attributes:
        sub: the subject of the tokens.
        scopes: the scopes that may be granted; other requested scopes are dropped, as at Auth0 with RBAC.
        roles: the value of the roles claim.
    """

    sub: str
    scopes: frozenset[str]
    roles: tuple[str, ...] = ()


_FILES = frozenset({"files:read", "files:delete"})
USERS: Mapping[str, User] = MappingProxyType(
    {
        "demo": User(sub="auth0|demo", scopes=_FILES),
        "reader": User(sub="auth0|reader", scopes=frozenset({"files:read"})),
        "admin": User(sub="auth0|admin", scopes=_FILES, roles=("admin",)),
    }
)
"""The demo's users, by their name in `login_hint` (OpenID Connect Core section 3.1.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a client was granted.

    Attributes:
        client: the client's id.
        sub: the subject that the client acts for.
        scope: scopes, separated by spaces.
        audience: the API identifier; empty if none was requested.
        roles: the value of the roles claim.
        claims: additional claims of the token.
    """

    client: str
    sub: str
    scope: str
    audience: str
    roles: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)

    def token(self, issuer: TokenIssuer, ttl: int) -> str:
        """Return an access token for this grant that lives for `ttl` seconds."""
        return issuer.token(
            sub=self.sub,
            scope=self.scope,
            roles=self.roles,
            audience=self.audience,
            client=self.client,
            ttl=ttl,
            claims=self.claims,
        )


def find_user(form: Form) -> User:
    """Return the user that `login_hint` names, or the demo user without it; `roles` replaces the user's roles.

    Raises:
        OAuthError: there is no such user.
    """
    user = USERS.get(form.get("login_hint", "demo"))
    if user is None:
        refuse("access_denied", "there is no such user")
    roles = tuple(form["roles"].split()) if "roles" in form else user.roles
    return User(sub=user.sub, scopes=user.scopes, roles=roles)


def requested_audience(form: Form) -> str:
    """Return the requested audience: `audience`, or else `resource` (RFC 8707), as with Auth0's compatibility profile."""
    return form.get("audience") or form.get("resource", "")


def grantable_scopes(requested: str, allowed: frozenset[str], prefix: str = "") -> str:
    """Return the requested scopes that are allowed, in the order of the request, without the provider's prefix."""
    names = dict.fromkeys(scope.removeprefix(prefix) for scope in requested.split())
    return " ".join(scope for scope in names if scope in allowed)
