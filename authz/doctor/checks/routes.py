"""Checks of routes: is every way to an MCP server authorized, do streams last, and can clients find the issuer?"""

from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Edit, Find, Hit, Insert, Put
from authz.doctor.node import Node
from authz.doctor.parts import exemptions, guarded_routes, mcp_routes
from authz.doctor.routes import Scope, hosts, routes, routes_of, scopes


def _route_unguarded(case: CheckCase) -> Iterator[Hit]:
    for scope in scopes(case.inventory.guarded):
        route = scope.route
        if route is None or (route.clusters and not route.serves_metadata):
            level = f"route {route.name} to {', '.join(sorted(route.clusters))}" if route else scope.name
            yield from (Hit.drop(entry, f"on {level}") for entry in exemptions(case, scope))


def _chain_unguarded(case: CheckCase) -> Iterator[Hit]:
    """Find chains without ext_authz that lead where a guarded chain leads."""
    guarded = frozenset().union(*(route.clusters for route in guarded_routes(case))) - {"*"}
    for chain in case.inventory.chains:
        reached = {name for route in routes([chain]) for name in route.clusters & guarded}
        if reached and chain.whole and not chain.authz and not chain.unseen:
            yield Hit(
                chain.filter_list, f"{chain.name} leads to {', '.join(sorted(reached))}", _guards(case, chain)
            )


def _guards(case: CheckCase, chain: FilterChain) -> tuple[Edit, ...]:
    """Return what puts the guards of the first complete chain before another chain's router."""
    last = max(len(chain.filters) - 1, 0)
    for each in case.inventory.guarded:
        if each.authz and each.rewriter:
            pair = (each.authz.node.value, each.rewriter.node.value)
            return tuple(Insert(chain.filter_list.path, last + at, value) for at, value in enumerate(pair))
    return ()


def _no_authz(case: CheckCase) -> Iterator[Hit]:
    whole = [chain for chain in case.inventory.chains if chain.whole]
    if whole and not any(chain.authz or chain.unseen for chain in whole):
        yield Hit(whole[0].filter_list, f"in {', '.join(chain.name for chain in whole)}")


def _no_end(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for host in hosts(chain):
            listed = routes_of(host, chain)
            if not host.at("matcher").present and not any(route.takes_everything for route in listed):
                edit = Insert(host.at("routes").path, len(listed), expected.LAST_ROUTE)
                yield Hit(host, f"virtual host {host.at('name').text}", (edit,))


def _no_host(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for table in chain.tables:
            listed = table.at("virtual_hosts")
            found = list(listed.items())
            domains = {domain.text for host in found for domain in host.at("domains").items()}
            if found and "*" not in domains and not table.at("vhds").present:
                yield Hit(listed, f"in {chain.name}", (Insert(listed.path, len(found), expected.ANY_HOST),))


def _no_metadata(case: CheckCase) -> Iterator[Hit]:
    edits = "authz_http" in case.inventory.clusters
    mcp = {route.host.path for route in mcp_routes(case)}
    for chain in case.inventory.guarded:
        for host in hosts(chain):
            if host.path in mcp and not any(route.serves_metadata for route in routes_of(host, chain)):
                edit = Insert(host.at("routes").path, 0, expected.METADATA_ROUTE)
                yield Hit(host, f"virtual host {host.at('name').text}", (edit,) if edits else ())


def _metadata_guarded(case: CheckCase) -> Iterator[Hit]:
    for route in routes(case.inventory.guarded):
        if not route.serves_metadata or not route.clusters or route.chain.authz is None:
            continue
        levels = [Scope(node=node) for node in (route.node, route.host, *route.chain.tables)]
        if not any(exemptions(case, scope) for scope in levels):
            path = (*route.node.at("typed_per_filter_config").path, route.chain.authz.name)
            yield Hit(route.node, f"route {route.name}", (Put(path, expected.UNGUARDED),))


def _exposed(case: CheckCase) -> Iterator[Hit]:
    needed = expected.right("cors_policy.expose_headers").split(", ")
    for scope in scopes(case.inventory.guarded):
        for _, policy in scope.overrides("CorsPolicy"):
            node = policy.at("expose_headers")
            named = {name.strip().lower() for name in node.text.split(",")}
            missing = [name for name in needed if name.lower() not in named]
            if missing and policy.at("allow_origin_string_match").present:
                right = ", ".join([*filter(None, [node.text.strip()]), *missing])
                yield Hit.put(node, right, f"without {', '.join(missing)}")


def _upgrades(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        yield from _upgrade_list(chain.manager.at("upgrade_configs"))
        node = chain.manager.at("http2_protocol_options", "allow_connect")
        if node.flag:
            yield Hit.drop(node, "allow_connect is true")
    for route in routes(case.inventory.guarded):
        yield from _upgrade_list(route.node.at("route", "upgrade_configs"))
        connect = route.node.at("match", "connect_matcher")
        if connect.present:
            edit = Hit.drop(route.node).edits
            yield Hit(connect, f"route {route.name} accepts CONNECT", edit)


def _upgrade_list(listed: Node) -> Iterator[Hit]:
    kinds = [each.at("upgrade_type").text for each in listed.items() if each.at("enabled").value is not False]
    if kinds:
        yield Hit.drop(listed, ", ".join(kinds))


CHECKS: Mapping[str, Find] = {
    "no-ext-authz": _no_authz,
    "chain-unguarded": _chain_unguarded,
    "route-unguarded": _route_unguarded,
    "route-no-end": _no_end,
    "route-no-host": _no_host,
    "metadata-missing": _no_metadata,
    "metadata-judged": _metadata_guarded,
    "cors-exposed": _exposed,
    "upgrades": _upgrades,
}
