"""Envoys that somebody else configures, run on this machine with their clusters led to the demo's parts.

* Envoy Gateway's configuration is what its own translator makes of the overlay (`egctl x translate`, no cluster
  needed); where egctl is not on the PATH, tests skip.
* Istio has no such translator outside its control plane. Its gateway is imitated here from Istio's documentation of
  EnvoyFilter and of extension providers: a connection manager with ext_authz as an AuthorizationPolicy with action
  CUSTOM makes it, to which the overlay's EnvoyFilter is applied with the merge of protobuf (lists are appended to).
"""

import copy
import shutil
import subprocess

import pytest
import yaml

from tests.support.manifests import Object, built, copied, named, of_kind
from tests.support.waiting import DEADLINE
from tests.support.yaml_text import read_yaml

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_MANAGER = "envoy.filters.network.http_connection_manager"


def _cluster(cluster: Object, address: Object) -> Object:
    """A cluster with one fixed endpoint in place of what it would discover."""
    dropped = ("edsClusterConfig", "type")
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    load = {"cluster_name": cluster["name"], "endpoints": [endpoint]}
    return {
        **{key: value for key, value in cluster.items() if key not in dropped},
        "type": "STATIC",
        "load_assignment": load,
    }


def _listening(listener: Object, port: int) -> Object:
    return {**listener, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def envoy_gateway(port: int, places: dict[str, Object], *, without: str = "") -> str:
    """What Envoy Gateway makes of its overlay, as a bootstrap.

    Args:
        port: where Envoy listens.
        places: the beginning of a cluster's name to an address.
        without: a kind whose objects are left out.
    """
    egctl = shutil.which("egctl")
    if egctl is None:
        pytest.skip(
            "needs egctl on the PATH, which Go compiles for some minutes: go install github.com/envoyproxy/gateway/cmd/egctl@v1.9.1"
        )
    objects = [one for one in built("overlays/envoy-gateway") if one["kind"] != without]
    file = copied() / f"envoy-gateway-without-{without}.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    command = [
        egctl,
        "x",
        "translate",
        "--from",
        "gateway-api",
        "--to",
        "xds",
        "-o",
        "yaml",
        "--add-missing-resources",
        "-f",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
    [dumps] = yaml.load(done.stdout, yaml.CSafeLoader)["xds"].values()
    found = {
        key: value for dump in dumps["configs"] for key, value in dump.items() if isinstance(value, list)
    }
    listeners = (one["activeState"]["listener"] for one in found["dynamicListeners"])
    [listener] = [one for one in listeners if one["name"] == "mcp/mcp/http"]
    [routes] = [one["routeConfig"] for one in found["dynamicRouteConfigs"]]
    listener = copy.deepcopy(listener)
    manager = listener["defaultFilterChain"]["filters"][0]["typedConfig"]
    del manager["rds"], routes["@type"], listener["@type"]
    manager["routeConfig"] = routes
    clusters = []
    for one in found["dynamicActiveClusters"]:
        cluster = {key: value for key, value in one["cluster"].items() if key != "@type"}
        [address] = [place for start, place in places.items() if cluster["name"].startswith(start)]
        clusters.append(_cluster(cluster, address))
    return yaml.safe_dump(
        {"static_resources": {"listeners": [_listening(listener, port)], "clusters": clusters}}
    )


def istio(port: int, places: dict[str, Object]) -> str:
    """An imitated ingress gateway of Istio, with the overlay's EnvoyFilter applied, as a bootstrap."""
    listener = _istio_listener()
    [envoy_filter] = of_kind(built("overlays/istio"), "EnvoyFilter")
    for one in envoy_filter["spec"]["configPatches"]:
        _apply(listener, one)
    clusters = [_cluster(_istio_cluster(name), place) for name, place in places.items()]
    return yaml.safe_dump(
        {"static_resources": {"listeners": [_listening(listener, port)], "clusters": clusters}}
    )


def _provider() -> Object:
    text = (copied() / "overlays/istio/meshconfig.yaml").read_text("utf-8")
    [provider] = read_yaml(text)["extensionProviders"]
    policy = named(built("overlays/istio"), "AuthorizationPolicy", "mcp")
    assert provider["name"] == policy["spec"]["provider"]["name"]
    return provider["envoyExtAuthzGrpc"]


def _istio_cluster(name: str) -> Object:
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = {"@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions", **http2}
    cluster = {"name": name, "connect_timeout": "1s"}
    if "|9001|" in name:
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        }
    return cluster


def _istio_listener() -> Object:
    provider = _provider()
    body = provider["includeRequestBodyInCheck"]
    check = {
        "@type": f"{_EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthz",
        "grpc_service": {
            "envoy_grpc": {
                "cluster_name": f"outbound|{provider['port']}||{provider['service']}",
                "authority": provider["service"],
            },
            "timeout": provider["timeout"],
        },
        "transport_api_version": "V3",
        "failure_mode_allow": provider["failOpen"],
        "clear_route_cache": provider["clearRouteCache"],
        "status_on_error": {"code": "ServiceUnavailable"},
        "with_request_body": {
            "max_request_bytes": body["maxRequestBytes"],
            "allow_partial_message": body["allowPartialMessage"],
            "pack_as_bytes": body["packAsBytes"],
        },
    }
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_10000",
        "use_remote_address": True,
        "normalize_path": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {"name": "envoy.filters.http.ext_authz", "typed_config": check},
            {
                "name": "envoy.filters.http.cors",
                "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.cors.v3.Cors"},
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
            },
        ],
        "route_config": {
            "name": "http.10000",
            "virtual_hosts": [{"name": "*:10000", "domains": ["*"], "routes": [_istio_route()]}],
        },
    }
    return {
        "name": "0.0.0.0_10000",
        "filter_chains": [{"filters": [{"name": _MANAGER, "typed_config": manager}]}],
    }


def _istio_route() -> Object:
    host = "mcp-server.mcp.svc.cluster.local"
    [route] = [
        one for one in of_kind(built("overlays/istio"), "HTTPRoute") if one["metadata"]["name"] == "mcp"
    ]
    [rule] = route["spec"]["rules"]
    [match] = rule["matches"]
    action = {
        "cluster": f"outbound|8080||{host}",
        "timeout": rule["timeouts"]["request"],
        "host_rewrite_literal": rule["filters"][0]["urlRewrite"]["hostname"],
    }
    return {"match": {"path": match["path"]["value"]}, "route": action}


def _apply(listener: Object, patch: Object) -> None:
    """Apply one config patch, of the kinds that the overlay has."""
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    operation, value = patch["patch"]["operation"], patch["patch"]["value"]
    if patch["applyTo"] == "NETWORK_FILTER":
        _merge(manager, value["typed_config"])
        return
    if patch["applyTo"] == "HTTP_ROUTE":
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
            _merge(route, value)
        return
    assert patch["applyTo"] == "HTTP_FILTER"
    filters, wanted = (
        manager["http_filters"],
        patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"],
    )
    [at] = [index for index, one in enumerate(filters) if one["name"] == wanted]
    if operation == "INSERT_BEFORE":
        filters.insert(at, value)
    else:
        assert operation == "MERGE"
        _merge(filters[at], value)


def _merge(into: Object, value: Object) -> None:
    for key, item in value.items():
        if isinstance(item, dict) and isinstance(into.get(key), dict):
            _merge(into[key], item)
        elif isinstance(item, list) and isinstance(into.get(key), list):
            into[key] += item
        else:
            into[key] = item
