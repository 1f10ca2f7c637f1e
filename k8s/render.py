"""Envoy's configuration in the manifests, from the policies beside it: `make k8s`, or with `--check` a comparison.

Every file named in `FILES` is written by this and edited by nobody. A test fails while one differs.

A gateway that somebody else runs gets the same filters as patches: its own resources make the clusters and say on
which route the filters are on, and a patch puts the renderer's configuration in place of theirs, which lacks fields
that nothing is safe without.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from authz.config.load import load
from authz.render.address import Address
from authz.render.bootstrap import bootstrap
from authz.render.comments import COMMENTS
from authz.render.decided import EXT_AUTHZ
from authz.render.extensions import REWRITE, UNJUDGED, guards
from authz.render.listener import hardening
from authz.render.model import Chain
from authz.render.options import RenderOptions, WatchedSecret
from authz.render.plan import plan
from authz.render.serialize import plain
from authz.render.yaml_writer import emit

HERE = Path(__file__).resolve().parent
SOCKET = "unix:/run/mcp-authz/authz.sock"
ADMIN = "unix:/run/envoy/admin.sock"
UPSTREAM = "http://mcp-server:8080/mcp"
"""The demo's MCP server, for policies that do not say where theirs is."""
_WRITTEN = "# Written by `make k8s` from policy/policy.yaml; edit that, not this.\n"
_ANY = {"AUTH0_DOMAIN": "tenant.example", "API_IDENTIFIER": "api"}
"""Values for variables of policies, none of which gets into Envoy's configuration."""


_STATS = RenderOptions(stats=Address(port=9003))
_TLS = dataclasses.replace(_STATS, clients=WatchedSecret(file="/etc/envoy/tls.yaml"))


def chain(policy: str, environment: Mapping[str, str] = _ANY, options: RenderOptions = _STATS) -> Chain:
    """What is rendered for a policy, file relative to this folder, whose `${NAME}` come from `environment`."""
    settings = load(str(HERE / policy), environment=environment)
    servers = settings.directory.servers
    upstreams = {server.name: UPSTREAM for server in servers} | dict(settings.upstreams)
    settings = dataclasses.replace(settings, upstreams=upstreams)
    return plan(
        settings, listen=":10000", service=SOCKET, http="127.0.0.1:9002", admin=ADMIN, options=options
    )


def _filters(policy: str, check: Mapping[str, str], rewrite: Mapping[str, str]) -> dict[str, Any]:
    """Give ext_authz and the rewriter as plain values, each calling the service as its `envoy_grpc` says."""
    tree, _ = plain({"filters": guards(chain(policy))}, COMMENTS)
    named: dict[str, Any] = {one["name"]: one for one in tree["filters"]}  # type: ignore[index, union-attr]
    ext_authz, rewriter = named[EXT_AUTHZ], named[REWRITE]
    (rules,) = _found(rewriter, "matchers")
    del rules[:-2]  # pools for streams and lists need clusters that these gateways' resources do not make
    for one, target in ((ext_authz, check), (rewriter, rewrite)):
        for grpc in _found(one, "envoy_grpc"):
            grpc.clear()
            grpc.update(target)
    return {"ext_authz": ext_authz, "unjudged": named[UNJUDGED], "rewriter": rewriter}


def _found(value: Any, key: str) -> list[Any]:
    """Every value under a key, however deep."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [one for name, item in list(items) for one in ([item] if name == key else []) + _found(item, key)]


def _manager(policy: str, *keys: str) -> dict[str, Any]:
    """Give some of the connection manager's own settings."""
    tree, _ = plain(hardening(chain(policy)), COMMENTS)
    return {key: tree[key] for key in keys}


def envoy_gateway() -> str:
    """Give the EnvoyPatchPolicy: what Envoy Gateway's own resources cannot say."""
    policy = "policy/policy.yaml"
    check, process = "securitypolicy/mcp/mcp/extauth/0", "envoyextensionpolicy/mcp/mcp/extproc/0"
    filters = _filters(
        policy,
        {"cluster_name": check, "authority": "mcp-authz"},
        {"cluster_name": process, "authority": "mcp-rewriter"},
    )
    listener, routes = (
        f"type.googleapis.com/envoy.config.{name}"
        for name in ("listener.v3.Listener", "route.v3.RouteConfiguration")
    )

    def patch(kind: str, place: str, op: str, path: str, **value: Any) -> dict[str, Any]:
        return {
            "type": kind,
            "name": "mcp/mcp/http",
            "operation": {"op": op, "jsonPath": place, "path": path, **value},
        }

    http_filter = "$..http_filters[?(@.name=='envoy.filters.http.{}')]"
    manager = "$..filters[?(@.name=='envoy.filters.network.http_connection_manager')].typed_config"
    settings = _manager(
        policy,
        "common_http_protocol_options",
        "internal_address_config",
        "request_headers_timeout",
        "local_reply_config",
        "access_log",
    )
    patches = [
        patch(
            listener,
            http_filter.format(f"ext_authz/{check.removesuffix('/extauth/0')}"),
            "replace",
            "/typed_config",
            value=filters["ext_authz"]["typed_config"],
        ),
        patch(
            listener,
            http_filter.format(f"ext_proc/{process}"),
            "replace",
            "/typed_config",
            value=filters["rewriter"]["typed_config"],
        ),
        patch(listener, manager, "add", "/http_filters/0", value=filters["unjudged"]),
        *(patch(listener, manager, "add", f"/{key}", value=value) for key, value in settings.items()),
        patch(routes, "$..routes[?(@.route.upgrade_configs)].route", "remove", "/upgrade_configs"),
    ]
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "mcp"}
    return _WRITTEN + emit(
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyPatchPolicy",
            "metadata": {"name": "mcp"},
            "spec": {"targetRef": target, "type": "JSONPatch", "jsonPatches": patches},
        },
        {
            (
                "spec",
                "jsonPatches",
                0,
            ): "SecurityPolicy knows no pack_as_bytes, without which every body counts as incomplete, and no rules for what the service may change.",
            (
                "spec",
                "jsonPatches",
                1,
            ): "EnvoyExtensionPolicy knows no matcher: the rewriter would be asked about every response.",
            (
                "spec",
                "jsonPatches",
                2,
            ): "Refuses what the rewriter was asked to judge and has not. First of all filters, because answers pass them in the "
            "opposite order.",
            (
                "spec",
                "jsonPatches",
                len(patches) - 1,
            ): "Envoy Gateway lets routes be upgraded to websockets, whose bodies ext_authz does not see.",
        },
    )


def istio() -> str:
    """Give the EnvoyFilter: the rewriter, and what extension provider and AuthorizationPolicy cannot say."""
    policy = "policy/policy.yaml"
    host = "mcp.svc.cluster.local"
    filters = _filters(policy, {}, {"cluster_name": f"outbound|9001||mcp-rewriter.{host}"})
    ext_authz = filters["ext_authz"]["typed_config"]
    for given in (
        "grpc_service",
        "transport_api_version",
        "failure_mode_allow",
        "status_on_error",
        "clear_route_cache",
        "stat_prefix",
    ):
        ext_authz.pop(given, None)  # the provider's
    network = "envoy.filters.network.http_connection_manager"

    def patch(kind: str, operation: str, value: Any, sub: str = "") -> dict[str, Any]:
        named = {"name": network} | ({"subFilter": {"name": sub}} if sub else {})
        match = {"context": "GATEWAY", "listener": {"filterChain": {"filter": named}}}
        return {"applyTo": kind, "match": match, "patch": {"operation": operation, "value": value}}

    manager = _manager(
        policy,
        "internal_address_config",
        "normalize_path",
        "merge_slashes",
        "path_with_escaped_slashes_action",
        "common_http_protocol_options",
        "request_headers_timeout",
        "request_timeout",
        "early_header_mutation_extensions",
        "access_log",
        "local_reply_config",
    )
    kind = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    closed = {"route": {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}}
    patches = [
        patch("HTTP_FILTER", "MERGE", {"name": EXT_AUTHZ, "typed_config": ext_authz}, EXT_AUTHZ),
        patch("HTTP_FILTER", "INSERT_BEFORE", filters["unjudged"], "envoy.filters.http.router"),
        patch("HTTP_FILTER", "INSERT_BEFORE", filters["rewriter"], "envoy.filters.http.router"),
        patch("NETWORK_FILTER", "MERGE", {"typed_config": {"@type": kind, **manager}}),
        {
            "applyTo": "HTTP_ROUTE",
            "match": {"context": "GATEWAY"},
            "patch": {"operation": "MERGE", "value": closed},
        },
    ]
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "mcp"}
    return _WRITTEN + emit(
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": "mcp"},
            "spec": {"targetRefs": [target], "configPatches": patches},
        },
        {
            (
                "spec",
                "configPatches",
                0,
            ): "Merged into the filter that the AuthorizationPolicy makes: rules for what the service may change.",
            (
                "spec",
                "configPatches",
                1,
            ): "Refuses what the rewriter was asked to judge and has not: answers pass the filters in the opposite order.",
            ("spec", "configPatches", 2): "The rewriter, asked only about responses that can hold a list.",
            (
                "spec",
                "configPatches",
                4,
            ): "Istio lets routes be upgraded to websockets, whose bodies ext_authz does not see.",
        },
    )


FILES: Mapping[str, Callable[[], str]] = {
    "base/envoy.yaml": lambda: bootstrap(chain("policy/policy.yaml")),
    "components/tls-envoy/envoy.yaml": lambda: bootstrap(chain("policy/policy.yaml", options=_TLS)),
    "overlays/auth0/envoy.yaml": lambda: bootstrap(chain("walkthrough/agentgateway-policy.yaml")),
    "overlays/envoy-gateway/patch.yaml": envoy_gateway,
    "overlays/istio/filter.yaml": istio,
}
"""File, relative to this folder, to what stands in it."""


def main() -> int:
    """Write the files that differ; with --check only name them, and fail if there are any."""
    stale = [name for name, text in FILES.items() if not _is(HERE / name, text())]
    for name in stale:
        sys.stdout.write(f"k8s/{name}\n")
        if "--check" not in sys.argv:
            (HERE / name).write_text(FILES[name](), encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
