"""Clusters: each one that is named exists, and how it is reached."""

import dataclasses

import pytest

from authz.render.address import Address
from tests.support.chains import BOOTSTRAPS, MTLS, SEVERAL, SIDECAR
from tests.support.rendered import found, routes, tree

CHAINS = pytest.mark.parametrize("chain", BOOTSTRAPS.values(), ids=BOOTSTRAPS.keys())


@CHAINS
def test_every_cluster_that_is_named_exists(chain):
    """Envoy's own validation does not look at gRPC services."""
    rendered_tree = tree(chain)
    clusters = [c["name"] for c in rendered_tree["static_resources"]["clusters"]]
    services = {service["envoy_grpc"]["cluster_name"] for service in found(rendered_tree, "grpc_service")}
    routed = {route["route"]["cluster"] for _, route in routes(chain) if "route" in route}

    traced = {"otel"} if chain.options.tracing else set()
    assert {"authz", "rewriter", "rewriter_lists", "rewriter_streams"} | traced == services
    assert sorted(services | routed) == sorted(clusters)


@pytest.mark.parametrize(
    ("chain", "cluster", "kind", "address"),
    [
        (SEVERAL, "mcp-orders", "STRICT_DNS", {"address": "orders.internal", "port_value": 8080}),
        (SEVERAL, "mcp-files", "STATIC", {"address": "fd00::8", "port_value": 8080}),
        (SEVERAL, "mcp-status", "STATIC", {"address": "192.0.2.7", "port_value": 8080}),
        (MTLS, "authz", "STRICT_DNS", {"address": "mcp-authz.internal", "port_value": 9001}),
    ],
)
def test_names_are_looked_up_and_addresses_are_not(chain, cluster, kind, address):
    config = next(c for c in tree(chain)["static_resources"]["clusters"] if c["name"] == cluster)

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


def _tls(chain, cluster):
    config = next(c for c in tree(chain)["static_resources"]["clusters"] if c["name"] == cluster)
    return config["transport_socket"]["typed_config"] if "transport_socket" in config else None


@pytest.mark.parametrize(
    ("upstream", "sni", "name"),
    [
        ("search.example.net", "search.example.net", {"san_type": "DNS", "exact": "search.example.net"}),
        ("192.0.2.7", None, {"san_type": "IP_ADDRESS", "exact": "192.0.2.7"}),
        ("fd00::8", None, {"san_type": "IP_ADDRESS", "exact": "fd00::8"}),
    ],
)
def test_the_certificate_of_a_tls_upstream_must_be_for_its_host(upstream, sni, name):
    endpoint = dataclasses.replace(SEVERAL.endpoints[1], upstream_host=upstream)
    context = _tls(dataclasses.replace(SEVERAL, endpoints=(endpoint,)), "mcp-search")
    trust = context["common_tls_context"]["validation_context"]
    (wanted,) = trust["match_typed_subject_alt_names"]

    assert ({"filename": SEVERAL.options.upstream_ca}, sni) == (trust["trusted_ca"], context.get("sni"))
    assert name == {"san_type": wanted["san_type"], **wanted["matcher"]}


def test_a_plain_upstream_has_no_transport_socket():
    assert _tls(SEVERAL, "mcp-orders") is None


def test_mutual_tls_is_for_what_decides_and_the_metadata_is_public():
    contexts = {name: _tls(MTLS, name) for name in ("authz", "rewriter", "authz_http")}
    common = contexts["authz"]["common_tls_context"]
    (shown,) = common["tls_certificates"]

    assert contexts["authz"] == contexts["rewriter"]
    assert contexts["authz_http"] is None
    assert ["h2"] == common["alpn_protocols"]
    assert "/etc/mcp-authz/envoy.key" == shown["private_key"]["filename"]
    assert "mcp-authz.internal" == contexts["authz"]["sni"]


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
