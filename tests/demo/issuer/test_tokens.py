"""Keys and tokens of the demo issuer, checked with PyJWT, which did not make them."""

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from authz.demo.issuer.tokens import AUDIENCE, BAD_TOKENS, ROLES_CLAIM, TokenIssuer
from tests.support.oauth_flows import REFUSALS, URL, verified


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


def test_the_hs256_token_verifies_if_the_public_key_is_taken_as_a_secret(issuer):
    token = BAD_TOKENS["hs256_public_key"](issuer)
    hs256 = jwt.get_algorithm_by_name("HS256")
    signed, _, signature = token.encode().rpartition(b".")

    assert hs256.verify(signed, issuer.keys[0].pem(), jwt.utils.base64url_decode(signature))
