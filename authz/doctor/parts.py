"""Where each part that the catalog names is in a configuration."""

from collections.abc import Callable, Iterator, Mapping

from authz.core.servers import Server
from authz.doctor.filters import Filter
from authz.doctor.model import CheckCase
from authz.doctor.node import Node
from authz.doctor.routes import ChainRoute, Scope, routes, scopes

Part = tuple[Node, str]
"""A message, and what a report adds to tell it from others of its kind."""

_OVERRIDES = (
    ("ExtAuthzPerRoute", "check_settings", "ext_authz"),
    ("ExtProcPerRoute", "overrides", "ext_proc"),
)


def authz(case: CheckCase) -> Iterator[Node]:
    """Return the ext_authz configuration of each chain."""
    return (chain.authz.config for chain in case.inventory.guarded if chain.authz and not chain.authz.unseen)


def bodies(case: CheckCase) -> Iterator[Node]:
    """Yield the body settings in effect: the filter's, and those by which routes replace them."""
    settings = [node.at("with_request_body") for node in authz(case)]
    for scope in scopes(case.inventory.guarded):
        for _, message in scope.overrides("ExtAuthzPerRoute"):
            settings.append(message.at("check_settings", "with_request_body"))
    return (node for node in settings if node.present)


def exemptions(case: CheckCase, scope: Scope) -> list[Node]:
    """Return the entries that disable ext_authz at a level."""
    names = {chain.authz.name for chain in case.inventory.guarded if chain.authz}
    messages = scope.overrides("ExtAuthzPerRoute")
    found = [entry for entry, message in messages if message.at("disabled").flag or entry.at("disabled").flag]
    for name, entry in scope.entries():
        plain = entry.type.endswith("FilterConfig") and not entry.at("config").type
        if name in names and plain and entry.at("disabled").flag:
            found.append(entry)
    return found


def guarded_routes(case: CheckCase) -> list[ChainRoute]:
    """Return the routes to servers that ext_authz authorizes."""
    chains = case.inventory.guarded
    exempt = {scope.node.path for scope in scopes(chains) if exemptions(case, scope)}
    found = (route for route in routes(chains) if route.clusters and not route.serves_metadata)
    return [route for route in found if not {route.node.path, route.host.path} & exempt]


def mcp_routes(case: CheckCase) -> list[ChainRoute]:
    """Return the guarded routes that lead to MCP servers: those of the policy's paths, or all without a policy."""
    servers: tuple[Server, ...] = case.settings.directory.servers if case.settings else ()
    found = guarded_routes(case)
    return [route for route in found if not servers or any(route.takes(server.path) for server in servers)]


def _asked_by(user: str, found: Filter | None) -> Iterator[tuple[str, Node]]:
    for config in (found.config, *found.pools) if found else ():
        if config.at("grpc_service", "envoy_grpc").present:
            yield user, config.at("grpc_service", "envoy_grpc", "cluster_name")


def cluster_uses(case: CheckCase) -> Iterator[tuple[str, Node]]:
    """Yield each filter's kind with its reference to a cluster."""
    for chain in case.inventory.guarded:
        yield from _asked_by("ext_authz", chain.authz)
        yield from _asked_by("ext_proc", chain.rewriter)
    for scope in scopes(case.inventory.guarded):
        for kind, field, user in _OVERRIDES:
            for _, message in scope.overrides(kind):
                node = message.at(field, "grpc_service", "envoy_grpc", "cluster_name")
                if node.present:
                    yield user, node


def clusters(case: CheckCase, *users: str) -> Iterator[Node]:
    """Return the clusters that filters of some kinds use, each once."""
    names = dict.fromkeys(node.text for user, node in cluster_uses(case) if user in users)
    known = case.inventory.clusters
    return (known[name] for name in names if name in known)


def bootstraps(case: CheckCase) -> Iterator[Node]:
    """Yield the root, and the bootstrap of a `config_dump`."""
    root = case.inventory.root
    yield root
    yield from (each.at("bootstrap") for each in root.at("configs").items() if each.at("bootstrap").present)


def _authz_filters(case: CheckCase) -> Iterator[Part]:
    found = (chain.authz for chain in case.inventory.guarded if chain.authz)
    return ((each.node, f" in filter {each.name}") for each in found)


def _rewriters(case: CheckCase) -> Iterator[Part]:
    found = (chain.rewriter for chain in case.inventory.guarded if chain.rewriter)
    return ((config, "") for each in found if not each.unseen for config in (each.config, *each.pools))


PARTS: Mapping[str, Callable[[CheckCase], Iterator[Part]]] = {
    "authz_filter": _authz_filters,
    "authz": lambda case: ((node, "") for node in authz(case)),
    "body": lambda case: ((node, "") for node in bodies(case)),
    "rewriter": _rewriters,
    "manager": lambda case: ((each.manager, "") for each in case.inventory.guarded if each.manager.present),
    "mcp_route": lambda case: ((each.node, f" on route {each.name}") for each in mcp_routes(case)),
    "cluster": lambda case: ((node, f" in {cluster_name(node)}") for node in clusters(case, "ext_authz")),
    "bootstrap": lambda case: ((node, "") for node in bootstraps(case)),
}
"""The parts by the names that the catalog uses; `cluster` is that of ext_authz."""


def cluster_name(cluster: Node) -> str:
    """Return what a cluster is called in a report."""
    return f"cluster {cluster.at('name').text}"
