"""Clusters: each one that is named exists, and how it is reached."""

import dataclasses

import pytest

from authz.render.chain import Address
from tests.support.chains import BOOTSTRAPS, SEVERAL, SIDECAR
from tests.support.rendered import found, routes, tree

CHAINS = pytest.mark.parametrize("chain", BOOTSTRAPS.values(), ids=BOOTSTRAPS.keys())


@CHAINS
def test_every_cluster_that_is_named_exists(chain):
    """Envoy's own validation does not look at gRPC services."""
    rendered_tree = tree(chain)
    clusters = [c["name"] for c in rendered_tree["static_resources"]["clusters"]]
    services = {service["envoy_grpc"]["cluster_name"] for service in found(rendered_tree, "grpc_service")}
    routed = {route["route"]["cluster"] for _, route in routes(chain) if "route" in route}

    assert {"authz", "rewriter"} == services
    assert sorted(services | routed) == sorted(clusters)


@pytest.mark.parametrize(
    ("cluster", "kind", "address"),
    [
        ("mcp-orders", "STRICT_DNS", {"address": "orders.internal", "port_value": 8080}),
        ("mcp-files", "STATIC", {"address": "fd00::8", "port_value": 8080}),
        ("mcp-status", "STATIC", {"address": "192.0.2.7", "port_value": 8080}),
        ("authz", "STRICT_DNS", {"address": "mcp-authz.internal", "port_value": 9001}),
    ],
)
def test_names_are_looked_up_and_addresses_are_not(cluster, kind, address):
    config = next(c for c in tree(SEVERAL)["static_resources"]["clusters"] if c["name"] == cluster)

    assert (kind, [address]) == (config["type"], list(found(config, "socket_address")))


def test_a_unix_socket_is_a_pipe():
    clusters = {c["name"]: c for c in tree(SIDECAR)["static_resources"]["clusters"]}

    assert [{"path": "/run/mcp-authz/authz.sock"}] == list(found(clusters["authz"], "pipe"))
    assert [{"path": "/run/mcp-authz/authz.sock"}] == list(found(clusters["rewriter"], "pipe"))


def test_the_service_is_found_on_loopback_when_it_listens_everywhere():
    clusters = tree(dataclasses.replace(SIDECAR, service=Address.parse(":9001")))["static_resources"][
        "clusters"
    ]

    assert {"127.0.0.1"} == {
        s["address"] for c in clusters if c["name"] == "authz" for s in found(c, "socket_address")
    }


def test_a_tls_upstream_is_verified_by_its_name():
    cluster = next(c for c in tree(SEVERAL)["static_resources"]["clusters"] if c["name"] == "mcp-search")
    context = cluster["transport_socket"]["typed_config"]

    assert ("search.example.net", True) == (context["sni"], context["auto_sni_san_validation"])
    assert {"filename": SEVERAL.trusted_ca} == context["common_tls_context"]["validation_context"][
        "trusted_ca"
    ]


@CHAINS
def test_only_the_bulkheads_of_the_service_are_small(chain):
    clusters = {c["name"]: c for c in tree(chain)["static_resources"]["clusters"]}
    limits = {
        name: c["circuit_breakers"]["thresholds"][0]["max_requests"]
        for name, c in clusters.items()
        if "circuit_breakers" in c
    }

    assert (2048, 4096) == (limits["authz"], limits["rewriter"])
    assert ["authz"] == [name for name, c in clusters.items() if "health_checks" in c]
