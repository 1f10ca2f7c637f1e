"""Checks of the ext_proc filter that trims lists: does it run on every list, whole, and can nobody avoid it?"""

from collections.abc import Iterator
from typing import Any

from authz.doctor import expected as pieces
from authz.doctor.checks.ext_authz import is_failure
from authz.doctor.field_checks import field, lines, off, on, overrides, present, rewriters, said
from authz.doctor.inventory import FilterChain
from authz.doctor.model import Check, CheckCase, Drop, Edit, Hit, Insert, Put, Severity
from authz.doctor.node import Node
from authz.doctor.routes import copied_cluster, scopes
from authz.doctor.string_matcher import full_match
from authz.render.yaml_writer import emit

ERROR, WARNING, _ = Severity

_REQUEST_INPUTS = (
    "HttpRequestHeaderMatchInput",
    "HttpRequestQueryParamMatchInput",
    "HttpRequestTrailerMatchInput",
)
_HEADERS = ("DEFAULT", "SEND", "SKIP")
_BODIES = ("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED", "GRPC")
_LEFT_ALONE = {
    "NONE": "no body is sent, so nothing is trimmed",
    "STREAMED": "a timeout for each message cuts slow lists",
    "BUFFERED": "event streams are held to their end, and long lists are 500",
    "BUFFERED_PARTIAL": "of a long list only the beginning is looked at",
}
WRAPPED = emit({"http_filters": [pieces.rewriter(pieces.processor("rewriter"))]})
"""The rewriter as it must stand in the chain."""


def _chains(case: CheckCase) -> Iterator[tuple[FilterChain, Node]]:
    """Give the guarded chains that have a rewriter, with its configuration."""
    for chain in case.survey.guarded:
        if chain.rewriter and not chain.rewriter.unseen:
            yield chain, chain.rewriter.config


def _missing(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        discovered = any(each.unseen for each in chain.filters)
        if chain.rewriter or discovered or chain.authz is None or chain.authz.config.at("shadow_mode").flag:
            continue
        yield Hit(chain.filter_list, f"in {chain.name}", _added(case, chain))


def _added(case: CheckCase, chain: FilterChain) -> tuple[Edit, ...]:
    """Give what adds a rewriter behind ext_authz, when there is a cluster for it."""
    if chain.authz is None:
        return ()
    asked = chain.authz.config.at("grpc_service", "envoy_grpc", "cluster_name").text
    copied = copied_cluster(case.survey, asked, "rewriter")
    filter_ = pieces.rewriter(pieces.processor("rewriter"))
    added = Insert(chain.filter_list.path, chain.authz.index + 1, filter_)
    return (added, *copied) if copied or "rewriter" in case.survey.clusters else ()


def _wrapped(chain: FilterChain) -> tuple[Edit, ...]:
    """Give what puts our matcher around the filter, in the place of whatever decides now."""
    if chain.rewriter is None or not chain.rewriter.typed.type:
        return ()
    wrapped = pieces.rewriter(chain.rewriter.typed.value)["typed_config"]
    edits: list[Edit] = [Put((*chain.rewriter.node.path, "typed_config"), wrapped)]
    disabled = chain.rewriter.node.at("disabled")
    return (*edits, Drop(disabled.path)) if disabled.present else tuple(edits)


def _spoofable(case: CheckCase) -> Iterator[Hit]:
    for chain, _ in _chains(case):
        inputs = chain.rewriter.inputs() if chain.rewriter else []
        for node in inputs:
            if node.type.rpartition(".")[2] in _REQUEST_INPUTS:
                named = node.at("header_name").text
                yield Hit(node, f"header {named}" if named else "", _wrapped(chain))
                break


def _disabled(case: CheckCase) -> Iterator[Hit]:
    for chain, _ in _chains(case):
        if chain.rewriter and chain.rewriter.node.at("disabled").flag:
            edits = (Drop(chain.rewriter.node.at("disabled").path),)
            wrapped = chain.rewriter.wrapper.present
            yield Hit(chain.rewriter.node.at("disabled"), "", edits if wrapped else _wrapped(chain))


def _matcher(case: CheckCase) -> Iterator[Hit]:
    for chain, _ in _chains(case):
        rewriter = chain.rewriter
        if rewriter is None or not rewriter.wrapper.present or rewriter.runs_on_decision:
            continue
        if not any(node.type.rpartition(".")[2] in _REQUEST_INPUTS for node in rewriter.inputs()):
            yield Hit(rewriter.wrapper, f"filter {rewriter.name}", _wrapped(chain))


def _always(case: CheckCase) -> Iterator[Hit]:
    for chain, _ in _chains(case):
        rewriter = chain.rewriter
        if rewriter and not rewriter.wrapper.present and not rewriter.node.at("disabled").flag:
            yield Hit(rewriter.node, f"filter {rewriter.name}", _wrapped(chain))


def _mode(case: CheckCase) -> Iterator[Hit]:
    for _, config in _chains(case):
        mode = config.at("processing_mode")
        flaw = _flaw(mode)
        if flaw:
            yield Hit(mode, flaw, (Put(mode.path, dict(pieces.PROCESSING_MODE)),))


def _flaw(mode: Node) -> str:
    """Say why responses are not looked at as they must be; empty when they are."""
    body = mode.at("response_body_mode").enum(*_BODIES)
    if body != "FULL_DUPLEX_STREAMED":
        return f"response_body_mode is {body}: {_LEFT_ALONE.get(body, 'not a mode that the service takes')}"
    if mode.at("response_header_mode").enum(*_HEADERS) == "SKIP":
        return "response_header_mode is SKIP: the service cannot hold or replace the response"
    return ""


def _requests(case: CheckCase) -> Iterator[Hit]:
    for _, config in _chains(case):
        mode = config.at("processing_mode")
        sent = mode.at("request_header_mode").enum(*_HEADERS) != "SKIP"
        sent = sent or mode.at("request_body_mode").enum(*_BODIES) != "NONE"
        if sent and not _flaw(mode):
            yield Hit(mode, "", (Put(mode.path, dict(pieces.PROCESSING_MODE)),))


def _on_route(case: CheckCase) -> Iterator[Hit]:
    for route, scope in scopes(case.survey.guarded):
        if route is not None and route.serves_metadata:
            continue
        for _, entry, message in overrides(scope, "ExtProcPerRoute"):
            if _takes_away(message):
                yield Hit(
                    entry,
                    f"on {route.name if route else scope.at('name').text or 'all'}",
                    (Drop(entry.path),),
                )
        yield from _switched_off(case, scope)


def _switched_off(case: CheckCase, scope: Node) -> Iterator[Hit]:
    names = {chain.rewriter.name for chain in case.survey.guarded if chain.rewriter}
    for name, entry in scope.at("typed_per_filter_config").members():
        if name in names and entry.type.endswith("FilterConfig") and entry.at("disabled").flag:
            yield Hit(entry, f"on {scope.at('name').text or 'a route'}", (Drop(entry.path),))


def _takes_away(message: Node) -> bool:
    changed = message.at("overrides")
    mode = changed.at("processing_mode")
    fails_open = changed.at("failure_mode_allow").flag
    return message.at("disabled").flag or fails_open or (mode.present and bool(_flaw(mode)))


def _forwarding(case: CheckCase) -> Iterator[Hit]:
    for _, config in _chains(case):
        node = config.at("metadata_options", "forwarding_namespaces", "untyped")
        named = [each.text for each in node.items()]
        if pieces.DECISIONS not in named:
            yield Hit(
                node,
                said(node),
                (Put(node.path, [*(node.value or []), pieces.DECISIONS]),) if _list(node) else (),
            )


def _list(node: Node) -> bool:
    return not node.present or isinstance(node.value, list)


def _route_cache(case: CheckCase) -> Iterator[Hit]:
    for _, config in _chains(case):
        action = config.at("route_cache_action").enum("DEFAULT", "CLEAR", "RETAIN")
        node = config.at("disable_clear_route_cache")
        if action == "CLEAR":
            yield Hit(
                config.at("route_cache_action"), "is CLEAR", (Drop(config.at("route_cache_action").path),)
            )
        elif action == "DEFAULT" and not node.flag:
            yield Hit(node, said(node), (Put(node.path, True),))


def _http_service(case: CheckCase) -> Iterator[Hit]:
    for _, config in _chains(case):
        if config.at("http_service").present:
            yield Hit(config.at("http_service"))


def _unbroken(value: Any) -> str:
    return lines("processing_mode", value)


def _enough(rules: Node) -> bool:
    """Tell whether the rules limit what may be changed, and let the service bind the session that a response begins."""
    allowed = rules.at("allow_expression", "regex").text
    return present(rules) and (not rules.at("disallow_all").flag or full_match(allowed, "mcp-session-id"))


CHECKS: tuple[Check, ...] = (
    Check(
        id="rewriter-missing",
        severity=ERROR,
        what="no ext_proc trims the lists",
        risk="Every caller sees the names and descriptions of all tools, prompts and resources.",
        cure="# behind ext_authz; cluster `rewriter` is the service, as `authz` is\n" + WRAPPED,
        find=_missing,
    ),
    field("rewriter-fail-open", ERROR, rewriters, "failure_mode_allow", off, False)(
        "ext_proc lets lists pass when it gets no answer",
        "Whoever makes the service slow or unreachable sees the whole list, in any body mode but FULL_DUPLEX_STREAMED, "
        "where Envoy 1.40 answers 503 all the same.",
    ),
    Check(
        id="rewriter-spoofable",
        severity=ERROR,
        what="what a client sends decides whether a list is trimmed",
        risk="A client that sets or leaves out the header sees the whole list.",
        cure=WRAPPED,
        find=_spoofable,
    ),
    Check(
        id="rewriter-disabled",
        severity=ERROR,
        what="ext_proc is disabled in the chain, for routes to enable",
        risk="Envoy decides that before ext_authz has spoken, so lists are not trimmed, or a header that selects the "
        "route decides.",
        cure="# remove `disabled: true`, and let the matcher decide:\n" + WRAPPED,
        find=_disabled,
    ),
    Check(
        id="rewriter-matcher",
        severity=ERROR,
        what="ext_proc does not run exactly where ext_authz set rewrite: true",
        risk="Lists that the matcher skips are not trimmed; where it runs too often, calls pay for it and local "
        "replies lose their CORS headers.",
        cure=WRAPPED,
        find=_matcher,
    ),
    Check(
        id="rewriter-always",
        severity=WARNING,
        what="ext_proc runs on every response",
        risk="Every call pays a second round trip to the service, and one that holds no list can be lost with it.",
        cure=WRAPPED,
        find=_always,
    ),
    Check(
        id="rewriter-mode",
        severity=ERROR,
        what="responses are not handed to ext_proc as FULL_DUPLEX_STREAMED with their headers",
        risk="The service refuses lists that come in another mode; one that took them would let long or streamed "
        "lists pass untrimmed, or hold event streams back.",
        cure=_unbroken(dict(pieces.PROCESSING_MODE)),
        find=_mode,
    ),
    Check(
        id="rewriter-requests",
        severity=WARNING,
        what="ext_proc is sent requests, too",
        risk="Each request waits for a round trip that changes nothing.",
        cure=_unbroken(dict(pieces.PROCESSING_MODE)),
        find=_requests,
    ),
    Check(
        id="rewriter-on-route",
        severity=ERROR,
        what="a route, virtual host or table takes ext_proc away",
        risk="Lists that are asked for there are not trimmed.",
        cure="# remove the ExtProcPerRoute (or the FilterConfig) from typed_per_filter_config\n",
        find=_on_route,
    ),
    field("rewriter-observes", ERROR, rewriters, "observability_mode", off, False)(
        "ext_proc only observes",
        "Envoy does not wait for the service, and every list passes untrimmed.",
    ),
    Check(
        id="rewriter-metadata",
        severity=ERROR,
        what="the decision is not forwarded to ext_proc",
        risk="The service does not know for whom a list is, and refuses every one.",
        cure=lines("metadata_options.forwarding_namespaces.untyped", [pieces.DECISIONS]),
        find=_forwarding,
    ),
    field("rewriter-content-length", ERROR, rewriters, "allow_content_length_header", on, True)(
        "ext_proc may not set content-length",
        "A trimmed list keeps the length of the whole one, and clients wait for the rest.",
    ),
    field("rewriter-mode-override", WARNING, rewriters, "allow_mode_override", off, False)(
        "answers of the processor may change its modes",
        "A service that is taken over could switch itself off in the middle of a response.",
    ),
    Check(
        id="rewriter-clears-route",
        severity=WARNING,
        what="ext_proc may let the route be chosen again",
        risk="A header that it sets on a request could select another route than was judged.",
        cure=lines("disable_clear_route_cache", True),
        find=_route_cache,
    ),
    field("rewriter-mutation-rules", WARNING, rewriters, "mutation_rules", _enough, pieces.RESPONSE_RULES)(
        "nothing limits which response headers the service may change, or too few may be",
        "A service that is taken over could set cookies; or a session that begins is answered with 500.",
    ),
    field("rewriter-error-status", ERROR, rewriters, "status_on_error", is_failure, pieces.UNAVAILABLE)(
        "a list that could not be trimmed is answered with a status that is no error",
        "Clients take the failure for an empty answer.",
    ),
    Check(
        id="rewriter-http-service",
        severity=ERROR,
        what="ext_proc asks over HTTP",
        risk="The service answers ext_proc over gRPC only, so every list is refused.",
        cure="grpc_service:\n  envoy_grpc: {cluster_name: rewriter}\n",
        find=_http_service,
    ),
)
