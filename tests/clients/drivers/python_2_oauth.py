"""The Python SDK's client, 2.x, with its OAuth: it signs in as an administrator, and steps up when it is asked to.

The demo's issuer redirects where a person would sign in, so the browser is a request.
"""

from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import python_2
import stories
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from pydantic import AnyUrl

_CALLBACK = AnyUrl("http://127.0.0.1:3030/callback")
"""Nothing listens there, because the redirect is read and not followed."""


class _User:
    """Keeps what the client was given, and signs in."""

    def __init__(self) -> None:
        self._tokens: Any = None
        self._client: Any = None
        self._redirect: dict[str, str] = {}

    async def get_tokens(self) -> Any:
        return self._tokens

    async def set_tokens(self, tokens: Any) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> Any:
        return self._client

    async def set_client_info(self, client_info: Any) -> None:
        self._client = client_info

    async def browse(self, url: str) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=stories.PATIENCE) as browser:
            answer = await browser.get(httpx2.URL(url).copy_merge_params({"login_hint": "admin"}))
        self._redirect = dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def read_redirect(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**self._redirect)


@asynccontextmanager
async def connect(url: str, era: str, headers: dict[str, str]) -> Any:
    """Connect to a URL without the token that is given."""
    user = _User()
    metadata = OAuthClientMetadata(redirect_uris=[_CALLBACK], client_name="tests")
    auth = OAuthClientProvider(url, metadata, user, user.browse, user.read_redirect)
    more = {name: value for name, value in headers.items() if name != "authorization"}
    async with (
        httpx2.AsyncClient(auth=auth, headers=more, trust_env=False, timeout=stories.PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield python_2.Connected(client)


if __name__ == "__main__":
    stories.main(connect)
