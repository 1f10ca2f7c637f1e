"""Checks of routes: is every way to an MCP server judged, do streams last, and can clients find the issuer?"""

from collections.abc import Iterator

from authz.core.servers import Server
from authz.doctor import expected as pieces
from authz.doctor.field_checks import hosts, lines, overrides, said
from authz.doctor.inventory import FilterChain
from authz.doctor.model import Check, CheckCase, Drop, Edit, Hit, Insert, Put, Severity
from authz.doctor.node import Node
from authz.doctor.routes import Route, routes, scopes
from authz.render.model import METADATA_PATH
from authz.render.yaml_writer import emit

ERROR, WARNING, _ = Severity

SHORTEST_SILENCE = 60.0
"""Seconds; MCP servers keep silent streams alive every 15 seconds or so."""


def _unjudged(case: CheckCase, scope: Node) -> Iterator[Node]:
    """Give the entries that take ext_authz away from a route, host or table."""
    names = {chain.authz.name for chain in case.survey.guarded if chain.authz}
    for _, entry, message in overrides(scope, "ExtAuthzPerRoute"):
        if message.at("disabled").flag or entry.at("disabled").flag:
            yield entry
    for name, entry in scope.at("typed_per_filter_config").members():
        plain = entry.type.endswith("FilterConfig") and not entry.at("config").type
        if name in names and plain and entry.at("disabled").flag:
            yield entry


def _judged(case: CheckCase) -> list[Route]:
    """Give the routes to servers that ext_authz judges."""
    taken = {
        scope.path for _, scope in scopes(case.survey.guarded) if any(True for _ in _unjudged(case, scope))
    }
    return [
        route
        for route in routes(case.survey.guarded)
        if route.clusters and not {route.node.path, route.host.path} & taken and not route.serves_metadata
    ]


def _mcp(case: CheckCase) -> list[Route]:
    """Give the judged routes that lead to MCP servers: with a policy those of its paths, else all."""
    servers: tuple[Server, ...] = case.settings.directory.servers if case.settings else ()
    found = _judged(case)
    return [route for route in found if not servers or any(route.takes(server.path) for server in servers)]


def _taken_away(case: CheckCase) -> Iterator[Hit]:
    for route, scope in scopes(case.survey.guarded):
        for entry in _unjudged(case, scope):
            if route is None:
                yield Hit(entry, f"on {scope.at('name').text or 'all routes'}", (Drop(entry.path),))
            elif route.clusters and not route.serves_metadata:
                yield Hit(
                    entry,
                    f"on route {route.name} to {', '.join(sorted(route.clusters))}",
                    (Drop(entry.path),),
                )


def _unguarded_chains(case: CheckCase) -> Iterator[Hit]:
    """Name chains without ext_authz that lead where a guarded chain leads."""
    guarded = frozenset().union(*(route.clusters for route in _judged(case))) - {"*"}
    for chain in case.survey.chains:
        if chain.authz or any(each.unseen for each in chain.filters) or not chain.whole:
            continue
        reached = sorted({name for route in routes([chain]) for name in route.clusters & guarded})
        if reached:
            yield Hit(chain.filter_list, f"{chain.name} leads to {', '.join(reached)}", _guards(case, chain))


def _guards(case: CheckCase, chain: FilterChain) -> tuple[Edit, ...]:
    """Give what puts the guards of the first whole chain in front of another one's router."""
    whole = next((each for each in case.survey.guarded if each.authz and each.rewriter), None)
    if whole is None or whole.authz is None or whole.rewriter is None:
        return ()
    path, last = chain.filter_list.path, max(len(chain.filters) - 1, 0)
    pair = (whole.authz.node.value, whole.rewriter.node.value)
    return tuple(Insert(path, last + at, value) for at, value in enumerate(pair))


def _no_authz(case: CheckCase) -> Iterator[Hit]:
    whole = [chain for chain in case.survey.chains if chain.whole]
    seen = not any(each.unseen for chain in whole for each in chain.filters)
    if whole and seen and not any(chain.authz for chain in whole):
        yield Hit(whole[0].filter_list, f"in {', '.join(chain.name for chain in whole)}")


def _no_end(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for host in hosts(chain):
            listed = [Route(node, host, chain) for node in host.at("routes").items()]
            if not host.at("matcher").present and not any(route.takes_everything for route in listed):
                path = (*host.at("routes").path,)
                edits: tuple[Edit, ...] = (Insert(path, len(listed), dict(pieces.NOTHING)),)
                yield Hit(host, f"virtual host {host.at('name').text}", edits)


def _no_host(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for table in chain.tables:
            found = list(table.at("virtual_hosts").items())
            domains = {domain.text for host in found for domain in host.at("domains").items()}
            if found and "*" not in domains and not table.at("vhds").present:
                edit = Insert(table.at("virtual_hosts").path, len(found), dict(pieces.ANY_HOST))
                yield Hit(table.at("virtual_hosts"), f"in {chain.name}", (edit,))


def _timeout(case: CheckCase) -> Iterator[Hit]:
    for route in _mcp(case):
        node = route.node.at("route", "timeout")
        if node.seconds != 0:
            yield Hit(node, f"{said(node)} on route {route.name}", (Put(node.path, "0s"),))


def _silence(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        node = chain.manager.at("stream_idle_timeout")
        if node.present and not _long_enough(node):
            yield Hit(node, said(node), (Put(node.path, "600s"),))
    for route in _mcp(case):
        node = route.node.at("route", "idle_timeout")
        if node.present and not _long_enough(node):
            yield Hit(node, f"{said(node)} on route {route.name}", (Put(node.path, "600s"),))


def _long_enough(node: Node) -> bool:
    return (node.seconds or 0) >= SHORTEST_SILENCE


def _duration(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        node = chain.manager.at("common_http_protocol_options", "max_stream_duration")
        if node.seconds:
            yield Hit(node, said(node), (Drop(node.path),))
    for route in _mcp(case):
        node = route.node.at("route", "max_stream_duration", "max_stream_duration")
        if node.seconds:
            yield Hit(node, f"{said(node)} on route {route.name}", (Drop(node.path),))


def _no_metadata(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for host in hosts(chain):
            listed = [Route(node, host, chain) for node in host.at("routes").items()]
            mcp = [route for route in _mcp(case) if route.host.path == host.path]
            if mcp and not any(route.serves_metadata for route in listed):
                there = "authz_http" in case.survey.clusters
                edit = Insert(host.at("routes").path, 0, dict(pieces.METADATA_ROUTE))
                yield Hit(host, f"virtual host {host.at('name').text}", (edit,) if there else ())


def _metadata_judged(case: CheckCase) -> Iterator[Hit]:
    for route in routes(case.survey.guarded):
        if not route.serves_metadata or not route.clusters or route.chain.authz is None:
            continue
        around = (route.node, route.host, *route.chain.tables)
        if not any(True for scope in around for _ in _unjudged(case, scope)):
            path = (*route.node.at("typed_per_filter_config").path, route.chain.authz.name)
            yield Hit(route.node, f"route {route.name}", (Put(path, dict(pieces.UNJUDGED)),))


def _exposed(case: CheckCase) -> Iterator[Hit]:
    for _, scope in scopes(case.survey.guarded):
        for _, _, policy in overrides(scope, "CorsPolicy"):
            node = policy.at("expose_headers")
            named = {name.strip().lower() for name in node.text.split(",")}
            missing = [name for name in pieces.EXPOSED.split(", ") if name.lower() not in named]
            if missing and policy.at("allow_origin_string_match").present:
                right = ", ".join([*filter(None, [node.text.strip()]), *missing])
                yield Hit(node, f"without {', '.join(missing)}", (Put(node.path, right),))


def _upgrades(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        yield from _upgrade_list(chain.manager.at("upgrade_configs"))
        node = chain.manager.at("http2_protocol_options", "allow_connect")
        if node.flag:
            yield Hit(node, "allow_connect is true", (Drop(node.path),))
    for route in routes(case.survey.guarded):
        yield from _upgrade_list(route.node.at("route", "upgrade_configs"))
        connect = route.node.at("match", "connect_matcher")
        if connect.present:
            yield Hit(connect, f"route {route.name} takes CONNECT", (Drop(route.node.path),))


def _upgrade_list(listed: Node) -> Iterator[Hit]:
    kinds = [each.at("upgrade_type").text for each in listed.items() if each.at("enabled").value is not False]
    if kinds:
        yield Hit(listed, ", ".join(kinds), (Drop(listed.path),))


CHECKS: tuple[Check, ...] = (
    Check(
        id="no-ext-authz",
        severity=ERROR,
        what="no ext_authz filter is in the file",
        risk="Whoever reaches the listener calls every tool.",
        cure="# mcp-authz envoy -c POLICY.yaml --part filters   renders all that is missing\n",
        find=_no_authz,
    ),
    Check(
        id="chain-unguarded",
        severity=ERROR,
        what="another listener leads to the same server without ext_authz",
        risk="Whoever reaches that listener calls every tool.",
        cure="# give its http_filters the same ext_authz and rewriter before the router, or remove its route\n",
        find=_unguarded_chains,
    ),
    Check(
        id="route-unguarded",
        severity=ERROR,
        what="ext_authz is taken away from a route other than the metadata's",
        risk="Whoever reaches the route gets to its server without a token.",
        cure="# remove the ExtAuthzPerRoute (or the FilterConfig) from typed_per_filter_config\n",
        find=_taken_away,
    ),
    Check(
        id="route-no-end",
        severity=WARNING,
        what="no last route matches everything",
        risk="A request without a route is not judged; should a later filter choose a route for it, it goes through.",
        cure=emit({"routes": [dict(pieces.NOTHING)]}) + "# last in every virtual host\n",
        find=_no_end,
    ),
    Check(
        id="route-no-host",
        severity=WARNING,
        what='no virtual host is for "*"',
        risk="A request for another host is not judged; should a later filter choose a route for it, it goes through.",
        cure=emit({"virtual_hosts": [dict(pieces.ANY_HOST)]}),
        find=_no_host,
    ),
    Check(
        id="route-timeout",
        severity=WARNING,
        what="the route's timeout cuts streams",
        risk="An event stream ends after it, at 15 s when nothing is set, and with it the answer.",
        cure="route:\n  timeout: 0s\n",
        find=_timeout,
    ),
    Check(
        id="stream-idle",
        severity=WARNING,
        what="streams may not be silent long enough, or for ever",
        risk="Under a minute, quiet event streams are cut; at 0s, nothing ends a response whose rewrite hangs.",
        cure=lines("stream_idle_timeout", "600s") + "# and idle_timeout: 600s on the route\n",
        find=_silence,
    ),
    Check(
        id="stream-duration",
        severity=WARNING,
        what="streams may only last for a time",
        risk="Event streams are cut however alive they are.",
        cure="# remove max_stream_duration\n",
        find=_duration,
    ),
    Check(
        id="metadata-missing",
        severity=WARNING,
        what="no route serves the protected-resource metadata",
        risk="Clients cannot find out where to get a token.",
        cure=emit({"routes": [dict(pieces.METADATA_ROUTE)]})
        + "# first; authz_http is the service's HTTP port\n",
        find=_no_metadata,
    ),
    Check(
        id="metadata-judged",
        severity=WARNING,
        what=f"a token is asked for {METADATA_PATH}",
        risk="Clients need the metadata to get a token, and are refused it.",
        cure=emit({"typed_per_filter_config": {pieces.DECISIONS: dict(pieces.UNJUDGED)}}),
        find=_metadata_judged,
    ),
    Check(
        id="cors-exposed",
        severity=WARNING,
        what="a CORS policy hides headers that MCP clients in browsers need",
        risk="A page sees neither the challenge of a 401 nor its session.",
        cure=lines("expose_headers", pieces.EXPOSED),
        find=_exposed,
    ),
    Check(
        id="upgrades",
        severity=ERROR,
        what="connections may be upgraded",
        risk="What runs over a WebSocket or a CONNECT tunnel is no request any more and is never judged.",
        cure="# remove upgrade_configs, allow_connect and connect_matcher\n",
        find=_upgrades,
    ),
)
