"""Routes of a chain and the levels above them, at each of which a filter may be overridden."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authz.doctor.field_checks import hosts
from authz.doctor.inventory import FilterChain, Inventory
from authz.doctor.model import Insert
from authz.doctor.node import Node
from authz.doctor.string_matcher import full_match
from authz.render.model import METADATA_PATH

_CONDITIONS = (
    "headers",
    "query_parameters",
    "cookies",
    "runtime_fraction",
    "dynamic_metadata",
    "filter_state",
    "grpc",
)


@dataclass(frozen=True, slots=True)
class Route:
    """One route, its virtual host and its chain."""

    node: Node
    host: Node
    chain: FilterChain

    @property
    def name(self) -> str:
        """What it is called: its name, or the path that it matches."""
        match = self.node.at("match")
        kinds = ("path", "prefix", "path_separated_prefix")
        paths = [match.at(kind).text for kind in kinds if match.at(kind).present]
        return self.node.at("name").text or (paths or ["?"])[0]

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters that it sends requests to, mirrors included; "*" for one that the request chooses."""
        action = self.node.at("route")
        listed = [*action.at("weighted_clusters", "clusters").items()]
        names = {action.at("cluster").text, *(each.at("name").text for each in listed)}
        names |= {each.at("cluster").text for each in action.at("request_mirror_policies").items()}
        chosen = ("cluster_header", "cluster_specifier_plugin", "inline_cluster_specifier_plugin")
        names |= {"*"} if any(action.at(key).present for key in chosen) else set()
        return frozenset(names - {""})

    @property
    def serves_metadata(self) -> bool:
        """Whether it can match nothing but protected-resource metadata."""
        match = self.node.at("match")
        paths = [match.at(kind).text for kind in ("path", "prefix", "path_separated_prefix")]
        return any(path == METADATA_PATH or path.startswith(METADATA_PATH + "/") for path in paths)

    def takes(self, path: str) -> bool:
        """Tell whether it can match a path, whatever else it asks for."""
        match = self.node.at("match")
        if match.at("path").present:
            return match.at("path").text == path
        if match.at("path_separated_prefix").present:
            prefix = match.at("path_separated_prefix").text
            return path == prefix or path.startswith(prefix + "/")
        if match.at("prefix").present:
            return path.startswith(match.at("prefix").text)
        return full_match(match.at("safe_regex", "regex").text, path)

    @property
    def takes_everything(self) -> bool:
        """Whether it matches every request."""
        match = self.node.at("match")
        anything = match.at("prefix").text == "/" or match.at("safe_regex", "regex").text in {".*", "/.*"}
        return anything and not any(match.at(name).present for name in _CONDITIONS)


def copied_cluster(survey: Inventory, name: str, new: str) -> tuple[Insert, ...]:
    """Give what adds a copy of a cluster under another name; nothing where it is there, or nothing can be copied."""
    cluster = survey.clusters.get(name)
    if cluster is None or new in survey.clusters or not isinstance(cluster.path[-1], int):
        return ()
    copy = {**cluster.value, "name": new}
    if cluster.at("load_assignment", "cluster_name").present:
        assignment = cluster.at("load_assignment")
        copy[assignment.path[-1]] = {**assignment.value, assignment.at("cluster_name").path[-1]: new}
    return (Insert(cluster.path[:-1], cluster.path[-1] + 1, copy),)


def routes(chains: Iterable[FilterChain]) -> Iterator[Route]:
    """Give every route of some chains."""
    for chain in chains:
        for host in hosts(chain):
            yield from (Route(node, host, chain) for node in host.at("routes").items())


def scopes(chains: Iterable[FilterChain]) -> Iterator[tuple[Route | None, Node]]:
    """Give every place where a filter may be overridden: tables, virtual hosts, routes, weighted clusters.

    With each of the last two comes its route.
    """
    for chain in chains:
        for table in chain.tables:
            yield None, table
        for host in hosts(chain):
            yield None, host
    for route in routes(chains):
        yield route, route.node
        for weighted in route.node.at("route", "weighted_clusters", "clusters").items():
            yield route, weighted
