"""Clients of the demo issuer: how they register, and how they authenticate themselves."""

from base64 import b64encode

import pytest

from authz.demo.issuer.authorization_code import Flows
from authz.demo.issuer.grants import OAuthError
from authz.demo.issuer.tokens import AUDIENCE, TokenIssuer
from tests.support.oauth_flows import (
    CALLBACK,
    URL,
    answered,
    asked,
    claims_of,
    redeeming,
    refused,
    registered,
)


@pytest.mark.parametrize(
    ("asked_for", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://example.com/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK + "#f"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": [["authorization_code"]]}, "invalid_client_metadata"),
    ],
)
def test_a_registration_that_asks_for_too_much_is_refused(flows, asked_for, error):
    assert (400, error) == refused(lambda: flows.clients.register({"redirect_uris": [CALLBACK], **asked_for}))


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_a_client_that_registers_for_a_secret_must_show_it_in_the_way_it_chose(flows, method):
    client = registered(flows, token_endpoint_auth_method=method)
    basic = "Basic " + b64encode(f"{client.id}:{client.secret}".encode()).decode()
    ways = {
        "none": ({}, None),
        "client_secret_post": ({"client_secret": client.secret}, None),
        "client_secret_basic": ({}, basic),
    }
    given = {}
    for way, (more, header) in ways.items():
        code = answered(flows.authorize(asked(client)))["code"]
        try:
            flows.token(redeeming(client, code, **more), header)
            given[way] = True
        except OAuthError:
            given[way] = False

    assert {way: way == method for way in ways} == given


def test_the_service_gets_a_token_of_its_own_with_its_secret(flows):
    service = flows.clients.service
    form = {
        "grant_type": "client_credentials",
        "client_id": service.id,
        "client_secret": service.secret,
        "audience": AUDIENCE,
        "scope": "files:read root",
    }
    claims = claims_of(flows, flows.token(form, None))

    assert ("demo-service@clients", AUDIENCE, "client-credentials", "files:read") == (
        claims["sub"],
        claims["aud"],
        claims["gty"],
        claims["scope"],
    )


@pytest.mark.parametrize("secret", ["", "secret", "demo-service"])
def test_there_is_no_default_secret(flows, secret):
    form = {
        "grant_type": "client_credentials",
        "client_id": "demo-service",
        "client_secret": secret,
        "audience": AUDIENCE,
    }

    assert (401, "invalid_client") == refused(flows.token, form, None)
    assert flows.clients.service.secret != Flows(TokenIssuer(URL)).clients.service.secret


def test_a_client_may_use_its_own_grant_types_only(flows):
    form = {"grant_type": "client_credentials", "client_id": "demo-native", "audience": AUDIENCE}

    assert (403, "unauthorized_client") == refused(flows.token, form, None)
    assert (403, "unauthorized_client") == refused(flows.device_code, {"client_id": "demo-service"})
