"""Envoy's configuration for a run: the service's own rendered chain, once for each backend.

Each backend gets a listener and clusters of its own in one Envoy. The upstream is the route's direct response, which
costs next to nothing and still passes every filter. `alone` has the same listener and only the filter that buffers
the whole body, as ext_authz does: Envoy closes the connection after a direct response that precedes the end of the body.
`native` has Envoy's own filters instead of the service's, and the same buffer, because the mcp filter continues as soon
as it has read enough. Where lists are measured, a real upstream replaces the direct response.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authz.config.settings import Settings
from authz.render.bootstrap import message
from authz.render.comments import COMMENTS
from authz.render.plan import plan
from authz.render.serialize import plain
from bench.native import NATIVE, filters, issuer_cluster
from bench.workload import IN_ENVOY, UPSTREAM

ALONE = "alone"
_BUFFER = {
    "name": "envoy.filters.http.buffer",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes": 1 << 20,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The server that answers the Checks of one listener.

    Attributes:
        name: names the listener, its clusters and its counters.
        port: where the listener listens on loopback.
        service: gRPC address, `unix:/path`.
        http: HTTP address of the service's metadata; never asked in a run.
    """

    name: str
    port: int
    service: str
    http: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What Envoy needs beside the backends.

    Attributes:
        admin: address of its admin interface.
        jwks_uri: where the issuer on loopback serves its keys.
        upstream: whether requests go on to the upstream of the policy file; otherwise Envoy answers them itself.
    """

    admin: str
    jwks_uri: str
    upstream: bool = False


def configuration(settings: Settings, backends: Iterable[Backend], around: Around) -> str:
    """Render one Envoy for all backends, as JSON, which is faster to write than YAML."""
    trees = [_tree(settings, backend, around) for backend in backends]
    resources = [tree["static_resources"] for tree in trees]
    merged: dict[str, Any] = {
        key: [item for part in resources for item in part[key]] for key in ("listeners", "clusters")
    }
    merged["clusters"].append(issuer_cluster(urlsplit(around.jwks_uri).port or 80))
    return json.dumps({"admin": trees[0]["admin"], "static_resources": merged})


def _tree(settings: Settings, backend: Backend, around: Around) -> Any:
    chain = plan(
        settings,
        listen=f"127.0.0.1:{backend.port}",
        service=backend.service,
        http=backend.http,
        admin=around.admin,
    )
    tree: Any = plain(message(dataclasses.replace(chain, access_log=False)), COMMENTS)[0]
    resources = tree["static_resources"]
    own = {cluster["name"]: f"{backend.name}-{cluster['name']}" for cluster in resources["clusters"]}
    tree["static_resources"] = resources = _renamed(resources, own)
    for listener in resources["listeners"]:
        listener["name"] = backend.name
        _adapt(listener["filter_chains"][0]["filters"][0]["typed_config"], backend.name, around)
    return tree


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Replace every string that is exactly a cluster's name."""
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _adapt(manager: Any, name: str, around: Around) -> None:
    manager["stat_prefix"] = name
    cors, *_, router = manager["http_filters"]
    if name == ALONE:
        manager["http_filters"] = [_BUFFER, router]
    if name == NATIVE:
        manager["http_filters"] = [cors, _BUFFER, *filters(around.jwks_uri), router]
    for filter_ in manager["http_filters"]:
        if filter_["name"] == "envoy.filters.http.ext_authz":
            filter_["typed_config"]["stat_prefix"] = name
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            _adapt_route(route, name, around)


def _adapt_route(route: dict[str, Any], name: str, around: Around) -> None:
    if name in IN_ENVOY:
        route.pop("typed_per_filter_config", None)  # names a filter that is not there
    if route["match"].get("path") and not around.upstream:
        del route["route"]
        route["direct_response"] = {"status": 200, "body": {"inline_string": UPSTREAM}}
