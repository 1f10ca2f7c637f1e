"""The HTTP filters of a chain, in the only safe order: cors, ext_authz, what waits for the rewriter, rewriter, router.

cors comes first, so that preflights are answered without a token, and denials carry the headers without which a
browser hides them. The rewrite is ext_proc wrapped in a matcher on metadata that only ext_authz can set. It is there
three times, alike but for the cluster: for streams, for lists, and for all else that ext_authz asks for. In front of it
stands the filter that refuses what it has not judged (see `unjudged`), because answers pass in the opposite order.
Envoy's own MCP filter, if it is enabled, comes before ext_authz. The rate limit comes after ext_authz, because it counts
by its metadata.

A shadow is ext_authz alone, and may not change headers: a request goes upstream as it would without the service.
"""

from datetime import timedelta

from betterproto2 import Message
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRules
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    BackoffStrategy,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    RetryPolicy,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.extensions.common.matching.v3 import ExtensionWithMatcher
from envoy_data_plane.envoy.extensions.filters.http.composite.v3 import Composite, ExecuteFilterAction
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import Cors
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import BufferSettings, ExtAuthz
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
    ExternalProcessor,
    MetadataOptions,
    MetadataOptionsMetadataNamespaces,
    ProcessingMode,
    ProcessingModeBodySendMode,
    ProcessingModeHeaderSendMode,
)
from envoy_data_plane.envoy.extensions.filters.http.mcp.v3 import Mcp, McpTrafficMode
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import (
    ListStringMatcher,
    RegexMatcher,
    StringMatcher,
    ValueMatcher,
)
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig as XdsExtension
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherOnMatch,
)

from authz.config.envoy_version import ATTRIBUTES
from authz.core.response.commands import JUDGED_BY
from authz.render.clusters import AUTHZ, POOLS, REWRITER
from authz.render.decided import EXT_AUTHZ, all_of, allowed, asked, said
from authz.render.header_names import ANY, SEPARATOR
from authz.render.model import TRY_SLACK, Chain
from authz.render.ratelimit import local_rate_limit
from authz.render.serialize import any_of
from authz.render.server_answers import speaks_of_itself, without_its_headers
from authz.render.unjudged import without_the_unjudged
from authz.render.workers import RETRY_CHECK_ON, RETRY_STREAM_ON, retry_elsewhere

CORS = "envoy.filters.http.cors"
UNJUDGED = "mcp-unjudged"
REWRITE = "mcp-rewrite"
ONLY_OURS = "mcp-server-headers"
NATIVE = "envoy.filters.http.mcp"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"

_REQUEST_MUTATIONS = (
    f"^(x{SEPARATOR}mcp{SEPARATOR}(subject|client|scopes|issuer)|mcp{SEPARATOR}{ANY}+|last{SEPARATOR}event{SEPARATOR}id"
    "|authorization|accept-encoding)$"
)
"""Identity, session and event id reach the server only as the service sets them; other spellings are removed. What
repeats the body is set where Envoy showed other bytes than came."""
_RESPONSE_MUTATIONS = "^(content-(length|type|encoding|digest)|etag|digest|mcp-session-id|x-mcp-trimmed|(www|proxy)-authenticate)$"
"""Content-type is included because Envoy applies the rules to the processor's own error replies, too."""
_STREAM_WAIT = 0.25
"""Longest wait in seconds before a stream is retried at another worker."""


def guards(chain: Chain) -> list[HttpFilter]:
    """Return the filters that precede a chain's router."""
    options = chain.options
    filters: list[tuple[str, Message | None]] = [
        (CORS, Cors()),
        (NATIVE, _mcp(chain.max_request_bytes) if options.native_filter else None),
        (EXT_AUTHZ, _shadow(chain) if options.shadow else _ext_authz(chain)),
        (RATE_LIMIT, local_rate_limit(options.rate, EXT_AUTHZ) if options.rate else None),
        (UNJUDGED, None if options.shadow else without_the_unjudged()),
        (REWRITE, None if options.shadow else _rewrite(chain)),
        (ONLY_OURS, None if options.shadow else _only_ours()),
    ]
    return [
        HttpFilter(name=name, typed_config=any_of(config)) for name, config in filters if config is not None
    ]


def http_filters(chain: Chain) -> list[HttpFilter]:
    """Return the whole filter chain, with the router."""
    return [*guards(chain), HttpFilter(name="envoy.filters.http.router", typed_config=any_of(Router()))]


def _only(regex: str, *, error: bool) -> HeaderMutationRules:
    return HeaderMutationRules(
        disallow_all=True,
        allow_expression=RegexMatcher(regex=regex),
        disallow_is_error=True if error else None,
    )


def _unavailable() -> HttpStatus:
    return HttpStatus(code=StatusCode.ServiceUnavailable)


def _ext_authz(chain: Chain) -> ExtAuthz:
    return ExtAuthz(
        transport_api_version=ApiVersion.V3,
        stat_prefix="mcp",
        failure_mode_allow=False,
        status_on_error=_unavailable(),
        validate_mutations=True,
        clear_route_cache=False,
        with_request_body=BufferSettings(
            max_request_bytes=chain.max_request_bytes, allow_partial_message=False, pack_as_bytes=True
        ),
        disallowed_headers=ListStringMatcher(patterns=[StringMatcher(exact="cookie")]),
        decoder_header_mutation_rules=_only(_REQUEST_MUTATIONS, error=True),
        max_denied_response_body_bytes=65536,
        charge_cluster_response_stats=True,
        emit_filter_state_stats=True,
        grpc_service=_check(chain),
    )


def _shadow(chain: Chain) -> ExtAuthz:
    """Return an ext_authz that asks and records the decision, but does not change the request."""
    config = _ext_authz(chain)
    config.shadow_mode = True
    config.decoder_header_mutation_rules = HeaderMutationRules(disallow_all=True)
    return config


def _mcp(max_bytes: int) -> Mcp:
    return Mcp(
        traffic_mode=McpTrafficMode.REJECT_NO_MCP, max_request_body_size=max_bytes, reject_duplicate_keys=True
    )


def _check(chain: Chain) -> GrpcService:
    return GrpcService(
        envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=AUTHZ),
        timeout=timedelta(seconds=chain.check_timeout),
        retry_policy=_retry(chain),
    )


def _retry(chain: Chain) -> RetryPolicy:
    longest = chain.check_timeout - TRY_SLACK
    if chain.more_services:
        return retry_elsewhere(RETRY_CHECK_ON, longest)
    return RetryPolicy(
        num_retries=1,
        retry_on="unavailable",
        retry_back_off=BackoffStrategy(
            base_interval=timedelta(milliseconds=10), max_interval=timedelta(seconds=longest)
        ),
    )


def _rewrite(chain: Chain) -> ExtensionWithMatcher:
    conditions = [
        *(
            (said("pool", ValueMatcher(string_match=StringMatcher(exact=pool))), cluster)
            for pool, cluster in POOLS.items()
        ),
        (asked(), REWRITER),
        (all_of(allowed(), speaks_of_itself()), REWRITER),
    ]
    return _composite(
        *(_rule(condition, "ext_proc", _ext_proc(chain, cluster)) for condition, cluster in conditions)
    )


def _only_ours() -> ExtensionWithMatcher:
    """Return the filter that removes headers of the server, on the answers to allowed requests alone."""
    return _composite(_rule(allowed(), "header_mutation", without_its_headers()))


def _composite(*rules: MatcherMatcherListFieldMatcher) -> ExtensionWithMatcher:
    return ExtensionWithMatcher(
        extension_config=TypedExtensionConfig(name="composite", typed_config=any_of(Composite())),
        xds_matcher=Matcher(matcher_list=MatcherMatcherList(matchers=list(rules))),
    )


def _rule(
    condition: MatcherMatcherListPredicate, kind: str, config: Message
) -> MatcherMatcherListFieldMatcher:
    """Return the rule that runs a filter where a condition holds."""
    inner = TypedExtensionConfig(name=f"envoy.filters.http.{kind}", typed_config=any_of(config))
    action = XdsExtension(name="run", typed_config=any_of(ExecuteFilterAction(typed_config=inner)))
    return MatcherMatcherListFieldMatcher(predicate=condition, on_match=MatcherOnMatch(action=action))


def _ext_proc(chain: Chain, cluster: str) -> ExternalProcessor:
    send, skip = ProcessingModeHeaderSendMode.SEND, ProcessingModeHeaderSendMode.SKIP
    return ExternalProcessor(
        stat_prefix="mcp",
        failure_mode_allow=False,
        status_on_error=_unavailable(),
        message_timeout=timedelta(seconds=2),
        allow_content_length_header=True,
        processing_mode=ProcessingMode(
            request_header_mode=skip,
            request_body_mode=ProcessingModeBodySendMode.NONE,
            request_trailer_mode=skip,
            response_header_mode=send,
            response_body_mode=ProcessingModeBodySendMode.FULL_DUPLEX_STREAMED,
            response_trailer_mode=send,
        ),
        metadata_options=MetadataOptions(
            forwarding_namespaces=MetadataOptionsMetadataNamespaces(untyped=[EXT_AUTHZ]),
            receiving_namespaces=MetadataOptionsMetadataNamespaces(untyped=[JUDGED_BY]),
        ),
        mutation_rules=_only(_RESPONSE_MUTATIONS, error=False),
        disable_clear_route_cache=True,
        response_attributes=list(ATTRIBUTES),
        grpc_service=GrpcService(
            envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=cluster),
            retry_policy=retry_elsewhere(RETRY_STREAM_ON, _STREAM_WAIT) if chain.more_services else None,
        ),
    )
