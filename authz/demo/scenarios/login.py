"""A client that knows only one URL and has no token: the official SDK gets one by itself.

The challenge names the metadata document, and the document names the issuer. The issuer registers the client. Where a
person would log in, the issuer redirects with a code immediately. The client exchanges the code and its PKCE verifier
for a token that is valid only for the gateway.
"""

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from authz.demo.issuer.shapes import SHAPES
from authz.demo.no_tls import verification
from authz.demo.scenarios.result import ALL, ScenarioRow, join
from authz.demo.stack import Stack

_CALLBACK = "http://127.0.0.1:3030/callback"
"""Nothing listens there, because the redirect is read and not followed."""
_SECONDS = 20.0


class BrowserUser:
    """The client's storage, and the browser in which its user logs in.

    Attributes:
        pages: URLs of the authorization pages that were opened.
        tokens: the tokens that the client got.
        registration: the client's registration.
    """

    def __init__(self, hint: str = "") -> None:
        """Log in as the user that `hint` names, or as the issuer's first user if it is empty."""
        self._hint = hint
        self.pages: list[str] = []
        self.tokens: OAuthToken | None = None
        self.registration: OAuthClientInformationFull | None = None
        self._redirect: dict[str, str] = {}

    @property
    def last_request(self) -> dict[str, str]:
        """The parameters of the last authorization request; none if there was no request."""
        return _query(self.pages[-1]) if self.pages else {}

    async def get_tokens(self) -> OAuthToken | None:
        """Return the stored tokens."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Store the client's tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the stored registration."""
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Store the client's registration."""
        self.registration = client_info

    async def browse(self, url: str) -> None:
        """Open the authorization page, which redirects without a login form."""
        self.pages.append(url)
        hint = {"login_hint": self._hint} if self._hint else {}
        async with httpx2.AsyncClient(trust_env=False, verify=verification(url), timeout=_SECONDS) as browser:
            answer = await browser.get(httpx2.URL(url).copy_merge_params(hint))
        self._redirect = _query(answer.headers.get("location", ""))

    async def read_redirect(self) -> AuthorizationCodeResult:
        """Return the parameters of the redirect."""
        return AuthorizationCodeResult(**self._redirect)


async def login(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a client needs only the URL."""
    url, user = stack.gateways["native"].url, BrowserUser()
    names = await list_tools(url, user)
    yield ScenarioRow("client that knows the URL alone: tools listed", join(ALL[:3]), join(names))
    yield ScenarioRow("  ... having registered", "yes", "no" if user.registration is None else "yes")
    challenge = {"code_challenge_method": "S256", "resource": url}
    seen = {name: user.last_request.get(name, "") for name in challenge}
    yield ScenarioRow(
        "  ... and asked, with PKCE, for a token for this URL",
        join([*challenge.values()]),
        join([*seen.values()]),
    )
    prefix = SHAPES[stack.idp].scope_prefix
    wanted = [f"{prefix}{scope}" for scope in ("files:delete", "files:read")]
    scopes = sorted({*user.last_request.get("scope", "").split()} - {"offline_access"})
    yield ScenarioRow("  ... of the scopes that the challenge names", join(wanted), join(scopes))


async def list_tools(url: str, user: BrowserUser) -> list[str]:
    """Connect with only the URL, and return the names of the tools in the list."""
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(_CALLBACK)], client_name="mcp-authz demo")
    auth = OAuthClientProvider(url, metadata, user, user.browse, user.read_redirect)
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, verify=verification(url), timeout=_SECONDS) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return [tool.name for tool in (await client.list_tools()).tools]


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
