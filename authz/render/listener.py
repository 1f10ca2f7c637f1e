"""The listener and its HTTP connection manager: what happens to a request before the first filter sees it."""

from datetime import timedelta

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLog,
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    MetadataFilter,
    ResponseFlagFilter,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRemoveOnMatch
from envoy_data_plane.envoy.config.core.v3 import (
    CidrRange,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    HttpProtocolOptionsHeadersWithUnderscoresAction,
    RuntimeUInt32,
    SubstitutionFormatString,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerInternalAddressConfig,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    LocalReplyConfig,
    ResponseMapper,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import HeaderMutation
from envoy_data_plane.envoy.type.matcher.v3 import (
    MetadataMatcher,
    MetadataMatcherPathSegment,
    RegexMatcher,
    StringMatcher,
    ValueMatcher,
)
from envoy_data_plane.google.protobuf import Struct

from authz.core.reasons import CODE_SERVICE, TABLE, Reason
from authz.core.transport import IDENTITY_HEADERS, OVERRIDES
from authz.render.clusters import socket
from authz.render.decided import EXT_AUTHZ
from authz.render.extensions import REWRITE, http_filters
from authz.render.header_names import NO_UNDERSCORE, SEPARATOR
from authz.render.model import Chain
from authz.render.routes import route_config
from authz.render.serialize import any_of
from authz.render.tls import to_clients
from authz.render.tracing import tracing

METADATA_KEYS = (
    "decision",
    "reason",
    "rule",
    "method",
    "tool",
    "prompt",
    "resource",
    "sub",
    "client",
    "server",
    "policy",
    "decision_id",
    "rewrite",
)
"""Keys of the service's dynamic metadata that are logged one by one, because the whole namespace contains claims."""

_BUFFER_BYTES = 32_768
"""Bytes that a connection buffers before Envoy stops reading (a soft limit); ext_authz raises it for the request body."""

_ROW = TABLE[Reason.BODY_TOO_LARGE]
_TOO_LARGE = {"code": _ROW.code, "message": _ROW.text, "data": {"reason": Reason.BODY_TOO_LARGE.value}}
"""The service's own answer: Envoy refuses such a body without asking it."""
_TOO_MANY = {"code": -32000, "message": "too many calls of this tool"}
"""Envoy's own refusal, unknown to the service; the code is from JSON-RPC's range for implementations."""


def _unavailable(message: str, look_at: str) -> dict[str, object]:
    """Return the error of a reply that Envoy makes because somebody did not answer it."""
    return {"code": CODE_SERVICE, "message": message, "data": {"by": "envoy", "look_at": look_at}}


_NO_DECISION = _unavailable(
    "the request could not be authorized: the authorization service did not answer in time; try again later",
    "the service mcp-authz: does it run, is Envoy's cluster authz healthy, how long does a Check take",
)
_NO_SERVER = _unavailable(
    "the MCP server did not answer; try again later",
    "the MCP server and Envoy's cluster of it; flags and details of the access log say what failed",
)
_NO_REWRITER = _unavailable(
    "the answer could not be checked: the rewriter did not answer; try again later",
    "the service mcp-authz, and Envoy's filter mcp-rewrite with its clusters rewriter, rewriter_lists and rewriter_streams",
)
_UNREACHED = ("UF", "UH", "UC", "UO", "UT", "UR", "LR", "URX", "DPE", "UPE", "DF")
"""Flags of the access log for a server that was not reached, or broke off."""


def listener(chain: Chain) -> Listener:
    """Return the whole listener of a bootstrap."""
    manager = hardening(chain)
    manager.stat_prefix = "mcp"
    manager.route_config = route_config(chain)
    manager.http_filters = http_filters(chain)
    network = Filter(name="envoy.filters.network.http_connection_manager", typed_config=any_of(manager))
    own = chain.options.clients
    return Listener(
        name="mcp",
        address=socket(chain.listen, default_host="0.0.0.0"),  # noqa: S104  the documented meaning of ":port"
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        filter_chains=[FilterChain(transport_socket=to_clients(own) if own else None, filters=[network])],
    )


def hardening(chain: Chain) -> HttpConnectionManager:
    """Return the connection manager's own settings, without routes and filters."""
    traced = chain.options.tracing
    return HttpConnectionManager(
        use_remote_address=True,
        internal_address_config=HttpConnectionManagerInternalAddressConfig(
            cidr_ranges=[CidrRange(address_prefix=_NOBODY, prefix_len=32)]
        ),
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST,
        common_http_protocol_options=HttpProtocolOptions(
            headers_with_underscores_action=HttpProtocolOptionsHeadersWithUnderscoresAction.ALLOW,
            max_headers_count=100,
        ),
        http2_protocol_options=Http2ProtocolOptions(
            max_concurrent_streams=100,
            initial_stream_window_size=65_536,
            initial_connection_window_size=1_048_576,
        ),
        request_headers_timeout=timedelta(seconds=10),
        request_timeout=timedelta(seconds=30),
        stream_idle_timeout=timedelta(minutes=10),
        early_header_mutation_extensions=[_strip(shadow=chain.options.shadow)],
        access_log=[_access_log(chain)] if chain.access_log else [],
        local_reply_config=_local_replies(chain),
        tracing=tracing(traced) if traced else None,
    )


_NOBODY = "192.0.2.1"
"""An address of no host (RFC 5737): no client is internal. An empty configuration would mean Envoy's default, which
counts loopback and private addresses as internal and believes their x-envoy-* headers."""


def _strip(*, shadow: bool) -> TypedExtensionConfig:
    """Return what removes identity headers in every spelling, and headers that override path or method.

    Spellings with an underscore are left for the service to refuse, so that there is a record; a shadow refuses nothing.
    """
    folded = SEPARATOR if shadow else NO_UNDERSCORE
    spellings = "|".join(name.replace("-", folded) for name in IDENTITY_HEADERS)
    matcher = StringMatcher(safe_regex=RegexMatcher(regex=spellings))
    named = [Mutation(remove=name) for name in (*IDENTITY_HEADERS, *OVERRIDES)]
    respelled = Mutation(remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=matcher))
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=any_of(HeaderMutation(mutations=[*named, respelled])),
    )


def _access_log(chain: Chain) -> AccessLog:
    line = {
        "ts": "%START_TIME%",
        "id": "%REQ(X-REQUEST-ID)%",
        "http": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "ms": "%DURATION%",
        **{key: f"%DYNAMIC_METADATA({EXT_AUTHZ}:{key})%" for key in METADATA_KEYS},
        "authz_us": f"%FILTER_STATE({EXT_AUTHZ}:FIELD:latency_us)%",
        **(
            {"would": f"%FILTER_STATE({EXT_AUTHZ}.shadow:FIELD:status_code)%"}
            if chain.options.shadow
            else {"rewrite_us": f"%FILTER_STATE({REWRITE}:PLAIN)%"}
        ),
    }
    log = FileAccessLog(
        path="/dev/stdout",
        log_format=SubstitutionFormatString(json_format=Struct.from_dict(line), omit_empty_values=True),
    )
    return AccessLog(name="envoy.access_loggers.file", typed_config=any_of(log))


def _local_replies(chain: Chain) -> LocalReplyConfig:
    # The service has a 429 of its own, for streams, whose body says more; Envoy counts what was allowed only, and
    # sets the flag RL too late to be matched.
    limited = AndFilter(filters=[_has_status(429, "mcp.too_many"), _was_allowed()])
    too_many = [_as_json_rpc(AccessLogFilter(and_filter=limited), _TOO_MANY)] if chain.options.rate else []
    return LocalReplyConfig(
        mappers=[
            _as_json_rpc(_has_status(413, "mcp.too_large"), _TOO_LARGE),
            *too_many,
            _as_json_rpc(
                _all(_has_status(503, "mcp.no_decision"), _flagged("UAEX"), _was_not_decided()), _NO_DECISION
            ),
            _as_json_rpc(_all(_was_allowed(), _flagged(*_UNREACHED)), _NO_SERVER),
            _as_json_rpc(_all(_has_status(503, "mcp.no_rewriter"), _was_allowed()), _NO_REWRITER),
        ]
    )


def _all(*filters: AccessLogFilter) -> AccessLogFilter:
    return AccessLogFilter(and_filter=AndFilter(filters=list(filters)))


def _flagged(*flags: str) -> AccessLogFilter:
    return AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=list(flags)))


def _has_status(status: int, runtime_key: str) -> AccessLogFilter:
    comparison = ComparisonFilter(
        op=ComparisonFilterOp.EQ, value=RuntimeUInt32(default_value=status, runtime_key=runtime_key)
    )
    return AccessLogFilter(status_code_filter=StatusCodeFilter(comparison=comparison))


def _was_allowed() -> AccessLogFilter:
    return _has_decision("allow", or_none=False)


def _was_not_decided() -> AccessLogFilter:
    # The service's own 503 says more than Envoy could. No decision is the empty text, so this matches only without one.
    return _has_decision("", or_none=True)


def _has_decision(word: str, *, or_none: bool) -> AccessLogFilter:
    matcher = MetadataMatcher(
        filter=EXT_AUTHZ,
        path=[MetadataMatcherPathSegment(key="decision")],
        value=ValueMatcher(string_match=StringMatcher(exact=word)),
    )
    return AccessLogFilter(metadata_filter=MetadataFilter(matcher=matcher, match_if_key_not_found=or_none))


def _as_json_rpc(replies: AccessLogFilter, error: dict[str, object]) -> ResponseMapper:
    """Return the mapper that gives these of Envoy's own replies the body of a JSON-RPC error."""
    body = Struct.from_dict({"jsonrpc": "2.0", "id": None, "error": error})
    return ResponseMapper(
        filter=replies,
        body_format_override=SubstitutionFormatString(json_format=body),
    )
