"""A service and an Envoy that has no rewriter, Check by Check: what is refused, for how long, and what is told of it."""

import asyncio
import io
import json

import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from google.protobuf import json_format

from authz.core.reasons import Reason
from authz.core.response.presence import DUE_SECONDS, IDLE_SECONDS, TOLD_SECONDS
from authz.edge.envoy.ext_authz import read_request
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from tests.edge.test_service import settings, the_token
from tests.support import core
from tests.support.clock import ManualClock
from tests.support.rpc import CallHere
from tests.support.waiting import DEADLINE

ENVOY = "127.0.0.1:10000"
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
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
    """Sends Checks to a service, and runs a rewriter where it has one."""

    def __init__(self, service):
        self.service = service
        self.clock = service.rewriters.presence.clock = ManualClock()
        self.has_rewriter = False
        self._checker, self._processor = service.checker(), service.processor()

    def ask(self, method, body, headers):
        """Return the reason of the answer."""
        check = self._checker.check(request(method, body, headers), CallHere())
        answer = auth_pb.CheckResponse.FromString(asyncio.run(asyncio.wait_for(check, DEADLINE)))
        said = answer.dynamic_metadata.fields
        if self.has_rewriter and said["rewrite"].bool_value:
            self._processor._readers.find({"envoy.filters.http.ext_authz": answer.dynamic_metadata})
        return Reason(said["reason"].string_value)

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
def test_nothing_passes_from_the_first_request_on_and_it_is_told_all_the_time(envoy, asked):
    seen = [envoy.ask(*asked), *(envoy.ask(*LIST) for _ in range(2))]
    envoy.clock.now += TOLD_SECONDS
    told = []
    for _ in range(10):
        seen.append(envoy.ask(*asked))
        told.append(envoy.told())
        envoy.clock.now += IDLE_SECONDS / 3

    assert [Reason.REWRITER_MISSING] * 13 == seen
    assert [True] * 10 == told


@pytest.mark.requirement("security.no-list-without-rewriter")
def test_an_envoy_that_was_not_used_for_long_gets_no_list_either_and_is_told_again(envoy):
    for _ in range(2):
        envoy.ask(*LIST)
    envoy.clock.now += 100 * IDLE_SECONDS
    before = envoy.told()

    assert [False, Reason.REWRITER_MISSING, True] == [before, envoy.ask(*LIST), envoy.told()]


@pytest.mark.requirement("security.no-list-without-rewriter")
@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (("POST", core.message("initialize", INITIALIZE), {}), Reason.ALLOWED),
        (("POST", core.modern("server/discover"), core.mirrored("server/discover")), Reason.ALLOWED),
        (("POST", core.message("ping"), {}), Reason.ALLOWED),
        (("POST", core.message("ping"), {"authorization": "none"}), Reason.MALFORMED_TOKEN),
        (("POST", core.message("tools/call", {"name": "unknown"}), {}), Reason.NO_RULE),
        (LIST, Reason.REWRITER_MISSING),
    ],
    ids=["initialize", "discover", "ping", "401", "403", "list"],
)
def test_what_goes_before_a_list_shows_the_rewriter_so_that_the_list_passes(envoy, first, reason):
    envoy.has_rewriter = True

    assert [reason, Reason.ALLOWED] == [envoy.ask(*first), envoy.ask(*LIST)]
    assert not envoy.told()


def test_what_was_seen_outlives_a_change_of_the_policy(envoy, tmp_path):
    envoy.has_rewriter = True
    envoy.ask(*LIST)
    asyncio.run(envoy.service.apply(settings(tmp_path)))

    assert Reason.ALLOWED is envoy.ask(*LIST)


@pytest.mark.requirement("security.no-list-without-rewriter")
def test_after_it_was_taken_away_the_caller_who_saw_a_list_whole_gets_no_other(envoy):
    envoy.has_rewriter = True
    envoy.ask(*LIST)
    envoy.has_rewriter = False
    seen = [envoy.ask(*LIST)]
    envoy.clock.now += DUE_SECONDS
    seen += [envoy.ask(*LIST) for _ in range(2)]
    envoy.has_rewriter = True
    seen += [envoy.ask(*LIST) for _ in range(2)]

    missing = Reason.REWRITER_MISSING
    assert [Reason.ALLOWED, missing, missing, missing, Reason.ALLOWED] == seen


def test_who_has_no_token_cannot_have_it_told_that_the_rewriter_is_missing(envoy):
    for _ in range(10):
        envoy.ask("POST", core.message("ping"), {"authorization": "none"})
        envoy.clock.now += TOLD_SECONDS

    assert not envoy.told()


def test_a_refusal_that_asks_for_the_rewriter_is_counted_as_asking(envoy):
    envoy.ask(*LIST)
    envoy.ask(*LIST)
    figures = envoy.service.metrics.render().decode()

    assert 'mcp_authz_rewrites_asked_total{server="files"} 2.0' in figures


@pytest.mark.parametrize(
    ("address", "listener"),
    [
        ({"socket_address": {"address": "10.0.0.1", "port_value": 80}}, "10.0.0.1:80"),
        ({"pipe": {"path": "/run/envoy.sock"}}, "unix:/run/envoy.sock"),
        ({"envoy_internal_address": {"server_listener_name": "mcp"}}, "internal:mcp"),
        ({}, ""),
    ],
)
def test_a_listener_is_known_by_its_address_of_whatever_kind(address, listener):
    message = auth_pb.CheckRequest()
    json_format.ParseDict({"attributes": {"destination": {"address": address}}}, message)

    assert listener == read_request(message).listener()
