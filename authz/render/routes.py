"""Virtual hosts and routes: which path at which host reaches which MCP server.

Rules of this module:

* A path is matched exactly, and every virtual host ends in a route that matches everything and answers 404 after
  ext_authz has spoken. A request that matches no route could pass without authorization (envoy issue 44397).
* A named host also serves the endpoints of "*", after its own: an endpoint for any host is for that host, too.
  A host without endpoints of its own needs no virtual host.
* Envoy ignores ports when it selects the virtual host; the service compares them.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain as joined
from itertools import groupby

from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    HeaderMatcher,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import CorsPolicy
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthzPerRoute
from envoy_data_plane.envoy.extensions.filters.http.mcp.v3 import McpOverride, McpTrafficMode
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher
from envoy_data_plane.google.protobuf import Any

from authz.render.clusters import AUTHZ_HTTP
from authz.render.decided import EXT_AUTHZ
from authz.render.extensions import CORS, NATIVE
from authz.render.model import METADATA_PATH, Chain, Endpoint, bare_host
from authz.render.serialize import any_of

ANY = "*"


def route_config(chain: Chain) -> RouteConfiguration:
    """Return the route configuration with all virtual hosts of a chain."""
    return RouteConfiguration(
        name="mcp", virtual_hosts=virtual_hosts(chain), ignore_port_in_host_matching=True
    )


def virtual_hosts(chain: Chain) -> list[VirtualHost]:
    """Return one virtual host for each set of hosts that serve the same endpoints, and one for all other hosts."""
    served = {host: _at(chain, host) for host in sorted({ANY, *_names(chain)})}
    key = {host: tuple(e.name for e in endpoints) for host, endpoints in served.items()}
    named = (host for host in served if key[host] != key[ANY])
    hosts = sorted(named, key=lambda host: (key[host], host))
    groups = [list(group) for _, group in groupby(hosts, key=key.__getitem__)]
    not_mcp = _not_mcp(chain)
    health = [_health(chain.options.health_path, not_mcp)] if chain.options.health_path else []
    return [_virtual_host(group, served[group[0]], not_mcp, health) for group in [*groups, [ANY]]]


def _names(chain: Chain) -> set[str]:
    return {bare_host(host) for endpoint in chain.endpoints for host in endpoint.hosts}


def _at(chain: Chain, host: str) -> list[Endpoint]:
    own = [e for e in chain.endpoints if host in map(bare_host, e.hosts)]
    taken = {e.path for e in own}
    return own + [e for e in chain.endpoints if ANY in e.hosts and e.path not in taken]


def _not_mcp(chain: Chain) -> dict[str, Any]:
    """Return the setting that lets other requests than MCP pass Envoy's own MCP filter, if it is enabled."""
    if not chain.options.native_filter:
        return {}
    return {NATIVE: any_of(McpOverride(traffic_mode=McpTrafficMode.PASS_THROUGH))}


def _virtual_host(
    hosts: list[str], endpoints: list[Endpoint], not_mcp: dict[str, Any], health: list[Route]
) -> VirtualHost:
    name = "any-host" if hosts == [ANY] else hosts[0]
    return VirtualHost(name=name, domains=hosts, routes=[*health, *_routes(endpoints, not_mcp)])


def _routes(endpoints: list[Endpoint], not_mcp: dict[str, Any]) -> list[Route]:
    """Return the routes of one virtual host; the last one matches everything."""
    nothing = Route(
        name="none",
        match=RouteMatch(prefix="/"),
        direct_response=DirectResponseAction(status=404),
        typed_per_filter_config=not_mcp,
    )
    return [
        *([_metadata(endpoints, not_mcp)] if endpoints else []),
        *joined.from_iterable(map(_endpoint, endpoints)),
        nothing,
    ]


def _health(path: str, not_mcp: dict[str, Any]) -> Route:
    """Return the route for load balancers: one fixed answer of the service, of which it shows nothing else."""
    return Route(
        name="health",
        match=RouteMatch(path=path),
        route=RouteAction(cluster=AUTHZ_HTTP, timeout=timedelta(seconds=2), prefix_rewrite="/healthz"),
        typed_per_filter_config={EXT_AUTHZ: any_of(ExtAuthzPerRoute(disabled=True))} | not_mcp,
    )


def _metadata(endpoints: list[Endpoint], not_mcp: dict[str, Any]) -> Route:
    origins = sorted({origin for e in endpoints for origin in e.origins})
    cors = _cors(endpoints[0], origins) if origins else {}
    return Route(
        name="metadata",
        match=RouteMatch(path_separated_prefix=METADATA_PATH),
        route=RouteAction(cluster=AUTHZ_HTTP, timeout=timedelta(seconds=2)),
        typed_per_filter_config=cors | {EXT_AUTHZ: any_of(ExtAuthzPerRoute(disabled=True))} | not_mcp,
    )


def _endpoint(endpoint: Endpoint) -> Iterator[Route]:
    if endpoint.origins and endpoint.cors_patterns:
        yield _preflight(endpoint)
    yield Route(
        name=endpoint.cluster,
        match=RouteMatch(path=endpoint.path),
        route=_action(endpoint),
        typed_per_filter_config=_cors(endpoint, list(endpoint.origins)) if endpoint.origins else {},
    )


def _preflight(endpoint: Endpoint) -> Route:
    """Return the route of preflights that name nothing but allowed headers and patterns: Envoy repeats them."""
    asked = [
        HeaderMatcher(
            name="access-control-request-headers",
            string_match=StringMatcher(safe_regex=RegexMatcher(regex=expression)),
        )
        for expression in endpoint.cors_patterns
    ]
    options = HeaderMatcher(name=":method", string_match=StringMatcher(exact="OPTIONS"))
    return Route(
        name=f"{endpoint.cluster}-preflight",
        match=RouteMatch(path=endpoint.path, headers=[options, *asked]),
        route=_action(endpoint),
        typed_per_filter_config=_cors(endpoint, list(endpoint.origins), allow_headers=ANY),
    )


def _action(endpoint: Endpoint) -> RouteAction:
    action = RouteAction(
        cluster=endpoint.cluster,
        host_rewrite_literal=_host_header(endpoint),
        timeout=timedelta(0),
        idle_timeout=timedelta(minutes=10),
    )
    if endpoint.upstream_path and endpoint.upstream_path != endpoint.path:
        action.prefix_rewrite = endpoint.upstream_path
    return action


def _host_header(endpoint: Endpoint) -> str:
    """Return the upstream's own name, without the scheme's default port, which clients omit."""
    authority = endpoint.upstream.authority
    return authority.removesuffix(":443" if endpoint.upstream_tls else ":80")


def _cors(endpoint: Endpoint, origins: list[str], *, allow_headers: str = "") -> dict[str, Any]:
    policy = CorsPolicy(
        allow_origin_string_match=[_origin(origin) for origin in origins],
        allow_methods="GET, POST, DELETE, OPTIONS",
        allow_headers=allow_headers or endpoint.cors_allow_headers,
        expose_headers=endpoint.cors_expose_headers,
        max_age=str(endpoint.cors_max_age),
        forward_not_matching_preflights=False,
    )
    return {CORS: any_of(policy)}


def _origin(origin: str) -> StringMatcher:
    return (
        StringMatcher(safe_regex=RegexMatcher(regex=".*")) if origin == ANY else StringMatcher(exact=origin)
    )
