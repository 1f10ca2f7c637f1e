"""Puts the parts of a chain into somebody's Envoy configuration: `mcp-authz envoy --merge`.

Either into the connection manager that serves the policy's hosts, or, with `isolate`, into an internal listener of
their own, to which the connection manager gets nothing but routes.
"""

from dataclasses import dataclass

from authz.config.problems import mistake
from authz.config.settings import Settings
from authz.core.servers import Server
from authz.doctor import expected
from authz.doctor.node import Node, Path
from authz.doctor.routes import ChainRoute
from authz.doctor.source import read_text
from authz.merge import effects
from authz.merge.effects import MergeEffect
from authz.merge.isolated import door, inner_listener, internal_cluster, internal_extension
from authz.merge.marks import without_merged
from authz.merge.parts import (
    GOES_ON,
    OWN_NAME,
    Rendered,
    Tag,
    authz_name,
    beside_others,
    identity_headers,
    last_route,
    local_replies,
    manager_settings,
    rendered,
    server_routes,
    switched_off,
)
from authz.merge.placing import past_the_policy, place
from authz.merge.target import MergeTarget, find_target
from authz.merge.yaml_text import YamlText
from authz.render.model import Chain


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged file.

    Attributes:
        text: the file.
        effects: what changes for requests that have nothing to do with MCP.
    """

    text: str
    effects: tuple[MergeEffect, ...]


def merge(
    text: str, file: str, chain: Chain, settings: Settings, *, listener: str = "", isolate: bool = False
) -> Merged:
    """Merge a chain into a bootstrap.

    Args:
        text: the bootstrap, with or without what an earlier merge put in.
        file: its name, for problems.
        chain: what is to be rendered.
        settings: the policy's.
        listener: the name of the listener, or the stat_prefix of the connection manager; empty to go by the hosts.
        isolate: give MCP a listener of its own.

    Raises:
        ConfigError: it cannot be done safely; the error names the line.
    """
    base = without_merged(text, file)
    target = find_target(base, file, settings, listener)
    out = YamlText(base, file, target.source.tree)
    made = (_isolated if isolate else _together)(out, target, chain, settings)
    merged = out.write()
    if without_merged(merged, file).removesuffix("\n") != base.removesuffix("\n"):
        raise mistake(
            file, "the rest of the file would not stay as it is", "please report this, with the file"
        )
    read_text(merged, file)
    return Merged(merged, tuple(made))


def _together(out: YamlText, target: MergeTarget, chain: Chain, settings: Settings) -> list[MergeEffect]:
    """Put filters, routes and clusters into the connection manager."""
    parts = rendered(chain, authz_name(target.chain.filters))
    manager = target.chain.manager
    _add_filters(out, target, parts)
    changed = [*manager_settings(manager)]
    for node, value in changed:
        out.put(node.path, value)
    _add_to_list(out, manager.at("early_header_mutation_extensions"), [identity_headers()], last=True)
    replies = local_replies(parts, [server.path for server in settings.directory.servers])
    _add_to_list(out, manager.at("local_reply_config", "mappers"), list(replies), last=False)
    out.put((*target.table.at("typed_per_filter_config").path, parts.authz), expected.UNGUARDED)
    guarded = _guard(out, target, settings, parts)

    def make(server: Server) -> list[Tag]:
        return server_routes(target, parts, server)

    placed = place(out, target, settings, make, last_route(target, parts))
    _add_clusters(out, target, parts)
    removed = MergeEffect(
        "x-mcp-* headers of identity", "passed on", f"removed: {', '.join(expected.IDENTITY_HEADERS)}"
    )
    return [
        *effects.of_places(placed, isolated=False),
        *effects.of_settings(node for node, _ in changed),
        removed,
        *effects.of_guarded(guarded),
        *_of_filters(target),
    ]


def _isolated(out: YamlText, target: MergeTarget, chain: Chain, settings: Settings) -> list[MergeEffect]:
    """Put a listener of our own beside the others, and nothing but routes to it into the connection manager."""
    for owner, route in past_the_policy(target, settings):
        what = f"route {route.name} of {owner.name} leads to an MCP server of the policy without ext_authz"
        raise target.refused(route.node, what, "remove the route, or merge without --isolate")
    parts = rendered(chain, OWN_NAME)
    listeners = target.inventory.root.at("static_resources", "listeners")
    _free(target, [each.at("name") for each in listeners.items()], {OWN_NAME}, "listener")
    listened, said = inner_listener(chain)
    out.insert(
        listeners.path, len(listeners.value or []), [listened], {(0, *at): text for at, text in said.items()}
    )
    _add_to_list(
        out, target.inventory.root.at("bootstrap_extensions"), internal_extension(target.inventory), last=True
    )

    def make(server: Server) -> list[Tag]:
        return [beside_others(target, route) for route in door(server)]

    placed = place(out, target, settings, make, last_route(target, parts, judged=False))
    _add_clusters(out, target, parts, [internal_cluster()])
    log = MergeEffect("standard output of Envoy", "as it was", "one more line of JSON for each MCP request")
    return [*effects.of_places(placed, isolated=True), *_of_filters(target), log]


def _of_filters(target: MergeTarget) -> list[MergeEffect]:
    on = [
        each for each in target.chain.filters if each.kind in GOES_ON and each.kind not in {"router", "cors"}
    ]
    return list(effects.of_filters(switched_off(target.chain.filters), on))


def _add_filters(out: YamlText, target: MergeTarget, parts: Rendered) -> None:
    """Put our filters before the router; cors only if there is none."""
    has_cors = bool(target.chain.of("cors"))
    added = [
        (at, each)
        for at, each in enumerate(parts.filters)
        if not (has_cors and each["name"].endswith(".cors"))
    ]
    taken = [each.node.at("name") for each in target.chain.filters]
    _free(target, taken, {each["name"] for _, each in added}, "filter")
    said = {
        (new, *path[2:]): text
        for new, (old, _) in enumerate(added)
        for path, text in parts.said.items()
        if path[:2] == ("http_filters", old)
    }
    out.insert(target.chain.filter_list.path, target.router.index, [each for _, each in added], said)


def _add_clusters(out: YamlText, target: MergeTarget, parts: Rendered, more: list[Tag] | None = None) -> None:
    added = [*parts.clusters, *(more or [])]
    taken = [each.at("name") for each in target.inventory.clusters.values()]
    _free(target, taken, {each["name"] for each in added}, "cluster")
    said = {path[1:]: text for path, text in parts.said.items() if path[:1] == ("clusters",)}
    listed = target.inventory.root.at("static_resources", "clusters")
    if listed.value:
        out.insert(listed.path, len(listed.value), added, said)
    else:
        out.put(listed.path, list(added), said)


def _add_to_list(out: YamlText, listed: Node, added: list[Tag], *, last: bool) -> None:
    """Add elements to a list that may be missing."""
    if not added:
        return
    if isinstance(listed.value, list) and listed.value:
        out.insert(listed.path, len(listed.value) if last else 0, added)
    else:
        out.put(listed.path, list(added))


def _guard(out: YamlText, target: MergeTarget, settings: Settings, parts: Rendered) -> list[ChainRoute]:
    """Have the routes judged that already lead to an MCP server of the policy."""
    guarded: list[ChainRoute] = []
    for owner, route in past_the_policy(target, settings):
        if owner is not target.chain:
            what = (
                f"route {route.name} of {owner.name} leads to an MCP server of the policy without ext_authz"
            )
            raise target.refused(route.node, what, "remove the route, or its listener")
        path: Path = (*route.node.at("typed_per_filter_config").path, parts.authz)
        out.put(path, expected.GUARDED)
        guarded.append(route)
    return guarded


def _free(target: MergeTarget, taken: list[Node], wanted: set[str], what: str) -> None:
    """Refuse names that the file has already.

    Raises:
        ConfigError: one of them is taken.
    """
    for node in taken:
        if node.text in wanted:
            cure = f"rename it, or remove it if it is from `--part filters`; the merge adds a {what} of this name"
            raise target.refused(node, f"a {what} named {node.text} is there already", cure)
