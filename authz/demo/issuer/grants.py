"""Who may be granted what, and the words in which a flow says no."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from authz.demo.issuer.tokens import TokenIssuer

OFFLINE = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core section 11)."""
Form = Mapping[str, str]
"""Parameters of a request, each given once."""

# Auth0 has 403 and 429 where RFC 6749 section 5.2 and RFC 8628 section 3.5 have 400.
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
    """A flow that ends in an error.

    Attributes:
        error: the word for it (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, RFC 7591 section 3.2.2).
        description: a sentence for the developer, with nothing secret in it.
    """

    def __init__(self, error: str, description: str) -> None:
        """Say what went wrong."""
        self.error = error
        self.description = description
        super().__init__(f"{error}: {description}")

    @property
    def status(self) -> int:
        """The HTTP status with which Auth0 answers this."""
        return _STATUS.get(self.error, 400)

    def body(self) -> dict[str, str]:
        """Return the error document."""
        return {"error": self.error, "error_description": self.description}


def refuse(error: str, description: str) -> NoReturn:
    """Raise the `OAuthError`."""
    raise OAuthError(error, description)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who is always logged in and always consents.

    Attributes:
        sub: the subject of the tokens.
        scopes: what may be granted; asking for more gives no more, as Auth0 has it with RBAC enabled.
        roles: value of the roles claim.
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
"""The demo's users, by the name that `login_hint` gives (OpenID Connect Core section 3.1.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a client was granted.

    Attributes:
        client: the client's id.
        sub: on whose behalf.
        scope: scopes, separated by spaces.
        audience: the API identifier; empty when none was asked for.
        roles: value of the roles claim.
        claims: further claims of the token.
    """

    client: str
    sub: str
    scope: str
    audience: str
    roles: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)

    def token(self, issuer: TokenIssuer, ttl: int) -> str:
        """Return an access token for it that lives for `ttl` seconds."""
        return issuer.token(
            sub=self.sub,
            scope=self.scope,
            roles=self.roles,
            audience=self.audience,
            client=self.client,
            ttl=ttl,
            claims=self.claims,
        )


def user_of(form: Form) -> User:
    """Return the user that `login_hint` names, the demo user when it is absent; `roles` replaces the user's roles.

    Raises:
        OAuthError: there is no such user.
    """
    user = USERS.get(form.get("login_hint", "demo"))
    if user is None:
        refuse("access_denied", "there is no such user")
    roles = tuple(form["roles"].split()) if "roles" in form else user.roles
    return User(sub=user.sub, scopes=user.scopes, roles=roles)


def audience_of(form: Form) -> str:
    """Return what the token shall be for: `audience`, else `resource` (RFC 8707), as Auth0's compatibility profile."""
    return form.get("audience") or form.get("resource", "")


def granted(asked: str, may: frozenset[str]) -> str:
    """Return the scopes among those asked for, in their order, that may be granted."""
    return " ".join(scope for scope in dict.fromkeys(asked.split()) if scope in may)
