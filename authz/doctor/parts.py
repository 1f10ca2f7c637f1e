"""Where each part that the catalog names is in a configuration."""

from collections.abc import Callable, Iterator, Mapping

from authz.doctor.filters import Filter
from authz.doctor.in_force import authz_settings, content, exemption
from authz.doctor.model import CheckCase, once
from authz.doctor.node import Node
from authz.doctor.places import Meeting, meeting
from authz.doctor.routes import ChainRoute, Scope, routes, scopes

Part = tuple[Node, str]
"""A message, and what a report adds to tell it from others of its kind."""


def authz(case: CheckCase) -> Iterator[Node]:
    """Return the ext_authz configuration of each chain."""
    return (chain.authz.config for chain in case.inventory.guarded if chain.authz and not chain.authz.unseen)


def bodies(case: CheckCase) -> Iterator[Node]:
    """Yield the body settings in effect: the filter's, and those by which routes replace them."""
    settings = [node.at("with_request_body") for node in authz(case)]
    settings += [each.at("check_settings", "with_request_body") for _, each in authz_overrides(case)]
    return (node for node in settings if node.present)


@once
def authz_overrides(case: CheckCase) -> list[tuple[Scope, Node]]:
    """Return each level that overrides ext_authz, with the message by which it does so."""
    return [
        (scope, content(entry))
        for chain in case.inventory.guarded
        for scope in scopes([chain])
        for entry in authz_settings(scope.node, chain)
    ]


@once
def guarded_routes(case: CheckCase) -> list[ChainRoute]:
    """Return the routes to servers that ext_authz authorizes."""
    found = (
        route for route in routes(case.inventory.guarded) if route.clusters and not route.serves_metadata
    )
    return [route for route in found if not exemption(route).present]


@once
def mcp_routes(case: CheckCase) -> list[ChainRoute]:
    """Return the guarded routes that lead to MCP servers: those that the policy's requests meet, or all without one."""
    found = guarded_routes(case)
    met = policy_meets(case)
    return found if met is None else [route for route in found if met.path(route)]


@once
def policy_meets(case: CheckCase) -> Meeting | None:
    """Return what the policy's requests meet in the guarded chains; None without a policy."""
    if case.settings is None or not case.settings.directory.servers:
        return None
    return meeting(case.settings, case.inventory, case.inventory.guarded)


def serves_others(case: CheckCase) -> bool:
    """Whether a route that is not exempt is none of the policy's: it would be denied if it were judged."""
    met = policy_meets(case)
    return met is not None and any(not met.any(route) for route in guarded_routes(case))


def _asked_by(user: str, found: Filter | None) -> Iterator[tuple[str, Node]]:
    for config in (found.config, *found.pools) if found else ():
        if config.at("grpc_service", "envoy_grpc").present:
            yield user, config.at("grpc_service", "envoy_grpc", "cluster_name")


def cluster_uses(case: CheckCase) -> Iterator[tuple[str, Node]]:
    """Yield each filter's kind with its reference to a cluster."""
    for chain in case.inventory.guarded:
        yield from _asked_by("ext_authz", chain.authz)
        yield from _asked_by("ext_proc", chain.rewriter)
    overrides = [
        (user, message.at(field, "grpc_service", "envoy_grpc", "cluster_name"))
        for user, field, messages in (
            ("ext_authz", "check_settings", (each for _, each in authz_overrides(case))),
            ("ext_proc", "overrides", _proc_overrides(case)),
        )
        for message in messages
    ]
    yield from ((user, node) for user, node in overrides if node.present)


def _proc_overrides(case: CheckCase) -> Iterator[Node]:
    for scope in scopes(case.inventory.guarded):
        yield from (message for _, message in scope.overrides("ExtProcPerRoute"))


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
