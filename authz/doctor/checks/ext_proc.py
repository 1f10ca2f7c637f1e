"""Checks of the ext_proc filter that trims lists: does it run on every whole list, and can a client avoid it?"""

from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.checks.clusters import copied_cluster
from authz.doctor.checks.unjudged import place_of_rewriter
from authz.doctor.filters import Filter
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Drop, Edit, Find, Hit, Insert, Put
from authz.doctor.node import Node
from authz.doctor.routes import Scope, scopes

_REQUEST_INPUTS = (
    "HttpRequestHeaderMatchInput",
    "HttpRequestQueryParamMatchInput",
    "HttpRequestTrailerMatchInput",
)
_HEADERS = ("DEFAULT", "SEND", "SKIP")
_BODIES = ("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED", "GRPC")
_CONSEQUENCES = {
    "NONE": "no body is sent, so nothing is trimmed",
    "STREAMED": "a timeout for each message cuts slow lists off",
    "BUFFERED": "event streams are held until they end, and long lists become 500",
    "BUFFERED_PARTIAL": "only the beginning of a long list is looked at",
}


def _rewriters(case: CheckCase) -> Iterator[Filter]:
    for chain in case.inventory.guarded:
        if chain.rewriter and not chain.rewriter.unseen:
            yield chain.rewriter


def _missing(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        if chain.authz and not (chain.rewriter or chain.unseen or chain.authz.config.at("shadow_mode").flag):
            edits = _added(case, chain, chain.authz)
            yield Hit(chain.filter_list, f"in {chain.name}", edits)


def _added(case: CheckCase, chain: FilterChain, authz: Filter) -> tuple[Edit, ...]:
    """Return what adds a rewriter after ext_authz, if there is a cluster for it."""
    asked = authz.config.at("grpc_service", "envoy_grpc", "cluster_name").text
    copied = copied_cluster(case.inventory, asked, "rewriter")
    added = Insert(chain.filter_list.path, place_of_rewriter(chain), expected.REWRITER_FILTER)
    return (added, *copied) if copied or "rewriter" in case.inventory.clusters else ()


def _wrapped(rewriter: Filter) -> tuple[Edit, ...]:
    """Return what puts our matcher around the filter, in place of the present condition."""
    if not rewriter.typed.type:
        return ()
    wrapped = expected.wrapped(rewriter.typed.value)["typed_config"]
    put, disabled = Put((*rewriter.node.path, "typed_config"), wrapped), rewriter.node.at("disabled")
    return (put, Drop(disabled.path)) if disabled.present else (put,)


def _requested(rewriter: Filter) -> list[Node]:
    """Return the parts of the request that the matcher looks at."""
    return [node for node in rewriter.inputs() if node.type.rpartition(".")[2] in _REQUEST_INPUTS]


def _spoofable(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        for node in _requested(rewriter)[:1]:
            named = node.at("header_name").text
            yield Hit(node, f"header {named}" if named else "", _wrapped(rewriter))


def _disabled(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        node = rewriter.node.at("disabled")
        if node.flag:
            yield Hit.drop(node) if rewriter.wrapper.present else Hit(node, "", _wrapped(rewriter))


def _matcher(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        if rewriter.wrapper.present and not rewriter.runs_on_decision and not _requested(rewriter):
            yield Hit(rewriter.wrapper, f"filter {rewriter.name}", _wrapped(rewriter))


def _always(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        if not rewriter.wrapper.present and not rewriter.node.at("disabled").flag:
            yield Hit(rewriter.node, f"filter {rewriter.name}", _wrapped(rewriter))


def _mode(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        mode = rewriter.config.at("processing_mode")
        flaw = _flaw(mode)
        if flaw:
            yield Hit.put(mode, expected.REWRITER["processing_mode"], flaw)


def _flaw(mode: Node) -> str:
    """Return why responses are not processed as they must be; empty if they are."""
    body = mode.at("response_body_mode").enum(*_BODIES)
    if body != "FULL_DUPLEX_STREAMED":
        why = _CONSEQUENCES.get(body, "the service does not accept this mode")
        return f"response_body_mode is {body}: {why}"
    if mode.at("response_header_mode").enum(*_HEADERS) == "SKIP":
        return "response_header_mode is SKIP: the service cannot hold or replace the response"
    return ""


def _requests(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        mode = rewriter.config.at("processing_mode")
        headers = mode.at("request_header_mode").enum(*_HEADERS)
        body = mode.at("request_body_mode").enum(*_BODIES)
        if (headers, body) != ("SKIP", "NONE") and not _flaw(mode):
            yield Hit.put(mode, expected.REWRITER["processing_mode"], "")


def _on_route(case: CheckCase) -> Iterator[Hit]:
    names = {rewriter.name for rewriter in _rewriters(case)}
    for scope in scopes(case.inventory.guarded):
        if scope.route is None or not scope.route.serves_metadata:
            for entry in _taken_away(scope, names):
                yield Hit.drop(entry, f"on {scope.name}")


def _taken_away(scope: Scope, names: set[str]) -> Iterator[Node]:
    """Yield the entries that disable or weaken the rewriter."""
    yield from (entry for entry, message in scope.overrides("ExtProcPerRoute") if _weakens(message))
    for name, entry in scope.entries():
        if name in names and entry.type.endswith("FilterConfig") and entry.at("disabled").flag:
            yield entry


def _weakens(message: Node) -> bool:
    changed = message.at("overrides")
    mode = changed.at("processing_mode")
    fails_open = changed.at("failure_mode_allow").flag
    return message.at("disabled").flag or fails_open or (mode.present and bool(_flaw(mode)))


def _forwarding(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        node = rewriter.config.at("metadata_options", "forwarding_namespaces", "untyped")
        if expected.DECISIONS not in [each.text for each in node.items()]:
            writable = node.value is None or isinstance(node.value, list)
            named = [*(node.value or []), expected.DECISIONS] if writable else []
            yield Hit.put(node, named) if writable else Hit(node, node.shown())


def _route_cache(case: CheckCase) -> Iterator[Hit]:
    for rewriter in _rewriters(case):
        action = rewriter.config.at("route_cache_action")
        name = action.enum("DEFAULT", "CLEAR", "RETAIN")
        retained = rewriter.config.at("disable_clear_route_cache")
        if name == "CLEAR":
            yield Hit.drop(action, "is CLEAR")
        elif name == "DEFAULT" and not retained.flag:
            yield Hit.put(retained, value=True)


CHECKS: Mapping[str, Find] = {
    "rewriter-missing": _missing,
    "rewriter-spoofable": _spoofable,
    "rewriter-disabled": _disabled,
    "rewriter-matcher": _matcher,
    "rewriter-always": _always,
    "rewriter-mode": _mode,
    "rewriter-requests": _requests,
    "rewriter-on-route": _on_route,
    "rewriter-metadata": _forwarding,
    "rewriter-clears-route": _route_cache,
}
