"""Checks of what is exempt from ext_authz, and of what is judged although no server of the policy answers there.

With a policy, an exemption is a hole only where the policy's requests can meet it: at a host and path of a server, or on
the way to its upstream. Other routes of the same Envoy are exempt by right. Without a policy, every exemption but that
of the metadata is taken for a hole.
"""

from collections.abc import Iterator, Mapping

from authz.core.servers import ANY, host_without_port
from authz.doctor import expected
from authz.doctor.in_force import exempting, exemption
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Drop, Edit, Find, Hit, Put
from authz.doctor.node import Node, Path
from authz.doctor.parts import guarded_routes, policy_meets
from authz.doctor.places import Meeting
from authz.doctor.routes import ChainRoute, routes


def _exempt(case: CheckCase) -> Iterator[tuple[ChainRoute, Node]]:
    """Yield the routes to servers that are exempt, with the setting that exempts each."""
    for route in routes(case.inventory.guarded):
        entry = exemption(route)
        if entry.present and route.clusters and not route.serves_metadata:
            yield route, entry


def _unguarded(case: CheckCase) -> Iterator[Hit]:
    met = policy_meets(case)
    if met is None:
        yield from _any_exemption(case)
        return
    for route, entry in _exempt(case):
        if met.any(route):
            yield Hit(entry, f"on {_named(route)}", _closing(route, entry, met))


def _any_exemption(case: CheckCase) -> Iterator[Hit]:
    """Find each setting that exempts, wherever a route to a server is left with it."""
    in_force = {entry.path for _, entry in _exempt(case)}
    for chain in case.inventory.guarded:
        for scope, entry in exempting(chain):
            unused = scope.route is None and not list(routes([chain]))
            if entry.path in in_force or unused:
                yield Hit.drop(entry, f"on {_named(scope.route) if scope.route else scope.name}")


def _named(route: ChainRoute) -> str:
    return f"route {route.name} to {', '.join(sorted(route.clusters))}"


def _closing(route: ChainRoute, entry: Node, met: Meeting) -> tuple[Edit, ...]:
    """Return what has a route judged, if it serves the policy alone: judged, the others would be denied."""
    if not (met.upstream(route) or route.is_exact):
        return ()
    if entry.path[: len(route.node.path)] == route.node.path:
        return (Drop(entry.path),)
    name = route.chain.authz.name if route.chain.authz else str(entry.path[-1])
    return (Put((*route.node.at("typed_per_filter_config").path, name), expected.GUARDED),)


def _by_right(case: CheckCase) -> Iterator[Hit]:
    met = policy_meets(case)
    if met is None:
        return
    found: dict[Path, tuple[Node, list[str]]] = {}
    for route, entry in _exempt(case):
        if not met.any(route):
            found.setdefault(entry.path, (entry, []))[1].append(route.name)
    for entry, names in found.values():
        yield Hit(entry, f"on {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}")


def _unanswered(case: CheckCase) -> Iterator[Hit]:
    met = policy_meets(case)
    if met is None:
        return
    for route in guarded_routes(case):
        if route.chain.authz and not met.any(route):
            yield Hit(route.node, f"{_named(route)}: all of it is 403")


def _port_cut(case: CheckCase) -> Iterator[Hit]:
    """Find a manager that takes the port from Host, where a server answers only at hosts with one."""
    for chain in case.inventory.guarded:
        for name in ("strip_any_host_port", "strip_matching_host_port"):
            node = chain.manager.at(name)
            lost = sorted(_lost(case)) if node.flag and _reached(case, chain) else []
            if lost:
                yield Hit(node, f"the policy has {', '.join(lost)}")


def _lost(case: CheckCase) -> Iterator[str]:
    for server in case.settings.directory.servers if case.settings else ():
        bare = {host for host in server.hosts if host_without_port(host) == host}
        yield from (host for host in server.hosts if host_without_port(host) not in bare | {ANY})


def _reached(case: CheckCase, chain: FilterChain) -> bool:
    met = policy_meets(case)
    return met is not None and any(met.path(route) for route in routes([chain]))


def _by_document(case: CheckCase) -> Iterator[Hit]:
    yield from (Hit(entry) for entry in case.inventory.exempting)


CHECKS: Mapping[str, Find] = {
    "route-unguarded": _unguarded,
    "route-exempt": _by_right,
    "route-unanswered": _unanswered,
    "host-port-cut": _port_cut,
    "documents-exempt": _by_document,
}
