"""The device flow's client against servers that answer in every way, with a clock that only sleeping moves."""

import httpx
import pytest

from authz.oauth.device import DeviceCode, PollClock, TokenRequest, poll_token, request_code
from authz.oauth.endpoints import Endpoints
from authz.oauth.exchange import OAuthFailure
from tests.support.oauth_server import ISSUER, PENDING, answering

ENDPOINTS = Endpoints(device=f"{ISSUER}device", token=f"{ISSUER}token")
ASKED = TokenRequest(client="id", audience="https://mcp-oauth-demo", scope="files:read")
CODE = DeviceCode(
    device_code="d",
    user_code="AB-CD",
    verification_uri=ISSUER,
    verification_uri_complete="",
    lifetime=900.0,
    interval=5.0,
)
TOKEN = (200, {"access_token": "a.b.c", "token_type": "Bearer"})
SLOW = (429, {"error": "slow_down"})


class Slept:
    """Time of a test: sleeping is noted and takes none."""

    def __init__(self):
        self.pauses = []

    def time(self):
        return PollClock(now=lambda: sum(self.pauses, 0.0), sleep=self.pauses.append)


def waited(*answers, code=CODE):
    http, seen = answering(*answers)
    slept = Slept()
    with http:
        try:
            outcome = poll_token(http, ENDPOINTS, ASKED, code, slept.time())["access_token"]
        except OAuthFailure as failure:
            outcome = str(failure)
    return outcome, slept.pauses, seen


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ([TOKEN], [5]),
        ([PENDING, PENDING, TOKEN], [5, 5, 5]),
        ([(400, PENDING[1]), TOKEN], [5, 5]),
        ([SLOW, PENDING, TOKEN], [5, 10, 10]),
        ([(400, SLOW[1]), (400, SLOW[1]), TOKEN], [5, 10, 15]),
        ([httpx.ConnectError("down"), TOKEN], [5, 10]),
        ([(503, b"busy"), PENDING, TOKEN], [5, 10, 10]),
    ],
)
def test_the_error_and_not_the_status_says_whether_and_how_long_to_wait(answers, pauses):
    outcome, slept, _ = waited(*answers)

    assert ("a.b.c", pauses) == (outcome, slept)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("access_denied", "the request was denied"),
        ("expired_token", "the code expired before it was confirmed; run the command again"),
        ("invalid_grant", "the issuer no longer knows the code; run the command again"),
        ("made_up", "the issuer answered with the error made_up"),
    ],
)
def test_every_other_error_is_the_end_and_a_sentence(status, error, sentence):
    outcome, slept, _ = waited((status, {"error": error}), TOKEN)

    assert (sentence, [5]) == (outcome, slept)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}),
        (200, b"<html>"),
        (200, {"access_token": ""}),
        (200, {"access_token": 7}),
        (200, {"access_token": "a\nb"}),
        (200, {"access_token": "a", "token_type": "DPoP"}),
        (200, ["access_token"]),
        (404, {}),
        (302, {"access_token": "a"}),
    ],
)
def test_an_answer_that_is_neither_token_nor_error_is_the_end(answer):
    outcome, slept, _ = waited(answer, TOKEN)

    assert outcome.endswith("but with no code, token or error")
    assert [5] == slept


@pytest.mark.parametrize("always", [PENDING, SLOW, httpx.ReadTimeout("slow")])
def test_waiting_ends_with_the_lifetime_of_the_code(always):
    outcome, slept, seen = waited(*[always] * 1000)

    assert "the code expired before it was confirmed; run the command again" == outcome
    assert sum(slept) < 900
    assert len(slept) == len(seen)


def test_a_poll_is_what_the_rfc_says():
    _, _, (request,) = waited(TOKEN)

    assert (
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d&client_id=id"
        == (request.content)
    )


GIVEN = {"device_code": "d", "user_code": "AB-CD", "verification_uri": f"{ISSUER}activate"}


def begun(*answers):
    http, seen = answering(*answers)
    with http:
        return request_code(http, ENDPOINTS, ASKED), seen


@pytest.mark.parametrize(
    ("more", "member", "value"),
    [
        ({}, "interval", 5.0),
        ({"interval": 2}, "interval", 2.0),
        ({"interval": 0}, "interval", 5.0),
        ({"interval": "2"}, "interval", 5.0),
        ({"interval": True}, "interval", 5.0),
        ({"expires_in": 60}, "lifetime", 60.0),
        ({}, "lifetime", 900.0),
        ({"expires_in": 1e12}, "lifetime", 86_400.0),
        ({"user_code": "AB\x1b[2J\r"}, "user_code", "AB [2J"),
        ({"verification_uri_complete": f"{ISSUER}a?c=1"}, "verification_uri_complete", f"{ISSUER}a?c=1"),
    ],
)
def test_a_code_is_read_with_care(more, member, value):
    code, _ = begun((200, GIVEN | more))

    assert value == getattr(code, member)


def test_both_names_of_the_audience_are_sent():
    _, (request,) = begun((200, GIVEN))

    assert {
        "client_id": "id",
        "audience": "https://mcp-oauth-demo",
        "resource": "https://mcp-oauth-demo",
        "scope": "files:read",
    } == dict(httpx.QueryParams(request.content.decode()))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((403, {"error": "unauthorized_client"}), "enable its Device Code grant"),
        ((403, {"error": "invalid_client"}), "is --client-id right"),
        (
            (403, {"error": "x", "error_description": "Service\x1b not found"}),
            r"error x \(Service  not found\)",
        ),
        ((404, b"nothing here"), "status 404"),
        ((200, GIVEN | {"verification_uri": "http://tenant.example/activate"}), "verification_uri is not"),
        ((200, GIVEN | {"verification_uri": None}), "verification_uri is not"),
        (
            (200, GIVEN | {"verification_uri_complete": "file:///etc/passwd"}),
            "verification_uri_complete is not",
        ),
        ((200, {"user_code": "AB"}), "with no code"),
        ((500, b""), "answered with status 500"),
        (httpx.ConnectError("secret detail"), r"tenant.example did not answer \(ConnectError\)$"),
    ],
)
def test_no_code_is_a_failure_with_a_sentence(answer, sentence):
    with pytest.raises(OAuthFailure, match=sentence):
        begun(answer)
