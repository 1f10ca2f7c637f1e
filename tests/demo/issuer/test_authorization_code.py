"""The authorization code flow: what a code and a refresh token are good for, and what each request must show."""

import pytest

from authz.demo.issuer.tokens import ROLES_CLAIM
from tests.support.oauth_flows import (
    CALLBACK,
    RESOURCE,
    URL,
    answered,
    asked,
    claims_of,
    logged_in,
    redeeming,
    refused,
    registered,
)


def test_the_redirect_carries_code_state_and_issuer(flows):
    url = flows.authorize(asked(registered(flows)))

    assert url.startswith(f"{CALLBACK}?")
    assert {"code", "state", "iss"} == set(answered(url))
    assert ("abc", URL) == (answered(url)["state"], answered(url)["iss"])


def test_a_redirect_uri_keeps_its_own_query(flows):
    client = registered(flows, redirect_uris=[f"{CALLBACK}?a=b"])
    url = flows.authorize(asked(client, redirect_uri=f"{CALLBACK}?a=b"))

    assert "b" == answered(url)["a"]


def test_a_code_becomes_a_token_for_the_resource_and_the_user(flows):
    client = registered(flows)
    answer = logged_in(flows, client)
    claims = claims_of(flows, answer)

    assert ("Bearer", 3600, "files:read") == (answer["token_type"], answer["expires_in"], answer["scope"])
    assert [RESOURCE, f"{URL}userinfo"] == claims["aud"]
    assert ("auth0|demo", client.id, "files:read", []) == (
        claims["sub"],
        claims["azp"],
        claims["scope"],
        claims[ROLES_CLAIM],
    )


@pytest.mark.parametrize(
    ("more", "audience"),
    [
        ({"resource": "https://r.example"}, "https://r.example"),
        ({"audience": "https://a.example"}, "https://a.example"),
        ({"audience": "https://a.example", "resource": "https://r.example"}, "https://a.example"),
    ],
)
def test_audience_and_resource_choose_the_audience_and_audience_wins(flows, more, audience):
    assert audience == claims_of(flows, logged_in(flows, **{"resource": "", **more}))["aud"][0]


def test_without_an_audience_the_token_is_opaque_as_with_auth0(flows):
    assert "." not in logged_in(flows, resource="")["access_token"]


@pytest.mark.parametrize(
    ("more", "scope", "roles"),
    [
        ({"scope": "files:read files:delete root"}, "files:read files:delete", []),
        ({"scope": "files:delete", "login_hint": "reader"}, "", []),
        ({"scope": ""}, "", []),
        ({"login_hint": "admin"}, "files:read", ["admin"]),
        ({"roles": "admin auditor"}, "files:read", ["admin", "auditor"]),
    ],
)
def test_no_more_than_the_users_scopes_are_granted_and_roles_are_the_users_or_as_told(
    flows, more, scope, roles
):
    claims = claims_of(flows, logged_in(flows, **more))

    assert (scope, roles) == (claims["scope"], claims[ROLES_CLAIM])


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"login_hint": "nobody"}, "access_denied"),
    ],
)
def test_a_wrong_authorization_request_is_answered_at_the_redirect_uri_without_a_code(flows, more, error):
    answer = answered(flows.authorize(asked(registered(flows), **more)))

    assert (error, "abc", URL) == (answer["error"], answer["state"], answer["iss"])
    assert "code" not in answer


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"redirect_uri": "http://127.0.0.1:3030/other"}, 400, "invalid_request"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
    ],
)
def test_an_unknown_client_or_redirect_uri_is_redirected_nowhere(flows, more, status, error):
    assert (status, error) == refused(flows.authorize, asked(registered(flows), **more))


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"code_verifier": "w" * 43}, 403, "invalid_grant"),
        ({"code_verifier": ""}, 403, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:3030/other"}, 403, "invalid_grant"),
        ({"code": "guess"}, 403, "invalid_grant"),
        ({"resource": "https://other.example"}, 400, "invalid_target"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_code_is_worth_nothing_to_who_cannot_show_what_belongs_to_it(flows, more, status, error):
    client = registered(flows)
    code = answered(flows.authorize(asked(client)))["code"]

    assert (status, error) == refused(flows.token, redeeming(client, code, **more), None)


def test_a_code_of_one_client_is_worth_nothing_to_another(flows):
    code = answered(flows.authorize(asked(registered(flows))))["code"]

    assert (403, "invalid_grant") == refused(flows.token, redeeming(registered(flows), code), None)


def test_a_code_is_good_once(flows):
    client = registered(flows)
    code = answered(flows.authorize(asked(client)))["code"]
    flows.token(redeeming(client, code), None)

    assert (403, "invalid_grant") == refused(flows.token, redeeming(client, code), None)


def test_a_code_is_good_for_a_minute(flows, clock):
    client = registered(flows)
    code = answered(flows.authorize(asked(client)))["code"]
    clock.now += 60

    assert (403, "invalid_grant") == refused(flows.token, redeeming(client, code), None)


def test_a_refresh_token_is_given_when_asked_for_and_is_good_once(flows):
    client = registered(flows, grant_types=["authorization_code", "refresh_token"])
    first = logged_in(flows, client, scope="files:read offline_access")
    again = {
        "grant_type": "refresh_token",
        "client_id": client.id,
        "refresh_token": first["refresh_token"],
    }
    second = flows.token(again, None)

    assert "files:read offline_access" == claims_of(flows, second)["scope"]
    assert first["refresh_token"] != second["refresh_token"]
    assert (403, "invalid_grant") == refused(flows.token, again, None)


def test_a_client_without_the_refresh_grant_gets_no_refresh_token(flows):
    assert "refresh_token" not in logged_in(flows, scope="files:read offline_access")
