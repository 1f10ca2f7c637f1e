"""Challenges and metadata as clients get them from a real Envoy, and the official client finding its way by them."""

import asyncio

import httpx
import httpx2
import jwt
import pytest
from mcp.client.auth import utils

from authz.demo.scenarios.login import BrowserUser, list_tools
from authz.demo.scenarios.run import ALL
from tests.support.running import another_gateway
from tests.support.waiting import DEADLINE
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

FIRST_SCOPES = "files:read files:delete"


@pytest.fixture(scope="module")
def gateway(stack):
    return stack.gateways["native"]


@pytest.fixture(scope="module")
def metadata(gateway):
    return gateway.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")


def challenge(answer):
    return answer.headers.get("www-authenticate")


def read(answer):
    """Read a challenge with the SDK's parser: metadata URL, scopes, error."""
    response = httpx2.Response(answer.status, headers={"WWW-Authenticate": challenge(answer)})
    return (
        utils.extract_resource_metadata_from_www_auth(response),
        utils.extract_scope_from_www_auth(response),
        utils.extract_field_from_www_auth(response, "error"),
    )


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("expired", "expired_token", "exp has passed"),
        ("not_yet_valid", "not_yet_valid", "nbf or iat is in the future"),
        ("wrong_audience", "wrong_audience", "aud names none of the configured audiences"),
        ("wrong_issuer", "unknown_issuer", "iss is not a configured issuer, compared exactly"),
        ("foreign_key", "bad_signature", "the signature does not verify"),
        ("hs256_public_key", "bad_signature", "the header's alg is not accepted for this issuer"),
        ("alg_none", "malformed_token", "a segment is empty or not canonical base64url"),
    ],
)
def test_a_challenge_comes_through_envoy_to_the_letter(stack, port, metadata, kind, reason, detail):
    answer = ask(port, stack.bad_token(kind), call())

    assert (401, reason) == (answer.status, answer.reason)
    assert (
        f'Bearer error="invalid_token", resource_metadata="{metadata}", scope="{FIRST_SCOPES}", '
        f'error_description="{detail}"'
    ) == challenge(answer)
    assert (metadata, FIRST_SCOPES, "invalid_token") == read(answer)


def test_without_a_token_the_challenge_says_where_to_begin(port, metadata):
    answer = ask(port, None, call())

    assert (401, "missing_token") == (answer.status, answer.reason)
    assert f'Bearer resource_metadata="{metadata}", scope="{FIRST_SCOPES}"' == challenge(answer)
    assert (metadata, FIRST_SCOPES, None) == read(answer)


def test_a_missing_scope_is_named_by_a_challenge_of_its_own(port, user, metadata):
    answer = ask(port, user, call("list_files"))

    assert (403, "missing_scope") == (answer.status, answer.reason)
    assert f'Bearer error="insufficient_scope", scope="files:read", resource_metadata="{metadata}"' == (
        challenge(answer)
    )
    assert (metadata, "files:read", "insufficient_scope") == read(answer)


def test_a_denial_that_no_scope_would_cure_challenges_nobody(port, user):
    answer = ask(port, user, call("system_status"))

    assert (200, "no_rule", None) == (answer.status, answer.reason, challenge(answer))


def test_the_document_names_what_to_ask_for_and_of_whom(stack, gateway, metadata):
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        got, headed, missing = client.get(metadata), client.head(metadata), client.get(f"{metadata}/x")

    assert {
        "resource": gateway.url,
        "authorization_servers": [stack.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": FIRST_SCOPES.split(),
        "resource_name": "mcp-authz demo",
    } == got.json()
    assert (200, b"", 404) == (headed.status_code, headed.content, missing.status_code)


def logged_in(url):
    person = BrowserUser()
    names = asyncio.run(asyncio.wait_for(list_tools(url, person), DEADLINE))
    return names, person


def test_a_client_that_knows_the_url_alone_logs_in_and_lists_its_tools(stack, gateway):
    names, person = logged_in(gateway.url)
    claims = jwt.decode(person.tokens.access_token, options={"verify_signature": False})

    assert ALL[:3] == names
    assert stack.issuer == person.registration.issuer
    assert ("S256", gateway.url) == (
        person.last_request["code_challenge_method"],
        person.last_request["resource"],
    )
    assert gateway.url in claims["aud"]
    assert {*FIRST_SCOPES.split()} == {*claims["scope"].split()} - {"offline_access"}


def test_a_token_that_a_client_got_for_one_gateway_opens_no_other(stack, gateway):
    other = another_gateway(stack, "neighbour")
    other.start()
    _, person = logged_in(gateway.url)
    answers = [ask(g.ports.envoy, person.tokens.access_token, call()) for g in (gateway, other)]

    assert [(200, ""), (401, "wrong_audience")] == [(answer.status, answer.reason) for answer in answers]
