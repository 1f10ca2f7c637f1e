"""Requests to the demo issuer's OAuth flows, as clients and users make them, and what its tokens say."""

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from authz.demo.issuer.grants import OAuthError
from authz.demo.issuer.tokens import AUDIENCE

URL = "http://127.0.0.1:8090/"
RESOURCE = "http://localhost:10000/mcp"
CALLBACK = "http://127.0.0.1:3030/callback"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
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
"""Kind of a bad token to the error with which PyJWT rejects it."""


def claims_of(flows, answer):
    key = jwt.PyJWKSet.from_dict(flows.issuer.jwks())[
        jwt.get_unverified_header(answer["access_token"])["kid"]
    ]
    options = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
    return jwt.decode(answer["access_token"], key, algorithms=["RS256"], options=options)


def registered(flows, **asked):
    return flows.clients.register({"redirect_uris": [CALLBACK], **asked})


def asked(client, **more):
    return {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": CALLBACK,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "abc",
        "scope": "files:read",
        "resource": RESOURCE,
        **more,
    }


def answered(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def redeeming(client, issued, **more):
    return {
        "grant_type": "authorization_code",
        "client_id": client.id,
        "code": issued,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **more,
    }


def logged_in(flows, client=None, **more):
    client = client or registered(flows)
    code = answered(flows.authorize(asked(client, **more)))["code"]
    return flows.token(redeeming(client, code), None)


def refused(work, *arguments):
    with pytest.raises(OAuthError) as found:
        work(*arguments)
    return found.value.status, found.value.error


def verified(issuer, token, **options):
    """Decode a token with the key set and the checks that a resource server makes."""
    key = jwt.PyJWKSet.from_dict(issuer.jwks())[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer.url, **options)
