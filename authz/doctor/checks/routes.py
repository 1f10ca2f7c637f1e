"""Checks of routes: does every request have one, is every chain to a server guarded, and can clients find the issuer?"""

from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.checks.filter_order import changes_nothing
from authz.doctor.checks.unjudged import waits_for_judgement
from authz.doctor.in_force import exemption
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Edit, Find, Hit, Insert, Put
from authz.doctor.parts import guarded_routes, mcp_routes
from authz.doctor.places import upstream_clusters
from authz.doctor.routes import ChainRoute, hosts, routes, routes_of, scopes


def _chain_unguarded(case: CheckCase) -> Iterator[Hit]:
    """Find chains without ext_authz, and TCP proxies, that lead where a guarded chain leads or to an upstream of the policy."""
    guarded = frozenset().union(*(route.clusters for route in guarded_routes(case))) - {"*"}
    if case.settings is not None:
        guarded |= upstream_clusters(case.settings, case.inventory)
    for chain in case.inventory.chains:
        reached = {name for route in routes([chain]) for name in route.clusters & guarded}
        if reached and chain.whole and not chain.authz and not chain.unseen:
            alone = case.settings is None or all(
                route.clusters <= guarded for route in routes([chain]) if not route.serves_metadata
            )
            edits = _guards(case, chain) if alone else ()
            yield Hit(chain.filter_list, f"{chain.name} leads to {', '.join(sorted(reached))}", edits)
    for proxy in case.inventory.tcp_proxies:
        weighted = proxy.at("weighted_clusters", "clusters").items()
        reached = {proxy.at("cluster").text, *(each.at("name").text for each in weighted)} & guarded
        if reached:
            yield Hit(
                proxy, f"TCP proxy {proxy.at('stat_prefix').text} leads to {', '.join(sorted(reached))}"
            )


def _guards(case: CheckCase, chain: FilterChain) -> tuple[Edit, ...]:
    """Return what puts the guards of the first complete chain before another chain's router."""
    last = max(len(chain.filters) - 1, 0)
    for each in case.inventory.guarded:
        if each.authz and each.rewriter:
            headers = [one for one in each.of("header_mutation") if one.index > each.authz.index]
            waiting = [one for one in each.filters if waits_for_judgement(one)]
            values = [one.node.value for one in (each.authz, *waiting, each.rewriter, *headers)]
            return tuple(Insert(chain.filter_list.path, last + at, value) for at, value in enumerate(values))
    return ()


def _no_authz(case: CheckCase) -> Iterator[Hit]:
    whole = [chain for chain in case.inventory.chains if chain.whole]
    if whole and not any(chain.authz or chain.unseen for chain in whole):
        yield Hit(whole[0].filter_list, f"in {', '.join(chain.name for chain in whole)}")


def _no_end(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for host in hosts(chain):
            listed = routes_of(host, chain)
            ended = host.at("matcher").present or any(route.takes_everything for route in listed)
            if not ended and not _shared(case, chain):
                edit = Insert(host.at("routes").path, len(listed), expected.LAST_ROUTE)
                yield Hit(host, f"virtual host {host.at('name').text}", (edit,))


def _no_host(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for table in chain.tables:
            listed = table.at("virtual_hosts")
            found = list(listed.items())
            domains = {domain.text for host in found for domain in host.at("domains").items()}
            named = "*" not in domains and not table.at("vhds").present
            if found and named and not _shared(case, chain):
                yield Hit(listed, f"in {chain.name}", (Insert(listed.path, len(found), expected.ANY_HOST),))


def _shared(case: CheckCase, chain: FilterChain) -> bool:
    """Whether a chain serves more than the policy's servers, and no filter can choose a route later.

    There a request without a route gets the router's 404, as before ext_authz was added.
    """
    if case.settings is None or chain.authz is None:
        return False
    exempt = any(exemption(route).present and not route.serves_metadata for route in routes([chain]))
    later = (each for each in chain.filters if each.index > chain.authz.index and each is not chain.rewriter)
    return exempt and all(changes_nothing(each) for each in later)


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
        if not exemption(route).present:
            path = (*route.node.at("typed_per_filter_config").path, route.chain.authz.name)
            yield Hit(route.node, f"route {route.name}", (Put(path, expected.UNGUARDED),))


_SAFE_TO_REPEAT = frozenset(
    {"connect-failure", "refused-stream", "reset-before-request", "envoy-ratelimited", ""}
)
"""Conditions of a retry under which the server has not begun to work."""


def _retried(case: CheckCase) -> Iterator[Hit]:
    for route in mcp_routes(case):
        own = route.node.at("route", "retry_policy")
        policy = own if own.present else route.host.at("retry_policy")
        repeats = sorted({each.strip() for each in policy.at("retry_on").text.split(",")} - _SAFE_TO_REPEAT)
        edits: tuple[Edit, ...] = (Put(own.path, {}),) if case.settings is not None else ()
        if repeats:
            yield Hit(policy, f"route {route.name} retries on {', '.join(repeats)}", edits)
        for level in (route.node.at("route"), route.host):
            if level.at("hedge_policy", "hedge_on_per_try_timeout").flag:
                yield Hit(level.at("hedge_policy"), f"route {route.name} repeats what is slow")
                break


_BY_PATTERN = ("regex_rewrite", "path_rewrite_policy", "path_rewrite")


def _path_rewritten(case: CheckCase) -> Iterator[Hit]:
    for route in mcp_routes(case):
        action = route.node.at("route")
        for name in _BY_PATTERN:
            if action.at(name).present:
                yield Hit(action.at(name), f"route {route.name} has {name}")
        node = action.at("prefix_rewrite")
        if node.present and not route.is_exact:
            yield Hit(node, f"route {route.name} keeps what follows its prefix")
        elif node.present and node.text in _places_of_others(case, route):
            yield Hit(node, f"route {route.name} sends it to {node.text}, which is another server's")


def _places_of_others(case: CheckCase, route: ChainRoute) -> frozenset[str]:
    """Return where other servers of the policy are at the upstream to which a route leads."""
    if case.settings is None:
        return frozenset()
    own = route.node.at("match", "path").text
    others = [each for each in mcp_routes(case) if each.is_exact and each.clusters & route.clusters]
    paths = [
        (each.node.at("match", "path").text, each.node.at("route", "prefix_rewrite").text) for each in others
    ]
    return frozenset(sent or path for path, sent in paths if path != own)


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


CHECKS: Mapping[str, Find] = {
    "no-ext-authz": _no_authz,
    "chain-unguarded": _chain_unguarded,
    "route-no-end": _no_end,
    "route-no-host": _no_host,
    "metadata-missing": _no_metadata,
    "metadata-judged": _metadata_guarded,
    "cors-exposed": _exposed,
    "route-retries": _retried,
    "route-rewrites-path": _path_rewritten,
}
