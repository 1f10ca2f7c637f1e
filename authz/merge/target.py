"""Where in somebody's configuration the parts belong: its connection manager, and the virtual hosts that MCP requests reach.

Whatever could not be done safely is refused here, with the line and what to do instead.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from authz.config.problems import ConfigError, mistake
from authz.config.settings import Settings
from authz.core.servers import Server, host_without_port
from authz.doctor.filters import Filter
from authz.doctor.inventory import FilterChain, Inventory, take_inventory
from authz.doctor.node import Node
from authz.doctor.places import virtual_host
from authz.doctor.source import Source, read_text

_BREAKS = re.compile("[\x85\u2028\u2029]|\r(?!\n)")
"""What ends a line for YAML, but not for an editor."""
_BY_HAND = "paste `mcp-authz envoy --part filters` by hand, where its comments say"


@dataclass(frozen=True, slots=True)
class MergeTarget:
    """Where parts are merged.

    Attributes:
        source: the file without an earlier merge.
        inventory: what is in it.
        chain: the connection manager's.
        table: its routes.
    """

    source: Source
    inventory: Inventory
    chain: FilterChain
    table: Node

    @property
    def router(self) -> Filter:
        """The chain's last filter."""
        return self.chain.filters[-1]

    def check_router(self) -> None:
        """Refuse a chain whose last filter is not the router.

        Raises:
            ConfigError: it is another one, or there is none.
        """
        if not self.chain.filters or self.router.kind != "router":
            node = self.router.node if self.chain.filters else self.chain.manager
            raise self.refused(node, "the last filter is not envoy.filters.http.router", _BY_HAND)

    def hosts(self, server: Server) -> tuple[list[Node], list[str]]:
        """Return the virtual hosts that requests for a server reach, and its authorities that reach none.

        Raises:
            ConfigError: a virtual host has a tree of matchers in place of routes.
        """
        every = list(self.table.at("virtual_hosts").items())
        found: dict[str, Node] = {}
        missed: list[str] = []
        for authority in sorted(server.hosts):
            reached = every if authority == "*" else [virtual_host(every, self._name(authority))]
            missed += [authority] if None in reached or not reached else []
            found |= {str(host.path): host for host in reached if host is not None}
        for host in found.values():
            if host.at("matcher").present or not host.at("routes").present:
                named = f"virtual host {host.at('name').text} has a matcher tree, or no routes"
                raise self.refused(host, named, _BY_HAND)
        return list(found.values()), missed

    def _name(self, authority: str) -> str:
        """Return what Envoy looks up for an authority: with its port, unless the file has that ignored or cut."""
        manager = self.chain.manager
        cut = manager.at("strip_any_host_port").flag or self.table.at("ignore_port_in_host_matching").flag
        return host_without_port(authority) if cut else authority

    def refused(self, node: Node, what: str, cure: str) -> ConfigError:
        """Return the problem with a place."""
        return mistake(self.source.file, what, cure, line=self.source.line(node.path))


def find_target(text: str, file: str, settings: Settings, listener: str) -> MergeTarget:
    """Read a file and find where the policy's hosts are served.

    Args:
        text: the file without an earlier merge.
        file: its name, for problems.
        settings: the policy's.
        listener: the listener's name, or the stat_prefix of its connection manager; empty if it must follow from the
            policy's hosts.

    Raises:
        ConfigError: there is no such place, or several, or it cannot be changed safely.
    """
    source = read_text(text, file)
    _refuse_form(source)
    inventory = take_inventory(Node(source.tree))
    chain = _chosen(source, inventory, settings, listener)
    target = MergeTarget(source, inventory, chain, chain.tables[0] if chain.tables else Node(None))
    if not chain.manager.at("route_config").present:
        kind = next((each for each in ("rds", "scoped_routes") if chain.manager.at(each).present), "")
        node = chain.manager.at(kind) if kind else chain.manager
        raise target.refused(node, f"the routes of {chain.name} are not in this file", _BY_HAND)
    target.check_router()
    return target


def _refuse_form(source: Source) -> None:
    if source.json:
        cure = "write it as YAML, where comments can mark what is merged"
        raise mistake(source.file, "a JSON file has no room for comments", cure)
    strange = _BREAKS.search(source.text)
    if strange:
        line = source.text.count("\n", 0, strange.start()) + 1
        raise mistake(source.file, "has a line break that is no newline", "write \\n or \\r\\n", line=line)
    if source.more:
        raise mistake(source.file, "has several documents, of which Envoy reads the first", "keep one")
    for path in source.repeated:
        cure = "keep one of the two; Envoy reads the last"
        raise mistake(source.file, f"{path[-1]} appears twice", cure, line=source.line(path))
    if "static_resources" not in source.tree:
        cure = "give the bootstrap, with static_resources"
        raise mistake(source.file, "is not a bootstrap with its listeners", cure)


def names(chain: FilterChain) -> set[str]:
    """Return the names by which a chain can be asked for."""
    return {chain.listener.at("name").text, chain.manager.at("stat_prefix").text} - {""}


def candidates(inventory: Inventory) -> list[FilterChain]:
    """Return the chains of listeners in the file."""
    return [each for each in inventory.chains if each.manager.present and each.listener.present]


def choices(text: str, file: str, settings: Settings) -> list[str]:
    """Return the names to choose from where several connection managers serve the policy's hosts; none otherwise."""
    every = candidates(take_inventory(Node(read_text(text, file).tree)))
    serving = [chain for chain in every if _serves(chain, settings)]
    return sorted({min(names(chain), default="") for chain in serving} - {""}) if len(serving) > 1 else []


def _chosen(source: Source, inventory: Inventory, settings: Settings, listener: str) -> FilterChain:
    every = candidates(inventory)
    named = [each for each in every if listener in names(each)] if listener else every
    serving = [each for each in named if listener or len(every) == 1 or _serves(each, settings)]
    if len(serving) == 1:
        return serving[0]
    if not every:
        raise mistake(source.file, "has no listener with a connection manager", _BY_HAND)
    known = ", ".join(sorted({name for each in every for name in names(each)})) or "no names"
    if not serving:
        said = (
            f"no listener or stat_prefix is named {listener}"
            if listener
            else "no listener serves the policy's hosts"
        )
    else:
        said = (
            f"{len(serving)} connection managers {'have that name' if listener else 'serve the policy hosts'}"
        )
    raise mistake(source.file, said, f"choose with --listener; there are: {known}")


def _serves(chain: FilterChain, settings: Settings) -> bool:
    """Whether a virtual host of a chain names a host of the policy, or takes any."""
    return any(True for _ in _named_hosts(chain, settings.directory.servers))


def _named_hosts(chain: FilterChain, servers: Sequence[Server]) -> Iterator[Node]:
    every = [host for table in chain.tables for host in table.at("virtual_hosts").items()]
    wanted = {name for server in servers for host in server.hosts for name in (host, host_without_port(host))}
    for name in sorted(wanted):
        found = virtual_host(every, name)
        if found is not None:
            yield found
