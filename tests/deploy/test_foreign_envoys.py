"""Envoy Gateway's and Istio's Envoys with the overlays, driven with real requests; `tests.support.cluster_envoys` says how.

What each cannot do without the patch is shown first.
"""

import json

import pytest

from authz.demo.ports import free_port
from authz.demo.stack import Stack
from tests.support import cluster_envoys
from tests.support.manifests import built, container, walk
from tests.support.real_envoy import running_envoy
from tests.support.running import EVERYTHING, arrived, socket_of
from tests.support.waiting import eventually
from tests.support.wire import ask, call, message
from tests.support.yaml_text import read_yaml, write_yaml


@pytest.fixture(scope="module")
def stack():
    """The demo's parts, the MCP server answering to the name by which a gateway calls it, as in the manifests."""
    server = container(built("overlays/istio"), "mcp-server", "mcp-server")["args"]
    name = server[server.index("--expose") + 1]
    with Stack(forms=("native",), mcp_arguments=("--expose", name)) as running:
        yield running


def places(stack, *names):
    """Where each kind of cluster is led to: the check, the rewriter, the service's HTTP port, the MCP server."""
    gateway = stack.gateways["native"]
    pipe = {"pipe": {"path": str(socket_of(gateway))}}
    http, server = (
        {"socket_address": {"address": "127.0.0.1", "port_value": int(port)}}
        for port in (gateway.ports.http, stack.upstream.split(":")[2].split("/")[0])
    )
    return dict(zip(names, (pipe, pipe, http, server), strict=True))


def gateway_places(stack):
    return places(
        stack, "securitypolicy/", "envoyextensionpolicy/", "httproute/mcp/mcp-metadata/", "httproute/mcp/mcp/"
    )


def istio_places(stack):
    host = "mcp.svc.cluster.local"
    return places(
        stack,
        f"outbound|9001||mcp-authz.{host}",
        f"outbound|9001||mcp-rewriter.{host}",
        f"outbound|9002||mcp-authz.{host}",
        f"outbound|8080||mcp-server.{host}",
    )


WRITTEN = {
    "envoy gateway": lambda stack, port: cluster_envoys.envoy_gateway(port, gateway_places(stack)),
    "istio": lambda stack, port: cluster_envoys.istio(port, istio_places(stack)),
}


@pytest.fixture(scope="module", params=WRITTEN)
def envoy(request, stack, tmp_path_factory):
    """Its port; requests bear the Host by which the demo's policy knows its server."""
    port = free_port()
    with running_envoy(
        WRITTEN[request.param](stack, port), port, tmp_path_factory.mktemp("envoy")
    ) as running:
        yield running


def asked(stack, envoy, token, body, **changes):
    host = f"localhost:{stack.gateways['native'].ports.envoy}"
    return ask(envoy.port, token, body, change={"host": host, **changes.pop("change", {})}, **changes)


def test_a_list_holds_three_of_five_tools_and_all_five_for_an_admin(stack, envoy):
    user = stack.token(scope="files:read files:delete")
    admin = stack.token(**EVERYTHING)

    assert ["echo", "get_user_info", "list_files"] == asked(stack, envoy, user, message("tools/list")).tools
    assert 5 == len(asked(stack, envoy, admin, message("tools/list")).tools)


def test_a_call_is_decided_by_the_rules_and_what_is_denied_does_not_arrive(stack, envoy):
    user = stack.token(scope="files:read")

    denied = [("system_status", {}, "no_rule"), ("delete_file", {"filename": "/inbox/a"}, "missing_role")]
    for tool, arguments, reason in denied:
        seen = arrived(
            stack, lambda t=tool, a=arguments, r=reason: _denied(stack, envoy, user, call(t, **a), r)
        )
        assert [] == seen
    assert 200 == asked(stack, envoy, user, call("list_files", path="/")).status


def _denied(stack, envoy, token, body, reason):
    assert reason == asked(stack, envoy, token, body).reason


def test_without_a_token_there_is_a_challenge(stack, envoy):
    answer = asked(stack, envoy, None, call())

    assert (401, "missing_token") == (answer.status, answer.reason)
    assert "resource_metadata=" in answer.headers["www-authenticate"]


def test_identity_headers_of_a_client_do_not_arrive_in_any_spelling(stack, envoy):
    forged = [("x-mcp-subject", "admin"), ("X-Mcp-Subject", "admin"), ("x-mcp-issuer", "evil")]
    answer = asked(stack, envoy, stack.token(sub="alice"), call("get_user_info"), more=forged)

    [told] = {item["text"] for item in json.loads(answer.body)["result"]["content"]}
    assert "alice" == json.loads(told)["subject"]


def test_a_body_that_is_too_large_is_413_and_arrives_nowhere(stack, envoy):
    body = call("echo", message="x" * (1 << 20))

    assert [] == arrived(stack, lambda: _too_large(stack, envoy, body))


def _too_large(stack, envoy, body):
    answer = asked(stack, envoy, stack.token(), body)
    assert (413, "body_too_large") == (answer.status, answer.reason)


def test_a_route_is_not_upgraded_to_a_websocket(stack, envoy):
    """ext_authz does not see the body of such a request."""
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }

    seen = arrived(
        stack, lambda: _not_upgraded(asked(stack, envoy, stack.token(), call("echo"), change=upgrade))
    )

    assert [] == seen


def _not_upgraded(answer):
    assert 403 == answer.status


def test_the_decision_is_in_the_access_log(stack, envoy):
    asked(stack, envoy, stack.token(sub="logged"), call("system_status"))

    # The log leaves out what is empty, and it begins with what other tests asked.
    assert eventually(lambda: any({"sub", "tool", "reason"} <= line.keys() for line in envoy.access_log(1)))


def test_envoy_gateways_own_policies_alone_refuse_every_call_as_they_cannot_hand_over_raw_bytes(
    stack, tmp_path
):
    port = free_port()
    text = cluster_envoys.envoy_gateway(port, gateway_places(stack), without="EnvoyPatchPolicy")

    found = {path.rpartition(".")[2] for path, _ in walk(read_yaml(text))}
    with running_envoy(text, port, tmp_path) as running:
        answer = asked(stack, running, stack.token(), call())

    assert not {"packAsBytes", "decoderHeaderMutationRules", "xdsMatcher"} & found
    assert (400, "partial_body") == (answer.status, answer.reason)


@pytest.mark.requirement("security.no-list-without-rewriter")
@pytest.mark.parametrize(("kind", "named"), [("envoy gateway", "ext_proc"), ("istio", "mcp-rewrite")])
def test_without_the_rewriter_envoy_refuses_a_list_itself(stack, tmp_path, kind, named):
    port = free_port()
    tree = read_yaml(WRITTEN[kind](stack, port))
    chains = [value for path, value in walk(tree) if path.endswith((".http_filters", ".httpFilters"))]
    (taken,) = (each for chain in chains for each in chain if named in each["name"])
    harmless = {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}
    taken["typedConfig" if "typedConfig" in taken else "typed_config"] = harmless

    with running_envoy(write_yaml(tree), port, tmp_path) as envoy:
        answers = [
            asked(stack, envoy, stack.token(sub=name), message("tools/list")) for name in ("ann", "ben")
        ]
        assert 200 == asked(stack, envoy, stack.token(), call()).status
    assert [503, 503] == [each.status for each in answers]
    assert not any(b"echo" in each.body for each in answers)
