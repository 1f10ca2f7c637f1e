"""The device flow of the demo issuer: a code is pending, then approved, denied or expired."""

import pytest

from authz.demo.issuer.grants import OAuthError
from authz.demo.issuer.tokens import AUDIENCE, ROLES_CLAIM
from tests.support.oauth_flows import DEVICE, URL, claims_of, refused, registered


@pytest.fixture
def code(flows):
    form = {"client_id": "demo-native", "audience": AUDIENCE, "scope": "files:read"}
    return flows.device_code(form)


def poll(flows, code):
    form = {"grant_type": DEVICE, "client_id": "demo-native", "device_code": code["device_code"]}
    try:
        return 200, flows.token(form, None)
    except OAuthError as error:
        return error.status, error.error


def answer(flows, code, what, **more):
    flows.activate({"user_code": code["user_code"], "answer": what, **more})


def test_a_device_code_has_the_members_of_auth0s(code):
    assert {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    } == set(code)
    assert f"{URL}activate?user_code={code['user_code']}" == code["verification_uri_complete"]
    assert (900, 5) == (code["expires_in"], code["interval"])


def test_polls_find_the_code_pending_until_it_is_approved(flows, clock, code):
    seen = [poll(flows, code)]
    clock.now += 5
    seen.append(poll(flows, code))
    answer(flows, code, "approve", roles="admin")
    clock.now += 5
    status, given = poll(flows, code)
    claims = claims_of(flows, given)

    assert [(403, "authorization_pending")] * 2 == seen
    assert (200, AUDIENCE, "files:read", ["admin"]) == (
        status,
        claims["aud"][0],
        claims["scope"],
        claims[ROLES_CLAIM],
    )
    assert (403, "invalid_grant") == poll(flows, code)


def test_polling_too_fast_costs_five_seconds_more_from_then_on(flows, clock, code):
    poll(flows, code)
    clock.now += 4.9
    assert (429, "slow_down") == poll(flows, code)
    clock.now += 9.9
    assert (429, "slow_down") == poll(flows, code)
    clock.now += 15
    assert (403, "authorization_pending") == poll(flows, code)


def test_a_code_expires_once_and_is_unknown_after_that(flows, clock, code):
    clock.now += 900

    assert [(403, "expired_token"), (403, "invalid_grant")] == [poll(flows, code), poll(flows, code)]


def test_a_denied_code_is_denied_once_and_unknown_after_that(flows, clock, code):
    answer(flows, code, "deny")

    assert [(403, "access_denied"), (403, "invalid_grant")] == [poll(flows, code), poll(flows, code)]


def test_a_device_code_is_worth_nothing_to_another_client(flows, code):
    form = {"grant_type": DEVICE, "client_id": registered(flows).id, "device_code": code["device_code"]}

    assert (403, "unauthorized_client") == refused(flows.token, form, None)


@pytest.mark.parametrize(
    "more", [{"user_code": "XXXX-XXXX"}, {"answer": "perhaps"}, {"answer": ""}, {"login_hint": "nobody"}]
)
def test_an_activation_that_makes_no_sense_changes_nothing(flows, code, more):
    form = {"user_code": code["user_code"], "answer": "approve", **more}
    refused(flows.activate, form)

    assert (403, "authorization_pending") == poll(flows, code)
