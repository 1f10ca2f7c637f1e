"""The demo's issuer: tokens and keys as Auth0 has them, checked with PyJWT, which did not make them."""

import sys
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from authz.demo.issuer.app import AUDIENCE, BAD_TOKENS, ROLES_CLAIM, IssuerServer, TokenIssuer, main
from authz.demo.ports import free_port
from authz.demo.probes import http_ready
from authz.demo.processes import Child, Supervisor

URL = "http://127.0.0.1:8090/"


@pytest.fixture(scope="module")
def issuer():
    return TokenIssuer(URL)


@pytest.fixture
def served():
    with IssuerServer() as running:
        yield running


def verified(issuer, token, **options):
    """Decode a token with the key set and the checks that a resource server makes."""
    key = jwt.PyJWKSet.from_dict(issuer.jwks())[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer.url, **options)


def get(url):
    return httpx.get(url, trust_env=False)


def post(url, **kwargs):
    return httpx.post(url, trust_env=False, **kwargs)


def test_a_token_verifies_with_the_published_key_and_has_the_shape_of_auth0(issuer):
    claims = verified(
        issuer, issuer.token(sub="auth0|alice", scope="files:read files:delete", roles=["admin"])
    )

    assert {
        "iss": URL,
        "sub": "auth0|alice",
        "aud": [AUDIENCE, f"{URL}userinfo"],
        "azp": "demo-client",
        "iat": claims["iat"],
        "exp": claims["iat"] + 3600,
        "scope": "files:read files:delete",
        ROLES_CLAIM: ["admin"],
    } == claims


def test_a_token_takes_its_times_from_the_clock_of_the_issuer():
    claims = TokenIssuer(URL, clock=lambda: 1_000_000.9).claims(ttl=60)

    assert (1_000_000, 1_000_060) == (claims["iat"], claims["exp"])


@given(ttl=st.integers(-(2**31), 2**31))
def test_no_token_is_issued_after_it_expires(issuer, ttl):
    claims = issuer.claims(ttl=ttl)

    assert claims["iat"] <= claims["exp"]


def test_a_claim_can_be_set_and_taken_out(issuer):
    claims = issuer.claims(claims={"permissions": ["files:read"], "azp": None})

    assert ["files:read"] == claims["permissions"]
    assert "azp" not in claims


def test_a_field_that_no_token_has_is_an_error(issuer):
    with pytest.raises(TypeError):
        issuer.token(scopes="files:read")


def test_the_key_set_holds_public_rsa_keys_of_2048_bits(issuer):
    (key,) = issuer.jwks()["keys"]

    assert {"kty", "use", "alg", "kid", "n", "e"} == set(key)
    assert 2048 == jwt.PyJWK(key).key.key_size
    assert load_pem_public_key(issuer.keys[0].pem()) == jwt.PyJWK(key).key


def test_two_issuers_share_no_key(issuer):
    assert issuer.jwks()["keys"][0]["n"] != TokenIssuer(URL).jwks()["keys"][0]["n"]


def test_after_rotation_the_new_key_signs_and_tokens_of_the_old_one_still_verify():
    issuer = TokenIssuer(URL)
    old_kid, old = issuer.keys[0].kid, issuer.token()
    new_kid = issuer.rotate()

    assert new_kid == jwt.get_unverified_header(issuer.token())["kid"]
    assert old_kid == jwt.get_unverified_header(issuer.token(kid=old_kid))["kid"]
    assert verified(issuer, old)
    assert verified(issuer, issuer.token())


def test_a_revoked_key_is_no_longer_published_and_signs_nothing():
    issuer = TokenIssuer(URL)
    old_kid = issuer.keys[0].kid
    new_kid = issuer.rotate()
    issuer.revoke(old_kid)

    assert [new_kid] == [key["kid"] for key in issuer.jwks()["keys"]]
    with pytest.raises(ValueError, match="no key with this kid"):
        issuer.token(kid=old_kid)


def test_the_key_that_signs_cannot_be_revoked(issuer):
    with pytest.raises(ValueError, match="cannot be revoked"):
        issuer.revoke(issuer.keys[0].kid)


REFUSALS = {
    "expired": jwt.ExpiredSignatureError,
    "not_yet_valid": jwt.ImmatureSignatureError,
    "wrong_audience": jwt.InvalidAudienceError,
    "wrong_issuer": jwt.InvalidIssuerError,
    "unknown_kid": KeyError,
    "foreign_key": jwt.InvalidSignatureError,
    "alg_none": KeyError,
    "hs256_public_key": jwt.InvalidAlgorithmError,
}


def test_every_bad_token_has_a_refusal_here():
    assert set(REFUSALS) == set(BAD_TOKENS)


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_a_bad_token_is_refused_for_what_is_wrong_with_it(issuer, kind):
    with pytest.raises(REFUSALS[kind]):
        verified(issuer, BAD_TOKENS[kind](issuer))


def test_the_unsigned_token_is_well_formed_and_has_an_empty_signature(issuer):
    token = BAD_TOKENS["alg_none"](issuer)

    assert token.endswith(".")
    assert URL == jwt.decode(token, options={"verify_signature": False})["iss"]
    assert "none" == jwt.get_unverified_header(token)["alg"]


def test_the_hs256_token_verifies_for_whoever_takes_the_public_key_as_a_secret(issuer):
    token = BAD_TOKENS["hs256_public_key"](issuer)
    hs256 = jwt.get_algorithm_by_name("HS256")
    signed, _, signature = token.encode().rpartition(b".")

    assert hs256.verify(signed, issuer.keys[0].pem(), jwt.utils.base64url_decode(signature))


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


def test_during_an_outage_keys_are_not_to_be_had_but_tokens_are(served):
    post(f"{served.url}demo/outage/on")

    assert 503 == get(served.jwks_uri).status_code
    assert 503 == get(f"{served.url}.well-known/openid-configuration").status_code
    assert 200 == post(f"{served.url}demo/token", json={}).status_code

    post(f"{served.url}demo/outage/off")

    assert 200 == get(served.jwks_uri).status_code


def times_out(url):
    """Whether an answer is not complete within half a second, and whether it began."""
    began = False
    try:
        with httpx.stream("GET", url, trust_env=False, timeout=0.5) as answer:
            began = True
            end = time.monotonic() + 0.5
            for _ in answer.iter_raw():
                if time.monotonic() > end:
                    return True, began
    except httpx.ReadTimeout:
        return True, began
    return False, began


@pytest.mark.parametrize(
    ("mode", "status", "kind"),
    [
        ("on", 503, None),
        ("500", 500, None),
        ("html", 200, "text/html; charset=utf-8"),
        ("empty", 200, "application/json"),
        ("redirect", 307, None),
    ],
)
def test_an_outage_answers_in_the_way_of_its_mode(served, mode, status, kind):
    post(f"{served.url}demo/outage/{mode}")
    answer = get(served.jwks_uri)

    assert (status, kind) == (answer.status_code, answer.headers.get("content-type"))
    assert served.jwks() != decoded(answer)


def decoded(answer):
    try:
        return answer.json()
    except ValueError:
        return None


def test_an_empty_set_is_one_without_keys_and_discovery_stays(served):
    post(f"{served.url}demo/outage/empty")

    assert {"keys": []} == get(served.jwks_uri).json()
    assert served.url == get(f"{served.url}.well-known/openid-configuration").json()["issuer"]


def test_a_redirect_leads_to_the_keys_so_that_whoever_follows_it_is_seen_to(served):
    post(f"{served.url}demo/outage/redirect")

    assert served.jwks() == httpx.get(served.jwks_uri, trust_env=False, follow_redirects=True).json()


def test_a_huge_set_is_a_hundred_megabytes(served):
    post(f"{served.url}demo/outage/huge")
    with httpx.stream("GET", served.jwks_uri, trust_env=False) as answer:
        size = sum(map(len, answer.iter_raw()))

    assert 100 * 1024 * 1024 == pytest.approx(size, abs=100)


@pytest.mark.parametrize(("mode", "began"), [("drip", True), ("nothing", False)])
def test_a_slow_answer_does_not_end_and_no_answer_does_not_begin(served, mode, began):
    post(f"{served.url}demo/outage/{mode}")

    assert (True, began) == times_out(served.jwks_uri)

    post(f"{served.url}demo/outage/off")

    assert served.jwks() == get(served.jwks_uri).json()


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
        f"{served.url}.well-known/openid-configuration", headers={"origin": origin}, trust_env=False
    )

    assert allowed == answer.headers.get("access-control-allow-origin")


def test_a_host_name_that_only_resolves_here_gets_no_token(served):
    answer = post(f"{served.url}demo/token", json={}, headers={"host": "rebound.example"})

    assert 400 == answer.status_code


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost"])
def test_it_refuses_to_serve_anything_but_loopback(host, capsys, monkeypatch):
    monkeypatch.setattr("socket.create_server", lambda *_args, **_kwargs: pytest.fail("it binds"))
    with pytest.raises(ValueError):
        IssuerServer(host=host)
    with pytest.raises(SystemExit) as left:
        main(["--host", host])

    assert 2 == left.value.code
    assert "--host" in capsys.readouterr().err


def test_a_stopped_issuer_answers_no_more():
    with IssuerServer() as issuer:
        assert get(issuer.jwks_uri).is_success
    with pytest.raises(httpx.ConnectError):
        get(issuer.jwks_uri)


def test_the_module_runs_an_issuer_of_its_own_url():
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    discovery = f"{url}.well-known/openid-configuration"
    argv = [sys.executable, "-m", "authz.demo.issuer.app", "--port", str(port)]
    with Supervisor() as supervisor:
        supervisor.start(Child(name="issuer", argv=argv, ready=http_ready(discovery)))

        assert url == get(discovery).json()["issuer"]
