"""Which routes the requests of a policy can meet: those at a host and path of a server, and those to its upstream.

Rules of this module:

* A virtual host is chosen as Envoy does it: the exact domain, then the longest wildcard at the front, then the longest
  one at the end, then `*`. A host is tried with its port and without, because a client may send either.
* Routes are tried in order. One without conditions takes every request for its path, and no later route gets any.
* A route whose match is not understood is taken to match.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from authz.config.settings import Settings
from authz.core.servers import ANY, host_without_port
from authz.doctor.in_force import exemption
from authz.doctor.inventory import FilterChain, Inventory
from authz.doctor.node import Node
from authz.doctor.routes import ChainRoute, routes, routes_of

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Meeting:
    """What the requests of a policy can meet in a file.

    Attributes:
        paths: the routes that can get a request for a server's host and path.
        clusters: clusters that lead to the policy's servers.
    """

    paths: frozenset[tuple[str | int, ...]]
    clusters: frozenset[str]

    def path(self, route: ChainRoute) -> bool:
        """Whether a route can get a request for a server's host and path."""
        return route.node.path in self.paths

    def upstream(self, route: ChainRoute) -> bool:
        """Whether a route leads to an MCP server of the policy."""
        return bool(route.clusters & self.clusters)

    def any(self, route: ChainRoute) -> bool:
        """Whether a route can meet a path or an upstream of the policy."""
        return self.path(route) or self.upstream(route)


def meeting(settings: Settings, inventory: Inventory, chains: Iterable[FilterChain]) -> Meeting:
    """Return what the requests of a policy can meet in some chains."""
    chains = list(chains)
    met = {route.node.path for chain in chains for route in _met(settings, chain)}
    own = {
        name
        for route in routes(chains)
        if route.node.path in met and route.is_exact and not exemption(route).present
        for name in route.clusters
    }
    return Meeting(frozenset(met), frozenset((own | upstream_clusters(settings, inventory)) - {"*"}))


def upstream_clusters(settings: Settings, inventory: Inventory) -> set[str]:
    """Return the clusters with an endpoint at the address of a server's upstream."""
    urls = [urlsplit(url) for url in settings.upstreams.values()]
    wanted = {(url.hostname, url.port or _PORTS.get(url.scheme, 0)) for url in urls}
    return {name for name, cluster in inventory.clusters.items() if wanted & set(_addresses(cluster))}


def _addresses(cluster: Node) -> Iterator[tuple[str | None, int]]:
    for node in cluster.at("load_assignment").walk():
        if node.key == "socket_address":
            yield node.at("address").text.lower(), int(node.at("port_value").number or 0)


def _met(settings: Settings, chain: FilterChain) -> Iterator[ChainRoute]:
    for server in settings.directory.servers:
        for table in chain.tables:
            for host in hosts_for(table, server.hosts):
                yield from takers(routes_of(host, chain), server.path)


def takers(listed: Iterable[ChainRoute], path: str) -> Iterator[ChainRoute]:
    """Yield the routes that can get a request for a path, in order."""
    for route in listed:
        if route.may_take(path):
            yield route
            if not route.conditional:
                return


def hosts_for(table: Node, authorities: Iterable[str]) -> list[Node]:
    """Return the virtual hosts that requests for some authorities reach; for `*` every one."""
    every = list(table.at("virtual_hosts").items())
    if ANY in authorities:
        return every
    names = {name for each in authorities for name in (each, host_without_port(each))}
    found = (virtual_host(every, name) for name in sorted(names))
    return list({host.path: host for host in found if host is not None}.values())


def virtual_host(every: Iterable[Node], name: str) -> Node | None:
    """Return the virtual host that Envoy chooses for a name; None if none matches."""
    best: tuple[tuple[int, int], Node] | None = None
    for host in every:
        for domain in host.at("domains").items():
            rank = _rank(domain.text.lower(), name)
            if rank is not None and (best is None or rank > best[0]):
                best = rank, host
    return best[1] if best else None


def _rank(domain: str, name: str) -> tuple[int, int] | None:
    if domain == name:
        return 3, 0
    if domain == ANY:
        return 0, 0
    if domain.startswith(ANY) and name.endswith(domain[1:]) and len(name) >= len(domain):
        return 2, len(domain)
    if domain.endswith(ANY) and name.startswith(domain[:-1]) and len(name) >= len(domain):
        return 1, len(domain)
    return None
