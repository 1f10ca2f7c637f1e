"""Whether the service would take a token: asked with the file's own way of fetching keys."""

import asyncio
import json
import time

import pytest

from authz.oauth.token_check import verify_for_servers
from tests.support.introspection import CLIENT, SECRET, AuthorizationServer, serving
from tests.support.jwks_server import IssuerSite, https, page
from tests.support.policy_files import NATIVE, settings
from tests.support.tokens import AUDIENCE, NOW, claims, jwk, rsa_key, token
from tests.support.waiting import DEADLINE


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def reasons(site, more=""):
    """Judge a good token whose issuer serves 2048 bytes of keys on a site; `more` is added to the policy file."""

    async def go():
        async with site:
            issuer = f"{site.url}/"
            site.pages["/jwks"] = page(json.dumps({"keys": [jwk(rsa_key())]}).encode().ljust(2048))
            text = NATIVE.replace("https://issuer.example/", f"{issuer}\n    jwks_uri: {site.url}/jwks", 1)
            found = await verify_for_servers(
                settings(text + more), token(claims(iss=issuer, aud=AUDIENCE)), NOW
            )
            return [verdict.reason for verdict in found]

    return asyncio.run(asyncio.wait_for(go(), DEADLINE))


def test_keys_are_fetched_under_the_authorities_of_the_file_and_no_others(tmp_path):
    context, authority = https(tmp_path)

    assert ["accepted"] == reasons(IssuerSite(context=context), f"ca_file: {authority}\n")
    assert ["keys_unavailable"] == reasons(IssuerSite(context=context))


def test_keys_are_fetched_within_the_bounds_of_the_file():
    bound = "keys: {{document_bytes: {}}}\n"

    assert ["accepted"] == reasons(IssuerSite(), bound.format(2048))
    assert ["keys_unavailable"] == reasons(IssuerSite(), bound.format(2047))


def test_a_token_that_its_issuer_must_be_asked_about_is_asked_about(tmp_path):
    async def story():
        async with serving(AuthorizationServer()) as server:
            (tmp_path / "secret").write_text(SECRET)
            section = (
                f"{{endpoint: {server.url}, client_id: {CLIENT}, client_secret_file: {tmp_path}/secret}}"
            )
            line = "    audiences: [https://mcp.example/mcp]\n"
            given = settings(NATIVE.replace(line, f"{line}    introspection: {section}\n"))
            good = server.issue("opaque-good")
            found = [(await verify_for_servers(given, token, time.time()))[0] for token in (good, "unknown")]
            server.status = 500
            return [*found, (await verify_for_servers(given, good, time.time()))[0]]

    good, unknown, failed = asyncio.run(asyncio.wait_for(story(), DEADLINE))

    assert ("accepted", ("a", "b"), "alice") == (good.reason, good.scopes, good.principal.subject)
    assert "principal" not in good.as_data()
    assert ("inactive_token", "keys_unavailable") == (unknown.reason, failed.reason)
