"""Virtual hosts and routes: who reaches which server, and that nothing goes unjudged."""

import dataclasses

import pytest

from authz.render.model import METADATA_PATH, Endpoint
from authz.render.options import RenderOptions
from authz.render.routes import virtual_hosts
from tests.support.chains import BOOTSTRAPS, SEVERAL, SIDECAR
from tests.support.rendered import CORS, EXT_AUTHZ, manager, routes

CHAINS = pytest.mark.parametrize("chain", BOOTSTRAPS.values(), ids=BOOTSTRAPS.keys())


@CHAINS
def test_only_the_metadata_route_is_without_authorization(chain):
    unjudged = [route for _, route in routes(chain) if EXT_AUTHZ in route.get("typed_per_filter_config", {})]

    assert {"metadata"} == {route["name"] for route in unjudged}
    assert all(route["match"] == {"path_separated_prefix": METADATA_PATH} for route in unjudged)
    assert {"authz_http"} == {route["route"]["cluster"] for route in unjudged}


@CHAINS
def test_every_virtual_host_ends_in_404_for_everything(chain):
    last = [host["routes"][-1] for host in manager(chain)["route_config"]["virtual_hosts"]]

    assert all(
        {"name": "none", "match": {"prefix": "/"}, "direct_response": {"status": 404}} == route
        for route in last
    )


@CHAINS
@pytest.mark.requirement("protocol.idle-streams")
def test_an_sse_response_is_not_cut_by_the_routes_timeout(chain):
    routed = [route["route"] for _, route in routes(chain) if route["name"].startswith("mcp-")]

    assert {("0s", "600s")} == {(route["timeout"], route["idle_timeout"]) for route in routed}


def test_a_named_host_serves_its_own_endpoints_and_those_of_any_host():
    hosts = {
        tuple(h["domains"]): [r["name"] for r in h["routes"]]
        for h in manager(SEVERAL)["route_config"]["virtual_hosts"]
    }
    expected = {
        ("orders.example.com",): ["metadata", "mcp-orders-preflight", "mcp-orders", "mcp-status", "none"],
        ("tools.example.com",): [
            "metadata",
            "mcp-search-preflight",
            "mcp-search",
            "mcp-files",
            "mcp-status",
            "none",
        ],
        ("*",): ["metadata", "mcp-status", "none"],
    }

    assert expected == hosts


def test_a_hosts_own_endpoint_wins_over_one_for_any_host():
    own = Endpoint(
        name="own",
        hosts=("A.example:8443", "b.example"),
        path="/mcp",
        upstream_host="u.example",
        upstream_port=80,
    )
    chain = dataclasses.replace(
        SIDECAR, endpoints=(dataclasses.replace(SIDECAR.endpoints[0], hosts=("*",)), own)
    )
    served = {
        tuple(host["domains"]): route["route"]["cluster"]
        for host, route in routes(chain)
        if route["name"].startswith("mcp-")
    }

    assert {("a.example", "b.example"): "mcp-own", ("*",): "mcp-demo"} == served


def test_a_host_that_serves_what_any_host_serves_needs_no_virtual_host():
    chain = dataclasses.replace(
        SIDECAR, endpoints=(dataclasses.replace(SIDECAR.endpoints[0], hosts=("*", "localhost:10000")),)
    )

    assert [["*"]] == [host["domains"] for host, route in routes(chain) if route["name"] == "none"]


def test_hosts_without_endpoints_get_nothing():
    only = Endpoint(
        name="own", hosts=("a.example",), path="/mcp", upstream_host="u.example", upstream_port=80
    )
    chain = dataclasses.replace(SIDECAR, endpoints=(only,))

    assert ["none"] == [route["name"] for host, route in routes(chain) if host["domains"] == ["*"]]


def test_cors_is_set_where_origins_are_listed_and_only_there():
    policies = {
        r["name"]: r.get("typed_per_filter_config", {}).get(CORS)
        for _, r in routes(SEVERAL)
        if r["name"] != "metadata"
    }

    assert [{"exact": "https://chat.example.com"}] == policies["mcp-orders"]["allow_origin_string_match"]
    assert [{"safe_regex": {"regex": ".*"}}] == policies["mcp-search"]["allow_origin_string_match"]
    assert (None, None, None) == (policies["mcp-files"], policies["mcp-status"], policies["none"])
    assert not {"allow_private_network_access", "allow_credentials"} & set(policies["mcp-search"])


def test_a_health_path_is_served_at_every_host_before_all_else_and_nowhere_by_default():
    asked = virtual_hosts(dataclasses.replace(SEVERAL, options=RenderOptions(health_path="/up")))

    assert {"health"} == {host.routes[0].name for host in asked}
    assert "health" not in {route.name for host in virtual_hosts(SEVERAL) for route in host.routes}
    assert {"/up"} == {host.routes[0].match.path for host in asked}


def test_a_health_path_takes_no_servers_path_away():
    with pytest.raises(ValueError, match="is the path of an MCP server"):
        dataclasses.replace(SEVERAL, options=RenderOptions(health_path=SEVERAL.endpoints[0].path))
