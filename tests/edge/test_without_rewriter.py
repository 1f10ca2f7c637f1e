"""A service and an Envoy that has no rewriter, Check by Check: what is refused, for how long, and what is told of it."""

import asyncio
import io
import json

import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz.core.reasons import Reason
from authz.core.response.presence import ALONE, DUE_SECONDS, IDLE_SECONDS
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from tests.edge.test_service import settings, the_token
from tests.support import core
from tests.support.clock import ManualClock
from tests.support.rpc import CallHere
from tests.support.waiting import DEADLINE

ENVOY = "127.0.0.1:10000"
LIST = ("POST", core.modern("tools/list"), core.mirrored("tools/list"))
RESUMED = ("GET", None, {})
LISTENED = (
    "POST",
    core.modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    core.mirrored("subscriptions/listen"),
)


def request(method, body, headers):
    message = auth_pb.CheckRequest()
    address = message.attributes.destination.address.socket_address
    address.address, address.port_value = "127.0.0.1", 10000
    http = message.attributes.request.http
    http.method, http.scheme, http.host, http.path = method, "https", "mcp.example", "/mcp"
    http.headers.update({"authorization": f"Bearer {the_token()}", **headers})
    if body is not None:
        http.headers["content-type"] = "application/json"
        http.raw_body = json.dumps(body).encode()
    return message.SerializeToString()


class Envoy:
    """Sends Checks to a service and runs no rewriter."""

    def __init__(self, service):
        self.service = service
        self.clock = service.presence._clock = ManualClock()
        self._checker = service.checker()

    def ask(self, method, body, headers):
        """Return the reason of the answer."""
        check = self._checker.check(request(method, body, headers), CallHere())
        answer = auth_pb.CheckResponse.FromString(asyncio.run(asyncio.wait_for(check, DEADLINE)))
        return Reason(answer.dynamic_metadata.fields["reason"].string_value)

    def ask_until_it_is_sure(self):
        assert [Reason.ALLOWED] * ALONE == [self.ask(*LIST) for _ in range(ALONE)]
        self.clock.now += DUE_SECONDS

    def told(self):
        """Return whether the metric, which `/readyz` reads too, names this Envoy."""
        return (
            f'mcp_authz_rewriter_missing{{listener="{ENVOY}"}} 1.0' in self.service.metrics.render().decode()
        )


@pytest.fixture
def envoy(tmp_path):
    audit = AuditLog(io.BytesIO())
    yield Envoy(Service(settings(tmp_path), audit))
    audit.close()


@pytest.mark.requirement("security.no-list-without-rewriter")
@pytest.mark.parametrize("asked", [LIST, RESUMED, LISTENED], ids=["list", "GET", "listen"])
def test_what_is_refused_for_want_of_a_rewriter_stays_refused_and_is_told_all_the_time(envoy, asked):
    envoy.ask_until_it_is_sure()
    seen = []
    for _ in range(10):
        seen.append((envoy.ask(*asked), envoy.told()))
        envoy.clock.now += IDLE_SECONDS / 3

    assert [(Reason.REWRITER_MISSING, True)] * 10 == seen


@pytest.mark.requirement("security.no-list-without-rewriter")
def test_an_envoy_that_was_not_used_for_long_gets_no_list_either_and_is_told_again(envoy):
    envoy.ask_until_it_is_sure()
    envoy.clock.now += 100 * IDLE_SECONDS
    before = envoy.told()

    assert [False, Reason.REWRITER_MISSING, True] == [before, envoy.ask(*LIST), envoy.told()]


def test_a_rewriter_that_comes_for_a_refusal_ends_it(envoy):
    envoy.ask_until_it_is_sure()
    refused = envoy.ask(*LIST)
    envoy.clock.now += 0.1
    envoy.service.presence.came(ENVOY)

    assert [Reason.REWRITER_MISSING, Reason.ALLOWED] == [refused, envoy.ask(*LIST)]
    assert not envoy.told()


def test_a_refusal_that_asks_for_the_rewriter_is_counted_as_asking(envoy):
    envoy.ask_until_it_is_sure()
    envoy.ask(*LIST)
    figures = envoy.service.metrics.render().decode()

    assert f'mcp_authz_rewrites_asked_total{{server="files"}} {ALONE + 1}.0' in figures
