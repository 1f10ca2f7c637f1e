"""One trace through a real Envoy: client, Envoy, Check with its steps, rewriter and server, at one collector.

The module takes some seconds: it starts a gateway and an MCP server of its own, and runs a client as a program.
"""

import dataclasses
import subprocess
import sys
from functools import partial
from unittest.mock import patch

import pytest

from authz.demo import gateway as demo
from authz.demo.gateway import Gateway
from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child
from authz.render.address import Address
from authz.render.options import RenderOptions, Tracing
from authz.render.plan import plan
from tests.support.otlp import otlp_endpoint
from tests.support.running import another_gateway, metrics
from tests.support.tokens import A_DAY
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

FLUSH = (
    "\nlayered_runtime: {layers: [{name: here, static_layer: {tracing.opentelemetry.min_flush_spans: 1}}]}\n"
)
"""Export every span at once, where the default waits for five."""
NO_SAMPLE = "\nobservability: {percent: 0}\n"
"""Envoy alone decides what is sampled."""
SECRET, SUBJECT, SCOPE = "/inbox/canary-argument", "canary-subject", "canary:scope"
PEERS = (sys.executable, "-m", "tests.support.traced_peers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TracedGateway(Gateway):
    """A gateway both of whose parts send their spans to a collector."""

    otlp: str
    collector: int
    percent: float

    def service(self):
        child = super().service()
        return dataclasses.replace(child, argv=[*child.argv, "--otlp", self.otlp])

    def envoy(self):
        tracing = Tracing(collector=Address(host="127.0.0.1", port=self.collector), percent=self.percent)
        with patch.object(demo, "plan", partial(plan, options=RenderOptions(tracing=tracing))):
            child = super().envoy()
        file = child.argv[2]
        file.write_text(file.read_text() + FLUSH)
        return child


@pytest.fixture(scope="module")
def collector():
    with otlp_endpoint() as kept:
        yield kept


@pytest.fixture(scope="module")
def start(stack, collector):
    """Start a gateway whose Envoy samples a percentage, in front of a server."""

    def run(name, percent, upstream=""):
        plain = another_gateway(stack, name, upstream=upstream, edit=lambda text: f"{text}{NO_SAMPLE}")
        parts = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
        gateway = TracedGateway(**parts, otlp=collector.url, collector=collector.grpc_port, percent=percent)
        gateway.start()
        return gateway

    return run


@pytest.fixture(scope="module")
def told(stack, collector, start):
    """All spans of a client's session, and what it printed."""
    port = free_port()
    stack.supervisor.start(
        Child(
            name="traced-server",
            argv=[*PEERS, "server", collector.url, str(port)],
            ready=port_ready("127.0.0.1", port),
        )
    )
    gateway = start("traced", 100, f"http://127.0.0.1:{port}/mcp")
    token = stack.token(ttl=A_DAY, sub=SUBJECT, scope=SCOPE)
    ended = subprocess.run(
        [*PEERS, "client", collector.url, gateway.url, token, SECRET],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert 0 == ended.returncode, ended.stderr
    assert eventually(
        lambda: (
            {"agent", "rewrite", "Check tools/call", "Check tools/list"}
            <= {each.name for each in collector.spans()}
        )
    )
    assert eventually(lambda: 2 <= sum(each.name == "Check tools/call" for each in collector.spans()))
    return collector.spans(), ended.stdout, token


def one(spans, **wanted):
    (found,) = [each for each in spans if all(getattr(each, name) == value for name, value in wanted.items())]
    return found


def ancestors(spans, span):
    """The services and names above a span, from its parent to the root."""
    by_id = {each.id: each for each in spans}
    found = []
    while span.parent in by_id:
        span = by_id[span.parent]
        found.append((span.service, span.name))
    return found


def test_the_client_was_served_and_denied_as_the_policy_says(told):
    assert "echo,get_user_info allowed missing_role\n" == told[1]


def test_a_list_is_one_trace_from_the_client_through_envoy_check_and_rewriter_to_the_server(told):
    spans = told[0]
    check = one(spans, service="mcp-authz", name="Check tools/list")
    rewrite = one(spans, service="mcp-authz", name="rewrite", trace=check.trace)
    server = one(spans, service="server", name="tools/list")

    assert {check.trace} == {rewrite.trace, server.trace, one(spans, name="agent").trace}
    for ours in (check, rewrite):
        above = ancestors(spans, ours)
        assert ["mcp-gateway", "mcp-gateway"] == [service for service, _ in above[:2]]
        assert ("client", "agent") == above[-1]
    assert ("client", "agent") == ancestors(spans, server)[-1]
    assert (2, 3) == (
        rewrite.attributes["mcp_authz.list.kept"],
        rewrite.attributes["mcp_authz.list.trimmed"],
    )


def test_a_check_has_an_event_for_the_end_of_each_step_in_order(told):
    check = one(told[0], service="mcp-authz", name="Check tools/list").span
    times = [check.start_time_unix_nano, *(event.time_unix_nano for event in check.events)]

    steps = [event.name for event in check.events]
    # The first list is judged again once the rewriter has been looked for, so its token step may be there twice.
    assert ["parse", "token", "policy", "respond"] == list(dict.fromkeys(steps))
    assert sorted(times) == times
    assert times[-1] <= check.end_time_unix_nano + 1000  # of the float that a duration is


def test_a_denial_says_rule_and_reason_by_the_names_of_the_conventions(told):
    denied = one(
        [each for each in told[0] if each.attributes.get("gen_ai.tool.name") == "delete_file"],
        service="mcp-authz",
    )
    expected = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "2026-07-28",
        "mcp_authz.decision": "deny",
        "mcp_authz.reason": "missing_role",
        "mcp_authz.rule": "deleters",
        "mcp_authz.server": "demo",
        "error.type": "missing_role",
    }

    assert expected.items() <= denied.attributes.items()
    assert denied.attributes["jsonrpc.request.id"]
    assert (2, "missing_role") == (denied.span.status.code, denied.span.status.message)


def test_envoys_own_spans_say_the_same_by_the_same_names(told):
    denied = [
        each.attributes
        for each in told[0]
        if each.service == "mcp-gateway" and each.attributes.get("gen_ai.tool.name") == "delete_file"
    ]

    assert [("deny", "missing_role", "deleters", "tools/call")] == [
        tuple(
            said[name]
            for name in ("mcp_authz.decision", "mcp_authz.reason", "mcp_authz.rule", "mcp.method.name")
        )
        for said in denied
    ]


@pytest.mark.requirement("security.records-name-the-caller")
def test_no_token_no_argument_and_no_claim_is_in_what_the_collector_got(told, collector):
    token, everything = told[2], b"".join(collector.raw)
    parts = [part for part in token.split(".") if part]

    assert b"delete_file" in everything
    assert [] == [text for text in (token, *parts, SECRET, SUBJECT, SCOPE) if text.encode() in everything]


def test_where_envoy_samples_nothing_a_denial_makes_a_span_and_an_allow_none(stack, collector, start):
    gateway = start("unsampled", 0)
    before = len(collector.spans())
    port = gateway.ports.envoy
    sampled = [("traceparent", f"00-{'5' * 32}-{'6' * 16}-01")]
    assert 200 == ask(port, stack.token(ttl=A_DAY), call(), more=sampled).status
    ask(port, stack.token(ttl=A_DAY), call("delete_file", filename="x"), more=sampled)

    def spans():
        return [each for each in collector.spans()[before:] if each.name == "Check tools/call"]

    assert eventually(spans)
    (denied,) = spans()
    assert ("missing_role", "5" * 32) == (denied.attributes["mcp_authz.reason"], denied.trace)
    assert eventually(lambda: metrics(gateway).get('mcp_authz_spans_total{outcome="exported"}'))
