"""A client that knows one URL and has no token: the official SDK finds its way to one.

The challenge names the metadata document, that names the issuer, the issuer registers the client and, where a person
would log in, redirects with a code at once; the code and its verifier (PKCE) become a token for the gateway alone.
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

from authz.demo.scenarios.result import ALL, ScenarioRow, join
from authz.demo.stack import Stack

_CALLBACK = "http://127.0.0.1:3030/callback"
"""Nothing listens there: the redirect is read and not followed."""
_SECONDS = 20.0


class Person:
    """The client's storage and its browser, in which somebody logs in.

    Attributes:
        pages: URLs of the authorization pages that were opened.
        tokens: what the client was given.
        registration: what the client registered as.
    """

    def __init__(self, hint: str = "") -> None:
        """Be whom `hint` names to the issuer, its first user when empty."""
        self._hint = hint
        self.pages: list[str] = []
        self.tokens: OAuthToken | None = None
        self.registration: OAuthClientInformationFull | None = None
        self._landed: dict[str, str] = {}

    @property
    def asked(self) -> dict[str, str]:
        """Parameters of the last authorization request, none when there was none."""
        return _query(self.pages[-1]) if self.pages else {}

    async def get_tokens(self) -> OAuthToken | None:
        """Give what was stored."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Store the client's tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Give what was stored."""
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Store the client's registration."""
        self.registration = client_info

    async def browse(self, url: str) -> None:
        """Open the authorization page, which logs in at once."""
        self.pages.append(url)
        hint = {"login_hint": self._hint} if self._hint else {}
        async with httpx2.AsyncClient(trust_env=False, timeout=_SECONDS) as browser:
            answer = await browser.get(httpx2.URL(url).copy_merge_params(hint))
        self._landed = _query(answer.headers.get("location", ""))

    async def come_back(self) -> AuthorizationCodeResult:
        """Give what the redirect brought."""
        return AuthorizationCodeResult(**self._landed)


async def login(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a client needs nothing but the URL."""
    url, person = stack.gateways["native"].url, Person()
    names = await listed(url, person)
    yield ScenarioRow("client that knows the URL alone: tools listed", join(ALL[:3]), join(names))
    yield ScenarioRow("  … having registered", "yes", "no" if person.registration is None else "yes")
    challenge = {"code_challenge_method": "S256", "resource": url}
    seen = {name: person.asked.get(name, "") for name in challenge}
    yield ScenarioRow(
        "  … and asked, with PKCE, for a token for this URL",
        join([*challenge.values()]),
        join([*seen.values()]),
    )
    wanted = ["files:delete", "files:read"]
    scopes = sorted({*person.asked.get("scope", "").split()} - {"offline_access"})
    yield ScenarioRow("  … of the scopes that the challenge names", join(wanted), join(scopes))


async def listed(url: str, person: Person) -> list[str]:
    """Connect with nothing but the URL and list the tools' names."""
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(_CALLBACK)], client_name="mcp-authz demo")
    auth = OAuthClientProvider(url, metadata, person, person.browse, person.come_back)
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, timeout=_SECONDS) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return [tool.name for tool in (await client.list_tools()).tools]


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
