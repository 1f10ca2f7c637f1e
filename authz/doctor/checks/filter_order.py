"""Checks of the order of filters: what must come before ext_authz, and what must not come after it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from authz.doctor import expected as pieces
from authz.doctor.field_checks import hosts, overrides
from authz.doctor.filters import Filter
from authz.doctor.inventory import FilterChain
from authz.doctor.model import Check, CheckCase, Hit, Insert, Move, Severity
from authz.render.yaml_writer import emit

ERROR, WARNING, HINT = Severity

_CHANGES: Mapping[str, str] = MappingProxyType(
    {
        "lua": "can change path, headers and body",
        "wasm": "can change path, headers and body",
        "golang": "can change path, headers and body",
        "dynamic_modules": "can change path, headers and body",
        "header_mutation": "changes request headers",
        "transform": "changes headers and body",
        "ext_proc": "can change path, headers and body",
        "decompressor": "makes another body of it",
        "grpc_json_transcoder": "changes path and body",
        "grpc_json_reverse_transcoder": "changes path and body",
        "mcp_json_rest_bridge": "changes path and body",
        "grpc_http1_bridge": "changes the body",
        "grpc_http1_reverse_bridge": "changes headers and body",
        "connect_grpc_bridge": "changes headers and body",
        "grpc_web": "changes headers and body",
        "on_demand": "lets the route be chosen again",
        "jwt_authn": "can let the route be chosen again",
        "oauth2": "changes the Authorization header and answers itself",
        "dynamic_forward_proxy": "lets the request choose the server",
        "cache": "answers with what another caller got",
        "cache_v2": "answers with what another caller got",
        "mcp_router": "sends the message to servers of its own choice",
        "filter_chain": "puts other filters in its place",
    }
)
"""Filters that must not see a request after it was judged, and why."""

_HARMLESS = frozenset(
    {
        "cors",
        "csrf",
        "ext_authz",
        "rbac",
        "router",
        "ratelimit",
        "local_ratelimit",
        "rate_limit_quota",
        "bandwidth_limit",
        "bandwidth_share",
        "admission_control",
        "adaptive_concurrency",
        "fault",
        "buffer",
        "compressor",
        "health_check",
        "stateful_session",
        "tap",
        "grpc_stats",
        "ip_tagging",
        "geoip",
        "set_metadata",
        "set_filter_state",
        "header_to_metadata",
        "json_to_metadata",
        "alternate_protocols_cache",
        "custom_response",
        "credential_injector",
        "aws_request_signing",
        "gcp_authn",
        "upstream_codec",
        "kill_request",
        "cdn_loop",
        "mcp",
    }
)
_TO_METADATA = frozenset({"set_metadata", "header_to_metadata", "json_to_metadata", "sse_to_metadata"})


def _after(chain: FilterChain) -> Iterator[Filter]:
    """Give the filters between ext_authz and the router that are not the rewriter."""
    authz, rewriter = chain.authz, chain.rewriter
    for each in chain.filters:
        if authz and each.index > authz.index and (rewriter is None or each.index != rewriter.index):
            yield each


def _why(each: Filter) -> str:
    """Say what a filter can do to a judged request; empty when nothing."""
    if each.kind in _TO_METADATA:
        written = any(node.value == pieces.DECISIONS for node in each.config.walk())
        return "writes into ext_authz's metadata" if written else ""
    if each.kind == "header_mutation" and not each.config.at("mutations", "request_mutations").present:
        return ""
    if each.kind == "ext_authz":
        return "can let the route be chosen again" if each.config.at("clear_route_cache").flag else ""
    return _CHANGES.get(each.kind, "")


def _changed_after(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for each in _after(chain):
            why = _why(each)
            if why and chain.authz:
                edit = Move(chain.filter_list.path, each.index, chain.authz.index)
                yield Hit(each.node, f"filter {each.name} ({each.kind}) {why}", (edit,))


def _unknown_after(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for each in _after(chain):
            if each.kind not in _HARMLESS and each.kind not in _CHANGES and not each.unseen:
                yield Hit(each.node, f"filter {each.name} ({each.kind or 'no type'})")


def _cors_late(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        for each in chain.of("cors")[:1]:
            if chain.authz and each.index > chain.authz.index:
                edit = Move(chain.filter_list.path, each.index, chain.authz.index)
                yield Hit(each.node, f"in {chain.name}", (edit,))


def _wants_cors(case: CheckCase, chain: FilterChain) -> bool:
    """Whether browsers are to call: a route has a CORS policy, or a server of the policy file lists origins."""
    listed = case.settings is not None and any(server.origins for server in case.settings.directory.servers)
    places = [node for host in hosts(chain) for node in (host, *host.at("routes").items())]
    return listed or any(True for place in places for _ in overrides(place, "CorsPolicy"))


def _cors_missing(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        discovered = any(each.unseen for each in chain.filters)
        if chain.authz and not chain.of("cors") and not discovered and _wants_cors(case, chain):
            edit = Insert(chain.filter_list.path, chain.authz.index, dict(pieces.CORS_FILTER))
            yield Hit(chain.filter_list, f"in {chain.name}", (edit,))


def _rewriter_first(case: CheckCase) -> Iterator[Hit]:
    for chain in case.survey.guarded:
        if chain.authz and chain.rewriter and chain.rewriter.index < chain.authz.index:
            edit = Move(chain.filter_list.path, chain.rewriter.index, chain.authz.index)
            yield Hit(chain.rewriter.node, f"in {chain.name}", (edit,))


CHECKS: tuple[Check, ...] = (
    Check(
        id="order-rewriter-first",
        severity=ERROR,
        what="ext_proc stands before ext_authz",
        risk="When it is asked whether to run, ext_authz has not spoken; lists are not trimmed.",
        cure="# http_filters in this order: cors, ext_authz, the rewriter, router\n",
        find=_rewriter_first,
    ),
    Check(
        id="order-changed-after",
        severity=ERROR,
        what="a filter after ext_authz can change what was judged",
        risk="Another request reaches the MCP server than the one that was allowed.",
        cure="# move this filter before ext_authz, where its result is judged, or remove it\n",
        find=_changed_after,
    ),
    Check(
        id="order-unknown-after",
        severity=HINT,
        what="a filter after ext_authz that is not known here",
        risk="If it changes path, headers or body, or clears the route cache, another request goes upstream than was "
        "judged.",
        cure="# move it before ext_authz unless it changes nothing\n",
        find=_unknown_after,
    ),
    Check(
        id="order-cors-late",
        severity=WARNING,
        what="cors stands after ext_authz",
        risk="Preflights are refused for want of a token, and browsers cannot read any denial.",
        cure=emit({"http_filters": [dict(pieces.CORS_FILTER)]}) + "# first, before ext_authz\n",
        find=_cors_late,
    ),
    Check(
        id="order-cors-missing",
        severity=WARNING,
        what="browsers are to call, and there is no cors filter",
        risk="CORS policies on routes have no effect: browsers can neither call nor read a denial.",
        cure=emit({"http_filters": [dict(pieces.CORS_FILTER)]}) + "# first, before ext_authz\n",
        find=_cors_missing,
    ),
)
