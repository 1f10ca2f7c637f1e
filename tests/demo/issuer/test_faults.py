"""Outages of the demo issuer: each mode fails in its own way, and ends when told to."""

import time

import httpx
import pytest

from tests.support.waiting import DEADLINE


def get(url):
    return httpx.get(url, trust_env=False, timeout=DEADLINE)


def post(url, **kwargs):
    return httpx.post(url, trust_env=False, **kwargs, timeout=DEADLINE)


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


def test_a_redirect_leads_to_the_keys_so_that_a_client_that_follows_it_is_noticed(served):
    post(f"{served.url}demo/outage/redirect")

    assert (
        served.jwks()
        == httpx.get(served.jwks_uri, trust_env=False, follow_redirects=True, timeout=DEADLINE).json()
    )


def test_a_huge_set_is_a_hundred_megabytes(served):
    post(f"{served.url}demo/outage/huge")
    with httpx.stream("GET", served.jwks_uri, trust_env=False, timeout=DEADLINE) as answer:
        size = sum(map(len, answer.iter_raw()))

    assert 100 * 1024 * 1024 == pytest.approx(size, abs=100)


@pytest.mark.parametrize(("mode", "began"), [("drip", True), ("nothing", False)])
def test_a_slow_answer_does_not_end_and_no_answer_does_not_begin(served, mode, began):
    post(f"{served.url}demo/outage/{mode}")

    assert (True, began) == times_out(served.jwks_uri)

    post(f"{served.url}demo/outage/off")

    assert served.jwks() == get(served.jwks_uri).json()
