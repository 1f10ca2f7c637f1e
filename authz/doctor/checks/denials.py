"""Checks of what becomes of a denial on its way to the client: does it arrive as the service wrote it?

A denial is a local reply of Envoy. Mappers of `local_reply_config` may give it another status, and a custom_response
filter another answer; an MCP client then sees a success, or no challenge to log in with.
"""

from collections.abc import Iterator, Mapping

from authz.core.reasons import TABLE
from authz.doctor import expected
from authz.doctor.checks.unjudged import waits_for_judgement
from authz.doctor.filters import Filter
from authz.doctor.in_force import content, runs, setting
from authz.doctor.model import CheckCase, Find, Hit, Put
from authz.doctor.node import Node
from authz.doctor.parts import mcp_routes
from authz.doctor.routes import ChainRoute

_STATUSES = frozenset(row.status for row in TABLE.values())
_OPERATORS = ("EQ", "GE", "LE", "NE")
_DENIED = "UAEX"
"""The response flag of what ext_authz denied."""


def _status(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for mapper in chain.manager.at("local_reply_config", "mappers").items():
            node = mapper.at("status_code")
            if not node.present:
                continue
            changed = sorted(status for status in _met(mapper.at("filter")) if status != node.number)
            if changed:
                named = ", ".join(map(str, changed))
                yield Hit(node, f"{named} {'become' if changed[1:] else 'becomes'} {node.number or '?'}")


def _met(filter_: Node) -> frozenset[int]:
    """Return the statuses with which a denial may pass an access log filter."""
    both, either = (filter_.at(f"{name}_filter", "filters") for name in ("and", "or"))
    if both.present:
        return _STATUSES.intersection(*map(_met, both.items()))
    if either.present:
        return frozenset().union(*map(_met, either.items()))
    if filter_.at("response_flag_filter").present:
        flags = {node.text for node in filter_.at("response_flag_filter", "flags").items()}
        return _STATUSES if not flags or _DENIED in flags else frozenset()
    comparison = filter_.at("status_code_filter", "comparison")
    right = comparison.at("value", "default_value").number
    if not comparison.present or right is None:
        return _STATUSES
    kind = comparison.at("op").enum(*_OPERATORS)
    holds = {"EQ": right.__eq__, "GE": right.__le__, "LE": right.__ge__, "NE": right.__ne__}.get(kind)
    return _STATUSES if holds is None else frozenset(status for status in _STATUSES if holds(status))


def _replaced(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        led = [route for route in mcp_routes(case) if route.chain is chain]
        for each in chain.of("custom_response"):
            met = [route for route in led if runs(each, route) and _answers(each, route)]
            paths = [(*route.node.at("typed_per_filter_config").path, each.name) for route in met]
            edits = tuple(Put(path, expected.OFF) for path in paths) if case.settings is not None else ()
            if met:
                yield Hit(each.node, f"filter {each.name} on route {met[0].name}", edits)


def _answers(filter_: Filter, route: ChainRoute) -> bool:
    """Whether a custom_response filter can answer a denial on a route: the closest setting decides."""
    entry = setting(route, filter_.name)
    if not entry.present and waits_for_judgement(filter_):
        return False
    config = content(entry) if entry.present else filter_.config
    return config.at("custom_response_matcher").present


CHECKS: Mapping[str, Find] = {"denial-status": _status, "denial-replaced": _replaced}
