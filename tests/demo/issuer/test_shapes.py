"""The demo issuer imitates providers: each shape has the claims of its page, and the demo's policy reads them."""

import json
import re
from pathlib import Path

import pytest

from authz.cli import demo
from authz.core.identity.claims import principal
from authz.demo.gateway import AGENTGATEWAY, NATIVE
from authz.demo.issuer.shapes import SHAPES
from authz.demo.issuer.tokens import AUDIENCE, TokenIssuer
from tests.support.policy_files import settings

PAGES = Path(__file__).parents[3] / "docs" / "identity"
URL = "http://127.0.0.1:8090/"
ENVIRONMENT = {
    "DEMO_GRPC": "127.0.0.1:9001",
    "DEMO_HTTP": "127.0.0.1:9002",
    "DEMO_ISSUER": URL,
    "DEMO_AUDIENCE": AUDIENCE,
    "DEMO_RESOURCE": "http://localhost:10000/mcp",
    "DEMO_UPSTREAM": "http://127.0.0.1:8080/mcp",
}
OF_A_SESSION = {"auth_time", "sid", "allowed-origins", "nbf", "rh", "uti", "name", "groups", "permissions"}
OF_A_SESSION |= {"origin_jti", "event_id", "jti", "nonce"}
"""Claims of the pages that say nothing about the caller here, or that a tenant adds."""


@pytest.fixture(scope="module")
def issuers():
    return {idp: TokenIssuer(URL, idp=idp) for idp in SHAPES}


def claims(issuers, idp, **fields):
    given = {"sub": "alice", "scope": "files:read", "roles": ["admin"], "client": "cli"}
    return issuers[idp].claims(**given | fields)


def as_read(idp):
    """Load the demo's policy with the keys of a provider."""
    text = NATIVE.read_text(encoding="utf-8")
    assert SHAPES["auth0"].policy in text
    return settings(text.replace(SHAPES["auth0"].policy, SHAPES[idp].policy), ENVIRONMENT)


@pytest.mark.parametrize("idp", SHAPES)
def test_a_shape_has_the_claims_that_the_provider_s_page_shows(issuers, idp):
    page = (PAGES / f"{idp}.md").read_text(encoding="utf-8")
    shown = json.loads(re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0])

    assert set() == shown.keys() - claims(issuers, idp).keys() - OF_A_SESSION


STORY = [idp for idp, shape in SHAPES.items() if shape.story]


@pytest.mark.parametrize("idp", STORY)
def test_the_demo_s_policy_reads_scopes_roles_subject_and_client_of_each_shape(issuers, idp):
    (server,) = as_read(idp).directory.servers
    found = claims(issuers, idp)
    who = principal(found, server.issuers[URL], found["iat"])

    assert ("alice", "cli") == (who.subject, who.client)
    assert "files:read" in who.scopes
    assert "admin" in who.roles


@pytest.mark.parametrize("idp", SHAPES)
def test_the_expressions_of_the_other_form_find_scopes_and_roles(idp):
    text = AGENTGATEWAY.read_text(encoding="utf-8")

    assert SHAPES["auth0"].scopes in text
    assert SHAPES["auth0"].roles in text
    assert SHAPES[idp].scopes.startswith("jwt.")


def test_the_command_offers_every_shape_that_can_tell_the_story():
    assert tuple(STORY) == demo._IDPS


def test_an_id_token_of_google_is_accepted_by_the_page_s_terms_and_grants_nothing(issuers):
    (server,) = as_read("google").directory.servers
    found = claims(issuers, "google")
    who = principal(found, server.issuers[URL], found["iat"])

    assert ("alice", (), ()) == (who.subject, who.scopes, who.roles)
