"""Why each setting is as it is: the comments of the rendered configuration.

Keys are read by `authz.render.serialize`: `Type.field`, or `Type#name` for a named element of a list. A field listed here
is always written, even at Envoy's default; an empty text only has it written.
"""

from collections.abc import Mapping
from types import MappingProxyType

from authz.render.options import RenderOptions

WHOLE = """\
Envoy with per-tool authorization of MCP requests. Rendered by `mcp-authz envoy`; edit the policy file, not this.
Needs Envoy 1.38.4 or newer (earlier ext_authz has published holes); measured with 1.40.
"""

PLAIN = """\
Plain HTTP: render with --tls-cert and --tls-key, or terminate TLS in front.
"""

SHADOW = """\
SHADOW: NOTHING IS PROTECTED BY THIS FILE. The service is asked and every request goes on, whatever it says: denied,
failed or without a token. Lists are not trimmed, no identity header is set and no token removed. Read what would
have happened in the access log (`decision`, `reason`, `would`) and in the service's audit log, then render without
--shadow. Body limit, path rules, CORS and the removal of identity headers apply as always.

"""

FILTERS = """\
Per-tool authorization of MCP requests for an Envoy you already run. Rendered by `mcp-authz envoy --part filters`.
Not a bootstrap: each section says where it goes. Needs Envoy 1.38.4 or newer.
Check the result with `mcp-authz doctor`: Envoy itself does not notice a missing gRPC cluster or a wrong order.
"""

SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "http_connection_manager": """\
1. Merge these settings into the typed_config of your HttpConnectionManager.
Keep your own access_log if you have one, and add the DYNAMIC_METADATA keys to it one by one.
On the listener around it set per_connection_buffer_limit_bytes: 32768.""",
        "http_filters": """\
2. Put these into the same HttpConnectionManager's http_filters, in this order, as the last before the router.
Authentication of other kinds goes before them; nothing that changes method, path, body or content-encoding,
and nothing that clears the route cache, may come after ext_authz.
ext_authz now judges every route of this listener and denies what is not an MCP endpoint. For routes that are
not its business, set typed_per_filter_config as on the route `metadata`.""",
        "virtual_hosts": """\
3. Merge into your route_config.virtual_hosts. Where you have a virtual host or a route already, keep it and take
over timeout, idle_timeout and typed_per_filter_config; keep the order, and `none` last. Set
ignore_port_in_host_matching: true on the route_config, or name the hosts with their ports, too.""",
        "clusters": """\
4. Append to static_resources.clusters (or serve by CDS). Those whose name begins with mcp- reach the MCP servers;
leave them out where your routes name clusters of your own.""",
    }
)

_MANAGER = {
    "HttpConnectionManager.use_remote_address": "This is the edge: the peer's address is the client's, "
    "and x-envoy-* headers that clients send are dropped.",
    "HttpConnectionManager.internal_address_config": "No address is internal: those headers are dropped for "
    "clients in private networks, too.",
    "HttpConnectionManager.normalize_path": "One spelling of a path: routes, the service and the server "
    "must not read it differently.",
    "HttpConnectionManager.merge_slashes": "",
    "HttpConnectionManager.path_with_escaped_slashes_action": "",
    "HttpProtocolOptions.headers_with_underscores_action": "x_mcp_subject is x-mcp-subject to many servers.",
    "HttpConnectionManager.request_timeout": "For receiving the request (slow bodies), not for answering it.",
    "HttpConnectionManager.stream_idle_timeout": "The only limit on a hung list rewrite, as message_timeout does not "
    "apply to it. Must exceed the keep-alive interval of SSE streams.",
    "HttpConnectionManager.early_header_mutation_extensions": "Identity headers come from ext_authz or not at all: "
    "what a client sends under these names is removed before anything reads it.",
    "AccessLog.typed_config": "Single keys, never the whole namespace: it holds the caller's claims.",
    "LocalReplyConfig.mappers": "A body that exceeds max_request_bytes never reaches the service; "
    "answer it as JSON-RPC, too.",
    "ComparisonFilter.op": "",
}

_ROUTES = {
    "RouteConfiguration.ignore_port_in_host_matching": "",
    "Route#metadata": "Protected-resource metadata (RFC 9728), served by the service: one source of truth with the "
    "challenge that points here. A direct_response would get no CORS headers.",
    "ExtAuthzPerRoute.disabled": "The only route without authorization: clients read it before they have a token.",
    "CorsPolicy.allow_origin_string_match": "CORS tells browsers; it rejects nobody. "
    "The service refuses origins that are not listed.",
    "CorsPolicy.expose_headers": "Without these a browser cannot see the challenge or the session.",
    "CorsPolicy.forward_not_matching_preflights": "",
    "RouteAction.host_rewrite_literal": "The server sees its own name: MCP servers refuse a Host they do not know "
    "(DNS rebinding).",
    "RouteAction.timeout": "",
    "RouteAction.idle_timeout": "timeout 0s: the default of 15s would cut SSE responses. idle_timeout bounds silence.",
    "Route#none": "Keep last, and do not disable ext_authz here: a request that matches no route could pass "
    "the filters unjudged.",
}

_FILTERS = {
    "HttpFilter#envoy.filters.http.cors": "First: preflights carry no token, and denials need the CORS headers, too.",
    "ExtAuthz.failure_mode_allow": "Fail closed: a service that is down, slow or wrong means 503.",
    "ExtAuthz.status_on_error": "",
    "ExtAuthz.with_request_body": "The service judges exactly the bytes that go upstream. A larger body is 413 here, "
    "a truncated one is never judged, and without pack_as_bytes invalid UTF-8 would be replaced before it is judged.\n"
    "max_request_bytes also caps what any buffering filter may hold of a response.",
    "BufferSettings.allow_partial_message": "",
    "BufferSettings.pack_as_bytes": "",
    "ExtAuthz.clear_route_cache": "The route was chosen before the decision and stays chosen.",
    "ExtAuthz.validate_mutations": "",
    "ExtAuthz.disallowed_headers": "Never leaves Envoy for the service.",
    "ExtAuthz.decoder_header_mutation_rules": "The service may set identity headers, remove the token and ask for "
    "an uncompressed list. Anything else (:path, host, x-envoy-*) is an error, 500.",
    "ExtAuthz.max_denied_response_body_bytes": "",
    "ExtAuthz.emit_filter_state_stats": "For authz_us in the access log.",
    "RetryPolicy.retry_back_off": "max_interval is also the timeout of each try (Envoy 1.40), so it stays just below "
    "the whole timeout; without a base of 10ms the retry would come too late to matter.",
    "HttpFilter#mcp-rewrite": "Trims lists. Runs only where ext_authz set rewrite: true in its metadata, which no client "
    "can set; every other request pays nothing for it.",
    "ExternalProcessor.failure_mode_allow": "Never let an untrimmed list pass.",
    "ExternalProcessor.message_timeout": "Without effect in FULL_DUPLEX_STREAMED; stream_idle_timeout is the limit.",
    "ExternalProcessor.allow_content_length_header": "The processor sets or removes content-length itself.",
    "ExternalProcessor.processing_mode": "Only the response. FULL_DUPLEX_STREAMED lets SSE events through "
    "as they come and has no buffer limit that would cut a long list.",
    "ProcessingMode.request_body_mode": "",
    "MetadataOptions.forwarding_namespaces": "The decision's own metadata tells the processor for whom to trim.",
    "ExternalProcessor.mutation_rules": "A shorter body: its length and the digests of the longer one.",
    "ExternalProcessor.disable_clear_route_cache": "",
    "ExternalProcessor.grpc_service": "No timeout: the stream lasts as long as the response.",
}

_CLUSTERS = {
    "Cluster#authz": "The service as ext_authz. LEAST_REQUEST: with several workers or pods the idle one answers.",
    "ClusterCommonLbConfig.healthy_panic_threshold": "No panic mode: an unhealthy service is not asked, and 503 follows.",
    "Percent.value": "",
    "HealthCheckGrpcHealthCheck.service_name": "",
    "Cluster#rewriter": "The same service as ext_proc, with a circuit breaker of its own: open SSE rewrites must not "
    "use up the room that every other request's Check needs.",
    "Cluster#authz_http": "The service's HTTP port: metadata only, nothing else is routed there.",
    "Cluster.transport_socket": "Envoy verifies no certificate by itself: whom it trusts must be said.",
}

_TLS = {
    "CommonTlsContext.tls_params": "",
    "TlsParameters.tls_minimum_protocol_version": "",
    "CertificateValidationContext.match_typed_subject_alt_names": "The certificate must be for exactly this host: "
    "an authority alone would accept everybody whom it ever certified.",
    "DownstreamTlsContext.common_tls_context": "Files are read at start: after a renewal start a new Envoy (hot "
    "restart, or a rolling one).",
}

_OVERLOAD = {
    "Bootstrap.overload_manager": "Connections beyond this are closed at once. The limit on open files must be higher.",
}

_LIMITS = {
    "Listener.per_connection_buffer_limit_bytes": "About what Envoy holds of a response for a slow reader. "
    "Bodies that ext_authz judges have their own limit, max_request_bytes.",
    "Cluster.per_connection_buffer_limit_bytes": "",
    "HttpConnectionManager.http2_protocol_options": "Below Envoy's defaults of 1024 streams and windows of 16 and 24 MiB: "
    "each stream may hold one body of max_request_bytes.",
}

NOTES: Mapping[str, str] = MappingProxyType(
    _MANAGER | _ROUTES | _FILTERS | _CLUSTERS | _TLS | _OVERLOAD | _LIMITS
)
"""Said about every chain, where its subject is rendered."""

_NATIVE = {
    "HttpFilter#envoy.filters.http.mcp": "Envoy's own reading of MCP, in front. Its developers call it work in progress "
    "and outside their threat model: it refuses more, and nothing rests on it. Its refusals are plain 400s, without a "
    "reason and without an audit record.",
    "Mcp.max_request_body_size": "As ext_authz: the default of 8 KiB would refuse honest calls.",
    "Mcp.reject_duplicate_keys": "",
    "McpOverride.traffic_mode": "No MCP here; ext_authz says what becomes of it.",
}

_RATE = {
    "HttpFilter#envoy.filters.http.local_ratelimit": "Calls of one tool by one caller, as ext_authz named both; a client "
    "cannot choose its bucket. Counted in this process: N Envoys let N times as many through.",
    "LocalRateLimit.max_dynamic_descriptors": "Buckets kept; beyond them the one unused for longest starts anew.",
    "RateLimitActionMetaData.source": "",
    "LocalRateLimit.filter_enforced": "",
}

_TRACING = {
    "HttpConnectionManager.tracing": "A span a request, tagged with the decision and never with the caller.",
    "HttpConnectionManagerTracing.client_sampling": "No header of a client forces a trace.",
    "Cluster#otel": "The collector. Spans are lost while it is away; nothing waits for it.",
}

_IN_SHADOW = {
    "ExtAuthz.shadow_mode": "SHADOW: every request goes on, whatever the service says. NOTHING IS PROTECTED.",
    "ExtAuthz.decoder_header_mutation_rules": "Nothing about a request is changed in shadow mode; what the service "
    "asks for is dropped.",
}


def notes(options: RenderOptions) -> Mapping[str, str]:
    """What is to be said about a chain with these options."""
    said = dict(NOTES)
    for wanted, more in (
        (options.native_filter, _NATIVE),
        (options.rate is not None, _RATE),
        (options.tracing is not None, _TRACING),
        (options.shadow, _IN_SHADOW),
    ):
        said |= more if wanted else {}
    return said
