"""Checks of the order of filters: what must come before ext_authz, and what must not come after it."""

from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.checks.unjudged import place_of_rewriter
from authz.doctor.data import load_data
from authz.doctor.filters import Filter, read_filters
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Find, Hit, Insert, Move
from authz.doctor.parts import mcp_routes
from authz.doctor.routes import scopes

_KINDS = load_data("filter_kinds.yaml")
_CHANGES: Mapping[str, str] = _KINDS["changes"]


def _after(case: CheckCase) -> Iterator[tuple[FilterChain, Filter, Filter]]:
    """Yield the filters between ext_authz and the router except the rewriter, with their chain and its ext_authz."""
    for chain in case.inventory.guarded:
        for each in chain.filters:
            if chain.authz and each.index > chain.authz.index and each is not chain.rewriter:
                yield chain, chain.authz, each


def _change(each: Filter) -> str:
    """Return what a filter can do to an authorized request; empty if nothing."""
    if each.kind in _KINDS["metadata"]:
        written = any(node.value == expected.DECISIONS for node in each.config.walk())
        return "writes into ext_authz's metadata" if written else ""
    if each.kind == "header_mutation" and not each.config.at("mutations", "request_mutations").present:
        return ""
    if each.kind == "ext_authz":
        return "can let the route be chosen again" if each.config.at("clear_route_cache").flag else ""
    return _CHANGES.get(each.kind, "")


def changes_nothing(each: Filter) -> bool:
    """Whether a filter is known to leave an authorized request, and its route, as they are."""
    known = each.kind in _KINDS["harmless"] or each.kind in _CHANGES
    return known and not each.unseen and not _change(each)


def _before_authz(chain: FilterChain, authz: Filter, each: Filter, detail: str) -> Hit:
    return Hit(each.node, detail, (Move(chain.filter_list.path, each.index, authz.index),))


def _changed_after(case: CheckCase) -> Iterator[Hit]:
    for chain, authz, each in _after(case):
        change = _change(each)
        if change:
            yield _before_authz(chain, authz, each, f"filter {each.name} ({each.kind}) {change}")
    for where, each in _upstream(case):
        change = _change(each)
        if change:
            yield Hit(each.node, f"filter {each.name} ({each.kind}) of {where} {change}")


def _upstream(case: CheckCase) -> Iterator[tuple[str, Filter]]:
    """Yield the filters that run once a server is chosen: those of its cluster, else those of the router."""
    names = sorted({name for route in mcp_routes(case) for name in route.clusters})
    found = ((name, case.inventory.clusters[name]) for name in names if name in case.inventory.clusters)
    for name, cluster in found:
        options = cluster.at("typed_extension_protocol_options", expected.HTTP2_KEY).unpacked()
        yield from ((f"cluster {name}", each) for each in read_filters(options.at("http_filters"), ()))
    for chain in case.inventory.guarded:
        for router in chain.of("router"):
            filters = read_filters(router.config.at("upstream_http_filters"), ())
            yield from (("the router", each) for each in filters)


def _unknown_after(case: CheckCase) -> Iterator[Hit]:
    for _, _, each in _after(case):
        if each.kind not in _KINDS["harmless"] and each.kind not in _CHANGES and not each.unseen:
            yield Hit(each.node, f"filter {each.name} ({each.kind or 'no type'})")


def _cors_late(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for each in chain.of("cors")[:1]:
            if chain.authz and each.index > chain.authz.index:
                yield _before_authz(chain, chain.authz, each, f"in {chain.name}")


def _wants_cors(case: CheckCase, chain: FilterChain) -> bool:
    """Whether browsers are meant to call: a route has a CORS policy, or a server of the policy file lists origins."""
    listed = case.settings is not None and any(server.origins for server in case.settings.directory.servers)
    return listed or any(True for scope in scopes([chain]) for _ in scope.overrides("CorsPolicy"))


def _cors_missing(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        if chain.authz and not chain.of("cors") and not chain.unseen and _wants_cors(case, chain):
            edit = Insert(chain.filter_list.path, chain.authz.index, expected.CORS_FILTER)
            yield Hit(chain.filter_list, f"in {chain.name}", (edit,))


def _rewriter_first(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        if chain.authz and chain.rewriter and chain.rewriter.index < chain.authz.index:
            behind = place_of_rewriter(chain) - 1  # counted without the rewriter
            edits = (Move(chain.filter_list.path, chain.rewriter.index, behind),)
            yield Hit(chain.rewriter.node, f"in {chain.name}", edits)


CHECKS: Mapping[str, Find] = {
    "order-rewriter-first": _rewriter_first,
    "order-changed-after": _changed_after,
    "order-unknown-after": _unknown_after,
    "order-cors-late": _cors_late,
    "order-cors-missing": _cors_missing,
}
