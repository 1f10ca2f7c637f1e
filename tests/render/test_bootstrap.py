"""What security rests on in the rendered configuration, and Envoy's own opinion of it."""

import dataclasses
import functools
import subprocess
import sys

import certifi
import pytest
import yaml
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from authz.render.bootstrap import bootstrap, filters, message
from authz.render.chain import METADATA_PATH, Address, Endpoint
from authz.render.extensions import IDENTITY_HEADERS
from authz.render.notes import NOTES
from tests.support.chains import BOOTSTRAPS, CURE, EXAMPLES_DIR, SEVERAL, SIDECAR, STANDALONE, rendered
from tests.support.real_envoy import validate

EXT_AUTHZ = "envoy.filters.http.ext_authz"
CORS = "envoy.filters.http.cors"
CHAINS = pytest.mark.parametrize("chain", BOOTSTRAPS.values(), ids=BOOTSTRAPS.keys())


@functools.cache
def tree(chain):
    """The rendered bootstrap, read as Envoy reads it."""
    return yaml.safe_load(bootstrap(chain))


def manager(chain):
    """The connection manager of a rendered bootstrap."""
    listener = tree(chain)["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def filter_named(chain, name):
    """One HTTP filter's configuration."""
    return next(f["typed_config"] for f in manager(chain)["http_filters"] if f["name"] == name)


def ext_proc(chain):
    """The processor's configuration, inside its matcher."""
    (matcher,) = filter_named(chain, "mcp-rewrite")["xds_matcher"]["matcher_list"]["matchers"]
    return matcher["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"]


def routes(chain):
    """(virtual host, route) for every route, in order."""
    return [
        (host, route) for host in manager(chain)["route_config"]["virtual_hosts"] for route in host["routes"]
    ]


def found(value, key):
    """Every value under a key, at any depth."""
    items = (
        value.items()
        if isinstance(value, dict)
        else ((None, item) for item in value)
        if isinstance(value, list)
        else ()
    )
    for name, item in items:
        if name == key:
            yield item
        yield from found(item, key)


@pytest.mark.parametrize("name", rendered())
def test_the_examples_are_what_the_renderer_gives(name):
    assert rendered()[name] == (EXAMPLES_DIR / name).read_text("utf-8"), f"render them anew: {CURE}"


@CHAINS
def test_the_same_chain_gives_the_same_bytes(chain):
    assert bootstrap(chain) == bootstrap(dataclasses.replace(chain))


@CHAINS
def test_envoy_accepts_the_bootstrap(chain, tmp_path):
    done = validate(bootstrap(dataclasses.replace(chain, trusted_ca=certifi.where())), tmp_path)

    assert 0 == done.returncode, done.stderr
    assert "deprecated" not in done.stderr.lower()


def test_envoy_rejects_a_bootstrap_with_an_unknown_field(tmp_path):
    """So that the tests above could fail."""
    done = validate(bootstrap(SIDECAR).replace("failure_mode_allow:", "failure_mode_allowed:"), tmp_path)

    assert 1 == done.returncode


@CHAINS
def test_the_text_says_no_less_than_the_typed_message(chain):
    assert bytes(message(chain)) == bytes(Bootstrap.from_dict(tree(chain)))


@CHAINS
def test_every_cluster_that_is_named_exists(chain):
    """Envoy's own validation does not look at gRPC services."""
    rendered_tree = tree(chain)
    clusters = [c["name"] for c in rendered_tree["static_resources"]["clusters"]]
    services = {service["envoy_grpc"]["cluster_name"] for service in found(rendered_tree, "grpc_service")}
    routed = {route["route"]["cluster"] for _, route in routes(chain) if "route" in route}

    assert {"authz", "rewriter"} == services
    assert sorted(services | routed) == sorted(clusters)


@CHAINS
def test_cors_comes_before_ext_authz_before_the_rewrite_before_the_router(chain):
    names = [f["name"] for f in manager(chain)["http_filters"]]

    assert [CORS, EXT_AUTHZ, "mcp-rewrite", "envoy.filters.http.router"] == names


@CHAINS
def test_ext_authz_fails_closed_and_judges_whole_exact_bodies(chain):
    config = filter_named(chain, EXT_AUTHZ)
    body = {
        "max_request_bytes": chain.max_request_bytes,
        "allow_partial_message": False,
        "pack_as_bytes": True,
    }
    settings = ("failure_mode_allow", "clear_route_cache", "validate_mutations", "encode_raw_headers")

    assert body == config["with_request_body"]
    assert (False, False, True, True) == tuple(config[name] for name in settings)
    assert {"code": "ServiceUnavailable"} == config["status_on_error"]


@CHAINS
def test_no_setting_weakens_ext_authz(chain):
    weak = {
        "filter_enabled",
        "filter_enabled_metadata",
        "deny_at_disable",
        "failure_mode_allow_header_add",
        "shadow_mode",
        "enable_dynamic_metadata_ingestion",
        "allowed_headers",
    }

    assert set() == weak & set(filter_named(chain, EXT_AUTHZ))


@CHAINS
def test_a_try_ends_before_the_check_does(chain):
    service = filter_named(chain, EXT_AUTHZ)["grpc_service"]
    longest = service["retry_policy"]["retry_back_off"]["max_interval"]

    assert f"{chain.check_timeout:g}s" == service["timeout"]
    assert float(longest.removesuffix("s")) < chain.check_timeout


@CHAINS
def test_the_service_may_change_only_identity_headers_the_token_and_accept_encoding(chain):
    rules = filter_named(chain, EXT_AUTHZ)["decoder_header_mutation_rules"]
    names = "|".join((*IDENTITY_HEADERS, "authorization", "accept-encoding"))

    assert {
        "disallow_all": True,
        "allow_expression": {"regex": f"^({names})$"},
        "disallow_is_error": True,
    } == rules


@CHAINS
def test_every_identity_header_is_removed_before_any_filter(chain):
    (early,) = manager(chain)["early_header_mutation_extensions"]

    assert [{"remove": name} for name in IDENTITY_HEADERS] == early["typed_config"]["mutations"]


@CHAINS
def test_the_rewrite_runs_only_where_ext_authz_asked_for_it(chain):
    (matcher,) = filter_named(chain, "mcp-rewrite")["xds_matcher"]["matcher_list"]["matchers"]
    asked = matcher["predicate"]["single_predicate"]

    assert (EXT_AUTHZ, [{"key": "rewrite"}]) == tuple(
        asked["input"]["typed_config"][k] for k in ("filter", "path")
    )
    assert {"bool_match": True} == asked["custom_match"]["typed_config"]["value"]


@CHAINS
def test_the_rewrite_fails_closed_and_sees_only_responses(chain):
    config = ext_proc(chain)
    modes = {
        "request_header_mode": "SKIP",
        "request_body_mode": "NONE",
        "request_trailer_mode": "SKIP",
        "response_header_mode": "SEND",
        "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": "SEND",
    }

    assert (False, modes) == (config["failure_mode_allow"], config["processing_mode"])
    assert (
        "^(content-length|etag|content-digest|digest|x-mcp-trimmed)$"
        == config["mutation_rules"]["allow_expression"]["regex"]
    )


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
def test_an_sse_response_is_not_cut_by_the_routes_timeout(chain):
    routed = [route["route"] for _, route in routes(chain) if route["name"].startswith("mcp-")]

    assert {("0s", "600s")} == {(route["timeout"], route["idle_timeout"]) for route in routed}


@CHAINS
def test_the_access_log_names_no_whole_namespace(chain):
    fields = next(form for form in found(manager(chain), "json_format") if "ts" in form)

    assert 13 == sum(value.startswith(f"%DYNAMIC_METADATA({EXT_AUTHZ}:") for value in fields.values())
    assert not [value for value in fields.values() if value.startswith(f"%DYNAMIC_METADATA({EXT_AUTHZ})")]
    assert not {"caller", "authorization", "cookie"} & set(fields)


def test_without_an_access_log_none_is_written():
    assert "access_log" not in manager(dataclasses.replace(SIDECAR, access_log=False))


def test_admin_is_off_unless_asked_for():
    assert "admin" not in tree(SIDECAR)
    assert {"socket_address": {"address": "127.0.0.1", "port_value": 10001}} == tree(STANDALONE)["admin"][
        "address"
    ]


def test_a_named_host_serves_its_own_endpoints_and_those_of_any_host():
    hosts = {
        tuple(h["domains"]): [r["name"] for r in h["routes"]]
        for h in manager(SEVERAL)["route_config"]["virtual_hosts"]
    }
    expected = {
        ("orders.example.com",): ["metadata", "mcp-orders", "mcp-status", "none"],
        ("tools.example.com",): ["metadata", "mcp-search", "mcp-files", "mcp-status", "none"],
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
    chain = dataclasses.replace(SIDECAR, endpoints=(*SIDECAR.endpoints, own))
    served = {
        tuple(host["domains"]): route["route"]["cluster"]
        for host, route in routes(chain)
        if route["name"].startswith("mcp-")
    }

    assert {("a.example", "b.example"): "mcp-own", ("*",): "mcp-demo"} == served


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


def test_every_note_is_about_something_that_is_rendered():
    """A misspelled key would silently drop its comment and its explicit default."""
    text = "".join(rendered().values())
    words = " ".join(text.replace("#", " ").split())

    assert [] == [key for key, note in NOTES.items() if " ".join(note.split()) not in words]
    assert [] == [key for key in NOTES if "." in key and f"{key.split('.')[1]}:" not in text]


FOREIGN = """
static_resources:
  listeners:
  - name: edge
    address: {socket_address: {address: 127.0.0.1, port_value: 18080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            virtual_hosts:
            - {name: shop, domains: [shop.example.com], routes: [{match: {prefix: /}, route: {cluster: shop}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: shop
    type: STATIC
    load_assignment:
      cluster_name: shop
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 18081}}}}]}]
"""


@CHAINS
def test_the_filters_part_fits_into_a_foreign_chain(chain, tmp_path):
    part = yaml.safe_load(filters(dataclasses.replace(chain, trusted_ca=certifi.where())))
    foreign = yaml.safe_load(FOREIGN)
    resources = foreign["static_resources"]
    config = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    config.update(part["http_connection_manager"])
    config["http_filters"][-1:-1] = part["http_filters"]
    config["route_config"]["virtual_hosts"] += part["virtual_hosts"]
    resources["clusters"] += part["clusters"]
    done = validate(yaml.safe_dump(foreign), tmp_path)

    assert ["http_connection_manager", "http_filters", "virtual_hosts", "clusters"] == list(part)
    assert 0 == done.returncode, done.stderr


@CHAINS
def test_the_filters_part_says_the_same_as_the_bootstrap(chain):
    part, whole = yaml.safe_load(filters(chain)), manager(chain)
    settings = {key: value for key, value in part["http_connection_manager"].items() if key != "@type"}

    assert whole["http_filters"][:-1] == part["http_filters"]
    assert whole["route_config"]["virtual_hosts"] == part["virtual_hosts"]
    assert tree(chain)["static_resources"]["clusters"] == part["clusters"]
    assert settings == {key: whole[key] for key in settings}


def test_the_renderer_is_not_imported_with_the_package():
    """Importing it costs most of a second, which the serving path must not pay."""
    code = "import sys, authz.render.chain; sys.exit('envoy_data_plane' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode
