"""OAuth clients of the demo issuer: two that always exist, and those that register themselves (RFC 7591)."""

import binascii
import hmac
import secrets
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from authz.config.addresses import is_loopback
from authz.demo.issuer.grants import Form, refuse

CODE, REFRESH, CREDENTIALS = "authorization_code", "refresh_token", "client_credentials"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
METHODS = ("none", "client_secret_post", "client_secret_basic")
"""Methods by which a client can authenticate itself (RFC 7591 section 2)."""
NATIVE_ID, SERVICE_ID = "demo-native", "demo-service"
"""The public client for the device flow, and the confidential one for client credentials."""

_MAX_CLIENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An OAuth client.

    Attributes:
        id: the client id.
        secret: the client secret; empty for a public client.
        redirects: redirect URIs, compared exactly.
        grants: grant types that the client may use.
        method: the one of `METHODS` that the client must use.
        name: a name for people.
    """

    id: str
    secret: str = field(default="", repr=False)
    redirects: tuple[str, ...] = ()
    grants: frozenset[str] = frozenset({CODE, REFRESH})
    method: str = "none"
    name: str = ""

    def document(self) -> dict[str, Any]:
        """Return the answer to a registration (RFC 7591 section 3.2.1)."""
        secret = {"client_secret": self.secret, "client_secret_expires_at": 0} if self.secret else {}
        return {
            "client_id": self.id,
            **secret,
            "client_name": self.name,
            "redirect_uris": list(self.redirects),
            "grant_types": sorted(self.grants),
            "response_types": ["code"],
            "token_endpoint_auth_method": self.method,
        }


class Clients:
    """All clients. The confidential one gets a new secret at each start."""

    def __init__(self) -> None:
        """Create the two clients that always exist."""
        self.native = Client(id=NATIVE_ID, grants=frozenset({DEVICE, REFRESH}), name="mcp-authz token")
        self.service = Client(
            id=SERVICE_ID,
            secret=secrets.token_urlsafe(32),
            grants=frozenset({CREDENTIALS}),
            method="client_secret_post",
            name="a service",
        )
        self._clients = {client.id: client for client in (self.native, self.service)}

    def find(self, client_id: str) -> Client:
        """Return the client with this id.

        Raises:
            OAuthError: there is none.
        """
        client = self._clients.get(client_id)
        if client is None:
            refuse("invalid_client", "unknown client")
        return client

    def register(self, metadata: Mapping[str, Any]) -> Client:
        """Register a client for the authorization code flow (RFC 7591 section 3).

        Raises:
            OAuthError: a redirect URI is neither https nor on loopback, or the metadata is not supported.
        """
        redirects = metadata.get("redirect_uris")
        if not isinstance(redirects, list) or not redirects or not all(map(_may_redirect, redirects)):
            refuse("invalid_redirect_uri", "redirect_uris must be https, or http on loopback")
        method = metadata.get("token_endpoint_auth_method") or "none"
        grants = metadata.get("grant_types") or [CODE]
        if (
            method not in METHODS
            or not isinstance(grants, list)
            or not {CODE, REFRESH}.issuperset(map(str, grants))
        ):
            refuse("invalid_client_metadata", "this method or grant type cannot be registered")
        client = Client(
            id=secrets.token_urlsafe(16),
            secret="" if method == "none" else secrets.token_urlsafe(32),
            redirects=tuple(redirects),
            grants=frozenset(map(str, grants)),
            method=method,
            name=str(metadata.get("client_name") or ""),
        )
        return self._keep(client)

    def _keep(self, client: Client) -> Client:
        if len(self._clients) >= _MAX_CLIENTS:
            refuse("invalid_client_metadata", "too many clients")
        self._clients[client.id] = client
        return client

    def authenticate(self, form: Form, authorization: str | None) -> Client:
        """Return the client that makes a token request (RFC 6749 section 2.3).

        Raises:
            OAuthError: the client is unknown, or does not authenticate itself by its registered method.
        """
        if authorization is not None:
            method, client_id, secret = "client_secret_basic", *_basic(authorization)
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
            method = "client_secret_post" if secret else "none"
        client = self.find(client_id)
        if method != client.method or not hmac.compare_digest(secret.encode(), client.secret.encode()):
            refuse("invalid_client", "client authentication failed")
        return client


def _may_redirect(uri: object) -> bool:
    if not isinstance(uri, str):
        return False
    parts = urlsplit(uri)
    return (
        bool(parts.hostname)
        and not parts.fragment
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(uri)))
    )


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    try:
        client_id, _, secret = b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        scheme = ""
    if scheme.lower() != "basic":
        refuse("invalid_client", "the authorization header is not HTTP Basic")
    return unquote_plus(client_id), unquote_plus(secret)
