"""OAuth 2.1 as far as an MCP client and the demo need it: what each endpoint does, without HTTP.

Rules of this module:

* No one logs in. `login_hint` names the user, who consents to everything that the table of users allows. Requesting
  more is not an error, and grants no more.
* A code is for one client, one redirect URI, one PKCE verifier (S256 only), one use and one minute.
* `audience` or `resource` selects the audience of a token. With neither, the token is opaque, as at Auth0.
* Nothing outlives the process.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from authz.demo.issuer.clients import CODE, CREDENTIALS, DEVICE, METHODS, REFRESH, Client, Clients
from authz.demo.issuer.device_flow import DeviceCodes
from authz.demo.issuer.grants import (
    OFFLINE,
    USERS,
    Form,
    Grant,
    OAuthError,
    find_user,
    grantable_scopes,
    refuse,
    requested_audience,
)
from authz.demo.issuer.tokens import TokenIssuer

ENDPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "authorization_endpoint": "authorize",
        "token_endpoint": "oauth/token",
        "device_authorization_endpoint": "oauth/device/code",
        "registration_endpoint": "oidc/register",
    }
)
"""Path by member of the discovery document, both with Auth0's names."""
ACTIVATE = "activate"
"""Path where the user of a device confirms its code."""
SCOPES = tuple(sorted(frozenset[str]().union(*(user.scopes for user in USERS.values()))))

_CODE_SECONDS = 60
_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    grant: Grant
    redirect: str
    challenge: str
    expires: float


class Flows:
    """The state of the authorization server, for use in one thread.

    Attributes:
        issuer: signs the tokens.
        clients: the registered clients.
    """

    def __init__(self, issuer: TokenIssuer, *, interval: float = 5.0, lifetime: float = 900.0) -> None:
        """Start without any code; `interval` and `lifetime` are those of device codes, in seconds."""
        self.issuer = issuer
        self.clients = Clients()
        self._devices = DeviceCodes(
            issuer.clock, interval=interval, lifetime=lifetime, scope_prefix=issuer.shape.scope_prefix
        )
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, Grant] = {}
        self._grants: Mapping[str, Callable[[Client, Form], Grant]] = {
            CODE: self._by_code,
            REFRESH: self._by_refresh,
            CREDENTIALS: self._by_credentials,
            DEVICE: lambda client, form: self._devices.redeem(client.id, form),
        }

    def metadata(self) -> dict[str, Any]:
        """Return the discovery document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2)."""
        url = self.issuer.url
        return {
            "issuer": url,
            "jwks_uri": self.issuer.jwks_uri,
            **{member: f"{url}{path}" for member, path in ENDPOINTS.items()},
            "scopes_supported": [*SCOPES, OFFLINE],
            "response_types_supported": ["code"],
            "grant_types_supported": list(self._grants),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": list(METHODS),
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def authorize(self, form: Form) -> str:
        """Answer an authorization request, and return the URL to redirect to, with `iss` (RFC 9207).

        Raises:
            OAuthError: the client or its redirect URI is unknown, so a redirect would be unsafe.
        """
        client = self.clients.find(form.get("client_id", ""))
        redirect = form.get("redirect_uri", "")
        if redirect not in client.redirects:
            refuse("invalid_request", "redirect_uri is not one of the client's")
        try:
            answer = {"code": self._issue_code(client, form, redirect)}
        except OAuthError as refused:
            answer = refused.body()
        state = {"state": form["state"]} if "state" in form else {}
        query = urlencode({**answer, **state, "iss": self.issuer.url})
        return f"{redirect}{'&' if '?' in redirect else '?'}{query}"

    def _issue_code(self, client: Client, form: Form, redirect: str) -> str:
        if form.get("response_type") != "code":
            refuse("unsupported_response_type", "response_type must be code")
        challenge = form.get("code_challenge", "")
        if form.get("code_challenge_method") != "S256" or not challenge:
            refuse("invalid_request", "PKCE with code_challenge_method S256 is required")
        user, offline = find_user(form), {OFFLINE} if REFRESH in client.grants else frozenset[str]()
        grant = Grant(
            client=client.id,
            sub=user.sub,
            scope=grantable_scopes(
                form.get("scope", ""), user.scopes | offline, self.issuer.shape.scope_prefix
            ),
            audience=requested_audience(form),
            roles=user.roles,
        )
        code, expires = secrets.token_urlsafe(32), self.issuer.clock() + _CODE_SECONDS
        self._codes[code] = _Code(grant=grant, redirect=redirect, challenge=challenge, expires=expires)
        return code

    def device_code(self, form: Form) -> dict[str, Any]:
        """Start a device flow (RFC 8628 section 3.1).

        Raises:
            OAuthError: the client is unknown, or may not use this flow.
        """
        client = self.clients.find(form.get("client_id", ""))
        _check_grant(client, DEVICE)
        return self._devices.begin(client.id, form, f"{self.issuer.url}{ACTIVATE}")

    def activate(self, form: Form) -> None:
        """Record the answer of a device's user: `user_code`, `answer` (approve or deny), `login_hint`, `roles`.

        Raises:
            OAuthError: the code, the answer or the user is unknown.
        """
        answer = form.get("answer", "")
        if answer not in {"approve", "deny"}:
            refuse("invalid_request", "answer must be approve or deny")
        self._devices.answer(form.get("user_code", ""), find_user(form), approve=answer == "approve")

    def token(self, form: Form, authorization: str | None) -> dict[str, Any]:
        """Answer a token request (RFC 6749 sections 4 to 6, RFC 8628 section 3.4).

        Args:
            form: the body's parameters.
            authorization: the Authorization header; None if there is none.

        Raises:
            OAuthError: the request gets no token.
        """
        redeem = self._grants.get(form.get("grant_type", ""))
        if redeem is None:
            refuse("unsupported_grant_type", "see grant_types_supported")
        client = self.clients.authenticate(form, authorization)
        _check_grant(client, form["grant_type"])
        return self._answer(redeem(client, form))

    def _answer(self, grant: Grant) -> dict[str, Any]:
        body: dict[str, Any] = {
            "access_token": (
                grant.token(self.issuer, _TOKEN_SECONDS) if grant.audience else secrets.token_urlsafe(24)
            ),
            "token_type": "Bearer",
            "expires_in": _TOKEN_SECONDS,
            "scope": grant.scope,
        }
        if OFFLINE in grant.scope.split():
            refresh = body["refresh_token"] = secrets.token_urlsafe(32)
            self._refresh[refresh] = grant
        return body

    def _by_code(self, client: Client, form: Form) -> Grant:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.grant.client != client.id or self.issuer.clock() >= code.expires:
            refuse("invalid_grant", "unknown, used or expired code")
        if form.get("redirect_uri") != code.redirect:
            refuse("invalid_grant", "redirect_uri is not that of the authorization request")
        if not hmac.compare_digest(_s256(form.get("code_verifier", "")), code.challenge.encode()):
            refuse("invalid_grant", "code_verifier does not match the code_challenge")
        return _for_same_audience(code.grant, form)

    def _by_refresh(self, client: Client, form: Form) -> Grant:
        # A refresh token can be used once (OAuth 2.1 section 4.3.1: rotation for public clients).
        grant = self._refresh.pop(form.get("refresh_token", ""), None)
        if grant is None or grant.client != client.id:
            refuse("invalid_grant", "unknown or used refresh token")
        return _for_same_audience(grant, form)

    def _by_credentials(self, client: Client, form: Form) -> Grant:
        audience = requested_audience(form)
        if not audience:
            refuse("invalid_request", "audience or resource is required")
        return Grant(
            client=client.id,
            sub=f"{client.id}@clients",
            scope=grantable_scopes(
                form.get("scope") or " ".join(SCOPES), frozenset(SCOPES), self.issuer.shape.scope_prefix
            ),
            audience=audience,
            claims={"aud": audience, "gty": "client-credentials"},
        )


def _check_grant(client: Client, grant: str) -> None:
    if grant not in client.grants:
        refuse("unauthorized_client", "this grant type is not among the client's")


def _for_same_audience(grant: Grant, form: Form) -> Grant:
    """Return the grant, unless the request names another audience (RFC 8707 section 2.2)."""
    if requested_audience(form) not in {"", grant.audience}:
        refuse("invalid_target", "the resource is not the one that was granted")
    return grant


def _s256(verifier: str) -> bytes:
    """Return the PKCE challenge for a verifier (RFC 7636 section 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
