"""Routes of a chain and the levels above them, at each of which a filter may be overridden."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from authz.doctor.inventory import FilterChain
from authz.doctor.node import Node
from authz.doctor.string_matcher import full_match
from authz.render.model import METADATA_PATH

_PATHS = ("path", "prefix", "path_separated_prefix")
_CONDITIONS = (
    "headers",
    "query_parameters",
    "cookies",
    "runtime_fraction",
    "dynamic_metadata",
    "filter_state",
    "grpc",
)
_CHOSEN_BY_REQUEST = ("cluster_header", "cluster_specifier_plugin", "inline_cluster_specifier_plugin")


@dataclass(frozen=True, slots=True)
class ChainRoute:
    """One route, its virtual host and its chain."""

    node: Node
    host: Node
    chain: FilterChain

    @property
    def name(self) -> str:
        """Its name, or the path that it matches."""
        return self.node.at("name").text or next(self._paths(), "?")

    def _paths(self) -> Iterator[str]:
        match = self.node.at("match")
        return (match.at(kind).text for kind in _PATHS if match.at(kind).present)

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters that it sends requests to, mirrors included; "*" for one that the request chooses."""
        action = self.node.at("route")
        names = {action.at("cluster").text}
        names |= {each.at("name").text for each in action.at("weighted_clusters", "clusters").items()}
        names |= {each.at("cluster").text for each in action.at("request_mirror_policies").items()}
        names |= {"*"} if any(action.at(key).present for key in _CHOSEN_BY_REQUEST) else set()
        return frozenset(names - {""})

    @property
    def serves_metadata(self) -> bool:
        """Whether it can match nothing but protected-resource metadata."""
        return any(path == METADATA_PATH or path.startswith(METADATA_PATH + "/") for path in self._paths())

    @property
    def is_exact(self) -> bool:
        """Whether it matches one path alone."""
        return self.node.at("match", "path").present

    @property
    def conditional(self) -> bool:
        """Whether more than the path decides whether it matches, or something that is not understood."""
        match = self.node.at("match")
        return any(match.at(name).present for name in _CONDITIONS) or not self._understood

    @property
    def _understood(self) -> bool:
        match = self.node.at("match")
        return any(match.at(kind).present for kind in (*_PATHS, "safe_regex"))

    def may_take(self, path: str) -> bool:
        """Whether it can match a path; yes, if its match is not understood."""
        return self.takes(path) or not self._understood

    def takes(self, path: str) -> bool:
        """Whether it can match a path, whatever its other conditions are."""
        match = self.node.at("match")
        if match.at("case_sensitive").value is False:
            return _takes(match, path.lower(), str.lower)
        return _takes(match, path, str)

    @property
    def takes_everything(self) -> bool:
        """Whether it matches every request."""
        match = self.node.at("match")
        anything = match.at("prefix").text == "/" or match.at("safe_regex", "regex").text in {".*", "/.*"}
        return anything and not any(match.at(name).present for name in _CONDITIONS)


def _takes(match: Node, path: str, fold: Callable[[str], str]) -> bool:
    if match.at("path").present:
        return fold(match.at("path").text) == path
    if match.at("path_separated_prefix").present:
        prefix = fold(match.at("path_separated_prefix").text)
        return path == prefix or path.startswith(prefix + "/")
    if match.at("prefix").present:
        return path.startswith(fold(match.at("prefix").text))
    return full_match(match.at("safe_regex", "regex").text, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A level at which filters may be overridden: route configuration, virtual host, route or weighted cluster.

    Attributes:
        node: the level.
        route: the route at or above it, if there is one.
    """

    node: Node
    route: ChainRoute | None = None

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return self.route.name if self.route else self.node.at("name").text or "all routes"

    def entries(self) -> Iterator[tuple[str, Node]]:
        """Return its per-filter settings: the filter's name and the entry."""
        return self.node.at("typed_per_filter_config").members()

    def overrides(self, kind: str) -> Iterator[tuple[Node, Node]]:
        """Yield the per-filter settings of a type: the entry, and the message, which a FilterConfig may wrap."""
        for _, entry in self.entries():
            wraps = entry.type.endswith("route.v3.FilterConfig")
            message = (entry.at("config") if wraps else entry).unpacked()
            if entry.type.endswith(kind) or message.type.endswith(kind):
                yield entry, message


def hosts(chain: FilterChain) -> Iterator[Node]:
    """Return the virtual hosts of a chain."""
    return (host for table in chain.tables for host in table.at("virtual_hosts").items())


def routes_of(host: Node, chain: FilterChain) -> list[ChainRoute]:
    """Return the routes of a virtual host."""
    return [ChainRoute(node, host, chain) for node in host.at("routes").items()]


def routes(chains: Iterable[FilterChain]) -> Iterator[ChainRoute]:
    """Return every route of some chains."""
    return (route for chain in chains for host in hosts(chain) for route in routes_of(host, chain))


def scopes(chains: Iterable[FilterChain]) -> Iterator[Scope]:
    """Yield every level at which a filter may be overridden."""
    for chain in chains:
        yield from (Scope(node=node) for node in (*chain.tables, *hosts(chain)))
    for route in routes(chains):
        weighted = route.node.at("route", "weighted_clusters", "clusters").items()
        yield from (Scope(node=node, route=route) for node in (route.node, *weighted))
