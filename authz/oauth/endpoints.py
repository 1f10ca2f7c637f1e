"""An issuer's endpoints for device codes and tokens: from its discovery document, or else the paths that Auth0 uses."""

from dataclasses import dataclass
from typing import Any

import httpx

from authz.edge.jwks.fetcher import metadata_urls
from authz.oauth.exchange import OAuthFailure, check_url, exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Endpoints of the device flow.

    Attributes:
        device: URL that issues device codes (RFC 8628 section 3.1).
        token: URL that issues tokens.
    """

    device: str
    token: str


def discover(http: httpx.Client, issuer: str) -> Endpoints:
    """Read the endpoints from an issuer's discovery document (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

    Raises:
        OAuthFailure: the document belongs to another issuer or names an endpoint without https, or no server answers.
    """
    base = issuer.rstrip("/")
    for url in metadata_urls(issuer):
        status, document = exchange(http, url)
        if status == httpx.codes.OK and document:
            return _endpoints(document, base)
    return Endpoints(device=f"{base}/oauth/device/code", token=f"{base}/oauth/token")


def _endpoints(document: dict[str, Any], base: str) -> Endpoints:
    if str(document.get("issuer", "")).rstrip("/") != base:
        msg = "the discovery document is another issuer's; pass --issuer exactly as the document's `issuer`"
        raise OAuthFailure(msg)
    device = document.get("device_authorization_endpoint", f"{base}/oauth/device/code")
    token = document.get("token_endpoint", f"{base}/oauth/token")
    return Endpoints(
        device=check_url(device, "the device_authorization_endpoint"),
        token=check_url(token, "the token_endpoint"),
    )
