"""The claims of access tokens as several providers write them, so that the demo's policy is tried with each.

The pages of docs/identity show the same claims and say where they are documented. The names are the demo's: a subject, a
client and an audience are what the caller asked for, and not what the provider would have made up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from authz.demo.issuer.token_fields import TokenFields

ROLES_CLAIM = "https://mcp-demo/roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one provider writes its access tokens.

    Attributes:
        claims: returns the claims beside `iss`, `iat` and `exp`; takes what is wanted, and the issuer's URL.
        policy: the keys of an issuer in a policy file that reads them.
        scopes: where an expression finds the scopes, and `roles` where it finds the roles.
        roles: likewise.
        scope_prefix: what a client puts before a scope when it requests one.
        typed: whether the header has `typ: JWT`.
        story: whether its tokens have the scopes and roles that the demo's story is about.
    """

    claims: Callable[[TokenFields, str], dict[str, Any]]
    policy: str
    scopes: str = "jwt.scope"
    roles: str = "jwt.roles"
    scope_prefix: str = ""
    typed: bool = True
    story: bool = True


def _auth0(wanted: TokenFields, url: str) -> dict[str, Any]:
    return {
        "sub": wanted.sub,
        "aud": [wanted.audience, f"{url}userinfo"],
        "azp": wanted.client,
        "scope": wanted.scope,
        ROLES_CLAIM: list(wanted.roles),
    }


def _keycloak(wanted: TokenFields, _url: str) -> dict[str, Any]:
    return {
        "jti": "onrtac:00000000-0000-4000-8000-000000000000",
        "aud": [wanted.audience, "account"],
        "sub": wanted.sub,
        "typ": "Bearer",
        "azp": wanted.client,
        "acr": "1",
        "realm_access": {"roles": ["default-roles-demo", "offline_access", *wanted.roles]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "scope": f"profile email {wanted.scope}".strip(),
        "email_verified": True,
        "preferred_username": wanted.sub,
        "groups": [f"/demo/{role}" for role in wanted.roles],
    }


def _entra(wanted: TokenFields, _url: str) -> dict[str, Any]:
    person = {"scp": wanted.scope, "preferred_username": wanted.sub} if wanted.scope else {"idtyp": "app"}
    roles = {"roles": list(wanted.roles)} if wanted.roles else {}
    return {
        "aud": wanted.audience,
        "aio": "AXQAi/8TAAAA",
        "azp": wanted.client,
        "azpacr": "0",
        "oid": wanted.sub,
        **person,
        **roles,
        "sub": wanted.sub,
        "tid": "00000000-0000-4000-8000-000000000000",
        "ver": "2.0",
    }


def _okta(wanted: TokenFields, _url: str) -> dict[str, Any]:
    return {
        "ver": 1,
        "jti": "AT.00000000000000000000000000000000000000000000",
        "aud": wanted.audience,
        "cid": wanted.client,
        "uid": wanted.sub,
        "scp": wanted.scope.split(),
        "sub": wanted.sub,
        "groups": ["Everyone", *wanted.roles],
    }


def _cognito(wanted: TokenFields, _url: str) -> dict[str, Any]:
    """Return the claims of a pool that binds tokens to a resource: otherwise there is no `aud` to ask for."""
    return {
        "sub": wanted.sub,
        "cognito:groups": list(wanted.roles),
        "version": 2,
        "client_id": wanted.client,
        "aud": wanted.audience,
        "token_use": "access",
        "scope": " ".join(f"{_RESOURCE_SERVER}{scope}" for scope in wanted.scope.split()),
        "username": wanted.sub,
    }


_RESOURCE_SERVER = "mcp/"


def _google(wanted: TokenFields, _url: str) -> dict[str, Any]:
    """Return the claims of an ID token, the only token of Google's that anybody else can verify."""
    domain = "demo.example"
    return {
        "azp": wanted.client,
        "aud": wanted.audience,
        "sub": wanted.sub,
        "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
        "hd": domain,
        "email": f"{wanted.sub}@{domain}",
        "email_verified": True,
    }


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "auth0": Shape(
            claims=_auth0,
            policy=f'claims: {{scopes: scope, permissions: permissions, roles: "{ROLES_CLAIM}", client: azp}}',
            roles=f'jwt["{ROLES_CLAIM}"]',
        ),
        "keycloak": Shape(
            claims=_keycloak,
            policy="claims: {roles: [realm_access, roles]}",
            roles="jwt.realm_access.roles",
        ),
        "entra": Shape(
            claims=_entra,
            policy="claims: {scopes: scp}\n    scope_prefix: api://mcp-demo/",
            scopes="jwt.scp",
            scope_prefix="api://mcp-demo/",
        ),
        "okta": Shape(
            claims=_okta,
            policy="claims: {scopes: scp, roles: groups, client: cid}",
            scopes="jwt.scp",
            roles="jwt.groups",
            typed=False,
        ),
        "cognito": Shape(
            claims=_cognito,
            policy=f'claims: {{roles: "cognito:groups", client: client_id}}\n    scope_prefix: {_RESOURCE_SERVER}',
            roles='jwt["cognito:groups"]',
            scope_prefix=_RESOURCE_SERVER,
            typed=False,
        ),
        "google": Shape(
            claims=_google,
            policy="required_claims: {email_verified: true}\n    refuse_id_tokens: false",
            story=False,
        ),
    }
)
"""The shapes by the provider's name."""
