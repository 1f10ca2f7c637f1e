"""The demo issuer over HTTP: its documents, its tokens, and who may read them."""

import httpx
import pytest

from tests.support.oauth_flows import REFUSALS, verified
from tests.support.waiting import DEADLINE


def get(url):
    return httpx.get(url, trust_env=False, timeout=DEADLINE)


def post(url, **kwargs):
    return httpx.post(url, trust_env=False, **kwargs, timeout=DEADLINE)


@pytest.mark.parametrize("name", ["openid-configuration", "oauth-authorization-server"])
def test_both_discovery_documents_lead_to_the_key_set(served, name):
    found = get(f"{served.url}.well-known/{name}").json()

    assert served.url == found["issuer"]
    assert served.url.endswith("/")
    assert served.jwks() == get(found["jwks_uri"]).json()


def test_the_key_set_says_how_long_it_may_be_cached(served):
    assert "public, max-age=300" == get(served.jwks_uri).headers["cache-control"]


def test_a_token_asked_for_over_http_is_what_was_asked_for_and_says_it_is_for_demos(served):
    answer = post(f"{served.url}demo/token", json={"sub": "auth0|bob", "scope": "files:read", "ttl": 60})
    claims = verified(served, answer.json()["access_token"])

    assert ("auth0|bob", "files:read", 60) == (claims["sub"], claims["scope"], claims["exp"] - claims["iat"])
    assert "for demos and tests only" in answer.json()["notice"]
    assert "no-store" == answer.headers["cache-control"]


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_bad_tokens_are_to_be_had_over_http(served, kind):
    token = post(f"{served.url}demo/token/{kind}").json()["access_token"]

    with pytest.raises(REFUSALS[kind]):
        verified(served, token)


@pytest.mark.parametrize(
    ("status", "path", "body"),
    [
        (400, "demo/token", b'{"scopes": "files:read"}'),
        (400, "demo/token", b'{"ttl": "60"}'),
        (400, "demo/token", b'{"kid": "gone"}'),
        (400, "demo/token", b"not json"),
        (404, "demo/token/charming", b""),
        (400, "demo/revoke/gone", b""),
        (404, "demo/outage/maybe", b""),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(served, status, path, body):
    assert status == post(f"{served.url}{path}", content=body).status_code


def test_keys_rotate_and_are_revoked_over_http(served):
    old_kid = served.keys[0].kid
    new_kid = post(f"{served.url}demo/rotate").json()["kid"]

    assert 204 == post(f"{served.url}demo/revoke/{old_kid}").status_code
    assert [new_kid] == [key["kid"] for key in get(served.jwks_uri).json()["keys"]]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:6274", "http://localhost:6274"),
        ("http://127.0.0.1:6274", "http://127.0.0.1:6274"),
        ("https://evil.example", None),
        ("http://localhost.evil.example", None),
        ("http://localhost:6274.evil.example", None),
    ],
)
def test_pages_of_this_machine_alone_may_read_answers(served, origin, allowed):
    answer = httpx.get(
        f"{served.url}.well-known/openid-configuration",
        headers={"origin": origin},
        trust_env=False,
        timeout=DEADLINE,
    )

    assert allowed == answer.headers.get("access-control-allow-origin")


def test_a_host_name_that_only_resolves_here_gets_no_token(served):
    answer = post(f"{served.url}demo/token", json={}, headers={"host": "rebound.example"})

    assert 400 == answer.status_code


def test_discovery_names_endpoints_that_answer(server):
    url = server.flows.issuer.url
    found = httpx.get(f"{url}.well-known/openid-configuration", trust_env=False, timeout=DEADLINE).json()
    endpoints = [value for name, value in found.items() if name.endswith("_endpoint")]

    assert 4 == len(endpoints)
    assert [] == [e for e in endpoints if httpx.options(e, trust_env=False).status_code == 404]
    assert ["S256"] == found["code_challenge_methods_supported"]
    assert found["authorization_response_iss_parameter_supported"] is True


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (401, b"grant_type=client_credentials&client_id=x", "application/x-www-form-urlencoded"),
        (400, b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        (400, b"grant_type=%FF", "application/x-www-form-urlencoded"),
        (400, b'{"grant_type":"a"}', "application/json"),
    ],
)
def test_a_token_request_that_makes_no_sense_is_refused_and_not_stored(server, status, content, kind):
    url = f"{server.flows.issuer.url}oauth/token"
    answer = httpx.post(
        url, content=content, headers={"content-type": kind}, trust_env=False, timeout=DEADLINE
    )

    assert (status, "no-store") == (answer.status_code, answer.headers["cache-control"])
    assert "error" in answer.json()
