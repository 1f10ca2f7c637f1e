"""Checks of what may end a stream, and of upgrades: a route's own setting counts before the connection manager's."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from authz.doctor import expected
from authz.doctor.field_checks import TESTS
from authz.doctor.in_force import exemption
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Drop, Edit, Find, Hit, Put
from authz.doctor.node import Node
from authz.doctor.parts import mcp_routes
from authz.doctor.routes import ChainRoute, routes

_IDLE = ("route", "idle_timeout")
_LONGEST = ("route", "max_stream_duration", "max_stream_duration")
_CONNECT = ("http2_protocol_options", "allow_connect")


def _served(case: CheckCase, chain: FilterChain) -> list[ChainRoute]:
    return [route for route in mcp_routes(case) if route.chain is chain]


def _overridden(case: CheckCase, chain: FilterChain, *names: str) -> bool:
    """Whether every MCP route of a chain says for itself what the connection manager says for all.

    Without a policy nobody knows which routes these are, so that the manager's word counts.
    """
    served = _served(case, chain) if case.settings else []
    return bool(served) and all(route.node.at(*names).present for route in served)


def _own(case: CheckCase, chain: FilterChain, names: tuple[str, ...], value: Any) -> tuple[Edit, ...]:
    """Return what says it on the MCP routes alone, so that other routes of the same manager keep theirs."""
    served = [] if case.settings is None else _served(case, chain)
    nodes = (route.node.at(*names) for route in served)
    return tuple(Put(node.path, value) for node in nodes if not node.present)


def _idle(case: CheckCase) -> Iterator[Hit]:
    good = TESTS["a minute or more"]
    for chain in case.inventory.guarded:
        node = chain.manager.at("stream_idle_timeout")
        if not good(node) and not _overridden(case, chain, *_IDLE):
            for_all = Put(node.path, expected.right("manager.stream_idle_timeout"))
            edits = _own(case, chain, _IDLE, expected.right("mcp_route.route.idle_timeout")) or (for_all,)
            yield Hit(node, f"stream_idle_timeout {node.shown()}", edits)
    for route in mcp_routes(case):
        node = route.node.at(*_IDLE)
        if not good(node):
            right = expected.right("mcp_route.route.idle_timeout")
            yield Hit.put(node, right, f"idle_timeout {node.shown()} on route {route.name}")


def _duration(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        node = chain.manager.at("common_http_protocol_options", "max_stream_duration")
        if node.seconds and not _overridden(case, chain, *_LONGEST):
            edits = _own(case, chain, _LONGEST, "0s") or (Drop(node.path),)
            yield Hit(node, f"max_stream_duration {node.shown()}", edits)
    for route in mcp_routes(case):
        node = route.node.at(*_LONGEST)
        if node.seconds:
            yield Hit.put(node, "0s", f"max_stream_duration {node.shown()} on route {route.name}")


def _upgrades(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        yield from _upgrades_of_all(case, chain)
    for route in mcp_routes(case):
        listed = route.node.at("route", "upgrade_configs")
        kinds = _kinds(listed)
        if kinds:
            yield Hit.put(listed, _refused(kinds), ", ".join(kinds))
    for route in routes(case.inventory.guarded):
        connect = route.node.at("match", "connect_matcher")
        if connect.present and not exemption(route).present:
            yield Hit(connect, f"route {route.name} accepts CONNECT", Hit.drop(route.node).edits)


def _upgrades_of_all(case: CheckCase, chain: FilterChain) -> Iterator[Hit]:
    """Find upgrades that the manager admits and an MCP route does not refuse."""
    listed, connect = chain.manager.at("upgrade_configs"), chain.manager.at(*_CONNECT)
    served = _served(case, chain)
    for node, kinds in ((listed, _kinds(listed)), (connect, ["CONNECT"] if connect.flag else [])):
        open_ = [route for route in served if any(not _refuses(route, kind) for kind in kinds)]
        if kinds and (open_ or (not served and case.settings is None)):
            only = tuple(
                Put(route.node.at("route", "upgrade_configs").path, _refused(kinds)) for route in open_
            )
            detail = ", ".join(kinds) if node is listed else "allow_connect is true"
            yield Hit(node, detail, only if case.settings else (Drop(node.path),))


def _refused(kinds: Iterable[str]) -> list[dict[str, Any]]:
    return [{"upgrade_type": kind, "enabled": False} for kind in kinds]


def _kinds(listed: Node) -> list[str]:
    on = [each for each in listed.items() if each.at("enabled").value is not False]
    return [each.at("upgrade_type").text for each in on]


def _refuses(route: ChainRoute, kind: str) -> bool:
    listed = route.node.at("route", "upgrade_configs").items()
    own = [each for each in listed if each.at("upgrade_type").text.lower() == kind.lower()]
    return any(each.at("enabled").value is False for each in own)


CHECKS: Mapping[str, Find] = {"stream-idle": _idle, "stream-duration": _duration, "upgrades": _upgrades}
