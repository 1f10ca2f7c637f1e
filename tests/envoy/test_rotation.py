"""Keys come, keys go, and issuers fail in every way they can: what the running service makes of it.

A service asks an issuer at most once in a while for the sake of tokens, so each test begins with a service that has
just started and has not been made to ask.
"""

import dataclasses
import json
import secrets
import subprocess

import httpx
import jwt
import pytest

from authz.demo.issuer.faults import MODES
from authz.demo.probes import http_ready
from authz.demo.stack import Stack
from tests.support.running import another_gateway, metrics
from tests.support.tokens import b64
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

FLOOD = 300
SPARE_KIB = 48 * 1024
"""What a service may grow by while it reads a key set of 100 MB, of which it is to take 256 KiB."""


@pytest.fixture(scope="module")
def parts():
    """A stack whose issuer these tests change."""
    with Stack(forms=("native",)) as stack:
        yield stack


@pytest.fixture
def gateway(parts):
    """A gateway whose service has just started and knows the issuer's keys."""
    gateway = parts.gateways["native"]
    parts.outage("off")
    parts.supervisor.restart(gateway.service_name)
    assert eventually(lambda: ask(gateway.ports.envoy, parts.token(), call()).status == 200)
    yield gateway
    parts.outage("off")


def answered(gateway, token):
    """Give status and reason of a call of echo."""
    answer = ask(gateway.ports.envoy, token, call())
    return answer.status, answer.reason


def fetches(gateway, outcome):
    """Count the fetches of keys that ended so."""
    samples = metrics(gateway).items()
    return sum(
        v
        for name, v in samples
        if name.startswith("mcp_authz_jwks_fetches_total{") and f'"{outcome}"' in name
    )


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def forged(issuer):
    """A token under a key that nobody has."""
    header = {"alg": "RS256", "typ": "JWT", "kid": secrets.token_urlsafe(16)}
    return ".".join(b64(json.dumps(part).encode()) for part in (header, {"iss": issuer}, "no signature"))


def memory(parts, gateway):
    """Give the service's resident memory in KiB."""
    pid = parts.supervisor._running[gateway.service_name].pid
    listed = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listed.stdout)


def test_a_token_under_a_new_key_is_accepted_after_one_fetch(parts, gateway):
    old = parts.token()
    kid = parts.rotate()
    new = parts.token()

    assert kid == kid_of(new)
    assert eventually(lambda: answered(gateway, new) == (200, ""))
    assert (200, "") == answered(gateway, old)
    assert 2 == fetches(gateway, "ok")


def test_a_token_under_a_revoked_key_is_refused_from_the_next_fetch_on(parts, gateway):
    old = parts.token()
    before = answered(gateway, old)
    parts.rotate()
    parts.revoke(kid_of(old))
    meanwhile = answered(gateway, old)
    new = parts.token()

    assert ((200, ""), (200, "")) == (before, meanwhile)
    assert eventually(lambda: answered(gateway, new) == (200, ""))
    assert (401, "unknown_key") == answered(gateway, old)


def test_a_flood_of_unknown_keys_causes_one_fetch_and_nobody_else_notices(parts, gateway):
    token, before = parts.token(), fetches(gateway, "ok")
    url = f"http://127.0.0.1:{gateway.ports.envoy}/mcp"
    fixed = {"host": f"localhost:{gateway.ports.envoy}", "content-type": "application/json"}
    with httpx.Client(trust_env=False, timeout=DEADLINE, headers=fixed) as client:
        statuses = [
            client.post(
                url, content=call(), headers={"authorization": f"Bearer {forged(parts.issuer)}"}
            ).status_code
            for _ in range(FLOOD)
        ]

    assert [401] * FLOOD == statuses
    assert (1, 0) == (fetches(gateway, "ok") - before, fetches(gateway, "failed"))
    assert (200, "") == answered(gateway, token)


@pytest.mark.parametrize("mode", MODES)
def test_known_keys_outlive_an_issuer_that_fails_and_others_are_unknown(parts, gateway, mode):
    token, held = parts.token(), memory(parts, gateway)
    parts.outage(mode)
    refused = answered(gateway, forged(parts.issuer))
    during = answered(gateway, token)
    failed = eventually(lambda: fetches(gateway, "failed"))

    assert ((401, "unknown_key"), (200, "")) == (refused, during)
    assert 1 == failed
    assert (200, "") == answered(gateway, token)
    assert parts.supervisor.running(gateway.service_name)
    assert 200 == httpx.get(f"{gateway.http}/readyz", trust_env=False, timeout=DEADLINE).status_code
    assert memory(parts, gateway) - held < SPARE_KIB


@pytest.fixture(scope="module")
def keyless(parts):
    """A gateway whose service started while the issuer was down."""
    gateway = another_gateway(parts, "keyless")
    parts.outage("on")
    alive = http_ready(f"{gateway.http}/healthz")
    parts.supervisor.start(dataclasses.replace(gateway.service(), ready=alive))
    parts.supervisor.start(gateway.envoy())
    yield gateway
    parts.outage("off")


def test_a_service_that_starts_without_keys_refuses_everybody_until_the_issuer_is_back(parts, keyless):
    token, before = parts.token(), len(parts.arrivals())
    ready = httpx.get(f"{keyless.http}/readyz", trust_env=False, timeout=DEADLINE)
    answer = ask(keyless.ports.envoy, token, call("list_files"))
    parts.outage("off")

    assert (503, [parts.issuer]) == (ready.status_code, ready.json()["issuers_without_keys"])
    assert (503, "keys_unavailable") == (answer.status, answer.reason)
    assert "www-authenticate" not in answer.headers
    assert eventually(lambda: answered(keyless, token) == (200, ""))
    assert http_ready(f"{keyless.http}/readyz")()
    assert ["echo"] == [arrival.tool for arrival in parts.arrivals()[before:]]
