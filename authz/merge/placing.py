"""Puts the routes to the policy's servers into the virtual hosts that their requests reach, in front of the routes there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from authz.config.settings import Settings
from authz.core.servers import Server
from authz.doctor.inventory import FilterChain
from authz.doctor.node import Node, Path
from authz.doctor.places import takers, upstream_clusters
from authz.doctor.routes import ChainRoute, routes, routes_of
from authz.merge.parts import Tag
from authz.merge.target import MergeTarget, candidates
from authz.merge.yaml_text import YamlText


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the routes of one server went.

    Attributes:
        server: the server.
        hosts: the virtual hosts of the file that have them now.
        before: the routes of the file that got requests for the server's path until now.
        new: the authorities for which a virtual host was added.
    """

    server: Server
    hosts: tuple[Node, ...]
    before: tuple[ChainRoute, ...]
    new: tuple[str, ...]


def place(
    text: YamlText, target: MergeTarget, settings: Settings, make: Callable[[Server], list[Tag]], last: Tag
) -> list[Placed]:
    """Put the routes of every server into its virtual hosts, or into new ones.

    Args:
        text: the file.
        target: where in it.
        settings: the policy's.
        make: returns the routes of a server.
        last: the route that ends a new virtual host.
    """
    placed, into, new = [], dict[Path, list[Tag]](), dict[str, list[Tag]]()
    for server in settings.directory.servers:
        hosts, missed = target.hosts(server)
        made = make(server)
        for host in hosts:
            into.setdefault(host.path, []).extend(made)
        for authority in missed:
            new.setdefault(authority, []).extend(made)
        taken = [each for host in hosts for each in takers(routes_of(host, target.chain), server.path)]
        placed.append(Placed(server, tuple(hosts), tuple(taken), tuple(missed)))
    for path, made in into.items():
        text.insert((*path, "routes"), 0, made)
    _new_hosts(text, target, new, last)
    return placed


def _new_hosts(text: YamlText, target: MergeTarget, new: dict[str, list[Tag]], last: Tag) -> None:
    """Add a virtual host for each set of authorities that get the same routes."""
    listed = target.table.at("virtual_hosts")
    groups: dict[str, tuple[list[str], list[Tag]]] = {}
    for authority, made in new.items():
        key = " ".join(each["name"] for each in made)
        groups.setdefault(key, ([], made))[0].append(authority)
    added: list[Tag] = [
        {"name": f"mcp-{domains[0]}", "domains": domains, "routes": [*made, last]}
        for domains, made in groups.values()
    ]
    if added:
        text.insert(listed.path, len(listed.value or []), added)


def past_the_policy(target: MergeTarget, settings: Settings) -> Iterator[tuple[FilterChain, ChainRoute]]:
    """Yield the routes of the file that lead to an MCP server of the policy, with their chains."""
    clusters = upstream_clusters(settings, target.inventory)
    for chain in candidates(target.inventory):
        yield from ((chain, route) for route in routes([chain]) if route.clusters & clusters)
